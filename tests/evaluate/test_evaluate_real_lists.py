"""The real ground truth, read in place: counts, and CRN's own numbers to the query."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hafloc.evaluate.data_sets.landmark_lists import (
    buildings_to_positives,
    read_image_buildings,
    read_landmarks,
    read_query_buildings,
    read_rotations,
)
from hafloc.evaluate.data_sets.matlab import numbers, read_mat
from hafloc.evaluate.data_sets.place_lists import read_names, read_place_list
from hafloc.measure import recall
from hafloc.measure.neighbours import rows_within

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "ground_truth"

pytestmark = pytest.mark.skipif(
    not REAL.is_dir(), reason="../shared/data/ground_truth is absent: real lists are not read"
)


@pytest.fixture(scope="module")
def image_buildings() -> recall.Ints:
    return read_image_buildings(REAL / "sf0" / "sv_cartoid.mat")


@pytest.fixture(scope="module")
def crn_ranking() -> recall.Ints:
    stored = numbers(read_mat(REAL / "sf0" / "crn_rw_ret_bidx.mat"), "ret_bidx", REAL)
    return stored.T.astype(np.int64) - 1


def sf0_counts(version: str, buildings: recall.Ints, ranking: recall.Ints) -> list[int]:
    queries = read_query_buildings(REAL / "sf0" / f"cartoid_groundTruth{version}.txt")
    assert len(queries) == 803
    positives = buildings_to_positives(buildings, list(queries.values()))
    return [int(n) for n in recall.hit_counts(recall.find_hits(ranking, positives), 100)]


def test_crns_stored_lists_score_exactly_as_crn_scored_them(
    image_buildings: recall.Ints, crn_ranking: recall.Ints
) -> None:
    counts = sf0_counts("_2014_04", image_buildings, crn_ranking)
    assert (counts[0], counts[4], counts[9]) == (668, 689, 693)
    stored = read_mat(REAL / "sf0" / "curve_crn_netvlad_vgg_fullres.mat")
    assert counts == numbers(stored, "plot_res", REAL).ravel().tolist()


@pytest.mark.parametrize("version", ["_2011_04", ""])
def test_the_2011_ground_truth_gives_653_at_1(
    version: str, image_buildings: recall.Ints, crn_ranking: recall.Ints
) -> None:
    assert sf0_counts(version, image_buildings, crn_ranking)[0] == 653


def test_san_francisco_has_the_published_counts(image_buildings: recall.Ints) -> None:
    assert len(image_buildings) == 1_062_468
    assert len(np.unique(image_buildings)) == 6_471
    # 2011: 1,193 with the ten that are struck out.
    for version, ids, answerable in (("_2014_04", 1_241, 751), ("_2011_04", 1_183, 743)):
        queries = read_query_buildings(REAL / "sf0" / f"cartoid_groundTruth{version}.txt")
        positives = buildings_to_positives(image_buildings, list(queries.values()))
        assert sum(len(buildings) for buildings in queries.values()) == ids
        assert sum(len(rows) > 0 for rows in positives) == answerable


@pytest.mark.parametrize(
    ("name", "database", "queries", "least", "mean", "most"),
    [
        ("derived/pitts30k_test.npz", 10_000, 6_816, 24, 142.1, 360),
        ("derived/pitts30k_val.npz", 10_000, 7_608, 24, 140.1, 360),
        ("tokyo247/patchnetvlad_tokyo247.npz", 75_984, 315, 48, 118.3, 240),
    ],
)
def test_positives_of_place_sets_have_the_published_counts(
    name: str, database: int, queries: int, least: int, mean: float, most: int
) -> None:
    places = read_place_list(REAL / name)
    found = rows_within(places.database_utm, places.query_utm, places.radius)
    counts = [len(rows) for rows in found]
    assert (len(places.database_utm), len(counts)) == (database, queries)
    assert (min(counts), round(float(np.mean(counts)), 1), max(counts)) == (least, mean, most)


def test_names_and_positions_of_pitts30k_agree_across_their_sources() -> None:
    ours = read_place_list(REAL / "derived" / "pitts30k_test.npz")
    positions = read_place_list(REAL / "pitts" / "patchnetvlad_pitts30k_test.npz")
    assert positions.database == ()
    database = read_names(REAL / "pitts" / "pitts30k_test_dbImages.npy")
    queries = read_names(REAL / "pitts" / "pitts30k_test_qImages.npy")
    named = positions.with_names(database, queries, REAL)
    assert named.database == ours.database
    assert [name.removeprefix("queries_real/") for name in named.queries] == list(ours.queries)
    assert named.database_utm == pytest.approx(ours.database_utm)
    texts = read_names(REAL / "pitts" / "patchnetvlad_pitts30k_imageNames_index.txt")
    assert [name.removeprefix("./Pittsburgh250k/") for name in texts] == database


@pytest.mark.slow
def test_whole_pittsburgh_has_288_queries_without_a_positive() -> None:
    places = read_place_list(REAL / "pitts" / "learning1M_pittsburgh.mat")
    assert (len(places.database), len(places.queries)) == (254_064, 24_000)
    found = rows_within(places.database_utm, places.query_utm, places.radius)
    assert sum(len(rows) == 0 for rows in found) == 288


@pytest.mark.parametrize(
    ("path", "images", "queries", "total", "least", "most"),
    [
        ("oxford_paris/shikangdi_gnd_oxford5k.mat", 5_063, 55, 2_840, 6, 221),
        ("oxford_paris/dtfd_gnd_oxford5k.mat", 5_063, 55, 2_840, 6, 221),
        ("oxford_paris/shikangdi_gnd_paris6k.mat", 6_392, 55, 8_955, 51, 289),
        ("oxford_paris/dtfd_gnd_paris6k.mat", 6_392, 55, 8_955, 51, 289),
        ("holidays/plra_gnd_holidays.mat", 1_491, 500, 991, 1, 12),
        ("holidays/dtfd_gnd_holidays.mat", 1_491, 500, 991, 1, 12),
    ],
)
def test_positives_of_landmark_sets_have_the_published_counts(
    path: str, images: int, queries: int, total: int, least: int, most: int
) -> None:
    found = read_landmarks(REAL / path)
    counts = [len(rows) for rows in found.groups["ok"]]
    assert (len(found.images), len(found.queries)) == (images, queries)
    assert (sum(counts), min(counts), max(counts)) == (total, least, most)


def derived(name: str) -> Any:
    return json.loads((REAL / "derived" / f"{name}.json").read_text())


@pytest.mark.parametrize("name", ["oxford5k", "paris6k"])
def test_landmark_lists_agree_with_an_independent_reading_name_by_name(name: str) -> None:
    found = read_landmarks(REAL / "oxford_paris" / f"shikangdi_gnd_{name}.mat")
    entries = derived(name)["queries"]
    assert list(found.queries) == [entry["image"] for entry in entries]
    for q, entry in enumerate(entries):
        assert {found.images[row] for row in found.groups["ok"][q]} == set(entry["positives"])
        assert found.boxes[q] == pytest.approx(entry["bbox_xyxy"])


@pytest.mark.parametrize(("name", "images"), [("roxford5k", 4_993), ("rparis6k", 6_322)])
def test_revisited_queries_are_not_in_the_database(name: str, images: int) -> None:
    found = read_landmarks(REAL / "revisited" / f"shikangdi_gnd_{name}.mat")
    assert (len(found.images), len(found.queries)) == (images, 70)
    assert not set(found.queries) & set(found.images)
    without_easy = sum(not len(rows) for rows in found.groups["easy"])
    assert without_easy == (2 if name == "roxford5k" else 0)
    for q, entry in enumerate(derived(name)["queries"]):
        for group in ("easy", "hard", "junk"):
            assert {found.images[row] for row in found.groups[group][q]} == set(entry[group])


def test_holidays_rotations_are_228() -> None:
    turns = read_rotations(REAL / "holidays" / "multigrain_holidays-rotate.yaml")
    counts = {turn: list(turns.values()).count(turn) for turn in (90, 180, 270)}
    assert counts == {90: 200, 180: 1, 270: 27}
