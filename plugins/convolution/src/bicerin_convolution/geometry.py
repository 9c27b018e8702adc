"""Geometry: the kernel, stride, pad and dilation of each spatial axis, as `ConvolutionParameter` gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from bicerin.errors import ShapeError


@dataclass(frozen=True)
class Geometry:
    """One entry per spatial axis, in each of the four."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @classmethod
    def of(cls, param: Any, axes: int) -> Geometry:
        """Read a `ConvolutionParameter` for so many spatial axes, with Caffe's checks.

        Raises:
            ShapeError: an option is given in two ways, the wrong number of times, or is 0 where it must not be.
        """
        kernel = _sizes(param, "kernel_size", "kernel", axes, default=None)
        stride = _sizes(param, "stride", "stride", axes, default=1)
        pad = _sizes(param, "pad", "pad", axes, default=0)
        dilation = _sizes(param, "dilation", None, axes, default=1)
        if not all(kernel):
            raise ShapeError(f"Filter dimensions must be nonzero; kernel_size is {_by(kernel)}.")
        if not all(stride):
            raise ShapeError(f"Stride dimensions must be nonzero; stride is {_by(stride)}.")
        return cls(kernel, stride, pad, dilation)

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """How many input elements the kernel spans: dilation * (kernel - 1) + 1."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def size(self) -> int:
        """The number of the kernel's elements."""
        return prod(self.kernel)

    @cached_property
    def is_pointwise(self) -> bool:
        """Whether an output position sees only the input at that same position."""
        return all(e == 1 and k == 1 for e, k in zip(self.extent, self.kernel, strict=True)) and not (
            any(self.pad) or any(s != 1 for s in self.stride)
        )

    def output_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The spatial shape of a convolution's output: (input + 2 pad - extent) // stride + 1.

        Raises:
            ShapeError: the kernel is larger than the padded input.
        """
        if any(s + 2 * p < e for s, p, e in zip(shape, self.pad, self.extent, strict=True)):
            raise ShapeError(
                f"a kernel of {self._described()} is larger than the padded input: "
                f"{_by(s + 2 * p for s, p in zip(shape, self.pad, strict=True))}, from {_by(shape)} and pad "
                f"{_by(self.pad)}.",
                "Use a smaller kernel_size or dilation, or a larger pad or input.",
            )
        axes = zip(shape, self.extent, self.stride, self.pad, strict=True)
        return tuple((size + 2 * pad - extent) // stride + 1 for size, extent, stride, pad in axes)

    def input_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The spatial shape of a deconvolution's output: stride * (input - 1) + extent - 2 pad.

        Raises:
            ShapeError: the padding leaves nothing.
        """
        axes = zip(shape, self.extent, self.stride, self.pad, strict=True)
        sizes = tuple(stride * (size - 1) + extent - 2 * pad for size, extent, stride, pad in axes)
        if any(size <= 0 for size in sizes):
            raise ShapeError(
                f"the output would have the size {_by(sizes)}: stride {_by(self.stride)} * (input {_by(shape)} - 1) "
                f"+ kernel {self._described()} - 2 * pad {_by(self.pad)}.",
                "Use a smaller pad, or a larger kernel_size, stride or input.",
            )
        return sizes

    def _described(self) -> str:
        if self.extent == self.kernel:
            return _by(self.kernel)
        return f"{_by(self.kernel)} with dilation {_by(self.dilation)} ({_by(self.extent)})"


def _sizes(param: Any, name: str, short: str | None, axes: int, default: int | None) -> tuple[int, ...]:
    """One option's values: from its `_h` and `_w` fields, or from the repeated field, given once, or once per axis."""
    given = list(getattr(param, name))
    if short is not None and (param.HasField(f"{short}_h") or param.HasField(f"{short}_w")):
        if axes != 2:
            raise ShapeError(
                f"{short}_h & {short}_w can only be used for 2D convolution.", f"Here there are {axes} spatial axes."
            )
        if given:
            raise ShapeError(f"Either {name} or {short}_h/w should be specified; not both.")
        return getattr(param, f"{short}_h"), getattr(param, f"{short}_w")
    if len(given) == axes:
        return tuple(given)
    if len(given) == 1:
        return tuple(given) * axes
    if not given and default is not None:
        return (default,) * axes
    raise ShapeError(
        f"{name} must be specified once, or once per spatial dimension "
        f"({name} specified {len(given)} times; {axes} spatial dims)."
    )


def _by(sizes: Any) -> str:
    return "x".join(str(size) for size in sizes) or "()"
