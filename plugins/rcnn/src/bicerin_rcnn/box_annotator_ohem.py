"""BoxAnnotatorOHEM: the regions of the greatest loss are the ones to train on. Shrivastava et al., 2016; R-FCN.

Keeps labels and weights of the `roi_per_img` regions of each image with the greatest loss.

Among regions of equal loss the first are kept. There is no gradient: what is passed down is 0.

Source: the BoxAnnotatorOHEMLayer of R-FCN's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations


class BoxAnnotatorOHEMLayer(Layer):
    """Bottom 0: regions `(image, ...)`, `(R, 5, H, W)`. Bottom 1: their losses, bottom 2: their labels,
    `(R, 1, H, W)`. Bottom 3: the weights of their boxes, `(R, B, H, W)`. Axes that are not there count as 1. Top 0:
    the labels, `(R, 1, H, W)`, `ignore_label` for a region that is not kept. Top 1: the weights, `(R, B, H, W)`, 0
    for such a one.
    """

    type = "BoxAnnotatorOHEM"
    counts = BlobCounts(bottom=4, top=2)
    allows_in_place = False
    operations = Operations("box_annotator_ohem_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.box_annotator_ohem_param
        if not param.roi_per_img:
            raise LayerError("roi_per_img must be > 0", "Give box_annotator_ohem_param { roi_per_img: ... }.")
        self.roi_per_img: int = param.roi_per_img
        self.ignore_label: int = param.ignore_label
        #: 1 for a region that is kept, else 0.
        self.kept = self.new_blob(name="kept", dtype=np.int32)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number, _, height, width = _legacy_shape(bottom[0])
        wanted = [(number, channels, height, width) for channels in (5, 1, 1, bottom[3].channels)]
        for blob, shape in zip(bottom, wanted, strict=True):
            if _legacy_shape(blob) != shape:
                raise ShapeError(f"{blob.name or 'a bottom'} must have the shape {shape}, not {_legacy_shape(blob)}.")
        top[0].reshape(*wanted[2])
        top[1].reshape(*wanted[3])
        self.kept.reshape(number, 1, height * width)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        regions, losses, labels, weights = (_by_pixel(blob, blob.data) for blob in bottom)
        kept, kept_labels, kept_weights = self.kept.data, *(_by_pixel(blob, blob.data) for blob in top)
        self.ops.keep_hardest(regions, losses, labels, self.roi_per_img, self.ignore_label, kept, kept_labels)
        self.ops.keep_weights(kept, weights, kept_weights)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)


def _legacy_shape(blob: Blob) -> tuple[int, ...]:
    return blob.num, blob.channels, blob.height, blob.width


def _by_pixel(blob: Blob, array: Any) -> Any:
    """The array as `(R, C, H * W)`."""
    return array.reshape(blob.num, blob.channels, blob.height * blob.width)
