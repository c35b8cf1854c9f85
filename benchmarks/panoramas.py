"""How panoramas are best cut, and what they are worth beside flat photos: the rendered city.

    python benchmarks/panoramas.py [--places 14] [--queries 112] [--panoramas 14] [--out FILE]

PLACES panoramas stand every 25 m in the streets; queries are flat photos from within 4 m of them,
in any direction, light and weather, as many for each. They are asked of the panoramas cut into 4,
6, 8 and 12 views, of several fields of view, and of flat databases of as many photos, four a stop,
as a person takes them, the stops as near to each other as that makes them; so each has the size in
bytes of a cut. A query counts where the first candidate stands within 10 m. Intervals are of 95 %,
places drawn anew, not queries, since those of one place fail together; `beside` is the difference
to the shipped cut on the same queries. With 8 views, answers as the product gives them: heading
error. Then PANORAMAS as queries, from the town and from another one: how often all views together
are right and how sure they say they are, beside each view asked alone. Last, photos a second:
panoramas decoded, cut and described against their views described alone, interleaved. Ends with one
JSON line.
"""

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hafloc.calibrate import calibration_error
from hafloc.demo import Camera, City, Conditions, DemoPhoto, build_city, render, write_panoramas
from hafloc.demo.write import _DRIVE, _MOMENTS
from hafloc.describe import Describer
from hafloc.description import ImageFeatures
from hafloc.files import write_whole
from hafloc.geo import Position, distance
from hafloc.index import GeoIndex, Record, create_index, model_info, open_index
from hafloc.locate import Answer, Localizer
from hafloc.locate.around import join_views
from hafloc.locate.judging import Judge
from hafloc.locate.query import Wanted
from hafloc.locate.scales import at_scales, search_scales
from hafloc.photos import View, query_photos, read_photos, whole_panorama
from hafloc.photos.panorama import cut

SIZE = (320, 240)
WIDTH = 1280
SPACING = 25.0
TOLERANCE = 10.0
# Count of views, and their fields of view in degrees.
CUTS = ((4, 90), (6, 75), (8, 60), (8, 75), (8, 90), (12, 60))
SHIPPED = (8, 75)

Query = tuple[Position, list[ImageFeatures]]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Thing:
    """What an index stores of an image."""

    position: Position
    heading: float
    features: ImageFeatures
    name: str


class Remembering:
    """A describer that looks at no image twice, since panoramas are asked of two databases."""

    def __init__(self, describer: Describer) -> None:
        self._describer = describer
        self.longer_side = describer.longer_side
        self._known: dict[tuple[bytes, bool, bool], ImageFeatures] = {}

    def features(
        self, image: NDArray[np.uint8], *, local: bool = True, regions: bool = True
    ) -> ImageFeatures:
        key = hashlib.blake2b(image.tobytes()).digest(), local, regions
        if key not in self._known:
            self._known[key] = self._describer.features(image, local=local, regions=regions)
        return self._known[key]


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


def hits(index: GeoIndex, queries: Sequence[Query]) -> Bools:
    """Which queries have a photo from within TOLERANCE as their first candidate."""
    right = []
    for place, features in queries:
        first = search_scales(index, features, 1)[0]
        right.append(distance(index.get([first.id])[0].position, place) <= TOLERANCE)
    return np.array(right)


def interval(values: Floats, places: int) -> list[float]:
    """95 % of the means that drawing places anew gives; query k is one of place k % places."""
    of_place = np.array([values[k::places].mean() for k in range(places)])
    drawn = np.random.default_rng(0).integers(places, size=(10_000, places))
    return [round(float(v), 3) for v in np.percentile(of_place[drawn].mean(axis=1), (2.5, 97.5))]


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
    table: list[dict[str, object]]
    answers: list[dict[str, float | str]]
    sure: dict[str, object]
    facts: dict[str, float]

    def keep(self) -> None:
        result = {
            "table": self.table,
            "answers": self.answers,
            "panoramas as queries": self.sure,
            **self.facts,
        }
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


def tabled(rows: Sequence[tuple[str, int, int, Bools]], places: int) -> list[dict[str, object]]:
    """The table of cuts and of flat databases, each beside the shipped cut."""
    shipped = next(right for what, _, _, right in rows if what == "{} × {}°".format(*SHIPPED))
    return [
        {
            "cut": what,
            "photos": photos,
            "bytes": size,
            "recall@1": round(float(right.mean()), 3),
            "interval": interval(right.astype(float), places),
            "beside": round(float(right.mean() - shipped.mean()), 3),
            "beside_interval": interval(right.astype(float) - shipped, places),
        }
        for what, photos, size, right in rows
    ]


def asked(
    path: Path, describer: Describer, things: Sequence[Thing], wanted: Sequence[Query], what: str
) -> tuple[str, int, int, Bools]:
    with stored(path, describer, things) as index:
        right = hits(index, wanted)
    return what, len(things), path.stat().st_size, right


