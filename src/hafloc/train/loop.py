"""The training loop.

    hafloc train configs/haf.toml --out runs/haf                 one device
    torchrun --nproc-per-node 4 --no-python hafloc train configs/haf.toml --out runs/haf
    hafloc train configs/haf.toml --out runs/haf --resume        after any stop, to the same bits

Everything random is drawn from the recipe's seed, the epoch and the query's place in it, so that a
resumed run needs no generator's state. Gradients of tuples add up one by one, whichever process
they run in. "The same bits" asks for the same machine, number of threads and processes, and torch;
`reproducible.py` says what of it holds on a GPU.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hafloc.errors import OutputError, TrainingError
from hafloc.files import make_folder
from hafloc.nn import Network, Whitening, load_checkpoint, save_checkpoint
from hafloc.prefetch import prefetch
from hafloc.progress import Progress, Silent
from hafloc.train import parallel
from hafloc.train.cell_folder import CellFolder
from hafloc.train.cell_trainee import CellTrainee
from hafloc.train.log import Log, Step
from hafloc.train.losses import local_loss, sare_loss, vector_loss
from hafloc.train.mining import Ints, Tuple
from hafloc.train.pairs import draw_pair, pair_loss, unclear_pairs
from hafloc.train.prepare import Prepared, prepare
from hafloc.train.recipe import Recipe
from hafloc.train.reproducible import deterministic
from hafloc.train.state import NAME as STATE
from hafloc.train.state import Cursor, check_recipe, load_state, save_state
from hafloc.train.trainee import Inputs
from hafloc.train.validate import Recall, recall
from hafloc.train.vectors import Rows, finish_photos, pool_photos

START = "start.safetensors"
BEST = "best.safetensors"
MODEL = "model.safetensors"
# Tuples read beforehand: a tuple is a dozen photos.
TUPLES_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: its checkpoint, and the best epoch (from 0) with its recall@5."""

    model: Path
    best_epoch: int
    best_recall: float


@deterministic()
def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda text: None,
    after_step: Callable[[int], None] = lambda step: None,
) -> Result:
    """Train as the recipe says; `out` gets the checkpoint, the run's state and its tables.

    Raises TrainingError, PhotoError, PositionError, CheckpointError or OutputError, for all that
    can be known before any work starts. `tell` hears how each step went,
    `after_step` each step's number.
    """
    parallel.start()
    _check_out(out, resume)
    check_recipe(out, recipe)
    run = prepare(recipe, out, progress or Silent())
    cursor = load_state(out, run.trainee.network, run.optimizer, run.miner)
    if run.from_weights and not run.trainee.whitens and cursor.step == 0 and parallel.is_first():
        _save_model(run, out / START, torch.float32, None)  # to compare with, or to average with
    log = Log(out, cursor.step, tensorboard=recipe.run.tensorboard)
    while cursor.epoch < recipe.optimizer.epochs:
        rate = set_rate(run, cursor.epoch)
        order = epoch_order(run, cursor.epoch)
        while cursor.waiting or cursor.mined < len(order):
            if not cursor.waiting:
                mine_next(run, cursor, order)
                log.pause()
            run.progress.start(f"epoch {cursor.epoch + 1}: learning", len(cursor.waiting))
            total = len(cursor.waiting)
            with_inputs = load_tuples(run, cursor)
            while cursor.waiting:
                batch = cursor.waiting[: recipe.optimizer.batch]
                step = take_step(run, batch, with_inputs)
                cursor.waiting = cursor.waiting[len(batch) :]
                cursor.step += 1
                if parallel.is_first():
                    tell(log.step(cursor.step, cursor.epoch, rate, step))
                    run.progress.advance(total - len(cursor.waiting))
                if cursor.step % recipe.run.checkpoint_every == 0:
                    save(run, cursor)
                after_step(cursor.step)
        found = validate(run)
        if parallel.is_first():
            log.epoch(cursor.step, cursor.epoch, found)
        if found.by_position[1] > cursor.best_recall:
            cursor.best_recall, cursor.best_epoch = found.by_position[1], cursor.epoch
            save_best(run, found)
        cursor.epoch, cursor.mined = cursor.epoch + 1, 0
        save(run, cursor)
    return finish(run, cursor)


