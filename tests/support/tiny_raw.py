"""A camera RAW of our own making: an uncompressed DNG of a sensor with coloured fields."""

import struct

import numpy as np

GREY = np.array([200, 200, 200])


def dng(
    pixels: np.ndarray,
    orientation: int = 1,
    lat: float | None = None,
    monochrome: bool = False,
) -> bytes:
    """A DNG 1.4 whose sensor (RGGB, 16 bits, linear) saw `pixels` (`H×W×3`, 0 to 255, even sides).

    Its first picture is a black thumbnail of 8×8, as cameras write one, and the sensor's picture
    lies in a SubIFD.
    """
    height, width = pixels.shape[:2]
    linear = ((pixels / 255.0) ** 2.2 * 16_000).astype("<u2")
    mosaic = linear[:, :, 1].copy()
    if not monochrome:
        mosaic[::2, ::2] = linear[::2, ::2, 0]
        mosaic[1::2, 1::2] = linear[1::2, 1::2, 2]

    thumbnail = bytes(8 * 8 * 3)
    blob = bytearray(b"II*\0" + struct.pack("<I", 0))
    thumbnail_at = len(blob)
    blob += thumbnail
    sensor_at = len(blob)
    blob += mosaic.tobytes()

    def value(type_: int, values: list) -> bytes:
        if type_ == 2:
            return values[0]
        if type_ in (5, 10):
            return b"".join(struct.pack("<ii", round(v * 10_000), 10_000) for v in values)
        return struct.pack(f"<{len(values)}" + {1: "B", 3: "H", 4: "I"}[type_], *values)

    def directory(tags: dict[int, tuple[int, list]]) -> int:
        entries = b""
        for tag, (type_, values) in sorted(tags.items()):
            packed = value(type_, values)
            count = len(packed) if type_ == 2 else len(values)
            if len(packed) > 4:
                place = struct.pack("<I", len(blob))
                blob.extend(packed + b"\0" * (len(packed) % 2))
            else:
                place = packed.ljust(4, b"\0")
            entries += struct.pack("<HHI", tag, type_, count) + place
        at = len(blob)
        blob.extend(struct.pack("<H", len(tags)) + entries + bytes(4))
        return at

    kind = {262: (3, [34_892])} if monochrome else {}
    sensor = directory(
        {
            254: (4, [0]),
            256: (4, [width]),
            257: (4, [height]),
            258: (3, [16]),
            259: (3, [1]),
            262: (3, [32_803]),
            273: (4, [sensor_at]),
            277: (3, [1]),
            278: (4, [height]),
            279: (4, [mosaic.nbytes]),
            33_421: (3, [2, 2]),
            33_422: (1, [0, 1, 1, 2]),
            50_714: (3, [0]),
            50_717: (3, [16_000]),
            **kind,
        }
    )
    main: dict[int, tuple[int, list]] = {
        254: (4, [1]),
        256: (4, [8]),
        257: (4, [8]),
        258: (3, [8, 8, 8]),
        259: (3, [1]),
        262: (3, [2]),
        271: (2, [b"Nobody\0"]),
        272: (2, [b"Tiny\0"]),
        273: (4, [thumbnail_at]),
        274: (3, [orientation]),
        277: (3, [3]),
        278: (4, [8]),
        279: (4, [len(thumbnail)]),
        330: (4, [sensor]),
        50_706: (1, [1, 4, 0, 0]),
        50_708: (2, [b"Nobody Tiny\0"]),
        # XYZ of D65 to linear sRGB: this sensor's colours are those of a screen.
        50_721: (10, [3.2406, -1.5372, -0.4986, -0.9689, 1.8758, 0.0415, 0.0557, -0.204, 1.057]),
        50_728: (5, [1.0, 1.0, 1.0]),
        50_778: (3, [21]),
    }
    if lat is not None:
        gps = directory(
            {1: (2, [b"N\0"]), 2: (5, [lat, 0, 0]), 3: (2, [b"E\0"]), 4: (5, [16.0, 0, 0])}
        )
        main[34_853] = (4, [gps])
    struct.pack_into("<I", blob, 4, directory(main))
    return bytes(blob)
