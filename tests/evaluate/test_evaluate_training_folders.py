"""Data sets become training folders: whole, resumable, with positions to the millimetre."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import small_sets
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

from hafloc.cli.app import app
from hafloc.errors import EvaluationError, HaflocError, OutputError
from hafloc.evaluate import make_training_folders, next_command
from hafloc.evaluate.data_sets.place_lists import read_place_list
from hafloc.evaluate.data_sets.training_lists import time_of_stamp
from hafloc.geo import distance
from hafloc.photos import read_positions_csv

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "ground_truth"
ORIGIN = np.array([585_200.0, 4_477_200.0])  # in Pittsburgh, UTM zone 17
TOKYO = np.array([381_418.0, 3_946_450.0])


def pitts(root: Path, *, splits: tuple[str, ...] = ("train", "val")) -> Path:
    """Two places of two views, and a query of each, 100 m apart."""
    for split in splits:
        database = [f"000/{split}{place}_yaw{view}.jpg" for place in (0, 1) for view in (1, 2)]
        queries = [f"000/{split}{place}_yaw9.jpg" for place in (0, 1)]
        for number, name in enumerate(database):
            small_sets.draw(root / name, number // 2, number % 2)
        for number, name in enumerate(queries):
            small_sets.draw(root / "queries_real" / name, number, 9)
        small_sets.save_dbstruct(
            root / "datasets" / f"pitts30k_{split}.mat",
            database,
            np.add(ORIGIN, [[0, 0], [0, 0], [100, 0], [100, 0]]),
            queries,
            np.add(ORIGIN, [[0, 7], [100, 7]]),
        )
    return root


def test_pittsburgh_becomes_the_folders_that_the_recipes_name(tmp_path: Path) -> None:
    made = make_training_folders("pitts30k", pitts(tmp_path / "raw"), tmp_path / "pitts30k")
    assert [(folder.split, folder.part) for folder in made] == [
        ("train", "database"), ("train", "queries"), ("val", "database"), ("val", "queries"),
    ]  # fmt: skip
    assert [(folder.photos, folder.places) for folder in made] == [(4, 2), (2, 2)] * 2
    table = read_positions_csv(made[0].path / "positions.csv")
    assert not table.problems
    assert all((made[0].path / name).is_file() for name in table.rows)
    query = read_positions_csv(made[1].path / "positions.csv").rows["000/train0_yaw9.jpg"]
    here = table.rows["000/train0_yaw1.jpg"]
    # 7 m on the grid, where a metre is 0.9997 of one on the ground (80 km off the meridian)
    assert here.position is not None
    assert query.position is not None
    assert distance(here.position, query.position) == pytest.approx(7, abs=0.004)
    assert here.position.lat == pytest.approx(40.44, abs=0.01)
    assert here.position.lon == pytest.approx(-80.0, abs=0.01)


def test_photos_are_linked_or_copied_as_asked(tmp_path: Path) -> None:
    root = pitts(tmp_path / "raw")
    source = root / "000" / "train0_yaw1.jpg"
    made = make_training_folders("pitts30k", root, tmp_path / "out", splits=["train"])
    linked = made[0].path / "000" / "train0_yaw1.jpg"
    assert made[0].ways == {"hard link": 4}
    assert linked.samefile(source)
    # A link that is there becomes a copy; a copy that is there stays.
    copied = make_training_folders("pitts30k", root, tmp_path / "out", splits=["train"], copy=True)
    assert copied[0].ways == {"copy": 4}
    assert not linked.samefile(source)
    assert linked.read_bytes() == source.read_bytes()
    again = make_training_folders("pitts30k", root, tmp_path / "out", splits=["train"])
    assert again[0].ways == {"there before": 4}


def test_where_hard_links_cannot_be_symbolic_ones_stand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    root = pitts(tmp_path / "raw")
    made = make_training_folders("pitts30k", root, tmp_path / "out", splits=["val"])
    assert made[0].ways == {"symbolic link": 4}
    monkeypatch.setattr(os, "symlink", refuse)
    made = make_training_folders("pitts30k", root, tmp_path / "other", splits=["val"])
    assert made[0].ways == {"copy": 4}


def test_a_missing_photo_is_counted_and_comes_with_the_next_run(tmp_path: Path) -> None:
    root = pitts(tmp_path / "raw", splits=("train",))
    photo = root / "000" / "train1_yaw2.jpg"
    content = photo.read_bytes()
    photo.unlink()
    first = make_training_folders("pitts30k", root, tmp_path / "out")[0]
    assert (first.photos, first.missing) == (3, 1)
    assert first.remarks[0].startswith("1 of 4 photos of ")
    assert str(photo) in first.remarks[0]
    photo.write_bytes(content)
    second = make_training_folders("pitts30k", root, tmp_path / "out")[0]
    assert (second.photos, second.missing, second.remarks) == (4, 0, ())
    assert second.ways == {"there before": 3, "hard link": 1}
    assert len(read_positions_csv(second.path / "positions.csv").rows) == 4


def test_a_stopped_run_leaves_no_folder_and_the_next_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = pitts(tmp_path / "raw", splits=("train",)), tmp_path / "out"
    real, calls = os.link, []

    def stop(*args: object, **options: object) -> None:
        calls.append(args)
        if len(calls) == 3:
            raise KeyboardInterrupt
        real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", stop)
    with pytest.raises(KeyboardInterrupt):
        make_training_folders("pitts30k", root, out)
    assert not (out / "train" / "database").exists()
    made = make_training_folders("pitts30k", root, out)
    assert made[0].ways == {"there before": 2, "hard link": 2}
    assert not list((out / "train").glob(".*"))


def test_lists_without_any_photo_or_with_names_that_lead_out_are_refused(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    listing = root / "pitts30k_train.mat"
    small_sets.save_dbstruct(listing, ["000/a.jpg"], [ORIGIN], ["000/b.jpg"], [ORIGIN])
    with pytest.raises(EvaluationError, match="none of the 1 photos listed for"):
        make_training_folders("pitts30k", root, tmp_path / "out")
    for name in ("../evil.jpg", "/etc/passwd", "000/../../evil.jpg"):
        small_sets.save_dbstruct(listing, [name], [ORIGIN], ["000/b.jpg"], [ORIGIN])
        with pytest.raises(EvaluationError, match="leads out of its folder"):
            make_training_folders("pitts30k", root, tmp_path / "out")
    small_sets.save_dbstruct(listing, ["a.jpg"], [[5.0, 5.0]], ["b.jpg"], [ORIGIN])
    with pytest.raises(EvaluationError, match=r"pitts30k_train\.mat, a\.jpg: UTM easting 5"):
        make_training_folders("pitts30k", root, tmp_path / "out")
    listing.write_bytes(b"no list")
    with pytest.raises(EvaluationError, match="not a MATLAB file"):
        make_training_folders("pitts30k", root, tmp_path / "out")
    with pytest.raises(EvaluationError, match="holds no list of pitts30k_val"):
        make_training_folders("pitts30k", root, tmp_path / "out", splits=["val"])


def test_folders_of_something_else_are_left_alone(tmp_path: Path) -> None:
    root, out = pitts(tmp_path / "raw", splits=("train",)), tmp_path / "out"
    own = small_sets.draw(out / "train" / "database" / "mine.jpg", 3)
    with pytest.raises(OutputError, match=r"is not empty and has no positions\.csv"):
        make_training_folders("pitts30k", root, out)
    (own.parent / "positions.csv").write_text("image,lat,lon\nmine.jpg,1,2\n")
    with pytest.raises(OutputError, match=r"holds other photos, mine\.jpg among them"):
        make_training_folders("pitts30k", root, out)
    assert sorted(p.name for p in own.parent.iterdir()) == ["mine.jpg", "positions.csv"]


def test_tokyo_keeps_the_times_of_its_stamps(tmp_path: Path) -> None:
    root = small_sets.tokyotm(tmp_path / "tokyo")
    small_sets.save_dbstruct(
        root / "tokyoTM_val.mat",
        ["a.jpg", "b.jpg"],
        np.add(TOKYO, [[0, 0], [0, 1]]),
        ["q.jpg"],
        np.add(TOKYO, [[0, 2]]),
        dbTimeStamp=np.array([[2009], [7.5]]),
        qTimeStamp=np.array([[201308]]),
    )
    database, queries = make_training_folders("tokyotm", root, tmp_path / "out")
    assert "1 of 2 time stamps" in database.remarks[0]
    assert queries.remarks == ()
    rows = read_positions_csv(queries.path / "positions.csv").rows
    assert str(rows["q.jpg"].time) == "2013-08-01 00:00:00"
    place = rows["q.jpg"].position
    assert place is not None
    assert (round(place.lat, 1), round(place.lon, 1)) == (35.7, 139.7)


@pytest.mark.parametrize(
    ("stamp", "time"),
    [(2013, "2013-01-01"), (201308.0, "2013-08-01"), (20130815, "2013-08-15"),
     (735461, "2013-08-15"), (735461.5, "2013-08-15 12"), (201313, None), (7, None),
     ("x", None), (float("nan"), None), (float("inf"), None)],
)  # fmt: skip
def test_a_time_stamp_is_a_year_a_month_a_day_or_nothing(stamp: object, time: str | None) -> None:
    found = time_of_stamp(stamp)
    assert found is None if time is None else str(found).startswith(time)


@given(st.floats() | st.integers() | st.text())
def test_any_time_stamp_is_read_or_left_out(stamp: object) -> None:
    found = time_of_stamp(stamp)
    assert found is None or 1990 <= found.year < 2100


def test_plain_folders_take_positions_from_names_tables_and_splits(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    name = "@0585200.00@4477200.00@17@T@@@@@90@@@@20130815@@.jpg"
    small_sets.draw(root / "images" / "train" / "database" / name, 1)
    small_sets.draw(root / "images" / "train" / "database" / "nowhere.jpg", 2)
    small_sets.folder(root / "images" / "val")
    made = make_training_folders("folder", root, tmp_path / "out")
    assert [folder.path.relative_to(tmp_path / "out").as_posix() for folder in made] == [
        "train/database", "val/database", "val/queries",
    ]  # fmt: skip
    rows = read_positions_csv(made[0].path / "positions.csv").rows
    assert (rows[name].heading, str(rows[name].time)) == (90, "2013-08-15 00:00:00")
    assert made[0].remarks[0].endswith("nowhere.jpg has no position")
    assert (made[1].photos, made[1].places) == (3, 3)


def test_one_plain_folder_is_one_split_with_a_table_from_elsewhere(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    small_sets.draw(root / "images" / "a.png", 1)
    small_sets.draw(root / "b.png", 2)
    table = tmp_path / "where.csv"
    table.write_text("image,lat,lon\nimages/a.png,52,0.1\nb.png,52.1,0.1\n")
    (made,) = make_training_folders("folder", root, tmp_path / "out", splits=["val"], table=table)
    assert (made.split, made.part, made.photos) == ("val", "database", 2)
    # The photos' own folder images/ is not taken for the one that holds all photos.
    for name in read_positions_csv(made.path / "positions.csv").rows:
        assert (made.path / "images" / name).is_file()
    with pytest.raises(EvaluationError, match="give one --split"):
        make_training_folders("folder", root, tmp_path / "x", splits=["val", "test"], table=table)
    with pytest.raises(OutputError, match="lies among the photos"):
        make_training_folders("folder", root, root / "out", table=table)
    with pytest.raises(EvaluationError, match="--split dev is not one of"):
        make_training_folders("folder", root, tmp_path / "x", splits=["dev"])


def test_a_folder_without_positions_and_a_set_without_training_photos_are_refused(
    tmp_path: Path,
) -> None:
    small_sets.draw(tmp_path / "raw" / "a.png", 1)
    with pytest.raises(EvaluationError, match=r"none of the 1 photos in .* a\.png has no position"):
        make_training_folders("folder", tmp_path / "raw", tmp_path / "out")
    with pytest.raises(EvaluationError, match="has no photos to train on; choose one of: pitts30k"):
        make_training_folders("holidays", tmp_path / "raw", tmp_path / "out")
    with pytest.raises(HaflocError, match="not a folder"):
        make_training_folders("folder", tmp_path / "none", tmp_path / "out")


def test_the_next_command_needs_no_changes_where_folders_are_the_recipes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = make_training_folders("pitts30k", pitts(Path("raw")), Path("pitts30k"))
    assert next_command(Path("pitts30k"), made).endswith("--out runs/haf_paper")
    made = make_training_folders("pitts30k", Path("raw"), Path("my photos"))
    assert "--set 'data.train=my photos/train/database' --set" in next_command(
        Path("my photos"), made
    )


def test_the_command_says_counts_missing_photos_and_what_next(tmp_path: Path) -> None:
    root = pitts(tmp_path / "raw", splits=("test",))
    (root / "000" / "test0_yaw1.jpg").unlink()
    words = ["datasets", "prepare", "pitts30k", str(root), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    assert "3 photos at 2 places (3 hard link)" in done.stdout
    assert f"next: hafloc evaluate --benchmark folder --root {tmp_path / 'out' / 'test'}" in (
        done.stdout
    )
    assert "1 of 4 photos of" in done.stderr
    facts = json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)
    assert [folder["missing"] for folder in facts["folders"]] == [1, 0]


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/data/ground_truth is absent")
def test_the_real_list_keeps_its_distances(tmp_path: Path) -> None:
    # Given the real list of Pitts30k-val, and drawn photos for a few dozen of its names
    root, listing = tmp_path / "raw", REAL / "derived" / "pitts30k_val.npz"
    places = read_place_list(listing)
    root.mkdir()
    (root / "pitts30k_val.npz").write_bytes(listing.read_bytes())
    some = list(range(0, 480, 24)), list(range(0, 480, 24))
    for rows, names, home in (
        (some[0], places.database, root),
        (some[1], places.queries, root / "queries_real"),
    ):
        for row in rows:
            path = home / names[row]
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (4, 4)).save(path)
    # When it becomes training folders
    database, queries = make_training_folders("pitts30k", root, tmp_path / "out")
    # Then the rest is counted, and distances are those of UTM, but for its scale of 1 in 2,500
    assert (database.photos, database.missing) == (20, 9_980)
    assert (queries.photos, queries.missing) == (20, 7_588)
    tables = [read_positions_csv(f.path / "positions.csv").rows for f in (database, queries)]
    for row, other in zip(*some, strict=True):
        one = tables[0][places.database[row]].position
        two = tables[1][places.queries[other]].position
        assert one is not None
        assert two is not None
        metres = float(np.hypot(*(places.database_utm[row] - places.query_utm[other])))
        assert distance(one, two) == pytest.approx(metres, rel=5e-4, abs=1e-4)
