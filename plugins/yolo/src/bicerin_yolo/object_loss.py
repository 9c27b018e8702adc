"""What RegionLoss and Yolov3 have in common: predictions of boxes at each place of a map, against lists of objects.

Their backward pass gives what darknet trains with, D, and their loss is made of D's squares: it shows how far training
is, and D is not its gradient.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, ChecksInputs, LossLayer, refuse_label_gradient
from bicerin_yolo.objects import COLUMNS, is_annotated, objects_per_image


class ObjectLossLayer(ChecksInputs, LossLayer):
    """Bottom 0: `(N, A (5 + K), H, W)`: of each of A anchors x, y, width, height, objectness and K classes. Bottom 1:
    objects (`bicerin_yolo.objects`). Top: `()`.
    """

    num_class: int

    @abstractmethod
    def read_anchors(self) -> np.ndarray:
        """Width and height of each anchor of the layer, `(A, 2)`, in the unit of `biases`; called once."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        anchors = self.read_anchors()
        self.anchors = self.new_blob(anchors.shape, "anchors")
        self.anchors.blob.data[...] = anchors
        #: What darknet calls the delta of each number that is predicted.
        self.delta = self.new_blob(name="delta")
        self.objects = self.new_blob(name="objects")

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape()
        predictions, count = bottom[0], self.anchors.shape[0]
        channels = count * (5 + self.num_class)
        if predictions.num_axes != 4 or predictions.shape[1] != channels:
            raise ShapeError(
                f"the predictions must have the shape (N, {channels}, H, W), not {predictions.shape}.",
                f"There are {count} anchors: a box, an objectness and {self.num_class} classes of each.",
            )
        number, _, height, width = predictions.shape
        most = objects_per_image(bottom[1], number, width)
        self.delta.reshape(number, count, 5 + self.num_class, height, width)
        self.objects.reshape(number + 1 if is_annotated(bottom[1]) else 0, most, COLUMNS)

    def read_objects(self, bottom: Sequence[Blob]) -> tuple[Any, Any]:
        """The objects, `(N, T, 5)`, and 0, or on a device NaN where one is wrong, which the host refuses."""
        objects: tuple[Any, Any] = self.ops.read_objects(
            bottom[1].data, self.delta.shape[0], self.objects.data, self.num_class
        )
        return objects

    def check_inputs(self, bottom: Sequence[Any]) -> None:
        from bicerin_yolo.objects_kernels import read_objects

        own = np.empty(self.objects.shape, self.dtype)
        read_objects(bottom[1].data, self.delta.shape[0], own, self.num_class)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        refuse_label_gradient(self.type, propagate_down[1])
        if propagate_down[0]:
            delta, diff = self.delta.data, bottom[0].diff.reshape(self.delta.shape)
            self.xp.multiply(delta, self.loss_gradient(top) / max(len(delta), 1), out=diff)


def anchor_sizes(biases: Sequence[float], least: int, unit: str) -> np.ndarray:
    """Pairs of width and height, `(n, 2)`, of `biases`.

    Raises:
        LayerError: there are fewer than `least` pairs, or a number is not greater than 0.
    """
    if len(biases) % 2 or len(biases) < 2 * least:
        raise LayerError(
            f"biases must be pairs of width and height, {least} or more, in {unit}; there are {len(biases)} numbers."
        )
    sizes = np.array(biases, np.float64).reshape(-1, 2)
    if not (sizes > 0).all():
        raise LayerError(f"biases must be > 0: {[f'{value:g}' for value in biases]}.")
    return sizes
