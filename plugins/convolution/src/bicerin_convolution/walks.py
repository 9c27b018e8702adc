"""Walks: a data gradient as one correlation of dy for each remainder of a position by the stride."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.kernels import Finish
from bicerin_convolution.problem import Problem
from bicerin_convolution.reference import Forward
from bicerin_convolution.taps import Taps, data_gradient_taps


class Walks:
    """dx `(N, C, spatial...)` from dy `(N, K, output...)`, the kernel, and a finish of C channels.

    Args:
        correlation: makes the correlation of one walk, with the weights turned.
    """

    def __init__(self, problem: Problem, correlation: Callable[[Problem, Taps, bool], Forward]) -> None:
        self._walks = [correlation(problem, taps, True) for taps in data_gradient_taps(problem)]

    def __call__(
        self, dy: np.ndarray, w: np.ndarray, finish: Finish, dx: np.ndarray, version: int | None = None
    ) -> None:
        for walk in self._walks:
            walk(dy, w, finish, dx, version)
