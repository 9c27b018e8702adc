"""What YoloDetectionOutput and Yolov3DetectionOutput have in common: boxes become a list, the best first."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, Layer, TellsShapes

_log = logging.getLogger("bicerin.yolo")


class DetectionsLayer(TellsShapes, Layer):
    """Bottoms: maps of predictions, `(N, A (5 + K), H, W)`, with deviations 9 + K. Top: `(1, 1, D, 7)`: rows of image,
    label, score, xmin, ymin, xmax, ymax, as parts of the image, by image, the best score first. Where nothing is found,
    one row for each image: its number and -1 six times.
    """

    allows_in_place = False
    num_classes: int
    #: How many numbers of a prediction come before those of the classes: 5, or 9 with deviations.
    first_class: int = 5
    nms_threshold: float
    #: The anchors of each map, `(A, 2)`, in places of the map.
    anchors: list[Any]

    @abstractmethod
    def candidates(self, index: int, x: Any) -> tuple[Any, Any]:
        """The scores of a map's predictions x, `(N, A, first_class + K, H, W)`: of which detections, and how sure.

        Returns:
            Places, and scores `(P, C)`, not above the threshold for what is none. On the host the places are numbers
            in the order (image, anchor, row, column), `(P,)`; on a device None: all of them are meant. C is 1, or as
            many as there are classes.
        """

    def boxes(self, x: Any) -> Any:
        """The same with x, y, width and height as the first four numbers of each."""
        return x

    @abstractmethod
    def labels(self, x: Any, places: Any, classes: Any) -> Any:
        """The labels, `(B,)`, of detections at these places, given the column of `candidates` of each."""

    @abstractmethod
    def chosen(self, scores: Any) -> Any:
        """Which scores are high enough."""

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int, ...]]:
        return [(1, 1, 1, 7)]

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # For layers that set up on it; how many there are is known after each forward pass.
        top[0].reshape(1, 1, 1, 7)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        for blob, anchors in zip(bottom, self.anchors, strict=True):
            channels = anchors.shape[0] * (self.first_class + self.num_classes)
            if blob.num_axes != 4 or blob.shape[1] != channels or blob.shape[0] != bottom[0].shape[0]:
                raise ShapeError(
                    f"{blob.name or 'a bottom'} must have the shape ({bottom[0].num}, {channels}, H, W), not "
                    f"{blob.shape}.",
                    f"There are {anchors.shape[0]} anchors: a box, objectness and {self.num_classes} classes of each.",
                )

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """How many detections there are is read from a device: the top's shape depends on it."""
        xp, number = self.xp, bottom[0].shape[0]
        found = [self._found(index, blob) for index, blob in enumerate(bottom) if blob.count]
        count = 0
        if found:
            rows = xp.concatenate(found) if len(found) > 1 else found[0]
            count, kept = self._suppressed(rows)
        if count:
            top[0].reshape(1, 1, count, 7)
            self.ops.gather(rows, kept, top[0].data.reshape(count, 7))
            return
        _log.debug("Couldn't find any detections")
        top[0].reshape(1, 1, number, 7)
        nothing = top[0].data
        nothing.fill(-1)
        nothing[0, 0, :, 0] = xp.arange(number)

    def _found(self, index: int, blob: Blob) -> Any:
        """Rows of image, label, score and box as x, y, width, height; of what a device finds all, with a score of -1
        for what is nothing.
        """
        xp, anchors = self.xp, self.anchors[index].data
        number, _, height, width = blob.shape
        x = blob.data.reshape(number, len(anchors), self.first_class + self.num_classes, height, width)
        places, scores = self.candidates(index, x)
        columns = scores.shape[1]
        high = self.chosen(scores).reshape(-1)
        flat = xp.where(high, scores.reshape(-1), -1)
        if places is None:
            entry = xp.arange(flat.size)
            place, column = entry // columns, entry % columns
        else:
            entry = np.flatnonzero(high)
            place, column, flat = places[entry // columns], entry % columns, flat[entry]
        rows = xp.empty((len(flat), 7), self.dtype)
        self.ops.decode(self.boxes(x), anchors, place, rows)
        rows[:, 1] = self.labels(x, place, column)
        rows[:, 2] = flat
        return rows

    def _suppressed(self, rows: Any) -> tuple[int, Any]:
        """How many detections stay, and the indices of their rows."""
        xp = self.xp
        order = xp.argsort(-rows[:, 2], kind="stable")
        order = order[xp.argsort(rows[order, 0], kind="stable")] if len(rows) else order
        kept = xp.empty(len(rows), np.int32)
        found = xp.zeros(1, np.int32)
        self.ops.suppress(rows, order.astype(np.int32), self.nms_threshold, kept, found)
        count = int(self.context.device.read_number(found[0]))
        return count, kept
