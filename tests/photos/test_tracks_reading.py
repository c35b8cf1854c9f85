"""Recorded tracks: what each format says, and what is done with what it should not say."""

import math
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hafloc.errors import HaflocError, MissingExtraError, PositionError
from hafloc.photos import read_track

GPX = """<?xml version="1.0" encoding="UTF-8"?>
<gpx version="1.1" creator="OsmAnd 4.7.9" xmlns="http://www.topografix.com/GPX/1/1"
     xmlns:osmand="https://osmand.net">
 <metadata><name>Fri 31 May 2024</name><time>2024-05-31T15:02:11Z</time></metadata>
 <wpt lat="1" lon="1"><time>2024-05-31T14:00:00Z</time></wpt>
 <rte><rtept lat="2" lon="2"><time>2024-05-31T14:00:00Z</time></rtept></rte>
 <trk><name>walk</name><trkseg>
  <trkpt lat="48.2000000" lon="16.3700000"><ele>171.5</ele><time>2024-05-31T14:00:00Z</time>
   <hdop>1.2</hdop><extensions><osmand:speed>1.3</osmand:speed></extensions></trkpt>
  <trkpt lat="48.2001000" lon="16.3702000"><time>2024-05-31T16:00:10.500+02:00</time></trkpt>
 </trkseg><trkseg>
  <trkpt lat="48.2002" lon="16.3704"><ele>n/a</ele><time>2024-05-31T14:00:20</time></trkpt>
  <trkpt lat="48.2003" lon="16.3706"></trkpt>
  <trkpt lat="NaN" lon="16.3706"><time>2024-05-31T14:00:40Z</time></trkpt>
  <trkpt lat="0" lon="0"><time>2024-05-31T14:00:40Z</time></trkpt>
 </trkseg></trk>
</gpx>
"""
KML = """<?xml version="1.0" encoding="UTF-8"?>
<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2">
<Document><Placemark><gx:MultiTrack><gx:Track><altitudeMode>absolute</altitudeMode>
 <when>2024-05-31T14:00:00Z</when><when>2024-05-31T14:00:10Z</when>
 <gx:coord>16.37 48.2 171.5</gx:coord><gx:coord>16.3702 48.2001 172</gx:coord>
</gx:Track></gx:MultiTrack></Placemark>
<Placemark><TimeStamp><when>2024-05-31T15:00:00Z</when></TimeStamp>
 <Point><coordinates>16.38,48.21,0</coordinates></Point></Placemark>
</Document></kml>
"""
TCX = """<?xml version="1.0"?>
<TrainingCenterDatabase xmlns="http://www.garmin.com/xmlschemas/TrainingCenterDatabase/v2">
<Activities><Activity Sport="Running"><Id>2024-05-31T14:00:00Z</Id><Lap><Track>
 <Trackpoint><Time>2024-05-31T14:00:00.000Z</Time><Position><LatitudeDegrees>48.2</LatitudeDegrees>
  <LongitudeDegrees>16.37</LongitudeDegrees></Position><AltitudeMeters>171.5</AltitudeMeters>
  <HeartRateBpm><Value>90</Value></HeartRateBpm></Trackpoint>
 <Trackpoint><Time>2024-05-31T14:00:05.000Z</Time></Trackpoint>
 <Trackpoint><Time>2024-05-31T14:00:10.000Z</Time><Position><LatitudeDegrees>48.2001</LatitudeDegrees>
  <LongitudeDegrees>16.3702</LongitudeDegrees></Position></Trackpoint>
</Track></Lap></Activity></Activities></TrainingCenterDatabase>
"""


def sentence(body: str) -> str:
    check = 0
    for letter in body:
        check ^= ord(letter)
    return f"${body}*{check:02X}\r\n"


