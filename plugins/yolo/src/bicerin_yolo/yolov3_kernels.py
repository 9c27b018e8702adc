"""D of Yolov3: of all places as if there were no object, and then what each object changes.

Predictions x and `delta` have the shape `(N, A, 5 + K, H, W)`, `objects` `(N, T, 5)`, anchors `(A, 2)` in pixels of the
image, whose `rows` and `columns` are. `form` is the place of `iou_loss` in `yolov3.FORMS`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_yolo.boxes_kernels import overlap, sigmoid, sigmoids
from bicerin_yolo.likeness import DISTANCE, GENERALIZED, likeness, likenesses, pull


def places_reference(
    x: np.ndarray,
    objects: np.ndarray,
    anchors: np.ndarray,
    rows: int,
    columns: int,
    form: int,
    thresh: float,
    delta: np.ndarray,
) -> None:
    height, width = x.shape[3:]
    j, i = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    a, b = anchors.T[:, None, :, None, None]
    corner = (i + sigmoids(np, x[:, :, 0])) / width, (j + sigmoids(np, x[:, :, 1])) / height
    boxes = np.stack([*corner, np.exp(x[:, :, 2]) * a / columns, np.exp(x[:, :, 3]) * b / rows], axis=-1)
    listed = np.cumsum(objects[:, :, 1] == 0, axis=1) == 0
    best = np.zeros(boxes.shape[:-1], x.dtype)
    for t in range(int(listed.sum(axis=1).max(initial=0))):
        like = likenesses(form, boxes.astype(x.dtype), objects[:, t, None, None, None, 1:])
        np.maximum(best, np.where(listed[:, t, None, None, None], like, 0), out=best)
    delta.fill(0)
    delta[:, :, 4] = np.where(best > thresh, 0, sigmoids(np, x[:, :, 4]))


@part
def places_of_anchor(unit, worker, x, objects, anchors, rows, columns, form, thresh, delta):  # type: ignore[no-untyped-def]
    """All places of one anchor in one image."""
    count, _, height, width = x.shape[1:]
    n, a = unit // count, unit % count
    own = x[n, a]
    delta[n, a] = 0
    for j in range(height):
        for i in range(width):
            u, v = (i + sigmoid(own[0, j, i])) / width, (j + sigmoid(own[1, j, i])) / height
            w, h = np.exp(own[2, j, i]) * anchors[a, 0] / columns, np.exp(own[3, j, i]) * anchors[a, 1] / rows
            best = u * 0
            for t in range(objects.shape[1]):
                truth = objects[n, t]
                if truth[1] == 0:
                    break
                best = max(best, likeness(form, u, v, w, h, truth[1], truth[2], truth[3], truth[4]))
            if not best > thresh:
                delta[n, a, 4, j, i] = sigmoid(own[4, j, i])


@kernel(reference=places_reference)
def all_places(x, objects, anchors, rows, columns, form, thresh, delta):  # type: ignore[no-untyped-def]
    # A place is as much work as some 64 elements elsewhere.
    workers = num_workers(64 * x.shape[0] * x.shape[1] * x.shape[3] * x.shape[4])
    arguments = (x, objects, anchors, rows, columns, form, thresh, delta)
    spread(places_of_anchor, x.shape[0] * x.shape[1], workers, arguments)


@host_operation(compiled=True)
def yolo_places(
    x: np.ndarray,
    objects: np.ndarray,
    anchors: np.ndarray,
    rows: int,
    columns: int,
    form: int,
    thresh: float,
    delta: np.ndarray,
) -> None:
    """Write D into `delta`, as if no object taught anything."""
    all_places(x, objects, anchors, rows, columns, form, x.dtype.type(thresh), delta)


@yolo_places.cuda
def yolo_places_cuda(
    kernels: Any,
    x: Any,
    objects: Any,
    anchors: Any,
    rows: int,
    columns: int,
    form: int,
    thresh: float,
    delta: Any,
) -> None:
    delta.fill(0)
    sizes = (*x.shape[1:], objects.shape[1], rows, columns, form)
    kernels.yolo_places(x.size // max(x.shape[2], 1), x, objects, anchors, delta, thresh, *sizes)


@part
def limited(value, most):  # type: ignore[no-untyped-def]
    if not np.isfinite(value):
        return value * 0 if value == value and value * 0 == 0 else most * 0
    return min(max(value, -most), most)


@part
def teach(v, d, truth, i, j, a, b, width, height, rows, columns, form, settings):  # type: ignore[no-untyped-def]
    """What an object changes of D of the place (i, j) of an anchor of size (a, b); returns 1 - the boxes' likeness."""
    object_scale, class_scale, coord_scale, _, normalizer, most, smooth, accumulate, focal = settings
    one = object_scale * 0 + 1
    zero = one * 0
    u, o = sigmoid(v[0]), sigmoid(v[1])
    box = ((i + u) / width, (j + o) / height, np.exp(v[2]) * a / columns, np.exp(v[3]) * b / rows)
    lost = zero
    if form == 0:
        scale = coord_scale * (one + one - truth[3] * truth[4])
        d[0] = -scale * (truth[1] * width - i - u)
        d[1] = -scale * (truth[2] * height - j - o)
        d[2] = -scale * (np.log(truth[3] * columns / a) - v[2])
        d[3] = -scale * (np.log(truth[4] * rows / b) - v[3])
    else:
        pulled = pull(form, box[0], box[1], box[2], box[3], truth[1], truth[2], truth[3], truth[4])
        gradient = (pulled[0], pulled[1], pulled[2] * np.exp(v[2]), pulled[3] * np.exp(v[3]))
        for k in range(4):
            old = d[k] if accumulate else zero
            d[k] = old - limited(gradient[k] * normalizer, most)
        # The fork has no loss of its own for the plain overlap.
        shown = max(form, DISTANCE) if form != GENERALIZED else form
        lost = one - likeness(shown, box[0], box[1], box[2], box[3], truth[1], truth[2], truth[3], truth[4])
    d[4] = -object_scale * (one - sigmoid(v[4]))
    label = 5 + int(truth[0])
    if d[label] != 0:
        d[label] = -class_scale * (one - smooth / 2 - sigmoid(v[label]))
        return lost
    p = sigmoid(v[label])
    steep = -(one - p) * ((p + p) * np.log(max(p, zero + 1e-15)) + p - one) / 2
    for c in range(5, len(v)):
        right = one if c == label else zero
        if focal:
            d[c] = -class_scale * (right - sigmoid(v[c])) * steep
        else:
            d[c] = -class_scale * (right * (one - smooth) + smooth / 2 - sigmoid(v[c]))
    return lost


