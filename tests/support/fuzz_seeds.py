"""Small sound files of every kind that hafloc reads, made in code: what fuzzing starts from."""

import io
import json
import sqlite3
import struct
import zipfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image as Pillow
from small_index import MODEL, sample
from spheres import xmp as packet
from tiny_raw import dng

from hafloc.description import LocalFeatures
from hafloc.index import create_index
from hafloc.index.functions import add_functions

GPX = """<?xml version="1.0"?><gpx version="1.1" xmlns="http://www.topografix.com/GPX/1/1"><trk>
<trkseg><trkpt lat="48.2" lon="16.37"><ele>171.5</ele><time>2024-05-31T14:00:00Z</time></trkpt>
<trkpt lat="48.2001" lon="16.3702"><time>2024-05-31T16:00:10.5+02:00</time></trkpt>
</trkseg></trk></gpx>"""
KML = """<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"
 xmlns:gx="http://www.google.com/kml/ext/2.2"><Document><Placemark><gx:Track>
<when>2024-05-31T14:00:00Z</when><when>2024-05-31T14:00:10Z</when>
<gx:coord>16.37 48.2 171.5</gx:coord><gx:coord>16.3702 48.2001 172</gx:coord></gx:Track></Placemark>
<Placemark><TimeStamp><when>2024-05-31T15:00:00Z</when></TimeStamp>
<Point><coordinates>16.38,48.21,0</coordinates></Point></Placemark></Document></kml>"""
TCX = """<?xml version="1.0"?><TrainingCenterDatabase
 xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2"><Activities><Activity><Lap><Track>
<Trackpoint><Time>2024-05-31T14:00:00.000Z</Time><Position><LatitudeDegrees>48.2</LatitudeDegrees>
<LongitudeDegrees>16.37</LongitudeDegrees></Position><AltitudeMeters>171.5</AltitudeMeters>
</Trackpoint></Track></Lap></Activity></Activities></TrainingCenterDatabase>"""
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:DateTimeOriginal="2024:05:31 16:00:00"
exif:GPSLatitude="48,12.0000N" exif:GPSLongitude="16,22.2000E"
exif:GPSTimeStamp="2024-05-31T14:00:00Z"
exif:GPSImgDirection="90/1"><exif:GPSAltitude>1715/10</exif:GPSAltitude></rdf:Description>
</rdf:RDF></x:xmpmeta>"""

UNPLACED = """<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="1"><xmp:Label>a</xmp:Label></rdf:Description>
</rdf:RDF></x:xmpmeta>"""
# Where three photos of a COLMAP model were.
REFERENCES = b"a.jpg 48.2 16.37 170\nb.jpg 48.201 16.37 171\nc.jpg 48.2 16.372 172\n"


def exif() -> bytes:
    """EXIF with everything that is read of it: turned, dated, placed, with a focal length."""
    tags = Pillow.Exif()
    tags[0x0112], tags[0x010F], tags[0x0110], tags[0x0132] = 6, "Maker", "M1", "2024:05:31 16:00:00"
    tags.get_ifd(0x8769).update(
        {0x9003: "2024:05:31 16:00:00", 0x9011: "+02:00", 0xA405: 28, 0x920A: 4.2, 0x9291: "50"}
        | {0xA002: 32, 0xA003: 24}
    )
    tags.get_ifd(0x8825).update(
        {1: "N", 2: (48.0, 12.0, 3.5), 3: "E", 4: (16.0, 22.0, 1.25), 5: b"\0", 6: 171.5}
        | {7: (14.0, 0.0, 0.0), 9: "A", 11: 1.5, 16: "T", 17: 90.0, 18: "WGS-84", 29: "2024:05:31"}
        | {31: 4.5}
    )
    return tags.tobytes()


def pixels(width: int = 32, height: int = 24) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 9, columns * 7, (rows ^ columns) * 5], axis=2).astype(np.uint8)


def _saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    Pillow.fromarray(pixels()).convert(mode).save(file, kind, **options)
    return file.getvalue()


def photos() -> list[bytes]:
    """A photo of each format that can be written here, most with EXIF and XMP."""
    sphere = packet()
    told = {"exif": exif()}
    made = [
        _saved("JPEG", quality=60, xmp=sphere, **told),
        _saved("JPEG", "CMYK"),
        _saved("JPEG", "L", progressive=True),
        _saved("PNG", "RGBA", **told),
        _saved("PNG", "P", transparency=3),
        _saved("PNG", "I;16"),
        _saved("TIFF", **told),
        _saved("TIFF", compression="tiff_lzw"),
        _saved("TIFF", "1", compression="group4"),
        _saved("TIFF", "F"),
        _saved("TIFF", "CMYK", compression="jpeg"),
        _saved("WEBP", quality=50, xmp=sphere, **told),
        _saved("WEBP", "RGBA", lossless=True),
        _saved("WEBP", save_all=True, append_images=[Pillow.new("RGB", (32, 24))]),
        _saved("GIF", "P"),
        _saved("GIF", "P", save_all=True, append_images=[Pillow.new("P", (32, 24))]),
        _saved("BMP"),
        _saved("BMP", "1"),
        _saved("PPM"),
        _saved("PPM", "L"),
        _saved("JPEG2000", quality_layers=[20]),
        _saved("MPO", save_all=True, append_images=[Pillow.new("RGB", (32, 24))]),
        dng(np.kron(pixels(8, 6), np.ones((2, 2, 1), np.uint8)), lat=48.0),
    ]
    for kind in ("HEIF", "AVIF", "JXL"):  # written only where their encoders came along
        with suppress(Exception):
            made.append(_saved(kind, quality=40, **told))
    return made


def with_exif(tags: bytes) -> bytes:
    """A sound JPEG whose EXIF segment is these bytes."""
    segment = b"Exif\0\0" + tags[:65_000].removeprefix(b"Exif\0\0")
    plain = _saved("JPEG", quality=40)
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def with_xmp(said: bytes) -> bytes:
    """A sound JPEG whose XMP segment is these bytes."""
    segment = b"http://ns.adobe.com/xap/1.0/\0" + said[:65_000]
    plain = _saved("JPEG", quality=40)
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:]


def xmp_packets() -> list[bytes]:
    return [
        XMP.encode(),
        packet(),
        packet(
            FullPanoWidthPixels=32,
            FullPanoHeightPixels=16,
            CroppedAreaLeftPixels=0,
            CroppedAreaTopPixels=0,
            CroppedAreaImageWidthPixels=32,
            CroppedAreaImageHeightPixels=16,
            PoseHeadingDegrees=12.5,
        ),
    ]


def tables() -> list[bytes]:
    """Positions in text: ours, exiftool's, a spreadsheet's, OpenDroneMap's, COLMAP's."""
    return [
        text.encode()
        for text in (
            "image,lat,lon,heading,time,altitude,licence\na.jpg,48.2,16.37,90,2024-05-31T14:00:00Z,1,x\n",
            'sep=;\nfilename;latitude;longitude\n"a;b.jpg";48,2;16,37\nc.jpg;1;\n',
            "SourceFile\tGPSLatitude\tGPSLongitude\na.jpg\t48 deg 12' 0.00\" N\t16 deg 22' 1\" E\n",
            "EPSG:32633\nDJI_1.JPG 500000 5316300.30 120 0 0 0 2.5 5\n",
            "EPSG:4326\nDJI_1.JPG 16.37 48.2 120\n",
            "image,wkt\na.jpg,POINT (16.37 48.2)\n",
            "# Image list with two lines of data per image:\n#   IMAGE_ID, QW, QX, QY, QZ, TX,"
            " TY, TZ, CAMERA_ID, NAME\n1 0.5 0.5 0.5 0.5 1 2 3 1 a.jpg\n1.5 2.5 -1\n"
            "2 0.5 0.5 0.5 0.5 1 5 3 1 b.jpg\n\n3 0.5 0.5 0.5 0.5 5 2 4 1 c.jpg\n\n",
        )
    ] + ["image,lat,lon\nä.jpg,48.2,16.37\n".encode("utf-16"), colmap_binary()]


def colmap_binary() -> bytes:
    data = struct.pack("<Q", 3)
    for number, (x, y) in enumerate(((0, 0), (0, 3), (4, 0)), start=1):
        data += struct.pack("<I7dI", number, 0.5, 0.5, 0.5, 0.5, x, y, number, 1)
        data += b"%c.jpg\0" % (96 + number)
        data += struct.pack("<Q", 1) + struct.pack("<ddq", 1, 2, -1)
    return data


def json_tables() -> list[bytes]:
    """Positions in JSON: GeoJSON, OpenSfM, exiftool, Mapillary, Google Takeout."""
    shot = {"rotation": [0.1, 1.2, 0.3], "translation": [1, 2, 3], "camera": "v2"}
    lla = {"latitude": 48.2, "longitude": 16.37, "altitude": 170.0}
    point = {"type": "Point", "coordinates": [16.37, 48.2, 171]}
    feature = {"type": "Feature", "geometry": point, "properties": {"image": "a.jpg", "heading": 9}}
    given = {"gps": lla | {"dop": 3}, "compass": {"angle": 365.0}}
    exiftool = {"SourceFile": "a.jpg", "GPSLatitude": 48.2, "GPSLongitude": "16 deg 22' 12\" E"}
    mapillary = {
        "filename": "a.jpg",
        "MAPLatitude": 48.2,
        "MAPLongitude": 16.37,
        "filetype": "image",
    }
    takeout = {
        "title": "a.jpg",
        "photoTakenTime": {"timestamp": "1717164000"},
        "geoData": lla | {"latitudeSpan": 0.0},
    }
    return [
        json.dumps(value).encode()
        for value in (
            {"type": "FeatureCollection", "features": [feature]},
            [{"cameras": {}, "shots": {"a.jpg": shot}, "reference_lla": lla}],
            {"a.jpg": given},
            [exiftool],
            [mapillary | {"MAPCompassHeading": {"TrueHeading": 9.0, "MagneticHeading": 9.0}}],
            takeout,
        )
    ]


def tracks() -> list[bytes]:
    """Recordings in GPX, KML, KMZ, TCX, NMEA and FIT."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("doc.kml", KML)
    fields = bytes([253, 4, 0x86, 0, 4, 0x85, 1, 4, 0x85, 2, 2, 0x84])
    body = bytes([0x40, 0, 0]) + struct.pack("<HB", 20, 4) + fields
    body += b"\0" + struct.pack("<IiiH", 1_086_098_400, 575_000_000, 195_000_000, 3_355)
    fit = struct.pack("<BBHI4sH", 14, 0x10, 2132, len(body), b".FIT", 0) + body + b"\0\0"
    nmea = sentence("GPRMC,140000.00,A,4812.0000,N,01622.2000,E,2.5,45.0,310524,,,A")
    nmea += sentence("GPGGA,140000.00,4812.0000,N,01622.2000,E,1,08,0.9,171.5,M,43.0,M,,")
    return [GPX.encode(), KML.encode(), TCX.encode(), nmea, packed.getvalue(), fit]


