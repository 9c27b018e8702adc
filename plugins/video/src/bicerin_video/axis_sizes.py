"""The sizes that video-caffe's `kernel_shape`, `stride_shape` and `pad_shape` give, one for each spatial axis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bicerin.errors import LayerError, ShapeError


def axis_sizes(param: Any, name: str, axes: int, usual: int) -> tuple[int, ...]:
    """The sizes of one field of a `ConvolutionParameter` or a `PoolingParameter`; `usual` for all where it is missing.

    Raises:
        ShapeError: there are not as many as axes, or one is negative.
    """
    if not param.HasField(name):
        return (usual,) * axes
    sizes = tuple(getattr(param, name).dim)
    if len(sizes) != axes:
        raise ShapeError(f"{name} has {len(sizes)} sizes, and the bottom {axes} spatial axes.")
    if min(sizes) < 0:
        raise ShapeError(f"{name} holds a negative size: {sizes}.")
    return sizes


def refuse_other_sizes(param: Any) -> None:
    """Raise a `LayerError` for sizes given as Convolution and Pooling take them."""
    given = {field.name for field, _ in param.ListFields()}
    for name in ("kernel_size", "stride", "pad"):
        short = name.removesuffix("_size")
        for one in (name, f"{short}_h", f"{short}_w"):
            if one in given:
                raise LayerError(f"{one} is not read here; give {short}_shape, with a size for each axis.")


@contextmanager
def sized(param: Any, kernel: Sequence[int], stride: Sequence[int], pad: Sequence[int]) -> Iterator[None]:
    """Within the block a `ConvolutionParameter` has these sizes, one for each axis; after it, it is as it was."""
    before = type(param)()
    before.CopyFrom(param)
    for name, sizes in (("kernel_size", kernel), ("stride", stride), ("pad", pad)):
        field = getattr(param, name)
        del field[:]
        field.extend(sizes)
    try:
        yield
    finally:
        param.CopyFrom(before)
