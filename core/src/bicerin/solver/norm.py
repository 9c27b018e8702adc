"""The L2 norm of several arrays together, and what gradients are clipped by it to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from bicerin.device.device import Device

_log = logging.getLogger("bicerin.solver")


def norm(arrays: Sequence[Any], device: Device) -> float:
    """The square root of the sum of the squares of all elements; one number is read from a device.

    Args:
        arrays: of one axis each, on the device. Infinite values and NaN give infinity or NaN.
    """
    if device.is_host or not arrays:
        with np.errstate(all="ignore"):
            return sqrt(sum(float(array @ array) for array in arrays))
    with device.current():
        return sqrt(device.read_number(sum(array @ array for array in arrays)))


def clipping(limit: float, gradients: Sequence[Any], device: Device, say: bool) -> float:
    """What the gradients are scaled with so that their norm is at most `limit`; a negative one limits nothing.

    Args:
        limit: the solver's `clip_gradients`.
        gradients: of one axis each, on the device.
        say: whether the log is told of it.

    Source: Caffe's `SGDSolver::ClipGradients`.
    """
    if limit < 0:
        return 1.0
    found = norm(gradients, device)
    if found <= limit:
        return 1.0
    if say:
        text = "Gradient clipping: scaling down gradients (L2 norm %g > %g) by scale factor %g"
        _log.info(text, found, limit, limit / found)
    return limit / found
