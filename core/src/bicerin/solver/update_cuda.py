"""The update rules of `update_rules` on a device, each as one pass over memory: `update_rules.cu`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.device.cuda import CudaSource
from bicerin.device.device import Device

KERNELS = CudaSource(__file__, "update_rules.cu")


class DeviceRules:
    """The rules as attributes, with the arguments of `update_rules`."""

    def __init__(self, device: Device, dtype: np.dtype) -> None:
        self._kernels = KERNELS.on(device, dtype)

    def __getattr__(self, name: str) -> Callable[..., None]:
        kernel = getattr(self._kernels, name)
        return lambda data, *arguments: kernel(data.size, data, *arguments)
