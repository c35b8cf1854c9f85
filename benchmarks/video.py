"""What a film is worth as a database and as a query: the rendered city, driven through.

    python benchmarks/video.py [--streets 2] [--out FILE]

A car drives along STREETS at 5 to 11 m/s with a camera to its right, 10 frames a second; 2 of 5
frames are blurred along the way, as on a bad road. Positions of frames against the truth: by a
track of one fix a second, with a clock that is right and one that MP4 rounds down to a second,
and by GPMF in the film. Recall@1 within 10 m of flat queries from the same streets in another
light, against frames every 5 m as they come and with the sharpest of neighbours. A second drive
in another light, 1.5 m to the side, as a clip: errors of single frames and of frames that help
each other. Last, frames a second: a film decoded and described against the same frames as JPEG
files, interleaved. Ends with one JSON line.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hafloc.demo import Camera, City, Conditions, build_city, render
from hafloc.describe import Describer
from hafloc.files import write_whole
from hafloc.geo import Position, distance
from hafloc.index import Record, create_index, model_info, open_index
from hafloc.index.store import Entry, add_all
from hafloc.locate import Answer, Localizer
from hafloc.photos import Every, Metadata, Tracking, open_clip, plan_film, read_track
from hafloc.photos.films.film import open_film
from hafloc.photos.films.frames import AROUND, frame_photos, shots

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
from films import gpmf, gpx, write_film

SIZE = (320, 240)
SPEED, RATE = 8.0, 10
SPACING, TOLERANCE = 5.0, 10.0
START = 5.0  # metres from a street's end
BEGAN = datetime(2024, 1, 12, 18, 30, tzinfo=UTC)
OTHER_LIGHT = Conditions(sun_azimuth=285, sun_elevation=12, people=3, seed=5)


@dataclass(frozen=True, slots=True)
class Drive:
    """One street: the truth at every moment, and its frames."""

    city: City
    street: int
    began: datetime
    seconds: float

    def position(self, seconds: float, aside: float = 0.0) -> Position:
        street = self.city.streets[self.street]
        # It slows down and speeds up by 3 m/s, every 5 seconds.
        swing = 3.0 * 5 / (2 * np.pi) * (1 - np.cos(2 * np.pi * seconds / 5))
        return self.city.frame.to_position(
            *street.at(START + SPEED * seconds + float(swing), aside)
        )

    def image(self, seconds: float, conditions: Conditions, aside: float = 0.0) -> np.ndarray:
        east, north = self.city.streets[self.street].along
        heading = (float(np.degrees(np.arctan2(east, north))) + 65) % 360
        camera = Camera(self.position(seconds, aside), heading, size=SIZE)
        return render(self.city, camera, conditions)

    def frames(self, conditions: Conditions, rate: int, aside: float = 0.0) -> list[np.ndarray]:
        return [self.image(k / rate, conditions, aside) for k in range(round(self.seconds * rate))]


def shaken(images: Sequence[np.ndarray], rng: np.random.Generator) -> list[np.ndarray]:
    """Two frames of each five blurred along the way, as steps and bad roads do."""
    phase = int(rng.integers(5))
    return [
        cv2.blur(image, (13, 3)) if (number + phase) % 5 < 2 else image
        for number, image in enumerate(images)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--streets", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    city = build_city(0, (3, 3))
    drives = [
        Drive(
            city, k, BEGAN + timedelta(minutes=k), (city.streets[k].length - 2 * START - 5) / SPEED
        )
        for k in range(options.streets)
    ]
    describer = Describer.open("haf", device="cpu")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = [shaken(drive.frames(Conditions(seed=1), RATE), rng) for drive in drives]
        found = {
            "positions": positions(folder, drives, pictures),
            "sharpest": sharpest(folder, drives, describer),
            "clip": clip(folder, drives, describer),
            "speed": speed(folder / "true0.mp4", describer),
        }
    found["frames"] = sum(map(len, pictures))
    print(json.dumps(found))
    if options.out is not None:
        write_whole(options.out, (json.dumps(found, indent=1) + "\n").encode())


def positions(folder: Path, drives: Sequence[Drive], pictures: Sequence[list]) -> dict[str, object]:
    """Metres between the places of frames and the truth, by where they come from."""
    off: dict[str, list[float]] = {"track": [], "rounded clock": [], "GPMF": []}
    for number, (drive, images) in enumerate(zip(drives, pictures, strict=True)):
        fixes = [(drive.began + timedelta(seconds=k), drive.position(k)) for k in range(-2, 12)]
        track = gpx(
            folder / f"{number}.gpx",
            [(at.strftime("%Y-%m-%dT%H:%M:%SZ"), p.lat, p.lon) for at, p in fixes],
        )
        tags = {"creation_time": drive.began.strftime("%Y-%m-%dT%H:%M:%SZ")}
        true = write_film(folder / f"true{number}.mp4", images, rate=RATE, tags=tags, crf="20")
        measure(off["track"], true, drive, track, 0.0)
        # The film begins in the middle of a second, of which MP4 keeps the whole part.
        for late in (0.25, 0.5, 0.75):
            measure(off["rounded clock"], true, drive, track, late)
        inside = [
            (float(k), gpmf([(p.lat, p.lon) for p in (drive.position(k + n / 10)
                                                       for n in range(10))]))
            for k in range(int(drive.seconds) + 1)
        ]  # fmt: skip
        own = write_film(folder / f"own{number}.mp4", images, rate=RATE, data=inside, crf="20")
        measure(off["GPMF"], own, drive, None, 0.0)
    return {name: spread(values) for name, values in off.items()}


def measure(off: list[float], film: Path, drive: Drive, track: Path | None, late: float) -> None:
    """The film's frames really were taken `late` seconds after what their file says."""
    tracking = None if track is None else Tracking((track,))
    tracks = () if track is None else read_track(track).tracks
    plan = plan_film(film, Every(metres=SPACING), tracks, tracking)
    with open_film(film) as opened:
        for shot in shots(opened, plan.times):
            place = plan.way.metadata(shot.seconds).position
            if place is not None:
                off.append(distance(place, drive.position(shot.seconds + late)))


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "frames": len(values),
        "median_m": round(statistics.median(values), 2),
        "worst_m": round(max(values), 2),
    }


