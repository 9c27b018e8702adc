"""The L2 norm of several arrays together."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any

import numpy as np

from bicerin.device.device import Device


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