RMC = sentence("GPRMC,140000.00,A,4812.0000,N,01622.2000,E,2.5,45.0,310524,,,A")
RMC_LATER = sentence("GNRMC,140010.50,A,4812.0060,N,01622.2120,E,2.5,45.0,310524,,,A")
VOID = sentence("GPRMC,140005.00,V,,,,,,,310524,,,N")
GGA = sentence("GPGGA,140000.00,4812.0000,N,01622.2000,E,1,08,0.9,171.5,M,43.0,M,,")
START = 1_717_164_000.0  # 2024-05-31 14:00:00 UTC


def written(folder: Path, content: str | bytes, name: str = "track") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_gpx_track_gives_its_points_in_utc_and_leaves_the_broken_ones_out(tmp_path: Path) -> None:
    found = read_track(written(tmp_path, GPX))
    (track,) = found.tracks
    # Given without a zone, a time is UTC, as GPX has it; waypoints and routes are no recording
    assert track.times.tolist() == [START, START + 10.5, START + 20]
    assert track.lats.tolist() == [48.2, 48.2001, 48.2002]
    assert track.lons.tolist() == [16.37, 16.3702, 16.3704]
    assert track.altitudes[0] == 171.5
    assert np.isnan(track.altitudes[1:]).all()
    assert found.problems == (
        "1 point without a time left out",
        "2 points without a usable position left out",
    )


def test_a_kml_track_is_paired_and_timed_placemarks_are_a_track_too(tmp_path: Path) -> None:
    first, second = read_track(written(tmp_path, KML)).tracks
    assert first.times.tolist() == [START, START + 10]
    assert (first.lats[1], first.lons[1], first.altitudes[1]) == (48.2001, 16.3702, 172)
    assert (second.times.tolist(), second.lats[0], second.lons[0]) == ([START + 3600], 48.21, 16.38)


def test_a_kmz_is_its_kml(tmp_path: Path) -> None:
    path = tmp_path / "walk.kmz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("files/icon.png", b"x")
        archive.writestr("doc.kml", KML)
    assert len(read_track(path).tracks) == 2


def test_a_kmz_of_a_packing_that_python_does_not_know_is_not_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "walk.kmz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("doc.kml", KML)
    data = bytearray(path.read_bytes())
    for mark, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.index(mark) + method
        data[at : at + 2] = struct.pack("<H", 99)
    path.write_bytes(data)
    with pytest.raises(PositionError, match="its compression is not supported; export KML"):
        read_track(path)


def test_a_tcx_activity_leaves_out_heart_beats_without_a_fix(tmp_path: Path) -> None:
    found = read_track(written(tmp_path, TCX))
    assert found.tracks[0].times.tolist() == [START, START + 10]
    assert found.problems == ()


@pytest.mark.parametrize("order", [GGA + RMC, RMC + GGA])
def test_nmea_gives_rmc_with_the_height_of_gga_in_either_order(tmp_path: Path, order: str) -> None:
    found = read_track(written(tmp_path, "# logger v2\n" + order + VOID + RMC_LATER))
    (track,) = found.tracks
    assert track.times.tolist() == [START, START + 10.5]
    assert track.lats == pytest.approx([48.2, 48.2001])
    assert track.lons == pytest.approx([16.37, 16.3702])
    assert track.altitudes[0] == 171.5
    assert math.isnan(track.altitudes[1])


def test_nmea_with_a_wrong_checksum_is_left_out_and_counted(tmp_path: Path) -> None:
    found = read_track(written(tmp_path, RMC + RMC_LATER.replace("4812.0060", "4912.0060")))
    assert len(found.tracks[0]) == 1
    assert found.problems == ("1 sentence with a wrong checksum left out",)


