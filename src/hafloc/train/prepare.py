"""Everything a run needs, checked and opened before any work starts."""

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hafloc.errors import OutputError, TrainingError
from hafloc.nn import HAF, Network, Whitening
from hafloc.progress import Progress
from hafloc.train import parallel
from hafloc.train.anchors import Anchors, keep
from hafloc.train.cell_folder import CellFolder, cache_cells
from hafloc.train.cell_trainee import CellTrainee, check_learning
from hafloc.train.cells import check_cells
from hafloc.train.data import PhotoSet, join, read_photo_set
from hafloc.train.features import Pixels, Source, cache_features, check_photos
from hafloc.train.mining import Ints, Miner, Neighbours, find_neighbours
from hafloc.train.mining import Tuple as MinedTuple
from hafloc.train.networks import build, make_optimizer
from hafloc.train.pairs import find_pairs
from hafloc.train.recipe import Recipe
from hafloc.train.state import start_content
from hafloc.train.trainee import Trainee
from hafloc.train.validate import check_answerable, choose_queries
from hafloc.train.vectors import Rows, finish_photos, pool_photos

log = logging.getLogger(__name__)

# Pairs that teach the compact projection what one place looks like: near, and looking one way.
SAME_WAY = 30.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """An opened run. `photos` are the database's, then those of queries with folders of their own;
    so are `validation_photos`, whose first `validation_database` are the database (None: all are).
    `pairs` `[P, 2]` number photos of the same place; `start` is the start weights' content.
    """

    recipe: Recipe
    out: Path
    progress: Progress
    device: torch.device
    trainee: Trainee
    from_weights: bool
    optimizer: torch.optim.Optimizer
    photos: PhotoSet
    database_size: int
    miner: Miner
    training: Source
    pairs: Ints
    validation_photos: PhotoSet
    validation_database: int | None
    validation_queries: Ints
    validation: Source
    anchors: Anchors | None
    start: str

    @property
    def network(self) -> Network:
        return self.trainee.network

    @property
    def half(self) -> bool:
        return self.recipe.run.precision == "bfloat16"

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    def photo_of_query(self, query: int) -> int:
        """A query's number among `photos`."""
        return query + self.database_size if self.recipe.data.queries else query

    def photos_of(self, found: MinedTuple) -> list[int]:
        """A tuple's numbers among `photos`: query, positive, negatives; the query alone unmined."""
        if self.recipe.loss.pairs:
            return [found.query, found.positive]
        if not self.recipe.loss.on_tuples:
            return [self.photo_of_query(found.query)]
        return [self.photo_of_query(found.query), found.positive, *found.negatives]

    def pairs_among(self, rows: NDArray[np.int64]) -> Tensor:
        """The pairs whose photos are both among the sorted `rows`, numbered within them."""
        inside = np.isin(self.pairs, rows).all(1)
        return torch.from_numpy(np.searchsorted(rows, self.pairs[inside])).long()


def prepare(recipe: Recipe, out: Path, progress: Progress) -> Prepared:
    """Read photos, neighbours and network; fill the feature cache; start fresh layers.

    Raises what `train` documents.
    """
    data = recipe.data
    database = read_photo_set([Path(folder) for folder in data.train])
    queries = read_photo_set([Path(folder) for folder in data.queries]) if data.queries else None
    photos = join(database, queries) if queries else database
    validation, validation_database = _validation(recipe)
    found = None if data.cells else find_neighbours(queries or database, database, recipe.mining)
    check_photos([*photos.paths, *validation.paths], data.longer_side)
    trainee, from_weights = build(recipe)
    if recipe.fits_whitening(from_weights=from_weights) or not trainee.whitens:
        _check_enough(trainee, min(len(photos), recipe.whitening.photos))
    _check_room(out, trainee, len(photos) + len(validation))
    device = parallel.device(recipe.run.device)
    trainee.network.to(device).eval()
    optimizer = make_optimizer(trainee, recipe)
    if recipe.loss.anchor:
        _check_start(from_weights and trainee.whitens)
    training: Source
    validating: Source
    if data.cells:
        _check_start(from_weights)
        trainee, cells = _cells(recipe, trainee, photos, validation, progress)
        training, validating = cells.part(slice(len(photos))), cells.part(slice(len(photos), None))
    else:
        training, validating = _sources(recipe, trainee, photos, validation, progress)

    def start_vectors() -> Rows:
        half = recipe.run.precision == "bfloat16"
        numbers = range(len(database))
        pooled = pool_photos(
            trainee,
            training,
            numbers,
            out / "mining.npy",
            step="vectors of the start",
            progress=progress,
            half=half,
        )
        return finish_photos(trainee, pooled)

    neighbours = found or find_pairs(database, recipe, start_vectors)
    _tell(neighbours, len(queries or database))
    if from_weights:
        _start(recipe, trainee, training, len(photos), device)
    anchors = None
    if recipe.loss.anchor:
        vectors = keep(out, start_vectors, len(database)).to(device)
        anchors = Anchors(vectors, neighbours, with_own=queries is None)
    return Prepared(
        recipe,
        out,
        progress,
        device,
        trainee,
        from_weights,
        optimizer,
        photos,
        len(database),
        Miner(neighbours, len(database), recipe.mining),
        training,
        _pairs(photos, recipe),
        validation,
        validation_database,
        choose_queries(
            validation, data.validation_queries, recipe.run.seed, after=validation_database or 0
        ),
        validating,
        anchors,
        start_content(recipe),
    )


