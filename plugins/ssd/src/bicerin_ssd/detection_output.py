"""DetectionOutput: from predictions to boxes with classes and scores. Liu et al., SSD, 2016.

Decodes each prediction relative to its prior box, suppresses overlapping boxes of a class, keeps the best.

With five bottoms, of RefineDet, the predictions are of a second stage: each prior box is first moved as the first stage
says (bottom 4), and where that scores "something" with less than `objectness_score` (bottom 3), there is nothing. A
fourth bottom alone is the latter if `objectness_score` is given.

With `save_output_param` the detections of all test images are also written to files. `visualize` is not supported.

Host and device have code of their own: the host goes image by image with lists of the boxes found, a device takes all
images at once, with room for the most that there may be.

Source: the DetectionOutputLayer of SSD's Caffe; RefineDet's (Zhang et al., 2018).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError, ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, Operations, TellsShapes, between
from bicerin_ssd import boxes as box_arithmetic
from bicerin_ssd.box_code import NUMBERS, code_name, decode
from bicerin_ssd.result_files import ResultFiles
from bicerin_ssd.suppression_kernels import suppress

_log = logging.getLogger("bicerin.ssd")


class DetectionOutputLayer(TellsShapes, Layer):
    """Bottoms: locations `(N, P * L * 4)`, scores `(N, P * num_classes)`, prior boxes and variances `(1, 2, P * 4)`,
    with L = 1, or num_classes without `share_location`; and perhaps the images, for `visualize`, or the first stage's
    scores `(N, P * 2)` of nothing and something, and its locations `(N, P * 4)`. Top: `(1, 1, D, 7)`: rows of image,
    label, score, xmin, ymin, xmax, ymax, by image, then label, then score. Where nothing is found, one row for each
    image: its number and -1 six times.
    """

    type = "DetectionOutput"
    counts = BlobCounts(bottom=between(3, 5), top=1)
    allows_in_place = False
    operations = Operations(cuda="detection_output.cu")

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        param = self.param.detection_output_param
        if not param.num_classes:
            raise LayerError("Must specify num_classes.")
        self.num_classes: int = param.num_classes
        self.loc_classes = 1 if param.share_location else self.num_classes
        self.background: int = param.background_label_id
        self.code = code_name(param)
        self.variance_in_target: bool = param.variance_encoded_in_target
        self.keep_top_k: int = param.keep_top_k
        lowest = float(np.finfo(np.float32).min)
        self.score_threshold = param.confidence_threshold if param.HasField("confidence_threshold") else lowest
        nms = param.nms_param
        if nms.nms_threshold < 0:
            raise LayerError(f"nms_threshold must be non negative, not {nms.nms_threshold:g}.")
        if not 0 < nms.eta <= 1:
            raise LayerError(f"nms_param: eta is greater than 0 and at most 1, not {nms.eta:g}.")
        self.nms_threshold: float = nms.nms_threshold
        self.eta: float = nms.eta
        self.top_k: int = nms.top_k if nms.HasField("top_k") else -1
        #: The least score of the first stage, where there is one.
        has_stage = len(bottom) == 5 or (len(bottom) == 4 and param.HasField("objectness_score"))
        self.objectness: float | None = param.objectness_score if has_stage else None
        if param.visualize:
            _log.warning('layer "%s": visualize is not supported; the detections are in the top.', self.name)
        self.files = self._result_files(param.save_output_param)
        self.kept = np.empty((0, 0, 0), np.int64)
        self.found = np.empty((0, 0), np.int64)

    def _result_files(self, param: Any) -> ResultFiles | None:
        if not param.output_directory:
            return None
        missing = [name for name in ("output_format", "label_map_file", "name_size_file") if not getattr(param, name)]
        if missing:
            _log.warning('layer "%s": provide %s to output results to files.', self.name, " and ".join(missing))
            return None
        classes = [label for label in range(self.num_classes) if label != self.background]
        return ResultFiles(param, self.context.resolve, classes)

    def shapes_without_data(self, tops: int) -> Sequence[tuple[int, ...]]:
        return [(1, 1, 1, 7)]  # as after `reshape`, whichever files of names there are

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number = bottom[0].shape[0] if bottom[0].num_axes else 0
        if bottom[1].shape[:1] != bottom[0].shape[:1]:
            raise ShapeError(f"locations are of {number} images, and scores of {bottom[1].shape[:1]}.")
        self.priors = require_priors(bottom, self.loc_classes, self.num_classes)
        if self.objectness is not None:
            require_stage(bottom[3:], number, self.priors)
        self.number = number
        self.limit = self.priors if self.top_k < 0 else min(self.priors, self.top_k)
        # How many there are is known after the forward pass.
        top[0].reshape(1, 1, 1, 7)

    def allow_force_backward(self, bottom_index: int) -> bool:
        return False

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        number = self.number
        shape = (number, self.num_classes, self.limit)
        if self.kept.shape != shape:
            self.kept = np.empty(shape, np.int64)
            self.found = np.empty(shape[:2], np.int64)
        scores = self._scores(np, [blob.data for blob in bottom])
        boxes = self._boxes(bottom)
        least, threshold, eta = map(scores.dtype.type, (self.score_threshold, self.nms_threshold, self.eta))
        suppress(boxes, scores, self.background, least, threshold, eta, self.top_k, self.kept, self.found)
        images = [self._best(image, boxes[image], scores[image]) for image in range(number)]
        self._fill(images, top[0])
        if self.files is not None:
            for rows in images:
                self.files.add(rows[:, 1:])

    def _scores(self, xp: Any, bottom: Sequence[Any]) -> Any:
        """Of each place and class, shape (N, P, C): those of nothing where the first stage found nothing."""
        shape = (self.number, self.priors, self.num_classes)
        scores = bottom[1].reshape(shape)
        if self.objectness is None:
            return scores
        found = bottom[3].reshape(self.number, self.priors, 2)[:, :, 1:] >= self.objectness
        nothing = xp.zeros(self.num_classes, self.dtype)
        nothing[0] = 1
        return xp.ascontiguousarray(xp.where(found, scores, nothing))

    def _boxes(self, bottom: Sequence[Any]) -> np.ndarray:
        """The predicted boxes, shape (N, P, L, 4)."""
        priors, variances = bottom[2].data.reshape(2, self.priors, 4)
        predictions = bottom[0].data.reshape(self.number, self.priors, self.loc_classes, 4)
        scales = None if self.variance_in_target else variances
        if len(bottom) == 5:
            moves = bottom[4].data.reshape(self.number, self.priors, 1, 4)
            priors = decode(self.code, priors, scales, moves)[:, :, 0]
        return decode(self.code, priors, scales, predictions)

    def _best(self, image: int, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The rows of one image's detections."""
        counts = self.found[image]
        labels = np.repeat(np.arange(self.num_classes), counts)
        places = self.kept[image][np.arange(self.kept.shape[2]) < counts[:, None]]
        if -1 < self.keep_top_k < len(labels):
            best = np.argsort(-scores[places, labels], kind="stable")[: self.keep_top_k]
            best = best[np.argsort(labels[best], kind="stable")]
            labels, places = labels[best], places[best]
        rows = np.empty((len(labels), 7), scores.dtype)
        rows[:, 0] = image
        rows[:, 1] = labels
        rows[:, 2] = scores[places, labels]
        rows[:, 3:] = boxes[places, labels if self.loc_classes > 1 else 0]
        return rows

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Only how many detections there are is read from the device: the top's shape depends on it."""
        xp, number = self.xp, 0
        if self.number and self.priors:
            number = self._detect(xp, [blob.data for blob in bottom], top[0])
        if number < 0:
            self._boxes([blob.blob.read_only for blob in bottom])  # raises the error
        if not number:
            _log.info("Couldn't find any detections")
            top[0].reshape(1, 1, self.number, 7)
            rows = top[0].data
            rows.fill(-1)
            rows[0, 0, :, 0] = xp.arange(self.number)
        if self.files is not None:
            found = top[0].blob.read_only.data[0, 0, :number]
            for image in range(self.number):
                self.files.add(found[found[:, 0] == image, 1:])

    def _detect(self, xp: Any, bottom: Sequence[Any], top: Blob) -> int:
        """Write the detections to the top; returns how many there are, or -1 if a prior box has no extent."""
        locations, _, priors = bottom[:3]
        scores = self._scores(xp, bottom)
        images, places, classes, limit = self.number, self.priors, self.num_classes, self.limit
        shared = box_arithmetic.CUDA.on(self.context.device, self.dtype)

        boxes, faults = xp.empty(locations.shape, self.dtype), xp.zeros(1, np.int32)
        code, scaled = NUMBERS[self.code], not self.variance_in_target
        if len(bottom) == 5:
            moved = xp.empty((images * places, 4), self.dtype)
            shared.decode(len(moved), priors, bottom[4], moved, faults, code, scaled, places, 1)
            variances = xp.tile(priors.reshape(2, places, 4)[1], (images, 1))
            # Each place of each image has a prior box of its own.
            shared.decode(
                boxes.size // 4, xp.stack([moved, variances]), locations, boxes, faults, code, scaled, len(moved),
                self.loc_classes,
            )  # fmt: skip
        else:
            shared.decode(boxes.size // 4, priors, locations, boxes, faults, code, scaled, places, self.loc_classes)

        by_class = xp.ascontiguousarray(scores.reshape(images, places, classes).transpose(0, 2, 1))
        candidates = by_class > self.score_threshold
        order = xp.argsort(xp.where(candidates, -by_class, np.inf), axis=2, kind="stable")[:, :, :limit]
        kept, counts = xp.empty(order.shape, np.int32), xp.empty((images, classes), np.int32)
        shared.suppress.blocks(
            counts.size,
            boxes,
            xp.ascontiguousarray(order, np.int32),
            candidates.sum(axis=2, dtype=np.int32),
            kept,
            counts,
            self.nms_threshold,
            self.eta,
            -1,
            self.background,
            limit,
            classes,
            self.loc_classes,
            places * self.loc_classes * 4,
        )

        chosen = self._chosen(xp, scores, kept, counts)
        ends = xp.cumsum(chosen, dtype=np.int32)
        last = ends[-1:] if ends.size else xp.zeros(1, np.int32)
        number = int(self.context.device.read_number(xp.where(faults > 0, -1, last)))
        if number > 0:
            top.reshape(1, 1, number, 7)
            rows = top.data
            self.ops.kernels.write_rows(
                chosen.size, boxes, scores, kept, chosen, ends, rows, limit, places, classes, self.loc_classes
            )
        return number

    def _chosen(self, xp: Any, scores: Any, kept: Any, counts: Any) -> Any:
        """1 for each of `kept` that is among its image's `keep_top_k` best, else 0: int32, shape (N * C * limit,)."""
        images, classes, limit = kept.shape
        keep = min(self.keep_top_k, classes * limit)
        if keep < 0:
            return (xp.arange(limit) < counts[:, :, None]).astype(np.int32).reshape(-1)
        chosen = xp.zeros(kept.size, np.int32)
        if keep:
            negated = xp.full((images, classes * limit), np.inf, self.dtype)
            self.ops.kernels.negated_scores(kept.size, scores, kept, counts, negated, limit, self.priors, classes)
            order = xp.ascontiguousarray(xp.argsort(negated, axis=1, kind="stable")[:, :keep], np.int32)
            self.ops.kernels.choose_first(order.size, order, counts, chosen, keep, limit, classes)
        return chosen

    @staticmethod
    def _fill(images: Sequence[np.ndarray], top: Blob) -> None:
        rows = sum(map(len, images))
        if rows:
            top.reshape(1, 1, rows, 7)
            np.concatenate(images, out=top.data[0, 0])
        else:
            _log.info("Couldn't find any detections")
            top.reshape(1, 1, len(images), 7)
            top.data.fill(-1)
            top.data[0, 0, :, 0] = np.arange(len(images))


def require_priors(bottom: Sequence[Blob], loc_classes: int, num_classes: int) -> int:
    """How many prior boxes bottom 2 has, after a check that bottoms 0 and 1 have predictions for each.

    Raises:
        ShapeError: they have not, or bottom 2 has another shape.
    """
    shape = bottom[2].shape
    if len(shape) not in (3, 4) or shape[0] != 1 or shape[1] != 2 or shape[2] % 4 or shape[3:] not in ((), (1,)):
        raise ShapeError(f"prior boxes and their variances have the shape (1, 2, priors * 4), not {shape}.")
    priors = shape[2] // 4
    for blob, count, what in ((bottom[0], loc_classes * 4, "location"), (bottom[1], num_classes, "confidence")):
        given = blob.count_between(1)
        if given != priors * count:
            raise ShapeError(
                f"Number of priors must match number of {what} predictions: "
                f"{priors} priors * {count} = {priors * count} against {given}."
            )
    return priors


def require_stage(blobs: Sequence[Blob], number: int, priors: int) -> None:
    """Raise a `ShapeError` unless these are a first stage's scores, and perhaps its locations, for each prior box."""
    for blob, count, what in zip(blobs, (2, 4), ("scores", "locations"), strict=False):
        if blob.shape[:1] != (number,) or blob.count_between(1) != priors * count:
            raise ShapeError(
                f"the first stage's {what} must have the shape {(number, priors * count)}, not {blob.shape}."
            )
