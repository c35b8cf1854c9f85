"""`hafloc calibrate`: how far off the answers of an index are, learned from known positions."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.explained import command, group
from hafloc.cli.options import (
    Csv,
    Device,
    IndexLocation,
    Json,
    Panorama,
    Precision,
    Probability,
    RecordedModel,
    Runtime,
    Trust,
    Views,
)
from hafloc.cli.output import print_json, say, tell
from hafloc.cli.progress import bar
from hafloc.cli.statuses import IN_PART
from hafloc.cli.stopping import when_stopped
from hafloc.errors import OptionError

if TYPE_CHECKING:
    from hafloc.calibrate import CalibrationReport, Promise

app = group()

_SAMPLE = 300


@command(app, "calibrate")
def calibrate(
    index: IndexLocation,
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos with known positions, of the kind that you will ask for. "
            "By default the index's own photos, each without those at its very position."
        ),
    ] = None,
    positions: Csv = None,
    panorama: Panorama = False,
    views: Views = 8,
    probability: Probability = 0.9,
    sample: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many of the index's own photos are tried.",
            show_default=str(_SAMPLE),
        ),
    ] = None,
    model: RecordedModel = None,
    device: Device = "auto",
    runtime: Runtime = "auto",
    precision: Precision = "auto",
    trust: Trust = False,
    as_json: Json = False,
) -> None:
    """Learn from photos of known position how far off answers are, and when to say "not here"."""
    from hafloc.calibrate import calibrate as run
    from hafloc.describe import choose_device
    from hafloc.photos import Cutting

    _check(queries, positions, sample)
    if queries is None and (panorama or views != 8):
        raise OptionError(
            "--panorama and --views are about --queries; name their folder, or leave them out"
        )
    with when_stopped("the index is as it was; run it again"), bar() as progress:
        report = run(
            index,
            model,
            queries=queries,
            csv=positions,
            sample=sample or _SAMPLE,
            probability=probability,
            device=choose_device(device),
            runtime=runtime,
            precision=precision,
            cutting=Cutting(views, assume=panorama),
            progress=progress,
        )
    if as_json:
        print_json(_facts(index, report, probability))
    else:
        _tell(index, report, probability)
        for photo in report.skipped:
            tell(f"skipped: {photo.reason}")
    if report.skipped:
        raise typer.Exit(IN_PART)


def _check(queries: Path | None, positions: Path | None, sample: int | None) -> None:
    if positions is not None and queries is None:
        raise OptionError(
            "--positions tells where --queries were taken; name their folder, or leave it out"
        )
    if sample is not None and queries is not None:
        raise OptionError(
            "--sample is for the index's own photos, and --queries brings others; leave one out"
        )


def _facts(index: str, report: "CalibrationReport", probability: float) -> dict[str, object]:
    from hafloc.calibrate.quality import area_under_roc, calibration_error

    calibration, held = report.calibration, report.held_out
    facts: dict[str, object] = {
        "index": index,
        "queries": calibration.queries,
        "found": len(calibration.scores),
        "verified": calibration.verified,
        "copies": report.copies,
        "probability": probability,
        "held_out": None,
        "skipped": report.skipped,
    }
    if held is not None:
        confidences, right = held.judged()
        plain, cautious = held.plain_and_cautious()
        facts["held_out"] = {
            **_kept(plain),
            "cautious": _kept(cautious),
            "found": int(held.found.sum()),
            "area_under_roc": area_under_roc(confidences[right], confidences[~right]),
            "calibration_error": calibration_error(confidences, right),
        }
    return facts


def _kept(promise: "Promise") -> dict[str, object]:
    return {
        "radius": promise.radius,
        "coverage": promise.coverage,
        "coverage_95_percent": promise.interval,
        "coverage_by_neighbourhood": (promise.worst, promise.best),
    }


def _tell(index: str, report: "CalibrationReport", probability: float) -> None:
    from hafloc.calibrate import FEW, area_under_roc, calibration_error

    calibration = report.calibration
    found = len(calibration.scores)
    how = "by key points" if calibration.verified else "by similarity alone"
    copies = f"; {report.copies:,} copies of its photos left out" if report.copies else ""
    say(
        f"{index}: calibrated on {calibration.queries:,} queries {how}, "
        f"{found:,} of them found{copies}"
    )
    held = report.held_out
    if held is None:
        tell("too few queries to tell how good that is on others")
    else:
        confidences, right = held.judged()
        area = area_under_roc(confidences[right], confidences[~right])
        plain, cautious = held.plain_and_cautious()
        low, high = plain.interval
        say(
            f"radius      {plain.radius:,.0f} m in the median; holds "
            f"{100 * plain.coverage:.1f} % ({100 * low:.0f} to {100 * high:.0f}) of "
            f"{int(held.found.sum()):,} found answers not calibrated on "
            f"({100 * probability:g} % meant){_by_neighbourhood(plain)}"
        )
        if math.isfinite(cautious.radius):
            say(
                f"--cautious  {cautious.radius:,.0f} m in the median; holds "
                f"{100 * cautious.coverage:.1f} %{_by_neighbourhood(cautious)}"
            )
        say(
            f"confidence  area under ROC {area:.3f}, calibration error "
            f"{calibration_error(confidences, right):.3f}, on answers not calibrated on"
        )
    if found < FEW:
        tell(
            f"only {found:,} queries were found: the radius is a wide guess; {FEW} or more make it "
            "sharper"
        )


def _by_neighbourhood(promise: "Promise") -> str:
    if math.isnan(promise.worst):
        return ""
    return f"; {100 * promise.worst:.0f} to {100 * promise.best:.0f} % in single neighbourhoods"