def _validation(recipe: Recipe) -> tuple[PhotoSet, int | None]:
    """Validation photos, and how many of them are the database where queries are others."""
    database = read_photo_set([Path(folder) for folder in recipe.data.validation])
    if not recipe.data.validation_from:
        return database, None
    queries = read_photo_set([Path(folder) for folder in recipe.data.validation_from])
    check_answerable(database, queries)
    return join(database, queries), len(database)


def _check_start(unfitted: bool) -> None:
    if unfitted:
        raise TrainingError(
            "loss.anchor and data.cells learn from where a network starts, so network.start must "
            "be a checkpoint; `hafloc fit` writes one from start weights"
        )


def _tell(found: Neighbours, queries: int) -> None:
    if found.without_positive or found.without_negative:
        log.warning(
            "of %s queries %s have no positive and %s no negative; they do not train",
            f"{queries:,}",
            f"{found.without_positive:,}",
            f"{found.without_negative:,}",
        )


def _sources(
    recipe: Recipe, trainee: Trainee, photos: PhotoSet, validation: PhotoSet, progress: Progress
) -> tuple[Source, Source]:
    """Training and validation inputs; one cache holds both, so that its room is checked at once."""
    side = recipe.data.longer_side
    if not recipe.data.cache:
        training = Pixels(photos.paths, side, recipe.augmentation)
        return training, Pixels(validation.paths, side)
    if not trainee.kept:
        raise TrainingError(
            "data.cache needs frozen layers; leave it empty, or set network.train_from"
        )
    folder = Path(recipe.data.cache)
    paths = [*photos.paths, *validation.paths]
    cached = cache_features(trainee, paths, folder, longer_side=side, progress=progress)
    return cached.part(slice(len(photos))), cached.part(slice(len(photos), None))


def _cells(
    recipe: Recipe, trainee: Trainee, photos: PhotoSet, validation: PhotoSet, progress: Progress
) -> tuple[CellTrainee, CellFolder]:
    """Cells of all photos, and the network as it learns from them."""
    network = trainee.network
    assert isinstance(network, HAF), "the recipe asks for HAF"
    check_cells(network)
    check_learning(network)
    paths = [*photos.paths, *validation.paths]
    cells, directions = cache_cells(network, recipe, paths, len(photos), progress)
    return CellTrainee(network, directions), cells


def _start(
    recipe: Recipe, trainee: Trainee, training: Source, photos: int, device: torch.device
) -> None:
    """Start the layers after the trunk from training photos, on the CPU: small and once."""
    drawn = np.random.default_rng(recipe.run.seed).permutation(photos)[: trainee.start_photos]
    trainee.network.to("cpu")
    inputs = (training.load(int(number)) for number in drawn)
    trainee.start(inputs, torch.Generator().manual_seed(recipe.run.seed))
    trainee.network.to(device)


def _pairs(photos: PhotoSet, recipe: Recipe) -> Ints:
    """Numbers of photos within the positives' distance that are known to look the same way."""
    headed = np.flatnonzero(~np.isnan(photos.headings))
    if not len(headed):
        return np.zeros((0, 2), np.int32)
    part = photos.part(headed)
    near = part_neighbours(part, recipe)
    return headed[near].astype(np.int32)


def part_neighbours(photos: PhotoSet, recipe: Recipe) -> Ints:
    """Pairs `[P, 2]` (a < b) of positives that look the same way; empty where there are none."""
    mining = recipe.mining.model_copy(update={"heading_within": SAME_WAY})
    try:
        found = find_neighbours(photos, photos, mining).positives
    except TrainingError:
        return np.zeros((0, 2), np.int32)
    first = np.repeat(np.arange(len(photos)), found.counts())
    pairs = np.stack([first, found.values], 1)
    return pairs[pairs[:, 0] < pairs[:, 1]].astype(np.int32)


def _check_enough(trainee: Trainee, photos: int) -> None:
    """Raises TrainingError where the whitening has more dimensions than photos to fit it."""
    whitenings = [part for part in trainee.network.modules() if isinstance(part, Whitening)]
    largest = max((len(part.projection) for part in whitenings), default=0)
    if photos <= largest:
        raise TrainingError(
            f"{photos:,} photos are too few to fit a whitening to {largest:,} dimensions; give "
            "more photos, or fewer dimensions in network.options"
        )


def _check_room(out: Path, trainee: Trainee, photos: int) -> None:
    """Raises OutputError where the disk cannot hold the vectors that mining compares."""
    need = photos * trainee.pooled_size * np.dtype(np.float32).itemsize
    free = shutil.disk_usage(out).free
    if need > free:
        raise OutputError(
            f"the vectors of {photos:,} photos need {need:,} bytes in {out}, where {free:,} are "
            "free; free space or choose another place"
        )
