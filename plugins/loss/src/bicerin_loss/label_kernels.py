"""Labels as class indices, and which scores they beat: kernels, each beside its formula."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import host_operation, kernel, num_workers, operation, part, spread

BLOCK = 256


def read_labels_array(xp: Any, values: Any, classes: int, ignores: bool, ignored: int, labels: Any) -> Any:
    with np.errstate(invalid="ignore"):
        whole = values.astype(np.int64)
    skipped = (whole == ignored) & ignores
    valid = (whole >= 0) & (whole < classes) & (values == values) & ~skipped
    labels[...] = xp.where(valid, whole, -1)
    return valid.sum(), values.size - valid.sum() - skipped.sum()


@kernel(reference=partial(read_labels_array, np))
def read_labels(values, classes, ignores, ignored, labels):  # type: ignore[no-untyped-def]
    """Write each label, truncated, or -1 where it is not valid; returns how many are valid, and wrong."""
    valid, wrong = 0, 0
    for i in range(values.size):
        value = values[i]
        labels[i] = -1
        # False for NaN, and for what an integer cannot hold.
        if abs(value) < 2147483648.0:
            whole = np.int64(value)
            if ignores and whole == ignored:
                continue
            if 0 <= whole < classes:
                labels[i] = whole
                valid += 1
                continue
        wrong += 1
    return valid, wrong


def host_labels(values: np.ndarray, classes: int, ignore_label: int | None = None) -> tuple[np.ndarray, int]:
    """The labels, truncated as Caffe does, and -1 where they are ignored; and how many are not.

    Returns:
        int32 of the shape of `values`, and the number of those that are 0 or more.

    Raises:
        LayerError: a label is not in 0 to `classes` - 1 and not `ignore_label`, or is NaN.
    """
    labels = np.empty(values.shape, np.int32)
    ignores, ignored = ignore_label is not None, ignore_label or 0
    valid, wrong = read_labels(values.reshape(-1), classes, ignores, ignored, labels.reshape(-1))
    if wrong:
        flat = values.reshape(-1)
        first = int(((labels.reshape(-1) < 0) & ((np.trunc(flat) != ignored) | (not ignores))).argmax())
        position = tuple(int(index) for index in np.unravel_index(first, values.shape))
        allowed = f"0 to {classes - 1}" if classes else "none, for there are no classes"
        if ignores:
            allowed += f", or the ignore_label {ignored}"
        raise LayerError(
            f"label {float(flat[first]):g} at {position} is out of range ({int(wrong)} of {labels.size} labels are).",
            f"Labels are class indices: {allowed}.",
        )
    return labels, int(valid)


@host_operation
def class_labels(values: np.ndarray, classes: int, ignore_label: int | None = None) -> tuple[np.ndarray, int]:
    """The labels and how many count, see `host_labels`, which raises where one is wrong.

    On a device, which cannot raise, the number is NaN then, and so is what is computed with it.
    """
    return host_labels(values, classes, ignore_label)


@class_labels.cuda
def class_labels_cuda(kernels: Any, values: Any, classes: int, ignore_label: int | None = None) -> tuple[Any, Any]:
    xp = kernels.xp
    labels, counts = xp.empty(values.shape, np.int32), xp.zeros(2, np.int32)
    ignores, ignored = ignore_label is not None, ignore_label or 0
    kernels.read_labels(values.size, values, classes, ignores, ignored, labels, counts)
    return labels, xp.where(counts[1] > 0, np.nan, counts[0]).astype(values.dtype)


def right_labels_array(xp: Any, scores: Any, labels: Any, top_k: int, right: Any) -> None:
    chosen = xp.take_along_axis(scores, xp.maximum(labels, 0)[:, None, :], axis=1)
    # The label's own class is among those that score as much.
    others = (scores >= chosen).sum(axis=1) - 1
    right[...] = (labels >= 0) & (others < top_k) & (chosen == chosen)[:, 0, :]


@part
def right_labels_block(task, worker, scores, labels, top_k, right):  # type: ignore[no-untyped-def]
    _, classes, inner = scores.shape
    blocks = -(-inner // BLOCK)
    image, start = task // blocks, task % blocks * BLOCK
    size = min(BLOCK, inner - start)
    better = np.zeros(BLOCK, np.int32)
    chosen = np.empty(BLOCK, scores.dtype)
    for i in range(size):
        chosen[i] = scores[image, max(labels[image, start + i], 0), start + i]
    for k in range(classes):
        row = scores[image, k, start : start + size]
        for i in range(size):
            better[i] += np.int32(1) if row[i] >= chosen[i] else np.int32(0)
    for i in range(size):
        # A NaN score is not even as good as itself.
        right[image, start + i] = np.float32(labels[image, start + i] >= 0 and 0 < better[i] <= top_k)


@operation(array=right_labels_array)
def right_labels(scores, labels, top_k, right):  # type: ignore[no-untyped-def]
    """Write which labels, of shape (outer, inner), have fewer than `top_k` other classes that score as much."""
    spread(
        right_labels_block,
        len(scores) * -(-scores.shape[2] // BLOCK),
        num_workers(scores.size),
        (scores, labels, top_k, right),
    )


@right_labels.cuda
def right_labels_cuda(kernels: Any, scores: Any, labels: Any, top_k: int, right: Any) -> None:
    kernels.right_labels(labels.size, scores, labels, right, top_k, *scores.shape[1:])


@host_operation
def count_by_class(labels: np.ndarray, right: np.ndarray, seen: np.ndarray, hits: np.ndarray) -> None:
    """How many labels each class has, and how many of them are right; `seen` and `hits` are (classes,)."""
    seen[...] = np.bincount(labels[labels >= 0], minlength=len(seen))
    hits[...] = np.bincount(labels[right != 0], minlength=len(hits))


@count_by_class.cuda
def count_by_class_cuda(kernels: Any, labels: Any, right: Any, seen: Any, hits: Any) -> None:
    seen.fill(0)
    hits.fill(0)
    kernels.count_by_class(labels.size, labels, right, seen, hits)
