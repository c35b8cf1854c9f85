"""CRN (Kim, Dunn & Frahm, CVPR 2017): NetVLAD whose places a learned context mask reweights."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hafloc.nn.half_resolution import upsample
from hafloc.nn.netvlad import CHANNELS, NetVLAD, NetVLADOptions

# Start of the filters: conv5_3 is in the tens, and 84 responses of this scale stay far below the
# bias of 1, so that the mask starts near 1 and the network as its NetVLAD.
FILTER_SPREAD = 1e-4


class ReweightingMask(nn.Module):
    """Context mask m ≥ 0, `[N, h, w]`, of unnormalised conv5_3 `N×512×h×w`.

    Average pooling 3×3 to half the resolution (border windows count the places that exist), 3×3,
    5×5 and 7×7 filters, ReLU, sum of all 84 maps plus a bias, ReLU, bilinear × 2. An image whose
    mask is 0 everywhere is not reweighted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv2d(CHANNELS, 32, 3, padding=1)
        self.middle = nn.Conv2d(CHANNELS, 32, 5, padding=2)
        self.far = nn.Conv2d(CHANNELS, 20, 7, padding=3)
        self.bias = nn.Parameter(torch.ones(()))
        self.initialise(None)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator | None) -> None:
        """Draw the filters anew, so that the mask starts near 1 everywhere."""
        for layer in (self.near, self.middle, self.far):
            spread = FILTER_SPREAD / layer.weight[0].numel() ** 0.5
            drawn = torch.empty(layer.weight.shape).normal_(std=spread, generator=generator)
            layer.weight.copy_(drawn)
            assert layer.bias is not None
            layer.bias.zero_()
        self.bias.fill_(1)

    def forward(self, features: Tensor) -> Tensor:
        height, width = features.shape[-2:]
        pooled = F.avg_pool2d(features, 3, 2, padding=1, count_include_pad=False)
        context = torch.cat([self.near(pooled), self.middle(pooled), self.far(pooled)], 1)
        # CRN's 1×1 convolution: its weights stay 1, only its bias learns.
        small = F.relu(F.relu(context).sum(1, keepdim=True) + self.bias)
        mask = upsample(small.float(), 2, (height, width))[:, 0]
        return torch.where(mask.amax((1, 2), keepdim=True) > 0, mask, 1.0)


class CRN(NetVLAD):
    """A NetVLAD with a `ReweightingMask`; all else, options included, is NetVLAD's."""

    name = "crn"

    def __init__(self, options: NetVLADOptions | None = None) -> None:
        super().__init__(options)
        self.mask = ReweightingMask()

    @classmethod
    def from_netvlad(cls, net: NetVLAD, generator: torch.Generator) -> Self:
        """A CRN with a NetVLAD's options and weights, whose mask starts near 1 everywhere.

        The whitening comes along; fit it anew after training.
        """
        crn = cls(net.options).to(net.device)
        crn.load_state_dict({**crn.state_dict(), **net.state_dict()})
        crn.mask.initialise(generator)
        return crn

    def weights(self, features: Tensor) -> Tensor:
        """The mask m of each place, `[N, h, w]`."""
        mask: Tensor = self.mask(features)
        return mask
