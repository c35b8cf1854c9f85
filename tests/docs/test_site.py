"""The documentation's site builds without a warning, without a network, and asks nobody else."""

import html
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))

import build_site as build  # noqa: E402
from hafloc import geo  # noqa: E402

LOADS = {"img": "src", "script": "src", "iframe": "src", "source": "src", "video": "src"}


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site, built once: ten seconds, most of them for the pages on Python."""
    pytest.importorskip("zensical", reason="the site needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    build.build(folder)
    return folder


class Reader(HTMLParser):
    """What a page loads, and where it links."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "link" and given.get("rel") != "canonical" and "href" in given:
            self.loads.append(given["href"])
        if tag in LOADS and LOADS[tag] in given:
            self.loads.append(given[LOADS[tag]])
        if tag == "a":
            self.links.append(given.get("href", ""))


@pytest.fixture(scope="session")
def read(site: Path) -> dict[Path, Reader]:
    pages = {page: Reader(page.read_text("utf-8")) for page in site.rglob("*.html")}
    assert all(found.loads for found in pages.values())
    return pages


def test_every_page_of_the_documentation_is_on_the_site_and_in_its_navigation(site: Path) -> None:
    pages = {
        path.relative_to(build.DOCS).with_suffix(".html").as_posix()
        for path in build.DOCS.rglob("*.md")
    }
    assert len(pages) > 40
    assert {page for page in pages if not (site / page).is_file()} == set()
    assert {x for x in pages if f'"{x.removesuffix(".html")}.md"' not in build.configuration()} == (
        set()
    )


def test_no_page_loads_anything_from_another_server(site: Path, read: dict[Path, Reader]) -> None:
    for page, found in read.items():
        assert [x for x in found.loads if re.match(r"(https?:)?//", x)] == [], page.name
    for sheet in site.rglob("*.css"):
        assert re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", sheet.read_text("utf-8")) == []


def test_every_link_of_a_page_leads_to_a_file_of_the_site(read: dict[Path, Reader]) -> None:
    for page, found in read.items():
        # The page for what is not there is shown at any depth: its links are whole.
        for way in {link.partition("#")[0] for link in found.links if page.name != "404.html"}:
            if way and not re.match(r"[a-z]+:", way):
                assert (page.parent / way).exists(), (page.name, way)


def test_the_pages_on_python_say_what_the_docstrings_say(site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "reference/python/hafloc-geo.html").read_text("utf-8"))
    for thing in (geo.LocalFrame, geo.distance):
        first = (thing.__doc__ or "").partition("\n")[0].replace("`", "")
        assert first in html.unescape(page)


@pytest.mark.parametrize(
    ("page", "text", "after"),
    [
        # Out of docs/ it leads to the repository, from wherever the page lies.
        ("a.md", "[x](../README.md#top)", f"[x]({build.REPOSITORY}/README.md#top)"),
        ("tutorials/a.md", "[x](../../LICENSE)", f"[x]({build.REPOSITORY}/LICENSE)"),
        # Within docs/, to other sites and to anchors it stays.
        ("tutorials/a.md", "[x](../fetch.md)", "[x](../fetch.md)"),
        ("a.md", "[x](https://example.org/../y)", "[x](https://example.org/../y)"),
        ("a.md", "[x](#here)", "[x](#here)"),
        # What is code is no link.
        ("a.md", "```\n[x](../nowhere)\n```\n", "```\n[x](../nowhere)\n```\n"),
    ],
)
def test_links_out_of_the_pages_lead_to_the_repository(page: str, text: str, after: str) -> None:
    assert build.within_site(text, page) == after


def test_a_link_to_nothing_ends_the_building_in_one_line() -> None:
    with pytest.raises(build.SiteError, match=r"^docs/a\.md links to \.\./nowhere\.md, which is"):
        build.within_site("[x](../nowhere.md)", "a.md")
