"""Depthwise convolution with 3x3 kernels of arrays whose channels are in blocks of a vector.

Each vector of y is a sum over the taps, of a vector of x times one of weights. Some neighbours in a row are computed at
once, so that each weight is read once for all of them:

    x         (N, C / lanes, H, W, lanes)
    weights   (blocks, taps, lanes), as `pack_groups` has them
"""

from __future__ import annotations

from typing import Any

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.numba_internals import element, intrinsic, ir, is_true, nothing, types
from bicerin.kernels.panel import VECTOR_BYTES, Vectors
from bicerin_convolution.blocked_writing import Ending, write_finished

#: Neighbours that are computed at once: most, in whose multiples the rows of many nets are long, and the rest.
MANY, FEW = 7, 4
#: Along a row; their distance in x is then known when the kernel is compiled.
STRIDES = (1, 2)
_SIDE = 3


@intrinsic
def multiply_run(
    typing: Any, x: Any, above: Any, at: Any, below: Any, count: Any, across: Any, zeros: Any, upper: Any, lower: Any,
    left: Any, right: Any, weights: Any, weights_at: Any, shift: Any, shift_at: Any, slope: Any, addend: Any, adds: Any,
    y: Any, y_at: Any,
) -> Any:  # fmt: skip
    """multiply_run(x, above, at, below, count, across, zeros, upper, lower, left, right, weights, weights_at, shift,
    shift_at, slope, addend, adds, y, y_at): `count` neighbours, MANY, FEW or 1, `across` (one of STRIDES) apart in x.

    The first one's taps in the middle of each row are at x[above], x[at] and x[below]. Without `upper` or `lower`, the
    first or last row is padding; without `left` or `right`, the first pixel's first tap or the last one's last. Then
    `zeros` is read, an array of as many blocks as a run reads. The pixels go to y[y_at] and after, as f(sum + shift +
    addend): see `Ending`.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (
            x_, above_, at_, below_, count_, across_, zeros_, upper_, lower_, left_, right_, weights_, weights_at_,
            shift_, shift_at_, slope_, addend_, adds_, y_, y_at_,
        ) = args  # fmt: skip
        vectors = Vectors(context, builder, x)
        lanes = vectors.length

        def number(value: int) -> Any:
            return ir.Constant(at_.type, value)

        def is_equal(value: Any, other: int) -> Any:
            return builder.icmp_signed("==", value, number(other))

        nothing_there = element(context, builder, zeros, zeros_, number(lanes))
        rows = [element(context, builder, x, x_, place) for place in (above_, at_, below_)]
        for index, inside in ((0, upper_), (2, lower_)):
            rows[index] = builder.select(is_true(builder, inside), rows[index], nothing_there)
        panel = element(context, builder, weights, weights_, weights_at_)
        summand = vectors.load(element(context, builder, shift, shift_, shift_at_))
        added = element(context, builder, addend, addend_, y_at_)
        ending = Ending(slope_, added, adds_, element(context, builder, y, y_, y_at_))

        def loaded(row: Any, place: int, last: int) -> Any:
            source = builder.gep(row, [number(place * lanes)])
            for border, inside in ((-1, left_), (last, right_)):
                if place == border:
                    source = builder.select(is_true(builder, inside), source, nothing_there)
            return vectors.load(source)

        def multiply(pixels: int, stride: int) -> None:
            places = sorted({pixel * stride + j - 1 for pixel in range(pixels) for j in range(_SIDE)})
            totals: list[Any] = [None] * pixels
            for i, row in enumerate(rows):
                found = {place: loaded(row, place, places[-1]) for place in places}
                for j in range(_SIDE):
                    factor = vectors.load(builder.gep(panel, [number((i * _SIDE + j) * lanes)]))
                    for pixel, total in enumerate(totals):
                        value = found[pixel * stride + j - 1]
                        first = total is None
                        totals[pixel] = builder.fmul(value, factor) if first else vectors.fma(value, factor, total)
            write_finished(
                vectors, [(total, summand, number(pixel * lanes)) for pixel, total in enumerate(totals)], ending
            )

        for pixels in (MANY, FEW):
            for stride in STRIDES:
                with builder.if_then(builder.and_(is_equal(count_, pixels), is_equal(across_, stride))):
                    multiply(pixels, stride)
        with builder.if_then(is_equal(count_, 1)):
            multiply(1, 1)
        return nothing(context)

    n, flag = types.intp, types.boolean
    kinds = (x, n, n, n, n, n, zeros, flag, flag, flag, flag, weights, n, shift, n, x.dtype, addend, flag, y, n)
    return types.void(*kinds), generate


@part
def convolve_band(  # type: ignore[no-untyped-def]
    unit, worker, x, x_size, stride, pad, zeros, weights, shift, slope, addend, adds, y, y_size, bands
):
    """Some rows of one block of one image."""
    lanes = VECTOR_BYTES // x.itemsize
    height, width = x_size
    blocks, y_height, y_width = y_size
    down, across = stride
    block, band, image = unit % blocks, unit // blocks % bands, unit // blocks // bands
    plane = image * blocks + block
    for row in range(band * y_height // bands, (band + 1) * y_height // bands):
        top = row * down - pad[0]
        middle = ((plane * height + top + 1) * width - pad[1] + 1) * lanes
        target = (plane * y_height + row) * y_width * lanes
        pixel = 0
        while pixel < y_width:
            rest, first = y_width - pixel, pixel * across - pad[1]
            count = MANY if rest >= MANY else FEW if rest >= FEW else 1
            at = middle + pixel * across * lanes
            multiply_run(
                x, at - width * lanes, at, at + width * lanes, count, across, zeros, top >= 0, top + 2 < height,
                first >= 0, first + (count - 1) * across + 2 < width, weights, block * _SIDE * _SIDE * lanes, shift,
                block * lanes, slope, addend, adds, y, target + pixel * lanes,
            )  # fmt: skip
            pixel += count


@kernel()
def convolve_depthwise(  # type: ignore[no-untyped-def]
    x, x_size, stride, pad, zeros, weights, shift, slope, addend, adds, y, y_size, images, bands, workers
):
    """y = f(weights * x + shift + addend), all of them flat, with channels in blocks of a vector.

    Args:
        x: `(N, blocks, H, W, lanes)`; `x_size` is H and W, 2 or more each.
        stride, pad: down and across; the stride across is one of STRIDES, the padding 0 or 1.
        zeros: as many blocks of them as a run reads of a row.
        weights: of `pack_groups`.
        shift: of each channel of y.
        slope: f(v) = v where v > 0, else slope * v.
        addend: in the order of y, which may be its memory; counts only where `adds` is true.
        y: `(N, blocks, H', W', lanes)`; `y_size` is its blocks, H' and W'.
        bands: into which the rows of an image are divided.
    """
    spread(
        convolve_band, images * bands * y_size[0], workers,
        (x, x_size, stride, pad, zeros, weights, shift, slope, addend, adds, y, y_size, bands),
    )  # fmt: skip
