"""EXIF as cameras, phones and careless programs write it."""

import io
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL.TiffImagePlugin import IFDRational

from hafloc.geo import Position, distance
from hafloc.photos import read
from hafloc.photos.exif import Exif, metadata

SF = {1: "N", 2: (37.0, 47.0, 24.0), 3: "W", 4: (122.0, 24.0, 30.0)}
SF_POSITION = (37 + 47 / 60 + 24 / 3600, -(122 + 24 / 60 + 30 / 3600))
ZERO_OVER_ZERO = IFDRational(0, 0)


def of_gps(gps, detail=None):
    return metadata(Exif({}, detail or {}, gps))


def position_of(**changes):
    tags = {**SF, **{int(key[1:]): value for key, value in changes.items()}}
    found = of_gps({key: value for key, value in tags.items() if value != "absent"})
    return found.position and (found.position.lat, found.position.lon)


def test_a_file_s_gps_is_read_through_pillow():
    exif = Pillow.Exif()
    exif.get_ifd(0x8825).update({**SF, 5: b"\x01", 6: 12.5, 16: "T", 17: 271.5})
    exif.get_ifd(0x8825).update({7: (14.0, 3.0, 2.5), 29: "2010:01:27"})
    out = io.BytesIO()
    Pillow.new("RGB", (8, 8)).save(out, "JPEG", exif=exif)
    found = read(out.getvalue()).metadata
    assert found.position is not None
    assert (found.position.lat, found.position.lon) == pytest.approx(SF_POSITION, abs=1e-9)
    assert (found.heading, found.magnetic, found.altitude) == (271.5, False, -12.5)
    assert found.time == datetime(2010, 1, 27, 14, 3, 2, 500_000, UTC)
    assert (found.source, found.problem) == ("exif", None)


@pytest.mark.parametrize("south", ["S", "s", b"S", b"S\0", "S\0", " s ", "South"])
def test_a_southern_reference_in_any_writing_makes_latitudes_negative(south):
    assert position_of(_1=south) == pytest.approx((-SF_POSITION[0], SF_POSITION[1]))


@pytest.mark.parametrize("reference", ["absent", "", "\0\0", b"\0", None, 7])
def test_without_a_reference_the_sign_decides(reference):
    assert position_of(_1=reference) == pytest.approx(SF_POSITION)
    negative = (-37.0, 47.0, 24.0)
    assert position_of(_1=reference, _2=negative)[0] == pytest.approx(-SF_POSITION[0])


def test_a_negative_number_with_a_negative_reference_is_negated_once():
    assert position_of(_3="W", _4=(-122.0, 24.0, 30.0)) == pytest.approx(SF_POSITION)


@pytest.mark.parametrize(
    ("value", "degrees"),
    [
        ((37.5, 0.0, 0.0), 37.5),
        ((37.0, 30.0, 0.0), 37.5),
        ((37.0, 30.0), 37.5),
        ((37.5,), 37.5),
        (37.5, 37.5),
        ("37.5", 37.5),
        ((37.0, 30.0, ZERO_OVER_ZERO), 37.5),
        ((37.5, ZERO_OVER_ZERO, ZERO_OVER_ZERO), 37.5),
        ((37.0, 29.0, 60.0), 37.5),
        ((IFDRational(75, 2), 0, 0), 37.5),
    ],
)
def test_degrees_may_be_decimal_or_split(value, degrees):
    assert position_of(_2=value)[0] == pytest.approx(degrees)


@pytest.mark.parametrize(
    "value",
    [
        (IFDRational(37, 0), 47.0, 24.0),
        (37.0, IFDRational(47, 0), 24.0),
        (37.0, 75.0, 0.0),
        (37.0, -3.0, 0.0),
        (float("nan"), 0.0, 0.0),
        (1.0, 2.0, 3.0, 4.0),
        (),
        "north",
        b"\xff\xfe",
    ],
)
def test_a_malformed_coordinate_is_no_position_and_says_so(value):
    found = of_gps({**SF, 2: value})
    assert found.position is None
    assert found.source is None
    assert found.problem is not None
    assert "malformed" in found.problem


@pytest.mark.parametrize(("tag", "degrees"), [(2, 95.0), (4, 200.0), (2, 90.001)])
def test_a_position_off_the_earth_is_none_and_says_so(tag, degrees):
    found = of_gps({**SF, tag: (degrees, 0.0, 0.0)})
    assert found.position is None
    assert found.problem is not None
    assert "not on Earth" in found.problem


