"""A panorama is one file and several views in the index, which share its fate."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colours import Coloured, Colours
from spheres import sphere_image, write, xmp
from test_index_folder import build, jpegs_opened, records, take

from hafloc.errors import OptionError
from hafloc.index import (
    build_index,
    copy_index,
    export,
    find_stale,
    ids_below,
    open_index,
    paths_of,
)
from hafloc.photos import Cutting, View, read, read_part

EIGHT = [f"a.jpg#view={45 * k}" for k in range(8)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "p" / "a.jpg", sphere_image(512), xmp(PoseHeadingDegrees=30), lat=48)
    take(tmp_path / "p" / "flat.jpg", 10, 49)
    return tmp_path / "p"


def test_views_have_the_place_of_their_panorama_and_look_their_own_way(folder: Path) -> None:
    report, described = build(folder)

    held = records(folder)
    assert (report.added, report.panoramas, report.views) == (2, 1, 8)
    assert described == ["a.jpg", "flat.jpg"]
    assert sorted(held) == sorted([*EIGHT, "flat.jpg"])
    # 30 degrees is the centre column's heading.
    assert held["a.jpg#view=0"].heading == 30
    assert held["a.jpg#view=315"].heading == 345
    assert held["a.jpg#view=90"].position == held["a.jpg#view=0"].position
    assert len({record.content for record in held.values()}) == 2


def test_workers_of_a_cluster_leave_a_photo_that_is_held_flat_as_it_is(folder: Path) -> None:
    class Flat(Colours):
        """As workers of a cluster, which are never asked to cut."""

        def describe_files(self, paths, check, *, ray=None, **options):  # type: ignore[no-untyped-def]
            assert "cutting" not in options
            for path in paths:
                photo = read(path, longer_side=64)
                check(path, photo)
                yield path, Coloured(photo, np.ones(3, np.float32) / np.sqrt(3))

    where = folder.parent / "p.gpkg"
    build_index(where, Flat(), folder, ray="local")
    assert set(records(folder)) == {"a.jpg", "flat.jpg"}
    # A row moves it: it stays one photo, and nothing of it is lost.
    (folder / "positions.csv").write_text("image,lat,lon\na.jpg,47,16\n")
    report = build_index(where, Flat(), folder, ray="local")
    assert (report.added, report.removed, report.skipped) == (0, 0, ())
    assert records(folder)["a.jpg"].position.lat == 47
    with pytest.raises(OptionError, match="--ray does not cut panoramas"):
        build_index(where, Flat(), folder, ray="local", cutting=Cutting(assume=True))


def test_an_unchanged_panorama_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(folder)
    opened = jpegs_opened(monkeypatch)
    report, described = build(folder)

    assert (report.unchanged, report.added, described, opened) == (2, 0, [], [])


def test_a_changed_panorama_changes_in_all_its_views(folder: Path) -> None:
    build(folder)
    before = records(folder)
    write(folder / "a.jpg", sphere_image(600), xmp(PoseHeadingDegrees=40), lat=48)

    report, described = build(folder)

    after = records(folder)
    assert (report.added, report.replaced, described) == (1, 1, ["a.jpg"])
    assert sorted(after) == sorted(before)
    assert {after[name].id for name in EIGHT} == {before[name].id for name in EIGHT}
    assert after["a.jpg#view=0"].heading == 40
    assert len({after[name].content for name in EIGHT}) == 1


def test_a_panorama_that_becomes_a_flat_photo_leaves_no_view_and_back(folder: Path) -> None:
    build(folder)
    take(folder / "a.jpg", 70, 48)

    report, _ = build(folder)
    assert (sorted(records(folder)), report.replaced) == (["a.jpg", "flat.jpg"], 1)

    write(folder / "a.jpg", sphere_image(512), xmp(), lat=48)
    report, _ = build(folder)
    assert sorted(records(folder)) == sorted([*EIGHT, "flat.jpg"])


def test_a_panorama_that_nothing_can_be_made_of_any_more_is_removed_whole(folder: Path) -> None:
    build(folder)
    (folder / "a.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")

    report, _ = build(folder)

    assert (report.removed, len(report.skipped), sorted(records(folder))) == (1, 1, ["flat.jpg"])


def test_a_moved_panorama_moves_with_all_its_views_undescribed(folder: Path) -> None:
    build(folder)
    before = records(folder)
    (folder / "new").mkdir()
    (folder / "a.jpg").rename(folder / "new" / "b.jpg")

    report, described = build(folder)

    after = records(folder)
    assert (report.moved, report.unchanged, described) == (1, 1, [])
    assert sorted(after) == sorted([f"b.jpg#view={45 * k}" for k in range(8)] + ["flat.jpg"])
    assert after["b.jpg#view=90"].heading == before["a.jpg#view=90"].heading
    assert build(folder)[0].unchanged == 2


def test_a_panorama_that_is_gone_is_named_once_and_pruned_whole(folder: Path) -> None:
    build(folder)
    (folder / "a.jpg").unlink()

    report, _ = build(folder)
    assert [Path(name).name for name in report.gone] == ["a.jpg"]

    report, _ = build(folder, prune=True)
    assert (report.pruned, sorted(records(folder))) == (1, ["flat.jpg"])


def test_a_corrected_row_turns_and_moves_all_views(folder: Path) -> None:
    build(folder)
    (folder / "positions.csv").write_text("image,lat,lon,heading\na.jpg,47.5,16,100\n")

    report, described = build(folder)

    held = records(folder)
    assert (report.corrected, described) == (1, [])
    assert {held[name].position.lat for name in EIGHT} == {47.5}
    assert [held[name].heading for name in EIGHT] == [100, 145, 190, 235, 280, 325, 10, 55]


def test_a_build_that_was_stopped_has_whole_panoramas_alone(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / "p" / f"{name}.jpg", sphere_image(512), xmp(), lat=48)

    class Stopped(Colours):
        def describe_files(self, *arguments, **options):  # type: ignore[no-untyped-def]
            for number, outcome in enumerate(super().describe_files(*arguments, **options)):
                if number == 11:
                    raise KeyboardInterrupt
                yield outcome

    with pytest.raises(KeyboardInterrupt):
        build_index(tmp_path / "p.gpkg", Stopped(), tmp_path / "p")  # type: ignore[arg-type]

    assert sorted(records(tmp_path / "p")) == sorted(EIGHT)
    report, described = build(tmp_path / "p")
    assert (report.added, report.unchanged, described) == (1, 1, ["b.jpg"])


def test_a_photo_of_that_shape_is_cut_once_it_is_said_to_be_one(tmp_path: Path) -> None:
    write(tmp_path / "p" / "a.jpg", sphere_image(1024), lat=48)
    report, _ = build(tmp_path / "p")
    assert [Path(name).name for name in report.wide] == ["a.jpg"]

    report, _ = build(tmp_path / "p", cutting=Cutting(assume=True))
    assert (report.added, report.views, sorted(records(tmp_path / "p"))) == (1, 8, sorted(EIGHT))

    # What was cut stays so, whether the option is there or not.
    for cutting in (Cutting(), Cutting(assume=True), Cutting(4)):
        report, described = build(tmp_path / "p", cutting=cutting)
        assert (report.unchanged, described) == (1, [])


def test_an_index_from_before_panoramas_were_cut_has_them_cut_once(folder: Path) -> None:
    build(folder)
    with open_index(folder.parent / "p.gpkg", write=True) as index:
        views = [record for record in index.iterate() if "#view=" in record.path]
        (first,) = index.find_paths(["p/a.jpg#view=0"])
        index.remove([record.id or 0 for record in views if record.id != first.id])
        index.update([replace(first, path="p/a.jpg", stated="earlier")])

    report, described = build(folder)

    assert (described, report.added, report.views) == (["a.jpg"], 1, 8)
    assert sorted(records(folder)) == sorted([*EIGHT, "flat.jpg"])


def test_a_damaged_panorama_is_said_once_and_taken_flat(tmp_path: Path) -> None:
    packet = xmp(FullPanoWidthPixels="??")
    write(tmp_path / "p" / "a.jpg", np.zeros((64, 128, 3), np.uint8), packet, lat=48)

    report, _ = build(tmp_path / "p")

    assert list(records(tmp_path / "p")) == ["a.jpg"]
    (line,) = report.flat
    assert "a.jpg calls itself a panorama, but its FullPanoWidthPixels is '??'" in line


def test_what_is_exported_places_the_panorama_again(folder: Path, tmp_path: Path) -> None:
    build(folder)
    with open_index(folder.parent / "p.gpkg") as index:
        export(index, tmp_path / "p" / "positions.csv")
    text = (folder / "positions.csv").read_text().replace("p/", "")
    (folder / "positions.csv").write_text(text)
    write(folder / "a.jpg", sphere_image(512), xmp())

    build(folder)

    held = records(folder)
    assert len(held) == 9
    assert [held[name].heading for name in EIGHT] == [30, 75, 120, 165, 210, 255, 300, 345]
    assert {held[name].position.lat for name in EIGHT} == {48}


def test_a_changed_panorama_is_named_once(folder: Path) -> None:
    build(folder)
    write(folder / "a.jpg", sphere_image(600), xmp(), lat=48)

    with open_index(folder.parent / "p.gpkg") as index:
        stale = find_stale(index, paths_of(index.location))

    assert (stale.changed, stale.missing) == (("p/a.jpg",), ())


def test_removing_takes_the_file_with_all_views_or_the_view_that_is_named(folder: Path) -> None:
    build(folder)
    with open_index(folder.parent / "p.gpkg", write=True) as index:
        paths = paths_of(index.location)
        one = ids_below(index, paths, [folder / "a.jpg#view=45"])
        whole = ids_below(index, paths, [folder / "a.jpg"])
        everything = ids_below(index, paths, [folder])

    assert (len(one), len(whole), len(everything)) == (1, 8, 9)


def test_a_copy_elsewhere_names_the_same_views(folder: Path, tmp_path: Path) -> None:
    build(folder)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    copy_index(folder.parent / "p.gpkg", tmp_path / "deep" / "er" / "q.gpkg")

    with open_index(tmp_path / "deep" / "er" / "q.gpkg") as index:
        names = {record.path for record in index.iterate()}
        stale = find_stale(index, paths_of(index.location))
        file = paths_of(index.location).file_of("../../p/a.jpg#view=45")
    assert names == {f"../../p/{name}" for name in (*EIGHT, "flat.jpg")}
    assert list(stale.in_words()) == []
    assert read_part(file, View(45), longer_side=60).image.shape == (45, 60, 3)


def test_a_table_that_states_a_field_of_view_of_360_tells_of_panoramas(tmp_path: Path) -> None:
    # As `hafloc fetch` writes it; services take the metadata out of the files they hand on.
    for name, size in (("a.jpg", (512, 256)), ("flat.jpg", (512, 256)), ("odd.jpg", (500, 256))):
        write(tmp_path / "p" / name, sphere_image(*size))
    table = tmp_path / "p" / "positions.csv"
    rows = "a.jpg,48,16,20,{}\nflat.jpg,48.1,16,20,70\nodd.jpg,48.2,16,20,360\n"
    table.write_text("image,lat,lon,heading,field_of_view\n" + rows.format(""))
    assert build(tmp_path / "p")[0].panoramas == 0

    table.write_text("image,lat,lon,heading,field_of_view\n" + rows.format(360))
    report, described = build(tmp_path / "p")

    held = records(tmp_path / "p")
    assert (report.panoramas, described) == (1, ["a.jpg"])
    assert sorted(held) == sorted([*EIGHT, "flat.jpg", "odd.jpg"])
    assert held["a.jpg#view=90"].heading == 110
    # Nothing is cut or read again.
    again, described = build(tmp_path / "p")
    assert (again.added, again.unchanged, described) == (0, 3, [])
