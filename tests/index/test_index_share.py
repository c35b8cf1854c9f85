"""Parts of an index cut out for others, and indexes joined into one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_index import MODEL, sample

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError, OptionError
from hafloc.geo import Position, distance
from hafloc.index import (
    LocalSize,
    Near,
    Part,
    Record,
    check_bundle,
    create_index,
    cut_part,
    merge_indexes,
    open_index,
)
from hafloc.index.part import inner_name, is_inner

REGIONS = 2


def regions_of(n: int) -> np.ndarray:
    rows = np.random.default_rng(9).standard_normal((n, REGIONS, 32)).astype(np.float32)
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True))


def local() -> LocalFeatures:
    xy = np.array([[1.5, 2.5], [100, 200]], np.float32)
    return LocalFeatures(xy, np.ones((2, 8), np.int8), (480, 360))


def a_city(path: Path, n: int = 30, start: int = 0, **facts: object) -> Path:
    records, vectors = sample(n, start)
    records = [
        replace(record, licence="CC-BY-4.0", producer=f"Ada {i % 2}", **facts)  # type: ignore[arg-type]
        for i, record in enumerate(records)
    ]
    path.parent.mkdir(exist_ok=True)
    with create_index(path, MODEL, regions=REGIONS) as index:
        index.add(records, vectors, [local()] * n, regions_of(n))
        index.store_calibration("learned")
    return path


def held(path: Path) -> dict[str, Record]:
    with open_index(path) as index:
        return {record.content: record for record in index.iterate()}


def test_a_part_holds_the_photos_of_a_box_with_all_that_hangs_on_them(tmp_path: Path) -> None:
    city, part = a_city(tmp_path / "city.gpkg"), tmp_path / "part.gpkg"
    count = cut_part(city, part, Part(box=(0.0, 52.0, 0.5, 53.0)))

    inside = {key: one for key, one in held(city).items() if one.position.lon <= 0.5}
    assert count == len(inside) > 5
    assert {key: replace(one, id=None) for key, one in held(part).items()} == {
        key: replace(one, id=None) for key, one in inside.items()
    }
    with open_index(city) as whole, open_index(part) as cut:
        for record in cut.iterate():
            there = [inside[record.content].id or 0]
            here = [record.id or 0]
            assert np.array_equal(cut.vectors(here), whole.vectors(there))
            assert np.array_equal(cut.region_vectors(here), whole.region_vectors(there))
            assert cut.local_features(here)[0] is not None
        assert cut.model == whole.model
        # What was learned of the whole city does not speak for a part of it.
        assert cut.calibration() is None
        assert cut.verify() == []
    check_bundle(part, "it")


def test_a_whole_city_takes_its_calibration_along_and_may_leave_key_points(tmp_path: Path) -> None:
    city, part = a_city(tmp_path / "city.gpkg"), tmp_path / "part.gpkg"
    assert cut_part(city, part, Part(local=False)) == 30
    with open_index(part) as cut:
        assert cut.calibration() == "learned"
        assert cut.info().verifiable == 0
    assert part.stat().st_size <= city.stat().st_size


def test_a_part_near_a_place_and_without_somebody_s_photos(tmp_path: Path) -> None:
    records, vectors = sample(20)
    own = [replace(one, path=f"mine/{i}.jpg") if i % 2 else one for i, one in enumerate(records)]
    city = tmp_path / "city.gpkg"
    with create_index(city, MODEL) as index:
        index.add(own, vectors)
    centre, part = Position(52.5, 0.5), tmp_path / "part.gpkg"
    cut_part(city, part, Part(near=Near(centre, 40_000), without=(tmp_path / "mine",)))
    wanted = {
        one.content
        for one in own
        if distance(one.position, centre) <= 40_000 and not one.path.startswith("mine/")
    }
    assert set(held(part)) == wanted
    assert len(wanted) > 2


def test_a_part_tells_nothing_of_the_disk_it_comes_from(tmp_path: Path) -> None:
    records, vectors = sample(4)
    names = [
        "/home/ada/secret/trip/1.jpg",
        "../../ada/2.jpg",
        "photos/3.jpg",
        "../other/trip/1.jpg",
    ]
    city, part = tmp_path / "city.gpkg", tmp_path / "part.gpkg"
    with create_index(city, MODEL) as index:
        index.add([replace(r, path=n) for r, n in zip(records, names, strict=True)], vectors)
    cut_part(city, part, Part())
    mark = records[3].content
    assert [one.path for one in held(part).values()] == [
        *("trip/1.jpg", "ada/2.jpg", "photos/3.jpg", f"trip/{mark}-1.jpg")
    ]
    assert b"/home/ada" not in part.read_bytes()
    check_bundle(part, "it")


@pytest.mark.parametrize(
    "name",
    [
        *(
            "/a/b/c.jpg",
            "../x.jpg",
            "a/../../x.jpg",
            "C:/a/x.jpg",
            "C:x.jpg",
            "\\\\\\\\host\\\\x.jpg",
        ),
        *("https://h.example/x.jpg", "s3://b/x.jpg"),
        *("a\\\\..\\\\..\\\\x.jpg", "a\nb.jpg", "a/\u202ex.jpg", "", "..", "/", "\x00"),
    ],
)
def test_a_name_that_leads_elsewhere_gets_one_that_does_not(name: str) -> None:
    assert not is_inner(name)
    assert is_inner(inner_name(name))
    for plain in ("a.jpg", "a/b c.jpg", "äö/…\\\\x.jpg", "a/\\xe9.jpg"):
        assert inner_name(plain) == plain


def test_a_part_that_would_be_empty_or_is_there_already_is_refused(tmp_path: Path) -> None:
    city, part = a_city(tmp_path / "city.gpkg"), tmp_path / "part.gpkg"
    with pytest.raises(OptionError, match=r"no photo of .* is left for it"):
        cut_part(city, part, Part(box=(100, 10, 101, 11)))
    assert [path.name for path in tmp_path.iterdir()] == ["city.gpkg"]
    part.write_text("mine")
    with pytest.raises(OptionError, match="it exists already"):
        cut_part(city, part, Part())
    assert part.read_text() == "mine"
    with pytest.raises(IndexFileError, match=r"cannot create .*nowhere/part\.gpkg: there is no"):
        cut_part(city, tmp_path / "nowhere" / "part.gpkg", Part())


def test_a_stopped_cut_leaves_nothing(tmp_path: Path) -> None:
    class Stopping:
        def start(self, step: str, total: int) -> None: ...

        def advance(self, done: int) -> None:
            raise KeyboardInterrupt

    city = a_city(tmp_path / "city.gpkg")
    with pytest.raises(KeyboardInterrupt):
        cut_part(city, tmp_path / "part.gpkg", Part(), Stopping())
    assert [path.name for path in tmp_path.iterdir()] == ["city.gpkg"]


def test_two_parts_joined_are_the_whole_again(tmp_path: Path) -> None:
    city = a_city(tmp_path / "city.gpkg")
    west, east, out = (tmp_path / f"{name}.gpkg" for name in ("west", "east", "out"))
    cut_part(city, west, Part(box=(0.0, 52.0, 0.6, 53.0)))
    cut_part(city, east, Part(box=(0.4, 52.0, 1.0, 53.0)))
    report = merge_indexes(out, [west, east])
    overlap = len(held(west)) + len(held(east)) - 30
    assert (report.added, report.duplicates) == (30, overlap)
    assert overlap > 0
    assert {k: replace(r, id=None) for k, r in held(out).items()} == {
        k: replace(r, id=None) for k, r in held(city).items()
    }
    with open_index(out) as merged, open_index(city) as whole:
        vectors = sample(30)[1][:5]
        found = merged.search(vectors, k=3, regions=regions_of(5))
        expected = whole.search(vectors, k=3, regions=regions_of(5))
        assert np.allclose(found.similarities, expected.similarities)
        assert merged.info().verifiable == 30
    # Run again, nothing is new.
    assert merge_indexes(out, [west, east]).added == 0


def test_other_photos_of_the_same_name_keep_their_place(tmp_path: Path) -> None:
    one = a_city(tmp_path / "one.gpkg", 3)
    records, vectors = sample(3, start=50)
    other = tmp_path / "other.gpkg"
    with create_index(other, MODEL, regions=REGIONS) as index:
        named = [replace(r, path=f"photos/{i}.jpg") for i, r in enumerate(records)]
        index.add(named, vectors, regions=regions_of(3))
    report = merge_indexes(one, [other])
    assert (report.added, report.duplicates) == (3, 0)
    paths = [record.path for record in held(one).values()]
    assert paths[:3] == ["photos/0.jpg", "photos/1.jpg", "photos/2.jpg"]
    assert paths[3] == f"photos/{records[0].content}-0.jpg"


def test_a_photo_twice_in_one_source_is_taken_once(tmp_path: Path) -> None:
    records, vectors = sample(2)
    twice = [records[0], replace(records[1], content=records[0].content)]
    with create_index(tmp_path / "in.gpkg", MODEL) as index:
        index.add(twice, vectors)
    report = merge_indexes(tmp_path / "out.gpkg", [tmp_path / "in.gpkg"])
    assert (report.added, report.duplicates) == (1, 1)


def some(path: Path, **contents: str) -> Path:
    """An index of photos by these names, with the content of their files."""
    records, vectors = sample(len(contents))
    named = [
        replace(record, path=name, content=content)
        for record, (name, content) in zip(records, contents.items(), strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with create_index(path, MODEL) as index:
        index.add(named, vectors)
    return path


def called(path: Path) -> dict[str, str]:
    """The contents of an index by the photos' names."""
    with open_index(path) as index:
        return {record.path: record.content for record in index.iterate()}


