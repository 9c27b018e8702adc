"""Labels as class indices: one for each item, 0 to K - 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob
from bicerin_loss.label_kernels import host_labels


def require_labels(label: Blob, items: int) -> None:
    """Raise a `ShapeError` unless there is one label for each item."""
    if label.count != items:
        raise ShapeError(f"there must be a label for each of the {items} items, not {label.count}: {label.shape}.")


def own_class(xp: Any, labels: Any, classes: int) -> Any:
    """Which class is each item's own, bool `(N, K)`."""
    return labels[:, None] == xp.arange(classes, dtype=np.int32)


def add_fault(rows: Any, fault: Any) -> None:
    """Add what `class_labels` says of each item to its row; on the host nothing."""
    if fault.ndim:
        rows += fault[:, None]


def check_labels(label: Any, classes: int) -> None:
    """Raise what the host would for labels that are out of range; for `ChecksInputs`."""
    host_labels(label.data.reshape(-1), classes)
