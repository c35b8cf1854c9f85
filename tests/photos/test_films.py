"""Films: which frames are taken, where and when they were, and what is said of those that fail."""

import shutil
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import pytest
from films import gpmf, gpx, grey, greys, klv, write_film
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hafloc.errors import MissingExtraError, OptionError, PhotoError, PositionError
from hafloc.geo import LocalFrame, Position, distance
from hafloc.photos import (
    Every,
    Frame,
    Tracking,
    View,
    find_photos,
    open_clip,
    parse_every,
    part_name,
    plan_film,
    query_photos,
    read_frames,
    read_part,
    read_track,
    split_name,
)
from hafloc.photos.films import film as film_module
from hafloc.photos.films.clock import beginning_of
from hafloc.photos.films.gpmf import gps_samples
from hafloc.photos.films.subtitles import read_srt, told_by

START = Position(48.2, 16.37)
FRAME = LocalFrame(START)


def east(metres: float) -> Position:
    return FRAME.to_position(metres, 0.0)


@pytest.fixture
def track(tmp_path: Path) -> Path:
    """Ten metres a second to the east, from the film's first moment on for 20 seconds."""
    ends = (("2024-01-12T18:30:00Z", east(0)), ("2024-01-12T18:30:20Z", east(200)))
    return gpx(tmp_path / "a.gpx", [(time, p.lat, p.lon) for time, p in ends])


def planned(film: Path, every: str, track: Path | None = None, **options: object):
    tracking = None if track is None else Tracking((track,), **options)
    tracks = () if track is None else read_track(track).tracks
    return plan_film(film, parse_every(every), tracks, tracking)


def levels(photos: list) -> list[int]:
    """Which frames of `greys` these are, by their colour."""
    return [round((float(np.median(photo.image)) - 20) / 4) for photo in photos]


def frames(plan, longer_side: int = 64, **options: object) -> list:
    return [p for some in read_frames(plan, plan.times, longer_side=longer_side, **options)
            for p in some]  # fmt: skip


# --- names ---


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Frame(12.4), "a.mp4#t=12.4"),
        (Frame(0), "a.mp4#t=0"),
        (Frame(3.0004), "a.mp4#t=3"),
        (Frame(12.4, View(45)), "a.mp4#t=12.4&view=45"),
        (View(45), "a.mp4#view=45"),
    ],
)
def test_the_name_of_a_part_leads_back_to_it(part, name):
    assert part_name("a.mp4", part) == name
    assert split_name(name) == ("a.mp4", part)


@pytest.mark.parametrize(
    "name",
    ["a.jpg#t=1", "a.mp4#t=", "a.mp4#t=-1", "a.mp4#t=1.50", "a.mp4#t=01", "a.mp4#view=45&t=1",
     "a.mp4#t=1&", "a.mp4#t=1view=45", "a.mp4#t=1.2.3", "a.mp4#t=1,2", "a#t=1"],
)  # fmt: skip
def test_what_is_no_name_of_a_frame_is_a_file(name):
    assert split_name(name) == (name, None)


# --- which frames ---


def test_frames_lie_every_five_metres_of_the_way(tmp_path, track):
    # 4 s at 10 m/s are 40 m: 0, 5, … 35 m (the film ends at 40 m) at 0, 0.5, … 3.5 s.
    film = write_film(tmp_path / "a.mp4", greys(40))

    plan = planned(film, "5m", track)
    taken = frames(plan)

    assert plan.times == pytest.approx([0.5 * k for k in range(9)][: len(plan.times)], abs=1e-3)
    assert len(plan.times) in (8, 9)
    for photo in taken:
        # A frame's place is that of its own time, whichever neighbour was taken.
        place = photo.metadata.position
        assert distance(place, east(10 * photo.part.time)) < 0.01
        assert photo.metadata.heading == pytest.approx(90, abs=0.1)
        assert photo.metadata.time.timestamp() == pytest.approx(
            datetime(2024, 1, 12, 18, 30, tzinfo=UTC).timestamp() + photo.part.time, abs=2e-3
        )
    assert levels(taken) == [round(10 * photo.part.time) for photo in taken]


