"""The VGG16 trunk of Simonyan & Zisserman (ICLR 2015) with its three taps."""

from collections.abc import Callable, Collection, Mapping
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYERS = {
    "conv1_1": (3, 64),
    "conv1_2": (64, 64),
    "conv2_1": (64, 128),
    "conv2_2": (128, 128),
    "conv3_1": (128, 256),
    "conv3_2": (256, 256),
    "conv3_3": (256, 256),
    "conv4_1": (256, 512),
    "conv4_2": (512, 512),
    "conv4_3": (512, 512),
    "conv5_1": (512, 512),
    "conv5_2": (512, 512),
    "conv5_3": (512, 512),
}
CONV1 = ["conv1_1", "conv1_2"]
TAPS = {"low": "conv3_2", "mid": "conv4_3", "high": "conv5_3"}
LEVEL_OF_TAP = {tap: level for level, tap in TAPS.items()}
TAP_STRIDES = {"low": 4, "mid": 8, "high": 16}
TAP_CHANNELS = {"low": 256, "mid": 512, "high": 512}
# RGB means of the ImageNet training images on the scale 0..255: the original network's convention.
MEAN = (123.68, 116.779, 103.939)
# Maps of fewer places are convolved faster directly: the transform of the weights costs the same
# for any size (measured with 1 and 2 threads; equal between 24×24 and 32×32 places).
WINOGRAD_PLACES = 576
# Rows of a band of conv1: its maps and their transforms (20 MB at 480 pixels) then stay in the
# processor's cache. A multiple of 6, the rows of a Winograd tile, and of 2, those of a pooling.
BAND_ROWS = 48
# Private to torch, which may take it away; then torch's own convolution serves.
_winograd: Callable[..., Tensor] | None = getattr(torch, "_nnpack_spatial_convolution", None)


class Taps(NamedTuple):
    """Responses after their ReLU and before pooling, `N×C×⌈H/s⌉×⌈W/s⌉` at strides 4, 8, 16."""

    low: Tensor
    mid: Tensor
    high: Tensor


class VGG16(nn.Module):
    """13 convolutions; images `N×3×H×W` RGB 0..255 (uint8 or floating) to Taps.

    Poolings keep the last odd row and column (ceil), so that a map times its stride always
    covers the image; for sides that are multiples of 16 this is the original network.
    """

    def __init__(self) -> None:
        super().__init__()
        for name, (inputs, outputs) in LAYERS.items():
            self.add_module(name, nn.Conv2d(inputs, outputs, 3, padding=1))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Taps:
        return self.from_layer("conv1_1", self.centre(images))

    def centre(self, images: Tensor) -> Tensor:
        """Images minus the mean colour, in the network's own type."""
        mean = self.get_buffer("mean")
        return images.to(mean.dtype) - mean

    def from_layer(self, first: str, x: Tensor, below: Mapping[str, Tensor] | None = None) -> Taps:
        """Run from layer `first` on, whose input before any pooling in front of it is `x`.

        `below` holds the taps of earlier layers by level, as a cache of frozen layers does.
        """
        taps = dict(below or {})
        names = list(LAYERS)
        left = [name for name in names[names.index(first) :] if name in LEVEL_OF_TAP]
        for name, found in self.responses(left, x, first).items():
            taps[LEVEL_OF_TAP[name]] = found
        return Taps(taps["low"], taps["mid"], taps["high"])

    def responses(
        self, wanted: Collection[str], x: Tensor, first: str = "conv1_1"
    ) -> dict[str, Tensor]:
        """Responses after their ReLU of the layers `wanted`; `first` and `x` as in `from_layer`."""
        found: dict[str, Tensor] = {}
        names = list(LAYERS)
        names = names[names.index(first) :]
        is_pooled = False
        if names[:2] == CONV1 and not set(CONV1) & set(wanted) and self._winograd_serves_conv1(x):
            x, names, is_pooled = self._conv1_in_bands(x), names[2:], True
        for name in names:
            if len(found) == len(wanted):
                break
            if _is_behind_pooling(name) and not is_pooled:
                # Here, not in a function of its own: the larger map is free to go at once.
                x = pool(x)
            is_pooled = False
            x = F.relu(convolve(x, self.get_submodule(name)), inplace=True)
            if name in wanted:
                found[name] = x
        return found

    def before_last_relu(self, first: str, x: Tensor) -> Tensor:
        """conv5_3 before its ReLU, `N×512×⌈H/16⌉×⌈W/16⌉`; `first` and `x` as in `from_layer`."""
        *_, below, last = LAYERS
        if first != last:
            x = self.responses([below], x, first)[below]
        return convolve(x, self.get_submodule(last))

    def _winograd_serves_conv1(self, x: Tensor) -> bool:
        layer = self.get_submodule("conv1_2")
        assert isinstance(layer, nn.Conv2d)
        return _winograd is not None and _winograd_serves(x, layer.weight)

    def _conv1_in_bands(self, x: Tensor) -> Tensor:
        """conv1_1, conv1_2 and the pooling behind them, `N×3×H×W` to `N×64×⌈H/2⌉×⌈W/2⌉`.

        Whole, either's maps are the largest of all, and their transforms twice as large.
        """
        near, far = (self.get_submodule(name) for name in CONV1)
        assert isinstance(near, nn.Conv2d)
        height = x.shape[2]
        images = F.pad(x, (0, 0, 1, 1))
        bands = []
        for top in range(0, height, BAND_ROWS):
            bottom = min(top + BAND_ROWS, height)
            # conv1_2 reads a row more on each side, and zeros beyond the image's edge.
            above, below = int(top > 0), int(bottom < height)
            rows = images[:, :, top - above : bottom + below + 2]
            # Three channels are too few for Winograd's transform to pay.
            maps = F.relu_(F.conv2d(rows, near.weight, near.bias, padding=(0, 1)))
            maps = F.pad(maps, (0, 0, 1 - above, 1 - below))
            bands.append(pool(F.relu_(convolve(maps, far, rows_around=0))))
        return torch.cat(bands, 2)


