"""Proposal: the regions that a region proposal network thinks hold an object. Ren et al., Faster R-CNN, 2015.

For each image the `post_nms_topn` boxes of the highest score that do not overlap much.

Every place of the map has A anchors, one for each `ratio` and `scale`. An anchor with centre (x, y), width w and height
h is moved by its deltas (a, b, c, d) to centre (x + a w, y + b h), width w e^c and height h e^d, and cut off at the
image. A box that is less than `min_size` wide or high, in the unscaled image, has the score 0. Of the `pre_nms_topn`
best boxes, those are dropped that overlap with a better one by more than `nms_thresh` (intersection over union).

There is no gradient: what is passed down is 0. Without `ratio` or `scale`, those of py-faster-rcnn are taken.

Source: the ProposalLayer of py-faster-rcnn (there in Python) and of PVANet's Caffe (in C++), whose parameters these
are. Boxes of equal score keep the order (row, column, anchor).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, between
from bicerin_rcnn.anchors import anchors

RATIOS = (0.5, 1.0, 2.0)
SCALES = (8.0, 16.0, 32.0)


class ProposalLayer(Layer):
    """Bottom 0: probabilities, `(N, 2 A, H, W)`, the first A of the background. Bottom 1: deltas, `(N, 4 A, H, W)`.
    Bottom 2: height and width of the images and what they were scaled by, once or for rows and columns, `(1, 3)` or
    `(1, 4)`, or `(N, ..)` where the images differ. Top 0: boxes `(image, x1, y1, x2, y2)`, `(R, 5)`; R depends on
    the data. Top 1, optional: their scores, `(R,)`.
    """

    type = "Proposal"
    counts = BlobCounts(bottom=3, top=between(1, 2))
    allows_in_place = False
    operations = Operations("proposal_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.proposal_param
        for name in ("feat_stride", "base_size", "pre_nms_topn", "post_nms_topn"):
            if not getattr(param, name):
                raise LayerError(f"{name} must be > 0")
        ratios, scales = tuple(param.ratio) or RATIOS, tuple(param.scale) or SCALES
        if min(*ratios, *scales) <= 0:
            raise LayerError(f"ratios and scales of anchors must be > 0: {ratios}, {scales}.")
        shapes = anchors(param.base_size, ratios, scales)
        self.anchors = self.new_blob(shapes.shape, "anchors")
        self.anchors.blob.data[...] = shapes
        self.feat_stride: int = param.feat_stride
        self.min_size: int = param.min_size
        self.pre_nms_topn: int = param.pre_nms_topn
        self.post_nms_topn: int = param.post_nms_topn
        self.nms_thresh: float = param.nms_thresh
        # The most that there can be, for layers that set up on it; every forward pass says how many there are.
        self._reshape_tops(top, bottom[0].num * self.post_nms_topn)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        scores, deltas, info = bottom
        number, height, width = scores.num, scores.height, scores.width
        wanted = [(number, factor * self.anchors.shape[0], height, width) for factor in (2, 4)]
        for blob, shape in zip((scores, deltas), wanted, strict=True):
            if blob.shape != shape:
                raise ShapeError(
                    f"{blob.name or 'a bottom'} must have the shape {shape}, not {blob.shape}.",
                    f"There are {self.anchors.shape[0]} anchors: 2 scores and 4 deltas for each.",
                )
        if info.num_axes < 1 or info.count not in (3, 4, 3 * number, 4 * number):
            raise ShapeError(
                f"{info.name or 'bottom 2'} must have the shape (1, 3), or ({number}, 3), not {info.shape}.",
                "A row is the height and width of an image and its scale.",
            )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """How many boxes there are is read from a device: the tops' shapes depend on it."""
        xp, number = self.xp, bottom[0].num
        places = bottom[0].height * bottom[0].width * self.anchors.shape[0]
        if not number * places:
            self._reshape_tops(top, 0)
            return
        scores, deltas, info = (blob.data for blob in bottom)
        info = info.reshape(number if info.size > 4 else 1, -1)
        boxes = xp.empty((number, places, 5), self.dtype)
        self.ops.decode(scores, deltas, self.anchors.data, info, self.feat_stride, self.min_size, boxes)
        order = xp.argsort(-boxes[:, :, 4], axis=1, kind="stable")[:, : self.pre_nms_topn]
        best = xp.take_along_axis(boxes, order[:, :, None], axis=1)
        kept = xp.empty((number, min(best.shape[1], self.post_nms_topn)), np.int32)
        numbers = xp.empty(number, np.int32)
        self.ops.suppress(best, self.nms_thresh, kept, numbers)
        self._reshape_tops(top, int(self.context.device.read_number(numbers.sum())))
        self.ops.gather(best, kept, numbers, top[0].data, top[1].data if len(top) > 1 else None)

    @staticmethod
    def _reshape_tops(top: Sequence[Blob], boxes: int) -> None:
        top[0].reshape(boxes, 5)
        if len(top) > 1:
            top[1].reshape(boxes)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)
