"""Why an answer is believed: matches of a query with one photo, heat maps, and the map."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hafloc.description import Description
from hafloc.geo import Position
from hafloc.index import GeoIndex
from hafloc.locate import Candidate, Comparison, in_words
from hafloc.photos import Image as Pixels
from hafloc.photos import (
    Part,
    Photo,
    PhotoFile,
    View,
    Window,
    cut_part,
    in_panorama,
    outline,
    read_part,
    split_name,
    view_of,
)
from hafloc.photos import whole_panorama as read_panorama
from hafloc.show.attention import overlay
from hafloc.show.dots import chosen_photos
from hafloc.show.sheet import ACCENT, FAINT, GAP, INK, PAPER, fitted, letters, shortened
from hafloc.show.sketch import map_sketch
from hafloc.verify import Evidence

# Perceptually uniform, and told apart by colour-blind eyes.
COLOUR_MAP = "viridis"
# More would hide the photos.
MOST_LINES = 150
MOST_DOTS = 3_000
_PHOTO = (640, 480)  # the box of each photo
_SMALL = (420, 315)  # of each heat map and of the map
_WIDTH = 2 * _PHOTO[0] + 3 * GAP
_PANORAMA = (640, 320)  # the box of each
_HEAD = 84
_CAPTION = 34
_SHARP = 2  # lines are drawn so many times larger, so that they come out smooth
_VEIL = (255, 255, 255, 60)  # over the photos, so that lines stand out

Box = tuple[float, float, float, float]  # left, top, width, height


class Seer(Protocol):
    """What a picture needs of `hafloc.describe.Describer`."""

    longer_side: int

    def describe(self, image: Pixels) -> Description: ...


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two photos: its picture, the part of it that the network saw, what it says of it,
    and its caption; of a view, the panorama."""

    image: Pixels
    seen: Pixels
    description: Description
    caption: str
    panorama: Photo | None = None
    view: View | None = None


def match_picture(comparison: Comparison, describer: Seer, index: GeoIndex) -> Image.Image:
    """The query beside one photo with lines between the key points that one geometry explains.

    Below are the heat maps of both and a map with the answer, its radius, the photo's place and
    photos of the `index` as dots, at most MOST_DOTS; above, in words, what the answer is and rests
    on. Lines are coloured by their height in the query; of more than MOST_LINES an even choice is
    drawn. Of a view of a panorama, the whole of it is at the bottom, with the view and its matches
    marked. The query must have come as a file. Raises PhotoError where a photo cannot be read.
    """
    if comparison.answer.file is None:
        raise ValueError("the query came without a file; locate its file")
    candidate = comparison.candidate
    sides = (
        _side(
            comparison.answer.file,
            describer,
            f"query: {Path(comparison.answer.query).name}",
            comparison.answer.window,
            candidate.query_view or comparison.answer.frame,
        ),
        _side(
            comparison.file,
            describer,
            _caption(candidate),
            part=split_name(candidate.path)[1],
        )
        if comparison.small is None
        else _small_side(comparison.small, describer, _caption(candidate)),
    )
    second = _HEAD + _PHOTO[1] + _CAPTION + GAP
    third = second + _SMALL[1] + _CAPTION + GAP
    more = _PANORAMA[1] + _CAPTION + GAP if any(side.panorama for side in sides) else 0
    sheet = Image.new("RGB", (_WIDTH, third + more), PAPER)
    draw = ImageDraw.Draw(sheet)
    boxes = []
    for i, side in enumerate(sides):
        left = GAP + i * (_PHOTO[0] + GAP)
        boxes.append(_paste(sheet, fitted_to(side.image, _PHOTO), (left, _HEAD), _PHOTO))
        _write(draw, (left, _HEAD + _PHOTO[1] + 7), side.caption, 19, _PHOTO[0])
    sheet.paste(_lined(sheet, comparison.evidence, boxes))
    draw = ImageDraw.Draw(sheet)
    _draw_head(draw, comparison)
    if not comparison.evidence.inliers:
        _draw_banner(draw, (_WIDTH / 2, _HEAD + _PHOTO[1] / 2))
    places = [comparison.answer.position, candidate.position]
    photos = [record.position for record in chosen_photos(index, places, MOST_DOTS)]
    _draw_below(sheet, sides, comparison, photos, second)
    for i, side in enumerate(sides):
        if side.panorama is not None and side.view is not None:
            picture = _marked(side.panorama, side.view, comparison.evidence, i)
            left = GAP + i * (_PHOTO[0] + GAP)
            _paste(sheet, picture, (left, third), _PANORAMA)
            name = ("query", "candidate")[i]
            legend = f"the panorama of the {name}, with the view above and its matches"
            _write(ImageDraw.Draw(sheet), (left, third + _PANORAMA[1] + 7), legend, 17, _PHOTO[0])
    return sheet


