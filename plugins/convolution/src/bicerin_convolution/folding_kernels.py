"""The data gradient as a product of matrices whose columns are added up, a bundle of channels at a time.

`rows`, `columns` and `stride` are those of `Taps`.
"""

from __future__ import annotations

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, add_line, multiply
from bicerin_convolution.packing_kernels import DEPTH, pack_line, segments


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
        scratch: one line of elements per thread, of `fold_scratch_size`.
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