def sentence(body: str) -> bytes:
    check = 0
    for letter in body:
        check ^= ord(letter)
    return f"${body}*{check:02X}\r\n".encode()


def names() -> list[bytes]:
    """Names of photos, of parts of them, and times, as people and data sets write them."""
    return [
        b"pano.jpg#view=45,10,60",
        b"@0549913.01@4179420.42@10@S@037.76@-122.43@pano@@90@@@@20180712@@.jpg",
        b"https://host.example/a%20b.jpg",
        b"..\\..\\a\\xe9.jpg",
        b"2024:05:31 16:00:00.123+02:00",
        b"48.2,16.37,500",
        b"48 deg 12' 0.00\" N",
    ]


def index_file(photos_: int = 4, page_bytes: int = 1_024) -> bytes:
    """A small sound index with vectors, regions and key points, in small pages."""
    records, vectors = sample(photos_)
    xy = np.array([[1.5, 2.5], [100, 200]], np.float32)
    local = LocalFeatures(xy, np.ones((2, 8), np.int8), (480, 360))
    parts = np.repeat(vectors[:, None], 2, axis=1)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "city.gpkg"
        with create_index(path, MODEL, regions=2) as index:
            index.add(records, vectors, [local] * photos_, parts)
        connection = sqlite3.connect(path, isolation_level=None)
        add_functions(connection)
        connection.execute(f"PRAGMA page_size={page_bytes}")
        connection.execute("VACUUM")
        connection.close()
        return path.read_bytes()
