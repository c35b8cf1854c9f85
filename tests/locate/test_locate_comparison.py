"""One photo held against a query, from Python and as `hafloc show matches` draws it."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from numbered_places import MODEL, ByNumber, draw, where
from numbered_scenes import POINTS, STEP, BySight, build_seen
from PIL import Image

from hafloc.errors import CheckpointError, IndexFileError, PhotoError
from hafloc.geo import distance
from hafloc.index import open_index
from hafloc.locate import Calibration, Localizer, compare_with, write_calibrations

# More photos than are verified by default, so that some lie beyond.
PLACES = 30


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    return build_seen(tmp_path, PLACES)


@pytest.fixture
def street(seen: Path) -> Iterator[Localizer]:
    with Localizer(open_index(seen, model=MODEL), BySight()) as opened:
        yield opened


@pytest.fixture
def run(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    def open_(path: Path, model: object = None, **options: object) -> Localizer:
        return Localizer(open_index(path, model=MODEL), BySight())

    monkeypatch.setattr(Localizer, "open", open_)
    return run


def test_the_best_candidate_is_compared_by_default(street: Localizer, tmp_path: Path) -> None:
    found = compare_with(street, draw(tmp_path, 7, 4))
    assert found.candidate == found.answer.candidates[0]
    assert found.candidate.path in {"007_0.png", "007_1.png"}
    assert found.file == tmp_path / found.candidate.path
    # Every key point of the place has moved by the photos' distance in the row.
    moved = STEP * (int(found.candidate.path[4]) - 4)
    shift = np.median(found.evidence.pairs[:, 2:] - found.evidence.pairs[:, :2], axis=0)
    assert shift == pytest.approx([moved, 0], abs=0.1)
    assert found.evidence.inliers > 0.9 * POINTS
    assert found.evidence.sizes == ((480, 360), (480, 360))


def test_a_rank_or_a_file_or_a_path_of_the_index_can_be_asked_for(
    street: Localizer, tmp_path: Path
) -> None:
    query = draw(tmp_path, 7, 4)
    second = compare_with(street, query, "2")
    assert second.candidate == second.answer.candidates[1]
    for wanted in (second.candidate.path, str(tmp_path / "x" / ".." / second.candidate.path)):
        assert compare_with(street, query, wanted).candidate == second.candidate


def test_a_photo_beyond_the_verified_ones_is_compared_all_the_same(
    street: Localizer, tmp_path: Path
) -> None:
    query = draw(tmp_path, 7, 4)
    near = {candidate.path for candidate in compare_with(street, query).answer.candidates}
    far = next(r for r in street.index.iterate() if r.path not in near)
    found = compare_with(street, query, far.path)
    assert found.candidate.path == far.path
    assert 50 < found.candidate.rank <= 2 * PLACES
    assert found.candidate.metres == distance(far.position, found.answer.position)
    assert found.candidate.inliers == found.evidence.inliers == 0


@pytest.mark.parametrize(
    ("wanted", "message"),
    [("0", "there is no candidate 0"), ("51", "no candidate 51: the answer has 50"),
     ("none.png", "the index has no photo none.png; `hafloc index export` lists")],
)  # fmt: skip
def test_what_the_index_does_not_have_is_named(
    street: Localizer, tmp_path: Path, wanted: str, message: str
) -> None:
    with pytest.raises(IndexFileError, match=message):
        compare_with(street, draw(tmp_path, 7, 4), wanted)


def test_gone_and_changed_files_are_named(street: Localizer, tmp_path: Path) -> None:
    query = draw(tmp_path, 7, 4)
    draw(tmp_path, 8, 0).unlink()
    with pytest.raises(PhotoError, match=r"with 008_0\.png: its file .* is gone; put it back"):
        compare_with(street, query, "008_0.png")
    Image.new("RGB", (40, 40)).save(tmp_path / "008_1.png")
    with pytest.raises(PhotoError, match="has changed since it was indexed"):
        compare_with(street, query, "008_1.png")


def test_a_gone_file_without_stored_key_points_is_named(tmp_path: Path) -> None:
    path = build_seen(tmp_path, 3, local=False)
    with Localizer(open_index(path, model=MODEL), BySight()) as street:
        query = draw(tmp_path, 2, 4)
        assert compare_with(street, query).evidence.inliers > 0.9 * POINTS
        (tmp_path / "000_1.png").unlink()
        with pytest.raises(PhotoError, match="is gone, and the index holds no key points of it"):
            compare_with(street, query, "000_1.png")


def test_a_network_without_key_points_is_named(seen: Path, tmp_path: Path) -> None:
    with (
        Localizer(open_index(seen, model=MODEL), ByNumber()) as blind,
        pytest.raises(CheckpointError, match="the network numbers has none; use an index made"),
    ):
        compare_with(blind, draw(tmp_path, 7, 4))


def test_matches_are_drawn_and_told(run: Run, seen: Path, tmp_path: Path) -> None:
    out = tmp_path / "matches.png"
    query = draw(tmp_path, 7, 4)
    code, said, err = run("show", "matches", query, "--index", seen, "-o", out)
    assert (code, err) == (0, "")
    first, second = said.splitlines()
    assert first.startswith(f"{query}: 52.2")
    assert f"inliers of {POINTS} matches with 007_" in second
    assert second.startswith(f"{out}: ")
    with Image.open(out) as picture:
        assert picture.format == "PNG"


def test_photos_that_do_not_match_are_drawn_with_status_1(
    run: Run, seen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "matches.png"
    query = draw(tmp_path, 7, 4)
    code, said, _ = run(
        "show", "matches", query, "--index", seen, "--candidate", "009_0.png", "-o", out
    )
    assert code == 1
    assert "0 inliers of " in said
    assert out.is_file()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("absent.jpg", None, "absent.jpg"), ("text.jpg", b"no photo", "text.jpg")],
)
def test_an_unreadable_query_is_refused_in_one_line(
    run: Run, seen: Path, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    out = tmp_path / "matches.png"
    code, said, err = run("show", "matches", tmp_path / name, "--index", seen, "-o", out)
    assert (code, said) == (2, "")
    assert err.startswith("hafloc: cannot read ")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not out.exists()


def test_a_name_that_is_no_png_is_refused_before_any_work(
    run: Run, seen: Path, tmp_path: Path
) -> None:
    out = tmp_path / "matches.svg"
    code, _, err = run("show", "matches", tmp_path / "absent.jpg", "--index", seen, "-o", out)
    assert code == 2
    assert err == f"hafloc: cannot write {out}: pictures are PNG; let the name end in .png\n"


def test_a_photo_without_key_points_matches_nothing(run: Run, seen: Path, tmp_path: Path) -> None:
    out = tmp_path / "matches.png"
    code, said, _ = run("show", "matches", draw(tmp_path, 255, 0), "--index", seen, "-o", out)
    assert code == 1
    assert "0 inliers of 0 matches" in said


def test_pairs_come_with_json_when_asked_for(run: Run, seen: Path, tmp_path: Path) -> None:
    query = draw(tmp_path, 7, 4)
    (plain, asked) = (
        json.loads(run("locate", seen, query, "--json", *more)[1]) for more in ((), ("--pairs",))
    )
    assert "pairs" not in plain
    pairs = asked.pop("pairs")
    assert asked == plain
    assert (pairs["query_size"], pairs["candidate_size"]) == ([480, 360], [480, 360])
    assert len(pairs["points"]) == plain["candidates"][0]["inliers"]
    assert {len(point) for point in pairs["points"]} == {4}
    refused = run("locate", seen, query, "--json", "--pairs", "--rerank", "0")
    assert refused[0] == 2
    assert "--rerank 0 compares no key points" in refused[2]


def test_the_map_page_holds_the_matches_and_what_is_not_here(
    run: Run, seen: Path, tmp_path: Path
) -> None:
    # Given a calibration by which an answer with little evidence is not in the database
    with open_index(seen, write=True, model=MODEL) as index:
        scores = tuple(number / 10 for number in range(1, 31))
        calibration = Calibration(
            True, (1.0, 0.0, 0.0, 0.0, 0.0), 0.0, scores, 30, tuple(range(30))
        )
        index.store_calibration(write_calibrations(MODEL.hash, [calibration]))
    page = tmp_path / "page.html"
    known, unknown = draw(tmp_path, 7, 4), draw(tmp_path, 200, 0)
    said = run("locate", seen, known, unknown, "--top", "3", "--map", page)
    assert said[0] == 1, said
    text = page.read_text(encoding="utf-8").split('id="content">')[1].split("</script>")[0]
    here, gone = json.loads(text)["queries"]
    assert (here["found"], gone["found"]) == (True, False)
    assert here["radius"] > 0
    assert here["probability"] == 0.9
    assert gone["radius"] is None
    best = here["candidates"][0]
    assert best["inliers"] > 0.9 * POINTS
    assert best["sizes"] == [[480, 360], [480, 360]]
    assert len(best["pairs"]) == 4 * min(best["inliers"], 60)
    assert where(7, 0).lat == pytest.approx(here["lat"], abs=1e-3)
