"""Operation: one arithmetic thing, called the same way on every device, with a form for each.

    def forward_array(xp, x, slope, y):                    # whole-array code: NumPy's, CuPy's, and the reference
        y[...] = xp.where(x > 0, x, x * slope[:, None])

    @operation(array=forward_array)
    def forward(x, slope, y):                              # the kernel, compiled when it is first called
        spread(forward_row, ...)

    @forward.cuda
    def forward_cuda(kernels, x, slope, y):                # how the kernel of the .cu file is launched
        kernels.forward(x.size, x, slope, y, *x.shape[1:])

A layer names the module of its operations and calls `self.ops.forward(x, slope, y)`. What is missing is made up for,
operation by operation: without a CUDA kernel the array form runs on the device; without an array form the arrays go to
the host and back.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels.compiled import COMPILED, WITH_PANELS, kernel

Function = Callable[..., Any]


class Operation:
    """One arithmetic thing; calling it runs the host's form.

    Args:
        name: as layers call it.
        host: runs on the host.
        array: takes the array module and then the arguments; None where there is no such form.
        compiled: whether `host` is a kernel rather than array code.

    Attributes:
        launch: takes the kernels of the layer's CUDA C and then the arguments; None where there is no such form.
        text: CUDA C that was made from the operation's formula.
    """

    def __init__(self, name: str, host: Function, array: Function | None = None, compiled: bool = False) -> None:
        self.name = name
        self.host = host
        self.array = array
        self.compiled = compiled
        self.launch: Function | None = None
        self.text = ""

    def __call__(self, *arguments: Any) -> Any:
        return self.host(*arguments)

    def __repr__(self) -> str:
        return f"Operation({self.name!r})"

    def cuda(self, launch: Function) -> Operation:
        """Decorator: the function that launches the CUDA kernel, `launch(kernels, *arguments)`."""
        self.launch = launch
        return self

    @property
    def on_host(self) -> str:
        """What the host runs: "compiled" or "array"."""
        return "compiled" if self.compiled else "array"

    @property
    def on_device(self) -> str:
        """What a device runs: "cuda", "array", or "host" where the arrays go to the host and back."""
        return "cuda" if self.launch is not None else "array" if self.array is not None else "host"


def operation(
    array: Function | None = None,
    *,
    reference: Function | None = None,
    compiled_where: Function | None = None,
    fastmath: Any = False,
    panels: bool = False,
    text: str = "",
) -> Callable[[Function], Operation]:
    """Make an operation of the decorated function, which is compiled for the host as a `kernel` is.

    Args:
        array: the array form; on the host it is the reference.
        reference: for the host, where NumPy has a better one than `array`.
        compiled_where: given the arguments, whether the kernel is the faster form; by default always.
        panels: whether the kernel uses `bicerin.kernels.panel`: where that cannot be had, the reference runs.
        fastmath, text: as for `kernel`.
    """
    numpy_form = reference if reference is not None else None if array is None else partial(array, np)

    def decorate(function: Function) -> Operation:
        if panels and not WITH_PANELS:
            assert numpy_form is not None
            return Operation(function.__name__, numpy_form, array)
        compiled = kernel(reference=numpy_form, fastmath=fastmath, text=text)(function)
        host = compiled
        if COMPILED and compiled_where is not None and numpy_form is not None:

            def host(*arguments: Any) -> Any:
                return (compiled if compiled_where(*arguments) else numpy_form)(*arguments)

        return Operation(function.__name__, host, array, COMPILED)

    return decorate


def array_operation(function: Function) -> Operation:
    """Make an operation of array code alone: `function(xp, *arguments)`. A CUDA kernel may be added with `cuda`."""
    return Operation(function.__name__, partial(function, np), function)


def host_operation(function: Function | None = None, *, compiled: bool = False) -> Any:
    """Make an operation of a function that runs on the host as it is; with `cuda` it gets a form for devices.

    Args:
        compiled: whether it does its work with kernels, which tables of what runs where then say.
    """
    if function is None:
        return partial(host_operation, compiled=compiled)
    return Operation(function.__name__, function, compiled=compiled and COMPILED)
