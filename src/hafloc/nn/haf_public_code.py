"""HAF as its authors' public code computes it, which is not the network of their paper.

github.com/ylqi/HAF (the same as github.com/goodproj13/DenserNet): VGG16's third, fourth and fifth
poolings each get a 1×1 convolution without ReLU, are repeated to stride 4, concatenated, pooled by
NetVLAD and whitened. No masks, no fusion, no detection scores, no level weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hafloc.nn.images import check_sides
from hafloc.nn.netvlad import NetVLAD, NetVLADOptions
from hafloc.nn.vgg import LAYERS

# The layer in front of each level's pooling, low to high.
POOLED = {"low": "conv3_3", "mid": "conv4_3", "high": "conv5_3"}


@dataclass(frozen=True, slots=True)
class HAFPublicCodeOptions(NetVLADOptions):
    """NetVLAD's choices, and those of the levels.

    channels     of a place that come from each level (low, mid, high): 64 in the code's small
                 model, 128 in its middle one
    """

    channels: tuple[int, int, int] = (64, 64, 64)

    @property
    def place_size(self) -> int:
        return sum(self.channels)


class HAFPublicCode(NetVLAD):
    """A NetVLAD over three levels; all else is NetVLAD's.

    The code repeats places to stride 4, where four neighbours are always alike. Here they are
    repeated to stride 8 only: four times each residual has the same direction, so the same vector.
    """

    name = "haf_public_code"
    stride = 8

    def __init__(self, options: HAFPublicCodeOptions | None = None) -> None:
        options = options or HAFPublicCodeOptions()
        super().__init__(options)
        self.heads = nn.ModuleDict(
            {
                level: nn.Conv2d(LAYERS[layer][1], channels, 1)
                for (level, layer), channels in zip(POOLED.items(), options.channels, strict=True)
            }
        )

    def features(self, images: Tensor) -> Tensor:
        """Concatenated levels, `N×C×⌈H/8⌉×⌈W/8⌉`. Raises PhotoError for a short side."""
        check_sides(images)
        return self.gather(self.trunk.responses(POOLED.values(), self.trunk.centre(images)))

    def gather(self, responses: Mapping[str, Tensor]) -> Tensor:
        """Levels on one grid, `N×C×⌈H/8⌉×⌈W/8⌉`, from responses of the layers of `POOLED`."""
        parts: list[Tensor] = []
        for number, (level, layer) in enumerate(POOLED.items()):
            pooled = F.max_pool2d(responses[layer], 2, ceil_mode=True)
            head = self.heads[level](pooled)
            # A 1×1 convolution gives the same before places are repeated as after it.
            grid = head.repeat_interleave(2**number, 2).repeat_interleave(2**number, 3)
            size = parts[0].shape[2:] if parts else grid.shape[2:]
            parts.append(grid[:, :, : size[0], : size[1]])
        return torch.cat(parts, 1)