def test_null_island_counts_as_missing_but_the_equator_does_not():
    zero = (0.0, 0.0, 0.0)
    assert of_gps({**SF, 2: zero, 4: zero}) == of_gps({})
    assert position_of(_2=zero) == pytest.approx((0, SF_POSITION[1]))
    void = (ZERO_OVER_ZERO,) * 3
    assert of_gps({**SF, 2: void, 4: void}) == of_gps({})


@pytest.mark.parametrize(
    ("altitude", "reference", "expected"),
    [
        (12.5, b"\0", 12.5),
        (12.5, b"\1", -12.5),
        (12.5, 1, -12.5),
        (12.5, "1", -12.5),
        (12.5, b"", 12.5),
        (12.5, None, 12.5),
        (-3.0, 0, -3.0),
        (float("nan"), 0, None),
        (IFDRational(5, 0), 0, None),
    ],
)
def test_altitude_knows_what_lies_below_the_sea(altitude, reference, expected):
    assert of_gps({5: reference, 6: altitude}).altitude == expected


@pytest.mark.parametrize(
    ("direction", "reference", "heading", "magnetic"),
    [
        (0.0, "T", 0.0, False),
        (359.5, "M", 359.5, True),
        (360.0, b"m\0", 0.0, True),
        (12.0, None, 12.0, False),
        (-5.0, "T", None, False),
        (361.0, "M", None, False),
        (IFDRational(1, 0), "T", None, False),
    ],
)
def test_the_direction_is_read_with_its_north(direction, reference, heading, magnetic):
    found = of_gps({16: reference, 17: direction})
    assert (found.heading, found.magnetic) == (heading, magnetic)


CAMERA = {0x9003: "2010:01:27 15:17:30"}
CAMERA_TIME = datetime(2010, 1, 27, 15, 17, 30)


@pytest.mark.parametrize(
    ("day", "clock", "expected"),
    [
        ("2010:01:27", (23.0, 17.0, 29.25), datetime(2010, 1, 27, 23, 17, 29, 250_000, UTC)),
        ("2010-01-27\0", (23.0, 0.0, 0.0), datetime(2010, 1, 27, 23, tzinfo=UTC)),
        (b"2010:01:27", (23, 2, 3), datetime(2010, 1, 27, 23, 2, 3, tzinfo=UTC)),
        ("2010:01:27 23:17:30", "23:17:30", datetime(2010, 1, 27, 23, 17, 30, tzinfo=UTC)),
        ("1970:01:18", (19.0, 5.0, 52.0), CAMERA_TIME),
        ("0000:01:01", (0.0, 0.0, 0.0), CAMERA_TIME),  # Nokia N95 without a fix
        ("2010:02:30", (0.0, 0.0, 0.0), CAMERA_TIME),
        ("2010:01:27", (25.0, 0.0, 0.0), CAMERA_TIME),
        ("2010:01:27", (IFDRational(1, 0), 0.0, 0.0), CAMERA_TIME),
        ("2010:01:27", None, CAMERA_TIME),
        (None, (1.0, 2.0, 3.0), CAMERA_TIME),
        ("9999:12:31", (23.0, 59.0, 60.5), CAMERA_TIME),
    ],
)
def test_the_gps_clock_is_utc_and_gives_way_to_the_camera_s_when_broken(day, clock, expected):
    assert of_gps({29: day, 7: clock}, CAMERA).time == expected


@pytest.mark.parametrize(
    ("detail", "main", "expected"),
    [
        ({0x9004: "2011:02:03 04:05:06"}, {}, datetime(2011, 2, 3, 4, 5, 6)),
        ({}, {0x9003: "2011:02:03 04:05:06"}, datetime(2011, 2, 3, 4, 5, 6)),
        ({}, {0x0132: "2011:02:03 04:05:06"}, datetime(2011, 2, 3, 4, 5, 6)),
        ({0x9003: "0000:00:00 00:00:00"}, {0x0132: "2011:02:03 04:05:06"}, "main"),
        (CAMERA, {0x0132: "2011:02:03 04:05:06"}, CAMERA_TIME),
        # The offset of the last change is not that of the exposure.
        ({**CAMERA, 0x9010: "+02:00"}, {}, CAMERA_TIME),
        ({**CAMERA, 0x9291: "25"}, {}, CAMERA_TIME.replace(microsecond=250_000)),
        ({**CAMERA, 0x9291: "025 \0"}, {}, CAMERA_TIME.replace(microsecond=25_000)),
        ({**CAMERA, 0x9291: "soon"}, {}, CAMERA_TIME),
    ],
)
def test_the_camera_s_clocks_are_asked_in_turn(detail, main, expected):
    expected = datetime(2011, 2, 3, 4, 5, 6) if expected == "main" else expected
    found = metadata(Exif(main, detail, {})).time
    assert found == expected
    assert found.tzinfo is None