def _is_behind_pooling(name: str) -> bool:
    return name.endswith("_1") and name != CONV1[0]


def pool(x: Tensor) -> Tensor:
    """The largest of each 2×2 places, `N×C×⌈H/2⌉×⌈W/2⌉`; an odd last row and column stay."""
    has_gradient = torch.is_grad_enabled() and x.requires_grad
    if has_gradient or x.device.type != "cpu" or not x.is_contiguous():
        return F.max_pool2d(x, 2, ceil_mode=True)
    # torch's own keeps where each maximum was, at seven times the time.
    return _larger_of_pairs(_larger_of_pairs(x, 2), 3)


def _larger_of_pairs(x: Tensor, axis: int) -> Tensor:
    """The larger of each two neighbours along an axis, and the last one where it has none."""
    before = (slice(None),) * axis
    first, second = x[(*before, slice(0, None, 2))], x[(*before, slice(1, None, 2))]
    pairs = second.shape[axis]
    larger = torch.maximum(first.narrow(axis, 0, pairs), second)
    if first.shape[axis] == pairs:
        return larger
    return torch.cat([larger, first.narrow(axis, pairs, 1)], axis)


def convolve(x: Tensor, layer: nn.Module, *, rows_around: int = 1) -> Tensor:
    """A 3×3 convolution of stride 1 with padding 1; above and below, with `rows_around`.

    Float32 on a CPU without gradients goes one image at a time (it gains nothing from a batch)
    through NNPACK's Winograd transform where maps are large: F(6×6, 3×3) needs a fifth of the
    products, runs at twice the speed and agrees to about 5e-6 of the largest response.
    """
    assert isinstance(layer, nn.Conv2d)
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        # Where a processor multiplies bf16 matrices, it wants channels last: three times as fast.
        x = x.contiguous(memory_format=torch.channels_last)
    if _winograd is None or not _winograd_serves(x, layer.weight):
        return F.conv2d(x, layer.weight, layer.bias, padding=(rows_around, 1))
    weight, bias = layer.weight.contiguous(), layer.bias
    x = x.contiguous()
    padding = [rows_around, 1]
    maps = [_winograd(x[i : i + 1], weight, bias, padding, [1, 1]) for i in range(len(x))]
    return torch.cat(maps) if len(maps) > 1 else maps[0]


@cache
def _has_nnpack() -> bool:
    # Asking is also what initialises NNPACK.
    return bool(torch.backends.nnpack.is_available())  # type: ignore[no-untyped-call]


def _winograd_serves(x: Tensor, weight: Tensor) -> bool:
    wants_gradient = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    return (
        x.device.type == "cpu"
        and x.shape[2] * x.shape[3] >= WINOGRAD_PLACES
        and x.dtype == weight.dtype == torch.float32
        and not wants_gradient
        and not torch.is_autocast_enabled("cpu")
        and _has_nnpack()
    )
