"""Writes the demo city as photos: a database with EXIF positions, and queries with the truth."""

import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

from hafloc.demo.camera import Camera
from hafloc.demo.city import BLOCK, City, Street, build_city
from hafloc.demo.conditions import Conditions, Season
from hafloc.demo.render import render
from hafloc.errors import OutputError
from hafloc.files import write_whole

Generator = np.random.Generator
_VIEWS = 4  # photos at each stop: both ways along the street, both rows of façades
_SPACING = (8.0, 12.0)  # metres between stops
_END = 5.0  # metres kept from either end of a stretch of street
_ELSEWHERE = 3
_ELSEWHERE_SEED = 1_000_003
_ELSEWHERE_OFFSET = (6_000.0, 2_500.0)  # metres east and north of the city
# Half past ten on a summer morning by the sun: the city lies at 123° west, 49° south.
_DRIVE = datetime(2024, 1, 12, 18, 30, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DemoPhoto:
    """A written photo and its truth."""

    path: Path
    camera: Camera
    conditions: Conditions
    time: datetime


@dataclass(frozen=True, slots=True, eq=False)
class DemoCity:
    """What `render_city` wrote. `elsewhere` are queries from another town: their place is not
    in the database, and a good answer says so."""

    folder: Path
    city: City
    database: tuple[DemoPhoto, ...]
    queries: tuple[DemoPhoto, ...]
    elsewhere: tuple[DemoPhoto, ...]


def render_city(
    folder: Path,
    *,
    seed: int = 0,
    database: int = 150,
    queries: int = 30,
    size: tuple[int, int] = (480, 360),
    panorama: Callable[[City, DemoPhoto], bytes] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> DemoCity:
    """Render a small city and write `database` photos of it, and `queries` to be located.

    `folder` gets `database/*.jpg` with EXIF position, heading and time; `queries/*.jpg` and
    `elsewhere/*.jpg` without; and for each of these two the truth in `queries.csv` and
    `elsewhere.csv` (image, lat, lon, heading, time). The same seed writes the same bytes with the
    same versions of numpy and Pillow. With `panorama`, such as `panorama_file`, the database is
    what that draws, one file a stop in place of four photos, and queries look any way. `progress`
    is called with photos done and photos in all. Raises OutputError where the folder holds other
    photos or cannot be written, and ValueError for fewer than one database photo or a size below 32
    pixels.
    """
    if database < 1 or queries < 0 or min(size) < 32:
        raise ValueError(f"cannot render {database} and {queries} photos of {size} pixels")
    paths = [
        [folder / name / f"{stem}_{k:04}.jpg" for k in range(count)]
        for name, stem, count in (
            ("database", "view" if panorama is None else "pano", database),
            ("queries", "query", queries),
            ("elsewhere", "elsewhere", _ELSEWHERE if queries else 0),
        )
    ]
    _prepare(folder, paths)
    rng = np.random.default_rng([seed, 21])
    views = _VIEWS if panorama is None else 1
    city = build_city(seed, _blocks_for(database * _VIEWS // views))
    far_away = city.frame.to_position(*_ELSEWHERE_OFFSET)
    town = build_city(seed + _ELSEWHERE_SEED, (2, 2), far_away)
    photos = _drive(paths[0], city, size, rng, _VIEWS // views)
    chosen = [photos[int(k)].camera for k in np.resize(rng.permutation(database), queries)]
    if panorama is not None:
        chosen = [replace(camera, heading=float(rng.uniform(0, 360))) for camera in chosen]
    asked = _queries(paths[1], city, chosen, rng)
    strange = [*_walk(town, _ELSEWHERE * _VIEWS, size, rng)][:: _VIEWS + 1][: len(paths[2])]
    unknown = _queries(paths[2], town, strange, rng)
    work = [(city, photo) for photo in (*photos, *asked)] + [(town, photo) for photo in unknown]
    try:
        for done, (place, photo) in enumerate(work, 1):
            if panorama is not None and done <= database:
                data = panorama(place, photo)
            else:
                data = _jpeg(place, photo, located=done <= database)
            write_whole(photo.path, data)
            if progress is not None:
                progress(done, len(work))
        write_whole(folder / "queries.csv", _truth(asked))
        write_whole(folder / "elsewhere.csv", _truth(unknown))
    except OSError as error:
        raise _unwritable(folder, error) from error
    return DemoCity(folder, city, tuple(photos), tuple(asked), tuple(unknown))


def _blocks_for(database: int) -> tuple[int, int]:
    """The smallest city whose streets hold the stops of so many photos."""
    columns, rows = 2, 2
    while True:
        across, up = columns * (rows - 1), rows * (columns - 1)
        length = across * (BLOCK[0] - 2 * _END) + up * (BLOCK[1] - 2 * _END)
        if length >= _SPACING[0] * math.ceil(database / _VIEWS):
            return columns, rows
        columns, rows = (columns + 1, rows) if columns == rows else (columns, rows + 1)


def _drive(
    paths: list[Path], city: City, size: tuple[int, int], rng: Generator, every: int
) -> list[DemoPhoto]:
    """The database: one drive on one bright morning, of whose views `every` so many is taken."""
    photos = []
    cameras = islice(_walk(city, every * len(paths), size, rng), 0, None, every)
    for k, camera in enumerate(cameras):
        moment = Conditions(people=int(rng.integers(4)), seed=int(rng.integers(2**31)))
        time = _DRIVE + timedelta(seconds=4 * k)
        photos.append(DemoPhoto(paths[k], camera, moment, time))
    return photos


def _walk(city: City, count: int, size: tuple[int, int], rng: Generator) -> Iterator[Camera]:
    """`count` cameras along the streets, four at each stop."""
    stops = math.ceil(count / _VIEWS)
    lengths = np.array([street.length - 2 * _END for street in city.streets])
    spacing = min(_SPACING[1], float(lengths.sum()) / stops)
    ends = np.cumsum(lengths)
    for k in range(count):
        walked = (k // _VIEWS + 0.5) * spacing
        stretch = min(int(np.searchsorted(ends, walked)), len(lengths) - 1)
        street = city.streets[stretch]
        along = _END + walked - float(ends[stretch] - lengths[stretch])
        yield _stop(city, street, along, k % _VIEWS, size, rng)


def _stop(
    city: City, street: Street, along: float, view: int, size: tuple[int, int], rng: Generator
) -> Camera:
    """One of the views of a stop: forward, left, back, right. To look at the façades on one
    side the photographer stands on the other side's pavement."""
    kerb = street.width / 2 - 1.7
    left = (float(rng.uniform(-1.5, 1.5)), -kerb, float(rng.uniform(-1.5, 1.5)), kerb)[view]
    place = street.at(along + float(rng.uniform(-0.8, 0.8)), left)
    east, north = street.along
    heading = math.degrees(math.atan2(east, north)) - 90 * view + float(rng.normal(0, 2.0))
    return Camera(city.frame.to_position(*place), heading % 360, size=size)


def _queries(
    paths: list[Path], city: City, cameras: list[Camera], rng: Generator
) -> list[DemoPhoto]:
    """A query for each camera: near it, turned a little, at another time."""
    photos = []
    for k, camera in enumerate(cameras):
        asking, moment = _nearby(city, camera, rng), _moment(k, rng)
        days = _DAYS[moment.season] + int(rng.integers(20))
        hours = 11.0 if moment.sun_elevation < -8 else (8.0 if moment.sun_elevation < 3 else 2.0)
        time = _DRIVE + timedelta(days=days, hours=hours, minutes=int(rng.integers(60)))
        photos.append(DemoPhoto(paths[k], asking, moment, time))
    return photos


def _nearby(city: City, camera: Camera, rng: Generator) -> Camera:
    """At most four metres from `camera`, and no nearer to the houses behind it."""
    here = city.frame.to_metres(camera.position.lat, camera.position.lon)[0]
    ahead, right = float(rng.uniform(-0.5, 3.0)), float(rng.uniform(-1.5, 1.5))
    east, north = camera.forward
    return replace(
        camera,
        position=city.frame.to_position(
            float(here[0]) + ahead * east + right * north,
            float(here[1]) + ahead * north - right * east,
        ),
        heading=(camera.heading + float(np.clip(rng.normal(0, 8), -18, 18))) % 360,
        field_of_view=float(rng.uniform(58, 76)),
        height=float(rng.uniform(1.5, 1.8)),
        rise=float(rng.uniform(0.1, 0.24)),
    )


# What queries meet in turn; every change occurs among the first eight.
_MOMENTS = (
    Conditions(sun_azimuth=310, sun_elevation=35),
    Conditions(sun_azimuth=285, sun_elevation=9, season=Season.AUTUMN, people=3),
    Conditions(cloudiness=1.0, parked=0.8, people=6),
    Conditions(sun_elevation=-12, noise=5.0, quality=70),
    Conditions(cloudiness=0.95, season=Season.SNOW, people=2),
    Conditions(sun_azimuth=335, sun_elevation=35, parked=0.9, people=2, cars=1),
    Conditions(sun_azimuth=250, sun_elevation=-1.5, season=Season.AUTUMN, noise=3.5),
    Conditions(cloudiness=0.8, season=Season.WINTER, exposure=-0.4, quality=45),
)
_DAYS = {Season.SUMMER: 20, Season.AUTUMN: 90, Season.WINTER: 150, Season.SNOW: 200}


def _moment(k: int, rng: Generator) -> Conditions:
    moment = _MOMENTS[k % len(_MOMENTS)]
    return replace(
        moment,
        exposure=moment.exposure + float(rng.uniform(-0.35, 0.35)),
        quality=int(rng.integers(moment.quality - 15, moment.quality + 5)),
        seed=int(rng.integers(2**31)),
    )


def _prepare(folder: Path, paths: list[list[Path]]) -> None:
    """Make the folders; refuse those that hold files of something else."""
    try:
        for ours in filter(None, paths):
            inside = ours[0].parent
            inside.mkdir(parents=True, exist_ok=True)
            # Hidden files do not count: a killed run may have left one half written.
            visible = {path for path in inside.iterdir() if not path.name.startswith(".")}
            others = sorted(visible - set(ours))
            if others:
                raise OutputError(
                    f"{inside} holds {len(others):,} other files, {others[0].name} among them; "
                    "choose an empty folder or remove them"
                )
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> OutputError:
    reason = error.strerror or str(error)
    return OutputError(f"cannot write the demo city to {folder}: {reason}; choose another folder")


def _jpeg(city: City, photo: DemoPhoto, *, located: bool) -> bytes:
    """A rendered photo as the bytes of its file."""
    image = Image.fromarray(render(city, photo.camera, photo.conditions))
    exif = exif_of(photo) if located else Image.Exif()
    memory = io.BytesIO()
    image.save(memory, "JPEG", quality=photo.conditions.quality, exif=exif)
    return memory.getvalue()


def exif_of(photo: DemoPhoto) -> Image.Exif:
    """Camera, time, position and heading in the tags that phones write (Exif 2.32)."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "hafloc", "demo camera"
    detail, gps = exif.get_ifd(ExifTags.IFD.Exif), exif.get_ifd(ExifTags.IFD.GPSInfo)
    detail[ExifTags.Base.DateTimeOriginal] = photo.time.strftime("%Y:%m:%d %H:%M:%S")
    detail[ExifTags.Base.OffsetTimeOriginal] = "+00:00"
    position = photo.camera.position
    gps[ExifTags.GPS.GPSVersionID] = b"\x02\x03\x00\x00"
    gps[ExifTags.GPS.GPSLatitudeRef] = "N" if position.lat >= 0 else "S"
    gps[ExifTags.GPS.GPSLatitude] = _degrees(position.lat)
    gps[ExifTags.GPS.GPSLongitudeRef] = "E" if position.lon >= 0 else "W"
    gps[ExifTags.GPS.GPSLongitude] = _degrees(position.lon)
    gps[ExifTags.GPS.GPSImgDirectionRef] = "T"
    gps[ExifTags.GPS.GPSImgDirection] = IFDRational(round(photo.camera.heading * 100), 100)
    gps[ExifTags.GPS.GPSDateStamp] = photo.time.strftime("%Y:%m:%d")
    gps[ExifTags.GPS.GPSTimeStamp] = tuple(
        IFDRational(part, 1) for part in (photo.time.hour, photo.time.minute, photo.time.second)
    )
    return exif


def _degrees(angle: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    """Degrees, minutes and seconds to a ten-thousandth: 3 mm on the ground."""
    parts = round(abs(angle) * 3600 * 10_000)
    minutes, seconds = divmod(parts, 60 * 10_000)
    return (
        IFDRational(minutes // 60, 1),
        IFDRational(minutes % 60, 1),
        IFDRational(seconds, 10_000),
    )


def _truth(photos: list[DemoPhoto]) -> bytes:
    lines = ["image,lat,lon,heading,time"]
    for photo in photos:
        place, heading = photo.camera.position, photo.camera.heading
        time = photo.time.strftime("%Y-%m-%dT%H:%M:%SZ")
        lines.append(f"{photo.path.name},{place.lat:.8f},{place.lon:.8f},{heading:.2f},{time}")
    return ("\n".join(lines) + "\n").encode()
