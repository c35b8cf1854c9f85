"""Photos placed on a track by their times, whatever the camera's clock says."""

import math
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from dated_photos import Walk, write_photo
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from hafloc.errors import OptionError, PositionError
from hafloc.geo import Position, distance
from hafloc.photos import Positions, Tracking, parse_zone, read_metadata
from hafloc.photos.tracks import Fix, Place, Track, place_at

START = Walk.start.timestamp()
WALK = Walk()


def placed(folder: Path, **options: object) -> Positions:
    """What the walk's track says of the photos in a folder."""
    names = sorted(path.name for path in folder.glob("*.jpg"))
    track = folder / "walk.gpx"
    if not track.exists():
        WALK.gpx(track)
    return Positions.for_folder(folder, names, None, Tracking((track,), **options))  # type: ignore[arg-type]


def shoot(folder: Path, at: float, *, ahead: float = 0.0, **more: object) -> str:
    """A photo taken `at` seconds of the walk by a camera whose clock is `ahead`; its name."""
    name = f"{more.get('camera', 'Cam 1')} {at:05.0f}.jpg"
    reading = (WALK.time(at) + timedelta(seconds=ahead)).replace(tzinfo=None)
    write_photo(folder / name, reading=reading, **more)  # type: ignore[arg-type]
    return name


# --- along the track ---


def test_between_two_fixes_the_place_lies_on_the_great_circle() -> None:
    # Given a flight along the 60th parallel, whose great circle goes far north of it
    track = Track.of([Fix(0, 60, -60), Fix(100, 60, 60)])
    place = place_at([track], 50)
    assert isinstance(place, Place)
    # Then half of the way lies at the top of that circle: tan φ = tan 60° / cos 60°
    assert place.position.lon == pytest.approx(0, abs=1e-9)
    assert place.position.lat == pytest.approx(math.degrees(math.atan(2 * math.sqrt(3))), abs=0.05)


def test_the_way_goes_over_the_180th_meridian_and_not_around_the_world() -> None:
    place = place_at([Track.of([Fix(0, 0, 179.9, 10), Fix(60, 0, -179.9, 40)])], 20)
    assert isinstance(place, Place)
    assert place.position.lon == pytest.approx(179.9 + 0.2 / 3)
    assert place.altitude == pytest.approx(20)


def test_a_fix_itself_is_exact_and_one_of_a_single_fix_too() -> None:
    track = Track.of([Fix(0, 48, 16, 5), Fix(60, 48.001, 16), Fix(120, 48.002, 16)])
    at_fix = place_at([track], 60)
    assert isinstance(at_fix, Place)
    assert (at_fix.position, at_fix.gap, at_fix.altitude) == (Position(48.001, 16), 0, None)
    alone = place_at([Track.of([Fix(0, 48, 16)])], 5)
    assert isinstance(alone, Place)
    assert (alone.position, alone.course) == (Position(48, 16), None)


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (START + 100, "in a gap of 2 min 1 s of the track, and more than 2 min is refused"),
        (START - 61, "1 min 1 s before the track begins"),
        (START + 121 + 3600 * 3, "3 h after the track ends"),
        (START - 86_400 * 30, "30 days before the track begins"),
    ],
)
def test_a_moment_in_a_gap_or_on_another_day_is_refused(time: float, words: str) -> None:
    track = Track.of([Fix(START, 48, 16), Fix(START + 121, 48, 16)])
    said = place_at([track], time)
    assert isinstance(said, str)
    assert words in said


def test_the_ends_speak_for_half_of_a_gap_outside() -> None:
    track = Track.of([Fix(START, 48, 16), Fix(START + 10, 49, 16)])
    assert isinstance(place_at([track], START + 10 + 60), Place)
    assert isinstance(place_at([track], START + 10 + 60.1), str)


def test_of_two_receivers_the_one_with_the_nearer_fixes_speaks() -> None:
    phone = Track.of([Fix(0, 48, 16), Fix(100, 48, 16)])
    watch = Track.of([Fix(48, 49, 16), Fix(52, 49, 16)])
    place = place_at([phone, watch], 50)
    assert isinstance(place, Place)
    assert place.position.lat == 49


def test_the_course_is_known_only_while_the_receiver_moves() -> None:
    # Given a walk to the east, and a rest with the errors of a receiver
    east = [Fix(t, 48, 16 + t * 2e-5) for t in range(60)]
    rest = [Fix(60 + t, 48 + 2e-5 * (t % 2), 16 + 59 * 2e-5) for t in range(60)]
    track = Track.of([*east, *rest])
    moving, resting = place_at([track], 30), place_at([track], 90)
    assert isinstance(moving, Place)
    assert isinstance(resting, Place)
    assert moving.course == pytest.approx(90, abs=0.1)
    assert resting.course is None


