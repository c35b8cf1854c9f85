"""Panoramas of the city: all round from one place, as equirectangular photos that say so."""

import io
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from hafloc.demo.camera import Camera
from hafloc.demo.city import City
from hafloc.demo.conditions import Conditions
from hafloc.demo.render import render
from hafloc.demo.write import DemoPhoto, exif_of
from hafloc.files import write_whole

# Slices all round: pinholes, each so narrow that its edges are hardly stretched.
_SLICES = 24
# Degrees above and below the horizon that are drawn; beyond, the last row goes on.
_HIGH = 48.0
_LEAST_WIDTH = 64


def render_panorama(
    city: City, camera: Camera, conditions: Conditions, width: int = 2048
) -> NDArray[np.uint8]:
    """All that is seen from a camera's place, its heading in the middle: RGB `H×W×3`, W = 2 H.

    Nobody passes by, for slices would show each somebody else. More than 48° above and below the
    horizon rows repeat. Raises ValueError for a width below 64.
    """
    if width < _LEAST_WIDTH:
        raise ValueError(f"a panorama of {width} pixels shows nothing; give {_LEAST_WIDTH} or more")
    still = replace(conditions, people=0, cars=0)
    focal = width / (2 * math.pi)
    half = math.pi / _SLICES
    wide = 2 * math.ceil(focal * math.tan(half) + 2)
    high = 2 * math.ceil(focal * math.tan(math.radians(_HIGH)) / math.cos(half) + 2)
    view = math.degrees(2 * math.atan(wide / 2 / focal))
    longitude = (np.arange(width) + 0.5) / width * 2 * math.pi - math.pi
    elevation = math.pi / 2 - (np.arange(width // 2) + 0.5) / (width // 2) * math.pi
    slope = np.tan(elevation.clip(-math.radians(_HIGH), math.radians(_HIGH)))
    nearest = np.rint(longitude / (2 * half)).astype(int)
    image = np.empty((width // 2, width, 3), np.uint8)
    for number in range(nearest.min(), nearest.max() + 1):
        columns = nearest == number
        turn = number * 2 * half
        slice_ = replace(
            camera,
            heading=(camera.heading + math.degrees(turn)) % 360,
            field_of_view=view,
            size=(wide, high),
            rise=0.0,
        )
        off = longitude[columns] - turn
        x = (wide - 1) / 2 + focal * np.tan(off)
        y = (high - 1) / 2 - focal * slope[:, None] / np.cos(off)
        image[:, columns] = cv2.remap(
            render(city, slice_, still),
            np.broadcast_to(x, y.shape).astype(np.float32),
            y.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
    return image


def write_panoramas(
    folder: Path, city: City, photos: Sequence[DemoPhoto], *, width: int = 2048, located: bool
) -> list[DemoPhoto]:
    """Render a panorama at the place of each photo, into `pano_NNNN.jpg` below `folder`.

    Each tells by XMP (GPano) that it is one; where `located`, also its heading, and by EXIF its
    position and time. Raises OutputError where the folder cannot be written.
    """
    written = []
    for number, photo in enumerate(photos):
        path = folder / f"pano_{number:04}.jpg"
        data = panorama_file(city, photo, width, located=located)
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
        written.append(replace(photo, path=path))
    return written


def panorama_file(
    city: City, photo: DemoPhoto, width: int = 2048, *, located: bool = True
) -> bytes:
    """The JPEG of a panorama at the place of a photo; see `write_panoramas`."""
    image = Pillow.fromarray(render_panorama(city, photo.camera, photo.conditions, width))
    memory = io.BytesIO()
    exif = exif_of(photo) if located else Pillow.Exif()
    packet = panorama_xmp(image.size, photo.camera.heading if located else None)
    image.save(memory, "JPEG", quality=photo.conditions.quality, exif=exif, xmp=packet)
    return memory.getvalue()


def panorama_xmp(size: tuple[int, int], heading: float | None = None) -> bytes:
    """The XMP packet of a whole panorama of that (width, height), as cameras write it."""
    values: dict[str, object] = {
        "ProjectionType": "equirectangular",
        "UsePanoramaViewer": "True",
        "FullPanoWidthPixels": size[0],
        "FullPanoHeightPixels": size[1],
        "CroppedAreaImageWidthPixels": size[0],
        "CroppedAreaImageHeightPixels": size[1],
        "CroppedAreaLeftPixels": 0,
        "CroppedAreaTopPixels": 0,
    }
    if heading is not None:
        values["PoseHeadingDegrees"] = round(heading % 360, 2)
    said = " ".join(f'GPano:{name}="{value}"' for name, value in values.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" '
        f'xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {said}/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()
