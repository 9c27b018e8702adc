"""Convolution as a product of matrices, of which the im2col matrix only ever exists as packed blocks in the cache.

`rows`, `columns`, `stride` and `out_*` are those of `Taps`. A block is a run of output positions, counted through all
images; it is packed a depth of DEPTH at a time and multiplied with the packed weights of all outputs.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.panel import (
    LINE_BYTES,
    ROWS,
    VECTOR_BYTES,
    VECTORS,
    add_line,
    copy_line,
    copy_vector,
    multiply,
    transpose,
)
from bicerin_convolution.finish import finished

#: Lines of a panel that stay in the first-level cache together.
DEPTH = 192
#: Lines of the im2col matrix that are packed together for the weight gradient, a multiple of ROWS.
LINES = 48


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
        packed: `(G, C * taps, panels * ROWS)` in size; rows that M lacks are zeros.
    """
    units = packed.shape[0] * (packed.shape[2] // ROWS)
    spread(pack_weight_panel, units, workers, (w, turned, taps, packed))


@part
def correlate_block(  # type: ignore[no-untyped-def]
    unit,
    worker,
    x,
    rows,
    columns,
    stride,
    weights,
    finish,
    y,
    out_rows,
    out_column,
    out_step,
    out_width,
    block,
    parts,
    scratch,
):
    """One part of the outputs at one block of positions."""
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, depth, panels = weights.shape
    panels //= ROWS
    channels //= groups
    outputs = y.shape[1] // groups
    tap_columns = columns.size
    tap_count = rows.shape[0] * tap_columns
    flat_x = x.reshape(-1)
    flat_weights = weights.reshape(-1)
    plane = out_rows.size * out_width
    whole = out_step == 1 and y.shape[2] == out_rows.size and y.shape[3] == out_width
    flat_y = y.reshape(-1)
    total = images * plane
    part_panels = -(-panels // parts)
    panel_stride = width * min(DEPTH, depth) + width
    line = block * width
    table = np.empty((line, 5), np.intp)
    mine = scratch[worker]
    packed = mine[: block * panel_stride]
    tile = mine[block * panel_stride :]
    part = unit % parts
    group = unit // parts % groups
    first = unit // parts // groups * line
    last = min(first + line, total)
    first_panel = part * part_panels
    last_panel = min(first_panel + part_panels, panels)
    count = segments(first, last, out_rows.size, out_width, width, panel_stride, table)
    if depth == 0:
        tile[: (last_panel - first_panel) * ROWS * line] = 0
    for k0 in range(0, depth, DEPTH):
        k1 = min(k0 + DEPTH, depth)
        for k in range(k0, k1):
            c, t = k // tap_count, k % tap_count
            base = (group * channels + c) * row_count * row_width
            pack_line(
                flat_x,
                groups * channels * row_count * row_width,
                base,
                row_width,
                rows,
                t // tap_columns,
                columns[t % tap_columns],
                stride,
                table,
                count,
                packed,
                (k - k0) * width,
            )
        for column in range(-(-(last - first) // width)):
            vectors = min(VECTORS, -(-(last - first - column * width) // lanes))
            for panel in range(first_panel, last_panel):
                multiply(
                    flat_weights,
                    ((group * depth + k0) * panels + panel * (k1 - k0)) * ROWS,
                    1,
                    ROWS,
                    packed,
                    column * panel_stride,
                    k1 - k0,
                    tile,
                    (panel - first_panel) * ROWS * line + column * width,
                    line,
                    vectors,
                    k0 > 0,
                )
    for m in range(first_panel * ROWS, min(last_panel * ROWS, outputs)):
        out = group * outputs + m
        at = (m - first_panel * ROWS) * line
        scale, shift, slope = finish[0, out], finish[1, out], finish[2, out]
        if whole:
            position = first
            while position < last:
                image, start = position // plane, position % plane
                length = min(plane - start, last - position)
                place = (image * groups * outputs + out) * plane + start
                copy_line(tile, at, scale, shift, slope, flat_y, place, length)
                at += length
                position += length
        else:
            for piece in range(count):
                target = y[table[piece, 0], out, out_rows[table[piece, 1]]]
                start = out_column + table[piece, 2] * out_step
                for k in range(table[piece, 3]):
                    target[start + k * out_step] = finished(tile[at + k], scale, shift, slope)
                at += table[piece, 3]


@kernel()
def correlate(  # type: ignore[no-untyped-def]
    x, rows, columns, stride, weights, finish, y, out_rows, out_column, out_step, out_width, block, parts, scratch
):
    """y = weights * x, finished, where `Taps` says.

    Args:
        x: `(N, G * C, R, W)`, contiguous.
        weights: of `pack_weights`.
        finish: of `finish_table`.
        y: `(N, G * M, R', W')`.
        block: panels of positions that are packed together.
        parts: into how many parts the outputs are split, to give every thread work.
        scratch: one line of elements a thread, of `scratch_size`.
    """
    width = LINE_BYTES // x.itemsize
    blocks = -(-x.shape[0] * out_rows.size * out_width // (block * width))
    spread(
        correlate_block,
        weights.shape[0] * blocks * parts,
        scratch.shape[0],
        (
            x,
            rows,
            columns,
            stride,
            weights,
            finish,
            y,
            out_rows,
            out_column,
            out_step,
            out_width,
            block,
            parts,
            scratch,
        ),
    )


def scratch_size(block: int, parts: int, panels: int, depth: int, itemsize: int) -> int:
    """Elements of scratch that `correlate` needs for one thread."""
    width = LINE_BYTES // itemsize
    return (
        block * width * (min(DEPTH, depth) + 1) + -(-panels // parts) * ROWS * block * width + VECTOR_BYTES // itemsize
    )


@part
def fold_bundle(unit, worker, dy, weights, lines, bias, dx, rows, columns, stride, bundle, scratch):  # type: ignore[no-untyped-def]
    """One bundle of channels of one image."""
    width = LINE_BYTES // dy.itemsize
    lanes = VECTOR_BYTES // dy.itemsize
    groups, depth, _ = weights.shape
    panels = weights.shape[2] // ROWS
    plane = dy.shape[2]
    channels, row_count, row_width = dx.shape[1] // groups, dx.shape[2], dx.shape[3]
    tap_columns = columns.size
    tap_count = lines // channels
    out_width = plane // rows.shape[1]
    flat_dy = dy.reshape(-1)
    flat_dx = dx.reshape(-1)
    flat_weights = weights.reshape(-1)
    one_row = np.zeros((1, 1), np.intp)
    panel_stride = width * min(DEPTH, depth) + width
    used = -(-plane // width)
    line = used * width
    bundles = -(-channels // bundle)
    table = np.empty((used, 5), np.intp)
    packed = scratch[worker, : used * panel_stride]
    tile = scratch[worker, used * panel_stride :]
    image, group = unit // (groups * bundles), unit // bundles % groups
    first_channel = unit % bundles * bundle
    last_channel = min(first_channel + bundle, channels)
    first_panel = first_channel * tap_count // ROWS
    last_panel = -(-last_channel * tap_count // ROWS)
    count = segments(image * plane, (image + 1) * plane, 1, plane, width, panel_stride, table)
    for k0 in range(0, depth, DEPTH):
        k1 = min(k0 + DEPTH, depth)
        for k in range(k0, k1):
            pack_line(
                flat_dy, groups * depth * plane, (group * depth + k) * plane, plane, one_row, 0, 0, 1,
                table, count, packed, (k - k0) * width,
            )  # fmt: skip
        for column in range(used):
            vectors = min(VECTORS, -(-(plane - column * width) // lanes))
            for panel in range(first_panel, last_panel):
                multiply(
                    flat_weights, ((group * depth + k0) * panels + panel * (k1 - k0)) * ROWS, 1, ROWS,
                    packed, column * panel_stride, k1 - k0,
                    tile, (panel - first_panel) * ROWS * line + column * width, line, vectors, k0 > 0,
                )  # fmt: skip
    for channel in range(first_channel, last_channel):
        out = group * channels + channel
        dx[image, out] = bias[out]
        base = (image * groups * channels + out) * row_count * row_width
        for t in range(tap_count):
            i, shift = t // tap_columns, columns[t % tap_columns]
            first = max(0, -(shift // stride))
            last = min(out_width, -((shift - row_width) // stride))
            if first >= last:
                continue
            source = ((channel - first_channel) * tap_count + t) * line
            for o in range(rows.shape[1]):
                if rows[i, o] < 0:
                    continue
                at = source + o * out_width
                target = base + rows[i, o] * row_width + shift
                if stride == 1:
                    add_line(tile, at + first, flat_dx, target + first, last - first)
                else:
                    for q in range(first, last):
                        flat_dx[target + q * stride] += tile[at + q]


@kernel()
def fold_products(dy, weights, lines, bias, dx, rows, columns, stride, bundle, scratch):  # type: ignore[no-untyped-def]
    """dx = col2im(weights . dy) + bias, a bundle of channels of an image at a time.

    Args:
        dy: `(N, G * K, positions)`.
        weights: of `pack_weights`, for a matrix `(G, C * taps, K)`.
        lines: C * taps.
        dx: `(N, G * C, R, W)`.
        rows, columns, stride: those of the convolution from x to y.
        bundle: channels, a multiple of ROWS.
        scratch: one line of elements a thread, of `fold_scratch_size`.
    """
    groups = weights.shape[0]
    bundles = -(-(dx.shape[1] // groups) // bundle)
    spread(
        fold_bundle,
        dy.shape[0] * groups * bundles,
        scratch.shape[0],
        (dy, weights, lines, bias, dx, rows, columns, stride, bundle, scratch),
    )


def fold_scratch_size(bundle: int, taps: int, depth: int, plane: int, itemsize: int) -> int:
    """Elements of scratch that `fold_products` needs for one thread."""
    width = LINE_BYTES // itemsize
    used = -(-plane // width)
    return used * width * (min(DEPTH, depth) + 1 + bundle * taps) + VECTOR_BYTES // itemsize


@part
def sum_weight_gradient(share, worker, x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch):  # type: ignore[no-untyped-def]
    """The sums over one share of the positions."""
    width = LINE_BYTES // x.itemsize
    lanes = VECTOR_BYTES // x.itemsize
    images, channels, row_count, row_width = x.shape
    groups, outputs, _ = dw.shape
    channels //= groups
    plane = dy.shape[2]
    tap_columns = columns.size
    tap_count = rows.shape[0] * tap_columns
    flat_x = x.reshape(-1)
    flat_dy = dy.reshape(-1)
    one_row = np.zeros((1, 1), np.intp)
    padded_lines, padded_outputs = sums.shape[2:]
    blocks = -(-images * plane // length)
    stretch = length + lanes
    x_table = np.empty((length, 5), np.intp)
    dy_table = np.empty((length, 5), np.intp)
    stripe = scratch[worker, : LINES * stretch]
    panels = scratch[worker, LINES * stretch :]
    mine = sums[share].reshape(-1)
    if share >= blocks:
        mine[:] = 0
    for group in range(groups):
        for block in range(share, blocks, len(sums)):
            first = block * length
            last = min(first + length, images * plane)
            x_count = segments(first, last, rows.shape[1], plane // rows.shape[1], length, 0, x_table)
            dy_count = segments(first, last, 1, plane, length, 0, dy_table)
            for m in range(0, outputs, ROWS):
                for row in range(min(ROWS, outputs - m)):
                    pack_line(
                        flat_dy, groups * outputs * plane, (group * outputs + m + row) * plane, plane,
                        one_row, 0, 0, 1, dy_table, dy_count, stripe, row * stretch,
                    )  # fmt: skip
                target = m // width * width * length + m % width
                for position in range(0, last - first, lanes):
                    transpose(stripe, position, stretch, panels, target + position * width, width)
            for start in range(first_line, last_line, LINES):
                stop = min(start + LINES, last_line)
                for k in range(start, stop):
                    c, t = k // tap_count, k % tap_count
                    pack_line(
                        flat_x, groups * channels * row_count * row_width,
                        (group * channels + c) * row_count * row_width, row_width,
                        rows, t // tap_columns, columns[t % tap_columns], stride,
                        x_table, x_count, stripe, (k - start) * stretch,
                    )  # fmt: skip
                for m in range(0, outputs, width):
                    vectors = min(VECTORS, -(-(outputs - m) // lanes))
                    for k in range(start, stop, ROWS):
                        at = (group * padded_lines + k - first_line) * padded_outputs + m
                        multiply(
                            stripe, (k - start) * stretch, stretch, 1, panels, m * length, last - first,
                            mine, at, padded_outputs, vectors, block > share,
                        )  # fmt: skip


@part
def add_strip(unit, worker, sums, dw, first_line, last_line, lanes):  # type: ignore[no-untyped-def]
    """Add the shares' sums for the strip of outputs that a vector holds."""
    outputs = dw.shape[1]
    strips = -(-outputs // lanes)
    group, first = unit // strips, unit % strips * lanes
    for k in range(last_line - first_line):
        for m in range(first, min(first + lanes, outputs)):
            for share in range(sums.shape[0]):
                dw[group, m, first_line + k] += sums[share, group, k, m]


@kernel()
def add_weight_gradient(x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch):  # type: ignore[no-untyped-def]
    """dw += dy . im2col(x)^T, for a range of the lines of the im2col matrix.

    The sum runs over positions: dy is transposed to panels whose depth is the position, the lines of the im2col matrix
    stay as they are. A thread sums up its own share of the positions.

    Args:
        x, rows, columns, stride: as in `correlate`.
        dy: `(N, G * M, positions)`.
        dw: `(G, M, C * taps)`.
        first_line, last_line: of the C * taps.
        length: positions in a block, a multiple of a vector's length.
        sums: `(threads, G, lines, outputs)`, the last two in whole tiles.
        scratch: one line of elements a thread, of `weight_scratch_size`.
    """
    # Shares, not blocks, are the units, so that each is summed up in the same order whoever takes it.
    spread(
        sum_weight_gradient,
        sums.shape[0],
        scratch.shape[0],
        (x, rows, columns, stride, dy, dw, first_line, last_line, length, sums, scratch),
    )
    lanes = VECTOR_BYTES // x.itemsize
    units = dw.shape[0] * -(-dw.shape[1] // lanes)
    spread(add_strip, units, scratch.shape[0], (sums, dw, first_line, last_line, lanes))


def weight_scratch_size(length: int, outputs: int, itemsize: int) -> int:
    """Elements of scratch that `add_weight_gradient` needs for one thread."""
    width = LINE_BYTES // itemsize
    return LINES * (length + VECTOR_BYTES // itemsize) + -(-outputs // width) * width * length
