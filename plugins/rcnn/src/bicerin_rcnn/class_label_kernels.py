"""Labels as class indices."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import host_operation


def _classes(xp: Any, values: Any, classes: int, ignored: int | None) -> tuple[Any, Any]:
    """The labels as int64, -1 where they do not count, and which are known: classes or ignored."""
    whole = xp.trunc(values)
    right = (whole >= 0) & (whole < classes)
    known = right
    if ignored is not None:
        right, known = right & (whole != ignored), right | (whole == ignored)
    return xp.where(right, whole, -1).astype(np.int64), known


@host_operation
def class_labels(values: np.ndarray, classes: int, ignored: int | None) -> tuple[np.ndarray, Any]:
    """The labels, truncated, as int64, -1 where they are ignored; and 0, or on a device NaN where one is wrong.

    Raises:
        LayerError: on the host, a label is neither a class nor ignored.
    """
    labels, known = _classes(np, values, classes, ignored)
    if not known.all():
        first = int(known.reshape(-1).argmin())
        raise LayerError(
            f"label {float(values.reshape(-1)[first]):g} is out of range; {int((~known).sum())} of {known.size} are.",
            f"Labels are class indices, 0 to {classes - 1}, or loss_param.ignore_label.",
        )
    return labels, 0.0


@class_labels.cuda
def class_labels_cuda(kernels: Any, values: Any, classes: int, ignored: int | None) -> tuple[Any, Any]:
    xp = kernels.xp
    labels, known = _classes(xp, values, classes, ignored)
    return labels, xp.where(known.all(), 0, np.nan).astype(values.dtype)
