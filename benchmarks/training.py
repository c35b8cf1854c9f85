"""What does a training step cost beside its trunk, and mining beside the features it compares?

    python benchmarks/training.py PHOTOS

PHOTOS is a folder with a positions.csv. The full recipe (configs/haf.toml: conv5 and all that
comes after it learn, local and vector loss) steps on one tuple of photos of 384 × 384 pixels, in
turns with NetVLAD's recipe and with the trunk alone, forward and backward with the same layers
learning. Processor seconds, medians; writes benchmarks/results/training.json.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hafloc.nn import NetVLAD
from hafloc.nn.images import to_batch
from hafloc.train.data import read_photo_set
from hafloc.train.losses import local_loss, vector_loss
from hafloc.train.mining import Miner, Mining, find_neighbours
from hafloc.train.networks import build, make_optimizer
from hafloc.train.recipe import Recipe, read_recipe
from hafloc.train.trainee import IMAGE, Inputs, Trainee, VladTrainee
from mining import street_grid

HERE = Path(__file__).parent
SIDE = 384
QUERIES = 200
MARGIN = 10.0  # so that every negative takes part


def load(folder: Path, count: int) -> list[Inputs]:
    """The first photos of a folder, all of one size."""
    paths = read_photo_set([folder]).paths[:count]
    images = [np.array(Image.open(path).convert("RGB").resize((SIDE, SIDE))) for path in paths]
    return [Inputs({IMAGE: to_batch(x, torch.device("cpu"))}, (SIDE, SIDE)) for x in images]


def opened(recipe: Recipe) -> tuple[Trainee, torch.optim.SGD]:
    trainee, _ = build(recipe)
    trainee.network.eval()
    return trainee, make_optimizer(trainee, recipe)


def netvlad(haf: Trainee, recipe: Recipe) -> tuple[Trainee, torch.optim.SGD, Recipe]:
    """NetVLAD on the same trunk, with the loss on its vector alone."""
    network = NetVLAD()
    network.trunk.load_state_dict(haf.network.get_submodule("trunk").state_dict())
    trainee = VladTrainee(network.eval(), recipe.network.train_from)
    loss = recipe.loss.model_copy(update={"local": 0.0})
    optimizer = recipe.optimizer.model_copy(update={"rates": {}})
    changed = recipe.model_copy(update={"loss": loss, "optimizer": optimizer})
    return trainee, make_optimizer(trainee, changed), changed


def trunk_step(trainee: Trainee, photos: Sequence[Inputs]) -> None:
    trunk = trainee.network.get_submodule("trunk")
    for photo in photos:
        trunk(photo.tensors[IMAGE]).high.mean().backward()


def step(
    trainee: Trainee, optimizer: torch.optim.SGD, recipe: Recipe, photos: Sequence[Inputs]
) -> None:
    loss = recipe.loss
    views = [trainee.view(p, vector=loss.vector > 0, local=loss.local > 0) for p in photos]
    total = vector_loss(torch.stack([v.vector for v in views if v.vector is not None]), MARGIN)
    if loss.local:
        total = total + local_loss(
            [view.levels for view in views],
            trainee.weights,
            margin=MARGIN,
            places=loss.places,
            candidates=loss.candidates,
            correspondence=loss.correspondence,
        )
    optimizer.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    optimizer.step()


def seconds(work: Callable[[], None]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def extraction(trainee: Trainee, photos: Sequence[Inputs]) -> None:
    with torch.no_grad():
        for photo in photos:
            trainee.pooled(photo)


def mining_seconds(size: int) -> float:
    """Processor seconds to mine one query among 10,000 photos of vectors of `size`."""
    database = street_grid(10_000, 0)
    mining = Mining()
    miner = Miner(find_neighbours(database, database, mining), len(database), mining)
    random = np.random.default_rng(0)
    vectors = random.normal(size=(len(database), size)).astype(np.float32)
    queries = miner.neighbours.usable[:QUERIES]
    start = time.process_time()
    for query in queries:
        miner.tuple_of(int(query), vectors[query], vectors, np.random.default_rng(int(query)))
    return (time.process_time() - start) / len(queries)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("photos", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--negatives", type=int, default=2)
    wanted = parser.parse_args()
    torch.set_num_threads(wanted.threads)
    photos = load(wanted.photos, 2 + wanted.negatives)
    recipe = read_recipe(HERE.parent / "configs" / "haf.toml")
    haf, optimizer = opened(recipe)
    vlad, vlad_optimizer, vlad_recipe = netvlad(haf, recipe)
    work = {
        "trunk": lambda: trunk_step(haf, photos),
        "haf": lambda: step(haf, optimizer, recipe, photos),
        "netvlad": lambda: step(vlad, vlad_optimizer, vlad_recipe, photos),
        "extraction": lambda: extraction(haf, photos),
    }
    work["trunk"]()
    before = peak_megabytes()
    work["haf"]()
    grown = peak_megabytes() - before
    taken: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(wanted.repeats):
        for name, run in work.items():
            taken[name].append(seconds(run) / len(photos))
    each = {name: statistics.median(values) for name, values in taken.items()}
    ratios = [h / t for h, t in zip(taken["haf"], taken["trunk"], strict=True)]
    per_query = mining_seconds(haf.network.dimension)
    refresh = recipe.mining.refresh * per_query
    features = 10_000 * each["extraction"]
    result = {
        "threads": wanted.threads,
        "photos a step": len(photos),
        "repeats": wanted.repeats,
        "processor seconds a photo": {name: round(value, 3) for name, value in each.items()},
        "haf step / trunk, median of pairs": round(statistics.median(ratios), 2),
        "mining seconds a refresh of 1,000 queries among 10,000 photos": round(refresh, 2),
        "feature seconds a refresh, 10,000 times one photo": round(features),
        "mining / features": round(refresh / features, 5),
        "peak megabytes of a step above the trunk's": round(grown),
    }
    print(json.dumps(result))
    (HERE / "results" / "training.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
