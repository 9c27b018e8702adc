"""Anchors: the boxes of several shapes and sizes that proposals start from. Ren et al., Faster R-CNN, 2015."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def anchors(base_size: int, ratios: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """Boxes `(x1, y1, x2, y2)` around the first square of `base_size` pixels, `(len(ratios) * len(scales), 4)`.

    A ratio r makes the square round(sqrt(base_size^2 / r)) wide and round(r times that) high; each scale then enlarges
    it. Scales change fastest.
    """
    ratio = np.repeat(np.asarray(ratios, np.float64), len(scales))
    scale = np.tile(np.asarray(scales, np.float64), len(ratios))
    width = np.floor(np.sqrt(base_size**2 / ratio) + 0.5)
    height = np.floor(width * ratio + 0.5)
    centre = 0.5 * (base_size - 1)
    reach = 0.5 * (np.stack([width, height, width, height], axis=1) * scale[:, None] - 1)
    return centre + reach * [-1, -1, 1, 1]
