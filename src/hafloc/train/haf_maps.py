"""What the loss reads of one HAF level: values at chosen places, never whole maps with gradient."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hafloc.nn.half_resolution import Detection, HalfResolution, detect


@dataclass(frozen=True, slots=True)
class HafMaps:
    """One image's level, as `losses.LocalMaps`; `maps` is a batch of one.

    `found` are the detection scores `[1, h, w]` where another scan has made them already.
    """

    maps: HalfResolution
    detection: Detection
    found: Tensor | None = None

    @torch.no_grad()
    def scores(self) -> Tensor:
        found = detect(self.maps, self.detection) if self.found is None else self.found
        return found[0]

    def descriptors(self, places: Tensor) -> Tensor:
        # The mask scales a place's whole descriptor, so it cancels in the unit vector.
        return F.normalize(self.maps.at(places[None])[0], dim=-1)

    def described(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Unit descriptors `[K, n]`, and γ of the detection `[K]`: s times the image's sum of γ."""
        plain = self.maps.at(places[None])[0]
        responses = plain * self.maps.mask.flatten()[places, None]
        return F.normalize(plain, dim=-1), self._strengths(places, responses)

    def _strengths(self, places: Tensor, responses: Tensor) -> Tensor:
        if self.detection == "none":
            return torch.ones_like(places, dtype=self.maps.mask.dtype)
        peaks = responses.amax(-1)
        if self.detection == "max":
            return peaks
        around, exists = self._neighbours(places)
        scale = self._largest()
        exponentials = (self._responses(around.flatten()) / scale).exp()
        exponentials = exponentials.view(*around.shape, -1) * exists[..., None]
        alpha = (responses / scale).exp() / exponentials.sum(1)
        gamma = (alpha * responses).amax(-1) / peaks.clamp(min=1e-30)
        return torch.where(peaks > 0, gamma, 0)

    def _responses(self, places: Tensor) -> Tensor:
        """F̂ of equation (1) at places `[K]`: `[K, n]`."""
        return self.maps.at(places[None])[0] * self.maps.mask.flatten()[places, None]

    def _neighbours(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """The 3×3 places around each `[K, 9]`, and which of them exist."""
        height, width = self.maps.size
        step = torch.arange(-1, 2, device=places.device)
        rows = (places // width)[:, None, None] + step[:, None]
        columns = (places % width)[:, None, None] + step
        exists = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        flat = rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)
        return flat.flatten(1), exists.flatten(1)

    def _largest(self) -> Tensor:
        """τ: the image's largest response, with gradient."""
        with torch.no_grad():
            bands = [self.maps.rows(*band).amax(-1) for band in self.maps.bands()]
            place = (torch.cat(bands, 1) * self.maps.mask).flatten().argmax()
        return self._responses(place[None]).amax().clamp(min=1e-30)
