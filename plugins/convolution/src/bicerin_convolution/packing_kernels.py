"""Packing: blocks of the im2col matrix, and the weights, as panels for `bicerin.kernels.panel`.

A block is a run of output positions, counted through all images. `rows`, `columns` and `stride` are those of `Taps`.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import ROWS, VECTOR_BYTES, copy_vector, transpose

#: Lines of a panel that stay in the first-level cache together.
DEPTH = 192


@part
def segments(first, last, out_rows, out_width, width, panel_stride, table):  # type: ignore[no-untyped-def]
    """Split the positions `first` to `last` where an output row or a panel of `width` ends; returns how many pieces.

    A line of `table` is a piece: image, output row, output column, length, and place in the packed block.
    """
    plane = out_rows * out_width
    count = 0
    at = first
    while at < last:
        image, inside = at // plane, at % plane
        row, column = inside // out_width, inside % out_width
        panel, offset = (at - first) // width, (at - first) % width
        length = min(out_width - column, width - offset, last - at)
        table[count, 0] = image
        table[count, 1] = row
        table[count, 2] = column
        table[count, 3] = length
        table[count, 4] = panel * panel_stride + offset
        count += 1
        at += length
    return count


@part
def pack_line(x, image_size, base, row_width, rows, i, shift, stride, table, count, block, block_at):  # type: ignore[no-untyped-def]
    """Pack one line of the im2col matrix, that of one channel (which starts at x[base]) and one tap.

    Whole vectors are written: what goes past the end of a piece is overwritten by the next, so pieces come in order,
    and the block has room for a vector more.
    """
    lanes = VECTOR_BYTES // x.itemsize
    for piece in range(count):
        row = rows[i, table[piece, 1]]
        length = table[piece, 3]
        at = block_at + table[piece, 4]
        if row < 0:
            for k in range(length):
                block[at + k] = 0
            continue
        column = table[piece, 2] * stride + shift
        source = table[piece, 0] * image_size + base + row * row_width + column
        if stride in (1, 2, 4) and source >= 0 and source + (length + lanes) * stride <= x.size:
            k = 0
            if stride == 1:
                while k < length:
                    copy_vector(x, source + k, 1, block, at + k)
                    k += lanes
            elif stride == 2:
                while k < length:
                    copy_vector(x, source + 2 * k, 2, block, at + k)
                    k += lanes
            else:
                while k < length:
                    copy_vector(x, source + 4 * k, 4, block, at + k)
                    k += lanes
            if column < 0:
                for k in range(min(-(column // stride), length)):
                    block[at + k] = 0
            if column + (length - 1) * stride >= row_width:
                for k in range(max(-((column - row_width) // stride), 0), length):
                    block[at + k] = 0
        else:
            for k in range(length):
                inside = column + k * stride
                block[at + k] = x[source + k * stride] if 0 <= inside < row_width else 0


@part
def pack_weight_panel(unit, worker, w, turned, taps, packed):  # type: ignore[no-untyped-def]
    """One panel of one group."""
    first, second, size = w.shape[1:]
    outputs, channels = (second, first) if turned else (first, second)
    row_step, channel_step = (size, second * size) if turned else (second * size, size)
    lanes = VECTOR_BYTES // w.itemsize
    depth, panels = packed.shape[1], packed.shape[2] // ROWS
    # Lines that lie side by side in w.
    run = depth if taps.size == size and not turned else size if taps.size == size else 1
    flat, flat_packed = w.reshape(-1), packed.reshape(-1)
    group, panel = unit // panels, unit % panels
    rows = min(ROWS, outputs - panel * ROWS)
    base = group * outputs * channels * size + panel * ROWS * row_step
    lines = np.zeros((depth + lanes) * ROWS, w.dtype)
    for k in range(0, depth, run):
        c = k // taps.size
        at = base + c * channel_step + taps[k % taps.size]
        for j in range(0, run, lanes):
            target = (k + j) * ROWS
            if rows == ROWS and run > 2 and at + j + (ROWS - 1) * row_step + lanes <= flat.size:
                # What is written past the run is overwritten by the next.
                transpose(flat, at + j, row_step, lines, target, ROWS)
            else:
                for q in range(min(lanes, run - j)):
                    for row in range(rows):
                        lines[target + q * ROWS + row] = flat[at + j + q + row * row_step]
    for k0 in range(0, depth, DEPTH):
        size_here = min(DEPTH, depth - k0) * ROWS
        target = (group * depth + k0) * panels * ROWS + panel * size_here
        flat_packed[target : target + size_here] = lines[k0 * ROWS : k0 * ROWS + size_here]


@kernel()
def pack_weights(w, turned, taps, packed, workers):  # type: ignore[no-untyped-def]
    """The weights as panels of DEPTH or less of the C * taps, in the order of their use.

    Args:
        w: `(G, M, C, kernel)`; or `(G, C, M, kernel)` if it is turned. Contiguous.
        taps: the elements of the kernel that are wanted, in their order.
        packed: `(G, C * taps, panels * ROWS)` in size; missing rows are zeros.
    """
    units = packed.shape[0] * (packed.shape[2] // ROWS)
    spread(pack_weight_panel, units, workers, (w, turned, taps, packed))
