"""Pairwise: each row of one matrix with each of another: their sum, product or maximum.

`operation: SUM` (with `coeff`, a factor for each bottom), PROD or MAX; the gradient of MAX is that of the larger of
two, of equals that of the first.

Source: the PairwiseLayer of happynear/caffe-windows.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, enum_name


class PairwiseLayer(Layer):
    """Bottoms: a, `(M, K)`, and b, `(N, K)`. Top: `(M, N, K)`."""

    type = "Pairwise"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.pairwise_param
        self.operation = enum_name(param, "operation", ("SUM", "PROD", "MAX"))
        if len(param.coeff) not in (0, 2):
            raise LayerError(f"coeff is given for {len(param.coeff)} bottoms; there are two.")
        if param.coeff and self.operation != "SUM":
            raise LayerError(f"coeff is for SUM, not for {self.operation}.")
        self.factors = list(param.coeff) or [1.0, 1.0]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        a, b = bottom
        if a.num_axes < 1 or b.num_axes < 1 or a.shape[1:] != b.shape[1:]:
            raise ShapeError(f"the rows of both bottoms must have one shape: {a.shape} and {b.shape}.")
        self.shapes = (a.shape[0], 1, a.count_between(1)), (1, b.shape[0], b.count_between(1))
        top[0].reshape(a.shape[0], b.shape[0], a.count_between(1))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, y = self.xp, top[0].data
        a, b = (blob.data.reshape(shape) for blob, shape in zip(bottom, self.shapes, strict=True))
        if self.operation == "SUM":
            xp.add(a * self.dtype.type(self.factors[0]), b * self.dtype.type(self.factors[1]), out=y)
        elif self.operation == "PROD":
            xp.multiply(a, b, out=y)
        else:
            xp.maximum(a, b, out=y)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        y_diff = top[0].diff
        a, b = (blob.data.reshape(shape) for blob, shape in zip(bottom, self.shapes, strict=True))
        for index in (0, 1):
            if not propagate_down[index]:
                continue
            if self.operation == "SUM":
                part = y_diff.sum(axis=1 - index) * self.dtype.type(self.factors[index])
            elif self.operation == "PROD":
                part = (y_diff * (b, a)[index]).sum(axis=1 - index)
            else:
                part = (y_diff * (a >= b if index == 0 else a < b)).sum(axis=1 - index)
            bottom[index].diff.reshape(part.shape)[...] = part
