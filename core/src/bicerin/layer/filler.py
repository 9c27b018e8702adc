"""Fillers: the values that weights start from.

A filler is a function `(shape, param, random) -> array of that shape`, found by name through the entry-point group
`bicerin.fillers`. `param` is a `FillerParameter`, `random` a NumPy `Generator`; a device gets a copy of the values.

A filler that is marked `on_any_device` makes them there: its `random` is a `RandomStream`, with the array module of the
device in `random.xp`, and draws the same numbers on every device.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf, prod, sqrt
from typing import Any, TypeVar

import numpy as np

from bicerin.device.random_stream import RandomStream
from bicerin.discovery.registry import Registry
from bicerin.errors import BicerinError, ShapeError
from bicerin.layer.blob import Blob

Filler = TypeVar("Filler", bound=Callable[..., Any])

fillers = Registry("bicerin.fillers", "filler type")


def on_any_device(filler: Filler) -> Filler:
    """Mark a filler that makes its values with `random.xp` and the methods of a `RandomStream`."""
    marked: Any = filler  # a function has whatever attributes it is given
    marked.on_any_device = True
    return filler


def fill(blob: Blob, param: Any, random: np.random.Generator) -> None:
    """Fill a blob's data as `param.type` says.

    Raises:
        UnknownNameError: no installed distribution brings that filler.
        ShapeError: the filler cannot fill this shape.
        BicerinError: it cannot do what a field asks for.
    """
    blob = blob.blob
    filler = fillers.load(param.type)
    if filler is not msra and getattr(param, "alpha", 0.0) != 0:
        raise BicerinError(f'the filler "{param.type}" has no alpha; only "msra" does.')
    if not getattr(filler, "on_any_device", False):
        blob.data[...] = filler(blob.shape, param, random)
        return
    stream = RandomStream(random, blob.device, blob.dtype)
    with blob.device.current():
        blob.on(blob.device).data[...] = filler(blob.shape, param, stream)


@on_any_device
def constant(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """`value` everywhere."""
    _refuse_sparse(param)
    return random.xp.full(shape, param.value, random.dtype)


@on_any_device
def uniform(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """Uniform in [min, max)."""
    _refuse_sparse(param)
    if not -inf < param.min <= param.max < inf:
        raise BicerinError(f'the filler "uniform" needs finite min <= max, not {param.min:g} and {param.max:g}.')
    return random.uniform(param.min, param.max, shape)


@on_any_device
def gaussian(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """Normal with `mean` and `std`.

    With `sparse` = s of at least 0, each weight is kept with probability s / (number of outputs, the first axis), so
    that an input has s non-zero weights on average.
    """
    if not param.std >= 0:
        raise BicerinError(f'the filler "gaussian" needs a std of at least 0, not {param.std:g}.')
    values = random.normal(param.mean, param.std, shape)
    if param.sparse >= 0:
        if not shape:
            raise ShapeError("a sparse gaussian filler needs a blob of at least one axis.")
        keep = random.random(shape) < min(1.0, param.sparse / max(1, shape[0]))
        values *= keep
    return values


@on_any_device
def positive_unitball(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """Uniform positive values, scaled so that each slice along the first axis sums to 1."""
    _refuse_sparse(param)
    values = random.random(shape)
    if values.size:
        rows = values.reshape(shape[0] if shape else 1, -1)
        rows /= rows.sum(axis=1, keepdims=True)
    return values


@on_any_device
def xavier(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """Uniform in ±sqrt(3 / n); Glorot and Bengio, 2010. n is fan-in, fan-out or their mean, as `variance_norm` says."""
    _refuse_sparse(param)
    scale = sqrt(3.0 / _fan(shape, param))
    return random.uniform(-scale, scale, shape)


@on_any_device
def msra(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """Normal with standard deviation sqrt(2 / (n (1 + alpha²))); He et al., 2015. n as in `xavier`; alpha is 0, or as
    bicerin-forks has it the slope below 0 of the rectifiers that follow.
    """
    _refuse_sparse(param)
    alpha = getattr(param, "alpha", 0.0)
    return random.normal(0.0, sqrt(2.0 / (_fan(shape, param) * (1 + alpha * alpha))), shape)


@on_any_device
def bilinear(shape: Sequence[int], param: Any, random: RandomStream) -> Any:
    """The kernel of bilinear upsampling, for a Deconvolution of shape `(C, 1, k, k)` that enlarges by ceil(k / 2)."""
    _refuse_sparse(param)
    if len(shape) != 4 or shape[2] != shape[3]:
        raise ShapeError(f"the bilinear filler needs a blob of shape (C, M, k, k), not {tuple(shape)}.")
    size = shape[3]
    factor = (size + 1) // 2
    center = (size - 1) / (2.0 * factor)
    xp = random.xp
    line = 1 - xp.abs(xp.arange(size) / factor - center)
    return xp.broadcast_to(line[:, None] * line, tuple(shape))


def _fan(shape: Sequence[int], param: Any) -> float:
    """The number of connections that a variance is divided by; as Caffe, of the first two axes and the rest."""
    count = prod(shape)
    fan_in = count / max(1, shape[0] if shape else 1)
    fan_out = count / max(1, shape[1] if len(shape) > 1 else 1)
    number = int(param.variance_norm)
    return max(1.0, {0: fan_in, 1: fan_out, 2: (fan_in + fan_out) / 2}[number])


def _refuse_sparse(param: Any) -> None:
    if param.sparse != -1:
        raise BicerinError(f'the filler "{param.type}" does not support sparse; only "gaussian" does.')
