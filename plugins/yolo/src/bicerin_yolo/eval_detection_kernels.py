"""Which boxes of an image are right."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_yolo.boxes_kernels import overlap


@part
def judge_image(n, worker, boxes, labels, scores, order, truths, settings, y):  # type: ignore[no-untyped-def]
    """The row of one image."""
    nms, threshold, least = settings
    count, most = boxes.shape[1], truths.shape[1]
    classes = y.shape[1] - 4 * count
    y[n] = 0
    for g in range(most):
        if truths[n, g, 0] >= 0 and truths[n, g, 5] == 0:
            y[n, int(truths[n, g, 0])] += 1
    dropped = np.zeros(count, np.bool_)
    found = np.zeros(most, np.bool_)
    for rank in range(count):
        place = order[n, rank]
        if scores[n, place] < least:
            dropped[place] = True
        if dropped[place] or nms < 0:
            continue
        box = boxes[n, place]
        for later in range(rank + 1, count):
            other = boxes[n, order[n, later]]
            if not dropped[order[n, later]]:
                shared = overlap(box[0], box[1], box[2], box[3], other[0], other[1], other[2], other[3])
                dropped[order[n, later]] = shared >= nms
    column = classes
    for label in range(classes):
        for rank in range(count):
            place = order[n, rank]
            if dropped[place] or labels[n, place] != label:
                continue
            box = boxes[n, place]
            best, chosen = threshold * 0 - 1, -1
            for g in range(most):
                if truths[n, g, 0] == label:
                    own = truths[n, g]
                    shared = overlap(box[0], box[1], box[2], box[3], own[1], own[2], own[3], own[4])
                    if shared > best:
                        best, chosen = shared, g
            y[n, column] = label
            y[n, column + 1] = scores[n, place]
            if chosen < 0 or best < threshold or (truths[n, chosen, 5] == 0 and found[chosen]):
                y[n, column + 3] = 1
            elif truths[n, chosen, 5] == 0:
                y[n, column + 2] = 1
                found[chosen] = True
            column += 4


def judge_reference(
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    order: np.ndarray,
    truths: np.ndarray,
    settings: tuple[Any, ...],
    y: np.ndarray,
) -> None:
    for n in range(len(y)):
        judge_image(n, 0, boxes, labels, scores, order, truths, settings, y)


@kernel(reference=judge_reference)
def judge_images(boxes, labels, scores, order, truths, settings, y):  # type: ignore[no-untyped-def]
    # Each box is compared with the others and with the objects.
    workers = num_workers(y.size * truths.shape[1])
    spread(judge_image, len(y), workers, (boxes, labels, scores, order, truths, settings, y))


@host_operation(compiled=True)
def judge(
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    order: np.ndarray,
    truths: np.ndarray,
    settings: tuple[Any, ...],
    y: np.ndarray,
) -> None:
    """Write the rows of y, `(N, K + 4 P)`.

    Args:
        boxes: x, y, width, height, `(N, P, 4)`.
        labels: int64, `(N, P)`; `scores` likewise.
        order: the boxes, the best score first, `(N, P)`.
        truths: `(N, T, 6)`: class, -1 for none, x, y, width, height, is difficult.
        settings: `nms`, `threshold`, and the least score that counts.
    """
    judge_images(boxes, labels, scores, order, truths, settings, y)