@pytest.mark.parametrize(
    ("offset", "zone"),
    [
        ("-08:00", timezone(timedelta(hours=-8))),
        ("+05:30\0", timezone(timedelta(hours=5, minutes=30))),
        ("Z", UTC),
        ("", None),
        ("   :  ", None),
        ("+99:00", None),
    ],
)
def test_the_camera_s_clock_is_local_unless_it_gives_its_offset(offset, zone):
    found = of_gps({}, {**CAMERA, 0x9011: offset}).time
    assert found is not None
    assert found == CAMERA_TIME.replace(tzinfo=zone)
    assert (found.tzinfo is None) == (zone is None)


@pytest.mark.parametrize(
    "text", ["0000:00:00 00:00:00", "    :  :     :  :  ", "", "x", b"\xff", 5]
)
def test_a_camera_clock_that_was_never_set_is_no_time(text):
    assert of_gps({}, {0x9003: text}).time is None


# --- how good the position is ---


@pytest.mark.parametrize(
    ("error", "accuracy"),
    [(4.75, 4.75), (IFDRational(19, 4), 4.75), (0, None), (-1, None), ("x", None), (None, None)],
)
def test_the_positioning_error_is_kept_where_it_is_one(error, accuracy):
    assert of_gps({**SF, 31: error}).accuracy == accuracy


@pytest.mark.parametrize(
    ("written", "status"),
    [("A", "A"), ("V\0", "V"), (b"v", "V"), ("", None), ("X", None), (1, None)],
)
def test_the_receiver_s_status_is_kept(written, status):
    assert of_gps({**SF, 9: written}).gps_status == status


def test_a_position_in_an_old_datum_is_moved_and_in_an_unknown_one_refused():
    tokyo = {1: "N", 2: (35.0, 39.0, 17.5148), 3: "E", 4: (139.0, 44.0, 40.502), 18: "TOKYO"}
    origin = Position(35.6580992, 139.7413544)  # Japan's datum origin in JGD2000
    assert distance(of_gps(tokyo).position, origin) < 10
    found = of_gps({**SF, 18: "GCJ-02"})
    assert (found.position, found.source) == (None, None)
    assert found.problem == (
        "the GPS position in its EXIF cannot be used: the datum GCJ-02 is not known"
    )


junk = st.one_of(
    st.none(),
    st.binary(max_size=8),
    st.text("0123456789:/-+. NSEWZ\0", max_size=12),
    st.integers(-(2**40), 2**40),
    st.floats(),
    st.builds(IFDRational, st.integers(-9, 9), st.integers(0, 3)),
)


@given(
    gps=st.dictionaries(st.integers(0, 31), junk | st.lists(junk, max_size=4).map(tuple)),
    detail=st.dictionaries(st.sampled_from([0x9003, 0x9011, 0x9004, 0x9012, 0x9291]), junk),
)
def test_junk_in_any_tag_never_raises_and_never_leaves_the_earth(gps, detail):
    found = metadata(Exif({}, detail, gps))
    assert (found.position is None) == (found.source is None)
    assert found.heading is None or 0 <= found.heading < 360


@given(
    lat=st.integers(-90 * 3_600_000, 90 * 3_600_000),
    lon=st.integers(-180 * 3_600_000, 180 * 3_600_000),
)
def test_degrees_minutes_seconds_come_back_as_written(lat, lon):
    def split(thousandths):
        whole, rest = divmod(abs(thousandths), 3_600_000)
        return IFDRational(whole), IFDRational(rest // 60_000), IFDRational(rest % 60_000, 1000)

    gps = {1: "S" if lat < 0 else "N", 2: split(lat), 3: "W" if lon < 0 else "E", 4: split(lon)}
    expected = Position(lat / 3_600_000, lon / 3_600_000) if lat or lon else None
    found = of_gps(gps).position
    assert (found is None) == (expected is None)
    if found and expected:
        assert (found.lat, found.lon) == pytest.approx((expected.lat, expected.lon), abs=1e-9)


def test_a_photo_with_broken_exif_still_decodes():
    exif = Pillow.Exif()
    exif.get_ifd(0x8825).update(SF)
    data = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(data, "JPEG", exif=exif)
    whole = data.getvalue()
    start = whole.index(b"Exif\0\0") + 6
    for cut in range(0, 60, 3):
        broken = bytearray(whole)
        broken[start + cut : start + cut + 6] = b"\xff" * 6
        assert read(bytes(broken)).image.shape == (8, 8, 3)
