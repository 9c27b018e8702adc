"""EvalDetection: how right the detections of an image are, for the average precision of each class.

Boxes get a score (`score_type`); with `nms` of 0 or more, those that overlap a better one by as much are dropped,
whatever their classes. Class by class, the best first, a box is right where the object of its class that it overlaps
most, by `threshold` or more, was not found before; a difficult object is neither right nor wrong.

With `biases` the predictions are those of YOLO 2, as for RegionLoss; without, those of YOLO 1, as for DetectionLoss.

Source: the EvalDetectionLayer of caffe-yolo and, with `biases`, of caffe-yolov2 and Intel's Caffe, whose third bottom,
the images, is not looked at. These, with a `nms` below 0, find nothing; here no box is dropped then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, between, enum_name
from bicerin_yolo.boxes_kernels import sigmoids
from bicerin_yolo.object_loss import anchor_sizes
from bicerin_yolo.objects import ANNOTATED, COLUMNS, is_annotated, list_objects, objects_per_image, refuse_faults
from bicerin_yolo.places import Grid

#: What YOLO 2's detections must at least have for a score, if `nms` is 0 or more.
LEAST = 0.005


class EvalDetectionLayer(Layer):
    """Bottom 0: predictions, `(N, S^2 (K + 5 B))`, or with `biases` `(N, B (5 + K), S, S)`. Bottom 1: labels, `(N, 7
    S^2)`, or with `biases` objects, as for RegionLoss. Bottom 2, with `biases`, is not looked at. Top: `(N, K + 4 S^2
    B)`: the number of objects of each class, without difficult ones, then for each box, by class, the best score first:
    label, score, is right, is wrong; zeros for the rest.
    """

    type = "EvalDetection"
    counts = BlobCounts(bottom=between(2, 3), top=1)
    operations = Operations("eval_detection_kernels")
    allows_in_place = False
    runs_on = "host"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.eval_detection_param
        self.grid = Grid(param.side, param.num_class, param.num_object)
        self.grid.check()
        self.threshold: float = param.threshold
        self.nms: float = param.nms
        self.sqrt: bool = param.sqrt
        self.within: bool = param.constriant
        self.score_type = enum_name(param, "score_type", ("OBJ", "PROB", "MULTIPLY"))
        self.anchors: np.ndarray | None = None
        if param.biases:
            sizes = anchor_sizes(param.biases, self.grid.boxes, "places of the map")
            self.anchors = sizes[: self.grid.boxes].astype(self.dtype)
        elif len(bottom) > 2:
            raise LayerError("without biases there are two bottoms: predictions and labels.")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        grid, predictions = self.grid, bottom[0]
        if self.anchors is None:
            grid.require(*bottom[:2])
        else:
            shape = (grid.boxes * (5 + grid.classes), grid.side, grid.side)
            if predictions.num_axes != 4 or predictions.shape[1:] != shape:
                raise ShapeError(f"the predictions must have the shape (N, *{shape}), not {predictions.shape}.")
            self.most = objects_per_image(bottom[1], predictions.shape[0], grid.side)
        top[0].reshape(predictions.shape[0], grid.classes + 4 * grid.places * grid.boxes)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not top[0].count:
            return
        if self.anchors is None:
            boxes, classes, objectness = self._first(bottom[0].data)
            truths = self._first_truths(bottom[1].data)
        else:
            boxes, classes, objectness = self._second(bottom[0].data, self.anchors)
            truths = self._second_truths(bottom[1], bottom[0].shape[0])
        labels = classes.argmax(axis=1).astype(np.int64)
        scores = {"OBJ": objectness, "PROB": classes.max(axis=1), "MULTIPLY": objectness * classes.max(axis=1)}
        score = np.ascontiguousarray(scores[self.score_type])
        order = np.argsort(-score, axis=1, kind="stable")
        least = LEAST if self.anchors is not None and self.nms >= 0 else -np.inf
        real = self.dtype.type
        settings = (real(self.nms), real(self.threshold), real(least))
        self.ops.judge(np.ascontiguousarray(boxes), labels, score, order, truths, settings, top[0].data)

    def _first(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes `(N, P, 4)`, classes `(N, K, P)` and objectness `(N, P)` of YOLO 1, by place and then by box."""
        grid = self.grid
        classes, objectness, boxes = grid.predictions(x)
        boxes = boxes.transpose(0, 3, 1, 2).copy()  # (N, S^2, B, 4)
        if self.within:
            cells = np.indices((grid.side, grid.side), dtype=x.dtype)[::-1].reshape(2, -1).T
            boxes[..., :2] = (boxes[..., :2] + cells[:, None]) / x.dtype.type(grid.side)
        if self.sqrt:
            boxes[..., 2:] **= 2
        number = len(x)
        return (
            boxes.reshape(number, -1, 4),
            np.repeat(classes, grid.boxes, axis=2),
            objectness.transpose(0, 2, 1).reshape(number, -1),
        )

    def _first_truths(self, labels: np.ndarray) -> np.ndarray:
        """Objects `(N, S^2, 6)`: class, or -1 for none, x, y, width, height, is difficult."""
        difficult, is_object, label, boxes = self.grid.labels(labels)
        there = is_object != 0
        wrong = there & ~((label >= 0) & (label < self.grid.classes))
        if wrong.any():
            image, place = (int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))
            raise LayerError(
                f"the object at place {place} of image {image} is of class {float(label[image, place]):g}; there are "
                f"{self.grid.classes}: 0 to {self.grid.classes - 1}."
            )
        kind = np.where(there, np.trunc(label), -1)
        return np.stack([kind, *boxes.transpose(1, 0, 2), difficult == 1], axis=2).astype(labels.dtype)

    def _second(self, x: np.ndarray, anchors: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of YOLO 2."""
        grid, number = self.grid, len(x)
        x = x.reshape(number, grid.boxes, 5 + grid.classes, grid.places).transpose(0, 3, 1, 2)  # (N, S^2, B, 5 + K)
        cells = np.indices((grid.side, grid.side), dtype=x.dtype)[::-1].reshape(2, -1).T[:, None]
        middle = (cells + sigmoids(np, x[..., :2])) / x.dtype.type(grid.side)
        boxes = np.concatenate([middle, np.exp(x[..., 2:4]) * anchors / x.dtype.type(grid.side)], axis=-1)
        classes = np.exp(x[..., 5:] - x[..., 5:].max(axis=-1, keepdims=True))
        classes /= classes.sum(axis=-1, keepdims=True)
        return (
            boxes.reshape(number, -1, 4),
            classes.reshape(number, -1, grid.classes).transpose(0, 2, 1),
            sigmoids(np, x[..., 4]).reshape(number, -1),
        )

    def _second_truths(self, blob: Blob, images: int) -> np.ndarray:
        values, fault = blob.data, 0
        if is_annotated(blob):
            own = np.empty((images + 1, self.most, COLUMNS), values.dtype)
            fault = list_objects(np, values.reshape(-1, ANNOTATED), own)
            objects = own[:images]
        else:
            objects = values.reshape(images, self.most, COLUMNS)
        refuse_faults(objects, self.grid.classes, fault)
        listed = np.cumsum(objects[:, :, 3] == 0, axis=1) == 0
        kind = np.where(listed, np.trunc(objects[:, :, 0]), -1)
        return np.concatenate([kind[..., None], objects[:, :, 1:], np.zeros_like(kind)[..., None]], axis=2)
