"""Photo sets, recall, the sweep, augmentation: each on its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import street
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hafloc.errors import TrainingError
from hafloc.geo import Position, distance, earth_centred
from hafloc.nn import HAF, HAFOptions, HAFPublicCode, HAFPublicCodeOptions, save_checkpoint
from hafloc.train.augment import PERSPECTIVE, augment
from hafloc.train.data import PhotoSet, number_places, read_photo_set
from hafloc.train.recipe import Augmentation, Recipe, read_recipe
from hafloc.train.sweep import fuse_and_score, simplex, sweep_fusion, sweep_training
from hafloc.train.ternary import place
from hafloc.train.trainee import Inputs, PublicCodeTrainee
from hafloc.train.trunk import frozen_layers, kept_layers, run_frozen
from hafloc.train.validate import choose_queries, recall


def line_of_photos(count: int, spacing: float = 6.0) -> PhotoSet:
    """Photos along a line, every second one looking back."""
    xyz = np.c_[np.arange(count) * spacing, np.zeros((count, 2))]
    names = tuple(f"{n}.jpg" for n in range(count))
    headings = np.arange(count) % 2 * 180.0
    return PhotoSet(names, tuple(map(Path, names)), xyz, number_places(xyz), headings)


@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-1e-4, 1e-4), st.floats(-1e-4, 1e-4))
def test_straight_distances_agree_with_the_geodesic(
    lat: float, lon: float, north: float, east: float
) -> None:
    xyz = earth_centred(np.array([lat, lat + north]), np.array([lon, lon + east]))
    expected = distance(Position(lat, lon), Position(lat + north, lon + east))
    assert np.linalg.norm(xyz[0] - xyz[1]) == pytest.approx(expected, abs=1e-6)


def test_views_of_one_position_share_a_place(town: Path) -> None:
    photos = read_photo_set([town / "train"])
    assert len(photos) == 20
    assert len(np.unique(photos.places)) == 10
    assert photos.places[0] == photos.places[1]


def test_two_folders_make_one_set_without_common_places(town: Path) -> None:
    photos = read_photo_set([town / "train", town / "val"])
    assert len(np.unique(photos.places)) == 18


def test_recall_counts_what_a_loop_counts() -> None:
    random = np.random.default_rng(0)
    photos = line_of_photos(60)
    vectors = random.normal(size=(60, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = choose_queries(photos, 25, 3)
    hits = {1: 0, 5: 0, 10: 0}
    for q in queries:
        order = [n for n in np.argsort(-(vectors @ vectors[q]), kind="stable") if n != q]
        for cut in hits:
            hits[cut] += any(abs(int(n) - int(q)) * 6 <= 25 for n in order[:cut])
    found = recall(vectors, photos, queries)
    assert found.by_position == pytest.approx([count / 25 for count in hits.values()])
    assert found.by_heading is not None
    assert found.by_heading < found.by_position


def test_a_query_never_finds_its_own_place() -> None:
    """Photos 0 and 1 share a position and a vector; nothing else stands within 25 m."""
    xyz = np.array([[0.0, 0, 0], [0, 0, 0], [100, 0, 0], [200, 0, 0]])
    photos = PhotoSet(("a",) * 4, (Path("a"),) * 4, xyz, number_places(xyz), np.full(4, np.nan))
    vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    found = recall(vectors, photos, choose_queries(photos, 0, 0))
    assert found.by_position == (0.0, 0.0, 0.0)
    assert (found.queries, found.hopeless) == (4, 4)


def test_the_simplex_has_66_points() -> None:
    points = simplex()
    assert len(set(points)) == 66
    assert all(sum(point) == pytest.approx(1) and min(point) >= 0 for point in points)


def test_one_pass_over_all_points_equals_66_fused_evaluations() -> None:
    random = np.random.default_rng(1)
    photos = line_of_photos(40)
    levels = [random.normal(size=(40, 3)).astype(np.float32) for _ in range(3)]
    levels = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in levels]
    queries = choose_queries(photos, 0, 0)
    found = fuse_and_score(levels, photos, queries)
    for point, row in zip(found.points, found.recalls, strict=True):
        fused = np.concatenate([w**0.5 * v for w, v in zip(point, levels, strict=True)], 1)
        assert row == pytest.approx(recall(fused, photos, queries).by_position)
    assert found.recalls[found.best, 0] == found.recalls[:, 0].max()


def test_the_corners_of_the_triangle_are_the_single_levels() -> None:
    xy = place(np.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3]]))
    assert xy[0].tolist() == [0, 0]
    assert xy[1].tolist() == [1, 0]
    np.testing.assert_allclose(xy[3], xy[:3].mean(0))


def test_a_sweep_writes_table_and_maps(town: Path, tmp_path: Path) -> None:
    model = tmp_path / "small.safetensors"
    options = HAFOptions(channels=(4, 4, 4), level_sizes=(4, 4, 4), longer_side=32)
    save_checkpoint(model, HAF(options), name="small", provenance={})
    sweep_fusion(model, town / "val", tmp_path / "sweep", device="cpu")
    table = (tmp_path / "sweep" / "sweep.csv").read_text().splitlines()
    assert len(table) == 67
    assert sum(row.endswith(",best") for row in table) == 2  # the header, and one point
    assert (tmp_path / "sweep" / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in (tmp_path / "sweep" / "sweep.svg").read_bytes()


def test_a_sweep_by_training_goes_on_where_it_was(
    small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    trained = []

    def run(recipe: Recipe, folder: Path, **_: object) -> None:
        if len(trained) == 3:
            trained.append(None)
            raise KeyboardInterrupt
        weights = recipe.network.options["level_weights"]
        trained.append(weights)
        folder.mkdir(parents=True)
        head = "step,epoch,recall_1,recall_5,recall_10\n"
        (folder / "epochs.csv").write_text(f"{head}1,0,{weights[1]},0.6,0.7\n2,1,0,0.5,0.9\n")

    with pytest.raises(KeyboardInterrupt):
        sweep_training(small_recipe(), tmp_path, run=run)
    found = sweep_training(small_recipe(), tmp_path, run=run)
    assert len(trained) == 67
    assert found.points[found.best] == (0.0, 1.0, 0.0)
    assert found.recalls[found.best].tolist() == [1.0, 0.6, 0.7]


def test_a_sweep_does_not_mix_models_of_two_recipes(
    small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep_training(small_recipe(), tmp_path, run=stop)
    # The same recipe on another device goes on; another loss does not.
    with pytest.raises(KeyboardInterrupt):
        sweep_training(small_recipe(run={"device": "auto"}), tmp_path, run=stop)
    with pytest.raises(TrainingError, match="holds models of another recipe"):
        sweep_training(small_recipe(loss={"margin": 0.2}), tmp_path, run=stop)


def test_a_sweep_of_a_network_without_levels_is_refused(
    small_recipe: Callable[..., Recipe], tmp_path: Path
) -> None:
    network = {"name": "netvlad", "options": {}}
    recipe = small_recipe(network=network, loss={"local": 0.0})
    with pytest.raises(TrainingError, match="needs levels, which netvlad has not"):
        sweep_training(recipe, tmp_path)


def test_queries_apart_from_the_database_are_looked_for_in_it_alone() -> None:
    # Given a database at 0, 100 and 200 m, and queries at 10, 110 and 500 m; all look north
    xyz = np.c_[[0.0, 100.0, 200.0, 10.0, 110.0, 500.0], np.zeros((6, 2))]
    names = tuple("abcdef")
    photos = PhotoSet(names, tuple(map(Path, names)), xyz, number_places(xyz), np.zeros(6))
    # When the first query sees its place, the second its own twin among the queries and then
    # the wrong place, and the third lies nowhere
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 2, 2]]
    queries = choose_queries(photos, 0, 0, after=3)
    assert queries.tolist() == [3, 4, 5]
    found = recall(vectors, photos, queries, 3)
    # Then one of three is found first, and two among all three photos of the database
    assert found.by_position == pytest.approx((1 / 3, 2 / 3, 2 / 3))
    assert found.by_heading == found.by_position
    assert (found.queries, found.hopeless) == (3, 1)


def test_a_query_at_a_spot_of_the_database_may_find_the_photo_there() -> None:
    photos = line_of_photos(2, spacing=0.0)
    vectors = np.ones((2, 1), np.float32)
    assert recall(vectors, photos, choose_queries(photos, 0, 0, after=1), 1).by_position[0] == 1
    assert recall(vectors, photos, choose_queries(photos, 0, 0)).by_position[0] == 0


PITTSBURGH = ["haf", "haf_paper", "haf_public_code", "netvlad", "crn", "superpoint"]


@pytest.mark.parametrize("name", PITTSBURGH)
def test_recipes_of_the_papers_table_validate_queries_against_a_database(name: str) -> None:
    data = read_recipe(Path(__file__).parents[2] / "configs" / f"{name}.toml").data
    assert data.train == ("pitts30k/train/database",)
    assert data.queries == ("pitts30k/train/queries",)
    assert data.validation == ("pitts30k/val/database",)
    assert data.validation_from == ("pitts30k/val/queries",)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_another_perspective_moves_each_corner_inwards_and_keeps_lines_straight(seed: int) -> None:
    # Given a photo whose colours say where each pixel came from
    width, height = 120, 90
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    # When it is seen from another side
    seen = augment(image, Augmentation(perspective=1.0), (seed,))[..., :2].astype(float)
    # Then corners lie further in, by the part that the strength allows
    most = PERSPECTIVE * np.array([width, height])
    whole = np.array([width - 1, height - 1])
    inwards = np.array([seen[0, 0], seen[0, -1], seen[-1, -1], seen[-1, 0]])
    inwards = np.abs(inwards - np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * whole)
    assert (inwards <= most + 1).all()
    # And a row of pixels still comes from a straight line of the photo
    x, y = seen[height // 2].T
    slope, start = np.polyfit(x, y, 1)
    assert np.abs(slope * x + start - y).max() < 1.5


@pytest.mark.parametrize("change", list(Augmentation.model_fields))
def test_augmentation_changes_a_photo_the_same_way_for_the_same_seed(change: str) -> None:
    image = street.wall(80, 0)
    changes = Augmentation(**{change: 1.0})
    first, again = augment(image, changes, (1, 2)), augment(image, changes, (1, 2))
    assert first.shape == image.shape
    assert (first == again).all()
    assert (first != image).any()
    assert (augment(image, changes, (1, 3)) != first).any()


def test_augmentation_is_off_by_default() -> None:
    assert not Augmentation()
    assert (augment(street.wall(80, 0), Augmentation(), (1,)) == street.wall(80, 0)).all()


@pytest.mark.parametrize("train_from", ["heads", "conv5_1", "conv4_1", "conv1_1"])
def test_the_public_codes_levels_are_the_networks_whatever_learns(train_from: str) -> None:
    # Given its network, with the trunk frozen below a layer
    torch.manual_seed(0)
    net = HAFPublicCode(HAFPublicCodeOptions(clusters=2, size=0, channels=(2, 3, 4))).eval()
    net.vlad.initialise(torch.randn(9, 9), torch.Generator().manual_seed(0))
    trainee = PublicCodeTrainee(net, train_from)
    photo = torch.rand(1, 3, 40, 56) * 255
    # When training reads a photo's kept responses, from the photo or from a cache
    pooled = trainee.pooled(Inputs({"image": photo}, (40, 56)))
    kept = run_frozen(net.trunk, photo, trainee.kept) if trainee.kept else {"image": photo}
    # Then its vector is the network's
    torch.testing.assert_close(pooled, net(photo)[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(trainee.pooled(Inputs(kept, (40, 56))), pooled)


def test_the_cache_keeps_what_learning_layers_read_and_no_more() -> None:
    taps = ("conv3_2", "conv4_3", "conv5_3")
    assert kept_layers("conv5_1", taps) == ("conv3_2", "conv4_3")
    assert kept_layers("conv4_1", taps) == ("conv3_2", "conv3_3")
    assert kept_layers("conv1_1", taps) == ()
    assert kept_layers("heads", taps) == taps
    assert kept_layers("conv5_1", ()) == ("conv4_3",)
    assert frozen_layers("conv1_2") == ["conv1_1"]
