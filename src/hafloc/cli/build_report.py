"""What `index build` and `index add` say of their work."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from hafloc.cli.output import print_json, say, tell
from hafloc.cli.own_calibration import calibration_facts, calibration_notes
from hafloc.cli.statuses import IN_PART

if TYPE_CHECKING:
    from hafloc.calibrate import NotCalibrated, SelfCalibration
    from hafloc.index import BuildReport

_NAMED = 5  # how many photos or rows a line names


def report_build(
    index: str,
    report: "BuildReport",
    calibrated: "SelfCalibration | NotCalibrated | None",
    as_json: bool,
) -> None:
    """Print a build's report; ends with status 1 where photos or rows could not be used."""
    if as_json:
        facts = {"index": index, **asdict(report)}
        print_json(facts | {"calibration": calibration_facts(calibrated)})
    else:
        say(f"{index}: {', '.join(_counts(report))}")
        for line in _notes(report):
            tell(line)
        for photo in report.skipped:
            tell(f"skipped: {photo.reason}")
        for line in calibration_notes(calibrated):
            tell(line)
    if report.skipped or report.table_problems:
        raise typer.Exit(IN_PART)


def _counts(report: "BuildReport") -> list[str]:
    kinds = [*([_panoramas(report)] if report.panoramas else []), *_films(report)]
    cut = f" ({', '.join(kinds)})" if kinds else ""
    always = [f"{report.added:,} added{cut}", f"{report.unchanged:,} unchanged"]
    others = (
        (report.replaced, "of them in place of another"),
        (report.moved, "moved"),
        (report.corrected, "corrected"),
        (report.removed, "removed, for nothing places them or their files hold something else"),
        (report.pruned, "removed, for their files are gone"),
        (report.tracked or 0, "placed by the track"),
        (len(report.gone), "gone"),
        (len(report.skipped), "skipped"),
    )
    return [always[0], *(f"{n:,} {words}" for n, words in others[:1] if n), always[1]] + [
        f"{n:,} {words}" for n, words in others[1:] if n
    ]


def _panoramas(report: "BuildReport") -> str:
    whole = "panorama" if report.panoramas == 1 else "panoramas"
    return f"of them {report.panoramas:,} {whole} in {report.views:,} views"


def _films(report: "BuildReport") -> Iterator[str]:
    if report.frames:
        frames = "1 frame" if report.frames == 1 else f"{report.frames:,} frames"
        yield f"of them {frames} of {report.films:,} film{'s' * (report.films > 1)}"


def _notes(report: "BuildReport") -> Iterator[str]:
    for line in report.flat[:_NAMED]:
        yield f"{line}; taken as it is"
    if len(report.flat) > _NAMED:
        yield f"and {_photos(len(report.flat) - _NAMED)} more like these"
    if report.wide:
        looks = "looks like a panorama" if len(report.wide) == 1 else "look like panoramas"
        yield (
            f"{_photos(len(report.wide))} {looks}: {_some(report.wide)}; "
            "--panorama cuts such photos into views"
        )
    if report.gone:
        yield (
            f"{_photos(len(report.gone))} in the index, but gone from the folder: "
            f"{_some(report.gone)}; --prune takes them out"
        )
    if report.tabled:
        yield (
            f"{_photos(report.tabled)} placed by a table or track that is not here now; what it "
            "said stays (--positions and --track name it)"
        )
    if report.left_out:
        hint = "; --every 5m takes frames of films" if "video" in report.left_out else ""
        yield f"{report.left_out}{hint}"
    yield from report.notes
    table = report.table
    for problem in report.table_problems:
        yield f"skipped: {problem}"
    if report.unmatched_rows:
        rows = len(report.unmatched_rows)
        yield (
            f"{table}: {rows:,} row{'s match' if rows > 1 else ' matches'} no photo here: "
            f"{_some(report.unmatched_rows)}"
        )
    if table is not None and report.unmatched_photos:
        yield (
            f"{table}: {_photos(len(report.unmatched_photos))} without a row in it: "
            f"{_some(report.unmatched_photos)}"
        )


def _photos(count: int) -> str:
    return f"{count:,} photo{'s' if count > 1 else ''}"


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