def test_standing_still_gives_no_second_frame(tmp_path):
    # 0 to 10 m in the first second, then nothing for two, whatever the receiver's noise.
    way = [("18:30:00", 0), ("18:30:01", 10), ("18:30:02", 9), ("18:30:03", 11), ("18:30:04", 10)]
    track = gpx(
        tmp_path / "a.gpx",
        [(f"2024-01-12T{time}Z", east(m).lat, east(m).lon) for time, m in way],
    )
    film = write_film(tmp_path / "a.mp4", greys(40))

    assert planned(film, "5m", track).times == pytest.approx([0, 0.5, 1.0], abs=0.02)


def test_before_and_after_a_track_no_frame_is_placed_but_for_two_seconds(tmp_path):
    # A car that has moved on meanwhile: the first fix is none of where it was before.
    way = [("18:30:03", 0), ("18:30:04", 10), ("18:30:05", 20)]
    track = gpx(
        tmp_path / "a.gpx",
        [(f"2024-01-12T{time}Z", east(m).lat, east(m).lon) for time, m in way],
    )
    film = write_film(tmp_path / "a.mp4", greys(58)[:58] + greys(30))
    assert planned(film, "1s", track).times == (1, 2, 3, 4, 5, 6, 7)


def test_frames_by_seconds(tmp_path, track):
    film = write_film(tmp_path / "a.mp4", greys(40))
    assert planned(film, "1s", track).times == (0, 1, 2, 3)


def test_an_uneven_film_is_taken_by_the_times_of_its_frames(tmp_path, track):
    # A frame at 0.0, 0.2, 1.0, 1.1 and 3.9 s; at 3 s the one of 1.1 s is still shown.
    film = write_film(tmp_path / "a.mp4", greys(5), times=[0, 0.2, 1.0, 1.1, 3.9])

    taken = frames(planned(film, "1s", track))

    assert taken[0].part.time == 0
    assert all(photo.part.time in (0, 0.2, 1.0, 1.1, 3.9) for photo in taken)
    assert len({photo.part.time for photo in taken}) == len(taken)
    assert levels(taken) == [[0, 0.2, 1.0, 1.1, 3.9].index(photo.part.time) for photo in taken]


def test_a_long_wait_is_leapt_over_and_the_right_frame_taken(tmp_path, track):
    film = write_film(tmp_path / "a.mp4", (grey(20 + k % 200) for k in range(180)))

    plan = planned(film, "17s", track)
    taken = frames(plan)

    assert [photo.part.time for photo in taken] == pytest.approx([0, 17], abs=0.13)
    median = float(np.median(taken[1].image))
    assert median == pytest.approx(20 + round(10 * taken[1].part.time) % 200, abs=1.5)


def test_of_neighbours_the_sharp_one_is_taken(tmp_path, track):
    import cv2

    rng = np.random.default_rng(1)
    sharp = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(sharp, (0, 0), 3)
    # At 0.5 s, frame 5 is blurred, 6 is not.
    film = write_film(tmp_path / "a.mp4", [sharp if k in (0, 6) else blurred for k in range(10)])

    assert [p.part.time for p in frames(planned(film, "0.5s", track))] == [0, 0.6]


# --- pixels ---


@pytest.mark.parametrize(("rotation", "bright"), [(0, "left"), (-90, "top"), (90, "bottom"),
                                                  (180, "right")])  # fmt: skip
def test_a_turned_film_comes_upright(tmp_path, track, rotation, bright):
    image = np.full((48, 64, 3), 30, np.uint8)
    image[:, :20] = 220
    film = write_film(tmp_path / "a.mp4", [image] * 3, rotation=rotation)

    (photo,) = frames(planned(film, "1s", track))

    assert photo.image.shape[:2] == ((48, 64) if rotation in (0, 180) else (64, 48))
    assert (photo.width, photo.height) == photo.image.shape[1::-1]
    sides = {
        "left": photo.image[:, :8], "right": photo.image[:, -8:],
        "top": photo.image[:8], "bottom": photo.image[-8:],
    }  # fmt: skip
    assert max(sides, key=lambda side: sides[side].mean()) == bright


