"""Pairs of photos that show the same, and the contrastive loss over a batch of them."""

import logging
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.spatial import KDTree
from torch import Tensor

from hafloc.errors import TrainingError
from hafloc.geo import heading_difference
from hafloc.train.data import PhotoSet
from hafloc.train.mining import Ints, Lists, Neighbours, Tuple, Vectors
from hafloc.train.recipe import Recipe

log = logging.getLogger(__name__)

SAME_WAY = 30.0  # degrees, where mining.heading_within says nothing
CHUNK = 500  # photos whose similarities to all are held at once


def find_pairs(photos: PhotoSet, recipe: Recipe, vectors: Callable[[], Vectors]) -> Neighbours:
    """Each photo's partners: neighbours that show the same, by heading or else by similarity.

    Within mining.positive_within metres, those with known headings that look the same way; where a
    heading is unknown, those to whom at most cells.elsewhere photos beyond mining.negative_beyond
    are more similar, each way, by the start's `vectors` `[N, D]`. Raises TrainingError where no
    photo has a partner and none has changed copies either, or where all are near each other.
    """
    mining, tree = recipe.mining, KDTree(photos.xyz)
    close = tree.query_pairs(mining.positive_within, output_type="ndarray").reshape(-1, 2)
    turn = heading_difference(photos.headings[close[:, 0]], photos.headings[close[:, 1]])
    apart = np.linalg.norm(photos.xyz[close[:, 0]] - photos.xyz[close[:, 1]], axis=1)
    # A known heading tells a view of its own spot apart; an unknown one may be a second visit.
    kept = (turn <= (mining.heading_within or SAME_WAY)) & (apart > mining.positive_beyond)
    unknown = np.isnan(turn)
    if unknown.any():
        kept[unknown] = _are_similar(photos, close[unknown], recipe, vectors())
    near = tree.query_ball_point(photos.xyz, mining.negative_beyond, return_sorted=True)
    return _neighbours(close[kept], [np.array(rows, np.int32) for rows in near], recipe)


def _are_similar(
    photos: PhotoSet, pairs: NDArray[np.intp], recipe: Recipe, vectors: Vectors
) -> NDArray[np.bool_]:
    """Whether few photos elsewhere are more similar to either photo of each pair than the other."""
    both = np.concatenate([pairs, pairs[:, ::-1]])
    better = np.zeros(len(both), np.int64)
    by_first = np.argsort(both[:, 0], kind="stable")
    for rows in np.array_split(by_first, max(1, len(by_first) // CHUNK)):
        first, place = np.unique(both[rows, 0], return_inverse=True)
        similarity = vectors[first] @ vectors.T
        away = np.linalg.norm(photos.xyz[first][:, None] - photos.xyz[None], axis=-1)
        own = similarity[place, both[rows, 1]]
        elsewhere = np.where(away > recipe.mining.negative_beyond, similarity, -np.inf)
        better[rows] = (elsewhere[place] > own[:, None]).sum(1)
    few: NDArray[np.bool_] = better.reshape(2, -1).max(0) <= recipe.cells.elsewhere
    return few


def _neighbours(pairs: NDArray[np.intp], near: list[Ints], recipe: Recipe) -> Neighbours:
    both = np.concatenate([pairs, pairs[:, ::-1]])
    both = both[np.lexsort((both[:, 1], both[:, 0]))]
    counts = np.bincount(both[:, 0], minlength=len(near))
    partners = Lists(_starts(counts), both[:, 1].astype(np.int32))
    sizes = np.array([len(rows) for rows in near])
    usable = np.flatnonzero(((counts > 0) | (recipe.cells.copies > 0)) & (sizes < len(near)))
    lone, crowded = int((counts == 0).sum()), int((sizes == len(near)).sum())
    if not len(usable):
        raise TrainingError(
            f"none of {len(near):,} photos can train: {lone:,} have no partner that shows the "
            f"same, {crowded:,} no photo farther than {recipe.mining.negative_beyond:g} m; widen "
            "mining.positive_within, set cells.copies, or bring more photos"
        )
    log.info("%s pairs of photos show the same", f"{len(pairs):,}")
    return Neighbours(partners, Lists(_starts(sizes), np.concatenate(near)),
                      usable.astype(np.int32), lone, crowded)  # fmt: skip


def _starts(counts: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def draw_pair(
    photo: int, neighbours: Neighbours, *, changed: bool, generator: np.random.Generator
) -> Tuple:
    """A photo with one of its partners, or, where copies are `changed`, perhaps with itself."""
    partners = neighbours.positives.of(photo)
    choices = np.append(partners, photo) if changed or not len(partners) else partners
    return Tuple(photo, int(generator.choice(choices)), ())


def unclear_pairs(photos: PhotoSet, batch: list[Tuple], within: float) -> Tensor:
    """Whether query i and positive j of two pairs are too near to be told apart: `[P, P]`."""
    first, second = (photos.xyz[[getattr(t, end) for t in batch]] for end in ("query", "positive"))
    near = np.linalg.norm(first[:, None] - second[None], axis=-1) <= within
    np.fill_diagonal(near, False)
    return torch.from_numpy(near)


def pair_loss(first: Tensor, second: Tensor, unclear: Tensor, temperature: float) -> Tensor:
    """InfoNCE both ways over P pairs of unit vectors `[P, D]`: the mean over pairs, `[]`.

    Row i of one belongs to row i of the other; those `unclear` `[P, P]` are left out (van den Oord
    et al., 2018; both ways as in CLIP).
    """
    similarity = (first @ second.T / temperature).masked_fill(unclear, -torch.inf)
    own = torch.arange(len(first), device=first.device)
    return (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own)) / 2
