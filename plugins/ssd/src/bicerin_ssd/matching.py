"""Matching: which ground truth box each prior box, or each predicted one, is to predict.

First each ground truth box gets the free box that overlaps it most, in the order of these overlaps. With
PER_PREDICTION, each box that is still free then gets the ground truth box that it overlaps most, if by the threshold at
least. Liu et al., SSD, 2016, section 2.2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bicerin_ssd.boxes import crossing, overlaps

UNMATCHED = -1
IGNORED = -2

#: Overlaps up to this count as none.
_LEAST = 1e-6


def match(
    boxes: np.ndarray, truths: np.ndarray, *, threshold: float | None, ignore_crossing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Match boxes with ground truth.

    Args:
        boxes: shape (P, 4).
        truths: shape (G, 4).
        threshold: the overlap from which boxes match that are not the best of any ground truth; None if none does.
        ignore_crossing: leave out boxes that reach beyond the image.

    Returns:
        For each box the ground truth box that it matches, or UNMATCHED or IGNORED: int64, shape (P,); and the overlap
        with that one, or else the greatest of its overlaps: shape (P,).
    """
    matched = np.full(len(boxes), UNMATCHED, np.int64)
    if not len(truths):
        return matched, np.zeros(len(boxes), boxes.dtype)
    shared = overlaps(truths, boxes)
    shared[shared <= _LEAST] = 0
    if ignore_crossing:
        outside = crossing(boxes)
        matched[outside] = IGNORED
        shared[:, outside] = 0
    best = shared.max(axis=0)
    if threshold is not None:
        near = np.flatnonzero((best >= threshold) & (best > 0) & (matched == UNMATCHED))
        matched[near] = shared[:, near].argmax(axis=0)
    for box, truth, overlap in _bipartite(shared):
        matched[box] = truth
        best[box] = overlap
    return matched, best


def _bipartite(left: np.ndarray) -> Iterator[tuple[int, int, float]]:
    """Pairs of box and ground truth, by overlap; of equal ones the first box, then the first ground truth, wins.

    Args:
        left: the overlaps, shape (G, P); overwritten.
    """
    candidate, overlap = left.argmax(axis=1), left.max(axis=1)
    for _ in range(len(left)):
        greatest = overlap.max()
        if greatest <= 0:
            break
        equal = np.flatnonzero(overlap == greatest)
        truth = int(equal[candidate[equal].argmin()])
        box = int(candidate[truth])
        yield box, truth, float(greatest)
        left[:, box] = 0
        overlap[truth] = 0
        for other in np.flatnonzero((candidate == box) & (overlap > 0)):
            candidate[other], overlap[other] = left[other].argmax(), left[other].max()
