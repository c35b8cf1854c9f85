"""The main job: a photo in, the place where it was taken out."""

import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc import geo
from hafloc.describe import Describer
from hafloc.errors import CheckpointError, HaflocError, IndexFileError, PhotoError, PositionError
from hafloc.index import GeoIndex, GeoPackageIndex, ModelInfo, Near, Record
from hafloc.locate.answer import Answer
from hafloc.photos import Image, Metadata, Photo, read

Query = str | Path | bytes | Pillow.Image | NDArray[np.uint8]

# What PNG holds as it is; other modes become RGB first.
_PNG_MODES = {"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"}


class VectorMaker(Protocol):
    """What a Localizer needs of `hafloc.describe.Describer`."""

    longer_side: int

    def vector(self, image: Image) -> NDArray[np.float32]: ...


class Localizer:
    """Locates photos in one database with the network that described it.

    Use it as a context manager, or `close()` it. `index` is the database.
    """

    def __init__(self, index: GeoIndex, describer: VectorMaker) -> None:
        self.index = index
        self._describer = describer

    @classmethod
    def open(
        cls,
        path: str | Path,
        model: str | Path | None = None,
        *,
        device: str = "cpu",
    ) -> Self:
        """Open an index with its checkpoint: the one whose name it recorded, or `model`.

        Raises IndexFileError where the index is missing, damaged, or made with another
        checkpoint, CheckpointError where the checkpoint cannot be had.
        """
        describer = (
            _recorded_describer(Path(path), device)
            if model is None
            else Describer.open(model, device=device)
        )
        info = ModelInfo(describer.name, describer.hash, describer.options, describer.dimension)
        return cls(GeoPackageIndex.open(path, model=info), describer)

    def locate(self, query: Query, *, top: int = 10, near: Near | None = None) -> Answer:
        """Where `query` was taken, with its `top` nearest photos, only those `near` if given.

        A query is a path, the bytes of a photo's file, a PIL image, or an upright RGB array
        `H×W×3` uint8. Raises PhotoError where it cannot be read, IndexFileError where the index
        is empty, PositionError where no photo is `near`.
        """
        self._check(top, near)
        return self._locate("query" if _path(query) is None else str(query), query, top, near)

    def locate_many(
        self, queries: Iterable[Query], *, top: int = 10, near: Near | None = None
    ) -> Iterator[tuple[str, Answer | PhotoError]]:
        """Each query's name with its answer, or with why it cannot be read, in their order.

        Queries without a path are named by their number, "query 1" for the first. Raises what
        `locate` raises on behalf of the index.
        """
        self._check(top, near)
        return self._each(queries, top, near)

    def close(self) -> None:
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _each(
        self, queries: Iterable[Query], top: int, near: Near | None
    ) -> Iterator[tuple[str, Answer | PhotoError]]:
        for number, query in enumerate(queries, start=1):
            name = f"query {number}" if _path(query) is None else str(query)
            try:
                yield name, self._locate(name, query, top, near)
            except PhotoError as error:
                yield name, error

    def _check(self, top: int, near: Near | None) -> None:
        if top < 1:
            raise ValueError(f"top is {top}; ask for at least 1 photo")
        if near is not None and not (math.isfinite(near.radius) and near.radius > 0):
            raise PositionError(
                f"the search radius {near.radius:g} is not a positive number of metres; "
                "give one such as 500"
            )
        info = self.index.info()
        if not info.photos:
            raise IndexFileError(
                f"cannot locate with {info.path}: it holds no photos; "
                "add some with `hafloc index add`"
            )

    def _locate(self, name: str, query: Query, top: int, near: Near | None) -> Answer:
        photo = self._read(name, query)
        try:
            vector = self._describer.vector(photo.image)
        except PhotoError as error:
            raise PhotoError(f"cannot describe {name}: {error}") from error
        hits = self.index.search(vector[np.newaxis], top, near)
        ids = [int(id_) for id_ in hits.ids[0]]
        if not ids:
            raise self._nothing_near(near)
        records = self.index.get(ids)
        return Answer.from_hits(
            name,
            records,
            hits.similarities[0].tolist(),
            duplicate_of=self._duplicate(photo, records),
            file=photo.path,
        )

    def _read(self, name: str, query: Query) -> Photo:
        if isinstance(query, np.ndarray):
            return Photo(_checked(name, query), "", Metadata())
        source = _png(query) if isinstance(query, Pillow.Image) else query
        try:
            return read(source, longer_side=self._describer.longer_side)
        except PhotoError as error:
            # Without a path the reader cannot know which photo this is.
            raise PhotoError(str(error).replace("read the photo:", f"read {name}:")) from error

    def _duplicate(self, photo: Photo, records: list[Record]) -> Record | None:
        if not photo.content:
            return None
        for record in records:
            if record.content == photo.content:
                return record
        # Kept out of the list by `near`, or by `top` near-identical photos.
        for (content, _), id_ in self.index.contents().items():
            if content == photo.content:
                return self.index.get([id_])[0]
        return None

    def _nothing_near(self, near: Near | None) -> HaflocError:
        places = [record.position for record in self.index.photos()]
        if near is None or not places:
            return IndexFileError("the index was emptied while it was searched; add its photos")
        metres = geo.distances(near.centre, [p.lat for p in places], [p.lon for p in places])
        return PositionError(
            f"no photo of the database lies within {near.radius:,.0f} m of {near.centre}: "
            f"the nearest is {metres.min():,.0f} m away; enlarge the radius or check the centre"
        )


def _path(query: Query) -> Path | None:
    return Path(query) if isinstance(query, str | Path) else None


def _recorded_describer(path: Path, device: str) -> Describer:
    with GeoPackageIndex.open(path) as index:
        model = index.info().model
    try:
        return Describer.open(model.name, device=device, beside=path.absolute().parent)
    except CheckpointError as error:
        raise CheckpointError(
            f"cannot locate with {path}: its checkpoint {model.name!r} is not at hand ({error}); "
            "give the checkpoint's file as the model"
        ) from error


def _checked(name: str, image: NDArray[np.uint8]) -> Image:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise PhotoError(
            f"cannot use {name}: an array of shape {image.shape} and type {image.dtype} is no RGB "
            "image; give H×W×3 uint8"
        )
    return np.ascontiguousarray(image)


def _png(image: Pillow.Image) -> bytes:
    """The image as a file with its EXIF, so that one reader deals with modes and orientation."""
    kept = image if image.mode in _PNG_MODES else image.convert("RGB")
    memory = io.BytesIO()
    try:
        kept.save(memory, "PNG", compress_level=1, exif=image.getexif())
    # The image may still be a file that is only now decoded, and damaged.
    except (OSError, SyntaxError, ValueError) as error:
        raise PhotoError(f"cannot use the image: {error}; give one that Pillow can save") from error
    return memory.getvalue()