def fitted_to(image: Pixels, box: tuple[int, int]) -> Image.Image:
    """The image as large as fits the box."""
    height, width = image.shape[:2]
    ratio = min(box[0] / width, box[1] / height)
    return fitted(image, (max(1, round(width * ratio)), max(1, round(height * ratio))))


def chosen_pairs(evidence: Evidence, most: int = MOST_LINES) -> NDArray[np.float32]:
    """The inlier pairs from the query's top to its bottom, an even choice of at most `most`."""
    order = np.argsort(evidence.pairs[:, 1], kind="stable")
    if len(order) > most:
        order = order[np.linspace(0, len(order) - 1, most).round().astype(int)]
    return np.asarray(evidence.pairs[order])


def facts_in_words(evidence: Evidence) -> str:
    """How many key points agree, under which geometry."""
    if not evidence.inliers:
        return f"no match: none of {evidence.matches:,} similar key points agree on a geometry"
    geometry = {
        "homography": "one plane (homography)",
        "fundamental": "one camera motion (fundamental matrix)",
    }[evidence.geometry]
    return f"{evidence.inliers:,} of {evidence.matches:,} matches agree with {geometry}"


def _side(
    file: PhotoFile,
    describer: Seer,
    caption: str,
    window: Window | None = None,
    part: Part | None = None,
) -> _Side:
    side = max(describer.longer_side, 2 * max(_PHOTO))
    view = view_of(part)
    if view is not None:
        whole = read_panorama(file, part or view, longer_side=side)
        cut = cut_part(whole, part or view, longer_side=side).image
        return _Side(cut, cut, describer.describe(cut), caption, whole, view)
    photo = read_part(file, part, longer_side=side)
    image = seen = photo.image
    if window is not None:
        height, width = image.shape[:2]
        seen = window.scaled((photo.width, photo.height), (width, height)).of(image)
    return _Side(image, seen, describer.describe(seen), caption)


def _small_side(small: Pixels, describer: Seer, caption: str) -> _Side:
    """What the index keeps of a photo whose file is not at hand; a view is without its panorama."""
    return _Side(small, small, describer.describe(small), f"{caption}  (small picture)")


def _caption(candidate: Candidate) -> str:
    credit = f"  ({candidate.credit})" if candidate.credit else ""
    return f"candidate {candidate.rank:,}: {candidate.path}{credit}"


def _marked(panorama: Photo, view: View, evidence: Evidence, which: int) -> Image.Image:
    """A panorama with the outline of its view, and the view's matches as dots."""
    picture = fitted_to(panorama.image, _PANORAMA)
    draw, sphere = ImageDraw.Draw(picture), panorama.sphere
    assert sphere is not None, "a panorama"
    edge = outline(sphere, view, picture.size)
    for (x0, y0), (x1, y1) in itertools.pairwise([*edge.tolist(), edge[0].tolist()]):
        # Where it goes over the picture's edge, it goes on at the other side.
        if abs(x1 - x0) < picture.width / 2:
            draw.line((x0, y0, x1, y1), fill=ACCENT, width=3)
    if evidence.sizes is not None and evidence.inliers:
        points = chosen_pairs(evidence)[:, 2 * which : 2 * which + 2].astype(np.float64)
        dots = in_panorama(sphere, view, points, evidence.sizes[which], picture.size)
        for x, y in dots.tolist():
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=ACCENT)
    return picture


def _paste(
    sheet: Image.Image, picture: Image.Image, corner: tuple[int, int], box: tuple[int, int]
) -> Box:
    left = corner[0] + (box[0] - picture.width) // 2
    top = corner[1] + (box[1] - picture.height) // 2
    sheet.paste(picture, (left, top))
    return left, top, picture.width, picture.height


