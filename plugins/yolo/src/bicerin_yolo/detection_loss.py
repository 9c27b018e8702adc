"""DetectionLoss: the loss of YOLO 1. Redmon et al., You only look once, 2016.

Of the B boxes of a place with an object, the one is responsible that overlaps it most, or, while none overlaps it, the
nearest. With p its objectness, (x, y, w, h) its box as predicted and (X, Y, U, V) the object's in the same form:

    D_x = `coord_scale` (x - X), and y, w and h likewise      D_k = `class_scale` (p_k - (k is its class))
    D_o = `object_scale` (p - overlap)                        of all other boxes D_o = `noobject_scale` p

`sqrt` says that w and h are roots, `constriant` that x and y are places within their cell. top = the sum of `scale`
difference^2 of classes, boxes and objectness, here to 1, over the number of objects, and of all other boxes'
objectness over their number. The gradient that is passed down is D / N, as in darknet, and not that of the top.

Source: the DetectionLossLayer of caffe-yolo, which divides by 0 where a batch has no object; here that part is 0. The
layer of that name in mscnn's Caffe is another, whose options are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, ChecksInputs, LossLayer, Operations, refuse_label_gradient
from bicerin_yolo.boxes_kernels import overlaps
from bicerin_yolo.places import Grid


class DetectionLossLayer(ChecksInputs, LossLayer):
    """Bottom 0: predictions, `(N, S^2 (K + 5 B))`: planes of classes, objectness and boxes. Bottom 1: `(N, 7 S^2)`:
    planes of difficult, is object and class, and a box x, y, width, height for each place, as parts of the image, as
    BoxData gives them. Top: `()`.
    """

    type = "DetectionLoss"
    operations = Operations("places_kernels")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.detection_loss_param
        self.grid = Grid(param.side, param.num_class, param.num_object)
        self.grid.check()
        self.scales = (param.class_scale, param.object_scale, param.noobject_scale, param.coord_scale)
        self.sqrt: bool = param.sqrt
        self.within: bool = param.constriant
        #: The gradient, but for the weight and N.
        self.delta = self.new_blob(name="delta")
        #: The cell of each place: column and row.
        cells = np.indices((self.grid.side, self.grid.side))[::-1].reshape(2, -1)
        self.cells = self.new_blob(cells.shape, "cells")
        self.cells.blob.data[...] = cells

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        self.grid.require(*bottom[:2])
        self.delta.reshape(bottom[0].shape[0], bottom[0].count // max(bottom[0].shape[0], 1))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        xp, grid = self.xp, self.grid
        _, is_object, label, truth = grid.labels(bottom[1].data)
        fault = self.ops.known_classes(is_object, label, grid.classes)
        if not self.delta.count:
            top[0].data[...] = 0
            return
        classes, objectness, boxes = grid.predictions(bottom[0].data)
        present = (is_object != 0)[:, None]
        side = self.dtype.type(grid.side)

        # The boxes as parts of the image, and the objects in the form of the predictions.
        middle, extent = boxes[:, :, :2], boxes[:, :, 2:]
        wanted = truth.copy()
        if self.within:
            middle = (middle + self.cells.data) / side
            wanted[:, :2] = truth[:, :2] * side - self.cells.data
        if self.sqrt:
            extent = extent * extent
            wanted[:, 2:] = xp.sqrt(xp.maximum(truth[:, 2:], 0))
        parts = xp.concatenate([middle, extent], axis=2)
        shared = overlaps(xp, parts.transpose(0, 1, 3, 2), truth.transpose(0, 2, 1)[:, None])
        apart = ((middle - truth[:, None, :2]) ** 2).sum(axis=2) + ((extent - truth[:, None, 2:]) ** 2).sum(axis=2)
        best = xp.where(shared.max(axis=1) > 0, shared.argmax(axis=1), apart.argmin(axis=1))
        responsible = (xp.arange(grid.boxes)[:, None] == best[:, None]) & present

        class_scale, object_scale, noobject_scale, coord_scale = map(self.dtype.type, self.scales)
        wrong = xp.where(present, classes - (xp.arange(grid.classes)[:, None] == label[:, None]), 0)
        off = xp.where(responsible[:, :, None], boxes - wanted[:, None], 0)
        missed = xp.where(responsible, 1 - objectness, 0)
        seen = xp.where(responsible, 0, objectness)
        delta = self.delta.data
        d_classes, d_objectness, d_boxes = grid.predictions(delta)
        d_classes[...] = class_scale * wrong
        d_objectness[...] = xp.where(responsible, object_scale * (objectness - shared), noobject_scale * objectness)
        d_boxes[...] = coord_scale * off

        objects = present.sum()
        taught = class_scale * (wrong**2).sum() + coord_scale * (off**2).sum() + object_scale * (missed**2).sum()
        others = noobject_scale * (seen**2).sum()
        loss = taught / xp.maximum(objects, 1) + others / xp.maximum(objectness.size - objects, 1)
        top[0].data[...] = loss + fault

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            diff = bottom[0].diff.reshape(self.delta.shape)
            self.xp.multiply(self.delta.data, self.loss_gradient(top) / max(len(diff), 1), out=diff)

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        from bicerin_yolo.places_kernels import known_classes

        _, is_object, label, _ = self.grid.labels(bottom[1].data)
        known_classes(is_object, label, self.grid.classes)
