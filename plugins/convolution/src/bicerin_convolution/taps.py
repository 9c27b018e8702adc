"""Taps: which input elements each output position of a convolution meets, as tables that kernels walk.

All spatial axes but the last are flattened to rows, so that a kernel sees `(N, C, R, W)` whatever the number of axes,
and the kernel's elements, the taps, as `(I, J)`. Tap (i, j) of the output at the o-th row and the q-th column meets
the input at row `rows[i, o]` (-1: padding) and column `q * stride + columns[j]` (outside: padding).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np

from bicerin_convolution.geometry import Geometry
from bicerin_convolution.problem import Problem


@dataclass(frozen=True)
class Taps:
    """One walk over the output.

    Attributes:
        rows: `(I, O)`, the input row of each tap row at each output row that is written; -1 is padding.
        columns: `(J,)`, the input column of each tap column at the first output column.
        stride: input columns from one output column to the next.
        out_rows: `(O,)`, the output rows that are written.
        out_columns: first output column that is written, step, and number.
        taps: `(I * J,)`, the place of each tap in the flattened kernel.
    """

    rows: np.ndarray
    columns: np.ndarray
    stride: int
    out_rows: np.ndarray
    out_columns: tuple[int, int, int]
    taps: np.ndarray


def forward_taps(problem: Problem) -> Taps:
    """The walk over y, from x."""
    return _forward_taps(*_with_rows(problem))


def data_gradient_taps(problem: Problem) -> tuple[Taps, ...]:
    """The walks over dx, from dy: one for each remainder of a position by the stride, since a position of x meets only
    the taps of its own remainder."""
    return _data_gradient_taps(*_with_rows(problem))


def row_shape(shape: tuple[int, ...], geometry: Geometry) -> tuple[int, int, int, int]:
    """`(N, C, spatial...)` as `(N, C, R, W)`."""
    if geometry.is_pointwise:
        return shape[0], shape[1], 1, prod(shape[2:])
    return shape[0], shape[1], prod(shape[2:-1]), shape[-1]


def _with_rows(problem: Problem) -> tuple[Geometry, tuple[int, ...], tuple[int, ...]]:
    """Geometry and spatial shapes, of at least one axis; a pointwise convolution sees all positions as one row."""
    x, y = problem.x_shape[2:], problem.y_shape[2:]
    if problem.geometry.is_pointwise:
        return Geometry((1,), (1,), (0,), (1,)), (prod(x),), (prod(y),)
    return problem.geometry, x, y


@lru_cache(maxsize=512)
def _forward_taps(geometry: Geometry, x: tuple[int, ...], y: tuple[int, ...]) -> Taps:
    axes = list(zip(geometry.kernel, geometry.stride, geometry.pad, geometry.dilation, x, y, strict=True))
    tables = []
    for kernel, stride, pad, dilation, size, count in axes[:-1]:
        table = np.arange(count) * stride + np.arange(kernel)[:, None] * dilation - pad
        tables.append(np.where((table >= 0) & (table < size), table, -1))
    kernel, stride, pad, dilation = axes[-1][:4]
    return Taps(
        _row_table(tables, x[:-1]),
        np.arange(kernel) * dilation - pad,
        stride,
        np.arange(prod(y[:-1])),
        (0, 1, y[-1]),
        np.arange(prod(geometry.kernel)),
    )


@lru_cache(maxsize=512)
def _data_gradient_taps(geometry: Geometry, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Taps, ...]:
    choices = []
    for kernel, stride, pad, dilation, size, count in zip(
        geometry.kernel, geometry.stride, geometry.pad, geometry.dilation, x, y, strict=True
    ):
        phases = []
        for phase in range(min(stride, size)):
            positions = np.arange(phase, size, stride)
            taps = np.array([k for k in range(kernel) if (phase + pad - k * dilation) % stride == 0], np.intp)
            table = (positions + pad - taps[:, None] * dilation) // stride
            phases.append((positions, taps, table, count))
        choices.append(phases)
    walks = []
    for chosen in product(*choices):
        positions, taps, table, _ = chosen[-1]
        tables = [np.where((rows >= 0) & (rows < count), rows, -1) for _, _, rows, count in chosen[:-1]]
        kept = np.zeros((), np.intp)
        for (_, kept_taps, _, _), kernel in zip(chosen, geometry.kernel, strict=True):
            kept = kept[..., None] * kernel + kept_taps
        out_rows = np.zeros((), np.intp)
        for (places, _, _, _), size in zip(chosen[:-1], x[:-1], strict=True):
            out_rows = out_rows[..., None] * size + places
        walks.append(
            Taps(
                _row_table(tables, y[:-1]),
                np.ascontiguousarray(table[:, 0]),
                1,
                out_rows.reshape(-1),
                (int(positions[0]), geometry.stride[-1], len(positions)),
                kept.reshape(-1),
            )
        )
    return tuple(walks)


def _row_table(tables: Sequence[np.ndarray], sizes: Sequence[int]) -> np.ndarray:
    """One table `(I, O)` of flattened rows, from one `(kernel, output)` of each leading axis."""
    rows = np.zeros((1, 1), np.intp)
    for table, size in zip(tables, sizes, strict=True):
        combined = rows[:, None, :, None] * size + table[None, :, None, :]
        combined[(rows < 0)[:, None, :, None] | (table < 0)[None, :, None, :]] = -1
        rows = combined.reshape(rows.shape[0] * table.shape[0], rows.shape[1] * table.shape[1])
    return np.ascontiguousarray(rows)
