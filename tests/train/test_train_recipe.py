"""Recipes: what is wrong is named with its file and key."""

from pathlib import Path

import pytest

from hafloc.errors import TrainingError
from hafloc.nn import HAF, HAFOptions, save_checkpoint
from hafloc.train.networks import build, make_optimizer
from hafloc.train.recipe import MASK_PARAMETERS, Recipe, parse_recipe, read_recipe

CONFIGS = Path(__file__).parents[2] / "configs"
GOOD = """
[network]
name = "haf"
start = "haf"
[data]
train = ["a"]
validation = ["b"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.toml")))
def test_every_shipped_recipe_is_valid(name: str) -> None:
    read_recipe(CONFIGS / name)


def test_the_papers_recipe_says_the_papers_numbers() -> None:
    recipe = read_recipe(CONFIGS / "haf_paper.toml")
    o = recipe.optimizer
    assert (o.lr, o.momentum, o.weight_decay, o.epochs, o.halve_every, o.batch) == (
        1e-4, 0.9, 0.001, 30, 5, 4,
    )  # fmt: skip
    assert (recipe.loss.margin, recipe.loss.vector, recipe.loss.places) == (0.1, 0.0, 256)
    assert not recipe.augmentation
    m = recipe.mining
    assert (m.random_negatives, m.remembered_negatives, m.negatives, m.refresh) == (
        1000,
        10,
        10,
        1000,
    )
    assert (m.positive_beyond, m.positive_within, m.negative_beyond) == (1.0, 10.0, 25.0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD + "[optimizer]\nlearning_rate = 1", "unknown key optimizer.learning_rate"),
        (GOOD + "[optimizer]\nlr = 'fast'", "optimizer.lr: .*number.*'fast'"),
        (GOOD + "[optimizer]\nepochs = 1.5", "optimizer.epochs: .*integer.*1.5"),
        (GOOD + "[optimizer]\nlr = -1.0", "optimizer.lr: .*greater than 0"),
        (GOOD + "[loss]\nlocal = 0.0", "loss: local, vector, sare, anchor and pairs are all 0"),
        (GOOD + "[loss]\nanchor = 1.0", r"loss.anchor needs whitening.refit = false"),
        (GOOD + "[loss]\nanchor = 1.0\n[whitening]\nrefit = false", "needs augmentation"),
        (GOOD.replace('"haf"\nstart', '"netvlad"\nstart'), "netvlad has no local scores"),
        (GOOD.replace('"haf"\nstart', '"resnet"\nstart'), "network.name: .*haf, netvlad, crn"),
        (GOOD.replace('start = "haf"', 'start = ""'), "network.start is empty"),
        (GOOD + "[mining]\npositive_within = 30.0", "mining: positive_beyond < positive_within"),
        (GOOD + "cache = 'c'\n[augmentation]\nblur = 0.5", "no augmentation"),
        (GOOD.replace("[data]", "train_from = 'conv9'\n[data]"), "train_from 'conv9' is none of"),
        (GOOD.replace("[data]", "options = { asff = true }\n[data]"), "no option 'asff'"),
        (GOOD.replace('train = ["a"]', ""), "data.train is missing"),
        ("network = [", "not TOML"),
    ],
)  # fmt: skip
def test_a_wrong_recipe_names_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TrainingError, match=said) as caught:
        read_recipe(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "start"), [("haf", "vgg16"), ("netvlad", "vgg16"), ("crn", "vgg16")]
)
def test_a_recipe_without_a_start_takes_the_shipped_imagenet_weights(
    tmp_path: Path, name: str, start: str
) -> None:
    text = GOOD.replace('start = "haf"', "").replace('"haf"', f'"{name}"')
    recipe = read_recipe(write(tmp_path, text + "[loss]\nlocal = 0.0\nvector = 1.0"))
    assert recipe.network.start == start
    assert recipe.plain()["network"]["start"] == start


def test_superpoint_starts_from_nothing(tmp_path: Path) -> None:
    text = GOOD.replace('"haf"\nstart = "haf"', '"superpoint"\ntrain_from = "conv1_1"')
    assert read_recipe(write(tmp_path, text)).network.start == ""


DEAD = [{"detection": "soft"}, {"detection": "none"}]
ALIVE = [
    ({"detection": "max", "pooling": "sum"}, {}),
    ({"detection": "soft", "pooling": "gem"}, {}),
    ({"detection": "none", "pooling": "gem"}, {}),
    ({"detection": "soft", "pooling": "sum", "masks": False}, {}),
    ({"detection": "none", "pooling": "sum"}, {"*.mask.*": 0.0}),
    ({"detection": "soft", "pooling": "sum"}, {"*": 0.0, "*.head.*": 1.0}),
]  # fmt: skip


def recipe_with(options: dict[str, object], rates: dict[str, float]) -> Recipe:
    table = {
        "network": {"name": "haf", "start": "vgg16", "options": options},
        "data": {"train": ["a"], "validation": ["b"]},
        "optimizer": {"rates": rates},
    }
    return parse_recipe(table, "recipe.toml")


@pytest.mark.parametrize("options", DEAD)
@pytest.mark.parametrize("rates", [{}, {"*.mask.*": 0.0, "levels.high.mask.*": 1.0}])
def test_masks_that_cannot_act_are_refused(
    options: dict[str, object], rates: dict[str, float]
) -> None:
    said = rf'recipe.toml: masks do nothing under detection = "{options["detection"]}"'
    with pytest.raises(TrainingError, match=said) as caught:
        recipe_with({**options, "pooling": "sum"}, rates)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("options", "rates"), ALIVE)
def test_masks_that_act_or_do_not_learn_are_taken(
    options: dict[str, object], rates: dict[str, float]
) -> None:
    assert recipe_with(options, rates).network.options == options


def test_every_parameter_of_a_mask_is_looked_at() -> None:
    network = HAF(HAFOptions(channels=(2, 2, 2), level_whitening="none"))
    names = {name for name, _ in network.named_parameters() if ".mask." in name}
    assert names == set(MASK_PARAMETERS)


def test_masks_that_cannot_act_are_refused_in_a_checkpoints_options_too(tmp_path: Path) -> None:
    # Given a checkpoint whose options make masks act on nothing
    options = HAFOptions(
        channels=(2, 2, 2), level_whitening="none", detection="none", pooling="sum"
    )
    path = tmp_path / "start.safetensors"
    save_checkpoint(path, HAF(options), name="haf", provenance={})
    # When a recipe that names no options starts from it
    recipe = read_recipe(write(tmp_path, GOOD), [f"network.start={path}"])
    trainee, _ = build(recipe)
    # Then it is refused before anything learns
    with pytest.raises(TrainingError, match=r"start\.safetensors: masks do nothing"):
        make_optimizer(trainee, recipe)


def test_a_recipe_of_a_windows_editor_is_read(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert read_recipe(path, [r"data.train=C:\photos\train"]).data.train == (r"C:\photos\train",)


def test_a_missing_recipe_says_so(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"cannot read recipe .*none\.toml: No such file"):
        read_recipe(tmp_path / "none.toml")


def test_set_changes_values_in_tables_that_the_file_lacks(tmp_path: Path) -> None:
    changes = [
        "optimizer.lr=3e-4",
        "run.device=cpu",
        'data.train=["x", "y"]',
        "run.tensorboard=true",
    ]
    recipe = read_recipe(write(tmp_path, GOOD), changes)
    assert recipe.optimizer.lr == 3e-4
    assert recipe.run.device == "cpu"
    assert recipe.data.train == ("x", "y")
    assert read_recipe(write(tmp_path, GOOD), ["data.train=my photos"]).data.train == ("my photos",)
    assert recipe.run.tensorboard


@pytest.mark.parametrize("change", ["optimizer.lr", "=3", "network.name.first=1"])
def test_a_change_that_cannot_be_applied_is_named(tmp_path: Path, change: str) -> None:
    with pytest.raises(TrainingError, match=f"--set {change}"):
        read_recipe(write(tmp_path, GOOD), [change])


def test_a_resolved_recipe_reads_back_the_same() -> None:
    recipe = read_recipe(CONFIGS / "haf_two_cores.toml")
    assert parse_recipe(recipe.plain(), "checkpoint") == recipe
