"""A film is one file and many frames in the index; an unchanged one is not decoded again."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colours import Coloured, Colours
from films import gpx, greys, write_film
from test_index_folder import take

from hafloc.errors import HaflocError, OptionError, PositionError
from hafloc.geo import LocalFrame, Position, distance
from hafloc.index import (
    BuildReport,
    build_index,
    copy_index,
    find_stale,
    ids_below,
    merge_indexes,
    open_index,
    paths_of,
)
from hafloc.photos import Every, Tracking, find_photos

FRAME = LocalFrame(Position(48.2, 16.37))
TEN = Every(metres=10)


class Filming(Colours):
    """Describes frames as well, and may be stopped after some."""

    longer_side = 64

    def __init__(self, most: int = 10_000) -> None:
        super().__init__()
        self.frames: list[float] = []
        self.most = most

    def describe_photos(self, photos, *, local=False, regions=False, workers=1) -> Iterator[object]:  # type: ignore[no-untyped-def]
        for photo in photos:
            if len(self.frames) >= self.most:
                raise KeyboardInterrupt
            self.frames.append(photo.part.time)
            vector = photo.image.mean(axis=(0, 1)).astype(np.float32) + 1
            yield Coloured(photo, vector / np.linalg.norm(vector))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A drive of 10 m/s to the east over 4 s, its track, and a photo beside it."""
    (tmp_path / "p").mkdir()
    write_film(tmp_path / "p" / "drive.mp4", greys(41))
    take(tmp_path / "p" / "flat.jpg", 10, 49)
    drive(tmp_path, 0)
    return tmp_path / "p"


def drive(beside: Path, north: float) -> Path:
    ends = [("2024-01-12T18:30:00Z", 0.0), ("2024-01-12T18:30:20Z", 200.0)]
    places = [(time, FRAME.to_position(metres, north)) for time, metres in ends]
    return gpx(beside / "drive.gpx", [(time, p.lat, p.lon) for time, p in places])


def build(
    source: Path, every: Every | None = TEN, *, track: bool = True, most: int = 10_000
) -> tuple[BuildReport, list[float]]:
    describer = Filming(most)
    base = source if source.is_dir() else source.parent
    tracking = Tracking((base.parent / "drive.gpx",)) if track else None
    report = build_index(
        base.parent / "p.gpkg",
        describer,
        source,
        tracking=tracking,
        every=every,  # type: ignore[arg-type]
    )
    return report, describer.frames


def held(folder: Path) -> dict[str, object]:
    with open_index(folder.parent / "p.gpkg") as index:
        return {record.path: record for record in index.iterate()}


def frames(folder: Path) -> list[str]:
    return sorted(name.rpartition("/")[2] for name in held(folder) if "#t=" in name)


def test_frames_of_a_film_beside_photos_have_the_places_of_their_times(folder: Path) -> None:
    report, described = build(folder)

    assert (report.added, report.films, report.frames) == (6, 1, 5)
    assert len(described) == 5
    for name, record in held(folder).items():
        if "#t=" not in name:
            continue
        seconds = float(name.partition("#t=")[2])
        assert distance(record.position, FRAME.to_position(10 * seconds, 0)) < 0.01
        assert record.source == "track"


def test_films_of_a_folder_are_taken_only_where_that_is_asked(folder: Path) -> None:
    report, described = build(folder, None)
    assert (report.added, described, report.left_out) == (1, [], "left out: 1 video")


def test_a_film_may_be_named_alone(folder: Path) -> None:
    report, _ = build(folder / "drive.mp4", None)
    # 40 m, every 5 m.
    assert (report.added, report.frames) == (9, 9)
    assert report.gone == ()


def test_an_unchanged_film_is_not_opened_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(folder)
    monkeypatch.setattr("hafloc.index.films.plan_film", None)

    report, described = build(folder)

    assert (report.unchanged, report.added, described) == (6, 0, [])


def test_a_stopped_build_goes_on_where_it_was(folder: Path) -> None:
    _, all_frames = build(folder)
    names = frames(folder)
    (folder.parent / "p.gpkg").unlink()

    with pytest.raises(KeyboardInterrupt):
        build(folder, most=2)
    assert len(frames(folder)) == 2
    _, described = build(folder)

    assert described == all_frames[2:]
    assert frames(folder) == names
    assert build(folder)[0].unchanged == 6


