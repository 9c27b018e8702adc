"""The gradient of Winograd's kernels, over blocks of tiles: 36 products of matrices whose depth is the tile.

Here a vector holds a tile's element of as many channels, not of as many tiles, since the sum runs over tiles.
"""

from __future__ import annotations

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.panel import LINE_BYTES, ROWS, VECTOR_BYTES, VECTORS, multiply, transpose
from bicerin_convolution.packing_kernels import DEPTH
from bicerin_convolution.winograd_kernels import POINTS
from bicerin_convolution.winograd_transforms import (
    PATCH,
    kernel_gradient_3,
    kernel_gradient_5,
    transform_gradient_2,
    transform_gradient_4,
    transform_patch,
)

#: Outputs whose products are transformed back together.
OUTPUTS = 48


def row_places(columns: int, lanes: int) -> int:
    """Places of a packed row: its pixels, what they need to be whole tiles, and what is written past the end."""
    return columns + 2 * PATCH + 2 * lanes


@part
def pack_pixels(x, at, plane, channels, width, shift, needed, line, target, target_at):  # type: ignore[no-untyped-def]
    """A row of `width` pixels of each channel, the first at x[at], as `needed` pixels of `line` channels.

    The first is `shift` pixels before the row; outside of the row is 0. Missing channels may hold anything.
    """
    lanes = VECTOR_BYTES // x.itemsize
    target[target_at : target_at + shift * line] = 0
    start = target_at + shift * line
    for c in range(0, min(line, channels), ROWS):
        for q in range(0, width, lanes):
            source = at + c * plane + q
            if source + (ROWS - 1) * plane + lanes <= x.size:
                transpose(x, source, plane, target, start + q * line + c, line)
            else:
                for row in range(min(ROWS, channels - c)):
                    for k in range(min(lanes, width - q)):
                        target[start + (q + k) * line + c + row] = x[source + row * plane + k]
    if shift + width < needed:
        target[start + width * line : target_at + needed * line] = 0


