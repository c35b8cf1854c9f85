"""The built page in the package is what its sources in web/ say, and small."""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB, PACKAGE = ROOT / "web", ROOT / "src/hafloc"
SERVED = PACKAGE / "serve/page"
# As in web/build.mjs.
NOT_SOURCES = {"node_modules", ".npmrc", "README.md"}
AGAIN = "run `make web` and commit what it made"


def digests(folder: Path, files: list[Path]) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def built_files(package: Path) -> list[Path]:
    served = [path for path in (package / "serve/page").rglob("*") if path.is_file()]
    single = [package / "show/page" / name for name in ("map.html", "map.css", "map.js")]
    return [path for path in served if path.name != "built-from.json"] + single


def test_the_built_page_is_that_of_its_sources() -> None:
    stamp = json.loads((SERVED / "built-from.json").read_text("utf-8"))
    tops = [top for top in WEB.iterdir() if top.name not in NOT_SOURCES]
    sources = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
    assert digests(WEB, sources) == stamp["sources"], AGAIN
    assert digests(PACKAGE, built_files(PACKAGE)) == stamp["built"], AGAIN


@pytest.mark.skipif(
    not (WEB / "node_modules").is_dir() or shutil.which("node") is None,
    reason="no Node or no web/node_modules: `make web` makes them",
)
def test_building_again_makes_the_same_files(tmp_path: Path) -> None:
    command = ["node", "build.mjs", str(tmp_path)]
    subprocess.run(command, cwd=WEB, check=True, capture_output=True, timeout=120)
    again = digests(tmp_path, built_files(tmp_path))
    assert again == digests(PACKAGE, built_files(PACKAGE)), AGAIN


def test_the_whole_page_weighs_less_than_a_megabyte_and_a_half_compressed() -> None:
    files = [path for path in SERVED.rglob("*") if path.suffix in {".html", ".js", ".mjs", ".css"}]
    assert len(files) >= 4
    assert sum(len(gzip.compress(path.read_bytes())) for path in files) < 1_500_000
    # What is loaded before the map is asked for.
    first = [path for path in files if path.stem.startswith("index")]
    assert sum(len(gzip.compress(path.read_bytes())) for path in first) < 60_000


def test_the_single_file_stays_light() -> None:
    assert (
        sum((PACKAGE / "show/page" / f"map.{end}").stat().st_size for end in ("js", "css")) < 90_000
    )


def test_the_page_asks_for_nothing_but_its_own_files() -> None:
    page = (SERVED / "index.html").read_text("utf-8")
    assert not re.search(r"<(script|style)\b(?![^>]*\bsrc=)", page)
    assert not re.search(r"\s(style|on[a-z]+)=", page)
    named = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert named
    assert [name for name in named if not name.startswith("./")] == []
    assert [name for name in named if not (SERVED / name).is_file()] == []


def test_the_licences_of_what_is_built_in_are_shipped() -> None:
    text = (SERVED / "licences.txt").read_text("utf-8")
    lock = json.loads((WEB / "package-lock.json").read_text("utf-8"))
    built_in = [
        path.rpartition("node_modules/")[2]
        for path, package in lock["packages"].items()
        if path and not package.get("dev")
    ]
    assert {"maplibre-gl", "pmtiles"} <= set(built_in)
    assert [name for name in built_in if f"\n{name} " not in text] == []
    assert "MapLibre contributors" in text


def test_the_lock_names_no_registry() -> None:
    text = (WEB / "package-lock.json").read_text("utf-8")
    hosts = set(re.findall(r'"resolved": "https?://([^/"]+)', text))
    assert hosts <= {"registry.npmjs.org"}
