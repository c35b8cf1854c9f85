"""Positions and times that only a photo's XMP holds."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pillow_heif
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from hafloc.photos import read, read_metadata
from hafloc.photos.exif import Exif, metadata
from hafloc.photos.xmp import LONGEST, read_xmp

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
VIENNA = {"GPSLatitude": "48,12.0N", "GPSLongitude": "16,22.2E"}
VIENNA_POSITION = (48.2, 16.37)
SF = {1: "N", 2: (37.0, 47.0, 24.0), 3: "W", 4: (122.0, 24.0, 30.0)}


def packet(properties, *, inside="", head=""):
    attributes = " ".join(f'exif:{name}="{value}"' for name, value in properties.items())
    return (
        f'{head}<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">'
        f'<rdf:Description rdf:about="" xmlns:exif="http://ns.adobe.com/exif/1.0/" '
        f'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" {attributes}>{inside}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


def of_xmp(properties, gps=None, detail=None, **more):
    return metadata(Exif({}, detail or {}, gps or {}, packet(properties, **more)))


def place(found):
    return found.position and pytest.approx((found.position.lat, found.position.lon), abs=1e-7)


@pytest.mark.parametrize(
    ("lat", "lon", "expected"),
    [
        ("48,12.0N", "16,22.2E", (48.2, 16.37)),
        ("48,12,30.5N", "16,22,12E", (48 + 12 / 60 + 30.5 / 3600, 16.37)),
        ("33,30.0S", "70,15.0W", (-33.5, -70.25)),
        ("48.2", "-16.37", (48.2, -16.37)),
        ("48.2N", "16.37W", (48.2, -16.37)),
        ("48,2", "16,37", (48.2, 16.37)),  # osxphotos and others in a language with decimal commas
        ("50,53,691734,N", "14,33,087680,E", (50 + 53.691734 / 60, 14 + 33.08768 / 60)),
        ("48 deg 12' 0.00&quot; N", "16 deg 22' 12&quot; E", (48.2, 16.37)),
    ],
)
def test_coordinates_are_read_in_the_ways_they_are_written(lat, lon, expected):
    found = of_xmp({"GPSLatitude": lat, "GPSLongitude": lon})
    assert place(found) == expected
    assert found.source == "xmp"


def test_a_hemisphere_in_a_property_of_its_own_counts():
    # As Apple's Photos writes them (immich, issue 13053).
    found = of_xmp(
        {"GPSLatitude": "28.184478", "GPSLatitudeRef": "N", "GPSHPositioningError": "1"}
        | {"GPSLongitude": "14.1606695", "GPSLongitudeRef": "W"}
        | {"GPSTimeStamp": "2024-09-25T09:16:21Z"},
        inside="<photoshop:DateCreated>2019-05-19T12:40:50+01:00</photoshop:DateCreated>",
    )
    assert place(found) == (28.184478, -14.1606695)
    assert found.accuracy == 1
    assert found.time == datetime(2019, 5, 19, 12, 40, 50, tzinfo=timezone(timedelta(hours=1)))


def test_all_that_goes_with_a_position_is_read():
    found = of_xmp(
        VIENNA
        | {"GPSAltitude": "1234/10", "GPSAltitudeRef": "1", "GPSStatus": "A"}
        | {"GPSImgDirection": "2715/10", "GPSImgDirectionRef": "M", "GPSHPositioningError": "9/2"}
        | {"GPSTimeStamp": "2018-05-06T10:11:12.5+02:00"}
    )
    assert (found.altitude, found.heading, found.magnetic) == (-123.4, 271.5, True)
    assert (found.accuracy, found.gps_status) == (4.5, "A")
    assert found.time == datetime(2018, 5, 6, 8, 11, 12, 500_000, UTC)


def test_properties_may_be_elements_and_the_root_may_be_rdf():
    text = (
        f'<r:RDF xmlns:r="{RDF}"><r:Description xmlns:e="http://ns.adobe.com/exif/1.0/">'
        "<e:GPSLatitude> 48,12.0N </e:GPSLatitude><e:GPSLongitude>16,22.2E</e:GPSLongitude>"
        "</r:Description></r:RDF>"
    )
    assert place(metadata(Exif({}, {}, {}, text))) == VIENNA_POSITION
    wide = ('<?xml version="1.0" encoding="utf-16"?>' + text).encode("utf-16")
    assert place(metadata(Exif({}, {}, {}, wide))) == VIENNA_POSITION


def test_places_shown_and_histories_are_not_where_the_photo_was_taken():
    inner = (
        f'<photoshop:Shown><rdf:Bag xmlns:rdf="{RDF}"><rdf:li><rdf:Description '
        'exif:GPSLatitude="1,2.0N" exif:GPSLongitude="3,4.0E"/></rdf:li></rdf:Bag>'
        "</photoshop:Shown>"
    )
    assert of_xmp({}, inside=inner) == metadata(Exif({}, {}, {}))
    assert place(of_xmp(VIENNA, inside=inner)) == VIENNA_POSITION


# --- beside the EXIF ---


def test_a_possible_position_in_the_exif_wins_and_a_far_one_in_the_xmp_is_told():
    found = of_xmp(VIENNA, SF)
    assert (found.source, found.position.lat) == ("exif", pytest.approx(37.79))
    assert found.problem.startswith("the positions in its EXIF and its XMP lie 9,")
    near = of_xmp({"GPSLatitude": "37,47.4N", "GPSLongitude": "122,24.5W"}, SF)
    assert (near.source, near.problem) == ("exif", None)


@pytest.mark.parametrize(
    "gps",
    [
        {},
        {**SF, 2: (95.0, 0.0, 0.0)},
        {**SF, 2: (0.0, 0.0, 0.0), 4: (0.0, 0.0, 0.0)},
        {**SF, 2: "north"},
        {2: SF[2]},
    ],
)
def test_the_xmp_serves_where_the_exif_has_no_position_or_an_impossible_one(gps):
    found = of_xmp(VIENNA, gps)
    assert place(found) == VIENNA_POSITION
    assert (found.source, found.problem) == ("xmp", None)


def test_a_datum_that_is_not_known_is_refused_in_the_copy_too():
    found = of_xmp(VIENNA, {**SF, 18: "GCJ-02"})
    assert found.position is None
    assert "GCJ-02" in found.problem
    assert of_xmp(VIENNA | {"GPSMapDatum": "WGS-84"}, {**SF, 18: "GCJ-02"}).source == "xmp"
    assert "BD-09" in of_xmp(VIENNA | {"GPSMapDatum": "BD-09"}).problem


@pytest.mark.parametrize(
    ("lat", "words"),
    [
        ("north", "XMP is incomplete or malformed"),
        ("95,0.0N", "XMP is not on Earth"),
        ("238,58.0N", "XMP is not on Earth"),
        ("48,12.0E", "malformed"),
    ],
)
def test_an_impossible_position_in_the_xmp_says_so(lat, words):
    found = of_xmp({"GPSLatitude": lat, "GPSLongitude": "16,22.2E"})
    assert (found.position, found.source) == (None, None)
    assert words in found.problem


# --- in files ---


def with_gif_block(data: bytes, xmp: bytes) -> bytes:
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 128 else 0)
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return data[:start] + b"\x21\xff\x0bXMP DataXMP" + xmp + trailer + data[start:]


def saved(form: str, xmp: bytes) -> bytes:
    out, image = io.BytesIO(), Pillow.new("RGB", (64, 48), "red")
    if form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", xmp.decode())
        image.save(out, form, pnginfo=info)
    elif form == "TIFF":
        image.save(out, form, tiffinfo={700: xmp})
    elif form == "GIF":
        image.save(out, form)
        return with_gif_block(out.getvalue(), xmp)
    else:
        image.save(out, form, xmp=xmp)
    return out.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "HEIF", "AVIF"])
def test_the_xmp_of_every_format_is_read_with_and_without_its_pixels(tmp_path, form):
    pillow_heif.register_heif_opener()
    path = tmp_path / "photo"
    path.write_bytes(saved(form, packet(VIENNA)))
    photo = read(path)
    assert place(photo.metadata) == VIENNA_POSITION
    assert photo.image.shape == (48, 64, 3)
    assert read_metadata(path) == photo.metadata


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">'
    + "".join(f'<!ENTITY a{n} "' + f"&a{n - 1};" * 10 + '">' for n in range(1, 10))
    + "]>"
)
GARBAGE = [
    b"",
    b"\xff\xfe\0",
    b"<x",
    b"not xml at all",
    packet(VIENNA)[:-30],
    packet(VIENNA, head=BOMB),
    packet({"GPSLatitude": "&a9;"}, head=BOMB),
    packet(VIENNA, head='<!DOCTYPE x SYSTEM "file:///etc/passwd">'),
    packet(VIENNA, head='<?xml version="1.0" encoding="no-such"?>'),
    packet(VIENNA, inside="<a>" * 100_000),
    b"<a>" * 100_000,
    packet(VIENNA) + b" " * LONGEST + b".",
]


@pytest.mark.parametrize("xmp", GARBAGE, ids=range(len(GARBAGE)))
def test_broken_dangerous_or_endless_xmp_is_no_xmp(xmp):
    assert read_xmp(xmp) == read_xmp(b"")
    assert metadata(Exif({}, {}, SF, xmp)) == metadata(Exif({}, {}, SF))


def test_a_photo_with_garbage_for_xmp_is_a_photo():
    for xmp in (b"<x", b"\0" * 50, packet(VIENNA, head=BOMB)):
        assert read(saved("JPEG", xmp)).metadata.position is None


@given(
    st.dictionaries(
        st.sampled_from(["GPSLatitude", "GPSLongitude", "GPSTimeStamp", "GPSAltitude"]),
        st.text("0123456789.,NSEW/+-: TZ", max_size=20),
    )
)
def test_no_value_in_xmp_raises_or_leaves_the_earth(properties):
    found = of_xmp(properties)
    assert (found.position is None) == (found.source is None)


@given(st.binary(max_size=200))
def test_no_bytes_as_xmp_raise(data):
    assert metadata(Exif({}, {}, SF, data)).source == "exif"
