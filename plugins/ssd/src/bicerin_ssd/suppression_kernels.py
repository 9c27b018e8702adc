"""Non-maximum suppression: of boxes of one class that overlap, only the one with the best score stays.

For each image and class, the candidates are the boxes with scores above a threshold, best first (of equal scores the
first), at most `top_k` of them. Each stays if it overlaps none of those that stay by more than the threshold. With
eta < 1, the threshold shrinks by that factor with each box that stays, as long as it is above 0.5.

Source: what SSD's Caffe calls ApplyNMSFast.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, num_workers, part, spread
from bicerin_ssd.boxes import overlaps


def suppress_reference(
    boxes: np.ndarray,
    scores: np.ndarray,
    background: int,
    score_threshold: float,
    threshold: float,
    eta: float,
    top_k: int,
    kept: np.ndarray,
    counts: np.ndarray,
) -> None:
    counts.fill(0)
    for image, class_ in np.ndindex(counts.shape):
        if class_ == background:
            continue
        own = boxes[image, :, class_ if boxes.shape[2] > 1 else 0]
        class_scores = scores[image, :, class_]
        candidates = np.flatnonzero(class_scores > score_threshold)
        candidates = candidates[np.argsort(-class_scores[candidates], kind="stable")]
        if top_k > -1:
            candidates = candidates[:top_k]
        staying: list[int] = []
        adaptive = threshold
        for candidate in candidates:
            if staying and (overlaps(own[candidate, None], own[staying]) > adaptive).any():
                continue
            staying.append(int(candidate))
            if eta < 1 and adaptive > 0.5:
                adaptive *= eta
        kept[image, class_, : len(staying)] = staying
        counts[image, class_] = len(staying)


@part
def _overlap(x0, y0, x1, y1, size, u0, v0, u1, v1, other_size):  # type: ignore[no-untyped-def]
    """The Jaccard overlap of two boxes."""
    width = min(x1, u1) - max(x0, u0)
    height = min(y1, v1) - max(y0, v0)
    if width <= 0 or height <= 0:
        return size * 0
    shared = width * height
    return shared / (size + other_size - shared)


@part
def suppress_class(job, worker, boxes, scores, background, score_threshold, threshold, eta, top_k, kept, counts):  # type: ignore[no-untyped-def]
    """The boxes of one class in one image that stay."""
    classes = counts.shape[1]
    image, class_ = job // classes, job % classes
    counts[image, class_] = 0
    if class_ == background:
        return
    own = class_ if boxes.shape[2] > 1 else 0
    number = 0
    for place in range(scores.shape[1]):
        if scores[image, place, class_] > score_threshold:
            number += 1
    candidates = np.empty(number, np.int64)
    negated = np.empty(number, scores.dtype)
    number = 0
    for place in range(scores.shape[1]):
        if scores[image, place, class_] > score_threshold:
            candidates[number] = place
            negated[number] = -scores[image, place, class_]
            number += 1
    order = np.argsort(negated, kind="mergesort")
    if top_k > -1:
        number = min(number, top_k)
    sizes = np.empty(number, boxes.dtype)
    staying = 0
    adaptive = threshold
    for rank in range(number):
        place = candidates[order[rank]]
        x0, y0 = boxes[image, place, own, 0], boxes[image, place, own, 1]
        x1, y1 = boxes[image, place, own, 2], boxes[image, place, own, 3]
        size = (x1 - x0) * (y1 - y0)
        if x1 < x0 or y1 < y0:
            size = size * 0
        stays = True
        for other in range(staying):
            better = kept[image, class_, other]
            u0, v0 = boxes[image, better, own, 0], boxes[image, better, own, 1]
            u1, v1 = boxes[image, better, own, 2], boxes[image, better, own, 3]
            if _overlap(x0, y0, x1, y1, size, u0, v0, u1, v1, sizes[other]) > adaptive:
                stays = False
                break
        if stays:
            kept[image, class_, staying] = place
            sizes[staying] = size
            staying += 1
            if eta < 1 and adaptive > 0.5:
                adaptive = adaptive * eta
    counts[image, class_] = staying


@kernel(suppress_reference)
def suppress(boxes, scores, background, score_threshold, threshold, eta, top_k, kept, counts):  # type: ignore[no-untyped-def]
    """Find the boxes that stay, for each image and class in parallel.

    Args:
        boxes: shape (N, P, L, 4), L = 1 or the number of classes.
        scores: shape (N, P, C).
        background: the class that is passed over, or -1.
        score_threshold, threshold, eta: scalars of the scores' dtype.
        kept: int64, shape (N, C, K) with room for all that may stay: their places, best first.
        counts: int64, shape (N, C): how many stay.
    """
    arguments = (boxes, scores, background, score_threshold, threshold, eta, top_k, kept, counts)
    spread(suppress_class, counts.size, num_workers(scores.size), arguments)
