"""Hostile files: some hundred of `benchmarks/fuzz.py`, the same each time, and those it found."""

import json
import resource
import sqlite3
import time
from pathlib import Path
from random import Random

import fuzz_seeds
import numpy as np
import pytest
from fuzz_targets import SECONDS, TARGETS
from safetensors.numpy import save

from hafloc.errors import CheckpointError, HaflocError, IndexFileError, OptionError
from hafloc.index import open_index
from hafloc.nn import load_checkpoint
from hafloc.nn.checkpoint import FORMAT, _hash
from hafloc.sources.area import area_of_file

CASES = 50


@pytest.mark.filterwarnings("ignore")  # what decoders say of damage goes to no user
@pytest.mark.parametrize("name", TARGETS)
def test_hostile_bytes_are_read_or_refused(name: str) -> None:
    target = TARGETS[name]
    sound, chance = list(target.seeds()), Random(name)
    understood = 0
    for number in range(len(sound) + round(CASES * min(1.0, target.share))):
        one = chance.choice(sound)
        data = sound[number] if number < len(sound) else target.mutate(one, chance, sound)
        before = time.perf_counter()
        try:
            target.run(data)
            understood += 1
        except HaflocError:
            pass
        assert time.perf_counter() - before < SECONDS
    # A target that refuses all would look at nothing; these read only to refuse, as made here.
    assert understood or name in ("options", "xmp")


# --- What fuzzing found ---


@pytest.mark.parametrize(
    "corners",
    ["[[], [16.1, 48.0], [16.1, 48.1], [16, 48]]", f"[[1{'0' * 400}, 48], [1, 2], [3, 4], [1, 2]]"],
    ids=["a corner of nothing", "a number beyond all"],
)
def test_an_area_of_broken_corners_is_refused(tmp_path: Path, corners: str) -> None:
    path = tmp_path / "area.geojson"
    path.write_text(f'{{"type": "Polygon", "coordinates": [{corners}]}}')
    with pytest.raises(OptionError, match="it is not GeoJSON of polygons in degrees"):
        area_of_file(path)


def index_with(tmp_path: Path, *statements: str) -> Path:
    path = tmp_path / "city.gpkg"
    path.write_bytes(fuzz_seeds.index_file())
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return path


@pytest.mark.parametrize(
    "statement",
    [
        *(f"DELETE FROM hafloc WHERE key = '{key}'" for key in ("model_options", "dimension")),
        "DELETE FROM hafloc WHERE key = 'format_version'",
        "UPDATE hafloc SET value = 'many' WHERE key = 'format_version'",
        "UPDATE hafloc SET value = '-3' WHERE key = 'dimension'",
        "UPDATE hafloc SET value = '7' WHERE key = 'local_bits'",
        "UPDATE hafloc SET value = 'int7' WHERE key = 'vector_type'",
        "UPDATE hafloc SET key = x'00' WHERE key = 'regions'",
    ],
)
def test_an_index_that_says_too_little_of_itself_is_damaged(tmp_path: Path, statement: str) -> None:
    path = index_with(tmp_path, statement)
    for write in (False, True):
        with pytest.raises(IndexFileError, match=r"cannot open .*it is damaged"):
            open_index(path, write=write)


def test_a_schema_that_is_no_text_is_damage(tmp_path: Path) -> None:
    path = index_with(tmp_path)
    content = path.read_bytes()
    at = content.index(b"CREATE TRIGGER photos_delete_descriptor")
    path.write_bytes(content[:at] + b"CREATE TR\xc1GGER\x80" + content[at + 15 :])
    with pytest.raises(IndexFileError):
        open_index(path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE gpkg_contents SET min_x = x'00' WHERE table_name = 'photos'",
        "DELETE FROM gpkg_contents WHERE table_name = 'photos'",
    ],
)
def test_an_extent_that_is_none_is_told_by_verify(tmp_path: Path, statement: str) -> None:
    with open_index(index_with(tmp_path, statement)) as index:
        assert index.info().bounds is None
        assert any("extent" in problem for problem in index.verify())


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ("haf_public_code", {"channels": [-64, 64, 64]}),
        ("haf", {"channels": [10**9, 512, 256]}),
        ("netvlad", {"clusters": 2**62}),
        ("netvlad", {"clusters": 640, "size": 2_560}),
        ("crn", {"clusters": 10_240}),
        ("haf", {"level_weights": [float("nan"), 0.5, 0.5]}),
        ("haf", {"channels": [65_536, 65_536, 65_536], "mask_filters": [65_536, 65_536, 65_536]}),
    ],
)
def test_a_checkpoint_that_asks_for_an_absurd_network_is_refused(
    tmp_path: Path, network: str, options: dict[str, object]
) -> None:
    head = {"format": FORMAT, "network": network, "name": "n", "options": options}
    head |= {"provenance": {}, "hash": _hash({}, network, options)}
    path = tmp_path / "absurd.safetensors"
    path.write_bytes(save({}, metadata={"hafloc": json.dumps(head)}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError):
        load_checkpoint(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_a_query_of_one_pixel_is_a_photo() -> None:
    TARGETS["query"].run(_one_pixel())


def _one_pixel() -> bytes:
    import io

    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(np.zeros((1, 1, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def test_a_strip_of_a_million_rows_is_reduced_in_a_moment() -> None:
    # 885 bytes of TIFF took 20 s: Lanczos over 17,000 rows for each that is wanted.
    from hafloc.photos import as_photo

    strip = np.zeros((600_000, 24, 3), np.uint8)
    strip[300_000:] = 200
    before = time.process_time()
    found = as_photo(strip, longer_side=64).image
    assert time.process_time() - before < 2
    assert found.shape == (64, 1, 3)
    assert found[:30].max() <= 1
    assert found[34:].min() >= 199
