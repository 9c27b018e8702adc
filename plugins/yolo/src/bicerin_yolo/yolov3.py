"""Yolov3: the loss of YOLO 3, of one map of several. Redmon and Farhadi, 2018; Zheng et al., Distance-IoU Loss, 2020.

With v = the predictions at a place (i, j) of an anchor of (a, b) pixels, all but width and height through the sigmoid,
and the image W' x H' pixels (`anchors_scale` times the map), the box is ((i + v_x) / W, (j + v_y) / H, a exp(v_w) / W',
b exp(v_h) / H').

Where no object is overlapped by more than `thresh` D_o = v_o. Each object teaches the anchor of all that is most like
it in size, if this map has it, and those of this map whose sizes overlap its by more than `iou_thresh`, if that is less
than 1:

    D_x = -s (x W - i - v_x), D_y likewise     D_w = -s (log(w W' / a) - v_w), D_h likewise, s = `coord_scale` (2 - w h)
    D_o = -(1 - v_o)                           D_k = -`class_scale` ((1 - e / 2 if k is its class, else e / 2) - v_k)

with e = `label_smooth_eps`. With an `iou_loss` other than MSE, D_x to D_h are instead the derivatives of the overlap
of the two boxes or its generalized, distance or complete form, by `iou_normalizer`, within +-`max_delta`, and summed
over objects if `accumulate` is set. D of all else is 0. top = sum of D^2 / N, the boxes' part being `iou_normalizer`
(1 - overlap) on average instead of D^2 with an `iou_loss`. The gradient that is passed down is D / N, as in darknet.

Source: the Yolov3Layer of MobileNet-YOLO, odd parts too: of the anchors that are like an object in size the best one is
not left out, but the one whose number is the best one's place in `mask`; and with `use_logic_gradient`, which
multiplies D by the sigmoid's derivative, and an `iou_loss` together, what should be the sigmoid of x and y is x and y.
As there, `noobject_scale` is not read; and neither is `side`, since maps have a size of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, Operations, enum_name
from bicerin_yolo.boxes_kernels import sigmoids
from bicerin_yolo.object_loss import ObjectLossLayer, anchor_sizes

#: The forms of `iou_loss`, by the numbers that kernels know them by.
FORMS = ("MSE", "IOU", "GIOU", "DIOU", "CIOU")


class Yolov3Layer(ObjectLossLayer):
    """Bottom 0: predictions, `(N, num (5 + num_class), H, W)`. Bottom 1: objects, `(N, 1, T, 5)` in rows of class, from
    0, x, y, width, height, as parts of the image, until the first row of zeros; `(N, 5 T)`; or as AnnotatedData gives
    them. Top: `()`.
    """

    type = "Yolov3"
    operations = Operations("boxes_kernels", "yolov3_kernels", "objects_kernels")

    def read_anchors(self) -> np.ndarray:
        param = self.param.yolov3_param
        for name in ("num", "num_class", "anchors_scale"):
            if getattr(param, name) < 1:
                raise LayerError(f"{name} must be > 0")
        self.num_class: int = param.num_class
        sizes = anchor_sizes(param.biases, 1, "pixels of the image")
        mask = list(param.mask)
        if len(mask) != param.num or max(mask, default=0) >= len(sizes):
            raise LayerError(
                f"mask must name num = {param.num} of the {len(sizes)} anchors, not {mask}.",
                "They are numbered 0 to the number of pairs in biases - 1.",
            )
        self.anchors_scale: int = param.anchors_scale
        self.thresh: float = param.thresh
        self.form = FORMS.index(enum_name(param, "iou_loss", FORMS))
        self.logic: bool = param.use_logic_gradient
        self.focal: bool = param.use_focal_loss
        self.iou_normalizer: float = param.iou_normalizer
        scales = (param.object_scale if self.logic else 1.0, param.class_scale, param.coord_scale)
        limits = (param.iou_thresh, param.iou_normalizer, param.max_delta, param.label_smooth_eps)
        #: What an object's numbers are multiplied with or limited to, in the order that kernels take them in.
        self.settings = (*scales, *limits, bool(param.accumulate), self.focal)
        self.every = self.new_blob(sizes.shape, "every anchor")
        self.every.blob.data[...] = sizes
        self.mask = self.new_blob((len(mask),), "mask", np.int32)
        self.mask.blob.data[...] = mask
        #: For each image, the sum of 1 - overlap over its objects' boxes, and how many boxes they taught.
        self.boxes = self.new_blob(name="boxes")
        return sizes[mask]

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.boxes.reshape(bottom[0].shape[0], 2)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        objects, fault = self.read_objects(bottom)
        delta, anchors, boxes = self.delta.data, self.anchors.data, self.boxes.data
        x = bottom[0].data.reshape(delta.shape)
        size = (self.anchors_scale * delta.shape[3], self.anchors_scale * delta.shape[4])
        self.ops.yolo_places(x, objects, anchors, *size, self.form, self.thresh, delta)
        every, mask = self.every.data, self.mask.data
        self.ops.yolo_objects(x, objects, every, mask, *size, self.form, self.settings, delta, boxes)
        if self.form:
            taught = delta[:, :, 4:]
            sums = boxes.sum(axis=0)
            loss = (taught * taught).sum() + self.iou_normalizer * sums[0] / self.xp.maximum(sums[1], 1)
        else:
            loss = (delta * delta).sum()
        top[0].data[...] = loss / max(len(delta), 1) + fault

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        super().backward(top, propagate_down, bottom)
        if propagate_down[0] and self.logic:
            x = bottom[0].data.reshape(self.delta.shape)
            diff = bottom[0].diff.reshape(self.delta.shape)
            for numbers in (slice(0, 2), slice(4, None)):
                v = x[:, :, numbers]
                if numbers.start or not self.form:
                    v = sigmoids(self.xp, v)
                diff[:, :, numbers] *= v * (1 - v)
