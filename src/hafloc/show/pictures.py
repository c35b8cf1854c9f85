"""One picture of an answer: the query beside the photos that are most like it."""

from pathlib import Path

from PIL import Image, ImageDraw

from hafloc.errors import HaflocError
from hafloc.index import GeoIndex, PhotoPaths, Pictured, picture_of
from hafloc.locate import Answer
from hafloc.photos import Image as Pixels
from hafloc.photos import Part, PhotoFile, read_part, split_name
from hafloc.show.sheet import (
    ACCENT,
    BLANK,
    FAINT,
    GAP,
    INK,
    PAPER,
    fitted,
    letters,
    panel_size,
    shortened,
)

PANEL = 320
_CAPTION = 58
_FRAME = 5


def candidate_sheet(
    answer: Answer,
    paths: PhotoPaths,
    *,
    first: int = 5,
    query: Pixels | None = None,
    index: GeoIndex | None = None,
) -> Image.Image:
    """The query, framed, beside its `first` candidates with file name, metres and similarity.

    `paths` tells where the candidates' files lie, as `Localizer.paths` does. `query` `H×W×3`
    uint8 is the query's image where it did not come as a file. A photo that cannot be read any
    more is what the `index` keeps of it, or else a blank panel that says so.
    """
    candidates = answer.candidates[:first]
    panels = [_panel(query if query is not None else _pixels(answer.file, answer.frame))]
    panels += [
        _panel(
            _pixels(*_file_and_part(candidate.path, paths))
            if index is None
            else _picture(index, candidate)
        )
        for candidate in candidates
    ]
    foot = GAP + max(panel.height for panel in panels)
    sheet = Image.new("RGB", (GAP + len(panels) * (PANEL + GAP), foot + _CAPTION + GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, panel in enumerate(panels):
        corner = GAP + i * (PANEL + GAP) + (PANEL - panel.width) // 2, foot - panel.height
        sheet.paste(panel, corner)
        if i == 0:
            far_corner = corner[0] + panel.width - 1, foot - 1
            draw.rectangle((corner, far_corner), outline=ACCENT, width=_FRAME)
    _write(draw, GAP, foot, Path(answer.query).name, "query")
    for i, candidate in enumerate(candidates, start=1):
        facts = f"{candidate.rank} · {candidate.metres:,.0f} m · similarity "
        left = GAP + i * (PANEL + GAP)
        name = Path(candidate.path).name
        _write(draw, left, foot, name, f"{facts}{candidate.similarity:.2f}")
    return sheet


def _file_and_part(name: str, paths: PhotoPaths) -> tuple[PhotoFile, Part | None]:
    return paths.file_of(name), split_name(name)[1]


def _picture(index: GeoIndex, photo: Pictured) -> Pixels | None:
    try:
        return picture_of(index, photo, longer_side=2 * PANEL).image
    except HaflocError:
        return None


def _pixels(file: PhotoFile | None, part: Part | None = None) -> Pixels | None:
    try:
        return None if file is None else read_part(file, part, longer_side=2 * PANEL).image
    except HaflocError:
        return None


def _panel(pixels: Pixels | None) -> Image.Image:
    if pixels is not None:
        return fitted(pixels, panel_size((pixels.shape[1], pixels.shape[0]), PANEL))
    blank = Image.new("RGB", (PANEL, PANEL * 3 // 4), BLANK)
    middle = blank.width // 2, blank.height // 2
    ImageDraw.Draw(blank).text(middle, "no photo", fill=FAINT, font=letters(18), anchor="mm")
    return blank


def _write(draw: ImageDraw.ImageDraw, left: int, foot: int, name: str, facts: str) -> None:
    draw.text((left, foot + 8), shortened(draw, name, 19, PANEL), fill=INK, font=letters(19))
    draw.text((left, foot + 34), facts, fill=FAINT, font=letters(17))
