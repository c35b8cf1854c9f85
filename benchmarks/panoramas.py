"""How panoramas are best cut, and what they are worth beside flat photos: the rendered city.

    python benchmarks/panoramas.py [--places 10] [--queries 30] [--out FILE]

PLACES panoramas stand every 25 m in the streets; queries are flat photos from within 4 m of them,
in any direction, light and weather. They are asked of the panoramas cut into 4, 6, 8 and 12 views,
of several fields of view, and of a flat database of as many photos as 8 views make, four a stop
every 12.5 m, as a person takes them; so both have the same size in bytes. A query counts where the
first candidate stands within 10 m. With 8 views, answers as the product gives them: heading error,
and panoramas as queries, by themselves and from another town. Last, photos a second: panoramas
decoded, cut and described against their views described alone, interleaved. Ends with one JSON
line.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from hafloc.demo import Camera, City, Conditions, DemoPhoto, build_city, render, write_panoramas
from hafloc.demo.write import _DRIVE, _MOMENTS
from hafloc.describe import Describer
from hafloc.description import ImageFeatures
from hafloc.files import write_whole
from hafloc.geo import Position, distance
from hafloc.index import GeoIndex, Record, create_index, model_info
from hafloc.locate import Answer, Localizer
from hafloc.locate.scales import at_scales, search_scales
from hafloc.photos import View, read_photos, whole_panorama
from hafloc.photos.panorama import cut

SIZE = (320, 240)
WIDTH = 1280
SPACING = 25.0
TOLERANCE = 10.0
# Count of views, and their fields of view in degrees.
CUTS = ((4, 90), (6, 75), (8, 60), (8, 75), (8, 90), (12, 60))
SHIPPED = (8, 75)

Query = tuple[Position, list[ImageFeatures]]


@dataclass(frozen=True, slots=True)
class Thing:
    """What an index stores of an image."""

    position: Position
    heading: float
    features: ImageFeatures
    name: str


def stops(city: City, count: int, spacing: float) -> list[tuple[Position, float]]:
    """Places along the streets, and which way these run."""
    found = []
    for street in city.streets:
        along = np.arange(spacing / 2, street.length - 4, spacing)
        east, north = street.along
        heading = float(np.degrees(np.arctan2(east, north))) % 360
        found += [(city.frame.to_position(*street.at(float(a), 0.0)), heading) for a in along]
    return found[:count]


def near(city: City, place: Position, metres: float, rng: np.random.Generator) -> Position:
    east, north = city.frame.to_metres(place.lat, place.lon)[0]
    return city.frame.to_position(
        float(east + rng.uniform(-metres, metres) / 1.42),
        float(north + rng.uniform(-metres, metres) / 1.42),
    )


def moment(number: int, rng: np.random.Generator) -> Conditions:
    return replace(_MOMENTS[number % len(_MOMENTS)], seed=int(rng.integers(2**31)))


def stored(folder: Path, describer: Describer, things: Sequence[Thing]) -> GeoIndex:
    index = create_index(folder, model_info(describer), "int8", describer.regions)
    for thing in things:
        found = thing.features
        record = Record(
            thing.name, thing.name, thing.position, *SIZE, "csv", heading=thing.heading % 360
        )
        regions = None if found.regions is None else found.regions[None]
        index.add([record], found.vector[None], [found.local], regions)
    return index


def recall(index: GeoIndex, queries: Sequence[Query]) -> float:
    right = 0
    for place, features in queries:
        first = search_scales(index, features, 1)[0]
        right += distance(index.get([first.id])[0].position, place) <= TOLERANCE
    return right / len(queries)


def angle(a: float, b: float) -> float:
    return abs((a - b + 180) % 360 - 180)


def answered(
    answers: Sequence[tuple[Answer, Position, float]], note: str
) -> dict[str, float | str]:
    errors = [distance(answer.position, place) for answer, place, _ in answers]
    right = [error <= 25 for error in errors]
    turns = [
        angle(answer.heading, heading)
        for (answer, _, heading), good in zip(answers, right, strict=True)
        if good and answer.heading is not None
    ]
    return {
        "what": note,
        "answers": len(answers),
        "within 25 m": round(sum(right) / len(right), 3),
        "found": round(sum(answer.found is True for answer, _, _ in answers) / len(answers), 3),
        "median metres": round(statistics.median(errors), 1),
        "heading told": round(len(turns) / max(1, sum(right)), 3),
        "heading error median": round(statistics.median(turns), 2) if turns else float("nan"),
        "heading error p90": round(float(np.percentile(turns, 90)), 2) if turns else float("nan"),
    }


def speed(describer: Describer, files: Sequence[Path], rounds: int) -> float:
    """Views a second cut and described, as a share of those described alone."""
    ready = [photo.image for photo in read_photos(files[0], longer_side=describer.longer_side)]

    def alone() -> None:
        for image in ready:
            describer.features(image)

    def both() -> None:
        for _ in describer.describe_files(files[:1], local=True, regions=True):
            pass

    def took(work: Callable[[], None]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    took(alone)
    return statistics.median(took(alone) / took(both) for _ in range(rounds))


@dataclass
class Results:
    """What was found so far, printed and written part by part."""

    out: Path | None
    table: list[dict[str, float | str]]
    answers: list[dict[str, float | str]]
    facts: dict[str, float]

    def keep(self) -> None:
        result = {"table": self.table, "answers": self.answers, **self.facts}
        print(json.dumps(result), flush=True)
        if self.out is not None:
            write_whole(self.out, (json.dumps(result, indent=1) + "\n").encode())


def described_views(
    describer: Describer, panoramas: Sequence[DemoPhoto]
) -> dict[tuple[int, View], ImageFeatures]:
    described = {}
    for k, photo in enumerate(panoramas):
        for view in {View(n * 360 / c, 0, f) for c, f in CUTS for n in range(c)}:
            whole = whole_panorama(photo.path, view, longer_side=SIZE[0])
            assert whole.sphere is not None
            described[k, view] = describer.features(cut(whole.image, whole.sphere, view, SIZE))
    return described


def flat_photos(
    describer: Describer, city: City, places: Sequence[tuple[Position, float]]
) -> list[Thing]:
    """Four photos at each place, as the demo city's driver takes them."""
    found = []
    for k, (place, heading) in enumerate(places):
        for n in range(4):
            camera = Camera(place, (heading + 90 * n) % 360, size=SIZE)
            seen = describer.features(render(city, camera, Conditions(seed=k)))
            found.append(Thing(place, camera.heading, seen, f"flat_{k}_{n}.jpg"))
    return found


