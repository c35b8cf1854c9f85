"""What commands need of films: the option --every, and their frames as queries."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from hafloc.errors import PhotoError
    from hafloc.locate import Answer
    from hafloc.photos import Clip, Every, PhotoFile, Scan

# Of a film before it is looked into: a minute's way.
_FRAMES = 100

FilmsEvery = Annotated[
    str | None,
    typer.Option(
        "--every",
        metavar="5m|2s",
        help="Take frames of films: one every so many metres of the way (--track), or seconds. "
        "Needed for films in a folder; see docs/video.md.",
        show_default="5m for a film that is named itself",
    ),
]
ClipsEvery = Annotated[
    str | None,
    typer.Option(
        "--every",
        metavar="2s|5m",
        help="Which frames of a film to locate: one every so many seconds, or metres where the "
        "film tells its way.",
        show_default="2s",
    ),
]


def every_of(text: str | None) -> "Every | None":
    """How far apart frames are taken, None where that is not said. Raises OptionError."""
    if text is None:
        return None
    from hafloc.photos import parse_every

    return parse_every(text)


def expected(found: "Scan") -> int:
    """About how many photos are to be described, by which a runtime is chosen."""
    from hafloc.photos import is_film

    return sum(_FRAMES if is_film(path) else 1 for path in found.paths)


def stills(found: "Scan") -> "list[PhotoFile]":
    """The photos that are no films."""
    from hafloc.photos import is_film

    return [path for path in found.paths if not is_film(path)]


def clips(queries: Sequence[Path], every: str | None) -> "dict[Path, Clip | PhotoError]":
    """The films among queries, looked into, or why that cannot be.

    Raises OptionError where there is no film, or none that metres can be told of, and
    MissingExtraError without the reader."""
    from hafloc.errors import OptionError, PhotoError
    from hafloc.photos import Every, is_film, is_folder, open_clip

    chosen = every_of(every)
    films = [query for query in queries if is_film(query) and not is_folder(query)]
    if chosen is not None and not films:
        raise OptionError("--every is about films, and no query is one; leave it out")
    found: dict[Path, Clip | PhotoError] = {}
    for film in films:
        try:
            found[film] = open_clip(film, chosen or Every(seconds=2.0))
        except PhotoError as error:
            found[film] = error
    return found


def films_in_words(answers: "Sequence[Answer]") -> Iterator[str]:
    """A line for each film that was located: how many frames, where from and to, how far."""
    from hafloc.geo import distance

    by_film: dict[str, list[Answer]] = defaultdict(list)
    for answer in answers:
        if answer.frame is not None:
            by_film[str(answer.file)].append(answer)
    for film, frames in by_film.items():
        found = [answer for answer in frames if answer.found is not False]
        head = f"{film}: {len(found):,} of {len(frames):,} frames found"
        if all(answer.found is None for answer in frames):
            head = f"{film}: {len(frames):,} frames located"
        if not found:
            yield head
            continue
        metres = sum(distance(a.position, b.position) for a, b in itertools.pairwise(found))
        start, end = found[0], found[-1]
        yield (
            f"{head}, {metres:,.0f} m from {start.position} ({_code(start)}) to {end.position} "
            f"({_code(end)})"
        )


def _code(answer: "Answer") -> str:
    """The time code of a frame, as players show it."""
    seconds = 0.0 if answer.frame is None else answer.frame.time
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"
