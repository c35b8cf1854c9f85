"""What is fuzzed: for each kind of file or text a small function that reads hostile bytes.

A target may raise a HaflocError, which is how a reader refuses. Anything else that leaves it is a
finding, and so is a case that takes longer than `SECONDS` or more than `MEGABYTES` of new memory.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import fuzz_seeds as seeds
import numpy as np
from mutations import mutated, mutated_database, mutated_json

from hafloc.cli.locate import parse_near
from hafloc.errors import HaflocError, PhotoError
from hafloc.geo import Position
from hafloc.index import PhotoPaths, check_bundle, open_index
from hafloc.index.companion import CompanionFolder
from hafloc.locate.trust import read_calibrations
from hafloc.photos import (
    Tag,
    part_name,
    position_from_name,
    query_photos,
    read_bytes,
    read_metadata,
    read_table,
    read_track,
    split_name,
    write_sidecar,
)
from hafloc.photos.angle import degrees_of
from hafloc.photos.clock import parse_offset, parse_time
from hafloc.sources.area import area_of_file
from hafloc.sources.table import TABLE, read_rows

Mutate = Callable[[bytes, Random, Sequence[bytes]], bytes]
SECONDS = 10.0
MEGABYTES = 600
# Far fewer than users are allowed, so that what a decoder takes beyond its bound is seen.
_PIXELS = 2_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A function of hostile bytes, and sound ones to start from.

    `share` of all cases it gets beside others; `watched` are the modules whose branches guide;
    `mutate` makes one case of another.
    """

    run: Callable[[bytes], None]
    seeds: Callable[[], Sequence[bytes]]
    share: float = 1.0
    watched: tuple[str, ...] = ("hafloc.photos",)
    mutate: Mutate = mutated


@cache
def _folder() -> Path:
    """In memory where the system has such a place: each case writes its file anew."""
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="fuzz-", dir=memory if memory.is_dir() else None))


def _file(data: bytes, name: str = "given") -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def photo(data: bytes) -> None:
    with suppress(PhotoError):
        read_metadata("given.jpg", data=data)
    found = read_bytes(data, "given.jpg", max_pixels=_PIXELS, longer_side=64)
    assert found.image.dtype == np.uint8
    assert found.image.ndim == 3
    assert max(found.image.shape[:2]) <= 64


def query(data: bytes) -> None:
    """As `locate` and the server read a photo: panoramas cut, borders looked for."""
    for found in query_photos(data, longer_side=64):
        assert found.image.shape[2] == 3


def exif(data: bytes) -> None:
    told = read_metadata("given.jpg", data=seeds.with_exif(data))
    _check_place(told.position)


def xmp(data: bytes) -> None:
    told = read_metadata("given.jpg", data=seeds.with_xmp(data))
    _check_place(told.position)
    read_table(_file(data, "given.jpg.xmp"), ["given.jpg"])


def _check_place(position: Position | None) -> None:
    assert position is None or (-90 <= position.lat <= 90 and -180 <= position.lon <= 180)


def table(data: bytes) -> None:
    _file(seeds.REFERENCES, "ref_images.txt")
    for told in read_table(_file(data), ["a.jpg", "b/a.jpg"]).rows.values():
        _check_place(told.position)


def track(data: bytes) -> None:
    for found in read_track(_file(data)).tracks:
        assert np.isfinite(found.times).all()
        assert (np.diff(found.times) >= 0).all()
        assert (np.abs(found.lats) <= 90).all()


def sidecar(data: bytes) -> None:
    path = _file(b"", "photo.jpg")
    for left in _folder().glob("photo.*"):
        left.unlink()
    _file(data, "photo.xmp")
    write_sidecar(path, Tag(Position(48.2, 16.37)))


def area(data: bytes) -> None:
    area_of_file(_file(data))


def fetched_table(data: bytes) -> None:
    _file(data, TABLE)
    read_rows(_folder())


def name(data: bytes) -> None:
    """Names and single words: each reader gives something or None, and refuses by its error."""
    text = _text(data)
    file, part = split_name(text)
    assert part_name(file, part) == text
    paths = PhotoPaths(Path("/photos"))
    with suppress(ValueError):  # a name with a NUL
        stored = paths.name_of(paths.file_of(text))
        assert paths.name_of(paths.file_of(stored)) == stored
    for read in (parse_time, parse_offset, lambda said: degrees_of(said, "NS")):
        read(text)
    for refuse in (position_from_name, parse_near):
        with suppress(HaflocError):
            refuse(text)


def calibration(data: bytes) -> None:
    with suppress(ValueError):  # which is damage, as its readers know
        read_calibrations(_text(data), "small")