def set_rate(run: Prepared, epoch: int) -> float:
    """This epoch's learning rate, halved every `halve_every`."""
    rate = run.recipe.optimizer.lr / _halvings(run.recipe, epoch)
    for group in run.optimizer.param_groups:
        group["lr"] = rate * group["factor"]
    return rate


def _halvings(recipe: Recipe, epoch: int) -> int:
    return int(2 ** (epoch // recipe.optimizer.halve_every))


def epoch_order(run: Prepared, epoch: int) -> Ints:
    """This epoch's usable queries, shuffled, perhaps only some of them."""
    shuffled = np.random.default_rng([run.recipe.run.seed, epoch]).permutation(
        run.miner.neighbours.usable
    )
    return shuffled[: run.recipe.data.queries_per_epoch or None]


def mine_next(run: Prepared, cursor: Cursor, order: Ints) -> None:
    """Fresh vectors of all training photos, and from them the tuples of the next queries."""
    first = cursor.mined
    queries = order[first : first + run.recipe.mining.refresh * _halvings(run.recipe, cursor.epoch)]
    if run.recipe.loss.pairs:
        cursor.waiting += draw_pairs(run, cursor.epoch, queries)
        cursor.mined = first + len(queries)
        return
    if not run.recipe.loss.on_tuples:
        cursor.waiting += [Tuple(int(query), int(query), ()) for query in queries]
        cursor.mined = first + len(queries)
        return
    pooled = pool_training(run, f"epoch {cursor.epoch + 1}: vectors for mining")
    unfitted = run.from_weights and cursor.epoch == 0 and first == 0
    if run.trainee.whitens and (run.recipe.whitening.refit or unfitted):
        fit_whitening(run, pooled)
    vectors = finish_photos(run.trainee, pooled)
    database = vectors[: run.database_size]
    run.progress.start(f"epoch {cursor.epoch + 1}: mining", len(queries))
    for done, query in enumerate(queries, 1):
        generator = np.random.default_rng([run.recipe.run.seed, cursor.epoch, first + done])
        vector = vectors[run.photo_of_query(int(query))]
        found = run.miner.tuple_of(int(query), vector, database, generator)
        if found is not None:
            cursor.waiting.append(found)
        run.progress.advance(done)
    cursor.mined = first + len(queries)


def pool_training(run: Prepared, step: str) -> Rows:
    """Pooled vectors of all training photos, by the network as it stands, in a mapped file."""
    return pool_photos(
        run.trainee,
        run.training,
        range(len(run.photos)),
        run.out / "mining.npy",
        step=step,
        progress=run.progress,
        half=run.half,
    )


def draw_pairs(run: Prepared, epoch: int, queries: Ints) -> list[Tuple]:
    """A partner for each photo of this epoch."""
    seed, changed = run.recipe.run.seed, run.recipe.cells.copies > 0
    return [
        draw_pair(
            int(query),
            run.miner.neighbours,
            changed=changed,
            generator=np.random.default_rng([seed, epoch, int(query)]),
        )
        for query in queries
    ]


def fit_whitening(run: Prepared, pooled: Rows) -> None:
    """Fit the whitening to the training photos' vectors, at most `whitening.photos` of them."""
    count = min(len(pooled), run.recipe.whitening.photos)
    drawn = np.random.default_rng(run.recipe.run.seed).permutation(len(pooled))[:count]
    rows = np.sort(drawn)
    sample = torch.from_numpy(np.array(pooled[rows]))
    device = run.device
    run.trainee.fit(sample.to(device), run.pairs_among(rows).to(device))


def load_tuples(run: Prepared, cursor: Cursor) -> Iterator[list[Inputs]]:
    """What the network reads of this process's share of the waiting tuples, in order."""
    batch = run.recipe.optimizer.batch
    batches = [cursor.waiting[i : i + batch] for i in range(0, len(cursor.waiting), batch)]
    mine = [t for part in batches for t in parallel.share(part)]
    epoch, seed = cursor.epoch, run.recipe.run.seed

    def load(found: Tuple) -> list[Inputs]:
        if isinstance(run.training, CellFolder):
            pair_seed = (seed, epoch, found.query)
            return run.training.load_pair(found.query, found.positive, pair_seed)
        numbers = run.photos_of(found)
        return [run.training.load(n, (seed, epoch, found.query, n)) for n in numbers]

    # A step on cells takes its whole batch at once.
    ahead = batch if run.recipe.loss.pairs else TUPLES_AHEAD
    for _, inputs in prefetch(mine, load, ahead):
        yield inputs


def take_step(run: Prepared, batch: Sequence[Tuple], inputs: Iterator[list[Inputs]]) -> Step:
    """One step of SGD on a batch of tuples. Raises TrainingError where it is no number."""
    run.optimizer.zero_grad()
    triplets = sum(len(t.negatives) for t in batch)
    learn = learn_from_pairs if run.recipe.loss.pairs else learn_from_tuples
    total = learn(run, batch, inputs)
    for parameter in run.parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    parallel.sum_gradients(run.parameters, total)
    limit = run.recipe.optimizer.clip or math.inf
    norm = float(torch.nn.utils.clip_grad_norm_(run.parameters, limit))
    if not (math.isfinite(float(total)) and math.isfinite(norm)):
        names = ", ".join(run.photos.names[run.photo_of_query(t.query)] for t in batch)
        raise TrainingError(
            f"loss {float(total):g}, gradient {norm:g} on the tuples of {names}; lower "
            "optimizer.lr or set optimizer.clip, and resume in a new folder"
        )
    run.optimizer.step()
    if isinstance(run.trainee, CellTrainee):
        run.trainee.stay_within()
    photos = sum(len(run.photos_of(t)) for t in batch)
    return Step(float(total), norm, triplets / len(batch), photos)


def learn_from_tuples(
    run: Prepared, batch: Sequence[Tuple], inputs: Iterator[list[Inputs]]
) -> Tensor:
    """Add up the gradients of this process's tuples of a batch; their loss `[]`."""
    triplets = sum(len(t.negatives) for t in batch)
    by_tuple = run.recipe.loss.average == "tuples" or not triplets
    share = 1 / (len(batch) if by_tuple else triplets)
    total = torch.zeros((), device=run.device)
    for found in parallel.share(list(batch)):
        on_tuple, on_anchors = tuple_loss(run, found, next(inputs))
        loss = on_tuple * share + on_anchors / len(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    return total


def learn_from_pairs(
    run: Prepared, batch: Sequence[Tuple], inputs: Iterator[list[Inputs]]
) -> Tensor:
    """Add up the gradients of this process's pairs, told from each other; their loss `[]`."""
    assert isinstance(run.trainee, CellTrainee)
    own = parallel.share(list(batch))
    if not own:
        return torch.zeros((), device=run.device)
    pairs = [next(inputs) for _ in own]
    cells = [pair[end].to(run.device) for end in (0, 1) for pair in pairs]
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.half):
        first, second = run.trainee.vectors(cells).chunk(2)
    unclear = unclear_pairs(run.photos, own, run.recipe.mining.negative_beyond).to(run.device)
    loss = pair_loss(first, second, unclear, run.recipe.loss.temperature)
    loss = run.recipe.loss.pairs * len(own) / len(batch) * loss
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


def tuple_loss(run: Prepared, found: Tuple, inputs: Sequence[Inputs]) -> tuple[Tensor, Tensor]:
    """The recipe's losses on one tuple: on query, positive, negatives; and on the anchors."""
    loss = run.recipe.loss
    vector = max(loss.vector, loss.sare, loss.anchor) > 0
    with torch.autocast(run.device.type, torch.bfloat16, enabled=run.half):
        views = [
            run.trainee.view(x.to(run.device), vector=vector, local=loss.local > 0) for x in inputs
        ]
    total, anchored = torch.zeros((2,), device=run.device)
    if loss.local:
        total = total + loss.local * local_loss(
            [view.levels for view in views],
            run.trainee.weights,
            margin=loss.margin,
            places=loss.places,
            candidates=loss.candidates,
            correspondence=loss.correspondence,
        )
    if loss.vector or loss.sare:
        vectors = torch.stack([view.vector for view in views if view.vector is not None])
        if loss.vector:
            total = total + loss.vector * vector_loss(vectors, loss.vector_margin)
        if loss.sare:
            total = total + loss.sare * sare_loss(vectors, loss.sare_against)
    if run.anchors is not None and views[0].vector is not None:
        anchored = loss.anchor * run.anchors.loss(found.query, views[0].vector, loss.temperature)
    return total, anchored


def validate(run: Prepared) -> Recall:
    """Recall of the network as it stands on the validation photos."""
    pooled = pool_photos(
        run.trainee,
        run.validation,
        range(len(run.validation_photos)),
        run.out / "validation.npy",
        step="validating",
        progress=run.progress,
        half=run.half,
    )
    vectors = finish_photos(run.trainee, pooled)
    return recall(vectors, run.validation_photos, run.validation_queries, run.validation_database)


def save(run: Prepared, cursor: Cursor) -> None:
    """The state to resume from; only the first process writes."""
    if parallel.is_first():
        network = run.trainee.network
        save_state(run.out, run.recipe, run.start, cursor, network, run.optimizer, run.miner)
    parallel.wait_for_all()


def save_best(run: Prepared, found: Recall) -> None:
    """The best epoch's weights, in full precision."""
    if parallel.is_first():
        _save_model(run, run.out / BEST, torch.float32, found.by_position)


def refit_whitening(run: Prepared) -> None:
    """Fit the whitening once more, to the network as it stands."""
    # Mapped into memory here alone: Windows removes no file that is still mapped.
    fit_whitening(run, pool_training(run, "vectors for whitening"))


def finish(run: Prepared, cursor: Cursor) -> Result:
    """Write the checkpoint of the best epoch, whitened anew on the training photos where asked."""
    best = load_checkpoint(run.out / BEST)
    settle(run.trainee.network)
    run.trainee.network.load_state_dict(best.network.state_dict())
    fits = run.recipe.fits_whitening(from_weights=run.from_weights)
    has_one = any(isinstance(part, Whitening) for part in run.trainee.network.modules())
    if has_one and (fits or not run.trainee.whitens):
        refit_whitening(run)
    if parallel.is_first():
        numbers = best.provenance["validation recall@1/5/10"]
        _save_model(run, run.out / MODEL, torch.float16, numbers)
        for name in ("mining.npy", "validation.npy"):
            (run.out / name).unlink(missing_ok=True)
    parallel.wait_for_all()
    return Result(run.out / MODEL, cursor.best_epoch, cursor.best_recall)


def _save_model(
    run: Prepared, path: Path, dtype: torch.dtype, numbers: Sequence[float] | None
) -> None:
    """Write the network as it stands; without `numbers` it is not trained yet."""
    provenance: dict[str, Any] = {
        "trained": numbers is not None,
        "recipe": run.recipe.plain(),
        "photos": len(run.photos),
    }
    if not run.from_weights and run.recipe.network.start:
        start = load_checkpoint(run.recipe.network.start)
        provenance["started from"] = {"hash": start.hash, "provenance": start.provenance}
    if numbers is not None:
        provenance["validation recall@1/5/10"] = list(numbers)
    name, network = run.recipe.network.name, deepcopy(run.trainee.network)
    settle(network)
    save_checkpoint(path, network, name=name, provenance=provenance, dtype=dtype)


def settle(network: Network) -> None:
    """Make what whitenings learned part of them."""
    for part in network.modules():
        if isinstance(part, Whitening):
            part.settle()


def _check_out(out: Path, resume: bool) -> None:
    if (out / STATE).exists() and not resume:
        raise OutputError(
            f"{out} holds a run already; resume it with --resume or choose another folder"
        )
    make_folder(out, "choose another folder")
