"""CTCGreedyDecoder: what is read, by the best class of each step. Graves et al., 2006.

Of each step the best class, the first of several; what repeats is one (`ctc_merge_repeated`), and blanks are dropped. A
sequence ends before the first marker of 0 after its first step. Its score is minus the sum of its best classes' values.
The accuracy is 1 less the mean of the edit distance to the target, by the length of the longer one.

Source: the CTCGreedyDecoderLayer of TextBoxes++'s Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, between
from bicerin_ocr.sequences import best_path, compacted


class CTCGreedyDecoderLayer(Layer):
    """Bottom 0: scores, `(T, N, C)`. Bottom 1: markers, `(T, N)`: 0 where a sequence begins, 1 where it goes on. Bottom
    2, optional: targets, `(T, N)`, followed by a negative number. Top 0: classes, `(N, T, 1, 1)`, followed by -1. Top
    1, optional: scores, `(N, 1, 1, 1)`. The last top where there are targets, optional: the accuracy, `(1, 1, 1, 1)`.
    """

    type = "CTCGreedyDecoder"
    counts = BlobCounts(bottom=between(2, 3), top=between(1, 3))
    allows_in_place = False
    operations = Operations("edit_distance_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if len(top) > len(bottom):
            raise LayerError("the accuracy, top 2, needs targets as bottom 2.")
        param = self.param.ctc_decoder_param
        self.merge: bool = param.ctc_merge_repeated
        #: The tops of the scores and of the accuracy; None where there are none.
        self.score_top = None if len(top) == 1 or len(bottom) > len(top) else 1
        self.accuracy_top = len(top) - 1 if len(bottom) == 3 and len(top) > 1 else None

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scores = bottom[0]
        if scores.num_axes != 3 or not scores.shape[2] or not scores.shape[0]:
            raise ShapeError(f"the scores must have the shape (T, N, C), not {scores.shape}.")
        steps, number, classes = scores.shape
        blank = self.param.ctc_decoder_param.blank_index
        if blank >= classes:
            raise ShapeError(f"blank_index is {blank}, but there are {classes} classes: 0 to {classes - 1}.")
        self.blank: int = blank if blank >= 0 else classes - 1
        for index, what in enumerate(("markers", "targets")[: len(bottom) - 1], 1):
            own = bottom[index]
            wrong = own.shape[:2] != (steps, number) if index == 1 else own.shape[1:2] != (number,)
            if own.num_axes < 2 or wrong or own.count != own.shape[0] * own.shape[1]:
                raise ShapeError(f"the {what} must have the shape ({steps}, {number}), not {own.shape}.")
        top[0].reshape(number, steps, 1, 1)
        if self.score_top is not None:
            top[self.score_top].reshape(number, 1, 1, 1)
        if self.accuracy_top is not None:
            top[self.accuracy_top].reshape(1, 1, 1, 1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp = self.xp
        steps, number, _ = bottom[0].shape
        scores = bottom[0].data.transpose(1, 0, 2)
        begins = (bottom[1].data.reshape(steps, number) == 0).T
        lasting = xp.cumsum(begins, axis=1) == begins[:, :1]  # whether the first step is a beginning does not matter
        best, kept = best_path(xp, scores, self.blank, self.merge)
        found = compacted(xp, best, kept & lasting, steps)
        top[0].data[...] = found[:, :, None, None]
        if self.score_top is not None:
            highest = xp.where(lasting, scores.max(axis=2), 0)
            top[self.score_top].data[...] = -highest.sum(axis=1)[:, None, None, None]
        if self.accuracy_top is None:
            return
        if not number:
            top[self.accuracy_top].data[...] = 1
            return
        target = bottom[2].data.reshape(bottom[2].shape[:2]).T
        listed = xp.cumsum(target < 0, axis=1) == 0
        wanted = compacted(xp, xp.floor(target + 0.5).astype(np.int64), listed, target.shape[1])
        shares = xp.empty(number, self.dtype)
        self.ops.edit_distances(found, wanted, shares)
        top[self.accuracy_top].data[...] = 1 - shares.mean()
