"""Labels as class indices, which the host refuses where they are wrong, and a device answers with NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation
from bicerin_loss.label_kernels import host_labels


@host_operation
def class_labels(values: np.ndarray, classes: int) -> tuple[np.ndarray, Any]:
    """The labels, int32 `(N,)`, and what is to be added to results: 0, or on a device NaN where a label is wrong.

    Raises:
        LayerError: on the host, a label is out of range.
    """
    flat = values.reshape(-1)
    return host_labels(flat, classes)[0], flat.dtype.type(0)


@class_labels.cuda
def class_labels_cuda(kernels: Any, values: Any, classes: int) -> tuple[Any, Any]:
    xp, flat = kernels.xp, values.reshape(-1)
    whole = xp.where(flat == flat, flat, -1).astype(np.int32)
    right = (whole >= 0) & (whole < classes)
    return xp.where(right, whole, 0), xp.where(right, 0, np.nan).astype(flat.dtype)
