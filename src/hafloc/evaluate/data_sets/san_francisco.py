"""SF-0, the San Francisco Landmark data set: right is who shows the query's building."""

from collections.abc import Mapping
from pathlib import Path

from hafloc.errors import EvaluationError
from hafloc.evaluate.benchmark import Benchmark, Picture, Truth, check_images, find_file
from hafloc.evaluate.data_sets.landmark_lists import (
    buildings_to_positives,
    read_image_buildings,
    read_query_buildings,
)
from hafloc.evaluate.data_sets.place_lists import read_names
from hafloc.evaluate.protocol import SquareCrop

_TRUTHS = {
    "2014_04": ["cartoid_groundTruth_2014_04.txt"],
    "2011_04": ["cartoid_groundTruth_2011_04.txt", "cartoid_groundTruth.txt"],
}
_CROP = 480


def load_sf0(root: Path, options: Mapping[str, str]) -> Benchmark:
    """SF-0: `root` holds the images, `database.txt` with their names in the order of
    `sv_cartoid.mat`, the ground truth, and `queries/0000.jpg`…. Raises EvaluationError."""
    version = options.get("ground_truth", "2014_04")
    truth = find_file(root, _TRUTHS[version], f"ground truth {version}")
    query_buildings = read_query_buildings(truth)
    buildings_file = find_file(root, ["sv_cartoid.mat"], "building ids")
    buildings = read_image_buildings(buildings_file)
    listing = find_file(root, ["database.txt", "database.npy"], "list of database images")
    names = read_names(listing)
    if len(names) != len(buildings):
        raise EvaluationError(
            f"{listing} names {len(names):,} images but {buildings_file.name} has "
            f"{len(buildings):,} building ids; they are of different versions"
        )
    folder = find_file(root, ["queries"], "queries")
    crops: tuple[SquareCrop | None, ...] = (None,)
    if options.get("query", "whole") == "crops":
        crops = (
            SquareCrop(_CROP, "start"),
            SquareCrop(_CROP, "centre"),
            SquareCrop(_CROP, "end"),
        )
    database = tuple(Picture(root / name) for name in names)
    queries = tuple(
        Picture(folder / f"{query}.jpg", crop=crop) for query in query_buildings for crop in crops
    )
    check_images(database, "database images")
    check_images(queries, "queries")
    positives = buildings_to_positives(buildings, list(query_buildings.values()))
    summed = f"similarities summed over three {_CROP}×{_CROP} crops (left, centre, right)"
    return Benchmark(
        name="sf0",
        database=database,
        queries=queries,
        truths={"": Truth(positives)},
        measure="recall",
        protocol={
            "list": f"{len(names):,} database images, {len(query_buildings):,} queries",
            "positives": f"images with one of the query's building ids, {truth.name}; "
            "positions are not used",
            "queries without positives": f"{sum(not len(rows) for rows in positives):,}, counted",
            "images": f"database as it is; queries {summed if len(crops) > 1 else 'whole'}",
            "search": "exact, largest dot product of unit vectors",
            "ranking": "as found",
            "score": "recall@N over all queries: any of the first N is a positive",
        },
        crops=len(crops),
    )