def test_midnight_between_two_sentences_is_no_day_more(tmp_path: Path) -> None:
    # The log of GPXSee's issue 635, from an RGM-3800; one checksum corrected
    log = """$GPGGA,235901.000,3508.7135,N,13651.8903,E,1,00,,10.1,M,0.0,M,,0000*72
$GPRMC,235901.000,A,3508.7135,N,13651.8903,E,000.00,0.0,010124,,,E*5C
$GPGGA,000001.000,3508.5373,N,13651.8710,E,1,00,,8.4,M,0.0,M,,0000*4D
$GPRMC,000001.000,A,3508.5373,N,13651.8710,E,000.00,0.0,020124,,,E*5C
$GPGGA,000101.000,3508.5064,N,13651.8719,E,1,00,,16.7,M,0.0,M,,0000*7C
$GPRMC,000101.000,A,3508.5064,N,13651.8719,E,000.00,0.0,020124,,,E*51
"""
    (track,) = read_track(written(tmp_path, log)).tracks
    assert np.diff(track.times).tolist() == [60.0, 60.0]
    assert track.altitudes.tolist() == [10.1, 8.4, 16.7]


def test_nmea_without_rmc_takes_the_day_from_zda_across_midnight(tmp_path: Path) -> None:
    late = "GPGGA,235958.00,4812.0000,N,01622.2000,E,1,08,0.9,171.5,M,43.0,M,,"
    log = sentence("GPZDA,235957.00,31,05,2024,00,00") + sentence(late)
    log += sentence(late.replace("235958", "000003"))
    (track,) = read_track(written(tmp_path, log)).tracks
    assert np.diff(track.times).tolist() == [5.0]
    assert track.times[0] == START + 9 * 3600 + 59 * 60 + 58


def fit_file(records: list[tuple[float, float, float, float]]) -> bytes:
    """Records of time, lat, lon and height as Garmin's FIT has them: header, a definition of
    message 20 with fields 253, 0, 1 and 2, and data. Source: developer.garmin.com/fit/protocol."""
    fields = bytes([253, 4, 0x86, 0, 4, 0x85, 1, 4, 0x85, 2, 2, 0x84])
    body = bytes([0x40, 0, 0]) + struct.pack("<HB", 20, 4) + fields
    for time, lat, lon, height in records:
        # Seconds since 1989-12-31, semicircles, fifths of a metre above -500 m
        body += b"\0" + struct.pack(
            "<IiiH",
            int(time) - 631_065_600,
            0x7FFFFFFF if math.isnan(lat) else round(lat * 2**31 / 180),
            0x7FFFFFFF if math.isnan(lon) else round(lon * 2**31 / 180),
            round((height + 500) * 5),
        )
    head = struct.pack("<BBHI4sH", 14, 0x10, 2132, len(body), b".FIT", 0)
    return head + body + struct.pack("<H", 0)


def test_the_records_of_a_fit_file_are_a_track(tmp_path: Path) -> None:
    pytest.importorskip("fitdecode")
    lost = (START + 5, math.nan, math.nan, 0)
    data = fit_file([(START, 48.2, 16.37, 171.6), lost, (START + 10, -33.5, -70.25, 500)])
    (track,) = read_track(written(tmp_path, data)).tracks
    assert track.times.tolist() == [START, START + 10]
    assert track.lats == pytest.approx([48.2, -33.5], abs=1e-7)
    assert track.lons == pytest.approx([16.37, -70.25], abs=1e-7)
    assert track.altitudes == pytest.approx([171.6, 500])


@pytest.mark.parametrize("length", [13, 20, 40, 48])
def test_a_fit_file_that_ends_early_is_used_as_far_as_it_goes(tmp_path: Path, length: int) -> None:
    pytest.importorskip("fitdecode")
    data = fit_file([(START, 48.2, 16.37, 171.6), (START + 10, 48.3, 16.37, 171.6)])[:length]
    with suppress(PositionError):
        assert len(read_track(written(tmp_path, data)).tracks[0]) == 1


def test_without_its_reader_fit_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hafloc.photos.tracks.fit.find_spec", lambda _: None)
    path = written(tmp_path, fit_file([(START, 48.2, 16.37, 171.6)]))
    with pytest.raises(MissingExtraError) as refusal:
        read_track(path)
    assert str(refusal.value) == (
        f"cannot read {path}: FIT needs an extra; `pip install 'hafloc[fit]'`, or export the track "
        "as GPX"
    )


