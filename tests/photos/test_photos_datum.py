"""Positions in the datums that cameras name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import PositionError
from hafloc.geo import Position, distance
from hafloc.photos.datum import to_wgs84


def degrees(whole, minutes, seconds):
    return whole + minutes / 60 + seconds / 3600


@pytest.mark.parametrize(
    ("datum", "old", "new"),
    [
        # Japan's datum origin, in the Survey Act before and after 2002 (Tokyo, JGD2000).
        (
            "TOKYO",
            (degrees(35, 39, 17.5148), degrees(139, 44, 40.5020)),
            (degrees(35, 39, 29.1572), degrees(139, 44, 28.8759)),
        ),
        # Meades Ranch, origin of NAD27; NAD83 by the National Geodetic Survey.
        (
            "NAD27",
            (degrees(39, 13, 26.686), -degrees(98, 32, 30.506)),
            (degrees(39, 13, 26.712), -degrees(98, 32, 31.746)),
        ),
        # Caister water tower, the Ordnance Survey's worked example; ETRS89 by OSTN15.
        (
            "OSGB36",
            (degrees(52, 39, 27.2531), degrees(1, 43, 4.5177)),
            (52.658007833, 1.716073973),
        ),
    ],
)
def test_published_pairs_of_coordinates_come_out(datum, old, new):
    found = to_wgs84(*old, datum)
    assert distance(found, Position(*new)) < 10
    assert distance(found, Position(*old)) > 25


def test_an_old_datum_is_never_taken_as_it_stands():
    for datum, place, least in [
        ("Tokyo", (35.66, 139.75), 400),
        ("TOKYO\0", (35.66, 139.75), 400),
        ("Tokyo97", (43.0, 141.3), 350),
        ("ED50", (48.2, 11.5), 100),
        ("European 1950", (48.2, 11.5), 100),
        ("NAD-27", (39.0, -98.0), 25),
        ("Pulkovo 1942", (55.7, 37.6), 100),
        ("CH1903", (46.9, 7.4), 100),
        ("Potsdam", (52.4, 13.1), 100),
        ("AGD66", (-33.8, 151.2), 150),
        ("NZGD49", (-41.3, 174.8), 150),
        ("WGS-72", (48.0, 11.0), 5),
    ]:
        moved = distance(to_wgs84(*place, datum), Position(*place))
        assert least < moved < 800, datum


@pytest.mark.parametrize(
    "datum",
    [
        "WGS-84",
        "WGS84",
        "WGS 84",
        "wgs84 ",
        "WGS_1984",
        "WGS-84\0",
        "World Geodetic System 1984",
        "EPSG:4326",
        "JGD2000",
        "JGD2011",
        "GDA94",
        "ETRS89",
        "NAD83",
        "NAD83(2011)",
        "ITRF2008",
        "",
        " ",
        "\0\0",
        "*",
        "unknown",
        "?",
    ],
)
def test_wgs84_and_its_likes_and_what_says_nothing_stay_as_they_are(datum):
    assert to_wgs84(48.2, 16.37, datum) == Position(48.2, 16.37)


@pytest.mark.parametrize("datum", ["GCJ-02", "BD-09", "ARC 1960", "EPSG:31256", "WGS-60", "ED5"])
def test_an_unknown_datum_is_refused_by_its_name(datum):
    with pytest.raises(PositionError, match=f"the datum {datum} is not known"):
        to_wgs84(31.2, 121.5, datum)


def test_a_datum_s_name_cannot_break_a_message():
    with pytest.raises(PositionError) as error:
        to_wgs84(1, 2, "odd\n\x1b[31m" * 50)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 100


@given(
    # At the poles a shift along the axis, as that of WGS72, moves nothing.
    st.floats(-70, 70),
    st.floats(-180, 180),
    st.sampled_from(["Tokyo", "NAD27", "ED50", "OSGB36", "WGS72", "Old Hawaiian"]),
)
def test_wherever_people_live_an_old_datum_moves_little_or_is_refused(lat, lon, datum):
    try:
        found = to_wgs84(lat, lon, datum)
    except PositionError:
        return
    assert 1 < distance(found, Position(lat, lon)) < 1_500
