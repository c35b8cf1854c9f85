"""The table of fetched photos: positions and credits for `index build`, credits for people."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from hafloc.errors import OptionError, reason_of
from hafloc.files import write_whole
from hafloc.sources.street_photo import StreetPhoto

TABLE = "positions.csv"
CREDITS = "CREDITS.txt"
COLUMNS = (
    *("image", "lat", "lon", "heading", "time", "accuracy", "field_of_view"),
    *("licence", "producer", "source_url"),
)

Row = Mapping[str, str]


def row_of(photo: StreetPhoto, image: str) -> Row:
    """The row of a photo that lies in the file `image`."""
    values = {
        "image": image,
        "lat": f"{photo.position.lat:.8f}",
        "lon": f"{photo.position.lon:.8f}",
        "heading": _text(photo.heading),
        "time": "" if photo.time is None else photo.time.isoformat(),
        "accuracy": _text(photo.accuracy),
        "field_of_view": _text(photo.field_of_view),
        "licence": photo.licence or "",
        "producer": photo.producer or "",
        "source_url": photo.source_url,
    }
    return {name: _line(value) for name, value in values.items()}


def read_rows(folder: Path) -> dict[str, Row]:
    """The rows of a folder's table by file; none where there is no table.

    Raises OptionError for a table that `write_rows` did not write, which is then left alone.
    """
    path = folder / TABLE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except NotADirectoryError as error:
        it = "it is" if folder.is_file() else "a part of its path is"
        raise OptionError(
            f"cannot fetch into {folder}: {it} a file; name a folder for the photos"
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise OptionError(
            f"cannot read {path}: {why or reason_of(error)}; name another folder for the photos"
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise OptionError(
            f"cannot fetch into {folder}: its {TABLE} is not one of `hafloc fetch`; "
            "name another folder for the photos"
        )
    return {row["image"]: {name: row[name] for name in COLUMNS} for row in reader}


def write_rows(folder: Path, rows: Iterable[Row]) -> None:
    """Write the table, whole or not at all. Raises OutputError."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / TABLE, text.getvalue().encode())


def write_credits(folder: Path, rows: Iterable[Row]) -> None:
    """Write whose photos these are and under which licences. Raises OutputError."""
    write_whole(folder / CREDITS, _credits(list(rows)).encode())


def _credits(rows: list[Row]) -> str:
    lines = [
        f"Whose photos these are: {len(rows):,} fetched by hafloc.",
        f"Each photo's own page is in {TABLE}, column source_url.",
    ]
    by_licence: dict[str, Counter[str]] = {}
    for row in rows:
        by_licence.setdefault(row["licence"], Counter())[row["producer"] or "unknown"] += 1
    for licence, producers in sorted(by_licence.items()):
        lines += ["", f"{licence or 'Licence unknown: ask before you publish them'}"]
        lines += [f"  {name}: {count:,}" for name, count in sorted(producers.items())]
    return "\n".join(lines) + "\n"


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}" if value == round(value, 4) else f"{value:.4f}"


def _line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
