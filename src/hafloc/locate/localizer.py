"""The main job: a photo in, the place where it was taken out."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image as Pillow

from hafloc.consent import allowing
from hafloc.description import FeatureMaker
from hafloc.errors import CheckpointError, HaflocError, PhotoError
from hafloc.index import (
    GeoIndex,
    Location,
    Near,
    PhotoPaths,
    folder_of,
    model_info,
    open_index,
)
from hafloc.locate.answer import Answer
from hafloc.locate.around import join_views
from hafloc.locate.candidates import CandidateFinder
from hafloc.locate.judging import Judge
from hafloc.locate.query import RERANK, RankedQuery, Wanted
from hafloc.locate.trust import PROBABILITY
from hafloc.locate.walk import Floats, draw_distances
from hafloc.locate.walk_photos import judge_together
from hafloc.photos import CUTTING, Cutting, Given, Photo, part_name, query_photos, view_of
from hafloc.verify import Matcher, open_matcher

Query = Given

# Photos of the database between which distances are drawn for a walk; `walk.PAIRS` pairs of them.
_DRAWN = 4_000
_SEED = 0


class Localizer:
    """Locates photos in one database with the network that described it.

    Use it as a context manager, or `close()` it. `index` is the database, `describer` the
    network's. Radius and confidence come from the calibration that the index held when it was
    opened, or else from the one that comes with the checkpoint.

    With a `matcher`, candidates are verified by that, from their files, in place of the key points
    in the index. How sure its answers are is not known: they have neither radius nor confidence.
    `paths` tells where the database's photos lie, if not where the index says.

    Threads: any number may locate with one Localizer at once, also while another process adds
    photos; each answer rests on all photos that were stored before it was asked for. The network
    works on one image at a time, on all cores; the rest of the work is shared. When one thread
    closes it, the others' answers in progress are finished or end with IndexFileError.

    Processes: best open one in each worker, started in any way. One that is sent to another
    process is opened there anew, each time. One that was open when a process was forked works in
    the child too, unless threads were locating with it at that moment: then the child may hang.
    On a GPU it raises CheckpointError there. Closing it in the child leaves the parent's open.
    """

    def __init__(
        self,
        index: GeoIndex,
        describer: FeatureMaker,
        *,
        matcher: Matcher | None = None,
        paths: PhotoPaths | None = None,
    ) -> None:
        self.index = index
        self.describer = describer
        self.candidates = CandidateFinder(index, describer, matcher, paths)
        self.paths = self.candidates.paths
        self._matcher = matcher
        self._judge = Judge.of(index) if matcher is None else Judge(())

    @classmethod
    def open(
        cls,
        location: Location,
        model: str | Path | None = None,
        *,
        device: str = "auto",
        matcher: str | Matcher | None = None,
        trust: bool = False,
        runtime: str = "torch",
        precision: str = "auto",
    ) -> Self:
        """Open an index with its checkpoint: the one whose name it recorded, or `model`.

        `location` is what `hafloc.index.open_index` takes, `device` what
        `hafloc.describe.choose_device` does, `matcher` a Matcher or what
        `hafloc.verify.open_matcher` does; `trust` lets a network of torch.hub run; `runtime` and
        `precision` are those of `hafloc.describe.Describer.open`. Raises
        IndexFileError where the index is missing, damaged, or made with another checkpoint,
        CheckpointError where the checkpoint cannot be had, OptionError where there is no such
        device or matcher, MissingExtraError where it needs a package.
        """
        # First of all, since what comes next loads torch.
        with open_index(location) as index:
            recorded = index.model.name
        from hafloc.describe import Describer, choose_device

        open_describer = partial(
            Describer.open, device=device, runtime=runtime, precision=precision
        )
        opened = matcher
        if isinstance(opened, str):
            opened = open_matcher(opened, device=choose_device(device))
        if model is not None:
            with allowing(trust):
                describer = open_describer(model)
        else:
            try:
                with allowing(trust):
                    describer = open_describer(recorded, beside=folder_of(location))
            except CheckpointError as error:
                raise CheckpointError(
                    f"cannot locate with {location}: its checkpoint {recorded!r} is not at hand "
                    f"({error}); give the checkpoint's file as the model"
                ) from error
        info = model_info(describer)
        return cls(open_index(location, model=info), describer, matcher=opened)

    def locate(
        self,
        query: Query,
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
        cautious: bool = False,
        cutting: Cutting = CUTTING,
    ) -> Answer:
        """Where `query` was taken, with its `top` best photos, only those `near` if given.

        The `rerank` most similar photos are verified by their key points and ranked anew by the
        learned rule; 0 leaves them in the order of similarity. The answer's radius holds the
        truth with `probability`: on average over queries, or, `cautious`, in the worst
        neighbourhoods too (see `Calibration.radius`). A panorama is located by all its views, cut
        as `cutting` says; `top` of what they found together are told.

        A query is a path, the bytes of a photo's file, an open file, a PIL image, or an upright
        array; `hafloc.photos.as_query` tells which, and leaves out borders of one colour. Raises
        PhotoError where it cannot be used, IndexFileError where the index is empty, PositionError
        where no photo is `near` or `probability` is none.
        """
        wanted = Wanted(top, near, rerank, probability, cautious, cutting)
        self._check(wanted)
        return self._answer(self._find(_name(query, None), query, wanted), wanted)

    def locate_many(
        self,
        queries: Iterable[Query],
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
        cautious: bool = False,
        cutting: Cutting = CUTTING,
        progress: Callable[[int], None] | None = None,
    ) -> Iterator[tuple[str, Answer | HaflocError]]:
        """Each query's name with its answer, or with why it has none, in their order.

        No query ends the others. Queries without a path are named by their number, "query 1" for
        the first, and taken one by one as answers are asked for; what the iterable itself raises
        comes through. `progress` hears how many are done. What holds for all of them is raised at
        once: an empty index, no photo `near`, a `probability` that is none, and PhotoError for one
        query where several are expected.
        """
        wanted = Wanted(top, near, rerank, probability, cautious, cutting)
        _check_several(queries)
        self._check(wanted)
        return (
            (name, found if isinstance(found, HaflocError) else self._answer(found, wanted))
            for name, found in self._each(queries, wanted, progress)
        )

    def locate_walk(
        self,
        queries: Iterable[Query],
        *,
        top: int = 10,
        near: Near | None = None,
        rerank: int = RERANK,
        probability: float = PROBABILITY,
        cautious: bool = False,
        cutting: Cutting = CUTTING,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[str, Answer | HaflocError]]:
        """As `locate_many`, for photos of one walk, which help each other by their times.

        How is told in `locate.walk`, which of them can in `locate.walk_photos`; one without a time
        is answered on its own, and the answer's `note` says so. The calibration is that of single
        photos: of an answer that the others changed the radius is no longer guaranteed, but never
        smaller. `progress` hears how many queries are read. Raises as `locate_many` does.
        """
        wanted = Wanted(top, near, rerank, probability, cautious, cutting)
        _check_several(queries)
        self._check(wanted)
        located = list(self._each(queries, wanted, progress))
        photos = [found for _, found in located if isinstance(found, RankedQuery)]
        said = iter(judge_together(photos, self._judge, wanted, self._random_distances))
        results: list[tuple[str, Answer | HaflocError]] = []
        for name, found in located:
            if isinstance(found, RankedQuery):
                photo, verdict = next(said)
                results.append((name, photo.answer(verdict, top)))
            else:
                results.append((name, found))
        return results

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

    def __reduce__(self) -> tuple[Any, ...]:
        make = partial(type(self), matcher=self._matcher, paths=self.paths)
        return make, (self.index, self.describer)

    @property
    def matcher_note(self) -> str | None:
        """What holds for every answer that a matcher verified; None without one."""
        pairing = self.candidates.pairing
        return None if pairing is None else pairing.note

    @property
    def troubles(self) -> list[str]:
        """What went wrong with the matcher so far, a line each; empty without one."""
        pairing = self.candidates.pairing
        return [] if pairing is None else pairing.troubles()

    def _check(self, wanted: Wanted) -> None:
        wanted.check()
        self.candidates.check(wanted.near)

    def _each(
        self,
        queries: Iterable[Query],
        wanted: Wanted,
        progress: Callable[[int], None] | None,
    ) -> Iterator[tuple[str, RankedQuery | HaflocError]]:
        for number, query in enumerate(queries, start=1):
            name = _name(query, number)
            try:
                yield name, self._find(name, query, wanted)
            except HaflocError as error:
                yield name, error
            if progress is not None:
                progress(number)

    def _find(self, name: str, query: Query, wanted: Wanted) -> RankedQuery:
        photos = query_photos(
            query, name=name, longer_side=self.candidates.longer_side, cutting=wanted.cutting
        )
        each = [
            (view_of(photo.part), self.candidates.find(name, photo, wanted)) for photo in photos
        ]
        views = [(view, found) for view, found in each if view is not None]
        found = join_views(views) if views else each[0][1]
        return replace(found, note=found.note or self._judge.note)

    def _answer(self, found: RankedQuery, wanted: Wanted) -> Answer:
        return found.answer(self._judge.verdict(found, wanted), wanted.top)

    def _random_distances(self) -> Floats:
        return draw_distances([record.position for record in self.index.sample(_DRAWN, _SEED)])


def _name(query: Query, number: int | None) -> str:
    """What messages and answers call a query: its path, or its number where it has none."""
    if isinstance(query, str | os.PathLike):
        return os.fsdecode(query)
    if isinstance(query, Photo) and query.path is not None:
        return part_name(str(query.path), query.part)
    return "query" if number is None else f"query {number}"


def _check_several(queries: object) -> None:
    """Raises PhotoError for what can be gone through, but is one query: text, an image, pixels."""
    one = isinstance(queries, str | bytes | bytearray | memoryview | os.PathLike | Pillow.Image)
    if one or (isinstance(queries, np.ndarray) and queries.ndim < 4 and queries.dtype != object):
        raise PhotoError(
            f"cannot locate several photos of one {type(queries).__name__}; give a list of queries"
        )
