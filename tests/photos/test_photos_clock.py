"""Which of several clocks tells when a photo was taken."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.photos.clock import FIRST_GPS_DATE, choose, parse_offset, parse_time

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SUMMER = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2018:05:06 10:11:12", datetime(2018, 5, 6, 10, 11, 12)),
        ("2018-05-06T10:11:12", datetime(2018, 5, 6, 10, 11, 12)),
        ("2018/05/06 10:11", datetime(2018, 5, 6, 10, 11)),
        (" 2018:5:6  1:02:03 ", datetime(2018, 5, 6, 1, 2, 3)),
        ("2018:05:06 10:11:12.5", datetime(2018, 5, 6, 10, 11, 12, 500_000)),
        ("2018:05:06 10:11:12,123456789", datetime(2018, 5, 6, 10, 11, 12, 123_456)),
        ("2018-05-06T10:11:12Z", datetime(2018, 5, 6, 10, 11, 12, tzinfo=UTC)),
        ("2018-05-06T10:11+02:00", datetime(2018, 5, 6, 10, 11, tzinfo=SUMMER)),
        ("2018:05:06 10:11:12 +0200", datetime(2018, 5, 6, 10, 11, 12, tzinfo=SUMMER)),
        ("2018:05:06 24:04:20", datetime(2018, 5, 6, 0, 4, 20)),
        ("2016:12:31 23:59:60", datetime(2017, 1, 1)),
    ],
)
def test_times_are_read_in_the_ways_they_are_written(text, time):
    found = parse_time(text)
    assert found == time
    assert found.utcoffset() == time.utcoffset()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2018:05:06",
        "2018:13:06 10:11:12",
        "2018:02:29 10:11:12",
        "2018:05:06 25:00:00",
        "2018:05:06 10:60:00",
        "noon",
        "1525601472",
    ],
)
def test_what_is_no_time_is_none(text):
    assert parse_time(text) is None


@pytest.mark.parametrize(
    ("text", "hours"),
    [("Z", 0), ("+02:00", 2), ("+0200", 2), ("-8", -8), (" +05:45 ", 5.75), ("-12:00", -12)],
)
def test_offsets_are_read_in_the_ways_they_are_written(text, hours):
    assert parse_offset(text) == timezone(timedelta(hours=hours))


@pytest.mark.parametrize("text", ["", "   :  ", "+99:00", "+02:75", "-13:00", "02:00", "CET"])
def test_what_is_no_offset_is_none(text):
    assert parse_offset(text) is None


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    ("camera", "gps", "expected"),
    [
        # one clock alone
        (datetime(2018, 9, 21, 18, 49), None, datetime(2018, 9, 21, 18, 49)),
        (None, utc(2018, 9, 21, 16, 49), utc(2018, 9, 21, 16, 49)),
        (None, utc(1980, 1, 6), None),
        # receivers without a fix, and after 1,024 weeks
        (datetime(2018, 9, 21, 18, 49), utc(1970, 1, 18, 19, 5), datetime(2018, 9, 21, 18, 49)),
        (datetime(2019, 4, 7, 9), utc(1999, 8, 22, 7), datetime(2019, 4, 7, 9)),
        (datetime(2022, 9, 21, 18), utc(2003, 2, 5, 16), datetime(2022, 9, 21, 18)),
        (datetime(2018, 9, 21, 18), utc(2038, 5, 7, 16), datetime(2018, 9, 21, 18)),
        # the same moment in some zone
        (datetime(2018, 9, 21, 18, 49), utc(2018, 9, 21, 16, 48), utc(2018, 9, 21, 16, 48)),
        (datetime(2018, 9, 22, 6), utc(2018, 9, 21, 16), utc(2018, 9, 21, 16)),
        (datetime(2018, 9, 21, 4), utc(2018, 9, 21, 16), utc(2018, 9, 21, 16)),
        # a fix of another day
        (datetime(2018, 9, 21, 18), utc(2018, 9, 18, 16), datetime(2018, 9, 21, 18)),
        # an offset that agrees, that is wrong, and that comes with a receiver's default
        (
            datetime(2018, 9, 21, 18, 49, 1, 5, SUMMER),
            utc(2018, 9, 21, 16, 30),
            datetime(2018, 9, 21, 18, 49, 1, 5, SUMMER),
        ),
        (datetime(2018, 9, 21, 18, tzinfo=UTC), utc(2018, 9, 21, 16), utc(2018, 9, 21, 16)),
        (
            datetime(2018, 9, 21, 18, tzinfo=SUMMER),
            utc(1970, 1, 1),
            datetime(2018, 9, 21, 18, tzinfo=SUMMER),
        ),
        # a camera that was never set, or is ahead of today
        (datetime(2000, 1, 1, 0, 3), utc(2018, 9, 21, 16), utc(2018, 9, 21, 16)),
        (datetime(1970, 1, 1), None, None),
        (datetime(2035, 9, 21), utc(2018, 9, 21, 16), utc(2018, 9, 21, 16)),
        (datetime(2035, 9, 21), None, datetime(2035, 9, 21)),
        # a scan of an old print
        (datetime(1955, 7, 1, 12), None, datetime(1955, 7, 1, 12)),
    ],
)
def test_the_plausible_clock_is_believed(camera, gps, expected):
    found = choose([camera], gps, NOW)
    assert found == expected
    assert found is None or found.utcoffset() == expected.utcoffset()


def test_the_camera_s_next_clock_serves_where_the_first_is_unset_or_ahead():
    good = datetime(2018, 9, 21)
    for bad in (None, datetime(1904, 1, 1), datetime(2035, 9, 21)):
        assert choose([bad, good], None, NOW) == good


moments = st.datetimes(datetime(2002, 5, 1), datetime(2026, 5, 1))
minutes = st.integers(-12 * 60, 14 * 60)


@given(moments, minutes, st.integers(-3600, 3600))
def test_in_every_zone_of_the_world_the_gps_time_of_a_naive_photo_is_taken(moment, zone, drift):
    camera = moment + timedelta(minutes=zone, seconds=drift)
    if (camera.month, camera.day) != (1, 1):
        assert choose([camera], moment.replace(tzinfo=UTC), NOW) == moment.replace(tzinfo=UTC)


@given(moments, minutes, st.timedeltas(timedelta(hours=28), timedelta(days=9000)))
def test_a_gps_time_that_no_zone_explains_never_beats_the_camera_s(moment, zone, stale):
    camera = moment.replace(tzinfo=timezone(timedelta(minutes=zone)))
    for clock in (moment, camera):
        gps = moment.replace(tzinfo=UTC) - stale
        assert choose([clock], gps, NOW) == clock


@given(
    st.lists(st.none() | st.datetimes(timezones=st.none() | st.just(SUMMER)), max_size=3),
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
def test_what_is_chosen_is_one_of_the_clocks_and_a_gps_time_only_a_possible_one(cameras, gps):
    found = choose(cameras, gps, NOW)
    assert found is None or found in cameras or found == gps
    if found is not None and found not in cameras:
        assert FIRST_GPS_DATE <= found <= NOW + timedelta(days=1)


texts = st.text("0123456789:-/TZ +.,\0²", max_size=30)


@given(texts, texts, texts)
def test_no_text_makes_the_clock_raise(text, offset, fraction):
    for written in (text, f"2018:05:06 10:11:12{text}"):
        assert isinstance(parse_time(written, offset, fraction), datetime | None)
    assert parse_time("2018:05:06 10:11:12", offset, fraction).minute == 11