def test_ten_bits_come_as_eight(tmp_path, track):
    film = write_film(
        tmp_path / "a.mkv", [grey(100)] * 3, codec="libx264", pixels="yuv420p10le", tags={
            "creation_time": "2024-01-12T18:30:00Z"}
    )  # fmt: skip
    (photo,) = frames(planned(film, "1s", track))
    assert photo.image.dtype == np.uint8
    assert float(np.median(photo.image)) == pytest.approx(100, abs=3)


def test_bright_colours_of_hdr_come_as_they_look(tmp_path, track):
    # SMPTE ST 2084: 203 cd/m², diffuse white, has the code 0.5807, 100 cd/m² 0.508; of 8 bits
    # 148 and 130. Half of white's light, 0.4926, is 186 in sRGB. The encoder takes 2 of a code.
    image = np.zeros((48, 96, 3), np.uint8)
    image[:, :32], image[:, 32:64], image[:, 64:] = 150, 132, 10
    film = write_film(tmp_path / "a.mp4", [image] * 3, pixels="yuv420p10le", transfer=16)

    (photo,) = frames(planned(film, "1s", track), longer_side=96)

    white, grey_, black = (float(np.median(photo.image[:, x : x + 16])) for x in (8, 40, 72))
    assert white == pytest.approx(255, abs=4)
    assert grey_ == pytest.approx(186, abs=8)
    assert black < 10


def test_of_interlaced_frames_one_field_is_taken(tmp_path, track):
    image = np.full((48, 64, 3), 60, np.uint8)
    image[1::2, 20:40] = 200  # what moved between the fields
    film = write_film(
        tmp_path / "a.mkv", [image] * 3, **{"x264-params": "interlaced=1:tff=1", "crf": "1"}
    )

    (photo,) = frames(planned(film, "1s", track))

    assert photo.image.shape == (48, 64, 3)
    rows = photo.image[:, 30].astype(int).mean(axis=1)
    assert np.abs(np.diff(rows[4:-4])).max() < 30


def test_a_frame_is_read_by_its_name(tmp_path):
    film = write_film(tmp_path / "a.mp4", greys(40))
    for number in (0, 7, 23, 39):
        photo = read_part(film, Frame(number / 10), longer_side=64)
        assert levels([photo]) == [number]
        assert photo.part == Frame(number / 10)
    with pytest.raises(PhotoError, match=r"a\.mp4#t=9: the film has no frame there any more"):
        read_part(film, Frame(9), longer_side=64)


@pytest.mark.parametrize(
    ("time", "said"),
    [
        ("99", r"#t=99: the film's last frame is at 3\.9 seconds; name an earlier one"),
        ("abc", r"'abc' is no time of a frame; t is in seconds .*, such as a\.mp4#t=12\.4$"),
        ("1.50", r"'1\.50' is no time of a frame; .* such as a\.mp4#t=1\.5$"),
        ("0:01", "'0:01' is no time of a frame"),
        ("", "'' is no time of a frame"),
        ("-1", "'-1' is no time of a frame"),
        ("nan", "'nan' is no time of a frame"),
    ],
)
def test_a_query_of_a_time_that_a_film_has_not_is_told_what_it_has(tmp_path, time, said):
    film = write_film(tmp_path / "a.mp4", greys(40))
    with pytest.raises(PhotoError, match=said):
        query_photos(f"{film}#t={time}", longer_side=64)


def test_a_file_whose_own_name_looks_like_a_time_is_read(tmp_path):
    path = tmp_path / "a.mp4#t=abc"
    Image.new("RGB", (64, 48), (9, 9, 9)).save(path, format="JPEG")
    assert len(query_photos(path, longer_side=64)) == 1