def index(data: bytes) -> None:
    path = _file(data, "city.gpkg")
    for side in ("-wal", "-shm", "-journal"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    with open_index(path) as opened:
        query = np.full((1, opened.model.dimension), 0.1, np.float32)
        hits = opened.search(query, 3, regions=np.repeat(query[:, None], 2, axis=1))
        ids = hits.ids[0].tolist()
        opened.get(ids)
        opened.local_features(ids)
        opened.nearest(Position(52.2, 0.1), 2)
        list(opened.iterate())
        opened.info()
        opened.verify()


def bundle(data: bytes) -> None:
    path = _file(data, "bundle.gpkg")
    check_bundle(path, "bundle.gpkg")
    with open_index(path) as opened:
        opened.verify()


def checkpoint(data: bytes) -> None:
    """A file of weights: whatever its bytes are, and with the hash that they should have."""
    from hafloc.describe.projection import read_projection
    from hafloc.nn import load_checkpoint

    for read in (load_checkpoint, read_projection):
        with suppress(HaflocError):
            read(_file(data, "given.safetensors"))


def options(data: bytes) -> None:
    """A checkpoint of any options, well hashed: only its maker knows how large it makes itself."""
    from safetensors.torch import save

    from hafloc.nn import load_checkpoint
    from hafloc.nn.checkpoint import FORMAT, _hash

    try:
        network, chosen = json.loads(_text(data))
        hash_ = _hash({}, network, chosen)
    except Exception:  # of our own making here
        return
    head = {"format": FORMAT, "network": network, "name": "n", "options": chosen}
    head |= {"provenance": {}, "hash": hash_}
    content = save({}, metadata={"hafloc": json.dumps(head)})
    load_checkpoint(_file(content, "options.safetensors"))


def _checkpoints() -> list[bytes]:
    import torch
    from safetensors.torch import save

    head = {"format": 1, "network": "haf", "name": "n", "options": {}, "provenance": {}, "hash": ""}
    projection = {"format": 1, "model": "haf", "hash": "x"}
    small = {"a": torch.ones(2, 3, dtype=torch.float16), "directions": torch.ones(2, 3)}
    return [
        save(small, metadata={"hafloc": json.dumps(head)}),
        save(small, metadata={"hafloc": json.dumps(projection)}),
        save(small, metadata={"projection": json.dumps(projection)}),
    ]


def _options() -> list[bytes]:
    from dataclasses import asdict

    from hafloc.nn.network import NETWORKS

    return [
        json.dumps([name, asdict(entry.options())]).encode() for name, entry in NETWORKS.items()
    ]


def companion(data: bytes) -> None:
    """The folder beside a database, whose file `photos` is any bytes."""
    home = _folder() / "c.gpkg-search"
    home.mkdir(exist_ok=True)
    (home / "photos").write_bytes(data)
    folder = CompanionFolder(_folder() / "c.gpkg", "int8", 32)
    folder.rows()


def _companions() -> list[bytes]:
    head = {"format": 2, "type": "|u1", "dimension": 32, "number": 1, "tag": 2, "token": "ab"}
    return [json.dumps(head | {"rows": 1, "checksum": 0}).encode() + b"\n" + bytes(32)]


def _calibrations() -> list[bytes]:
    one = {"verified": True, "weights": [0.1] * 6, "bias": 0, "scores": [1], "queries": 1}
    content = {"format": 2, "checkpoint": "small", "signs": [], "calibrations": [one]}
    return [json.dumps(content | {"neighbourhoods": [1]}).encode()]


def _areas() -> list[bytes]:
    ring = [[16.0, 48.0], [16.1, 48.0], [16.1, 48.1], [16.0, 48.0]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    return [json.dumps({"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": polygon, "properties": {}}]}).encode()]  # fmt: skip


def _fetched() -> list[bytes]:
    from hafloc.sources.table import COLUMNS

    return [(",".join(COLUMNS) + "\n" + ",".join("1" for _ in COLUMNS) + "\n").encode()]


_PILLOW = tuple(
    f"PIL.{name}ImagePlugin"
    for name in ("Bmp", "Gif", "Jpeg", "Jpeg2K", "Mpo", "Png", "Ppm", "Tiff", "WebP")
)
_INDEX = ("hafloc.index",)

TARGETS: dict[str, Target] = {
    "photo": Target(photo, seeds.photos, 3, ("hafloc.photos", *_PILLOW)),
    "query": Target(query, seeds.photos, 0.5, ("hafloc.photos", *_PILLOW)),
    "exif": Target(exif, lambda: [seeds.exif()], 2, ("hafloc.photos", "PIL.TiffImagePlugin")),
    "xmp": Target(xmp, seeds.xmp_packets, 1),
    "table": Target(table, seeds.tables, 2),
    "json_table": Target(table, seeds.json_tables, 2, mutate=mutated_json),
    "track": Target(track, seeds.tracks, 2),
    "sidecar": Target(sidecar, lambda: [seeds.UNPLACED.encode()], 1),
    "area": Target(area, _areas, 0.5, ("hafloc.sources",), mutated_json),
    "fetched_table": Target(fetched_table, _fetched, 0.5, ("hafloc.sources",)),
    "name": Target(name, seeds.names, 2),
    "calibration": Target(calibration, _calibrations, 0.5, ("hafloc.locate.trust",), mutated_json),
    "index": Target(index, lambda: [seeds.index_file()], 1, _INDEX, mutated_database),
    "bundle": Target(bundle, lambda: [seeds.index_file()], 1, _INDEX, mutated_database),
    "companion": Target(companion, _companions, 0.5, _INDEX),
    "checkpoint": Target(checkpoint, _checkpoints, 0.5, ("hafloc.nn.checkpoint",)),
    "options": Target(options, _options, 0.2, ("hafloc.nn.checkpoint",), mutated_json),
}
