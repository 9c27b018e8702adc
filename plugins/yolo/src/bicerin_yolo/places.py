"""What DetectionLoss and EvalDetection read: predictions and labels of YOLO 1, plane by plane over S x S places."""

from __future__ import annotations

from typing import Any, NamedTuple

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob


class Grid(NamedTuple):
    """Places along each side of an image, classes, and boxes of each place."""

    side: int
    classes: int
    boxes: int

    @property
    def places(self) -> int:
        return self.side * self.side

    def check(self) -> None:
        """Raise a `LayerError` unless there is one of each."""
        for name, value in zip(("side", "num_class", "num_object"), self, strict=True):
            if value < 1:
                raise LayerError(f"{name} must be > 0")

    def require(self, predictions: Blob, labels: Blob) -> None:
        """Raise a `ShapeError` unless the blobs have as many numbers of each image as they should."""
        counts = (self.places * (self.classes + 5 * self.boxes), self.places * 7)
        what = (f"{self.classes} classes, {self.boxes} boxes with their objectness", "difficult, object, class, a box")
        for blob, count, planes in zip((predictions, labels), counts, what, strict=True):
            number = predictions.shape[0] if predictions.num_axes else 0
            if not blob.num_axes or blob.shape[0] != number or blob.count != number * count:
                raise ShapeError(
                    f"{blob.name or 'a bottom'} must have the shape ({number}, {count}), not {blob.shape}.",
                    f"On {self.side} x {self.side} places: {planes}.",
                )

    def predictions(self, array: Any) -> tuple[Any, Any, Any]:
        """Classes `(N, K, S^2)`, objectness `(N, B, S^2)` and boxes `(N, B, 4, S^2)`, which are views of the array."""
        places, classes, boxes = self.places, self.classes, self.boxes
        array = array.reshape(len(array), classes + 5 * boxes, places)
        own = array[:, classes + boxes :].reshape(len(array), boxes, 4, places)
        return array[:, :classes], array[:, classes : classes + boxes], own

    def labels(self, array: Any) -> tuple[Any, Any, Any, Any]:
        """Difficult, object and class, `(N, S^2)` each, and boxes, `(N, 4, S^2)`."""
        places = self.places
        array = array.reshape(len(array), 7 * places)
        difficult, is_object, label = (array[:, k * places : (k + 1) * places] for k in range(3))
        return difficult, is_object, label, array[:, 3 * places :].reshape(-1, places, 4).transpose(0, 2, 1)