def _lined(sheet: Image.Image, evidence: Evidence, boxes: Sequence[Box]) -> Image.Image:
    """The sheet with a line from key point to key point."""
    if evidence.sizes is None or not evidence.inliers:
        return sheet
    pairs = chosen_pairs(evidence)
    ends = [
        _placed(pairs[:, 2 * i : 2 * i + 2], size, box)
        for i, (size, box) in enumerate(zip(evidence.sizes, boxes, strict=True))
    ]
    layer = Image.new("RGBA", (sheet.width * _SHARP, sheet.height * _SHARP), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for left, top, width, height in boxes:
        corners = (left, top, left + width - 1, top + height - 1)
        draw.rectangle([round(c * _SHARP) for c in corners], fill=_VEIL)
    colours = _colours(pairs[:, 1])
    # Dark first, so that a light line's edge is not lost in them.
    for width, dot, edge in ((6, 5, True), (3, 3, False)):
        for here, there, colour in zip(*ends, colours, strict=True):
            ink = (20, 20, 30, 110) if edge else (*colour, 255)
            line = [(x * _SHARP, y * _SHARP) for x, y in (here, there)]
            draw.line([*line[0], *line[1]], fill=ink, width=width * _SHARP // 2)
            for x, y in line:
                r = dot * _SHARP / 2 + _SHARP / 2
                draw.ellipse((x - r, y - r, x + r, y + r), fill=ink)
    small = layer.resize(sheet.size, Image.Resampling.BOX)
    return Image.alpha_composite(sheet.convert("RGBA"), small).convert("RGB")


def _placed(xy: NDArray[np.float32], size: tuple[int, int], box: Box) -> NDArray[np.float64]:
    """Pixels of the described image, centres at integers, as places on the sheet `[N, 2]`."""
    left, top, width, height = box
    scale = np.array([width / size[0], height / size[1]])
    return np.asarray((xy.astype(np.float64) + 0.5) * scale - 0.5 + np.array([left, top]))


def _colours(heights: NDArray[np.float32]) -> list[tuple[int, int, int]]:
    low, high = float(heights.min()), float(heights.max())
    shares = (heights - low) / max(high - low, 1e-9)
    colours = np.rint(colormaps[COLOUR_MAP](shares)[:, :3] * 255).astype(int)
    return [(int(r), int(g), int(b)) for r, g, b in colours]


def _draw_head(draw: ImageDraw.ImageDraw, comparison: Comparison) -> None:
    answer, evidence = comparison.answer, comparison.evidence
    words = in_words(answer)
    if answer.found is False:
        words += f"; best guess {answer.position}"
    elif answer.radius is None:
        words += "  (how far off it may be is not known)"
    title = f"{Path(answer.query).name}:  {words}"
    width = _WIDTH - 2 * GAP
    size = next((n for n in (27, 23, 19) if draw.textlength(title, letters(n)) <= width), 17)
    _write(draw, (GAP, 14), title, size, width)
    facts = facts_in_words(evidence)
    if evidence.inliers > MOST_LINES:
        facts += f"; {MOST_LINES} of them drawn"
    if evidence.inliers:
        facts += ", coloured by height in the query"
    _write(draw, (GAP, 50), facts, 20, _WIDTH - 2 * GAP, FAINT)


def _draw_banner(draw: ImageDraw.ImageDraw, middle: tuple[float, float]) -> None:
    text, font = "no match", letters(30)
    left, top, right, bottom = draw.textbbox(middle, text, font=font, anchor="mm")
    draw.rectangle((left - 18, top - 12, right + 18, bottom + 12), fill=PAPER, outline=INK, width=2)
    draw.text(middle, text, fill=INK, font=font, anchor="mm")


def _draw_below(
    sheet: Image.Image,
    sides: Sequence[_Side],
    comparison: Comparison,
    photos: Sequence[Position],
    top: int,
) -> None:
    answer, candidate = comparison.answer, comparison.candidate
    panels = []
    for side, name in zip(sides, ("query", "candidate"), strict=True):
        size = fitted_to(side.seen, _SMALL).size
        heat = overlay(side.seen, side.description.attention, side.description, size)
        panels.append((heat, f"where the network looks: {name}"))
    pin = "best guess" if answer.found is False else "answer"
    circle = "" if answer.radius is None else ", circle: its radius"
    legend = f"pin: {pin}{circle}, {candidate.rank:,}: candidate, {candidate.metres:,.0f} m away"
    if candidate.heading is not None and candidate.magnetic:
        legend += ", its heading magnetic"
    panels.append((map_sketch(answer, candidate, photos, _SMALL), legend))
    draw = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(panels):
        left = GAP + i * (_SMALL[0] + GAP)
        _paste(sheet, picture, (left, top), _SMALL)
        _write(draw, (left, top + _SMALL[1] + 7), caption, 17, _SMALL[0])


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    width: int,
    ink: tuple[int, int, int] = INK,
) -> None:
    draw.text(at, shortened(draw, text, size, width), fill=ink, font=letters(size))
