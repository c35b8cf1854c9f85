"""Photos of one walk: which of them can help each other, and what is said of each given the rest.

Only photos whose clocks can be compared help each other. Those that tell their time zone form one
walk, those that do not another: two cameras on one way. A photo without a time is answered on its
own, as any photo is. Where not all of them could be put in one order, a note says so in each answer
that had less help than others.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from hafloc.locate.judging import Judge
from hafloc.locate.position import Consensus
from hafloc.locate.query import RankedQuery, Wanted
from hafloc.locate.trust import Verdict
from hafloc.locate.walk import Floats, smooth

NO_TIME = "located on its own, without the walk: it has no time"
FEWER = {
    True: "helped only by photos that tell their time zone, as it does; most of the walk do not",
    False: "helped only by photos that tell no time zone, as it does; most of the walk do",
}

Said = tuple[RankedQuery, Verdict]


def judge_together(
    photos: Sequence[RankedQuery],
    judge: Judge,
    wanted: Wanted,
    random_distances: Callable[[], Floats],
) -> list[Said]:
    """Each photo with what is said of it given the others, in the order of `photos`.

    `random_distances` gives those of `walk.draw_distances`, and is asked only if there is a walk.
    """
    alone = [photo.consensus() for photo in photos]
    said = [
        (photo, judge.verdict(photo, wanted, consensus=own))
        for photo, own in zip(_noted(photos), alone, strict=True)
    ]
    for aware in (True, False):
        walk = [i for i, photo in enumerate(photos) if _is_aware(photo) is aware]
        if len(walk) > 1:
            walk.sort(key=lambda i: photos[i].seconds)
            own = [alone[i] for i in walk]
            together = _smoothed([said[i] for i in walk], own, judge, wanted, random_distances())
            for i, one in zip(walk, together, strict=True):
                said[i] = one
    return said


def _smoothed(
    walk: Sequence[Said],
    alone: Sequence[Consensus],
    judge: Judge,
    wanted: Wanted,
    random_distances: Floats,
) -> list[Said]:
    """Photos of one clock in the order of time, with what is said of each given the others."""
    steps = [photo.step(verdict) for photo, verdict in walk]
    smoothed = []
    for (photo, verdict), own, step, chances in zip(
        walk, alone, steps, smooth(steps, random_distances), strict=True
    ):
        if chances is step.chances:
            smoothed.append((photo, verdict))
            continue
        helped = photo.with_chances(chances)
        wide = as_wide(helped.consensus(), own)
        confidence = float(chances.sum())
        smoothed.append(
            (helped, judge.verdict(photo, wanted, consensus=wide, confidence=confidence))
        )
    return smoothed


def as_wide(consensus: Consensus, own: Consensus) -> Consensus:
    """The consensus with no smaller a radius than a photo's `own`: neighbours settle which place it
    is; how far off that is they do not know."""
    agreed = [one.scale if one.agreed_scale is None else one.agreed_scale
              for one in (consensus, own)]  # fmt: skip
    return replace(
        consensus,
        scale=max(own.scale, consensus.scale),
        agreed_scale=max(agreed),
        accuracy=max(own.accuracy, consensus.accuracy),
    )


def _noted(photos: Sequence[RankedQuery]) -> list[RankedQuery]:
    """The photos, with a note in those that had less help than others."""
    kinds = [_is_aware(photo) for photo in photos]
    timed = len(kinds) - kinds.count(None)
    fewer = {aware: 0 < kinds.count(aware) < timed / 2 for aware in (True, False)}
    return [
        replace(photo, note=NO_TIME if aware is None else FEWER[aware])
        if aware is None or fewer[aware]
        else photo
        for photo, aware in zip(photos, kinds, strict=True)
    ]


def _is_aware(photo: RankedQuery) -> bool | None:
    """Whether the photo's clock tells its time zone; None where it has no time."""
    return None if photo.time is None else photo.time.tzinfo is not None
