"""Panoramas whose every pixel tells its direction, and their XMP."""

import io
from pathlib import Path

import numpy as np
from PIL import ExifTags
from PIL import Image as Pillow

GPANO = "http://ns.google.com/photos/1.0/panorama/"


def xmp(**properties: object) -> bytes:
    """A packet of an equirectangular panorama with these properties of GPano."""
    values = {"ProjectionType": "equirectangular", **properties}
    said = " ".join(f'GPano:{name}="{value}"' for name, value in values.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:GPano="{GPANO}" {said}/>'
        "</rdf:RDF></x:xmpmeta>"
    ).encode()


def sphere_image(
    width: int, height: int | None = None, *, turn: np.ndarray | None = None,
    left: float = -180, top: float = 90, wide: float = 360, high: float = 180,
) -> np.ndarray:  # fmt: skip
    """An image whose colour is the direction of each pixel in the world: red tells right, green
    down, blue ahead; `turn` leads from the camera's axes to the world's."""
    height = height or width // 2
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    longitude = np.radians(left + (x + 0.5) / width * wide)
    elevation = np.radians(top - (y + 0.5) / height * high)
    rays = np.stack(
        [
            np.cos(elevation) * np.sin(longitude),
            -np.sin(elevation),
            np.cos(elevation) * np.cos(longitude),
        ],
        axis=-1,
    )
    if turn is not None:
        rays = rays @ turn.T
    return np.rint(127.5 + 127.5 * rays).astype(np.uint8)


def directions_of(image: np.ndarray) -> np.ndarray:
    """What such an image's colours say: unit vectors right, down, ahead."""
    rays = (image.astype(float) - 127.5) / 127.5
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def write(
    path: Path, pixels: np.ndarray, packet: bytes = b"", lat: float | None = None,
    heading: float | None = None,
) -> Path:  # fmt: skip
    """A photo, 16 degrees east where it has a latitude."""
    exif = Pillow.Exif()
    gps = exif.get_ifd(ExifTags.IFD.GPSInfo)
    if lat is not None:
        gps.update({1: "N", 2: (lat, 0.0, 0.0), 3: "E", 4: (16.0, 0.0, 0.0)})
    if heading is not None:
        gps[17] = heading
    path.parent.mkdir(parents=True, exist_ok=True)
    memory = io.BytesIO()
    more = {"xmp": packet} if packet else {}
    kind = "PNG" if path.suffix == ".png" else "JPEG"
    if kind == "PNG":
        Pillow.fromarray(pixels).save(memory, kind, exif=exif)
    else:
        Pillow.fromarray(pixels).save(memory, kind, quality=95, exif=exif, **more)
    path.write_bytes(memory.getvalue())
    return path
