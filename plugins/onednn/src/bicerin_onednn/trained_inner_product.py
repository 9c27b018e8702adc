"""InnerProduct by oneDNN in training: the gradients of weights and data. Source: oneDNN's `dnnl_sgemm`.

The forward pass is the layer's own, which does the work of the rectifier after it too, and was the faster one.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np

from bicerin.layer.engine import is_named
from bicerin_inner_product.inner_product import InnerProductLayer
from bicerin_onednn.chosen_ways import ENGINE, OWN, ChoosesWays
from bicerin_onednn.layout import address
from bicerin_onednn.library import is_forked, library

#: Multiply-adds from which on it is worth while to measure. Among layers' own code, a shorter product is slower than by
#: itself: the library's threads and ours take turns badly.
_LEAST = 1 << 25


class TrainedInnerProductLayer(ChoosesWays, InnerProductLayer):
    """An inner product of float32."""

    kind = "inner product"

    def add_outer(self, left: np.ndarray, right: np.ndarray, gradient: np.ndarray, add: bool) -> None:
        own = self.ops.add_outer
        if self._may_choose(left, right.shape[1]):
            # To measure with: the gradient itself, unless it has a value already.
            other = cache(lambda: np.empty_like(gradient) if add else gradient)
            way = self.way(
                "weight gradient",
                f"{left.shape} with {right.shape}",
                {
                    ENGINE: lambda: _add_outer(left, right, other(), False),
                    OWN: lambda: self.ops.add_outer(left, right, other(), False),
                },
            )
            own = _add_outer if way == ENGINE else own
        own(left, right, gradient, add)

    def write_bottom_diff(self, weight: np.ndarray, y_diff: np.ndarray, x_diff: np.ndarray) -> None:
        own = super().write_bottom_diff
        if self._may_choose(y_diff, self.features):
            way = self.way(
                "data gradient",
                f"{y_diff.shape} with {weight.shape}{' transposed' if self.transpose else ''}",
                {
                    ENGINE: partial(self._write_bottom_diff, weight, y_diff, x_diff),
                    OWN: partial(own, weight, y_diff, x_diff),
                },
            )
            own = self._write_bottom_diff if way == ENGINE else own
        own(weight, y_diff, x_diff)

    def _may_choose(self, one: np.ndarray, columns: int) -> bool:
        size = one.size * columns
        return not is_forked() and size > 0 and (size >= _LEAST or is_named(ENGINE, self.param))

    def _write_bottom_diff(self, weight: np.ndarray, y_diff: np.ndarray, x_diff: np.ndarray) -> None:
        _multiply(y_diff, weight, x_diff, right_transposed=self.transpose)


def _add_outer(left: np.ndarray, right: np.ndarray, gradient: np.ndarray, add: bool) -> None:
    _multiply(left, right, gradient, left_transposed=True, add=add)


def _multiply(
    left: np.ndarray,
    right: np.ndarray,
    result: np.ndarray,
    *,
    left_transposed: bool = False,
    right_transposed: bool = False,
    add: bool = False,
) -> None:
    """Write, or add, the product of two contiguous matrices, each as it is or transposed."""
    rows, columns = result.shape
    depth = left.shape[0] if left_transposed else left.shape[1]
    orders: list[Any] = [b"T" if transposed else b"N" for transposed in (left_transposed, right_transposed)]
    lengths = [address_and_row for one in (left, right) for address_and_row in (address(one), one.shape[1])]
    library().multiply(*orders, rows, columns, depth, 1.0, *lengths, 1.0 if add else 0.0, address(result), columns)
