"""All textures of a city in one flat array, so that one gather colours every pixel of a photo."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 5
Texture = NDArray[np.uint8]
Index = NDArray[np.int64]

# The fourth channel of a texel says what it is made of. On the ground:
ASPHALT, PAVING, MARKING, GRASS = 1, 2, 3, 4
# On walls and objects; NOTHING lets the ray pass.
NOTHING, MATTE, GLASS, LIT, SIGN = 0, 10, 11, 12, 13


@dataclass(frozen=True, slots=True, eq=False)
class Atlas:
    """T textures with mip levels: `texels` `[n, 4]` uint8; `offset`, `width`, `height` `[T, L]`
    in texels; `scale` `[T]` in texels a metre at level 0."""

    texels: Texture
    offset: Index
    width: Index
    height: Index
    scale: NDArray[np.float64]

    def sample(
        self,
        texture: Index,
        right: NDArray[np.float32],
        up: NDArray[np.float32],
        footprint: NDArray[np.float32],
    ) -> Texture:
        """Texels `[N, 4]` at metres right and up from a texture's lower left corner.

        `footprint` is the size of a pixel on the surface in metres; it picks the mip level.
        """
        scale = self.scale[texture].astype(np.float32)
        level = np.log2(np.maximum(footprint * scale, 1.0)).astype(np.int64)
        np.minimum(level, LEVELS - 1, out=level)
        key = texture * LEVELS + level
        width, height = self.width.ravel()[key], self.height.ravel()[key]
        shrink = scale / np.exp2(level, dtype=np.float32)
        column = np.clip((right * shrink).astype(np.int64), 0, width - 1)
        row = np.clip(height - 1 - (up * shrink).astype(np.int64), 0, height - 1)
        packed = self.texels.view(np.uint32)[:, 0]
        found = packed[self.offset.ravel()[key] + row * width + column]
        return np.asarray(found.view(np.uint8).reshape(-1, 4))


def build_atlas(textures: Sequence[tuple[Texture, float]]) -> Atlas:
    """Pack textures `H×W×4`, each with its texels a metre, and their smaller versions."""
    parts: list[Texture] = []
    offset, width, height, position = [], [], [], 0
    for texture, _ in textures:
        for level in range(LEVELS):
            if level:
                texture = _halve(texture)
            parts.append(texture.reshape(-1, 4))
            offset.append(position)
            height.append(texture.shape[0])
            width.append(texture.shape[1])
            position += texture.shape[0] * texture.shape[1]
    shape = (len(textures), LEVELS)
    return Atlas(
        np.ascontiguousarray(np.concatenate(parts)),
        np.array(offset, np.int64).reshape(shape),
        np.array(width, np.int64).reshape(shape),
        np.array(height, np.int64).reshape(shape),
        np.array([scale for _, scale in textures]),
    )


def _halve(texture: Texture) -> Texture:
    """Mean colour of 2×2 texels; what they are made of is no number, so one of them decides."""
    rows, columns = (max(1, size // 2) for size in texture.shape[:2])
    even = np.pad(texture, ((0, texture.shape[0] % 2), (0, texture.shape[1] % 2), (0, 0)), "edge")
    even = even[: 2 * rows, : 2 * columns].astype(np.uint16)
    mean = (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) // 4
    mean[..., 3] = even[::2, ::2, 3]
    return mean.astype(np.uint8)