@pytest.mark.parametrize(
    ("name", "codec"), [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.ts", "libx264"),
                        ("a.mov", "mjpeg"), ("a.webm", "libvpx-vp9")],
)  # fmt: skip
def test_a_frame_is_found_again_in_films_of_all_kinds(tmp_path, track, name, codec):
    """Some count from elsewhere than 0, and some do not let themselves be sought in."""
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    film = write_film(tmp_path / name, greys(30), codec=codec, pixels=pixels)
    whole = write_film(tmp_path / "whole.mp4", greys(30))
    plan = replace(planned(whole, "0.7s", track), path=film)

    for photo in frames(plan):
        again = read_part(film, photo.part, longer_side=64)
        assert again.part == photo.part
        assert np.array_equal(again.image, photo.image)


def test_a_360_films_frame_is_cut_into_views(tmp_path, track):
    film = write_film(tmp_path / "a.mp4", [grey(100, (512, 256))] * 3)

    taken = frames(planned(film, "1s", track), longer_side=128, views=4)

    assert [photo.part for photo in taken] == [Frame(0, View(90 * k)) for k in range(4)]
    view = read_part(film, Frame(0, View(90)), longer_side=128)
    assert view.part == Frame(0, View(90))
    assert np.abs(view.image.astype(int) - taken[1].image).mean() < 3


# --- where and when ---


def test_gopro_positions_inside_a_film_place_its_frames(tmp_path):
    seconds = [gpmf([(48 + 1e-4 * (second + part / 4), 16) for part in range(4)])
               for second in range(4)]  # fmt: skip
    film = write_film(tmp_path / "a.mp4", greys(40), data=list(enumerate(seconds)))

    taken = frames(planned(film, "1s"))

    assert [photo.metadata.source for photo in taken] == ["film"] * 4
    for photo in taken:
        assert photo.metadata.position.lat == pytest.approx(48 + 1e-4 * photo.part.time, abs=2e-6)
        assert photo.metadata.altitude == pytest.approx(170)
        assert photo.metadata.heading == pytest.approx(0, abs=0.5)


def test_gopro_of_later_years_writes_gps9_and_both():
    scale = struct.pack(">9i", 10**7, 10**7, 1000, 1000, 100, 1, 1000, 100, 1)
    # 8,777 days after 2000 is 2024-01-12, 66,600 s after midnight 18:30; dilution 1.5, lock 3.
    row = struct.pack(">7i2H", 480_000_000, 160_000_000, 170_000, 0, 0, 8777, 66_600_000, 150, 3)
    poor = struct.pack(">7i2H", 490_000_000, 160_000_000, 170_000, 0, 0, 8777, 66_600_000, 150, 0)
    inside = (
        klv("TYPE", "c", 1, 9, b"lllllllSS")
        + klv("SCAL", "l", 4, 9, scale)
        + klv("GPS9", "?", 32, 2, row + poor)
    )
    stream = klv("STRM", "", 1, len(inside), inside)
    later = klv("DEVC", "", 1, len(stream), stream)

    for payload in (later, gpmf([(12, 13)]) + later):
        (sample,) = gps_samples(payload)
        assert (sample.lat, sample.lon, sample.altitude) == (48, 16, 170)
        assert sample.time == datetime(2024, 1, 12, 18, 30, tzinfo=UTC)


def test_gpmf_without_a_lock_or_of_poor_precision_says_nothing():
    whole = gpmf([(48, 16), (48.1, 16)])
    assert [(s.lat, s.lon) for s in gps_samples(whole)] == [(48, 16), (48.1, 16)]
    assert gps_samples(whole)[0].time == datetime(2024, 1, 12, 18, 30, tzinfo=UTC)
    no_lock = whole.replace(klv("GPSF", "L", 4, 1, b"\0\0\0\3"), klv("GPSF", "L", 4, 1, bytes(4)))
    assert gps_samples(no_lock) == []
    poor = whole.replace(klv("GPSP", "S", 2, 1, b"\0\xc8"), klv("GPSP", "S", 2, 1, b"\x27\x0f"))
    assert gps_samples(poor) == []