@given(
    lat=st.floats(-89, 89),
    lon=st.floats(-180, 180),
    bearing=st.floats(0, 6.28),
    share=st.floats(0, 1),
)
def test_a_place_divides_the_way_by_its_time(
    lat: float, lon: float, bearing: float, share: float
) -> None:
    end_lat = max(-90.0, min(90.0, lat + 0.01 * math.cos(bearing)))
    end_lon = (lon + 0.01 * math.sin(bearing) + 180) % 360 - 180
    place = place_at([Track.of([Fix(0, lat, lon), Fix(100, end_lat, end_lon)])], 100 * share)
    assert isinstance(place, Place)
    begin, end = Position(lat, lon), Position(end_lat, end_lon)
    whole = distance(begin, end)
    assert distance(begin, place.position) == pytest.approx(share * whole, abs=0.01)
    assert distance(place.position, end) == pytest.approx((1 - share) * whole, abs=0.01)


# --- time zones ---


def test_the_zone_of_the_photo_itself_goes_before_the_one_that_is_named(tmp_path: Path) -> None:
    stated = shoot(tmp_path, 400, ahead=7200, offset="+02:00")
    silent = shoot(tmp_path, 500, ahead=-4 * 3600)
    found = placed(tmp_path, zone=ZoneInfo("America/New_York"), offset=0.0).tracked.found
    assert distance(found[stated].position, WALK.position(400)) < 0.5
    assert distance(found[silent].position, WALK.position(500)) < 0.5
    assert found[silent].time == WALK.time(500)
    assert found[silent].source == "track"
    assert found[silent].altitude == pytest.approx(175, abs=0.1)


def test_a_zone_that_is_stated_for_the_file_alone_is_the_cameras(tmp_path: Path) -> None:
    # As in gpscorrelate's issue 24, but with OffsetTime as the only one
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:31 21:05:00"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.OffsetTime] = "+07:00"
    Image.new("RGB", (48, 32)).save(tmp_path / "a.jpg", exif=exif)
    positions = placed(tmp_path)
    found = positions.tracked.found["a.jpg"]
    assert positions.places("a.jpg")
    assert distance(found.position, WALK.position(300)) < 1


def test_a_zone_that_is_not_known_is_asked_for_with_the_choices(tmp_path: Path) -> None:
    for at in (100, 300, 500):
        shoot(tmp_path, at, ahead=7200)
    said = placed(tmp_path)
    assert not said.tracked.found
    (note, _) = said.notes
    assert re.match(
        r"Cam 1: the time zone of its clock is not known, .*--timezone, as a place such as "
        r"Europe/Vienna or an offset; of 3 photos so many would lie on the track: \+02:00 \(3\)",
        note,
    )
    assert "2024-05-31 16:01:40 in a time zone that is not known" in next(
        iter(said.tracked.refused.values())
    )


def test_a_named_zone_knows_summer_time_of_each_day(tmp_path: Path) -> None:
    # As in GeoTag's issue 36 and PhotoLocator's 29: a journey over the change of the clocks,
    # on a track whose times have an offset of their own
    days = [datetime(2025, 3, 29, 12, 0, 30), datetime(2025, 3, 30, 12, 0, 30)]
    for number, day in enumerate(days):
        write_photo(tmp_path / f"{number}.jpg", reading=day)
    points = "".join(
        f'<trkpt lat="{lat}" lon="16"><time>{time}-06:00</time></trkpt>'
        for lat, time in (
            (48.0, "2025-03-29T05:00:00.557"),  # 12:00 in Vienna, at UTC+1
            (48.0, "2025-03-29T05:01:00.557"),
            (49.0, "2025-03-30T04:00:00.557"),  # 12:00 in Vienna, at UTC+2
            (49.0, "2025-03-30T04:01:00.557"),
        )
    )
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk>{points}</trk></gpx>")
    found = placed(tmp_path, zone=ZoneInfo("Europe/Vienna")).tracked.found
    assert [found[f"{n}.jpg"].position.lat for n in (0, 1)] == [48, 49]


