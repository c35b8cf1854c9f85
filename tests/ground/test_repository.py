"""What the files beside the code say of it stays true."""

import re
import tomllib
from pathlib import Path

import pytest

import hafloc

ROOT = Path(__file__).parents[2]


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def test_every_benchmark_is_in_the_index_of_benchmarks() -> None:
    page = text("benchmarks/README.md")
    scripts = {path.name for path in (ROOT / "benchmarks").glob("*.py")}
    assert scripts
    assert {name for name in scripts if f"benchmarks/{name}" not in page} == set()


def test_every_recipe_is_in_the_index_of_recipes() -> None:
    page = text("configs/README.md")
    recipes = {path.name for path in (ROOT / "configs").glob("*.toml")}
    assert recipes
    assert {name for name in recipes if f"`{name}`" not in page} == set()


def test_no_page_keeps_the_marks_of_a_merge() -> None:
    pages = [x for x in ROOT.rglob("*.md") if not x.relative_to(ROOT).parts[0].startswith(".")]
    assert len(pages) > 10
    marks = re.compile(r"^(<{7}|>{7}) ", re.MULTILINE)
    assert [path for path in pages if marks.search(path.read_text("utf-8"))] == []


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {hafloc.__version__}\n" in text("CITATION.cff")


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for lines in extras for line in lines)]
    names = {re.match(r"[A-Za-z0-9_-]+", line)[0] for line in wanted} - {"hafloc"}
    page = text("docs/dependencies.md")
    assert {name for name in names if not re.search(rf"\b{re.escape(name)}\b", page)} == set()


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.md")))
def test_links_between_pages_lead_somewhere(name: str) -> None:
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text(name)):
        assert (ROOT / link).exists(), link


def test_nothing_points_outside_the_repository() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("configs/*")]
    pages += [*ROOT.glob("benchmarks/*.py"), *ROOT.glob("benchmarks/**/*.md")]
    outside = "../" + "shared"
    assert [page.name for page in pages if outside in page.read_text("utf-8")] == []
