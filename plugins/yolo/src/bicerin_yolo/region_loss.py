"""RegionLoss: the loss of YOLO 2. Redmon and Farhadi, YOLO9000, 2017.

With v = the predictions at a place (i, j) of an anchor of size (a, b), x, y and objectness through the sigmoid s,
classes through the softmax, the box is ((i + v_x) / W, (j + v_y) / H, a exp(v_w) / W, b exp(v_h) / H).

Where no object is overlapped by more than `thresh`, D_o = `noobject_scale` v_o s'. Each object teaches the anchor at
its place whose size is most like its own (`bias_match`; else, whose prediction's is), the last where several meet:

    D_x = -c (x W - i - v_x) s', D_y likewise        D_w = -c (log(w W / a) - v_w), D_h likewise
    D_o = -`object_scale` (overlap - v_o) s'         D_k = -`class_scale` ((k is its class) - v_k)

with c = `coord_scale`, or `coord_scale` (2 - w h) where `rescore` is 0, which also has 1 for the overlap. D of all else
is 0. top = sum of D^2 / N, and the gradient that is passed down is D / N, as in darknet.

Source: the RegionLossLayer of caffe-yolov2 and of MobileNet-YOLO. Intel's cuts the distances of boxes off at 1, which
this one does not. Maps need not be square: `side` is not read, and neither are, as in the forks, `softmax`, `jitter`,
`absolute` and `random`, which darknet's own nets have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, Operations
from bicerin_yolo.object_loss import ObjectLossLayer, anchor_sizes


class RegionLossLayer(ObjectLossLayer):
    """Bottom 0: predictions, `(N, num (5 + num_class), H, W)`. Bottom 1: objects, `(N, 1, T, 5)` in rows of class, from
    0, x, y, width, height, as parts of the image, until the first row of zeros; `(N, 5 T)`; or as AnnotatedData gives
    them. Top: `()`.
    """

    type = "RegionLoss"
    operations = Operations("boxes_kernels", "region_loss_kernels", "objects_kernels")

    def read_anchors(self) -> np.ndarray:
        param = self.param.region_loss_param
        if param.coords != 4:
            raise LayerError(f"coords must be 4, not {param.coords}: a box is x, y, width and height.")
        for name in ("softmax_tree", "class_map"):
            if getattr(param, name):
                raise LayerError(f"{name}: classes that form a tree, as in YOLO9000, are not supported.")
        for name in ("num", "num_class"):
            if getattr(param, name) < 1:
                raise LayerError(f"{name} must be > 0")
        self.num_class: int = param.num_class
        self.thresh: float = param.thresh
        self.noobject_scale: float = param.noobject_scale
        self.bias_match = bool(param.bias_match)
        self.rescore = bool(param.rescore)
        self.scales = (param.object_scale, param.class_scale, param.coord_scale)
        return anchor_sizes(param.biases, param.num, "places of the map")[: param.num]

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        objects, fault = self.read_objects(bottom)
        delta, anchors = self.delta.data, self.anchors.data
        x = bottom[0].data.reshape(delta.shape)
        self.ops.region_places(x, objects, anchors, self.thresh, self.noobject_scale, delta)
        self.ops.region_objects(x, objects, anchors, self.bias_match, self.rescore, *self.scales, delta)
        top[0].data[...] = (delta * delta).sum() / max(len(delta), 1) + fault