@part
def transform_row(  # type: ignore[no-untyped-def]
    unit, worker, x, rows, pad, dy, dw, first, block, patches, gradients, places, scratch
):
    """A vector of channels of x, or of outputs of dy, of one row of tiles."""
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    line = max(ROWS, lanes)
    height, row_width = x.shape[2:]
    groups, outputs, channels, size = dw.shape
    side = 3 if size == 9 else 5
    tile = PATCH + 1 - side
    out_height, out_width = dy.shape[2:]
    tile_rows, tile_columns = rows.shape[1], -(-out_width // tile)
    flat_x, flat_dy = x.reshape(-1), dy.reshape(-1)
    tiles = block * tile_columns
    panels, lines = -(-channels // width), -(-outputs // line)
    x_groups = -(-channels // line)
    patch_point = panels * tiles * width + lanes
    gradient_point = lines * tiles * line + lanes
    row_line = places * line
    pixels = scratch[worker]
    piece = unit % (x_groups + lines)
    group = unit // (x_groups + lines) % groups
    number = unit // (x_groups + lines) // groups
    image, tile_row = (first + number) // tile_rows, (first + number) % tile_rows
    if piece < x_groups:
        c = piece * line
        base = (image * groups + group) * channels + c
        needed = tile_columns * tile + side - 1
        for i in range(PATCH):
            if rows[i, tile_row] < 0:
                pixels[i * row_line : i * row_line + needed * line] = 0
            else:
                pack_pixels(
                    flat_x, (base * height + rows[i, tile_row]) * row_width, height * row_width,
                    channels - c, row_width, pad, needed, line, pixels, i * row_line,
                )  # fmt: skip
        for k in range(0, line, lanes):
            panel, offset = (c + k) // width, (c + k) % width
            if panel < panels:
                at = group * POINTS * patch_point + (panel * tiles + number * tile_columns) * width + offset
                for t in range(tile_columns):
                    source, target = t * tile * line + k, at + t * width
                    transform_patch(pixels, source, row_line, line, patches, target, patch_point)
    else:
        m = (piece - x_groups) * line
        base = (image * groups + group) * outputs + m
        needed = tile_columns * tile
        for i in range(tile):
            row = tile_row * tile + i
            if row >= out_height:
                pixels[i * row_line : i * row_line + needed * line] = 0
            else:
                pack_pixels(
                    flat_dy, (base * out_height + row) * out_width, out_height * out_width,
                    outputs - m, out_width, 0, needed, line, pixels, i * row_line,
                )  # fmt: skip
        at = group * POINTS * gradient_point + ((piece - x_groups) * tiles + number * tile_columns) * line
        for k in range(0, line, lanes):
            for t in range(tile_columns):
                source, target = t * tile * line + k, at + t * line + k
                if tile == 4:
                    transform_gradient_4(pixels, source, row_line, line, gradients, target, gradient_point)
                else:
                    transform_gradient_2(pixels, source, row_line, line, gradients, target, gradient_point)


@part
def multiply_tiles(unit, worker, dw, used, tiles, patches, gradients, scratch):  # type: ignore[no-untyped-def]
    """Add the products of a chunk of outputs and a panel of channels of one group."""
    width, lanes = LINE_BYTES // dw.itemsize, VECTOR_BYTES // dw.itemsize
    line = max(ROWS, lanes)
    _, outputs, channels, size = dw.shape
    side = 3 if size == 9 else 5
    panels, lines = -(-channels // width), -(-outputs // line)
    patch_point = panels * tiles * width + lanes
    gradient_point = lines * tiles * line + lanes
    chunks = -(-outputs // OUTPUTS)
    products = scratch[worker]
    point = OUTPUTS * width + lanes
    chunk, panel, group = unit % chunks, unit // chunks % panels, unit // chunks // panels
    first_output = chunk * OUTPUTS
    those = min(OUTPUTS, outputs - first_output)
    vectors = min(VECTORS, -(-(channels - panel * width) // lanes))
    for f in range(POINTS):
        patch_at = (group * POINTS + f) * patch_point + panel * tiles * width
        for t in range(0, used, DEPTH):
            for m in range(0, those, ROWS):
                output = first_output + m
                gradient_at = (group * POINTS + f) * gradient_point + output % line
                multiply(
                    gradients, gradient_at + (output // line * tiles + t) * line, 1, line,
                    patches, patch_at + t * width, min(DEPTH, used - t),
                    products, f * point + m * width, width, vectors, t > 0,
                )  # fmt: skip
    taps = POINTS * point
    columns = min(width, channels - panel * width)
    for row in range(those):
        for k in range(0, vectors * lanes, lanes):
            at = row * width + k
            if side == 3:
                kernel_gradient_3(products, at, PATCH * point, point, products, taps + k, width)
            else:
                kernel_gradient_5(products, at, PATCH * point, point, products, taps + k, width)
        target = dw[group, first_output + row]
        for c in range(columns):
            for t in range(size):
                target[panel * width + c, t] += products[taps + t * width + c]


@kernel()
def add_tile_products(x, rows, pad, dy, dw, block, patches, gradients, places, scratch):  # type: ignore[no-untyped-def]
    """dw += the gradient of a convolution of x to y, given dy.

    Args:
        x: `(N, G * C, H, W)`, contiguous.
        rows: `(6, tile rows)`, the input row that is row i of each row of tiles; -1 is padding.
        pad: columns of padding on the left.
        dy: `(N, G * K, H', W')`, contiguous.
        dw: `(G, K, C, 9 or 25)`.
        block: rows of tiles that are transformed together.
        patches: `(G, 36, panels, tiles, width)` in size with room for 36 vectors, for the transformed x.
        gradients: `(G, 36, panels, tiles, line)`, for the transformed dy, likewise.
        places: of a packed row, `row_places`.
        scratch: a line of elements for each thread, of `gradient_scratch_size`.
    """
    width, lanes = LINE_BYTES // x.itemsize, VECTOR_BYTES // x.itemsize
    line = max(ROWS, lanes)
    groups, outputs, channels, size = dw.shape
    tile_columns = -(-dy.shape[3] // (4 if size == 9 else 2))
    all_rows = x.shape[0] * rows.shape[1]
    vectors = -(-channels // line) + -(-outputs // line)
    panels, chunks = -(-channels // width), -(-outputs // OUTPUTS)
    for first in range(0, all_rows, block):
        some = min(block, all_rows - first)
        spread(
            transform_row,
            some * groups * vectors,
            scratch.shape[0],
            (x, rows, pad, dy, dw, first, block, patches, gradients, places, scratch),
        )
        spread(
            multiply_tiles,
            groups * panels * chunks,
            scratch.shape[0],
            (dw, some * tile_columns, block * tile_columns, patches, gradients, scratch),
        )


def gradient_scratch_size(places: int, itemsize: int) -> int:
    """Elements of scratch that `add_tile_products` needs for one thread."""
    width, lanes = LINE_BYTES // itemsize, VECTOR_BYTES // itemsize
    return max(PATCH * places * max(ROWS, lanes), POINTS * (OUTPUTS * width + lanes) + 25 * width)
