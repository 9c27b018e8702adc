"""How far one box is like another, in the forms of Yolov3's `iou_loss`, and the derivatives: parts of its kernels.

Boxes are given by their centres and sizes, and `form` is the place of `iou_loss` in `yolov3.FORMS`. With I the overlap
of two boxes, E the smallest box around both, and a(.) an area:

    MSE, IOU    I
    GIOU        I - a(E outside of both) / a(E)
    DIOU        I - (d^2 / c^2)^0.6, d being the distance of the centres and c the diagonal of E
    CIOU        I - d^2 / c^2 - r^2 / (1 - I + r), with r = 4 (atan(p / q) - atan(w / h))^2 / pi^2, of the sizes' ratios

Source: Rezatofighi et al., Generalized intersection over union, 2019; Zheng et al., Distance-IoU loss, 2020; the
exponent of DIOU is darknet's.
"""

from __future__ import annotations

from math import pi

import numpy as np

from bicerin.kernels import part
from bicerin_yolo.boxes_kernels import overlap, overlaps

GENERALIZED, DISTANCE, COMPLETE = 2, 3, 4
#: Against a division by 0 in the weight of the complete form's ratio.
TINY = 1e-6


@part
def likeness(form, x, y, w, h, u, v, p, q):  # type: ignore[no-untyped-def]
    """How far a box is like another: their overlap, less what `form` takes off for boxes that lie apart."""
    shared = overlap(x, y, w, h, u, v, p, q)
    if form < GENERALIZED:
        return shared
    width = max(x + w / 2, u + p / 2) - min(x - w / 2, u - p / 2)
    height = max(y + h / 2, v + q / 2) - min(y - h / 2, v - q / 2)
    if form == GENERALIZED:
        around = width * height
        if around == 0:
            return shared
        common_width = min(x + w / 2, u + p / 2) - max(x - w / 2, u - p / 2)
        common_height = min(y + h / 2, v + q / 2) - max(y - h / 2, v - q / 2)
        common = x * 0
        if common_width > 0 and common_height > 0:
            common = common_width * common_height
        return shared - (around - (w * h + p * q - common)) / around
    diagonal = width * width + height * height
    if diagonal == 0:
        return shared
    apart = ((x - u) * (x - u) + (y - v) * (y - v)) / diagonal
    if form == DISTANCE:
        return shared - apart ** (x * 0 + 0.6)
    angle = np.arctan(p / q) - np.arctan(w / h)
    ratio = 4 * angle * angle / pi**2
    return shared - (apart + ratio / (1 - shared + ratio + TINY) * ratio)


