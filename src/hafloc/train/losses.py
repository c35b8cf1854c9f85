"""The losses (5) to (7) on local descriptors; triplet, SARE and anchor loss on image vectors."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

Correspondence = Literal["nearest", "mutual"]
Against = Literal["joint", "each"]


class LocalMaps(Protocol):
    """One image's level: scores to choose places by, and what the loss needs at chosen ones."""

    def scores(self) -> Tensor:
        """Detection scores s `[h, w]`, without gradient."""
        ...

    def descriptors(self, places: Tensor) -> Tensor:
        """Unit descriptors d at flat places `[K]`: `[K, n]`."""
        ...

    def described(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and s `[K]` up to one factor for the image, both with gradient."""
        ...


@dataclass(frozen=True, slots=True)
class Places:
    """Flat places of one image's level, strongest first: maxima `[K]`, and candidates `[M]`."""

    maxima: Tensor
    candidates: Tensor


@torch.no_grad()
def choose_places(score: Tensor, *, maxima: int, candidates: int) -> Places:
    """The strongest local maxima of a score `[h, w]`, as maxima and, more of them, as candidates.

    A maximum is a plateau (equal neighbours, 8 ways) that no neighbour exceeds; its first place
    stands for it. A score that is the same everywhere has none: places all over it stand in.
    Equal maxima keep their order in the map.
    """
    flat = score.flatten()
    if bool(flat.min() == flat.max()):
        return Places(*(_spread(flat, count) for count in (maxima, candidates)))
    peaks = _local_maxima(score)
    order = peaks[flat[peaks].argsort(descending=True, stable=True)]
    return Places(order[:maxima], order[:candidates])


def _spread(flat: Tensor, count: int) -> Tensor:
    """`count` places, or all where there are fewer, all over the map; always the same ones."""
    drawn = torch.randperm(len(flat), generator=torch.Generator().manual_seed(0))
    return drawn[:count].to(flat.device)


def _local_maxima(score: Tensor) -> Tensor:
    """First places of the plateaus of a score `[h, w]` that no neighbour exceeds, in order."""
    plateau = _plateaus(score)
    exceeded = (score < F.max_pool2d(score[None, None], 3, 1, 1)[0, 0]).flatten()
    # Inside a plateau of nearest upsampling no neighbour is higher, whatever lies around it.
    lost = torch.zeros_like(exceeded)
    lost[plateau[exceeded]] = True
    first = plateau == torch.arange(len(plateau), device=score.device)
    return (first & ~lost).nonzero().flatten()


def _plateaus(score: Tensor) -> Tensor:
    """Each place's first place of its plateau, flat: `[h·w]`."""
    places = torch.arange(score.numel(), device=score.device).view(score.shape)
    height, width = score.shape
    pairs = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = slice(height - down), slice(max(-right, 0), width - max(right, 0))
        there = slice(down, height), slice(max(right, 0), width + min(right, 0))
        equal = score[here] == score[there]
        pairs.append(torch.stack([places[here][equal], places[there][equal]]))
    one, other = torch.cat(pairs, 1)
    found = places.flatten()
    while len(one):
        low = torch.minimum(found[one], found[other])
        ends = torch.cat([one, other, found[one], found[other]])
        lower = found.scatter_reduce(0, ends, low.repeat(4), "amin")
        lower = lower[lower]
        if torch.equal(lower, found):
            break
        found = lower
    return found


@torch.no_grad()
def match(first: Tensor, second: Tensor, correspondence: Correspondence) -> tuple[Tensor, Tensor]:
    """Rows `[C]`, `[C]` of unit descriptors `[K, n]` and `[M, n]` that correspond.

    "nearest": every row of `first` with the nearest of `second`; "mutual": only those that are
    each other's nearest.
    """
    similarity = first @ second.T
    rows = torch.arange(len(first), device=first.device)
    nearest = similarity.argmax(1)
    if correspondence == "mutual":
        both = similarity.argmax(0)[nearest] == rows
        return rows[both], nearest[both]
    return rows, nearest


def local_distance(
    here: tuple[Tensor, Tensor], second: LocalMaps, candidates: Tensor, how: Correspondence
) -> Tensor:
    """D of equation (5) for one level of two images; 0 where nothing corresponds.

    `here` are descriptors `[K, n]` and scores `[K]` of image 1 at its maxima. Correspondences are
    chosen without gradient; both images' descriptors and scores get one.
    """
    descriptors, scores = here
    with torch.no_grad():
        rows, columns = match(descriptors.detach(), second.descriptors(candidates), how)
    there, there_scores = second.described(candidates[columns])
    # Each image's scores sum to 1 by one factor, which (5) divides out again.
    weights = scores[rows] * there_scores
    apart = torch.linalg.vector_norm(descriptors[rows] - there, dim=-1)
    total: Tensor = (weights * apart).sum() / weights.sum().clamp(min=1e-30)
    return total


def hinge(positive: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """L of equation (6): Σ_n max(0, m + D(q,p) − D(q,n)) from D(q,p) `[]` and D(q,n) `[n]`."""
    return (margin + positive - negatives).clamp(min=0).sum()


def local_loss(
    images: Sequence[Sequence[LocalMaps]],
    weights: Sequence[float],
    *,
    margin: float,
    places: int,
    candidates: int,
    correspondence: Correspondence,
) -> Tensor:
    """L of equation (7) for one tuple: `images` are query, positive, then negatives.

    Each image is a sequence of its levels; `weights` are the levels' λ. A level of weight 0 costs
    nothing.
    """
    total = torch.zeros(())
    for level, weight in enumerate(weights):
        if not weight:
            continue
        maps = [image[level] for image in images]
        chosen = [
            choose_places(m.scores(), maxima=places, candidates=candidates * places) for m in maps
        ]
        here = maps[0].described(chosen[0].maxima)
        apart = torch.stack(
            [
                local_distance(here, other, there.candidates, correspondence)
                for other, there in zip(maps[1:], chosen[1:], strict=True)
            ]
        )
        total = total.to(apart) + weight * hinge(apart[0], apart[1:], margin)
    return total


def vector_loss(vectors: Tensor, margin: float) -> Tensor:
    """The triplet loss Σ_n max(0, m + d²(q,p) − d²(q,n)) on vectors `[2 + n, D]` of a tuple."""
    squared = (vectors[1:] - vectors[0]).square().sum(-1)
    return hinge(squared[0], squared[1:], margin)


def sare_loss(vectors: Tensor, against: Against) -> Tensor:
    """−log of the positive's part in a softmax of −d² to the query, for vectors `[2 + n, D]`: `[]`.

    "joint": one softmax over the positive and all n negatives; "each": the mean over softmaxes of
    the positive and one negative. Stochastic attraction-repulsion embedding (Liu, Li & Dai, ICCV
    2019) with a Gaussian kernel.
    """
    squared = (vectors[1:] - vectors[0]).square().sum(-1)
    if against == "each":
        surprise: Tensor = F.softplus(squared[0] - squared[1:])
        return surprise.mean()
    loss: Tensor = squared[0] + (-squared).logsumexp(0)
    return loss


def anchor_loss(
    vector: Tensor, anchors: Tensor, right: Tensor, unclear: Tensor, temperature: float
) -> Tensor:
    """−log of the part that right anchors have in a softmax over all, by similarity: `[]`.

    `vector` `[D]` and `anchors` `[N, D]` are of unit length; `right` and `unclear` number rows,
    the unclear ones are left out. Instance discrimination (Wu et al., CVPR 2018) against fixed
    vectors.
    """
    similarity = anchors @ vector / temperature
    similarity = similarity.index_fill(0, unclear.long(), -torch.inf)
    loss: Tensor = similarity.logsumexp(0) - similarity[right.long()].logsumexp(0)
    return loss
