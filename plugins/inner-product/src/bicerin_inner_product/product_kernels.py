"""The three products of an inner product, for when one of the matrices is much larger than the others.

The weights are read, or their gradient written, once and where they lie; the samples, which are few, are packed into
panels (`bicerin.kernels.panel`) beforehand. So a small batch runs at the rate of the memory, and a large one at that
of the processors. The threads are those of all kernels: BLAS would have threads of its own, which take turns with these
badly.

In each `large` is the weights or their gradient: its elements say how many threads the work is worth. The array forms
run on devices, and on the host without panels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import WITH_PANELS, num_workers, operation, part, spread
from bicerin.kernels.finishing import finish_array, finished

if WITH_PANELS:
    from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, copy_vector, multiply

#: Samples up to which a row of the weights is multiplied with each by itself: panels would be empty for the most part.
FEW = 2
#: Rows of the weights that one unit of work then takes.
FEW_ROWS = 8
#: Rows of tiles that share a pass over the packed samples, where the samples are many.
TILES = 8
#: Lines of panels that stay in the first-level cache together.
DEPTH = 192
#: The most panels of the large matrix that a thread packs side by side: long runs of memory, and a block for its cache.
PANELS = 20
#: Elements of a weight gradient that are computed at a time where it takes a second array.
BLOCK = 1 << 18


def dot_rows_array(xp: Any, large: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.dot(x, large.T, out=y)
    finish_array(xp, y, scale, shift, slope)


def sum_rows_array(xp: Any, large: Any, x: Any, scale: Any, shift: Any, slope: float, y: Any) -> None:
    xp.dot(x, large, out=y)
    finish_array(xp, y, scale, shift, slope)


def add_outer_array(xp: Any, left: Any, right: Any, large: Any, add: bool) -> None:
    if not add:
        xp.dot(left.T, right, out=large)
        return
    xp.add(large, xp.dot(left.T, right), out=large)


def add_outer_in_blocks(left: np.ndarray, right: np.ndarray, large: np.ndarray, add: bool) -> None:
    """For NumPy: some rows at a time, still in the cache when they are added. A GPU wants one large product."""
    if not add:
        np.dot(left.T, right, out=large)
        return
    rows = max(1, BLOCK // max(1, large.shape[1]))
    for start in range(0, len(large), rows):
        block = large[start : start + rows]
        block += left[:, start : start + rows].T @ right


@part
def pack_columns(panel, worker, source, packed):  # type: ignore[no-untyped-def]
    """One panel of a matrix `(depth, J)`, which may be a transposed view; missing columns are zeros."""
    depth, columns = source.shape
    width = LINE_BYTES // source.itemsize
    first = panel * width
    count = min(width, columns - first)
    for k in range(depth):
        at = (panel * depth + k) * width
        for column in range(count):
            packed[at + column] = source[k, first + column]
        packed[at + count : at + width] = 0


@part
def pack_rows(tile, worker, source, packed):  # type: ignore[no-untyped-def]
    """ROWS rows of a matrix `(I, depth)`, as `multiply` takes them; missing rows are zeros."""
    rows, depth = source.shape
    for k in range(depth):
        for row in range(ROWS):
            r = tile * ROWS + row
            packed[(tile * depth + k) * ROWS + row] = source[r, k] if r < rows else 0


@part
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


@part
def dot_rows_unit(unit, worker, large, x, packed, edge, scale, shift, slope, y, rows, step):  # type: ignore[no-untyped-def]
    """So many rows of the weights with all samples; the last rows, fewer than ROWS, are packed in `edge`."""
    samples, depth = x.shape
    outputs = large.shape[0]
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    panels = -(-samples // width)
    line = panels * width
    whole = outputs - outputs % ROWS
    flat = large.reshape(-1)
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
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for m in range(samples):
        for n in range(first, last):
            factor, summand = scale[n] if scale.size else one, shift[n] if shift.size else zero
            y[m, n] = finished(sums[(n - first) * line + m], factor, summand, slope)


@part(fastmath={"reassoc", "contract"})
def dot(left, right):  # type: ignore[no-untyped-def]
    """The product of two rows, summed up in the order that suits the processor."""
    total = left.dtype.type(0)
    for k in range(len(left)):
        total += left[k] * right[k]
    return total


@part
def dot_few_unit(unit, worker, large, x, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """Some rows of the weights with few samples."""
    one, zero = x.dtype.type(1), x.dtype.type(0)
    for n in range(unit * FEW_ROWS, min((unit + 1) * FEW_ROWS, large.shape[0])):
        factor, summand = scale[n] if scale.size else one, shift[n] if shift.size else zero
        for m in range(x.shape[0]):
            y[m, n] = finished(dot(large[n], x[m]), factor, summand, slope)


@operation(array=dot_rows_array, panels=True)
def dot_rows(large, x, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """y = x large^T, finished as by `finish_array`: x `(M, K)`, large `(N, K)`, y `(M, N)`."""
    samples, depth = x.shape
    outputs = large.shape[0]
    workers = num_workers(large.size)
    if samples <= FEW:
        few = (large, x, scale, shift, x.dtype.type(slope), y)
        spread(dot_few_unit, -(-outputs // FEW_ROWS), workers, few)
        return
    width = LINE_BYTES // x.itemsize
    panels = -(-samples // width)
    packed = np.empty(panels * depth * width, x.dtype)
    spread(pack_columns, panels, workers, (x.T, packed))
    edge = np.empty(depth * ROWS, x.dtype)
    pack_rows(0, 0, large[outputs - outputs % ROWS :], edge)
    # The whole depth at once reads memory in its order; parts of it stay in the cache for the next panel.
    step = max(1, depth) if panels == 1 else DEPTH
    rows = ROWS if panels == 1 else ROWS * TILES
    arguments = (large, x, packed, edge, scale, shift, x.dtype.type(slope), y, rows, step)
    spread(dot_rows_unit, -(-outputs // rows), workers, arguments)


@part
def sum_rows_unit(unit, worker, large, packed, samples, most, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """The most panels of the large matrix that are packed side by side."""
    depth, columns = large.shape
    width, lanes = LINE_BYTES // large.itemsize, VECTOR_BYTES // large.itemsize
    tiles = -(-samples // ROWS)
    line = most * width
    first = unit * line
    last = min(first + line, columns)
    own = -(-(last - first) // width)
    block = np.zeros(own * DEPTH * width, large.dtype)
    sums = np.zeros(tiles * ROWS * line, large.dtype)
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
    one, zero = large.dtype.type(1), large.dtype.type(0)
    for m in range(samples):
        for k in range(first, last):
            factor, summand = scale[k] if scale.size else one, shift[k] if shift.size else zero
            y[m, k] = finished(sums[m * line + k - first], factor, summand, slope)


@operation(array=sum_rows_array, panels=True)
def sum_rows(large, x, scale, shift, slope, y):  # type: ignore[no-untyped-def]
    """y = x large, finished as by `finish_array`: x `(M, N)`, large `(N, K)`, y `(M, K)`."""
    samples, depth = x.shape
    workers = num_workers(large.size)
    tiles = -(-samples // ROWS)
    packed = np.empty(tiles * depth * ROWS, x.dtype)
    spread(pack_rows, tiles, workers, (x, packed))
    panels = -(-large.shape[1] // (LINE_BYTES // x.itemsize))
    most = max(1, min(PANELS, -(-panels // 8)))
    arguments = (large, packed, samples, most, scale, shift, x.dtype.type(slope), y)
    spread(sum_rows_unit, -(-panels // most), workers, arguments)


@part
def add_outer_unit(unit, worker, large, left, packed, step, add):  # type: ignore[no-untyped-def]
    """So many rows of the result."""
    samples, rows = left.shape
    columns = large.shape[1]
    width, lanes = LINE_BYTES // left.itemsize, VECTOR_BYTES // left.itemsize
    panels = -(-columns // width)
    flat_left, flat = left.reshape(-1), large.reshape(-1)
    tile = np.empty(ROWS * width, left.dtype)
    edge = np.empty(samples * ROWS, left.dtype)
    first = unit * step
    last = min(first + step, rows)
    if last % ROWS:
        pack_rows(0, 0, left[:, last - last % ROWS :].T, edge)
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
                multiply(rows_of, place, 1, along, packed, at, m1 - m0, target, there, line, vectors, more and direct)
                if direct:
                    continue
                for row in range(min(ROWS, last - n)):
                    for k in range(count):
                        place = (n + row) * columns + start + k
                        flat[place] = tile[row * width + k] + (flat[place] if more else left.dtype.type(0))


@operation(array=add_outer_array, reference=add_outer_in_blocks, panels=True)
def add_outer(left, right, large, add):  # type: ignore[no-untyped-def]
    """large += left^T right, or = without `add`: left `(M, N)`, right `(M, K)`, large `(N, K)`."""
    samples, rows = left.shape
    columns = right.shape[1]
    if samples == 0 and not add:
        large[:] = 0
    workers = num_workers(large.size)
    width = LINE_BYTES // left.itemsize
    panels = -(-columns // width)
    packed = np.empty(panels * samples * width, left.dtype)
    spread(pack_columns, panels, workers, (right, packed))
    step = ROWS if samples <= DEPTH // TILES else ROWS * TILES
    spread(add_outer_unit, -(-rows // step), workers, (large, left, packed, step, add))
