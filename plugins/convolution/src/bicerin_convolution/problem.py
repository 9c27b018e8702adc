"""Problem: what is convolved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicerin_convolution.geometry import Geometry


@dataclass(frozen=True)
class Problem:
    """`x (N, C, spatial...)` with a kernel `(K, C / group, kernel...)` to `y (N, K, output...)`, all of one dtype."""

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    geometry: Geometry
    group: int
    dtype: np.dtype

    @property
    def grouped_weight_shape(self) -> tuple[int, int, int, int]:
        """`(group, K / group, C / group, kernel elements)`"""
        outputs, channels = self.y_shape[1] // self.group, self.x_shape[1] // self.group
        return self.group, outputs, channels, self.geometry.size
