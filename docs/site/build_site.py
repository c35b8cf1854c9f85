"""Builds the documentation's site: `python docs/site/build_site.py FOLDER`, without any network.

The pages are read on GitHub as well, so docs/*.md stay as they are. They are copied beside each
other first, and links that lead out of docs/ become links to the repository.
"""

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/hafloc/hafloc/blob/main"
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r"^# (.+)$", re.MULTILINE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
# In the nav of zensical.toml: where the generated pages go.
_GENERATED = {"#COMMANDS": ("Commands", "commands"), "#PYTHON": ("In Python", "python")}


class SiteError(Exception):
    """The pages make no site; the message says why."""


def lay_out(folder: Path) -> None:
    """Put the pages and the site's configuration into a folder, ready to be built."""
    for page in sorted(DOCS.rglob("*")):
        name = page.relative_to(DOCS)
        if page.is_dir() or name.parts[0] == "site":
            continue
        copy = folder / "docs" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        if page.suffix == ".md":
            copy.write_text(within_site(page.read_text("utf-8"), name.as_posix()), "utf-8")
        else:
            shutil.copyfile(page, copy)
    (folder / "zensical.toml").write_text(configuration(), "utf-8")


def within_site(text: str, name: str) -> str:
    """A page's text with its links out of docs/ leading to the repository.

    Raises SiteError for a link to a file that is not there.
    """

    def link(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(name), found[2]))
        if not (ROOT / target).exists():
            raise SiteError(f"docs/{name} links to {found[2]}, which is not there")
        if target.startswith("docs/"):
            return found[0]
        return f"{found[1]}{REPOSITORY}/{target}"

    # What stands in a fence is no link.
    parts, end = [], 0
    for fence in _FENCE.finditer(text):
        parts += [_LINK.sub(link, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(link, text[end:])])


def configuration() -> str:
    """The site's configuration with the generated pages in its navigation."""
    text = (DOCS / "site" / "zensical.toml").read_text("utf-8")
    text = text.replace("@SOURCE@", (ROOT / "src").as_posix())
    for mark, (title, folder) in _GENERATED.items():
        pages = sorted((DOCS / "reference" / folder).glob("*.md"), key=lambda page: page.stem)
        entries = [
            f'      {{ "{_title(page)}" = "{page.relative_to(DOCS).as_posix()}" }},'
            for page in pages
        ]
        text = text.replace(mark, "\n".join([f'    {{ "{title}" = [', *entries, "    ] },"]))
    return text


def _title(page: Path) -> str:
    found = _TITLE.search(page.read_text("utf-8"))
    if found is None:
        raise SiteError(f"{page.name} has no title; begin it with `# …`")
    return found[1].replace("`", "")


def build(target: Path) -> None:
    """Make the site in a folder; raises SiteError with what the builder says against a page."""
    with tempfile.TemporaryDirectory(prefix="hafloc-docs-") as name:
        folder = Path(name)
        lay_out(folder)
        done = subprocess.run(
            [sys.executable, "-m", "zensical", "build", "--strict", "--clean"],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", "PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        said = _COLOURS.sub("", f"{done.stdout}\n{done.stderr}".strip())
        if done.returncode or "arning" in said:
            raise SiteError(said)
        shutil.copytree(folder / "site", target, dirs_exist_ok=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the site goes")
    target = parser.parse_args(words).folder
    try:
        build(target)
    except SiteError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{target / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