@part
def objects_of_image(n, worker, x, objects, every, mask, rows, columns, form, settings, delta, boxes):  # type: ignore[no-untyped-def]
    """What the objects of one image change, one after the other."""
    height, width = x.shape[3], x.shape[4]
    zero, threshold = x.dtype.type(0), settings[3]
    boxes[n, 0] = boxes[n, 1] = 0
    for t in range(objects.shape[1]):
        truth = objects[n, t]
        if truth[3] == 0:
            break
        i, j = min(int(truth[1] * width), width - 1), min(int(truth[2] * height), height - 1)
        best, nearest = zero, 0
        for k in range(len(every)):
            shared = overlap(zero, zero, every[k, 0] / columns, every[k, 1] / rows, zero, zero, truth[3], truth[4])
            if shared > best:
                best, nearest = shared, k
        # First the best anchor, if this map has it, and then those that are like the object, but the one whose number
        # is the best one's place here.
        place = -1
        for turn in range(2):
            for k in range(len(mask)):
                a, b = every[mask[k], 0], every[mask[k], 1]
                if turn == 0:
                    chosen = mask[k] == nearest
                else:
                    shared = overlap(zero, zero, a / columns, b / rows, zero, zero, truth[3], truth[4])
                    chosen = mask[k] != place and threshold < 1 and shared > threshold
                if chosen:
                    v, d = x[n, k, :, j, i], delta[n, k, :, j, i]
                    boxes[n, 0] += teach(v, d, truth, i, j, a, b, width, height, rows, columns, form, settings)
                    boxes[n, 1] += 1
                    if turn == 0:
                        place = k
                        break


def objects_reference(
    x: np.ndarray,
    objects: np.ndarray,
    every: np.ndarray,
    mask: np.ndarray,
    rows: int,
    columns: int,
    form: int,
    settings: tuple[Any, ...],
    delta: np.ndarray,
    boxes: np.ndarray,
) -> None:
    for n in range(len(x)):
        objects_of_image(n, 0, x, objects, every, mask, rows, columns, form, settings, delta, boxes)


@kernel(reference=objects_reference)
def all_objects(x, objects, every, mask, rows, columns, form, settings, delta, boxes):  # type: ignore[no-untyped-def]
    workers = num_workers(64 * objects.shape[0] * objects.shape[1])
    arguments = (x, objects, every, mask, rows, columns, form, settings, delta, boxes)
    spread(objects_of_image, x.shape[0], workers, arguments)


@host_operation(compiled=True)
def yolo_objects(
    x: np.ndarray,
    objects: np.ndarray,
    every: np.ndarray,
    mask: np.ndarray,
    rows: int,
    columns: int,
    form: int,
    settings: tuple[Any, ...],
    delta: np.ndarray,
    boxes: np.ndarray,
) -> None:
    """Change `delta` to D where an object is. The objects must be right.

    Args:
        every: the anchors of all maps, `(B, 2)`.
        mask: int32, `(A,)`: those of this map.
        settings: `object_scale`, `class_scale`, `coord_scale`, `iou_thresh`, `iou_normalizer`, `max_delta`,
            `label_smooth_eps`, and whether to accumulate, and the focal loss.
        boxes: `(N, 2)`, written: of each image, the sum of 1 - likeness of the boxes that are taught, and how many.
    """
    if not x.size:
        boxes.fill(0)
        return
    *numbers, accumulate, focal = settings
    settings = (*map(x.dtype.type, numbers), accumulate, focal)
    all_objects(x, objects, every, mask, rows, columns, form, settings, delta, boxes)


@yolo_objects.cuda
def yolo_objects_cuda(
    kernels: Any,
    x: Any,
    objects: Any,
    every: Any,
    mask: Any,
    rows: int,
    columns: int,
    form: int,
    settings: tuple[Any, ...],
    delta: Any,
    boxes: Any,
) -> None:
    if not x.size:
        boxes.fill(0)
        return
    sizes = (*x.shape[1:], objects.shape[1], len(every), rows, columns, form)
    kernels.yolo_objects(len(x), x, objects, every, mask, delta, boxes, *settings, *sizes)