def test_views_of_a_panorama_stay_together_wherever_they_are_joined(tmp_path: Path) -> None:
    # Given two panoramas of one name, and a photo behind a URL
    first = some(
        tmp_path / "a" / "a.gpkg",
        **{"p.jpg#view=0": "aa", "p.jpg#view=90": "aa", "https://h.example/b.jpg": "bb"},
    )
    second = some(tmp_path / "b" / "b.gpkg", **{"p.jpg#view=0": "cc", "p.jpg#view=90": "cc"})
    goal = tmp_path / "all.gpkg"
    assert merge_indexes(goal, [first, second]).added == 5
    # Then views share the name of their file, and each file has one of its own
    names = called(goal)
    assert names["a/p.jpg#view=0"] == names["a/p.jpg#view=90"] == "aa"
    assert names["b/p.jpg#view=0"] == names["b/p.jpg#view=90"] == "cc"
    assert names["https://h.example/b.jpg"] == "bb"
    # And once more, or with the same file held as a whole, nothing is added
    whole = some(tmp_path / "c" / "c.gpkg", **{"whole.jpg": "aa"})
    assert merge_indexes(goal, [first, second, whole]).added == 0


def test_a_part_keeps_views_together_and_tells_no_address(tmp_path: Path) -> None:
    photos = {
        "../../x/y/p.jpg#view=0": "aa",
        "../../x/y/p.jpg#view=90": "aa",
        "../../z/y/p.jpg#view=0": "cc",
        "../../z/y/p.jpg#view=45": "cc",
        "https://h.example/private/b.jpg": "bb",
    }
    part = tmp_path / "part.gpkg"
    cut_part(some(tmp_path / "a.gpkg", **photos), part, Part())
    assert sorted(called(part)) == [
        *("private/b.jpg", "y/cc-p.jpg#view=0", "y/cc-p.jpg#view=45"),
        *("y/p.jpg#view=0", "y/p.jpg#view=90"),
    ]


