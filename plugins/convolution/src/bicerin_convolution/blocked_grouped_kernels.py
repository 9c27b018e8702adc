"""Convolution in narrow groups of arrays whose channels are in blocks of a vector.

A vector has the outputs of several whole groups. Of each pixel of x that they see, each group's first channel is spread
over the lanes of that group, and multiplied with the weights of all outputs at once; then the second, and so on:

    x         (N, C / lanes, H, W, lanes)
    weights   (blocks, taps, channels of a group, lanes)
"""

from __future__ import annotations

from typing import Any

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.numba_internals import element, for_range, intrinsic, ir, nothing, slot, types
from bicerin.kernels.panel import VECTOR_BYTES, Vectors
from bicerin_convolution.blocked_writing import Ending, write_finished

#: Pixels of a row whose sums are in registers at a time.
PIXELS = 8


@intrinsic
def multiply_taps(
    typing: Any, x: Any, at: Any, zeros: Any, rows: Any, row: Any, height: Any, columns: Any, first: Any, last: Any,
    width: Any, weights: Any, weights_at: Any, channels: Any, shift: Any, shift_at: Any, slope: Any, addend: Any,
    adds: Any, y: Any, y_at: Any,
) -> Any:  # fmt: skip
    """multiply_taps(x, at, zeros, rows, row, height, columns, first, last, width, weights, weights_at, channels, shift,
    shift_at, slope, addend, adds, y, y_at): PIXELS pixels of a row of y, of one block.

    Tap (i, j) of `height` x `width` is, for the pixel p from `first` on and never beyond `last`, at x[at + rows[row +
    i] + columns[p * width + j]]; where either of them is negative, it is `zeros`, an array of a block of them. The
    pixel goes to y[y_at + p * lanes] as f(sum + shift + addend): see `Ending`.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (
            x_, at_, zeros_, rows_, row_, height_, columns_, first_, last_, width_, weights_, weights_at_, channels_,
            shift_, shift_at_, slope_, addend_, adds_, y_, y_at_,
        ) = args  # fmt: skip
        vectors = Vectors(context, builder, x)
        intp = at_.type
        lanes = vectors.length

        def number(value: int) -> Any:
            return ir.Constant(intp, value)

        base = element(context, builder, x, x_, at_)
        row_places = element(context, builder, rows, rows_, row_)
        column_places = element(context, builder, columns, columns_, number(0))
        panel = element(context, builder, weights, weights_, weights_at_)
        zero = vectors.constant(0)
        # In memory, not a constant: that would be a branch for each pixel.
        nothing_there = vectors.place(element(context, builder, zeros, zeros_, number(0)), number(0))
        pixels = []
        for index in range(PIXELS):
            pixel = builder.add(first_, number(index))
            pixels.append(builder.select(builder.icmp_signed("<", pixel, last_), pixel, last_))
        lines = [builder.gep(column_places, [builder.mul(pixel, width_)]) for pixel in pixels]
        sums = [slot(builder, zero) for _ in pixels]
        for total in sums:
            builder.store(zero, total)
        for count in [count for count in range(2, lanes) if lanes % count == 0]:
            of_this_width = builder.icmp_signed("==", channels_, number(count))
            with builder.if_then(of_this_width), for_range(builder, height_) as i:
                above = builder.load(builder.gep(row_places, [i]))
                # Rows of padding add nothing.
                inside = builder.icmp_signed(">=", above, number(0))
                with builder.if_then(inside), for_range(builder, width_) as j:
                    tap = builder.add(builder.mul(i, width_), j)
                    factors_at = builder.gep(panel, [builder.mul(tap, number(count * lanes))])
                    line = builder.gep(base, [above])
                    sources = []
                    for places in lines:
                        along = builder.load(builder.gep(places, [j]))
                        within = builder.icmp_signed(">=", along, number(0))
                        sources.append(builder.select(within, vectors.place(line, along), nothing_there))
                    for c in range(count):
                        factor = vectors.load(builder.gep(factors_at, [number(c * lanes)]))
                        of_group = [lane // count * count + c for lane in range(lanes)]
                        for source, total in zip(sources, sums, strict=True):
                            pixel = builder.load(source, align=vectors.align)
                            value = vectors.shuffle(pixel, ir.Constant(pixel.type, ir.Undefined), of_group)
                            builder.store(vectors.fma(value, factor, builder.load(total)), total)
        summand = vectors.load(element(context, builder, shift, shift_, shift_at_))
        target = element(context, builder, y, y_, y_at_)
        added = element(context, builder, addend, addend_, y_at_)
        found = [
            (builder.load(total), summand, builder.mul(pixel, number(lanes)))
            for total, pixel in zip(sums, pixels, strict=True)
        ]
        write_finished(vectors, found, Ending(slope_, added, adds_, target))
        return nothing(context)

    n = types.intp
    kinds = (x, n, zeros, rows, n, n, columns, n, n, n, weights, n, n, shift, n, x.dtype, addend, types.boolean, y, n)
    return types.void(*kinds), generate


@part
def convolve_row(  # type: ignore[no-untyped-def]
    unit, worker, x, plane, zeros, rows, height, columns, width, weights, channels, shift, slope, addend, adds, y,
    y_blocks, y_height, y_width,
):  # fmt: skip
    """A row of pixels of one block of outputs of one image."""
    lanes = VECTOR_BYTES // x.itemsize
    row, block, image = unit % y_height, unit // y_height % y_blocks, unit // y_height // y_blocks
    for pixel in range(0, y_width, PIXELS):
        multiply_taps(
            x, (image * y_blocks + block) * plane, zeros, rows, row * height, height, columns, pixel, y_width - 1,
            width, weights, block * height * width * channels * lanes, channels, shift, block * lanes, slope, addend,
            adds, y, ((image * y_blocks + block) * y_height + row) * y_width * lanes,
        )  # fmt: skip


@kernel()
def convolve_groups(  # type: ignore[no-untyped-def]
    x, plane, zeros, rows, height, columns, width, weights, channels, shift, slope, addend, adds, y, sizes, workers
):
    """y = f(weights * x + shift + addend), all of them flat, with channels in blocks of a vector.

    Args:
        x: `(N, blocks, H, W, lanes)`.
        plane: elements of a plane of x.
        zeros: of a block.
        rows: for each row of y, the places in a plane of x of the `height` rows of the kernel; -1 is padding.
        columns: for each column of y, the places in a row of the `width` columns of the kernel; -1 is padding.
        weights: of `pack_groups`.
        channels: of a group, a divisor of a block's other than 1 and all of them.
        shift: of each channel of y.
        slope: f(v) = v where v > 0, else slope * v.
        addend: in the order of y; counts only where `adds` is true.
        y: `(N, blocks, H', W', lanes)`; `sizes` are N, its blocks, H' and W'.
    """
    images, y_blocks, y_height, y_width = sizes
    spread(
        convolve_row, images * y_blocks * y_height, workers,
        (x, plane, zeros, rows, height, columns, width, weights, channels, shift, slope, addend, adds, y, y_blocks,
         y_height, y_width),
    )  # fmt: skip


@kernel()
def pack_groups(w, packed):  # type: ignore[no-untyped-def]
    """The weights `(M, C / group, taps)` as `convolve_groups` reads them, of zeros where there are none."""
    outputs, channels, taps = w.shape
    lanes = VECTOR_BYTES // w.itemsize
    packed[:] = 0
    for m in range(outputs):
        for c in range(channels):
            for tap in range(taps):
                packed[((m // lanes * taps + tap) * channels + c) * lanes + m % lanes] = w[m, c, tap]
