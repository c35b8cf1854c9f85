"""What `index build`, `index add` and `demo` do so that answers fit their index at once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.progress import Bar
from hafloc.cli.stopping import when_stopped

if TYPE_CHECKING:
    from hafloc.calibrate import NotCalibrated, SelfCalibration

Calibrate = Annotated[
    bool,
    typer.Option(
        "--calibrate/--no-calibrate",
        help="Learn from at most 200 of the index's own photos how far off its answers are, the "
        "first time and whenever it has grown by a quarter.",
    ),
]


def calibrate_itself(
    index: str, wanted: bool, progress: Bar
) -> "SelfCalibration | NotCalibrated | None":
    """Calibrate an index on its own photos where that is wanted and due; None where unwanted."""
    from hafloc.calibrate import keep_calibrated

    if not wanted:
        return None
    with when_stopped(
        f"all photos are stored in {index}, but its radius is not fitted to them yet; "
        f"`hafloc calibrate {index}`, or the same command again, does that"
    ):
        return keep_calibrated(index, progress=progress)


def calibration_facts(done: "SelfCalibration | NotCalibrated | None") -> dict[str, object] | None:
    """What became of it, for programs; None where it was not wanted."""
    from hafloc.calibrate import NotCalibrated

    if done is None:
        return None
    if isinstance(done, NotCalibrated):
        return {"calibrated": False, "reason": done.reason, "queries": 0, "found": 0}
    origin = done.origin
    return {
        "calibrated": True,
        "reason": None,
        "queries": origin.queries,
        "found": origin.found,
    }


def calibration_notes(done: "SelfCalibration | NotCalibrated | None") -> Iterator[str]:
    """What became of it, for people; nothing where nothing was due."""
    from hafloc.calibrate import NotCalibrated

    if isinstance(done, NotCalibrated):
        if done.due:
            yield f"radius and confidence stay as they are: {done.reason}"
    elif done is not None:
        yield (
            f"radius fitted to {done.origin.queries:,} of its own photos, "
            f"{done.origin.found:,} of them found"
        )
