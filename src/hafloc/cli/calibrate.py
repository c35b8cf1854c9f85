"""`hafloc calibrate`: how far off the answers of an index are, learned from known positions."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hafloc.cli.progress import bar

if TYPE_CHECKING:
    from hafloc.calibrate import CalibrationReport

SOMETHING_SKIPPED = 1


def calibrate(
    index: Annotated[Path, typer.Argument(help="The index, a .gpkg file.")],
    queries: Annotated[
        Path | None,
        typer.Option(
            help="Folder of photos with known positions, of the kind that you will ask for. "
            "By default the index's own photos, each without those at its very position."
        ),
    ] = None,
    positions: Annotated[
        Path | None,
        typer.Option(
            help="CSV of their positions: image,lat,lon[,heading,time]. By default a "
            "positions.csv in or beside the folder; else file names, else EXIF."
        ),
    ] = None,
    probability: Annotated[
        float, typer.Option(help="How often the radii in the report shall hold the truth.")
    ] = 0.9,
    sample: Annotated[
        int, typer.Option(min=1, help="How many of the index's own photos are tried.")
    ] = 300,
    model: Annotated[
        str | None, typer.Option(help="Checkpoint; by default the one that the index records.")
    ] = None,
) -> None:
    """Learn from photos of known position how far off answers are, and when to say "not here"."""
    from hafloc.calibrate import calibrate as run

    with bar() as progress:
        report = run(
            index,
            model,
            queries=queries,
            csv=positions,
            sample=sample,
            probability=probability,
            progress=progress,
        )
    _tell(index, report, probability)
    for photo in report.skipped:
        typer.echo(f"skipped: {photo.reason}", err=True)
    if report.skipped:
        raise typer.Exit(SOMETHING_SKIPPED)


def _tell(index: Path, report: "CalibrationReport", probability: float) -> None:
    from hafloc.calibrate import FEW, area_under_roc, calibration_error

    calibration = report.calibration
    found = len(calibration.scores)
    how = "by key points" if calibration.verified else "by similarity alone"
    copies = f"; {report.copies:,} copies of its photos left out" if report.copies else ""
    typer.echo(
        f"{index}: calibrated on {calibration.queries:,} queries {how}, "
        f"{found:,} of them found{copies}"
    )
    held = report.held_out
    if held is None:
        typer.echo("too few queries to tell how good that is on others", err=True)
    else:
        confidences, right = held.judged()
        area = area_under_roc(confidences[right], confidences[~right])
        typer.echo(
            f"radius      {held.radius:,.0f} m in the median; holds "
            f"{100 * held.coverage:.1f} % of {int(held.found.sum()):,} found answers not "
            f"calibrated on ({100 * probability:g} % meant)"
        )
        typer.echo(
            f"confidence  area under ROC {area:.3f}, calibration error "
            f"{calibration_error(confidences, right):.3f}, on answers not calibrated on"
        )
    if found < FEW:
        typer.echo(
            f"only {found:,} queries were found: the radius is a wide guess; {FEW} or more make it "
            "sharper",
            err=True,
        )
