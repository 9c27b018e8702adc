"""DecodeBBox: the boxes that regions become by their deltas, for the next stage of a cascade. Cai, Vasconcelos, 2018.

A region of width w and height h, (x2 - x1 + 1) and likewise, with the middle (x, y), and deltas (a, b, c, d), each
multiplied by its `bbox_std` and added to its `bbox_mean`, becomes the box with the middle (x + a w, y + b h), the width
w e^c and the height h e^d. Boxes are not cut off at the image. At TRAIN those that are turned round (x1 > x2 or
y1 > y2) are left out, so that how many there are depends on the data. There is no gradient: what is passed down is 0.

Two forks have a layer of this name, which their bottoms tell apart:

- makefile/frcnn: deltas `(R, 4 K)`, scores `(R, K)`, regions `(R, 5)`. The deltas are those of the last class c > 1
  whose score exceeds that of class 1, or of class 1: not of the best class, a quirk that is kept. The middle is
  x1 + w / 2, and a box reaches half its width to either side.
- Cascade R-CNN and MS-CNN: deltas `(R, 8)`, of which the last four count, regions `(R, 5)`, and at TRAIN, optional, the
  objects that regions are for, whose last number is the overlap: those of `gt_iou_thr` and more are left out. The
  middle is (x1 + x2) / 2, and a box reaches (its width - 1) / 2 to either side.

Source: the DecodeBBoxLayers of makefile/frcnn and zhaoweicai/cascade-rcnn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import TRAIN, Blob, BlobCounts, Layer, between
from bicerin_rcnn.regions import require_regions


class DecodeBBoxLayer(Layer):
    """Bottoms: as above. Top: boxes `(image, x1, y1, x2, y2)`, `(kept, 5, 1, 1)`."""

    type = "DecodeBBox"
    counts = BlobCounts(bottom=between(2, 3), top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.bbox_reg_param
        if not param.cls_aware:
            raise LayerError("cls_aware: false is not read by this layer: the deltas are those of classes.")
        mean, std = list(param.bbox_mean), list(param.bbox_std)
        if not mean or not std:
            mean, std = [0.0] * 4, [1.0] * 4  # as in the forks, also where one of them is given
        if len(mean) != 4 or len(std) != 4 or min(std) <= 0:
            raise LayerError(
                f"bbox_mean and bbox_std must be four numbers each, the second greater than 0: {mean}, {std}."
            )
        self.mean, self.std = mean, std
        self.of_classes = len(bottom) == 3 and bottom[0].channels == 4 * bottom[1].channels
        self.threshold: float = self.param.decode_bbox_param.gt_iou_thr
        if self.of_classes and self.param.HasField("decode_bbox_param"):
            raise LayerError("decode_bbox_param is of Cascade R-CNN's layer; bottom 1 has scores, as in frcnn's.")
        # The most that there can be, for layers that set up on it; every forward pass says how many there are.
        top[0].reshape(bottom[0].num, 5, 1, 1)
        if len(bottom) == 3 and not self.of_classes and self.phase is not TRAIN:
            raise LayerError("a third bottom, of objects, is for TRAIN alone.")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        regions = bottom[2 if self.of_classes else 1]
        require_regions(regions)
        for blob in bottom:
            if blob.num != regions.num:
                raise ShapeError(f"{blob.name or 'a bottom'} has {blob.num} rows for {regions.num} regions.")
        classes = _width(bottom[1]) if self.of_classes else 2
        if _width(bottom[0]) != 4 * classes or classes < 2:
            raise ShapeError(
                f"the deltas must have the shape {(regions.num, 4 * max(classes, 2))}, not {bottom[0].shape}.",
                "They are four for each class, of which there are at least two.",
            )
        if self.phase is not TRAIN:
            top[0].reshape(regions.num, 5, 1, 1)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """How many boxes there are is read from a device at TRAIN: the top's shape depends on it."""
        xp, number = self.xp, bottom[0].num
        deltas, *others = (blob.data.reshape(number, _width(blob)) for blob in bottom)
        regions = others[1] if self.of_classes else others[0]
        by_class: Any = deltas.reshape(number, _width(bottom[0]) // 4, 4)
        chosen = by_class[xp.arange(number), self._classes(others[0])] if self.of_classes else by_class[:, 1]
        boxes = self._boxes(regions, chosen)
        if self.phase is TRAIN:
            kept = (boxes[:, 1:3] <= boxes[:, 3:]).all(axis=1)
            if len(others) == 2 and not self.of_classes:
                kept &= others[1][:, -1] < self.threshold
            order = xp.argsort(~kept, kind="stable")
            boxes = boxes[order[: int(self.context.device.read_number(kept.sum()))]]
        top[0].reshape(len(boxes), 5, 1, 1)
        top[0].data[...] = boxes.reshape(top[0].shape)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        for blob, wanted in zip(bottom, propagate_down, strict=True):
            if wanted:
                blob.diff.fill(0)

    def _classes(self, scores: Any) -> Any:
        """The last class whose score exceeds that of class 1, or 1."""
        xp = self.xp
        exceeds = xp.arange(scores.shape[1]) * (scores > scores[:, 1:2])
        exceeds[:, 0] = 0
        return xp.maximum(exceeds.max(axis=1), 1)

    def _boxes(self, regions: Any, deltas: Any) -> Any:
        """The image of each region, and the box that it becomes, `(R, 5)`."""
        xp = self.xp
        first, last = regions[:, 1:3], regions[:, 3:5]
        extent = last - first + 1
        parts = [deltas[:, k : k + 1] * self.std[k] + self.mean[k] for k in range(4)]
        moved, grown = xp.concatenate(parts[:2], axis=1), xp.concatenate(parts[2:], axis=1)
        middle = (first + 0.5 * extent if self.of_classes else 0.5 * (first + last)) + moved * extent
        reach = 0.5 * (extent * xp.exp(grown) - (0 if self.of_classes else 1))
        return xp.concatenate([regions[:, :1], middle - reach, middle + reach], axis=1)


def _width(blob: Blob) -> int:
    """How many numbers a row has, even where there are no rows."""
    return blob.channels * blob.height * blob.width