def test_fixes_are_in_order_and_one_time_counts_once(tmp_path: Path) -> None:
    # Given a recorder that wrote a point twice and one too late
    point = '<trkpt lat="{}" lon="16"><time>2024-05-31T14:00:{}Z</time></trkpt>'
    points = "".join(point.format(*row) for row in [(48, "00"), (49, "20"), (48.5, 10), (50, 10)])
    track = read_track(written(tmp_path, f"<gpx><trk>{points}</trk></gpx>")).tracks[0]
    assert track.lats.tolist() == [48, 48.5, 49]


def test_a_track_that_breaks_off_keeps_what_was_recorded(tmp_path: Path) -> None:
    # Given a logger whose battery died
    found = read_track(written(tmp_path, GPX[: GPX.index("16.3704")]))
    assert found.tracks[0].times.tolist() == [START, START + 10.5]
    assert found.problems == (
        "its XML breaks off or is damaged in line 12; what stands before is used",
    )


ENTITIES = """<?xml version="1.0"?><!DOCTYPE gpx [<!ENTITY a "aaaaaaaaaa">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><gpx><trk>&b;</trk></gpx>"""
OUTSIDE = """<!DOCTYPE gpx [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<gpx><trk><trkpt lat="1" lon="1"><time>&x;</time></trkpt></trk></gpx>"""


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "it is empty; give GPX, KML, KMZ, TCX, NMEA or FIT"),
        ("image,lat,lon\na.jpg,1,2\n", "it is no track; give GPX, KML, KMZ, TCX, NMEA or FIT"),
        ("<html><body>404</body></html>", "it is no track; give GPX"),
        ("<gpx></gpx>", "it holds no point with a time and a position; give a recorded track"),
        (
            '<gpx><trk><trkpt lat="1" lon="1"/><trkpt lat="1" lon="2"/></trk></gpx>',
            "none of its 2 points has a time, as in a planned route; give a recorded track",
        ),
        (ENTITIES, "it holds no point with a time and a position (it declares a document type"),
        (OUTSIDE, "it holds no point with a time and a position (it declares a document type"),
        ("<gpx>" * 100_000, "(its elements are nested more than 200 deep"),
        (b"PK\x03\x04" + bytes(100), "the archive is damaged; copy it again"),
        (b"\x0e\x10\x00\x00\x00\x00\x00\x00.FIT" + bytes(50), "no point with a time"),
    ],
)
def test_what_is_no_track_is_refused_in_one_line(
    tmp_path: Path, content: str | bytes, why: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(PositionError) as refusal:
        read_track(path)
    assert str(refusal.value).startswith(f"cannot read {path}: ")
    assert why in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_track_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone.gpx"):
        with pytest.raises(PositionError, match="cannot read"):
            read_track(path)


SAMPLES = [GPX.encode(), KML.encode(), TCX.encode(), (RMC + GGA + RMC_LATER).encode()]


@given(
    sample=st.sampled_from(SAMPLES),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 20), st.binary(max_size=12)), max_size=6
    ),
)
def test_a_damaged_track_is_read_as_far_as_it_goes_or_refused(
    tmp_path_factory: pytest.TempPathFactory, sample: bytes, edits: list[tuple[float, int, bytes]]
) -> None:
    data = sample
    for share, length, put in edits:
        at = int(share * len(data))
        data = data[:at] + put + data[at + length :]
    path = written(tmp_path_factory.getbasetemp(), data, "damaged track")
    refusal = ""
    try:
        tracks = read_track(path).tracks
    except HaflocError as error:
        refusal = str(error)
        tracks = ()
    assert "\n" not in refusal
    for track in tracks:
        assert len(track)
        assert (np.diff(track.times) > 0).all()
        assert (np.abs(track.lats) <= 90).all()
        assert (np.abs(track.lons) <= 180).all()
