"""Local features in an index: as bytes, beside their photos, and in files older than they are."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_index import BEFORE_FORMAT_7, MODEL, sample

from hafloc.description import LocalFeatures
from hafloc.errors import IndexFileError
from hafloc.index import (
    GeoPackageIndex,
    LocalSize,
    copy_index,
    create_index,
    local_features,
    open_index,
)
from hafloc.index.rows import FIELDS


def features(seed: int, count: int = 20, size: tuple[int, int] = (480, 360)) -> LocalFeatures:
    random = np.random.default_rng(seed)
    xy = random.uniform((0, 0), size, (count, 2)).astype(np.float32)
    rows = random.integers(-127, 128, (count, 8), dtype=np.int8)
    return LocalFeatures(xy, rows, size)


def same(a: LocalFeatures | None, b: LocalFeatures) -> bool:
    return (
        a is not None
        and a.size == b.size
        and np.array_equal(a.descriptors, b.descriptors)
        and np.allclose(a.xy, b.xy, atol=max(b.size) / 65_535)
    )


@given(st.integers(0, 99), st.integers(0, 40), st.integers(32, 8192), st.integers(32, 8192))
def test_features_come_back_as_they_were_to_a_65_535th_of_the_side(
    seed: int, count: int, width: int, height: int
) -> None:
    before = features(seed, count, (width, height))
    assert same(local_features.decode(local_features.encode(before)), before)


@pytest.mark.parametrize("dimension", [32, 64, 128])
def test_a_photo_takes_at_most_24_kb_and_keeps_its_strongest(dimension: int) -> None:
    xy = np.random.default_rng(0).uniform(0, 480, (5_000, 2)).astype(np.float32)
    rows = np.full((5_000, dimension), 127, np.int8)
    blob = local_features.encode(LocalFeatures(xy, rows, (480, 480)))
    assert 24 * 1024 - dimension - 4 < len(blob) <= 24 * 1024
    kept = local_features.decode(blob)
    assert np.allclose(kept.xy, xy[: len(kept)], atol=0.01)


@given(st.integers(0, 99), st.integers(0, 40), st.integers(1, 9))
def test_numbers_within_seven_come_back_exactly_from_half_bytes(
    seed: int, count: int, dimension: int
) -> None:
    random = np.random.default_rng(seed)
    xy = random.uniform(0, 480, (count, 2)).astype(np.float32)
    before = LocalFeatures(xy, random.integers(-7, 8, (count, dimension), np.int8), (480, 480))

    blob = local_features.encode(before)

    assert len(blob) == 10 + count * (4 + -(-dimension // 2) if count else 0)
    assert same(local_features.decode(blob), before)


def test_key_points_kept_in_4_bits_are_the_strongest_and_point_the_same_way() -> None:
    before = features(3, 300)

    kept = local_features.shrink(before, LocalSize(points=100, bits=4))

    assert np.array_equal(kept.xy, before.xy[:100])
    rows, old = kept.descriptors.astype(float), before.descriptors[:100].astype(float)
    cosines = (rows * old).sum(1) / np.linalg.norm(rows, axis=1) / np.linalg.norm(old, axis=1)
    assert cosines.min() > 0.97
    # A row of zeros, which matches nothing, stays one.
    nothing = replace(before, descriptors=np.zeros_like(before.descriptors))
    assert not local_features.shrink(nothing, LocalSize(bits=4)).descriptors.any()


def test_all_key_points_are_kept_unless_told_otherwise() -> None:
    assert same(local_features.shrink(features(1), LocalSize()), features(1))


@pytest.mark.parametrize(("points", "bits"), [(0, 8), (-1, 4), (10, 5)])
def test_what_key_points_cannot_be_kept_as_is_refused(points: int, bits: int) -> None:
    with pytest.raises(ValueError, match="cannot be kept"):
        LocalSize(points, bits)


def test_an_index_keeps_key_points_as_it_was_made_to_whoever_adds_to_it(tmp_path: Path) -> None:
    city, size = tmp_path / "city.gpkg", LocalSize(points=12, bits=4)
    with create_index(city, MODEL, local=size) as index:
        index.add(*sample(1), [features(0)])
    with open_index(city, write=True) as index:
        index.add(*sample(1, start=5), [features(1, count=5)])

    copy_index(city, tmp_path / "copy.gpkg")

    for file in (city, tmp_path / "copy.gpkg"):
        with open_index(file) as index:
            assert index.info().local == size
            found = index.local_features([1, 2])
            assert same(found[0], local_features.shrink(features(0), size))
            assert same(found[1], local_features.shrink(features(1, count=5), size))
            # 8 numbers of half a byte and a place of 4 bytes for each, heads of 10.
            assert index.info().details["key_point_bytes"] == 2 * 10 + (12 + 5) * (4 + 4)
            assert index.info().details["vector_bytes"] == 2 * 32
            assert index.verify() == []


def test_a_server_keeps_all_key_points_and_says_so() -> None:
    with pytest.raises(IndexFileError, match=r"only a \.gpkg file keeps them so; leave"):
        create_index("milvus://nowhere.invalid:1/city", MODEL, local=LocalSize(points=100))


def test_what_key_points_take_is_reckoned_from_some_where_there_are_many(tmp_path: Path) -> None:
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        index.add(*sample(2_500), [features(0, count=i % 20) for i in range(2_500)])
        exact = 2_500 * 10 + 125 * sum(range(20)) * (4 + 8)
        assert index.info().details["key_point_bytes"] == pytest.approx(exact, rel=0.06)


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_features_or_an_error(blob: bytes) -> None:
    try:
        found = local_features.decode(blob)
    except IndexFileError:
        return
    assert found.xy.shape == (len(found), 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda blob: blob[:-1], "bytes, not"),
        (lambda blob: b"\x09" + blob[1:], "version 9"),
        (lambda blob: b"\x02" + blob[1:], "bytes, not"),
        (lambda blob: blob[:6] + b"\0\0" + blob[8:], "without pixels"),
        (lambda blob: blob[:3], "without a head"),
    ],
)
def test_what_is_wrong_with_a_blob_is_named(change, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in local_features.find_problem(change(local_features.encode(features(0))))


def test_features_are_stored_beside_their_photo_and_go_with_it(tmp_path: Path) -> None:
    records, vectors = sample(3)
    stored = [features(0), None, features(2)]
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors, stored)
        assert index.info().verifiable == 2
    with GeoPackageIndex.open(tmp_path / "city.gpkg", write=True) as index:
        found = index.local_features([ids[2], ids[0], ids[1]])
        assert same(found[0], features(2))
        assert same(found[1], features(0))
        assert found[2] is None
        index.remove(ids[:1])
        assert index.local_features(ids)[0] is None
        assert index.info().verifiable == 1
        assert index.verify() == []


def test_a_photo_that_takes_anothers_place_does_not_keep_its_features(tmp_path: Path) -> None:
    records, vectors = sample(1)
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(records, vectors, [features(0)])
        changed = [replace(records[0], content="f" * 32)]
        assert index.add(changed, vectors) == ids
        assert index.local_features(ids) == [None]
        index.add(changed, vectors, [features(1)])
        assert same(index.local_features(ids)[0], features(1))


def test_damaged_features_name_their_photo(tmp_path: Path) -> None:
    with GeoPackageIndex.create(tmp_path / "city.gpkg", MODEL) as index:
        ids = index.add(*sample(2), [features(0), features(1)])
        index._connections.rows("UPDATE local_features SET features = x'01' WHERE photo_id = 2")
        with pytest.raises(IndexFileError, match=r"photo 2 of .*without a head; remove it"):
            index.local_features(ids)


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """An index as the first release wrote it: format 1, without a table of local features."""
    path = tmp_path / "old.gpkg"
    with GeoPackageIndex.create(path, MODEL) as index:
        index.add(*sample(4))
    database = sqlite3.connect(path)
    database.executescript(
        "".join(f"{statement};" for statement in BEFORE_FORMAT_7)
        + "DROP TRIGGER descriptors_insert_change; DROP TRIGGER descriptors_update_change;"
        "DROP TRIGGER descriptors_delete_change; DROP TRIGGER photos_update_change;"
        "DROP TABLE changes;"
        "DROP TRIGGER photos_delete_local_features; DROP TABLE local_features;"
        "DROP TRIGGER photos_delete_regions; DROP TABLE regions;"
        "DELETE FROM gpkg_contents WHERE table_name IN ('local_features', 'regions', 'changes');"
        "DELETE FROM gpkg_extensions WHERE table_name IN ('local_features', 'regions', 'changes');"
        "DELETE FROM hafloc WHERE key = 'regions';"
        "UPDATE hafloc SET value = '1' WHERE key = 'format_version';"
        "DROP INDEX descriptors_by_photo;"
        + "".join(f"ALTER TABLE photos DROP COLUMN {name};" for name in FIELDS[9:])
    )
    database.close()
    return path


def test_a_file_of_format_1_is_read_as_it_is(old_file: Path) -> None:
    before = old_file.read_bytes()
    with GeoPackageIndex.open(old_file) as index:
        assert index.info().details["format"] == 1
        assert index.info().verifiable == 0
        assert index.search(sample(4)[1], k=1).ids[:, 0].tolist() == [1, 2, 3, 4]
        assert index.local_features([3, 1]) == [None, None]
        assert index.verify() == []
    assert old_file.read_bytes() == before


def test_a_file_of_format_1_takes_features_once_it_is_written_to(old_file: Path) -> None:
    records, vectors = sample(2, start=10)
    with GeoPackageIndex.open(old_file, write=True) as index:
        ids = index.add(records, vectors, [features(0), features(1)])
    with GeoPackageIndex.open(old_file) as index:
        assert (index.info().details["format"], index.count()) == (7, 6)
        assert same(index.local_features(ids)[1], features(1))
        assert index.local_features([1]) == [None]
        assert index.verify() == []