@pytest.mark.parametrize("length", range(0, 200, 3))
def test_a_cut_off_payload_never_fails(length):
    assert isinstance(gps_samples(gpmf([(48, 16)] * 5)[:length]), list)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_reader_of_gpmf_fail(noise):
    assert gps_samples(noise) == gps_samples(noise)
    whole = gpmf([(48, 16)] * 2)
    for at in (8, 40, len(whole) - len(noise) % len(whole)):
        gps_samples(whole[:at] + noise + whole[at:])


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_of_subtitles_fail(text):
    told = told_by(text)
    assert told is None or (abs(told.lat) <= 90 and abs(told.lon) <= 180)


@given(
    st.floats(0, 1e6), st.none() | st.builds(View, st.floats(0, 359), st.floats(-90, 90)),
    st.sampled_from(["a.mp4", "x#t=1.mp4", "a b.MOV", "#t=3.mkv"]),
)  # fmt: skip
def test_every_frames_name_leads_back_to_it(time, view, file):
    part = Frame(time, view)
    assert split_name(part_name(file, part)) == (file, part)


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_exiftool_finds_positions_where_no_reader_of_ours_does(tmp_path, monkeypatch):
    seconds = [gpmf([(48 + 1e-4 * second, 16)]) for second in range(3)]
    film = write_film(tmp_path / "-a.mp4", greys(30), data=list(enumerate(seconds)))
    monkeypatch.setattr("hafloc.photos.films.own_gps._of_gpmf", lambda film: None)

    plan = planned(film, "1s")

    assert plan.way.position(1.0).lat == pytest.approx(48.0001, abs=1e-6)
    assert plan.way.began == datetime(2024, 1, 12, 18, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[iso: 100] [latitude: 48.2] [longitude: 16.37] [rel_alt: 1.2 abs_alt: 171.5]",
         (48.2, 16.37, 171.5)),
        ("[latitude : -33.8] [longtitude : 151.2] [altitude: 12.0]", (-33.8, 151.2, 12.0)),
        ("F/2.8, GPS (16.3700, 48.2000, 15), D 10.1m", (48.2, 16.37, float("nan"))),
        ("GPS(16.37,48.2,0.0M) BAROMETER:12.1", (48.2, 16.37, float("nan"))),
    ],
)  # fmt: skip
def test_dji_subtitles_tell_a_place(text, place):
    told = told_by(text)
    assert (told.lat, told.lon, told.altitude) == pytest.approx(place, nan_ok=True)


@pytest.mark.parametrize("text", ["", "Hello", "[latitude: 0.0] [longitude: 0.0]",
                                  "[latitude: 95] [longitude: 16]"])  # fmt: skip
def test_other_subtitles_tell_none(text):
    assert told_by(text) is None


def test_subtitles_beside_a_film_place_its_frames(tmp_path):
    film = write_film(tmp_path / "DJI_0001.MP4", greys(20))
    (tmp_path / "DJI_0001.SRT").write_text(
        "1\n00:00:00,000 --> 00:00:01,000\n[latitude: 48.0] [longitude: 16.0]\n\n"
        "2\n00:00:01,000 --> 00:00:02,000\n[latitude: 48.0001] [longitude: 16.0]\n\n"
    )
    assert [at for at, _ in read_srt(tmp_path / "DJI_0001.SRT")] == [0, 1]

    taken = frames(planned(film, "1s"))

    for photo in taken:
        expected = 48 + 1e-4 * min(1, photo.part.time)
        assert photo.metadata.position.lat == pytest.approx(expected, abs=1e-8)


