"""MultiBoxLoss on a device: what `multibox_loss.py` does, in the same order, as array code and CUDA C.

Nothing is read from the device. How many ground truth boxes an image has is known there alone, so that arrays have room
for the most that there may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer import Blob, normalizer
from bicerin_ssd.box_code import NUMBERS
from bicerin_ssd.boxes import CUDA
from bicerin_ssd.confidence_loss import LEAST
from bicerin_ssd.ground_truth import COLUMNS
from bicerin_ssd.hard_examples import LEAST_SIZE
from bicerin_ssd.matching import UNMATCHED
from bicerin_ssd.multibox_layer import MultiBoxLayer


class DeviceLoss:
    """The loss of a batch, and the derivatives of its two sums.

    Attributes:
        loss: an array of shape (); NaN where the host would raise an error.
        normalizer: a number, or an array of shape ().
        loc_diff: shape (N, P, L, 4).
        conf_diff: shape (N, P, C).
    """

    def __init__(self, layer: MultiBoxLayer, bottom: Sequence[Blob]) -> None:
        self.layer = layer
        self.xp = xp = layer.xp
        self.kernels = layer.ops.kernels
        self.box_kernels = CUDA.on(layer.context.device, layer.dtype)
        self.images, self.places = layer.number, layer.priors
        self.locations, self.scores, self.priors, rows = (blob.data for blob in bottom[:4])
        self.stage = [blob.data for blob in bottom[4:]]
        self.faults = xp.zeros(1, np.int32)
        self.loc_diff = xp.zeros((self.images, self.places, layer.loc_classes, 4), layer.dtype)
        self.conf_diff = xp.zeros((self.images, self.places, layer.num_classes), layer.dtype)
        self._read_truth(rows.reshape(-1, COLUMNS))
        self.normalizer: Any
        loss, self.normalizer = self._loss() if self.images * self.places else (0.0, 1.0)
        self.loss = xp.where(self.faults[0] > 0, np.nan, loss)

    def _read_truth(self, rows: Any) -> None:
        """The rows of the ground truth sorted by image, those that do not count last, and where each image's start."""
        xp, layer, param = self.xp, self.layer, self.layer.options
        if not len(rows):
            rows = xp.full((1, COLUMNS), -1, layer.dtype)
        images, labels, targets = (xp.empty(len(rows), np.int32) for _ in range(3))
        self.kernels.read_truth(
            len(rows),
            rows,
            images,
            labels,
            targets,
            self.faults,
            param.use_difficult_gt,
            layer.background,
            layer.num_classes,
            layer.background + 1 if param.map_object_to_agnostic else -1,
            self.images,
        )
        order = xp.argsort(images, kind="stable")
        self.truths = xp.take(rows, order, axis=0)
        self.truth_images, self.labels, self.targets = (xp.take(each, order) for each in (images, labels, targets))
        first = xp.searchsorted(self.truth_images, xp.arange(self.images + 1, dtype=np.int32))
        self.starts = first.astype(np.int32)

    def _loss(self) -> tuple[Any, Any]:
        """The loss and the normalizer."""
        layer, mining = self.layer, self.layer.mining != "NONE"
        self.decoded = self._decoded()
        self.boxes, self.box_step = self._boxes()
        matched, overlap = self._matches()
        loc_losses = self._location_losses(matched)
        conf_losses = self._confidence_losses(matched, mining)
        counts = None
        if mining:
            picked = self._picked(matched[:, 0], overlap[:, 0], conf_losses, loc_losses[:, 0])
            counts = self._judge(matched[:, 0], picked)
            if layer.mining == "HARD_EXAMPLE":
                loc_losses = self._location_losses(matched)
            if not layer.softmax and layer.background:
                conf_losses = self._logistic_losses(layer.background)
            self.kernels.clear_rows(self.conf_diff.size, counts, self.conf_diff, layer.num_classes)
            conf_losses = self.xp.where(counts > 0, conf_losses, 0)

        loss: Any = 0.0
        if layer.counted[0]:
            loss += layer.options.loc_weight * loc_losses.sum(dtype=np.float64)
        if layer.counted[1]:
            loss += conf_losses.sum(dtype=np.float64)
        if layer.normalization == "VALID":
            divisor = self.xp.maximum((matched > UNMATCHED).sum(), 1)
        else:
            divisor = normalizer(layer.normalization, self.images, self.places, 0)
        return loss / divisor, divisor

    # Which boxes count

    def _decoded(self) -> Any:
        """The predicted boxes, shape (N, P, L, 4), where an option needs them."""
        layer, param = self.layer, self.layer.options
        if param.use_prior_for_matching and (not layer.suppressing or param.use_prior_for_nms):
            return None
        boxes = self.xp.empty(self.loc_diff.shape, layer.dtype)
        scaled = not param.encode_variance_in_target
        sizes = (self.places, layer.loc_classes)
        code = NUMBERS[layer.code]
        self.box_kernels.decode(boxes.size // 4, self.priors, self.locations, boxes, self.faults, code, scaled, *sizes)
        return boxes

    def _boxes(self) -> tuple[Any, int]:
        """The prior boxes, and how far those of one image are from those of the next: 0 where all have the same."""
        layer = self.layer
        if not layer.moved:
            return self.priors, 0
        moved = self.xp.empty((self.images, self.places, 4), layer.dtype)
        scaled = not layer.options.encode_variance_in_target
        code = NUMBERS[layer.code]
        self.box_kernels.decode(
            moved.size // 4, self.priors, self.stage[1], moved, self.faults, code, scaled, self.places, 1
        )
        return moved, self.places * 4

    def _matches(self) -> tuple[Any, Any]:
        """The row of the ground truth that each box matches, int32, and the overlap: shape (N, L, P)."""
        xp, layer, param = self.xp, self.layer, self.layer.options
        by_prior = param.use_prior_for_matching
        groups = 1 if by_prior else layer.loc_classes
        boxes, step = (self.boxes, self.box_step) if by_prior else (self.decoded, self.places * groups * 4)
        ignoring = param.ignore_cross_boundary_bbox
        rows = len(self.truths)
        sizes = (self.places, groups)
        shared = xp.empty((rows, self.places), layer.dtype)
        self.box_kernels.truth_overlaps(
            shared.size, self.truths, self.truth_images, self.labels, boxes, shared, ignoring, self.images, *sizes, step
        )
        best, greatest = xp.empty(rows, np.int32), xp.empty(rows, layer.dtype)
        self.box_kernels.best_of_rows.blocks(rows, shared, best, greatest, self.places)
        matched = xp.full((self.images, groups, self.places), UNMATCHED, np.int32)
        self.box_kernels.match_rows.blocks(
            self.images * groups, shared, self.starts, self.labels, best, greatest, matched, rows, *sizes
        )
        overlap = xp.empty(matched.shape, layer.dtype)
        by_threshold = layer.threshold is not None
        self.box_kernels.match_boxes(
            matched.size,
            shared,
            self.starts,
            self.labels,
            boxes,
            matched,
            overlap,
            by_threshold,
            layer.threshold or 0,
            ignoring,
            *sizes,
            step,
        )
        if groups == layer.loc_classes:
            return matched, overlap
        apart = xp.full((self.images, layer.loc_classes, self.places), UNMATCHED, np.int32)
        self.kernels.spread_by_class(matched.size, matched, self.labels, apart, self.places, layer.loc_classes)
        return apart, overlap

    def _picked(self, matched: Any, overlap: Any, conf_losses: Any, loc_losses: Any) -> Any:
        """1 for each box that mining picks, else 0; see `hard_examples`. All are of shape (N, P)."""
        xp, layer, param = self.xp, self.layer, self.layer.options
        if layer.mining == "HARD_EXAMPLE":
            losses = conf_losses + loc_losses
            eligible = xp.full(losses.shape, True)
            wanted = param.sample_size
        else:
            losses = conf_losses
            eligible = (matched == UNMATCHED) & (overlap < param.neg_overlap)
            # In float32, as there.
            positives = (matched > UNMATCHED).sum(axis=1).astype(np.float32)
            wanted = (positives * param.neg_pos_ratio).astype(np.int32)
        if layer.staged:
            score = self.stage[0].reshape(self.images, self.places, 2)[:, :, 1]
            eligible = eligible & (score >= layer.dtype.type(layer.objectness))
        found = eligible.sum(axis=1, dtype=np.int32)
        numbers = xp.minimum(found, wanted)
        order = xp.argsort(xp.where(eligible, -losses, np.inf), axis=1, kind="stable").astype(np.int32)
        if layer.suppressing:
            order, apart = self._apart(order, found)
            numbers = xp.minimum(numbers, apart)
        # Images without objects have no losses.
        numbers = xp.where(self.starts[1:] > self.starts[:-1], numbers, 0).astype(np.int32)
        picked = xp.zeros(matched.shape, np.int32)
        self.kernels.pick(order.size, order, numbers, picked, order.shape[1], self.places)
        return picked

    def _apart(self, order: Any, found: Any) -> tuple[Any, Any]:
        """What suppression leaves of each image's order, and how many that are."""
        xp, param = self.xp, self.layer.options
        nms = param.nms_param
        # A top_k that is not given is 0.
        limit = min(nms.top_k, self.places) if nms.top_k > -1 else self.places
        boxes, step = (self.priors, 0) if param.use_prior_for_nms else (self.decoded, self.places * 4)
        order = xp.ascontiguousarray(order[:, :limit])
        kept, counts = xp.empty(order.shape, np.int32), xp.empty(self.images, np.int32)
        self.box_kernels.suppress.blocks(
            self.images, boxes, order, found, kept, counts, nms.nms_threshold, 1, LEAST_SIZE, -1, limit, 1, 1, step
        )
        return kept, counts

    def _judge(self, matched: Any, picked: Any) -> Any:
        """1 for each box that counts, else 0, shape (N, P). Matches that hard examples leave out are undone."""
        positive = matched > UNMATCHED
        if self.layer.mining == "HARD_EXAMPLE":
            matched[...] = self.xp.where(positive & (picked == 0), UNMATCHED, matched)
            positive = matched > UNMATCHED
        negative = (picked > 0) & (matched == UNMATCHED)
        return (positive | negative).astype(np.int32)

    # Losses

    def _location_losses(self, matched: Any) -> Any:
        """The loss of each match, else 0: shape (N, L, P)."""
        layer, param = self.layer, self.layer.options
        by_prior = param.use_prior_for_matching
        losses = self.xp.empty(matched.shape, layer.dtype)
        self.kernels.location_losses(
            losses.size,
            self.locations,
            self.boxes,
            self.priors.reshape(2, -1)[1],
            self.boxes if by_prior else self.decoded,
            self.truths,
            matched,
            losses,
            self.loc_diff,
            self.faults,
            NUMBERS[layer.code],
            param.encode_variance_in_target,
            layer.smooth,
            param.bp_inside,
            by_prior,
            self.box_step,
            self.places,
            layer.loc_classes,
        )
        return losses

    def _confidence_losses(self, matched: Any, mining: bool) -> Any:
        """The loss of each box, as if all counted: shape (N, P)."""
        xp, layer = self.xp, self.layer
        sizes = (self.places, layer.loc_classes)
        if layer.softmax:
            labels = xp.empty((self.images, self.places), np.int32)
            self.kernels.box_labels(labels.size, matched, self.targets, labels, *sizes)
            losses = xp.empty(labels.shape, layer.dtype)
            self.kernels.softmax_losses(
                losses.size, self.scores, labels, losses, self.conf_diff, layer.background, layer.num_classes, LEAST
            )
            return losses
        self.marks = xp.zeros(self.conf_diff.shape, np.int32)
        # SSD's Caffe moves on by one number per box, not by one per class, from image to image, where all boxes count.
        step, background = (self.places * layer.num_classes, layer.background) if mining else (self.places, -1)
        self.kernels.mark_classes(
            matched.size, matched, self.targets, self.marks, background, step, *sizes, layer.num_classes
        )
        return self._logistic_losses(0 if mining else layer.background)

    def _logistic_losses(self, other: int) -> Any:
        """With targets of 1 at the marks, and of `other` elsewhere."""
        losses = self.xp.empty((self.images, self.places), self.layer.dtype)
        self.kernels.logistic_losses(
            losses.size, self.scores, self.marks, losses, self.conf_diff, other, self.layer.num_classes
        )
        return losses
