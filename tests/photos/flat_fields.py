"""A picture of six flat fields of pure colour, so that turns and wrong channels show."""

import io

import numpy as np
from PIL import Image as Pillow

CORNERS = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[255, 255, 0], [0, 255, 255], [255, 0, 255]]],
    np.uint8,
)


def picture(width: int = 96, height: int = 64) -> Pillow.Image:
    """Six flat fields of pure colour, so that turns and wrong channels show."""
    rows, columns = np.arange(height) * 2 // height, np.arange(width) * 3 // width
    return Pillow.fromarray(CORNERS[rows][:, columns])


def encoded(image: Pillow.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF" and "exif" in options:
        # Only from bytes does pillow-heif write the rotation into the container as well.
        options["exif"] = options["exif"].tobytes()
    image.save(out, kind, **options)
    return out.getvalue()


def oriented_exif(orientation: int, size: tuple[int, int] | None = None) -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    if size is not None:
        exif.get_ifd(0x8769).update({0xA002: size[0], 0xA003: size[1]})
    return exif


def turned_by_hand(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """EXIF 2.32, 4.6.4: where row 0 and column 0 of the stored pixels are seen."""
    height, width = pixels.shape[:2]
    side = (width, height) if orientation >= 5 else (height, width)
    upright = np.zeros((*side, 3), np.uint8)
    for row in range(height):
        for column in range(width):
            down, right = height - 1 - row, width - 1 - column
            place = {
                1: (row, column),
                2: (row, right),
                3: (down, right),
                4: (down, column),
                5: (column, row),
                6: (column, down),
                7: (right, down),
                8: (right, row),
            }[orientation]
            upright[place] = pixels[row, column]
    return upright