def test_a_phones_film_without_a_track_gives_the_frame_where_it_began(tmp_path):
    tags = {"com.apple.quicktime.location.ISO6709": "+48.2000+016.3700+171.000/",
            "creation_time": "2024-01-12T18:30:00Z"}  # fmt: skip
    film = write_film(tmp_path / "a.mov", greys(40), tags=tags)

    plan = planned(film, "5m")

    assert plan.times == (0,)
    assert plan.way.position(0) == Position(48.2, 16.37)
    assert "tells only where it began" in plan.way.notes[0]


def test_the_clock_of_a_film():
    def began(duration=60.0, **tags):
        told = beginning_of(tags, duration)
        return told and (told.time.isoformat(), told.stated)

    mp4 = {"creation_time": "2024-01-12T18:30:00.000000Z"}
    assert began(**mp4) == ("2024-01-12T18:30:00+00:00", False)
    # Apple tells the time of the place with its zone, and that goes first.
    apple = {"com.apple.quicktime.creationdate": "2024-01-12T10:30:00-0800"}
    assert began(**mp4 | apple) == ("2024-01-12T18:30:00+00:00", True)
    # Android writes the time at which it closed the file.
    android = {"com.android.version": "14"}
    assert began(**mp4 | android) == ("2024-01-12T18:29:00+00:00", False)
    # A Pixel 8 that began 15:44:26, by its file's name, and writes both.
    pixel = {"creation_time": "2025-07-11T15:44:38.000000Z", "com.android.model": "Pixel 8",
             "com.apple.quicktime.creationdate": "2025-07-11T09:44:38-0600"}  # fmt: skip
    assert began(12.0, **pixel) == ("2025-07-11T15:44:26+00:00", True)
    # A dash camera that writes none; others write the time of the place, too.
    named = beginning_of({}, 60.0, "2023_0601_063550_F")
    assert named.time.isoformat() == "2023-06-01T06:35:50+00:00"
    assert not named.stated
    assert beginning_of({}, 60.0, "VID_20240112_183000123").time.second == 0
    assert beginning_of({}, 60.0, "GX010042") is None
    assert beginning_of({}, 60.0, "20241399_999999") is None
    assert began(creation_time="1904-01-01T00:00:00Z") is None
    assert began(creation_time="yesterday") is None
    assert began() is None


def test_a_zone_that_is_named_is_that_of_a_clock_which_showed_local_time(tmp_path, track):
    from datetime import timedelta, timezone

    tags = {"creation_time": "2024-01-12T10:30:00Z"}
    film = write_film(tmp_path / "a.mp4", greys(20), tags=tags)
    with pytest.raises(PositionError, match=r"8 h before the track begins.*--timezone -08:00"):
        planned(film, "1s", track)

    plan = planned(film, "1s", track, zone=timezone(timedelta(hours=-8)))

    assert plan.way.began == datetime(2024, 1, 12, 18, 30, tzinfo=UTC)
    late = planned(film, "1s", track, offset=8 * 3600.0)
    assert late.way.began == plan.way.began


# --- bad input ---


def test_every_is_metres_or_seconds():
    assert parse_every(" 5m ") == Every(metres=5)
    assert parse_every("0.5S") == Every(seconds=0.5)
    for text in ("5", "m", "-5m", "0s", "5 km", "1e3m", "inf s", "٥m"):
        with pytest.raises(OptionError, match="--every"):
            parse_every(text)