@pytest.mark.parametrize(
    ("text", "hours"), [("+02:00", 2), ("Z", 0), ("-0330", -3.5), ("Europe/Vienna", 2)]
)
def test_zones_are_names_or_offsets(text: str, hours: float) -> None:
    zone = parse_zone(text)
    assert Walk.start.replace(tzinfo=zone).utcoffset() == timedelta(hours=hours)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Vienna", "did you mean Europe/Vienna"),
        ("europe/viena", "did you mean Europe/Vienna"),
        ("+25:00", "is no offset from UTC; give a name such as"),
        ("../../etc/passwd", "is no time zone"),
        ("", "is no time zone"),
        ("a\nb", r"a\?b is no time zone"),
        ("Europe", "is no time zone"),
    ],
)
def test_what_is_no_zone_is_refused_with_those_that_come_near(text: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        parse_zone(text)


# --- clocks that are off ---


def test_the_clocks_error_comes_from_photos_with_a_gps_time(tmp_path: Path) -> None:
    # Given a camera 37 s ahead of its zone, three of whose photos have a receiver's time
    for at in (50, 200, 350):
        position = WALK.position(at)
        shoot(tmp_path, at, ahead=7237, offset="+02:00", position=position, gps_time=WALK.time(at))
    wanted = shoot(tmp_path, 600, ahead=7237, offset="+02:00")
    said = placed(tmp_path)
    assert distance(said.tracked.found[wanted].position, WALK.position(600)) < 2
    assert said.notes == (
        "Cam 1: its clock is 37 s ahead, by the GPS times of 3 photos; photos are placed by the "
        "corrected time",
    )


def test_gps_times_tell_the_zone_as_well(tmp_path: Path) -> None:
    for at in (50, 200, 350):
        position = WALK.position(at)
        shoot(tmp_path, at, ahead=-12_600 - 90, position=position, gps_time=WALK.time(at))
    wanted = shoot(tmp_path, 600, ahead=-12_600 - 90)
    said = placed(tmp_path)
    assert distance(said.tracked.found[wanted].position, WALK.position(600)) < 2
    assert "its clock shows UTC-03:30 and is 1 min 30 s behind, by the GPS times" in said.notes[0]


@pytest.mark.parametrize("ahead", [7200.0, 7200 - 431.0, -86_400 * 1000.0])
def test_without_gps_times_positions_on_the_track_tell_the_clock(
    tmp_path: Path, ahead: float
) -> None:
    # Given photos that somebody dragged onto a map, 10 m off at most, and no zone
    for at in (40, 210, 380, 560, 700):
        position = WALK.position(at)
        shoot(tmp_path, at, ahead=ahead, position=Position(position.lat + 8e-5, position.lon))
    wanted = shoot(tmp_path, 300, ahead=ahead)
    said = placed(tmp_path)
    assert distance(said.tracked.found[wanted].position, WALK.position(300)) < 15
    assert "by 5 photos with a position, which then lie" in said.notes[0]


def test_positions_of_a_table_tell_the_clock_too(tmp_path: Path) -> None:
    moments = (40, 210, 380, 560)
    names = [shoot(tmp_path, at, ahead=3600) for at in moments]
    spots = [WALK.position(at) for at in moments]
    wanted = shoot(tmp_path, 300, ahead=3600)
    rows = [f"{n},{p.lat},{p.lon}" for n, p in zip(names, spots, strict=True)]
    (tmp_path / "positions.csv").write_text("image,lat,lon\n" + "\n".join(rows))
    said = placed(tmp_path)
    assert distance(said.tracked.found[wanted].position, WALK.position(300)) < 3
    assert set(said.tracked.found) == {wanted}


def test_each_camera_has_a_clock_of_its_own(tmp_path: Path) -> None:
    for camera, ahead in (("A", 7260.0), ("B", 6600.0)):
        for at in (50, 200, 350):
            where = {"position": WALK.position(at), "gps_time": WALK.time(at)}
            shoot(tmp_path, at, ahead=ahead, offset="+02:00", camera=camera, **where)
    wanted = [
        shoot(tmp_path, 600, ahead=ahead, offset="+02:00", camera=camera)
        for camera, ahead in (("A", 7260.0), ("B", 6600.0))
    ]
    found = placed(tmp_path).tracked.found
    for name in wanted:
        assert distance(found[name].position, WALK.position(600)) < 2


def test_photos_of_one_spot_tell_nothing_of_the_clock(tmp_path: Path) -> None:
    # Given positions that the whole track is as near to, for its walker rested there
    rest = "".join(
        f'<trkpt lat="48.2" lon="16.37"><time>{WALK.time(at):%Y-%m-%dT%H:%M:%SZ}</time></trkpt>'
        for at in range(0, 900, 10)
    )
    (tmp_path / "walk.gpx").write_text(f"<gpx><trk>{rest}</trk></gpx>")
    for at in (100, 200, 300, 400):
        shoot(tmp_path, at, ahead=7200, position=Position(48.2, 16.37))
    wanted = shoot(tmp_path, 500, ahead=7200)
    assert wanted in placed(tmp_path).tracked.refused


def test_gps_times_that_do_not_agree_are_no_clock(tmp_path: Path) -> None:
    for at, late in ((50, 0), (200, 4000), (350, 9000), (400, 13_000)):
        stamp = WALK.time(at) + timedelta(seconds=late)
        shoot(tmp_path, at, offset="+00:00", position=Position(10, 10), gps_time=stamp)
    wanted = shoot(tmp_path, 600, offset="+00:00")
    said = placed(tmp_path)
    assert "the GPS times of its 4 photos do not agree on its clock" in said.notes[0]
    # Then the clock is believed
    assert distance(said.tracked.found[wanted].position, WALK.position(600)) < 1


def test_an_offset_of_a_person_goes_before_what_photos_tell(tmp_path: Path) -> None:
    for at in (50, 200, 350):
        where = {"position": WALK.position(at), "gps_time": WALK.time(at)}
        shoot(tmp_path, at, ahead=7200, offset="+02:00", **where)
    wanted = shoot(tmp_path, 600, ahead=7200, offset="+02:00")
    said = placed(tmp_path, offset=-100.0)
    assert distance(said.tracked.found[wanted].position, WALK.position(500)) < 1
    assert said.notes == ()


# --- what is left alone, and what is refused ---


def test_a_photo_with_a_position_of_its_own_keeps_it(tmp_path: Path) -> None:
    own = shoot(tmp_path, 100, offset="+00:00", position=Position(10, 10))
    said = placed(tmp_path)
    assert said.complete(read_metadata(tmp_path / own), own).position == Position(10, 10)


def test_a_heading_comes_from_the_course_where_the_photo_has_none(tmp_path: Path) -> None:
    own = shoot(tmp_path, 400, offset="+00:00", heading=10.0)
    none = shoot(tmp_path, 402, offset="+00:00")
    said = placed(tmp_path)
    complete = {n: said.complete(read_metadata(tmp_path / n), n) for n in (own, none)}
    # The walk goes north there
    assert complete[own].heading == 10
    course = complete[none].heading
    assert course is not None
    assert (course + 180) % 360 == pytest.approx(180, abs=1)
    assert placed(tmp_path, course=False).tracked.found[none].heading is None


def test_photos_without_a_time_and_those_off_the_track_are_named_and_the_rest_goes_on(
    tmp_path: Path,
) -> None:
    WALK.gpx(tmp_path / "walk.gpx", without=(200, 500))
    good = shoot(tmp_path, 100, offset="+00:00")
    gap = shoot(tmp_path, 300, offset="+00:00")
    early = shoot(tmp_path, -7200, offset="+00:00")
    write_photo(tmp_path / "timeless.jpg")
    said = placed(tmp_path)
    assert set(said.tracked.found) == {good}
    assert "in a gap of 5 min" in said.tracked.refused[gap]
    assert "2 h before the track begins" in said.tracked.refused[early]
    assert "no time" in said.tracked.refused["timeless.jpg"]
    metadata = said.complete(read_metadata(tmp_path / gap), gap)
    assert metadata.position is None
    assert metadata.problem == said.tracked.refused[gap]


def test_a_track_of_another_day_is_said_with_its_times(tmp_path: Path) -> None:
    shoot(tmp_path, 86_400 * 3, offset="+00:00")
    assert placed(tmp_path).notes == (
        "no photo was placed by the track, which goes from 2024-05-31 14:00:00 UTC to "
        f"{datetime.fromtimestamp(START + int(WALK.seconds // 5 * 5), UTC):%Y-%m-%d %H:%M:%S} UTC",
    )


def test_a_corrected_track_changes_what_is_stated_of_its_photos_alone(tmp_path: Path) -> None:
    first, last = (shoot(tmp_path, at, offset="+00:00") for at in (100, 700))
    before = placed(tmp_path)
    text = (tmp_path / "walk.gpx").read_text()
    (tmp_path / "walk.gpx").write_text(
        text[: text.index("14:09:")] + "</time></trkpt></trkseg></trk></gpx>"
    )
    after = placed(tmp_path)
    assert before.stated(first) == after.stated(first)
    assert before.stated(last) != after.stated(last)


def test_a_track_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    shoot(tmp_path, 100, offset="+00:00")
    (tmp_path / "walk.gpx").write_text("<html/>")
    with pytest.raises(PositionError, match=r"walk\.gpx: it is no track"):
        placed(tmp_path)


@settings(max_examples=12)  # each writes four photos
@given(
    ahead=st.integers(-50_000, 50_000),
    zone=st.sampled_from([None, "+02:00", "-03:30"]),
    first=st.integers(0, 120),
)
def test_any_steady_clock_is_found_from_gps_times(
    tmp_path_factory: pytest.TempPathFactory, ahead: int, zone: str | None, first: int
) -> None:
    folder = tmp_path_factory.mktemp("clock")
    for at in (first, first + 90, first + 300):
        where = {"position": WALK.position(at), "gps_time": WALK.time(at)}
        shoot(folder, at, ahead=ahead, offset=zone, **where)
    wanted = shoot(folder, first + 200, ahead=ahead, offset=zone)
    found = placed(folder).tracked.found[wanted]
    assert distance(found.position, WALK.position(first + 200)) < 2