def likenesses(form: int, boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The same of whole arrays, whose last axis is x, y, width, height."""
    shared = overlaps(np, boxes, others)
    if form < GENERALIZED:
        return shared
    half, other_half = boxes[..., 2:] / 2, others[..., 2:] / 2
    stop = np.maximum(boxes[..., :2] + half, others[..., :2] + other_half)
    extent = stop - np.minimum(boxes[..., :2] - half, others[..., :2] - other_half)
    with np.errstate(invalid="ignore", divide="ignore"):
        if form == GENERALIZED:
            areas = boxes[..., 2:].prod(axis=-1) + others[..., 2:].prod(axis=-1)
            around = extent.prod(axis=-1)
            return np.where(around == 0, shared, shared - (around - areas / (1 + shared)) / around)
        diagonal = (extent**2).sum(axis=-1)
        apart = ((boxes[..., :2] - others[..., :2]) ** 2).sum(axis=-1) / diagonal
        if form == DISTANCE:
            return np.where(diagonal == 0, shared, shared - apart**0.6)
        angle = np.arctan(others[..., 2] / others[..., 3]) - np.arctan(boxes[..., 2] / boxes[..., 3])
        ratio = 4 * angle**2 / pi**2
        weight = ratio / (1 - shared + ratio + TINY)
        return np.where(diagonal == 0, shared, shared - (apart + weight * ratio))


@part
def pull(form, x, y, w, h, u, v, p, q):  # type: ignore[no-untyped-def]
    """The derivatives of the likeness of the box (x, y, w, h) to (u, v, p, q), by x, y, and twice those by w and h."""
    zero = x * 0
    one = zero + 1
    top, bottom, left, right = y - h / 2, y + h / 2, x - w / 2, x + w / 2
    other_top, other_bottom, other_left, other_right = v - q / 2, v + q / 2, u - p / 2, u + p / 2
    common_height = min(bottom, other_bottom) - max(top, other_top)
    common_width = min(right, other_right) - max(left, other_left)
    common = common_width * common_height
    union = w * h + p * q - common
    # Of the box's own area, of the common one and of both together, by top, bottom, left and right.
    own = (-(right - left), right - left, -(bottom - top), bottom - top)
    shared = (
        -common_width if top > other_top else zero,
        common_width if bottom < other_bottom else zero,
        -common_height if left > other_left else zero,
        common_height if right < other_right else zero,
    )
    both = (own[0] - shared[0], own[1] - shared[1], own[2] - shared[2], own[3] - shared[3])
    edges = (zero, zero, zero, zero)
    if union > 0:
        square = union * union
        edges = (
            (union * shared[0] - common * both[0]) / square,
            (union * shared[1] - common * both[1]) / square,
            (union * shared[2] - common * both[2]) / square,
            (union * shared[3] - common * both[3]) / square,
        )
    apart = common_width <= 0 or common_height <= 0
    around_height = max(bottom, other_bottom) - min(top, other_top)
    around_width = max(right, other_right) - min(left, other_left)
    if form == GENERALIZED:
        around = around_width * around_height
        wide = (
            -around_width if top < other_top else zero,
            around_width if bottom > other_bottom else zero,
            -around_height if left < other_left else zero,
            around_height if right > other_right else zero,
        )
        more = (zero, zero, zero, zero)
        if around > 0:
            square = around * around
            more = (
                (around * both[0] - union * wide[0]) / square,
                (around * both[1] - union * wide[1]) / square,
                (around * both[2] - union * wide[2]) / square,
                (around * both[3] - union * wide[3]) / square,
            )
        keep = zero if apart else one
        edges = (
            keep * edges[0] + more[0],
            keep * edges[1] + more[1],
            keep * edges[2] + more[2],
            keep * edges[3] + more[3],
        )
    sides = (edges[2] + edges[3], edges[0] + edges[1], edges[3] - edges[2], edges[1] - edges[0])
    if form < DISTANCE:
        return sides
    diagonal = around_width * around_width + around_height * around_height
    distance = (u - x) * (u - x) + (v - y) * (v - y)
    beyond_right, beyond_left = one if right > other_right else zero, one if left < other_left else zero
    beyond_bottom, beyond_top = one if bottom > other_bottom else zero, one if top < other_top else zero
    square = diagonal * diagonal
    more = (
        (2 * (u - x) * diagonal - 2 * around_width * (beyond_right - beyond_left) * distance) / square,
        (2 * (v - y) * diagonal - 2 * around_height * (beyond_bottom - beyond_top) * distance) / square,
        around_width * (beyond_right + beyond_left) * distance / square,
        around_height * (beyond_bottom + beyond_top) * distance / square,
    )
    if form == COMPLETE:
        angle = np.arctan(p / q) - np.arctan(w / h)
        ratio = 4 * angle * angle / pi**2
        weight = 8 * ratio / (1 - common / union + ratio + TINY) * angle / pi**2
        more = (more[0], more[1], more[2] + weight * h, more[3] - weight * w)
    keep = zero if apart else one
    return (
        keep * sides[0] + more[0],
        keep * sides[1] + more[1],
        keep * sides[2] + more[2],
        keep * sides[3] + more[3],
    )
