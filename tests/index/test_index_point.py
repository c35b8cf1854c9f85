import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hafloc.index.point import read_point, write_point

LONS = st.floats(-180, 180)
LATS = st.floats(-90, 90)


@given(lon=LONS, lat=LATS)
def test_a_point_comes_back_as_it_was_written(lon: float, lat: float) -> None:
    assert read_point(write_point(lon, lat)) == (lon, lat)


def test_a_point_has_the_bytes_that_gdal_writes() -> None:
    from_gdal = "47500001E610000001010000009A9999999999B93F9A99999999194A40"

    assert write_point(0.1, 52.2).hex().upper() == from_gdal


@given(
    lon=LONS,
    lat=LATS,
    header=st.sampled_from("<>"),
    body=st.sampled_from("<>"),
    envelope=st.sampled_from([(0, 0), (1, 4), (2, 6), (3, 6), (4, 8)]),
    dimensions=st.sampled_from([(1, 0), (1001, 1), (2001, 1), (3001, 2)]),
)
def test_points_of_other_writers_are_read(
    lon: float,
    lat: float,
    header: str,
    body: str,
    envelope: tuple[int, int],
    dimensions: tuple[int, int],
) -> None:
    indicator, bounds = envelope
    kind, more = dimensions
    flags = indicator << 1 | (header == "<")
    blob = struct.pack(f"{header}2sBBi{bounds}d", b"GP", 0, flags, 4326, *[0.5] * bounds)
    blob += struct.pack(f"{body}BIdd{more}d", body == "<", kind, lon, lat, *[7.0] * more)

    assert read_point(blob) == (lon, lat)


@pytest.mark.parametrize("flags", [0b01_0001, 0b00_0001])
def test_an_empty_point_is_none_with_the_flag_or_by_its_nans_alone(flags: int) -> None:
    nan = float("nan")
    blob = struct.pack("<2sBBiBIdd", b"GP", 0, flags, 4326, 1, 1, nan, nan)

    assert read_point(blob) is None


@given(st.binary(max_size=80))
@example(b"")
@example(b"GP\x00\x01")
@example(write_point(1, 2)[:-1])
@example(b"XX" + write_point(1, 2)[2:])
def test_any_bytes_give_a_point_or_a_value_error(blob: bytes) -> None:
    try:
        point = read_point(blob)
    except ValueError:
        return
    assert blob[:2] == b"GP"
    assert point is None or len(point) == 2


def test_a_line_is_no_point() -> None:
    line = bytearray(write_point(1, 2))
    line[9] = 2

    with pytest.raises(ValueError, match="type 2, not a point"):
        read_point(bytes(line))