def sureness(said: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """How often answers are right (within 50 m), how often called found, and how sure they are."""
    confidences = np.array([confidence for confidence, _ in said])
    right = np.array([good for _, good in said])
    found = confidences >= 0.5
    return {
        "answers": len(said),
        "right": round(float(right.mean()), 3),
        "found": round(float(found.mean()), 3),
        "wrong among found": round(float((~right)[found].mean()) if found.any() else 0.0, 3),
        "mean confidence": round(float(confidences.mean()), 3),
        "calibration error": round(calibration_error(confidences, right), 3),
    }


def around(
    localizer: Localizer, photos: Sequence[DemoPhoto], *, there: bool
) -> tuple[list[tuple[float, bool]], list[tuple[float, bool]]]:
    """Confidence and rightness of panoramas by all views together, and of each view alone."""
    together, alone = [], []
    wanted = Wanted(10, None, 50, 0.9)
    for photo in photos:
        ranked = [
            (view.part, localizer.candidates.find(photo.path.name, view, wanted))
            for view in query_photos(photo.path, longer_side=localizer.candidates.longer_side)
        ]
        views = [(part, found) for part, found in ranked if part is not None]
        one = join_views(views)
        kinds = ((together, [one]), (alone, [found for _, found in views]))
        for kept, queries in kinds:
            for query in queries:
                verdict = Judge.of(localizer.index).verdict(query, wanted)
                error = distance(verdict.position, photo.camera.position)
                kept.append((verdict.confidence or 0.0, there and error <= 50))
    return together, alone


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--places", type=int, default=14)
    parser.add_argument("--queries", type=int, default=112)
    parser.add_argument("--panoramas", type=int, default=14, help="queries that are panoramas")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = Results(given.out, [], [], {}, {"places": given.places, "queries": given.queries})
    rng = np.random.default_rng(7)
    describer = Describer.open()
    city, town = build_city(5, (4, 4)), build_city(77, (4, 4))
    places = stops(city, given.places, SPACING)
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
            for k in range(given.queries)
        ]
        images = [render(city, camera, moment(k, rng)) for k, camera in enumerate(cameras)]
        wanted = [
            (camera.position, at_scales(describer, image, local=True, regions=True))
            for camera, image in zip(cameras, images, strict=True)
        ]
        rows = []
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
            rows.append(asked(path, describer, things, wanted, f"{count} × {wide}°"))
        for count in sorted({count for count, _ in CUTS}):
            every = SPACING * 4 / count
            here = stops(city, len(places) * count // 4, every)
            flat = flat_photos(describer, city, here)
            path = folder / f"flat_{count}.gpkg"
            what = f"flat, 68°, four every {every:.3g} m"
            rows.append(asked(path, describer, flat, wanted, what))
        results.table = tabled(rows, len(places))
        results.keep()
        seer = Remembering(describer)
        with Localizer(open_index(folder / "{}_{}.gpkg".format(*SHIPPED)), seer) as localizer:
            answers = [
                (localizer.locate(image, top=5), camera.position, camera.heading)
                for camera, image in zip(cameras, images, strict=True)
            ]
        results.answers.append(answered(answers, "flat queries, panoramas in the index"))
        results.keep()
        taken = {
            what: write_panoramas(
                folder / what,
                where,
                [
                    DemoPhoto(
                        folder,
                        Camera(near(where, place, 4.0, rng), float(rng.uniform(0, 360))),
                        moment(k, rng),
                        _DRIVE,
                    )
                    for k, (place, _) in enumerate(at[: given.panoramas])
                ],
                width=WIDTH,
                located=False,
            )
            for what, where, at in (
                ("here", city, places),
                ("elsewhere", town, stops(town, given.panoramas, SPACING)),
            )
        }
        for kind, name in (
            ("flat photos in the index", "flat_8"),
            ("panoramas in the index", "{}_{}".format(*SHIPPED)),
        ):
            with Localizer(open_index(folder / f"{name}.gpkg"), seer) as localizer:
                here, there = (
                    around(localizer, taken[what], there=what == "here") for what in taken
                )
            results.sure[kind] = {
                "by all views, here": sureness(here[0]),
                "by all views, another town": sureness(there[0]),
                "by all views, half and half": sureness(here[0] + there[0]),
                "by one view, half and half": sureness(here[1] + there[1]),
                "said": {
                    "here": [(round(c, 4), good) for c, good in here[0]],
                    "elsewhere": [round(c, 4) for c, _ in there[0]],
                },
            }
            results.keep()
        with Localizer(open_index(folder / "flat_8.gpkg"), seer) as localizer:
            said = [
                (localizer.locate(photo.path), photo.camera.position, photo.camera.heading)
                for photo in taken["here"]
            ]
        results.answers.append(answered(said, "panoramas as queries, flat photos in the index"))
        results.keep()
        ratio = speed(describer, [photo.path for photo in panoramas], 3)
        results.facts["cut and described / described alone"] = round(ratio, 3)
        results.keep()


if __name__ == "__main__":
    main()