def sharpest(folder: Path, drives: Sequence[Drive], describer: Describer) -> dict[str, object]:
    """Recall and matches of queries in another light, by which frames the database has."""
    queries = [
        (drive.position(at, 1.0), drive.image(at, OTHER_LIGHT, 1.0))
        for drive in drives
        for at in np.arange(0.3, drive.seconds, 0.5)
    ]
    found: dict[str, object] = {"queries": len(queries)}
    for name, around in (("as they come", 0.0), ("sharpest", AROUND)):
        where = folder / f"{around}.gpkg"
        entries = []
        for number, drive in enumerate(drives):
            film = folder / f"true{number}.mp4"
            with open_film(film) as opened:
                for shot in shots(opened, wanted(drive), around):
                    (photo,) = frame_photos(opened, shot, Metadata(), film.name, 640, 0)
                    record = Record(
                        path=f"{film.name}#t={shot.seconds:g}",
                        position=drive.position(shot.seconds),
                        content=film.name, width=photo.width, height=photo.height, source="track",
                    )  # fmt: skip
                    entries.append(
                        Entry(record, describer.features(photo.image, local=True, regions=True))
                    )
        index = create_index(where, model_info(describer), "int8", describer.regions)
        add_all(index, entries)
        index.close()
        with Localizer(open_index(where), describer) as localizer:
            answers = [(place, localizer.locate(image)) for place, image in queries]
        found[name] = {
            "frames": len(entries),
            "recall@1": round(
                100 * np.mean([distance(place, a.candidates[0].position) <= TOLERANCE
                               for place, a in answers]), 1),
            "inliers": statistics.median(a.candidates[0].inliers or 0 for _, a in answers),
            "confidence": round(statistics.median(a.confidence or 0 for _, a in answers), 3),
        }  # fmt: skip
    return found


def wanted(drive: Drive) -> list[float]:
    return [float(at) for at in np.arange(0, drive.seconds - 0.1, SPACING / SPEED)]


def clip(folder: Path, drives: Sequence[Drive], describer: Describer) -> dict[str, object]:
    """Another drive in another light: frames by themselves, and as those of a walk."""
    where = folder / f"{AROUND}.gpkg"
    off: dict[str, list[float]] = {"alone": [], "together": []}
    for number, drive in enumerate(drives):
        film = write_film(
            folder / f"clip{number}.mp4", drive.frames(OTHER_LIGHT, 2, 1.5), rate=2, crf="26"
        )
        with Localizer(open_index(where), describer) as localizer:
            for name, ask in (
                ("alone", localizer.locate_many),
                ("together", localizer.locate_walk),
            ):
                for said, answer in ask(open_clip(film, Every(seconds=1)).photos()):
                    assert isinstance(answer, Answer), answer
                    at = float(said.partition("#t=")[2])
                    off[name].append(distance(answer.position, drive.position(at, 1.5)))
    return {
        name: spread(values) | {
            "within_10_m": round(100 * float(np.mean(np.array(values) <= TOLERANCE)), 1)
        }
        for name, values in off.items()
    }  # fmt: skip


def speed(film: Path, describer: Describer, rounds: int = 4) -> dict[str, float]:
    """Frames a second from the film over those from files of the same pixels; medians of pairs."""
    folder = film.parent / "frames"
    folder.mkdir()
    files = []
    with open_film(film) as opened:
        times = [seconds for seconds, _ in opened.frames()][::7]
    with open_film(film) as opened:
        for shot in shots(opened, times, 0.0):
            (photo,) = frame_photos(opened, shot, Metadata(), "", 640, 0)
            files.append(folder / f"{len(files)}.jpg")
            Image.fromarray(photo.image).save(files[-1], quality=92)

    def from_film() -> int:
        def photos():  # type: ignore[no-untyped-def]
            with open_film(film) as opened:
                for shot in shots(opened, times):
                    yield from frame_photos(opened, shot, Metadata(), "", 640, 0)

        return sum(1 for _ in describer.describe_photos(photos(), local=True, regions=True))

    def from_files() -> int:
        return sum(1 for _ in describer.describe_files(files, local=True, regions=True))

    ratios, rates = [], []
    for number in range(rounds + 1):
        took = {}
        for work in (from_film, from_files) if number % 2 else (from_files, from_film):
            begin = time.perf_counter()
            count = work()
            took[work] = (time.perf_counter() - begin) / count
        if number:
            ratios.append(took[from_files] / took[from_film])
            rates.append(1 / took[from_film])
    return {
        "frames": len(files),
        "frames_per_s": round(statistics.median(rates), 2),
        "over_files": round(statistics.median(ratios), 3),
    }


if __name__ == "__main__":
    main()
