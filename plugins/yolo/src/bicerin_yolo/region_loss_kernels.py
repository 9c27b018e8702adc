"""D of RegionLoss: of all places as if there were no object, and then what each object changes.

Predictions x and `delta` have the shape `(N, A, 5 + K, H, W)`, `objects` `(N, T, 5)`, anchors `(A, 2)` in places of the
map.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation, kernel, num_workers, part, spread
from bicerin_yolo.boxes_kernels import overlap, overlaps, sigmoid, sigmoids


def region_boxes(x: np.ndarray, anchors: np.ndarray) -> np.ndarray:
    """The predicted boxes, `(N, A, H, W, 4)`."""
    height, width = x.shape[3:]
    j, i = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    a, b = anchors.T[:, None, :, None, None]
    boxes = (
        (i + sigmoids(np, x[:, :, 0])) / width,
        (j + sigmoids(np, x[:, :, 1])) / height,
        np.exp(x[:, :, 2]) * a / width,
        np.exp(x[:, :, 3]) * b / height,
    )
    return np.stack(boxes, axis=-1).astype(x.dtype)


def places_reference(
    x: np.ndarray, objects: np.ndarray, anchors: np.ndarray, thresh: float, scale: float, delta: np.ndarray
) -> None:
    boxes = region_boxes(x, anchors)
    listed = np.cumsum(objects[:, :, 1] == 0, axis=1) == 0
    best = np.zeros(boxes.shape[:-1], x.dtype)
    for t in range(int(listed.sum(axis=1).max(initial=0))):
        others = objects[:, t, None, None, None, 1:]
        shared = np.where(listed[:, t, None, None, None], overlaps(np, boxes, others), 0)
        np.maximum(best, shared, out=best)
    p = sigmoids(np, x[:, :, 4])
    delta.fill(0)
    delta[:, :, 4] = np.where(best > thresh, 0, scale * p * (1 - p) * p)


@part
def places_of_anchor(unit, worker, x, objects, anchors, thresh, scale, delta):  # type: ignore[no-untyped-def]
    """All places of one anchor in one image."""
    count, _, height, width = x.shape[1:]
    n, a = unit // count, unit % count
    own, one = x[n, a], x.dtype.type(1)
    delta[n, a] = 0
    for j in range(height):
        for i in range(width):
            u, v = (i + sigmoid(own[0, j, i])) / width, (j + sigmoid(own[1, j, i])) / height
            w, h = np.exp(own[2, j, i]) * anchors[a, 0] / width, np.exp(own[3, j, i]) * anchors[a, 1] / height
            best = u * 0
            for t in range(objects.shape[1]):
                truth = objects[n, t]
                if truth[1] == 0:
                    break
                best = max(best, overlap(u, v, w, h, truth[1], truth[2], truth[3], truth[4]))
            p = sigmoid(own[4, j, i])
            if not best > thresh:
                delta[n, a, 4, j, i] = scale * p * (one - p) * p


@kernel(reference=places_reference)
def all_places(x, objects, anchors, thresh, scale, delta):  # type: ignore[no-untyped-def]
    # A place is as much work as some 64 elements elsewhere.
    workers = num_workers(64 * x.shape[0] * x.shape[1] * x.shape[3] * x.shape[4])
    spread(places_of_anchor, x.shape[0] * x.shape[1], workers, (x, objects, anchors, thresh, scale, delta))


@host_operation(compiled=True)
def region_places(
    x: np.ndarray, objects: np.ndarray, anchors: np.ndarray, thresh: float, scale: float, delta: np.ndarray
) -> None:
    """Write D into `delta`, as if no object taught anything."""
    real = x.dtype.type
    all_places(x, objects, anchors, real(thresh), real(scale), delta)


@region_places.cuda
def region_places_cuda(
    kernels: Any, x: Any, objects: Any, anchors: Any, thresh: float, scale: float, delta: Any
) -> None:
    _, count, numbers, height, width = x.shape
    delta.fill(0)
    sizes = (count, numbers, height, width, objects.shape[1])
    kernels.region_places(x.size // max(numbers, 1), x, objects, anchors, delta, thresh, scale, *sizes)


@part
def objects_of_image(n, worker, x, objects, anchors, bias_match, rescore, scales, delta):  # type: ignore[no-untyped-def]
    """What the objects of one image change, one after the other."""
    count, numbers, height, width = x.shape[1:]
    one = x.dtype.type(1)
    for t in range(objects.shape[1]):
        truth = objects[n, t]
        if truth[3] == 0:
            break
        i, j = min(int(truth[1] * width), width - 1), min(int(truth[2] * height), height - 1)
        best, chosen = one * 0, 0
        for a in range(count):
            w, h = anchors[a, 0] / width, anchors[a, 1] / height
            if not bias_match:
                w, h = w * np.exp(x[n, a, 2, j, i]), h * np.exp(x[n, a, 3, j, i])
            shared = overlap(one * 0, one * 0, w, h, one * 0, one * 0, truth[3], truth[4])
            if shared > best:
                best, chosen = shared, a
        v, d = x[n, chosen, :, j, i], delta[n, chosen, :, j, i]
        object_scale, class_scale, coord_scale = scales
        if not rescore:
            coord_scale = coord_scale * (one + one - truth[3] * truth[4])
        u, o = sigmoid(v[0]), sigmoid(v[1])
        w, h = anchors[chosen, 0] / width, anchors[chosen, 1] / height
        d[0] = -coord_scale * (truth[1] * width - i - u) * u * (one - u)
        d[1] = -coord_scale * (truth[2] * height - j - o) * o * (one - o)
        d[2] = -coord_scale * (np.log(truth[3] / w) - v[2])
        d[3] = -coord_scale * (np.log(truth[4] / h) - v[3])
        wanted = one
        if rescore:
            box = ((i + u) / width, (j + o) / height, np.exp(v[2]) * w, np.exp(v[3]) * h)
            wanted = overlap(box[0], box[1], box[2], box[3], truth[1], truth[2], truth[3], truth[4])
        p = sigmoid(v[4])
        d[4] = -object_scale * (wanted - p) * p * (one - p)
        most, total = v[5], one * 0
        for c in range(5, numbers):
            most = max(most, v[c])
        for c in range(5, numbers):
            total += np.exp(v[c] - most)
        label = int(truth[0])
        for c in range(5, numbers):
            right = one if c - 5 == label else one * 0
            d[c] = -class_scale * (right - np.exp(v[c] - most) / total)


def objects_reference(
    x: np.ndarray,
    objects: np.ndarray,
    anchors: np.ndarray,
    bias_match: bool,
    rescore: bool,
    scales: tuple[float, float, float],
    delta: np.ndarray,
) -> None:
    for n in range(len(x)):
        objects_of_image(n, 0, x, objects, anchors, bias_match, rescore, scales, delta)


@kernel(reference=objects_reference)
def all_objects(x, objects, anchors, bias_match, rescore, scales, delta):  # type: ignore[no-untyped-def]
    workers = num_workers(64 * objects.shape[0] * objects.shape[1])
    spread(objects_of_image, x.shape[0], workers, (x, objects, anchors, bias_match, rescore, scales, delta))


@host_operation(compiled=True)
def region_objects(
    x: np.ndarray,
    objects: np.ndarray,
    anchors: np.ndarray,
    bias_match: bool,
    rescore: bool,
    object_scale: float,
    class_scale: float,
    coord_scale: float,
    delta: np.ndarray,
) -> None:
    """Change `delta` to D where an object is. The objects must be right."""
    if x.size:
        real = x.dtype.type
        scales = (real(object_scale), real(class_scale), real(coord_scale))
        all_objects(x, objects, anchors, bias_match, rescore, scales, delta)


@region_objects.cuda
def region_objects_cuda(
    kernels: Any,
    x: Any,
    objects: Any,
    anchors: Any,
    bias_match: bool,
    rescore: bool,
    object_scale: float,
    class_scale: float,
    coord_scale: float,
    delta: Any,
) -> None:
    if x.size:
        scales = (object_scale, class_scale, coord_scale)
        sizes = (*x.shape[1:], objects.shape[1])
        kernels.region_objects(len(x), x, objects, anchors, delta, bias_match, rescore, *scales, *sizes)
