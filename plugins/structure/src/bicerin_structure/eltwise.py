"""Eltwise: the product, the sum with coefficients, or the maximum of bottoms of one shape, element by element.

PROD: y = prod_i x_i. SUM: y = sum_i coeff_i x_i. MAX: y = max_i x_i, whose gradient goes to the bottom that won; of
equals, the first two take it by the second and later ones by the earlier. SORT, of happynear's fork:
y = prod_i (1 + x_i). float32 or float64.

The gradient of a product is the product of the other factors, or, with `stable_prod_grad: false`, y / x_i: faster for
many bottoms, and not a number where x_i is 0.

Source: Caffe's `EltwiseLayer`; happynear's for SORT.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, IsSum, Layer, ReadsTops, RereadsBottoms, TopValues, at_least, enum_name


class EltwiseLayer(IsSum, ReadsTops, RereadsBottoms, Layer):
    """Bottoms and top have one shape."""

    type = "Eltwise"
    counts = BlobCounts(bottom=at_least(2), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.eltwise_param
        self._operation = enum_name(param, "operation", ("PROD", "SUM", "MAX", "SORT"))
        coefficients = list(param.coeff)
        if coefficients and len(coefficients) != len(bottom):
            raise LayerError(
                f"Eltwise Layer takes one coefficient per bottom blob: {len(coefficients)} for {len(bottom)} blobs."
            )
        if coefficients and self._operation in ("PROD", "SORT"):
            raise LayerError("Eltwise layer only takes coefficients for summation.")
        self._coefficients = coefficients or [1.0] * len(bottom)
        self._stable: bool = param.stable_prod_grad
        #: Which bottom gave each element of a MAX.
        self._winner = self.new_blob(dtype=np.int32)
        self._term = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for index, blob in enumerate(bottom[1:], start=1):
            if blob.shape != bottom[0].shape:
                raise ShapeError(
                    f"all bottoms must have one shape: bottom[0]: {bottom[0].shape}, bottom[{index}]: {blob.shape}."
                )
        top[0].reshape_like(bottom[0])
        if self._operation == "MAX":
            self._winner.reshape_like(bottom[0])
        self._term.reshape_like(bottom[0])

    def is_sum(self) -> bool:
        return self._operation == "SUM" and self._coefficients == [1, 1]

    def reads_in_tops(self) -> TopValues:
        return TopValues.ELEMENTS if self._operation == "PROD" and not self._stable else TopValues.NONE

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        values = [blob.data for blob in bottom]
        y = top[0].data
        if self._operation == "PROD":
            xp.multiply(values[0], values[1], out=y)
            for x in values[2:]:
                xp.multiply(y, x, out=y)
        elif self._operation == "SORT":
            self._product_of_one_more(xp, values, y)
        elif self._operation == "SUM":
            self._sum(xp, values, y)
        else:
            self._max(xp, values, y)

    def _product_of_one_more(self, xp: Any, values: Sequence[Any], y: Any) -> None:
        """The product of 1 + x."""
        term = self._term.data
        xp.add(values[0], 1, out=y)
        for x in values[1:]:
            xp.add(x, 1, out=term)
            xp.multiply(y, term, out=y)

    def _sum(self, xp: Any, values: Sequence[Any], y: Any) -> None:
        first, *rest = self._coefficients
        if (first, rest[0]) == (1, 1):
            xp.add(values[0], values[1], out=y)
            done = 2
        else:
            xp.multiply(values[0], first, out=y)
            done = 1
        for x, coefficient in zip(values[done:], self._coefficients[done:], strict=True):
            if coefficient == 1:
                xp.add(y, x, out=y)
            else:
                term = self._term.data
                xp.multiply(x, coefficient, out=term)
                xp.add(y, term, out=y)

    def _max(self, xp: Any, values: Sequence[Any], y: Any) -> None:
        winner = self._winner.data
        y[...] = values[1]
        winner.fill(1)
        for index, x in [(0, values[0]), *enumerate(values[2:], start=2)]:
            larger = x > y
            xp.copyto(y, x, where=larger)
            xp.copyto(winner, index, where=larger)

    def reads_in_bottoms(self) -> bool:
        return self._operation in ("PROD", "SORT")

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        xp = self.xp
        y_diff = top[0].diff
        for index, blob in enumerate(bottom):
            if not propagate_down[index]:
                continue
            if self._operation == "PROD":
                self._factor_gradient(xp, top, bottom, index)
            elif self._operation == "SORT":
                self._product_of_one_more(xp, [other.data for i, other in enumerate(bottom) if i != index], blob.diff)
                xp.multiply(blob.diff, y_diff, out=blob.diff)
            elif self._operation == "SUM":
                xp.multiply(y_diff, self._coefficients[index], out=blob.diff)
            else:
                blob.diff.fill(0)
                xp.copyto(blob.diff, y_diff, where=self._winner.data == index)

    def _factor_gradient(self, xp: Any, top: Sequence[Any], bottom: Sequence[Any], index: int) -> None:
        x_diff = bottom[index].diff
        if self._stable:
            others = [blob.data for i, blob in enumerate(bottom) if i != index]
            xp.multiply(others[0], top[0].diff, out=x_diff)
            for x in others[1:]:
                xp.multiply(x_diff, x, out=x_diff)
        else:
            xp.divide(top[0].data, bottom[index].data, out=x_diff)
            xp.multiply(x_diff, top[0].diff, out=x_diff)