def test_a_folder_without_photos_of_the_index_cuts_nothing(tmp_path: Path) -> None:
    city = a_city(tmp_path / "city.gpkg")
    with pytest.raises(OptionError, match=r"no photo of .* lies below .*nobody"):
        cut_part(city, tmp_path / "part.gpkg", Part(without=(tmp_path / "nobody",)))
    assert not (tmp_path / "part.gpkg").exists()


def test_nothing_is_merged_where_one_source_is_no_index(tmp_path: Path) -> None:
    (tmp_path / "walk.gpkg").write_text("<gpx/>")
    city = a_city(tmp_path / "city.gpkg")
    with pytest.raises(IndexFileError):
        merge_indexes(tmp_path / "all.gpkg", [city, tmp_path / "walk.gpkg"])
    assert not (tmp_path / "all.gpkg").exists()


def test_a_part_keeps_key_points_in_the_size_that_they_have(tmp_path: Path) -> None:
    records, vectors = sample(3)
    with create_index(tmp_path / "a.gpkg", MODEL, local=LocalSize(20, 4)) as index:
        index.add(records, vectors, [local()] * 3)
    cut_part(tmp_path / "a.gpkg", tmp_path / "part.gpkg", Part())
    with open_index(tmp_path / "part.gpkg") as part:
        assert part.info().local == LocalSize(20, 4)


def test_indexes_that_do_not_fit_are_not_joined(tmp_path: Path) -> None:
    city, out = a_city(tmp_path / "city.gpkg", 3), tmp_path / "out.gpkg"
    with create_index(tmp_path / "other.gpkg", replace(MODEL, hash="f" * 16)) as index:
        index.add(*sample(2, start=9))
    with pytest.raises(IndexFileError, match="checkpoint"):
        merge_indexes(out, [city, tmp_path / "other.gpkg"])
    with create_index(tmp_path / "plain.gpkg", MODEL) as index:
        index.add(*sample(2, start=9))
    with pytest.raises(OptionError, match="regions a photo"):
        merge_indexes(out, [tmp_path / "plain.gpkg"])
    with pytest.raises(OptionError, match="into itself"):
        merge_indexes(city, [city])
