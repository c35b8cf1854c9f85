"""After one build an index holds what the folder's photos say today."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from colours import Colours
from PIL import ExifTags
from PIL import Image as Pillow

from hafloc.errors import OptionError, PhotoError, PositionError
from hafloc.geo import Position
from hafloc.index import (
    BuildReport,
    Record,
    build_index,
    find_stale,
    open_index,
    paths_of,
)


def take(path: Path, colour: int, lat: float | None = None, heading: float | None = None) -> Path:
    """A photo of one colour, 16 degrees east; without a latitude, without a position."""
    exif = Pillow.Exif()
    gps = {}
    if lat is not None:
        gps = {1: "N", 2: (lat, 0.0, 0.0), 3: "E", 4: (16.0, 0.0, 0.0)}
    if heading is not None:
        gps[17] = heading
    exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    path.parent.mkdir(exist_ok=True, parents=True)
    Pillow.new("RGB", (40, 32), (colour, 90, 200 - colour)).save(path, exif=exif)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(3):
        take(tmp_path / "p" / f"{number}.jpg", 10 * number, 48 + number)
    return tmp_path / "p"


def build(folder: Path, **options: object) -> tuple[BuildReport, list[str]]:
    """One build into the index beside the folder; its report, and what it described."""
    colours = Colours()
    report = build_index(folder.parent / "p.gpkg", colours, folder, **options)  # type: ignore[arg-type]
    return report, colours.described


def records(folder: Path) -> dict[str, Record]:
    with open_index(folder.parent / "p.gpkg") as index:
        return {Path(record.path).name: record for record in index.iterate()}


def jpegs_opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of JPEG files, as they are opened from now on."""
    opened: list[str] = []
    real = os.open

    def counting(path: object, *rest: object, **options: object) -> int:
        if str(path).endswith(".jpg"):
            opened.append(Path(str(path)).name)
        return real(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", counting)
    return opened


def test_a_second_build_reads_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder)
    opened = jpegs_opened(monkeypatch)
    report, described = build(folder)

    assert (report.added, report.unchanged, described, opened) == (0, 3, [], [])


def test_each_new_file_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = jpegs_opened(monkeypatch)
    build(folder)
    assert sorted(opened) == ["0.jpg", "1.jpg", "2.jpg"]


def test_a_renamed_photo_keeps_its_id(folder: Path) -> None:
    build(folder)
    before = records(folder)["0.jpg"].id
    (folder / "0.jpg").rename(folder / "zero.jpg")

    report, described = build(folder)

    assert (report.moved, report.gone, described) == (1, (), [])
    assert records(folder)["zero.jpg"].id == before
    assert len(records(folder)) == 3


def test_a_replaced_photo_takes_its_place_with_its_own_position(folder: Path) -> None:
    build(folder)
    take(folder / "0.jpg", 200, 60)

    report, described = build(folder)

    assert (report.replaced, described) == (1, ["0.jpg"])
    assert records(folder)["0.jpg"].position == Position(60, 16)


@pytest.mark.parametrize("kind", ["no position", "no photo"])
def test_a_photo_replaced_by_what_cannot_be_indexed_leaves_the_index(
    folder: Path, kind: str
) -> None:
    build(folder)
    if kind == "no position":
        take(folder / "0.jpg", 200)
    else:
        (folder / "0.jpg").write_text("not a photo")

    report, _ = build(folder)

    assert (report.removed, report.replaced, len(report.skipped)) == (1, 0, 1)
    assert sorted(records(folder)) == ["1.jpg", "2.jpg"]


def test_a_corrected_exif_is_taken_over(folder: Path) -> None:
    build(folder)
    take(folder / "0.jpg", 0, 48.5, heading=90.0)  # the same picture, another file

    build(folder)

    record = records(folder)["0.jpg"]
    assert (record.position, record.heading) == (Position(48.5, 16), 90.0)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("0.jpg,49,17,90,2024-01-01T00:00:00", (49.0, 90.0, "csv", 2024)),
        ("0.jpg,48,16,270,2025-01-01T00:00:00", (48.0, 270.0, "csv", 2025)),
        ("0.jpg,48,16,,", (48.0, None, "csv", None)),
        ("other.jpg,48,16,,", (48.0, None, "exif", None)),
    ],
)
def test_a_changed_or_deleted_row_is_taken_over_without_describing(
    folder: Path, row: str, expected: tuple[object, ...]
) -> None:
    table = folder / "positions.csv"
    table.write_text("image,lat,lon,heading,time\n0.jpg,48,16,90,2024-01-01T00:00:00\n")
    build(folder)
    table.write_text(f"image,lat,lon,heading,time\n{row}\n")

    _, described = build(folder)

    record = records(folder)["0.jpg"]
    year = record.time and record.time.year
    assert (record.position.lat, record.heading, record.source, year) == expected
    assert described == []


def test_a_photo_that_only_a_deleted_row_placed_leaves_the_index_and_is_listed(
    folder: Path,
) -> None:
    take(folder / "bare.jpg", 99)
    table = folder / "positions.csv"
    table.write_text("image,lat,lon\nbare.jpg,50,16\n1.jpg,49,16\n")
    build(folder)
    table.write_text("image,lat,lon\n1.jpg,49,16\n")

    report, _ = build(folder)

    assert "bare.jpg" not in records(folder)
    assert report.removed == 1
    assert "it has no GPS position" in report.skipped[0].reason


