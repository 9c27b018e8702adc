"""The labels of pixels as classes, which the host refuses where they are none, and a device answers with NaN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import host_operation


@host_operation
def pixel_classes(labels: np.ndarray, classes: int, ignored: Sequence[int]) -> tuple[np.ndarray, np.ndarray, Any]:
    """Which labels count, the class of each, and what is to be added to results.

    Args:
        labels: float32 or float64, any shape.
        classes: labels are 0 to this, exclusive, truncated.
        ignored: labels that do not count, whether or not they are classes.

    Returns:
        bool and int64 of the shape of `labels`, 0 where one does not count; and 0, or on a device NaN where a label is
        no class.

    Raises:
        LayerError: on the host, a label is no class.
    """
    counts, whole, wrong = _sorted(np, labels, classes, ignored)
    if wrong.any():
        raise LayerError(
            f"label {labels[wrong][0]:g} is no class ({int(wrong.sum())} of {labels.size} are not).",
            f"Labels are 0 to {classes - 1}, or one of ignore_label: {list(ignored)}.",
        )
    return counts, whole, 0


@pixel_classes.cuda
def pixel_classes_cuda(kernels: Any, labels: Any, classes: int, ignored: Sequence[int]) -> tuple[Any, Any, Any]:
    xp = kernels.xp
    counts, whole, wrong = _sorted(xp, labels, classes, ignored)
    return counts, whole, xp.where(wrong.any(), np.nan, 0).astype(labels.dtype)


def _sorted(xp: Any, labels: Any, classes: int, ignored: Sequence[int]) -> tuple[Any, Any, Any]:
    """Which labels count, their classes, and which labels are none."""
    with np.errstate(invalid="ignore"):
        whole = labels.astype(np.int64)
    skipped = xp.zeros(whole.shape, bool)
    for label in ignored:
        skipped |= whole == label
    inside = (labels > -1) & (labels < classes)
    counts = inside & ~skipped
    return counts, xp.where(counts, whole, 0), ~inside & ~skipped


@host_operation
def count_numbers(numbers: np.ndarray, length: int) -> Any:
    """How often each whole number from 0 to `length`, exclusive, is there, shape `(length,)`."""
    return np.bincount(numbers, minlength=length)


@count_numbers.cuda
def count_numbers_cuda(kernels: Any, numbers: Any, length: int) -> Any:
    # CuPy's bincount looks for the least and the greatest number on the host.
    xp = kernels.xp
    counts = xp.zeros(length, np.float64)
    xp.add.at(counts, numbers, 1)
    return counts
