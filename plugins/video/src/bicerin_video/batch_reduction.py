"""BatchReduction: the rows of an axis reduced to one, or to one for each piece of it. Wang et al., "Temporal Segment
Networks", 2016.

The pieces follow each other along `reduction_param.axis`; there is one of level^2 rows for each `level`. Each becomes
one row: the SUM of its rows, their MEAN, or with TOPK, element by element, the mean of the k greatest. With one `level`
of 1, as by default, the piece is the whole axis, which the top then lacks. With `pos` the rows are those of the
diagonal over the axis and the next one, which the top lacks.

Source: the BatchReductionLayer of Y. Xiong's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, enum_name

METHODS = ("SUM", "MEAN", "TOPK")


class BatchReductionLayer(Layer):
    """Bottom: `(outer..., n, inner...)`, or with `pos` `(outer..., n, n, inner...)`. Top: `(outer..., inner...)`, or
    with levels `(outer..., levels, inner...)`.

    Attributes:
        method: one of `METHODS`.
        axis: the axis whose rows are reduced.
        pieces: where each piece begins, and where it ends.
    """

    type = "BatchReduction"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.batch_reduction_param
        reduction = param.reduction_param
        self.method = enum_name(reduction, "operation", METHODS)
        self.k: int = reduction.k
        self.diagonal: bool = param.pos
        self.levels: tuple[int, ...] = tuple(param.level) or (1,)
        if self.k < 1:
            raise LayerError(f"reduction_param: k must be at least 1, not {self.k}.")
        if reduction.coeff != 1:
            raise LayerError("reduction_param: BatchReduction has no coeff; multiply with a Power or a Scale layer.")
        if min(self.levels) < 1:
            raise LayerError(f"level must be at least 1, not {min(self.levels)}.")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shape = bottom[0].shape
        axis = self.axis = bottom[0].canonical_axis(self.param.batch_reduction_param.reduction_param.axis)
        n = shape[axis]
        if self.diagonal and (axis + 1 >= len(shape) or shape[axis + 1] != n):
            raise ShapeError(f"with pos axis {axis} and the next one must be of one length: the bottom is {shape}.")
        after = shape[axis + (2 if self.diagonal else 1) :]
        whole = self.levels == (1,)
        ends = [n] if whole else list(accumulate(level * level for level in self.levels))
        if ends[-1] != n:
            raise ShapeError(f"the levels {self.levels} are of {ends[-1]} rows; axis {axis} has {n}.")
        self.pieces = list(pairwise([0, *ends]))
        if self.method == "TOPK" and self.k > min(end - begin for begin, end in self.pieces):
            raise ShapeError(f"the mean of the k = {self.k} greatest of fewer rows does not exist.")
        #: The shapes as (outer, rows, inner), those of the bottom with its diagonal and all between as rows.
        self._rows = (prod(shape[:axis]), n * n if self.diagonal else n, prod(after))
        self._pooled = (prod(shape[:axis]), len(self.pieces), prod(after))
        self._step = n + 1 if self.diagonal else 1
        top[0].reshape(*shape[:axis], *(() if whole else (len(self.pieces),)), *after)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        rows = bottom[0].data.reshape(self._rows)[:, :: self._step]
        pooled = top[0].data.reshape(self._pooled)
        for place, (begin, end) in enumerate(self.pieces):
            piece = rows[:, begin:end]
            if self.method == "TOPK":
                piece = self.xp.take_along_axis(piece, self._greatest(piece), axis=1)
            pooled[:, place] = piece.sum(axis=1) / self.divisor(begin, end)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if not propagate_down[0]:
            return
        rows = bottom[0].data.reshape(self._rows)[:, :: self._step]
        diff = bottom[0].diff.reshape(self._rows)
        pooled_diff = top[0].diff.reshape(self._pooled)
        diff.fill(0)
        for place, (begin, end) in enumerate(self.pieces):
            piece = diff[:, :: self._step][:, begin:end]
            share = pooled_diff[:, place : place + 1] / self.divisor(begin, end)
            if self.method == "TOPK":
                chosen = self._greatest(rows[:, begin:end])
                self.xp.put_along_axis(piece, chosen, self.xp.broadcast_to(share, chosen.shape), axis=1)
            else:
                piece[...] = share

    def divisor(self, begin: int, end: int) -> int:
        """What the sum of a piece's rows, or of its greatest, is divided by."""
        if self.method == "SUM":
            return 1
        return self.k if self.method == "TOPK" else max(end - begin, 1)

    def _greatest(self, piece: Any) -> Any:
        """The places of the k greatest along axis 1; of equal ones, the first."""
        return self.xp.argsort(-piece, axis=1, kind="stable")[:, : self.k]
