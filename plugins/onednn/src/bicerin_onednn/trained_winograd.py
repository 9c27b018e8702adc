"""The products of a convolution in training by our own kernels, from and to oneDNN's blocks of channels."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_convolution.plan import may_transform
from bicerin_convolution.problem import Problem
from bicerin_onednn.exchange import place_to_write, written
from bicerin_onednn.layout import OneDNNLayout, floats_at
from bicerin_onednn.product import blocked_ends
from bicerin_onednn.trained_exchange import read_in

if TYPE_CHECKING:
    from bicerin_convolution.blocked_winograd import BlockedWinograd, BlockedWinogradGradient

_NO_SHIFT = np.zeros(0, np.float32)


class TrainedWinograd:
    """The three products at one shape. Weights are transformed in every pass, since every step changes them.

    Args:
        problem: what is convolved.
        slope: of the rectifier that the forward pass ends with; 1 for none.
        x, y: the layouts of bottom and top, and of their gradients.
    """

    def __init__(self, problem: Problem, slope: float, x: OneDNNLayout, y: OneDNNLayout) -> None:
        self._problem, self._slope = problem, slope
        self.x, self.y = x, y

    @classmethod
    def of(cls, layer: ConvolutionLayer, slope: float) -> TrainedWinograd | None:
        """Those of a layer at its present shapes; None where the algorithm is not for it, or not wanted."""
        ends = blocked_ends(layer)
        if ends is None or not may_transform():
            return None
        from bicerin_convolution.blocked_winograd import applies_blocked

        problem = layer.problem(layer.bottom_shape, layer.top_shape)
        return cls(problem, slope, *ends) if applies_blocked(problem) else None

    @cached_property
    def _forward(self) -> BlockedWinograd:
        from bicerin_convolution.blocked_winograd import BlockedWinograd

        return BlockedWinograd(self._problem)

    @cached_property
    def _data(self) -> BlockedWinograd:
        from bicerin_convolution.blocked_winograd import BlockedWinograd

        return BlockedWinograd(self._problem, turned=True)

    @cached_property
    def _weight(self) -> BlockedWinogradGradient:
        from bicerin_convolution.blocked_winograd import BlockedWinogradGradient

        return BlockedWinogradGradient(self._problem)

    def forward(self, source: Any, weights: np.ndarray, shift: np.ndarray, target: Any) -> None:
        x = floats_at(read_in(source, self.x, "x"), self.x)
        y = floats_at(place_to_write(target, self.y), self.y)
        self._forward.bind(x, self._forward.transform(weights, keep=False), y, shift, self._slope)()
        written(target)

    def data_gradient(self, y_diff: Any, weights: np.ndarray, x_diff: Any) -> None:
        dy = floats_at(read_in(y_diff, self.y, "y"), self.y)
        dx = floats_at(place_to_write(x_diff, self.x), self.x)
        self._data.bind(dy, self._data.transform(weights, keep=False), dx, _NO_SHIFT)()
        written(x_diff)

    def add_gradients(
        self, source: Any, y_diff: Any, weight_diff: np.ndarray, bias_diff: np.ndarray | None = None
    ) -> None:
        """Add to both gradients; to that of the bias where there is one."""
        x = floats_at(read_in(source, self.x, "x"), self.x)
        dy = floats_at(read_in(y_diff, self.y, "y"), self.y)
        self._weight(x, dy, weight_diff, bias_diff)
