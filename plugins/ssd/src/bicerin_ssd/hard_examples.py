"""Hard examples: which boxes without an object, of the many, a loss counts. Liu et al., SSD, 2016, section 2.2.

    NONE          all of them
    MAX_NEGATIVE  those with the greatest losses, `neg_pos_ratio` times as many as match an object
    HARD_EXAMPLE  of all boxes, matched or not, the `sample_size` with the greatest losses

With `nms_param`, only the hardest of boxes that overlap count.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin_ssd.boxes import sizes
from bicerin_ssd.matching import UNMATCHED
from bicerin_ssd.suppression_kernels import suppress

#: Boxes of less than this area are never picked where overlapping ones are suppressed.
LEAST_SIZE = 1e-5


def select(
    param: Any,
    hard: bool,
    losses: np.ndarray,
    matched: np.ndarray,
    overlap: np.ndarray,
    boxes: np.ndarray | None,
    sure: np.ndarray | None = None,
) -> np.ndarray:
    """Which of one image's boxes are picked: bool, shape (P,).

    Args:
        param: a `MultiBoxLossParameter`.
        hard: True for HARD_EXAMPLE, False for MAX_NEGATIVE.
        losses: of each box, shape (P,).
        matched, overlap: as `matching.match` returns them, shape (P,).
        boxes: shape (P, 4), what `nms_param` suppresses; None if there is none.
        sure: which may be picked, bool, shape (P,); None for all.
    """
    allowed = np.ones(len(losses), bool) if sure is None else sure
    if hard:
        eligible = np.flatnonzero(allowed)
        number = min(param.sample_size, len(eligible))
    else:
        eligible = np.flatnonzero(allowed & (matched == UNMATCHED) & (overlap < np.float32(param.neg_overlap)))
        wanted = int(np.float32((matched > UNMATCHED).sum()) * np.float32(param.neg_pos_ratio))
        number = min(wanted, len(eligible))
    picked = np.zeros(len(losses), bool)
    order = np.argsort(-losses[eligible], kind="stable")
    if boxes is not None:
        order = _apart(param.nms_param, order, losses[eligible], boxes[eligible])
    picked[eligible[order[:number]]] = True
    return picked


def _apart(nms: Any, order: np.ndarray, losses: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """What stays of `order`. A `top_k` that is not given is 0, as in SSD's Caffe, and leaves nothing."""
    if nms.top_k > -1:
        order = order[: nms.top_k]
    order = order[sizes(boxes[order]) >= LEAST_SIZE]
    kept, count = np.empty((1, 1, len(order)), np.int64), np.empty((1, 1), np.int64)
    least, threshold, eta = map(losses.dtype.type, (-np.inf, nms.nms_threshold, 1))
    suppress(boxes[order][None, :, None], losses[order][None, :, None], -1, least, threshold, eta, -1, kept, count)
    return order[kept[0, 0, : count[0, 0]]]