def test_a_stopped_build_whose_rest_does_not_decode_ends_all_the_same(folder: Path) -> None:
    # A film that says it has 4 seconds, of which three decode.
    film = write_film(folder / "20240112_183000.m2ts", greys(41))
    (folder / "drive.mp4").unlink()
    build(folder, Every(seconds=1))
    data = film.read_bytes()
    with open_index(folder.parent / "p.gpkg", write=True) as index:
        last = next(r for r in index.iterate() if r.path.startswith("p/20240112_183000.m2ts#t=3"))
        index.update([replace(r, stated="") for r in index.iterate() if "#t=" in r.path])
        index.remove([last.id or 0])
    times = film.stat().st_mtime_ns
    film.write_bytes(data[: len(data) // 2] + bytes(len(data) - len(data) // 2))
    os.utime(film, ns=(times, times))

    report, _ = build(folder, Every(seconds=1))

    assert (report.skipped, report.added) == ((), 0)
    assert build(folder, Every(seconds=1))[0].unchanged >= 4


def test_a_corrected_track_moves_the_frames_that_stay_without_decoding_them(folder: Path) -> None:
    build(folder, Every(seconds=1))
    before = held(folder)
    drive(folder.parent, 7.0)

    report, described = build(folder, Every(seconds=1))

    after = held(folder)
    assert (described, report.corrected, report.added) == ([], 5, 0)
    for name in before:
        if "#t=" in name:
            assert after[name].id == before[name].id
            assert distance(after[name].position, before[name].position) == pytest.approx(7, 0.01)


def test_another_spacing_adds_and_takes_out_frames(folder: Path) -> None:
    build(folder, Every(seconds=1))
    first = set(frames(folder))
    report, described = build(folder, Every(seconds=0.5))
    assert first < set(frames(folder))
    assert len(described) == len(frames(folder)) - len(first) > 0

    report, described = build(folder, Every(seconds=2))
    assert (described, len(frames(folder))) == ([], 3)
    assert report.removed > 0


def test_a_moved_film_keeps_its_frames(folder: Path) -> None:
    build(folder)
    before = held(folder)
    (folder / "new").mkdir()
    (folder / "drive.mp4").rename(folder / "new" / "b.mp4")

    report, described = build(folder)

    after = held(folder)
    assert (described, report.added, report.moved, report.gone) == ([], 0, 5, ())
    assert {record.id for record in after.values()} == {record.id for record in before.values()}
    assert all("drive.mp4" not in name for name in after)


def test_a_film_that_holds_something_else_is_described_anew(folder: Path) -> None:
    build(folder)
    write_film(folder / "drive.mp4", greys(21))

    _, described = build(folder)

    assert len(described) == 3
    assert len(frames(folder)) == 3
    assert len({record.content for name, record in held(folder).items() if "#t=" in name}) == 1


def test_a_film_keeps_what_a_track_said_that_is_not_at_hand(folder: Path) -> None:
    build(folder)
    before = held(folder)

    report, described = build(folder, track=False)

    assert (described, report.tabled, report.skipped) == ([], 5, ())
    assert held(folder) == before


def test_a_film_that_fails_stops_nothing_else(folder: Path) -> None:
    (folder / "none.mp4").write_bytes(b"no film at all " * 50)

    report, _ = build(folder)

    assert report.added == 6
    assert [Path(skipped.path).name for skipped in report.skipped] == ["none.mp4"]


def test_a_wrong_track_takes_nothing_out(folder: Path) -> None:
    build(folder)
    before = frames(folder)
    gpx(folder.parent / "drive.gpx", [("2024-01-15T18:30:00Z", 48, 16),
                                      ("2024-01-15T18:40:00Z", 48.1, 16)])  # fmt: skip

    report, described = build(folder)

    assert (described, frames(folder)) == ([], before)
    assert "3 days before the track begins" in report.skipped[0].reason


def test_an_index_without_a_frame_is_not_made(folder: Path) -> None:
    with pytest.raises(PositionError, match=r"drive\.mp4: it tells no way of its own"):
        build(folder / "drive.mp4", track=False)
    assert not (folder.parent / "p.gpkg").exists()


def test_films_are_not_for_a_cluster(folder: Path) -> None:
    with pytest.raises(OptionError, match="--ray does not decode films"):
        build_index(folder.parent / "p.gpkg", Filming(), folder, ray="local", every=TEN)


def test_frames_are_verified_removed_copied_and_joined_as_photos_are(
    folder: Path, tmp_path: Path
) -> None:
    build(folder)
    where = tmp_path / "p.gpkg"
    with open_index(where) as index:
        stale = find_stale(index, paths_of(where))
        assert (stale.changed, stale.missing, stale.unreadable) == ((), (), ())
        assert len(ids_below(index, paths_of(where), [folder / "drive.mp4"])) == 5
        name = folder / "drive.mp4#t=0"
        assert len(ids_below(index, paths_of(where), [name])) == 1
    copy_index(where, tmp_path / "copy.gpkg")
    merge_indexes(tmp_path / "both.gpkg", [where, tmp_path / "copy.gpkg"])
    with open_index(tmp_path / "both.gpkg") as index:
        assert index.count() == 6
    (folder / "drive.mp4").unlink()
    with open_index(where) as index:
        assert find_stale(index, paths_of(where)).missing == ("p/drive.mp4",)
    report, _ = build(folder)
    assert report.gone == ("p/drive.mp4",)


def test_a_folder_without_films_needs_no_reader(folder: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("hafloc.photos.formats.has_reader", lambda kind: False)
    assert len(find_photos(folder).photos) == 1
    with pytest.raises(HaflocError, match=r"pip install hafloc\[video\]"):
        find_photos(folder, films=True)


def test_frames_are_not_mistaken_for_one_another(folder: Path) -> None:
    """All frames of a film have its content, which elsewhere tells twins."""
    from hafloc.locate.candidates import _is_twin
    from hafloc.photos import Frame, Metadata, Photo

    build(folder)
    records = [record for name, record in held(folder).items() if "#t=" in name]
    photo = Photo(np.zeros((4, 4, 3), np.uint8), records[0].content, Metadata())
    for record in records:
        own = float(record.path.partition("#t=")[2])
        twins = [_is_twin(other, replace(photo, part=Frame(own))) for other in records]
        assert sum(twins) == 1
        assert not _is_twin(record, photo)
