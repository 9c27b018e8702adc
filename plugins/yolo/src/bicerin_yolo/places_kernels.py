"""The classes of the objects at places: the host refuses one that there is not, and a device answers with NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin.kernels import host_operation


@host_operation
def known_classes(is_object: np.ndarray, label: np.ndarray, classes: int) -> Any:
    """0, or on a device NaN where the object at a place, `(N, S^2)`, is of no class.

    Raises:
        LayerError: on the host, the same.
    """
    wrong = (is_object != 0) & ~((label >= 0) & (label < classes))
    if wrong.any():
        image, place = (int(index) for index in np.unravel_index(int(wrong.argmax()), wrong.shape))
        raise LayerError(
            f"the object at place {place} of image {image} is of class {float(label[image, place]):g}; there are "
            f"{classes}: 0 to {classes - 1}."
        )
    return 0


@known_classes.cuda
def known_classes_cuda(kernels: Any, is_object: Any, label: Any, classes: int) -> Any:
    wrong = (is_object != 0) & ~((label >= 0) & (label < classes))
    return kernels.xp.where(wrong.any(), np.nan, 0).astype(label.dtype)
