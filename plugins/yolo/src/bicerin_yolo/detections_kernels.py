"""Boxes of predictions, the choice among those that overlap, and the list of what stays.

Rows have the shape `(R, 7)`: image, label, score, x, y, width, height.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import array_operation, host_operation, kernel
from bicerin_yolo.boxes_kernels import overlap, overlaps, sigmoids


@host_operation
def worth_a_look(sure: np.ndarray) -> np.ndarray | None:
    """The places, flat, whose scores need to be computed; None on a device, which computes all, for their number would
    have to be read from it.
    """
    return np.flatnonzero(sure)


@worth_a_look.cuda
def worth_a_look_cuda(kernels: Any, sure: Any) -> None:
    return None


@array_operation
def decode(xp: Any, x: Any, anchors: Any, place: Any, rows: Any) -> None:
    """Write the image and the box of each place into `rows`.

    Args:
        x: predictions, `(N, A, 5 + K, H, W)`.
        anchors: `(A, 2)`, in places of the map.
        place: numbers in the order (image, anchor, row, column), `(R,)`.
    """
    _, count, _, height, width = x.shape
    column, row = place % width, place // width % height
    anchor, image = place // (width * height) % count, place // (width * height * count)
    rows[:, 0] = image
    rows[:, 3] = (column + sigmoids(xp, x[image, anchor, 0, row, column])) / width
    rows[:, 4] = (row + sigmoids(xp, x[image, anchor, 1, row, column])) / height
    rows[:, 5] = xp.exp(x[image, anchor, 2, row, column]) * anchors[anchor, 0] / width
    rows[:, 6] = xp.exp(x[image, anchor, 3, row, column]) * anchors[anchor, 1] / height


def suppress_reference(rows: np.ndarray, order: np.ndarray, threshold: float, kept: np.ndarray) -> int:
    number = 0
    left = order[rows[order, 2] >= 0]
    while left.size:
        first, left = left[0], left[1:]
        kept[number] = first
        number += 1
        shared = overlaps(np, rows[first, None, 3:], rows[left, 3:])
        left = left[(rows[left, 0] != rows[first, 0]) | ~(shared >= threshold)]
    return number


@kernel(reference=suppress_reference)
def suppress_rows(rows, order, threshold, kept):  # type: ignore[no-untyped-def]
    number, first = 0, 0
    for place in order:
        one = rows[place]
        if one[2] < 0:
            continue
        if number and rows[kept[number - 1], 0] != one[0]:
            first = number  # of another image
        stays = True
        for k in range(first, number):
            other = rows[kept[k]]
            if overlap(one[3], one[4], one[5], one[6], other[3], other[4], other[5], other[6]) >= threshold:
                stays = False
                break
        if stays:
            kept[number] = place
            number += 1
    return number


@host_operation(compiled=True)
def suppress(rows: np.ndarray, order: np.ndarray, threshold: float, kept: np.ndarray, found: np.ndarray) -> None:
    """Find the rows that overlap with no better one of their image by `threshold` or more, whatever their labels.

    Args:
        order: int32, `(R,)`: the rows by image, the best score first. Those of a score below 0 are nothing.
        kept: int32, `(R,)`: written, their places; what is beyond their number is left as it was.
        found: int32, `(1,)`: written, how many they are.
    """
    found[0] = suppress_rows(rows, order, rows.dtype.type(threshold), kept)


@suppress.cuda
def suppress_cuda(kernels: Any, rows: Any, order: Any, threshold: float, kept: Any, found: Any) -> None:
    if len(rows):
        dropped = kernels.xp.zeros(len(rows), np.int32)
        kernels.suppress.blocks(1, rows, order, dropped, kept, found, threshold, len(rows))


@array_operation
def gather(xp: Any, rows: Any, kept: Any, y: Any) -> None:
    """Write the rows that stay, with corners in place of centres and sizes."""
    chosen = rows[kept[: len(y)]]
    half = chosen[:, 5:] / 2
    y[:, :3] = chosen[:, :3]
    y[:, 3:5] = chosen[:, 3:5] - half
    y[:, 5:] = chosen[:, 3:5] + half
