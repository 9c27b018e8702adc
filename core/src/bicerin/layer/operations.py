"""Operations: those of a layer's modules, resolved for the device that the layer runs on.

    class PReLULayer(Layer):
        operations = Operations("prelu_kernels")    # prelu_kernels.py beside this file and, if it is there, prelu.cu

        def forward(self, bottom, top):
            self.ops.forward(bottom[0].data.reshape(self.rows), self.blobs[0].data, top[0].data.reshape(self.rows))

The module is imported when the first layer is made, since kernels bring Numba. Its operations (`bicerin.kernels`) are
called in one way everywhere; which form runs is decided once for a device and a dtype.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from bicerin.device.cuda import CudaSource
from bicerin.device.device import Device
from bicerin.errors import DeviceError

if TYPE_CHECKING:
    from bicerin.kernels import Operation

_log = logging.getLogger("bicerin.layer")


class Resolved(SimpleNamespace):
    """The operations of a layer as attributes, each in the form for one device."""

    def __getattr__(self, name: str) -> Any:
        """Called for a name that is not there."""
        known = ", ".join(one for one in vars(self) if one != "kernels") or "none"
        raise AttributeError(f'there is no operation "{name}"; those of the layer\'s modules: {known}')


class Operations:
    """The operations of one or more modules, as a class attribute of a layer.

    Args:
        modules: names of modules beside the layer's own.
        cuda: a file of CUDA C beside them; by default each module's name without `_kernels`, with `.cu`, where there is
            such a file. A layer with a `forward_gpu` of its own has the kernels in `self.ops.kernels`.
    """

    def __init__(self, *modules: str, cuda: str | None = None) -> None:
        self._names = modules
        self._cuda = cuda
        self._package = ""
        self._resolved: dict[tuple[type[Device], int, np.dtype, bool], Resolved] = {}

    def __set_name__(self, owner: type, name: str) -> None:
        self._package = owner.__module__.rpartition(".")[0]
        self._folder = Path(getattr(sys.modules[owner.__module__], "__file__", None) or ".").parent

    @cached_property
    def modules(self) -> list[ModuleType]:
        return [importlib.import_module(f"{self._package}.{name}") for name in self._names]

    @cached_property
    def all(self) -> dict[str, Operation]:
        """Every operation, by name."""
        if not self._names:
            return {}
        from bicerin.kernels import Operation

        return {
            name: found
            for module in self.modules
            for name, found in vars(module).items()
            if isinstance(found, Operation) and found.name == name  # not the function that launches it
        }

    @cached_property
    def source(self) -> CudaSource | None:
        """The CUDA C: what was made from formulas, and the files; None where there is none."""
        generated = "\n".join(one.text for one in self.all.values() if one.text)
        paths = [self._folder / self._cuda] if self._cuda else []
        for module in self.modules:
            assert module.__file__ is not None
            beside = Path(module.__file__)
            path = beside.with_name(beside.stem.removesuffix("_kernels") + ".cu")
            if not self._cuda and path.is_file() and path not in paths:
                paths.append(path)
        return CudaSource(paths, generated) if paths or generated else None

    def on(self, device: Device, dtype: np.dtype, strict: bool = False) -> Resolved:
        """The operations as attributes, for the arrays of a device.

        Args:
            strict: whether an operation without a form for the device is an error, rather than run on the host.

        Raises:
            DeviceError: the same.
        """
        key = (type(device), device.index, dtype, strict)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(device, dtype, strict)
        return self._resolved[key]

    def _resolve(self, device: Device, dtype: np.dtype, strict: bool) -> Resolved:
        if device.is_host:
            return Resolved(**{name: one.host for name, one in self.all.items()})
        kernels: Any = SimpleNamespace(xp=device.xp) if self.source is None else self.source.on(device, dtype)
        found: dict[str, Callable[..., Any]] = {}
        for name, one in self.all.items():
            if one.launch is not None:
                found[name] = partial(one.launch, kernels)
            elif one.array is not None:
                found[name] = partial(one.array, device.xp)
            else:
                reason = f'the operation "{name}" of {self.modules[0].__name__} has no form for the device "{device}"'
                if strict:
                    raise DeviceError(f"{reason}, and strict_device forbids to run it on the CPU.")
                _log.warning("%s; it runs on the CPU, with the copies that this needs.", reason)
                found[name] = partial(_through_host, one.host, device)
        return Resolved(kernels=kernels, **found)


def _through_host(function: Callable[..., Any], device: Device, *arguments: Any) -> Any:
    """Run the host's form on copies of a device's arrays, and copy back those that it changed."""
    array = device.xp.ndarray
    copies = []
    for value in arguments:
        copy = value
        if isinstance(value, array):
            copy = np.empty(value.shape, value.dtype)
            device.to_host(value, copy)
        copies.append(copy)
    before = [copy.copy() if isinstance(copy, np.ndarray) else None for copy in copies]
    result = function(*copies)
    for value, copy, old in zip(arguments, copies, before, strict=True):
        if old is not None and value is not copy and not np.array_equal(copy, old, equal_nan=True):
            device.from_host(copy, value)
    return result
