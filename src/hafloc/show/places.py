"""Answers as files for maps and tables of others: GPX, KML, CSV."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from hafloc.files import write_whole
from hafloc.locate import Answer, in_words

_COLUMNS = (
    *("image", "lat", "lon", "heading", "accuracy", "probability", "confidence", "found"),
    "nearest",
)
_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


def write_gpx(path: Path, answers: Sequence[Answer]) -> int:
    """Answers as waypoints of GPX 1.1, those that are not in the database left out; how many there
    are. The frames of a film are a track as well. Raises OutputError."""
    points = "".join(
        f'  <wpt lat="{a.position.lat:.7f}" lon="{a.position.lon:.7f}">\n'
        f"    <name>{_text(a.query)}</name>\n    <desc>{_text(in_words(a))}</desc>\n  </wpt>\n"
        for a in _placed(answers)
    )
    content = (
        f'{_HEAD}<gpx version="1.1" creator="hafloc" xmlns="http://www.topografix.com/GPX/1/1">\n'
        f"{points}{''.join(map(_gpx_track, _films(answers)))}</gpx>\n"
    )
    write_whole(path, content.encode())
    return len(_placed(answers))


def write_kml(path: Path, answers: Sequence[Answer]) -> int:
    """As `write_gpx`, as placemarks of KML 2.2."""
    marks = "".join(
        f"  <Placemark>\n    <name>{_text(a.query)}</name>\n"
        f"    <description>{_text(in_words(a))}</description>\n    <Point><coordinates>"
        f"{a.position.lon:.7f},{a.position.lat:.7f}</coordinates></Point>\n  </Placemark>\n"
        for a in _placed(answers)
    )
    content = (
        f'{_HEAD}<kml xmlns="http://www.opengis.net/kml/2.2">\n<Document>\n{marks}'
        f"{''.join(map(_kml_track, _films(answers)))}</Document>\n"
        "</kml>\n"
    )
    write_whole(path, content.encode())
    return len(_placed(answers))


def write_csv(path: Path, answers: Sequence[Answer]) -> int:
    """As `write_gpx`, as a table that `--positions` reads; `accuracy` is the radius in metres."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(_COLUMNS)
    for a in _placed(answers):
        table.writerow(
            (
                _bare(a.query),
                f"{a.position.lat:.7f}",
                f"{a.position.lon:.7f}",
                "" if a.heading is None else f"{a.heading:.1f}",
                "" if a.radius is None else f"{a.radius:.2f}",
                "" if a.probability is None else f"{a.probability:g}",
                "" if a.confidence is None else f"{a.confidence:.4f}",
                "" if a.found is None else str(a.found).lower(),
                _bare(a.candidates[0].path),
            )
        )
    write_whole(path, text.getvalue().encode("utf-8", "replace"))
    return len(_placed(answers))


def _placed(answers: Sequence[Answer]) -> list[Answer]:
    # As a point on a map a best guess would look like an answer.
    return [answer for answer in answers if answer.found is not False]


def _films(answers: Sequence[Answer]) -> list[list[Answer]]:
    """The placed frames of each film, at least two of them, in the order of their times."""
    films: dict[str, list[tuple[float, Answer]]] = {}
    for answer in _placed(answers):
        if answer.frame is not None:
            films.setdefault(str(answer.file), []).append((answer.frame.time, answer))
    ordered = [sorted(frames, key=lambda item: item[0]) for frames in films.values()]
    return [[answer for _, answer in frames] for frames in ordered if len(frames) > 1]


def _gpx_track(frames: Sequence[Answer]) -> str:
    points = "".join(
        f'<trkpt lat="{a.position.lat:.7f}" lon="{a.position.lon:.7f}"/>' for a in frames
    )
    name = _text(str(frames[0].file))
    return f"  <trk><name>{name}</name><trkseg>{points}</trkseg></trk>\n"


def _kml_track(frames: Sequence[Answer]) -> str:
    points = " ".join(f"{a.position.lon:.7f},{a.position.lat:.7f}" for a in frames)
    name = _text(str(frames[0].file))
    return (
        f"  <Placemark><name>{name}</name><LineString><coordinates>{points}</coordinates>"
        "</LineString></Placemark>\n"
    )


def _text(text: str) -> str:
    """Text for XML, which has no way to write control characters and halves of letters."""
    return escape(_bare(text))


def _bare(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