def test_films_that_cannot_be_used_are_told_in_one_line(tmp_path, track):
    def said(name: str, content: bytes | None) -> str:
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises((PhotoError, PositionError)) as told:
            frames(planned(path, "1s", track))
        assert "\n" not in str(told.value)
        return str(told.value)

    whole = write_film(tmp_path / "whole.mp4", greys(20)).read_bytes()
    assert "the file is empty" in said("zero.mp4", b"")
    assert "there is no such file" in said("missing.mp4", None)
    assert "it is no film in a known format" in said("text.mp4", b"not a film at all " * 100)
    assert "it is a photo, not a film" in said("photo.mp4", b"\xff\xd8\xff\xe0" + bytes(500))
    assert "was not finished or is damaged" in said("cut.mp4", whole[: len(whole) // 2])
    # What names other files is no film.
    assert "no film in a known format" in said("list.mp4", b"#EXTM3U\n#EXTINF:1,\nwhole.mp4\n")
    assert "no film in a known format" in said("concat.mp4", b"ffconcat version 1.0\nfile a.mp4\n")
    unknown = whole.replace(b"avc1", b"zzzz")
    assert "codec" in said("unknown.mp4", unknown)
    at = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    noise = np.random.default_rng(0).bytes(end - at)
    locked = whole[:at] + noise + whole[end:]
    assert "none of its pictures can be decoded" in said("locked.mp4", locked)


def test_small_copies_and_live_photos_are_no_films_of_a_folder(tmp_path):
    write_film(tmp_path / "GX010001.MP4", greys(2))
    for name in ("GL010001.LRV", "VID_00_001.insv"):
        (tmp_path / name).write_bytes((tmp_path / "GX010001.MP4").read_bytes())
    write_film(tmp_path / "IMG_1.MOV", greys(2))
    (tmp_path / "IMG_1.HEIC").write_bytes(b"a photo")

    found = find_photos(tmp_path, films=True)

    assert [path.name for path in found.paths] == ["GX010001.MP4", "IMG_1.HEIC"]
    assert found.left_out == {"video": 3}
    with pytest.raises(PhotoError, match=r"\.insv holds no pictures as a lens sees them"):
        find_photos(tmp_path / "VID_00_001.insv")


def test_a_film_of_sound_alone_is_none(tmp_path, track):
    path = tmp_path / "a.m4v"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(PhotoError, match="holds no moving picture"):
        planned(path, "1s", track)


def test_a_film_with_neither_way_nor_track_says_what_to_do(tmp_path):
    film = write_film(tmp_path / "a.mp4", greys(5))
    with pytest.raises(PositionError, match=r"tells no way of its own; record a track.*--track"):
        planned(film, "5m")


def test_a_track_of_another_day_is_refused_in_one_line(tmp_path):
    film = write_film(tmp_path / "a.mp4", greys(5))
    other = gpx(tmp_path / "b.gpx", [("2024-01-15T18:30:00Z", 48, 16),
                                     ("2024-01-15T18:40:00Z", 48.1, 16)])  # fmt: skip
    with pytest.raises(PositionError, match=r"3 days before the track begins; give the track"):
        planned(film, "5m", other)


def test_a_film_that_breaks_off_gives_what_decodes(tmp_path, track):
    # The table of contents comes first, as cameras for streams write it.
    film = write_film(tmp_path / "a.ts", greys(40))
    data = film.read_bytes()
    film.write_bytes(data[: len(data) * 6 // 10])
    from hafloc.photos import Decoded

    plan = planned(write_film(tmp_path / "b.mp4", greys(40)), "1s", track)
    plan = type(plan)(film, plan.times, plan.way, plan.duration)
    decoded = Decoded()
    taken = [p for some in read_frames(plan, plan.times, longer_side=64, decoded=decoded)
             for p in some]  # fmt: skip

    assert 1 <= len(taken) < 4
    assert levels(taken) == [round(10 * photo.part.time) for photo in taken]
    assert "decodes only up to" in decoded.notes[0]


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    film = write_film(tmp_path / "a.mp4", greys(2))
    monkeypatch.setattr(film_module.formats, "has_reader", lambda kind: False)
    with pytest.raises(MissingExtraError, match=r"`pip install hafloc\[video\]`"):
        open_clip(film, Every(seconds=1))
    # A record whose film cannot be read here is as one whose photo cannot.
    with pytest.raises(PhotoError, match=r"hafloc\[video\]"):
        read_part(film, Frame(0), longer_side=64)


def test_metres_of_a_clip_need_a_way(tmp_path):
    film = write_film(tmp_path / "a.mp4", greys(2))
    with pytest.raises(OptionError, match="tells none; give seconds"):
        open_clip(film, Every(metres=5))
