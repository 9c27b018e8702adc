"""DetectionEvaluate: which detections are right, for the average precision of each class. Everingham et al., 2010.

A detection is right if it overlaps a ground truth box of its class by the threshold, and is the best that does.

With `name_size_file`, boxes are compared in pixels of the images that it lists.

It is for the host on every device: it runs in tests alone, its table of a few hundred rows is read there, which makes
the average precision of it, and the table's length depends on the detections.

Source: the DetectionEvaluateLayer of SSD's Caffe.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin_ssd.boxes import in_pixels, overlaps
from bicerin_ssd.ground_truth import COLUMNS, GroundTruth, read_ground_truth, require_rows
from bicerin_ssd.label_map import read_name_sizes

_DETECTION = 7
#: Labels stand in blobs as float32.
_MOST_CLASSES = 2**24


class DetectionEvaluateLayer(Layer):
    """Bottoms: detections `(1, 1, D, 7)`, as DetectionOutput gives them, and ground truth `(1, 1, G, 8)`. Top:
    `(1, 1, R, 5)`. First a row for each class but the background: -1, label, number of ground truth boxes, -1, -1.
    Then one for each detection: image, label, score, and 1, 0 where it is right, 0, 1 where it is wrong, or 0, 0
    where it found a difficult object that does not count.
    """

    type = "DetectionEvaluate"
    counts = BlobCounts(bottom=2, top=1)
    runs_on = "host"
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.detection_evaluate_param
        if not param.HasField("num_classes"):
            raise LayerError("Must provide num_classes.")
        if param.overlap_threshold <= 0:
            raise LayerError(f"overlap_threshold must be non negative, not {param.overlap_threshold:g}.")
        self.background: int = param.background_label_id
        if param.num_classes > _MOST_CLASSES:
            raise ShapeError(
                f"num_classes is {param.num_classes}, but the labels in a blob are exact up to {_MOST_CLASSES}."
            )
        self.num_classes: int = param.num_classes
        labels = np.arange(self.num_classes)
        self.labels = labels[labels != self.background]
        self.overlap_threshold: float = param.overlap_threshold
        self.use_difficult: bool = param.evaluate_difficult_gt
        self.resize = param.resize_param if param.HasField("resize_param") else None
        self.images: list[tuple[str, tuple[int, int]]] = []
        if param.name_size_file:
            self.images = read_name_sizes(self.context.resolve(param.name_size_file))
        self._next_image = 0

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        require_rows(bottom[0], _DETECTION, "detections")
        require_rows(bottom[1], COLUMNS, "ground truth")
        found = int((bottom[0].data[0, 0, :, 1] != -1).sum())
        top[0].reshape(1, 1, len(self.labels) + found, 5)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        detections = bottom[0].data[0, 0]
        detections = detections[detections[:, 0] != -1]
        # What finds nothing in an image gives one row with no label; the image still counts in the list of sizes.
        images = detections[:, 0].astype(np.int64)
        labelled = detections[:, 1] != -1
        if (detections[:, 1] == self.background).any():
            raise LayerError(f"Found background label in the detection results: {self.background}.")
        given = bottom[1].data[0, 0]
        ends = np.flatnonzero(given[:, 0] == -1)
        truth = read_ground_truth(given[: ends[0]] if len(ends) else given, self.background, use_difficult=True)
        counted = truth.labels if self.use_difficult else truth.labels[~truth.difficult]

        rows = top[0].data[0, 0]
        rows.fill(0)
        rows[: len(self.labels)] = -1
        rows[: len(self.labels), 1] = self.labels
        counted = counted[(counted >= 0) & (counted < self.num_classes)]
        rows[: len(self.labels), 2] = np.bincount(counted, minlength=self.num_classes)[self.labels]
        done = len(self.labels)
        for image in np.unique(images).tolist():
            size = self._size()
            places = truth.of_image(image)
            found = detections[(images == image) & labelled]
            for label in np.unique(found[:, 1]).tolist():
                judged = self._judged(found[found[:, 1] == label], truth, places, int(label), size)
                rows[done : done + len(judged)] = judged
                done += len(judged)

    def _size(self) -> tuple[int, int] | None:
        """Height and width of the next image in the list; which starts again after the last."""
        if not self.images:
            return None
        size = self.images[self._next_image][1]
        self._next_image = (self._next_image + 1) % len(self.images)
        return size

    def _judged(
        self, detections: np.ndarray, truth: GroundTruth, places: np.ndarray, label: int, size: tuple[int, int] | None
    ) -> np.ndarray:
        """The rows of one image's detections of one label, shape (D, 5)."""
        places = places[truth.labels[places] == label]
        if len(places):
            detections = detections[np.argsort(-detections[:, 2], kind="stable")]
        rows = np.zeros((len(detections), 5), detections.dtype)
        rows[:, :3] = detections[:, :3]
        rows[:, 4] = 1
        if not len(places):
            return rows
        shared = self._overlaps(detections[:, 3:], truth.boxes[places], size)
        best = shared.argmax(axis=1)
        near = shared[np.arange(len(best)), best] >= np.float32(self.overlap_threshold)
        counts = np.full(len(places), True) if self.use_difficult else ~truth.difficult[places]
        rows[near & ~counts[best], 4] = 0
        # The first that finds an object has the best score.
        right = np.flatnonzero(near & counts[best])
        right = right[np.unique(best[right], return_index=True)[1]]
        rows[right, 3:] = (1, 0)
        return rows

    def _overlaps(self, boxes: np.ndarray, truths: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
        if size is None:
            return overlaps(boxes, truths)
        (boxes, areas), (truths, truth_areas) = (in_pixels(given, size, self.resize) for given in (boxes, truths))
        return overlaps(boxes, truths, normalized=False, box_sizes=areas, other_sizes=truth_areas)
