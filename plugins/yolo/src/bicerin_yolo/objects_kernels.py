"""Objects, which the host refuses where they are wrong, and a device answers with NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import host_operation
from bicerin_yolo.objects import ANNOTATED, faults, list_objects, refuse_faults


def _listed(xp: Any, values: Any, images: int, own: Any) -> tuple[Any, Any]:
    """The objects in a blob's values, and 0, or NaN where one is of an image that is not there."""
    if not own.shape[0]:
        return values.reshape(images, *own.shape[1:]), 0
    fault = list_objects(xp, values.reshape(-1, ANNOTATED), own)
    return own[:images], fault


@host_operation
def read_objects(values: np.ndarray, images: int, own: np.ndarray, classes: int) -> tuple[np.ndarray, Any]:
    """The objects, `(N, T, 5)`, and 0, or on a device NaN where one is wrong.

    Args:
        values: a blob of objects, in either form.
        own: where those of AnnotatedData are listed, `(N + 1, T, 5)`; `(0, T, 5)` for the other form.

    Raises:
        LayerError: on the host, one is wrong.
    """
    objects, fault = _listed(np, values, images, own)
    refuse_faults(objects, classes, fault)
    return objects, 0


@read_objects.cuda
def read_objects_cuda(kernels: Any, values: Any, images: int, own: Any, classes: int) -> tuple[Any, Any]:
    objects, fault = _listed(kernels.xp, values, images, own)
    return objects, kernels.xp.where(faults(kernels.xp, objects, classes).any(), np.nan, fault)
