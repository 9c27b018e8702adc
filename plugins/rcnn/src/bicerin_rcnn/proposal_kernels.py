"""Boxes from anchors and deltas, and the choice among those that overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread


def decode_image_reference(
    scores: np.ndarray,
    deltas: np.ndarray,
    anchors: np.ndarray,
    stride: int,
    size: tuple[float, float],
    least: tuple[float, float],
    boxes: np.ndarray,
) -> None:
    one, half = boxes.dtype.type(1), boxes.dtype.type(0.5)
    _, rows, columns = scores.shape
    y, x = np.meshgrid(np.arange(rows, dtype=boxes.dtype), np.arange(columns, dtype=boxes.dtype), indexing="ij")
    shift = np.stack([x, y, x, y], axis=-1) * boxes.dtype.type(stride)
    x1, y1, x2, y2 = np.moveaxis(shift[:, :, None] + anchors, -1, 0)
    dx, dy, dw, dh = deltas.transpose(1, 2, 3, 0)
    width, height = x2 - x1 + one, y2 - y1 + one
    middle_x, middle_y = x1 + half * width + dx * width, y1 + half * height + dy * height
    reach_x, reach_y = half * np.exp(dw) * width, half * np.exp(dh) * height
    edges = (middle_x - reach_x, middle_y - reach_y, middle_x + reach_x, middle_y + reach_y)
    limits = (size[1] - one, size[0] - one) * 2
    x1, y1, x2, y2 = (np.maximum(np.minimum(edge, limit), 0) for edge, limit in zip(edges, limits, strict=True))
    large = (y2 - y1 + one >= least[0]) & (x2 - x1 + one >= least[1])
    boxes[...] = np.stack([x1, y1, x2, y2, scores.transpose(1, 2, 0) * large], axis=-1).reshape(-1, 5)


@part
def decode_row(i, worker, scores, deltas, anchors, stride, size, least, boxes):  # type: ignore[no-untyped-def]
    """The boxes of one row of places."""
    one, half, zero = boxes.dtype.type(1), boxes.dtype.type(0.5), boxes.dtype.type(0)
    count, _, columns = scores.shape
    limit_y, limit_x = boxes.dtype.type(size[0]) - one, boxes.dtype.type(size[1]) - one
    y = boxes.dtype.type(i * stride)
    for j in range(columns):
        x = boxes.dtype.type(j * stride)
        for a in range(count):
            width, height = anchors[a, 2] - anchors[a, 0] + one, anchors[a, 3] - anchors[a, 1] + one
            middle_x = x + anchors[a, 0] + half * width + deltas[a, 0, i, j] * width
            middle_y = y + anchors[a, 1] + half * height + deltas[a, 1, i, j] * height
            reach_x = half * np.exp(deltas[a, 2, i, j]) * width
            reach_y = half * np.exp(deltas[a, 3, i, j]) * height
            x1, x2 = max(min(middle_x - reach_x, limit_x), zero), max(min(middle_x + reach_x, limit_x), zero)
            y1, y2 = max(min(middle_y - reach_y, limit_y), zero), max(min(middle_y + reach_y, limit_y), zero)
            large = y2 - y1 + one >= least[0] and x2 - x1 + one >= least[1]
            box = boxes[(i * columns + j) * count + a]
            box[0], box[1], box[2], box[3] = x1, y1, x2, y2
            box[4] = scores[a, i, j] if large else zero


@kernel(reference=decode_image_reference)
def decode_image(scores, deltas, anchors, stride, size, least, boxes):  # type: ignore[no-untyped-def]
    """Write x1, y1, x2, y2 and score of each anchor, in the order (row, column, anchor), into `boxes`, `(H W A, 5)`.

    Args:
        scores: `(A, H, W)`.
        deltas: `(A, 4, H, W)`.
        anchors: `(A, 4)`.
        stride: pixels of the image between neighbouring places.
        size, least: height and width of the image, and the least ones of a box; else its score is 0.
    """
    arguments = (scores, deltas, anchors, stride, size, least, boxes)
    # A box is as much work as some 16 elements elsewhere.
    spread(decode_row, scores.shape[1], num_workers(16 * len(boxes)), arguments)


def suppress_image_reference(boxes: np.ndarray, threshold: float, most: int) -> np.ndarray:
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size and len(kept) < most:
        first, left = left[0], left[1:]
        kept.append(int(first))
        corner = np.maximum(boxes[first, :2], boxes[left, :2])
        opposite = np.minimum(boxes[first, 2:4], boxes[left, 2:4])
        common = np.maximum(opposite - corner + 1, 0).prod(axis=1)
        left = left[common / (areas[first] + areas[left] - common) <= threshold]
    return np.array(kept, np.int64)


@kernel(reference=suppress_image_reference)
def suppress_image(boxes, threshold, most):  # type: ignore[no-untyped-def]
    """The places of up to `most` boxes, best first, none of which overlaps with a better one by more than `threshold`.

    Args:
        boxes: x1, y1, x2, y2 and more, `(B, 4 or more)`, the best first. Corners are pixels, included.
    """
    count = len(boxes)
    one, zero = boxes.dtype.type(1), boxes.dtype.type(0)
    areas = (boxes[:, 2] - boxes[:, 0] + one) * (boxes[:, 3] - boxes[:, 1] + one)
    dropped = np.zeros(count, np.bool_)
    kept = np.empty(min(count, most), np.int64)
    number = 0
    for i in range(count):
        if dropped[i]:
            continue
        kept[number] = i
        number += 1
        if number == most:
            break
        x1, y1, x2, y2, area = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3], areas[i]
        for j in range(i + 1, count):
            if not dropped[j]:
                width = max(min(x2, boxes[j, 2]) - max(x1, boxes[j, 0]) + one, zero)
                height = max(min(y2, boxes[j, 3]) - max(y1, boxes[j, 1]) + one, zero)
                common = width * height
                dropped[j] = common / (area + areas[j] - common) > threshold
    return kept[:number]


@host_operation
def decode(
    scores: np.ndarray,
    deltas: np.ndarray,
    anchors: np.ndarray,
    info: np.ndarray,
    stride: int,
    least: int,
    boxes: np.ndarray,
) -> None:
    """Write x1, y1, x2, y2 and score of each anchor, in the order (row, column, anchor), into `boxes`, `(N, H W A, 5)`.

    Args:
        scores: `(N, 2 A, H, W)`, those of objects last.
        deltas: `(N, 4 A, H, W)`.
        anchors: `(A, 4)`.
        info: for each image, or once for all, height, width, and its scale, or those of rows and columns.
        stride: pixels of the image between neighbouring places.
        least: the least height and width of a box, in the unscaled image; else its score is 0.
    """
    images, _, rows, columns = scores.shape
    count = len(anchors)
    for image in range(images):
        row = info[image if len(info) > 1 else 0]
        size, smallest = (row[0], row[1]), (least * row[2], least * row[-1])
        own = deltas[image].reshape(count, 4, rows, columns)
        decode_image(scores[image, count:], own, anchors, stride, size, smallest, boxes[image])


@decode.cuda
def decode_cuda(
    kernels: Any, scores: Any, deltas: Any, anchors: Any, info: Any, stride: int, least: int, boxes: Any
) -> None:
    sizes = (len(anchors), *scores.shape[2:], stride, least, *info.shape)
    kernels.decode(boxes.size // 5, scores, deltas, anchors, info, boxes, *sizes)


@host_operation(compiled=True)
def suppress(boxes: np.ndarray, threshold: float, kept: np.ndarray, numbers: np.ndarray) -> None:
    """Find boxes of each image, best first, none of which overlaps with a better one by more than `threshold`.

    Args:
        boxes: `(N, B, 5)`, the best first.
        kept: int32, `(N, most)`, their places; what is beyond their number is left as it was.
        numbers: int32, `(N,)`, how many they are.
    """
    for image, own in enumerate(boxes):
        places = suppress_image(own, own.dtype.type(threshold), kept.shape[1])
        numbers[image] = len(places)
        kept[image, : len(places)] = places


@suppress.cuda
def suppress_cuda(kernels: Any, boxes: Any, threshold: float, kept: Any, numbers: Any) -> None:
    dropped = kernels.xp.zeros(boxes.shape[:2], np.int32)
    kernels.suppress.blocks(len(boxes), boxes, dropped, kept, numbers, threshold, boxes.shape[1], kept.shape[1])


@host_operation
def gather(
    boxes: np.ndarray, kept: np.ndarray, numbers: np.ndarray, regions: np.ndarray, scores: np.ndarray | None
) -> None:
    """Write the kept boxes, image after image: `(image, x1, y1, x2, y2)` and, if wanted, their scores."""
    chosen = np.arange(kept.shape[1]) < numbers[:, None]
    image = np.repeat(np.arange(len(numbers)), numbers)
    rows = boxes[image, kept[chosen]]
    regions[:, 0] = image
    regions[:, 1:] = rows[:, :4]
    if scores is not None:
        scores[...] = rows[:, 4]


@gather.cuda
def gather_cuda(kernels: Any, boxes: Any, kept: Any, numbers: Any, regions: Any, scores: Any) -> None:
    wanted = scores is not None
    found = scores if wanted else regions
    kernels.gather(kept.size, boxes, kept, numbers, regions, found, wanted, boxes.shape[1], kept.shape[1])