def test_what_a_table_said_stays_while_no_table_is_at_hand(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "elsewhere.csv"
    table.write_text("image,lat,lon\n0.jpg,50,17\n")
    build(folder, csv=table)

    report, described = build(folder)

    assert (report.tabled, report.corrected, described) == (1, 0, [])
    assert records(folder)["0.jpg"].position == Position(50, 17)


def test_photos_that_are_gone_are_counted_and_pruned_on_demand(folder: Path) -> None:
    build(folder)
    (folder / "0.jpg").unlink()

    report, _ = build(folder)
    assert (len(report.gone), report.pruned, len(records(folder))) == (1, 0, 3)
    assert report.gone[0].endswith("0.jpg")

    report, _ = build(folder, prune=True)
    assert (report.gone, report.pruned, len(records(folder))) == ((), 1, 2)


def test_pruning_spares_photos_of_other_folders(folder: Path, tmp_path: Path) -> None:
    take(tmp_path / "q" / "far.jpg", 77, 10)
    build(folder)
    build(tmp_path / "q")
    (tmp_path / "q" / "far.jpg").unlink()

    report, _ = build(folder, prune=True)

    assert (report.pruned, len(records(folder))) == (0, 4)


def test_a_folder_that_became_empty_prunes_nothing(folder: Path) -> None:
    """An unmounted drive is an empty folder."""
    build(folder)
    for path in folder.iterdir():
        path.unlink()

    with pytest.raises(PhotoError, match="holds no photos"):
        build(folder, prune=True)
    assert len(records(folder)) == 3


def test_pruning_never_takes_out_every_photo_of_an_index(folder: Path) -> None:
    """An index that was shared without its photos, and beside which somebody's own now lie."""
    build(folder)
    for path in folder.iterdir():
        path.unlink()
    take(folder / "own.jpg", 120, 51)

    with pytest.raises(OptionError, match="not one file of the 3 photos of this index is there"):
        build(folder, prune=True)
    assert len(records(folder)) == 3


def test_verify_advises_nobody_to_empty_an_index(folder: Path) -> None:
    build(folder)
    location = folder.parent / "p.gpkg"
    (folder / "0.jpg").unlink()
    with open_index(location) as index:
        (part,) = find_stale(index, paths_of(location)).in_words()
        (shared,) = find_stale(index, paths_of(location)).in_words(3)
    (folder / "1.jpg").unlink()
    (folder / "2.jpg").unlink()
    with open_index(location) as index:
        (none,) = find_stale(index, paths_of(location)).in_words()

    assert part.endswith("`hafloc index build --prune` takes them out")
    assert shared == (
        "1 of the photos' files are not here; 3 small pictures in the index stand for them"
    )
    assert none == (
        "none of the photos' files is here, which a shared index does without; "
        "or is their disk not connected?"
    )


def test_an_interrupted_build_keeps_what_was_described(folder: Path) -> None:
    class Stopped(Colours):
        def describe_files(self, *arguments, **options):  # type: ignore[no-untyped-def]
            for number, outcome in enumerate(super().describe_files(*arguments, **options)):
                if number == 2:
                    raise KeyboardInterrupt
                yield outcome

    with pytest.raises(KeyboardInterrupt):
        build_index(folder.parent / "p.gpkg", Stopped(), folder)  # type: ignore[arg-type]

    assert sorted(records(folder)) == ["0.jpg", "1.jpg"]
    report, described = build(folder)
    assert (report.added, report.unchanged, described) == (1, 2, ["2.jpg"])


def test_an_index_from_before_sizes_were_kept_learns_them_once(folder: Path) -> None:
    build(folder)
    with open_index(folder.parent / "p.gpkg", write=True) as index:
        old = [replace(r, bytes=None, modified=None, stated=None) for r in index.iterate()]
        index.update(old)

    report, described = build(folder)
    assert (report.unchanged, report.corrected, described) == (3, 0, [])
    assert all(record.bytes and record.stated for record in records(folder).values())


def test_where_no_photo_can_be_placed_no_index_is_left(tmp_path: Path) -> None:
    take(tmp_path / "p" / "a.jpg", 5)

    with pytest.raises(PositionError, match=r"no photo in .* could be indexed"):
        build(tmp_path / "p")
    assert not (tmp_path / "p.gpkg").exists()


def test_verify_knows_records_whose_file_holds_something_else(folder: Path) -> None:
    build(folder)
    take(folder / "0.jpg", 250, 48)
    (folder / "1.jpg").unlink()
    os.utime(folder / "2.jpg", (1, 1))

    location = folder.parent / "p.gpkg"
    with open_index(location) as index:
        stale = find_stale(index, paths_of(location))

    assert [Path(path).name for path in stale.changed] == ["0.jpg"]
    assert [Path(path).name for path in stale.missing] == ["1.jpg"]
    assert len(list(stale.in_words())) == 2


def test_records_of_a_folder_that_cannot_be_looked_into_are_not_gone(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(folder / "shut" / "in.jpg", 66, 20)
    build(folder)
    real_scan, real_look = os.scandir, os.lstat

    def scandir(path: object) -> object:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_scan(path)  # type: ignore[call-overload]

    def look(path: object, *rest: object, **options: object) -> object:
        if "shut" in str(path) and str(path).endswith(".jpg"):
            raise PermissionError(13, "Permission denied", str(path))
        return real_look(path, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "lstat", look)
    report, _ = build(folder, prune=True)

    assert (report.pruned, report.gone) == (0, ())
    assert "in.jpg" in records(folder)
