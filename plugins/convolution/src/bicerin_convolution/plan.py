"""Plan: the three products of a convolution at given shapes, each with the algorithm that it runs with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bicerin.kernels import COMPILED
from bicerin_convolution import reference
from bicerin_convolution.geometry import Geometry

if COMPILED:
    from bicerin_convolution import gemm


@dataclass(frozen=True)
class Problem:
    """What is convolved: `x (N, C, spatial...)` with a kernel to `y (N, K, output...)`, in so many groups."""

    x_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    geometry: Geometry
    group: int
    dtype: np.dtype


class Plan:
    """The products of one `Problem`. `str(plan)` names the algorithms."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    def __str__(self) -> str:
        return "gemm" if COMPILED else "reference"

    def forward(self, x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, y: np.ndarray) -> None:
        """Write y = w * x + bias."""
        algorithm = gemm if COMPILED else reference
        algorithm.forward(x, w, bias, self.problem.geometry, self.problem.group, y)

    def weight_gradient(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
        """Add to dw."""
        algorithm = gemm if COMPILED else reference
        algorithm.weight_gradient(x, dy, self.problem.geometry, self.problem.group, dw)

    def data_gradient(self, dy: np.ndarray, w: np.ndarray, bias: np.ndarray | None, dx: np.ndarray) -> None:
        """Write dx, and to each of its channels add the bias that a deconvolution has."""
        algorithm = gemm if COMPILED else reference
        algorithm.data_gradient(dy, w, bias, self.problem.geometry, self.problem.group, dx)
