"""MultiBoxLoss: the loss of predicted boxes and their classes. Liu et al., SSD, 2016, section 2.2.

(loc_weight * sum of location losses + sum of confidence losses) / normalizer.

Boxes that match an object count for both, with what would have been a right prediction (see `box_code`) and with the
object's class; boxes that do not, for the second, as background: all, or the hardest (see `hard_examples`). The
location loss is smooth L1, or half the square; the confidence loss softmax or logistic. With `loss_param` VALID the
normalizer is the number of boxes that match.

With a fifth bottom, of RefineDet's second stage, places that the first stage scores as "something" with less than
`objectness_score` are not picked as hard examples. With a sixth, the first stage's locations, each image's prior boxes
are first moved as these say; they are matched and predicted relative to where they are then.

Host and device have code of their own: the host takes the boxes that match as lists, whose lengths a device does not
know without a copy (see `multibox_loss_device`).

Source: the MultiBoxLossLayer of SSD's Caffe; RefineDet's (Zhang et al., 2018). As there, the gradient takes the matches
as given, and with `encode_variance_in_target` it is that of the prediction divided by the variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.layer import Blob, BlobCounts, ChecksInputs, Operations, between, normalizer
from bicerin_ssd.box_code import decode, encode
from bicerin_ssd.confidence_loss import logistic_loss, sigmoid, softmax_loss
from bicerin_ssd.ground_truth import COLUMNS, GroundTruth, read_ground_truth
from bicerin_ssd.hard_examples import select
from bicerin_ssd.matching import UNMATCHED, match
from bicerin_ssd.multibox_layer import MultiBoxLayer
from bicerin_ssd.multibox_loss_device import DeviceLoss


@dataclass(frozen=True)
class _Batch:
    """What one forward pass is given.

    Attributes:
        locations: shape (N, P, L, 4).
        scores: shape (N, P, C).
        priors: shape (N, P, 4), each image's own where a first stage moves them.
        variances: shape (P, 4).
        sure: which places may be hard examples, bool, shape (N, P); None for all.
        truth: the ground truth boxes.
        labels: the class that each of these is to be predicted as, shape (G,).
        decoded: the predicted boxes, shape (N, P, L, 4), where an option needs them.
    """

    locations: np.ndarray
    scores: np.ndarray
    priors: np.ndarray
    variances: np.ndarray
    truth: GroundTruth
    labels: np.ndarray
    decoded: np.ndarray | None
    sure: np.ndarray | None


class MultiBoxLossLayer(ChecksInputs, MultiBoxLayer):
    """Bottoms: locations `(N, P * L * 4)`, scores `(N, P * num_classes)`, prior boxes and variances `(1, 2, P * 4)`,
    ground truth `(1, 1, G, 8)` (see `ground_truth`), with L = 1, or num_classes without `share_location`; and perhaps
    the first stage's scores `(N, P * 2)` of nothing and something, and its locations `(N, P * 4)`. Top: `()`. The first
    two have a gradient; which of them `propagate_down` names also says which losses count.
    """

    type = "MultiBoxLoss"
    counts = BlobCounts(bottom=between(4, 6), top=1, auto_top=True)
    operations = Operations(cuda="multibox_loss.cu")

    def allow_force_backward(self, bottom_index: int) -> bool:
        return bottom_index < 2

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = self._loss_of(bottom)

    def _loss_of(self, bottom: Sequence[Blob]) -> float:
        """The loss on the host; what the backward pass needs is kept."""
        batch = self._batch(bottom)
        matched, overlap = self._matches(batch)
        negative = None if self.mining == "NONE" else self._mine(batch, matched, overlap)
        self.normalizer = normalizer(self.normalization, self.number, self.priors, int((matched > UNMATCHED).sum()))

        self.located, difference = self._differences(batch, matched)
        loc_loss = self._location_losses(difference).sum()
        self.loc_diff = np.clip(difference, -1, 1) if self.smooth else difference
        conf_loss = self._confidence(batch, matched, negative)

        loss = self.options.loc_weight * loc_loss if self.counted[0] else 0.0
        if self.counted[1]:
            loss += conf_loss
        return loss / self.normalizer

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self._refuse_other_gradients(propagate_down)
        scale = float(top[0].diff) / self.normalizer
        if propagate_down[0]:
            bottom[0].diff.fill(0)
            diff = bottom[0].diff.reshape(self.number, self.priors, self.loc_classes, 4)
            diff[self.located] = self.loc_diff * (scale * self.options.loc_weight)
        if propagate_down[1]:
            bottom[1].diff.fill(0)
            scores_diff = bottom[1].diff.reshape(self.number, self.priors, self.num_classes)
            scores_diff[self.judged] = self.conf_diff * scale

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.device_loss = DeviceLoss(self, bottom)
        top[0].data[...] = self.device_loss.loss

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self._refuse_other_gradients(propagate_down)
        done = self.device_loss
        scale = (top[0].diff / done.normalizer).astype(self.dtype)
        for index, derivative, weight in ((0, done.loc_diff, self.options.loc_weight), (1, done.conf_diff, 1)):
            if propagate_down[index]:
                diff = bottom[index].diff.reshape(derivative.shape)
                self.xp.multiply(derivative, scale * weight, out=diff)

    def check_inputs(self, bottom: Sequence[Blob]) -> None:
        self._loss_of(bottom)

    @staticmethod
    def _refuse_other_gradients(propagate_down: Sequence[bool]) -> None:
        kinds = ("prior", "label", "first stage", "first stage")
        for what, wanted in zip(kinds, propagate_down[2:], strict=False):
            if wanted:
                raise LayerError(
                    f"MultiBoxLoss Layer cannot backpropagate to {what} inputs.",
                    "Give the layer propagate_down: true, true, false, false.",
                )

    def _batch(self, bottom: Sequence[Blob]) -> _Batch:
        param = self.options
        locations = bottom[0].data.reshape(self.number, self.priors, self.loc_classes, 4)
        scores = bottom[1].data.reshape(self.number, self.priors, self.num_classes)
        priors, variances = bottom[2].data.reshape(2, self.priors, 4)
        truth = read_ground_truth(bottom[3].data.reshape(-1, COLUMNS), self.background, param.use_difficult_gt)
        decoded = None
        if not param.use_prior_for_matching or (self.suppressing and not param.use_prior_for_nms):
            within = None if param.encode_variance_in_target else variances
            decoded = decode(self.code, priors, within, locations)
        all_priors, sure = np.broadcast_to(priors, (self.number, *priors.shape)), None
        if self.moved:
            within = None if param.encode_variance_in_target else variances
            moves = bottom[5].data.reshape(self.number, self.priors, 1, 4)
            all_priors = decode(self.code, priors, within, moves)[:, :, 0]
        if self.staged:
            sure = bottom[4].data.reshape(self.number, self.priors, 2)[:, :, 1] >= self.dtype.type(self.objectness)
        return _Batch(locations, scores, all_priors, variances, truth, self._labels(truth), decoded, sure)

    def _labels(self, truth: GroundTruth) -> np.ndarray:
        if self.options.map_object_to_agnostic:
            return np.full_like(truth.labels, self.background + 1)
        wrong = (truth.labels < 0) | (truth.labels >= self.num_classes)
        if wrong.any():
            raise LayerError(
                f"the ground truth has the label {truth.labels[wrong][0]}, and num_classes is {self.num_classes}."
            )
        return truth.labels

    # Which boxes count

    def _matches(self, batch: _Batch) -> tuple[np.ndarray, np.ndarray]:
        """The place of the ground truth box that each box matches, and the overlap: shape (N, L, P)."""
        param, truth = self.options, batch.truth
        shape = (self.number, self.loc_classes, self.priors)
        matched, overlap = np.full(shape, UNMATCHED, np.int64), np.zeros(shape, batch.priors.dtype)
        by_prior: bool = param.use_prior_for_matching
        for image in range(self.number):
            own = truth.of_image(image)
            for loc_class in [0] if by_prior else range(self.loc_classes):
                among = own if by_prior or param.share_location else own[truth.labels[own] == loc_class]
                if not len(among):
                    continue
                found, overlap[image, loc_class] = match(
                    batch.priors[image] if by_prior else batch.decoded[image, :, loc_class],  # type: ignore[index]
                    truth.boxes[among],
                    threshold=self.threshold,
                    ignore_crossing=param.ignore_cross_boundary_bbox,
                )
                matched[image, loc_class] = np.where(found > UNMATCHED, among[np.maximum(found, 0)], found)
        if by_prior and not param.share_location:
            matched = self._by_class(matched[:, 0], truth)
        return matched, overlap

    def _by_class(self, matched: np.ndarray, truth: GroundTruth) -> np.ndarray:
        """Matches of shape (N, P), each at the class of its ground truth box: shape (N, L, P)."""
        apart = np.full((self.number, self.loc_classes, self.priors), UNMATCHED, np.int64)
        image, prior = np.nonzero(matched > UNMATCHED)
        target = matched[image, prior]
        label = truth.labels[target]
        known = label < self.loc_classes
        apart[image[known], label[known], prior[known]] = target[known]
        return apart

    def _mine(self, batch: _Batch, all_matched: np.ndarray, all_overlap: np.ndarray) -> np.ndarray:
        """Which boxes count as background: bool, shape (N, P). Matches that are not picked are undone."""
        param, hard = self.options, self.mining == "HARD_EXAMPLE"
        matched, overlap = all_matched[:, 0], all_overlap[:, 0]
        positive = matched > UNMATCHED
        labels = np.full(matched.shape, self.background, np.int64)
        labels[positive] = batch.labels[matched[positive]]
        losses = self._confidence_losses(batch.scores, labels)
        if hard:
            places, difference = self._differences(batch, all_matched)
            losses[places[:2]] += self._location_losses(difference)
        negative = np.zeros(matched.shape, bool)
        for image in range(self.number):
            if not len(batch.truth.of_image(image)):
                continue
            boxes = None
            if self.suppressing:
                boxes = batch.priors[image] if param.use_prior_for_nms else batch.decoded[image, :, 0]  # type: ignore[index]
            sure = None if batch.sure is None else batch.sure[image]
            picked = select(param, hard, losses[image], matched[image], overlap[image], boxes, sure)
            negative[image] = picked & (matched[image] == UNMATCHED)
            if hard:
                matched[image][positive[image] & ~picked] = UNMATCHED
        return negative

    # Losses

    def _differences(self, batch: _Batch, matched: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        """Image, prior and class of each match, and its prediction minus the right one, shape (M, 4)."""
        param = self.options
        image, loc_class, prior = np.nonzero(matched > UNMATCHED)
        places = (image, prior, loc_class)
        boxes, variances = batch.priors[image, prior], batch.variances[prior]
        within = None if param.encode_variance_in_target else variances
        right = encode(self.code, boxes, within, batch.truth.boxes[matched[image, loc_class, prior]])
        difference = batch.locations[places] - right
        if param.bp_inside:
            inside = boxes if param.use_prior_for_matching else batch.decoded[places]  # type: ignore[index]
            difference[(inside < 0) | (inside > 1)] = 0
        if param.encode_variance_in_target:
            difference /= variances
        return places, difference

    def _location_losses(self, difference: np.ndarray) -> np.ndarray:
        """The loss of each match, shape (M,)."""
        losses = 0.5 * np.square(difference)
        if self.smooth:
            size = np.abs(difference)
            losses = np.where(size < 1, losses, size - 0.5)
        return losses.sum(axis=1)

    def _confidence_losses(self, scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """The loss of each box, given its class: shape (N, P)."""
        rows = scores.reshape(-1, self.num_classes)
        if self.softmax:
            losses, _ = softmax_loss(rows, labels.reshape(-1))
        else:
            losses = logistic_loss(rows, labels.reshape(-1, 1) == np.arange(self.num_classes))
        return losses.reshape(labels.shape)

    def _confidence(self, batch: _Batch, matched: np.ndarray, negative: np.ndarray | None) -> float:
        """The sum of the losses of the boxes that count; which they are, and the derivative, are kept for backward."""
        image, loc_class, prior = np.nonzero(matched > UNMATCHED)
        label = batch.labels[matched[image, loc_class, prior]]
        if negative is None:
            rows = image * self.priors + prior
            self.judged: tuple[Any, ...] = (slice(None), slice(None))
            scores = batch.scores.reshape(-1, self.num_classes)
        else:
            rows = np.arange(len(image))
            self.judged = tuple(np.hstack(pair) for pair in zip((image, prior), np.nonzero(negative), strict=True))
            scores = batch.scores[self.judged]
        if self.softmax:
            labels = np.full(len(scores), self.background, np.int64)
            labels[rows] = label
            losses, diff = softmax_loss(scores, labels)
            diff[np.arange(len(diff)), labels] -= 1
        else:
            targets = np.full(scores.shape, self.background, scores.dtype)
            if negative is None:
                # SSD's Caffe moves on by one number per box, not by one per class, from image to image.
                targets.reshape(-1)[image * self.priors + prior * self.num_classes + label] = 1
            else:
                targets[rows, label] = 1
                if self.background < self.num_classes:
                    targets[len(rows) :, self.background] = 1
            losses = logistic_loss(scores, targets)
            diff = sigmoid(scores) - targets
        self.conf_diff = diff.reshape(batch.scores.shape) if negative is None else diff
        return float(losses.sum())