def row(
    path: Path, describer: Describer, things: Sequence[Thing], wanted: Sequence[Query], what: str
) -> dict[str, float | str]:
    with stored(path, describer, things) as index:
        found = recall(index, wanted)
    size = path.stat().st_size
    return {"cut": what, "photos": len(things), "bytes": size, "recall@1": round(found, 3)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--places", type=int, default=10)
    parser.add_argument("--queries", type=int, default=30)
    parser.add_argument("--panoramas", type=int, default=3, help="queries that are panoramas")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(asked.out, [], [], {"places": asked.places, "queries": asked.queries})
    rng = np.random.default_rng(7)
    describer = Describer.open()
    city, town = build_city(5, (3, 3)), build_city(77, (2, 2))
    places = stops(city, asked.places, SPACING)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = [
            DemoPhoto(folder, Camera(place, heading), Conditions(seed=k), _DRIVE)
            for k, (place, heading) in enumerate(places)
        ]
        panoramas = write_panoramas(folder / "p", city, photos, width=WIDTH, located=True)
        described = described_views(describer, panoramas)
        cameras = [
            Camera(
                near(city, places[k % len(places)][0], 4.0, rng),
                float(rng.uniform(0, 360)),
                float(rng.uniform(58, 76)),
                size=SIZE,
            )
            for k in range(asked.queries)
        ]
        images = [render(city, camera, moment(k, rng)) for k, camera in enumerate(cameras)]
        wanted = [
            (camera.position, at_scales(describer, image, local=True, regions=True))
            for camera, image in zip(cameras, images, strict=True)
        ]
        for count, wide in CUTS:
            things = [
                Thing(
                    photo.camera.position,
                    photo.camera.heading + n * 360 / count,
                    described[k, View(n * 360 / count, 0, wide)],
                    f"pano_{k}.jpg{View(n * 360 / count, 0, wide).fragment}",
                )
                for k, photo in enumerate(panoramas)
                for n in range(count)
            ]
            path = folder / f"{count}_{wide}.gpkg"
            results.table.append(row(path, describer, things, wanted, f"{count} × {wide}°"))
        flat = flat_photos(describer, city, stops(city, 2 * len(places), SPACING / 2))
        path = folder / "flat.gpkg"
        results.table.append(row(path, describer, flat, wanted, "flat, 68°"))
        results.keep()
        with Localizer.open(folder / "{}_{}.gpkg".format(*SHIPPED)) as localizer:
            answers = [
                (localizer.locate(image, top=5), camera.position, camera.heading)
                for camera, image in zip(cameras, images, strict=True)
            ]
        results.answers.append(answered(answers, "flat queries, panoramas in the index"))
        results.keep()
        ratio = speed(describer, [photo.path for photo in panoramas], 3)
        results.facts["cut and described / described alone"] = round(ratio, 3)
        results.keep()
        with Localizer.open(path) as localizer:
            for what, where, at in (
                ("panoramas as queries, flat photos in the index", city, places),
                ("panoramas of another town", town, stops(town, asked.panoramas, SPACING)),
            ):
                taken = [
                    DemoPhoto(
                        folder,
                        Camera(near(where, place, 4.0, rng), float(rng.uniform(0, 360))),
                        moment(k, rng),
                        _DRIVE,
                    )
                    for k, (place, _) in enumerate(at[: asked.panoramas])
                ]
                written = write_panoramas(folder / what, where, taken, width=WIDTH, located=False)
                said = [
                    (localizer.locate(photo.path), photo.camera.position, photo.camera.heading)
                    for photo in written
                ]
                results.answers.append(answered(said, what))
                results.keep()


if __name__ == "__main__":
    main()
