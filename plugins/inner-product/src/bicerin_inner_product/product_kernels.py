"""The three products of an inner product, for when one of the matrices is much larger than the others.

The weights are read, or their gradient written, once and where they lie; the samples, which are few, are packed into
panels (`bicerin.panel`) beforehand. So a small batch runs at the rate of the memory, and a large one at that of the
processors. The threads are those of all kernels: BLAS would have threads of its own, which take turns with these badly.

In each `large` is the weights or their gradient, so that `serial_below` counts its elements. The array forms are what
runs on a device, and on the host without Numba.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import COMPILED, SMALL, kernel, prange

if COMPILED:
    from bicerin.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_vector, multiply

#: Rows of tiles that share a pass over the packed samples, where the samples are many.
TILES = 8
#: Lines of panels that stay in the first-level cache together.
DEPTH = 192
#: The most panels of the large matrix that a thread packs side by side: long runs of memory, and a block for its cache.
PANELS = 20
#: Elements of a weight gradient that are computed at a time where it takes a second array.
BLOCK = 1 << 18


def finish_array(xp: Any, y: Any, scale: Any, shift: Any, slope: float) -> None:
    """y = f(scale * y + shift) for each column, f(v) = v where v > 0, else slope * v; empty arrays are 1 and 0."""
    if scale.size:
        xp.multiply(y, scale, out=y)
    if shift.size:
        xp.add(y, shift, out=y)
    if slope != 1:
        y[...] = xp.where(y <= 0, y * slope if slope else xp.zeros_like(y), y)


def dot_rows_array(xp: Any, large: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.dot(x, large.T, out=y)
    finish_array(xp, y, scale, shift, slope)


def sum_rows_array(xp: Any, large: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.dot(x, large, out=y)
    finish_array(xp, y, scale, shift, slope)


def add_outer_array(xp: Any, large: Any, left: Any, right: Any, add: bool) -> None:
    if not add:
        xp.dot(left.T, right, out=large)
        return
    # On the host some rows at a time, still in the cache when they are added; a GPU wants one large product.
    rows = max(1, BLOCK // max(1, large.shape[1])) if xp is np else max(1, len(large))
    for start in range(0, len(large), rows):
        block = large[start : start + rows]
        xp.add(block, xp.dot(left[:, start : start + rows].T, right), out=block)


@kernel()
def pack_columns(source, packed, panel):  # type: ignore[no-untyped-def]
    """One panel of a matrix `(depth, J)`, which may be a transposed view; columns that J lacks are zeros."""
    depth, columns = source.shape
    width = LINE_BYTES // source.itemsize
    first = panel * width
    count = min(width, columns - first)
    for k in range(depth):
        at = (panel * depth + k) * width
        for column in range(count):
            packed[at + column] = source[k, first + column]
        packed[at + count : at + width] = 0


@kernel()
def pack_rows(source, packed, tile):  # type: ignore[no-untyped-def]
    """ROWS rows of a matrix `(I, depth)`, as `multiply` takes them; rows that I lacks are zeros."""
    rows, depth = source.shape
    for k in range(depth):
        for row in range(ROWS):
            r = tile * ROWS + row
            packed[(tile * depth + k) * ROWS + row] = source[r, k] if r < rows else 0


@kernel()
def pack_lines(source, first, last, start, stop, block):  # type: ignore[no-untyped-def]
    """Columns `start` to `stop` of the rows `first` to `last`, as panels of DEPTH lines.

    Apart from the parallel kernel, in which Numba would make a parallel loop of each copied line.
    """
    width, lanes = LINE_BYTES // source.itemsize, VECTOR_BYTES // source.itemsize
    columns = source.shape[1]
    flat = source.reshape(-1)
    # Several rows side by side: the processor fetches a row ahead of its use only once it has seen it walked along.
    for group in range(first, last, ROWS):
        for column in range(start, stop, width):
            panel = (column - start) // width * DEPTH
            for n in range(group, min(group + ROWS, last)):
                place = n * columns + column
                at = (panel + n - first) * width
                if column + width <= stop:
                    for k in range(0, width, lanes):
                        copy_vector(flat, place + k, 1, block, at + k)
                else:
                    for k in range(stop - column):
                        block[at + k] = flat[place + k]


@kernel()
def finish(value, column, scale, shift, slope):  # type: ignore[no-untyped-def]
    if scale.size:
        value *= scale[column]
    if shift.size:
        value += shift[column]
    if value <= 0 and slope != 1:  # NaN stays NaN
        value = value * slope if slope != 0 else slope
    return value


@kernel(reference=partial(dot_rows_array, np), parallel=True, serial_below=SMALL)
def dot_rows(large, x, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """y = x large^T, finished as by `finish_array`: x `(M, K)`, large `(N, K)`, y `(M, N)`."""
    slope = x.dtype.type(slope)
    samples, depth = x.shape
    outputs = large.shape[0]
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    panels = -(-samples // width)
    line = panels * width
    packed = np.empty(panels * depth * width, x.dtype)
    for panel in prange(panels):
        pack_columns(x.T, packed, panel)
    edge = np.empty(depth * ROWS, x.dtype)
    whole = outputs - outputs % ROWS
    pack_rows(large[whole:], edge, 0)
    flat = large.reshape(-1)
    # The whole depth at once reads memory in its order; parts of it stay in the cache for the next panel.
    step = max(1, depth) if panels == 1 else DEPTH
    rows = ROWS if panels == 1 else ROWS * TILES
    for unit in prange(-(-outputs // rows)):
        sums = np.zeros(rows * line, x.dtype)
        first = unit * rows
        last = min(first + rows, outputs)
        for k0 in range(0, depth, step):
            k1 = min(k0 + step, depth)
            for panel in range(panels):
                vectors = min(VECTORS, -(-(samples - panel * width) // lanes))
                at = (panel * depth + k0) * width
                for n in range(first, last, ROWS):
                    target = (n - first) * line + panel * width
                    # One call of `multiply`, since each is compiled in full.
                    if n < whole:
                        rows_of, place, row, along = flat, n * depth + k0, depth, 1
                    else:
                        rows_of, place, row, along = edge, k0 * ROWS, 1, ROWS
                    multiply(rows_of, place, row, along, packed, at, k1 - k0, sums, target, line, vectors, True)
        for m in range(samples):
            for n in range(first, last):
                y[m, n] = finish(sums[(n - first) * line + m], n, scale, shift, slope)


@kernel(reference=partial(sum_rows_array, np), parallel=True, serial_below=SMALL)
def sum_rows(large, x, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """y = x large, finished as by `finish_array`: x `(M, N)`, large `(N, K)`, y `(M, K)`."""
    slope = x.dtype.type(slope)
    samples, depth = x.shape
    columns = large.shape[1]
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    tiles = -(-samples // ROWS)
    packed = np.empty(tiles * depth * ROWS, x.dtype)
    for tile in prange(tiles):
        pack_rows(x, packed, tile)
    panels = -(-columns // width)
    most = max(1, min(PANELS, -(-panels // 8)))
    line = most * width
    for unit in prange(-(-panels // most)):
        first = unit * line
        last = min(first + line, columns)
        own = -(-(last - first) // width)
        block = np.zeros(own * DEPTH * width, x.dtype)
        sums = np.zeros(tiles * ROWS * line, x.dtype)
        for n0 in range(0, depth, DEPTH):
            n1 = min(n0 + DEPTH, depth)
            pack_lines(large, n0, n1, first, last, block)
            for panel in range(own):
                vectors = min(VECTORS, -(-(last - first - panel * width) // lanes))
                for tile in range(tiles):
                    multiply(
                        packed, (tile * depth + n0) * ROWS, 1, ROWS, block, panel * DEPTH * width, n1 - n0,
                        sums, tile * ROWS * line + panel * width, line, vectors, True,
                    )  # fmt: skip
        for m in range(samples):
            for k in range(first, last):
                y[m, k] = finish(sums[m * line + k - first], k, scale, shift, slope)


@kernel(reference=partial(add_outer_array, np), parallel=True, serial_below=SMALL)
def add_outer(large, left, right, add):  # type: ignore[no-untyped-def]
    """large += left^T right, or = without `add`: left `(M, N)`, right `(M, K)`, large `(N, K)`."""
    samples, rows = left.shape
    columns = right.shape[1]
    if samples == 0 and not add:
        large[:] = 0
    width, lanes = LINE_BYTES // left.itemsize, VECTOR_BYTES // left.itemsize
    panels = -(-columns // width)
    packed = np.empty(panels * samples * width, left.dtype)
    for panel in prange(panels):
        pack_columns(right, packed, panel)
    flat_left, flat = left.reshape(-1), large.reshape(-1)
    step = ROWS if samples <= DEPTH // TILES else ROWS * TILES
    for unit in prange(-(-rows // step)):
        tile = np.empty(ROWS * width, left.dtype)
        edge = np.empty(samples * ROWS, left.dtype)
        first = unit * step
        last = min(first + step, rows)
        if last % ROWS:
            pack_rows(left[:, last - last % ROWS :].T, edge, 0)
        for panel in range(panels):
            start = panel * width
            count = min(width, columns - start)
            vectors = -(-count // lanes)
            for n in range(first, last, ROWS):
                for m0 in range(0, samples, DEPTH):
                    m1 = min(m0 + DEPTH, samples)
                    at = (panel * samples + m0) * width
                    more = add or m0 > 0
                    if n + ROWS <= rows:
                        rows_of, place, along = flat_left, m0 * rows + n, rows
                    else:
                        rows_of, place, along = edge, m0 * ROWS, ROWS
                    direct = n + ROWS <= rows and count % lanes == 0
                    if direct:
                        target, there, line = flat, n * columns + start, columns
                    else:
                        target, there, line = tile, 0, width
                    multiply(
                        rows_of, place, 1, along, packed, at, m1 - m0, target, there, line, vectors, more and direct
                    )
                    if direct:
                        continue
                    for row in range(min(ROWS, last - n)):
                        for k in range(count):
                            place = (n + row) * columns + start + k
                            flat[place] = tile[row * width + k] + (flat[place] if more else left.dtype.type(0))
