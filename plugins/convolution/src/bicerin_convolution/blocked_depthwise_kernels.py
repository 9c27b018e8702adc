"""Depthwise convolution with 3x3 kernels of arrays whose channels are in blocks of a vector.

Each vector of y is a sum over the taps, of a vector of x times one of weights. Some neighbours in a row are computed at
once, so that each weight is read once for all of them:

    x         (N, C / lanes, H, W, lanes)
    weights   (blocks, taps, lanes), as `pack_groups` has them
"""

from __future__ import annotations

from typing import Any

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.numba_internals import element, intrinsic, ir, nothing, types
from bicerin.kernels.panel import VECTOR_BYTES, Vectors
from bicerin_convolution.blocked_writing import Ending, write_finished

#: Neighbours that are computed at once: most, in whose multiples the rows of many nets are long, and the rest.
MANY, FEW = 7, 4
#: Along a row; their distance in x is then known when the kernel is compiled.
STRIDES = (1, 2)
_SIDE = 3


def _multiply_run(pixels: int, stride: int) -> Any:
    """What computes so many neighbours."""

    @intrinsic
    def multiply(
        typing: Any, x: Any, above: Any, at: Any, below: Any, zeros: Any, upper: Any, lower: Any, left: Any, right: Any,
        weights: Any, weights_at: Any, shift: Any, shift_at: Any, slope: Any, addend: Any, adds: Any, y: Any, y_at: Any,
    ) -> Any:  # fmt: skip
        """multiply(x, above, at, below, zeros, upper, lower, left, right, weights, weights_at, shift, shift_at, slope,
        addend, adds, y, y_at): the first pixel's taps in the middle of each row are at x[above], x[at] and x[below].

        Without `upper` or `lower`, the first or last row is padding; without `left` or `right`, the first pixel's first
        tap or the last one's last. Then `zeros` is read, an array of as many blocks as a run reads. The pixels go to
        y[y_at] and after, as f(sum + shift + addend): see `Ending`.
        """

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (
                x_, above_, at_, below_, zeros_, upper_, lower_, left_, right_, weights_, weights_at_, shift_,
                shift_at_, slope_, addend_, adds_, y_, y_at_,
            ) = args  # fmt: skip
            vectors = Vectors(context, builder, x)
            lanes = vectors.length

            def number(value: int) -> Any:
                return ir.Constant(at_.type, value)

            def is_true(value: Any) -> Any:
                return builder.icmp_unsigned("!=", value, ir.Constant(value.type, 0))

            nothing_there = element(context, builder, zeros, zeros_, number(lanes))
            rows = [element(context, builder, x, x_, place) for place in (above_, at_, below_)]
            rows[0] = builder.select(is_true(upper_), rows[0], nothing_there)
            rows[2] = builder.select(is_true(lower_), rows[2], nothing_there)
            panel = element(context, builder, weights, weights_, weights_at_)
            last = (pixels - 1) * stride + 1
            totals: list[Any] = [None] * pixels
            for i, row in enumerate(rows):
                found = {}
                for place in sorted({pixel * stride + j - 1 for pixel in range(pixels) for j in range(_SIDE)}):
                    source = builder.gep(row, [number(place * lanes)])
                    if place == -1:
                        source = builder.select(is_true(left_), source, nothing_there)
                    elif place == last:
                        source = builder.select(is_true(right_), source, nothing_there)
                    found[place] = vectors.load(source)
                for j in range(_SIDE):
                    factor = vectors.load(builder.gep(panel, [number((i * _SIDE + j) * lanes)]))
                    for pixel, total in enumerate(totals):
                        value = found[pixel * stride + j - 1]
                        totals[pixel] = (
                            builder.fmul(value, factor) if total is None else vectors.fma(value, factor, total)
                        )
            summand = vectors.load(element(context, builder, shift, shift_, shift_at_))
            target = element(context, builder, y, y_, y_at_)
            added = element(context, builder, addend, addend_, y_at_)
            sums = [(total, summand, number(pixel * lanes)) for pixel, total in enumerate(totals)]
            write_finished(vectors, sums, Ending(slope_, added, adds_, target))
            return nothing(context)

        n, flag = types.intp, types.boolean
        kinds = (x, n, n, n, zeros, flag, flag, flag, flag, weights, n, shift, n, x.dtype, addend, flag, y, n)
        return types.void(*kinds), generate

    return multiply


multiply_many, multiply_few, multiply_one = (_multiply_run(pixels, 1) for pixels in (MANY, FEW, 1))
skip_many, skip_few, skip_one = (_multiply_run(pixels, 2) for pixels in (MANY, FEW, 1))


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
    factors, shift_at = block * _SIDE * _SIDE * lanes, block * lanes
    for row in range(band * y_height // bands, (band + 1) * y_height // bands):
        top = row * down - pad[0]
        upper, lower = top >= 0, top + 2 < height
        middle = ((plane * height + top + 1) * width - pad[1] + 1) * lanes
        target = (plane * y_height + row) * y_width * lanes
        pixel = 0
        while pixel < y_width:
            first = pixel * across - pad[1]
            at = middle + pixel * across * lanes
            above, below = at - width * lanes, at + width * lanes
            left, rest = first >= 0, y_width - pixel
            if rest >= MANY:
                right = first + (MANY - 1) * across + 2 < width
                if across == 1:
                    multiply_many(
                        x, above, at, below, zeros, upper, lower, left, right, weights, factors, shift, shift_at, slope,
                        addend, adds, y, target + pixel * lanes,
                    )  # fmt: skip
                else:
                    skip_many(
                        x, above, at, below, zeros, upper, lower, left, right, weights, factors, shift, shift_at, slope,
                        addend, adds, y, target + pixel * lanes,
                    )  # fmt: skip
                pixel += MANY
            elif rest >= FEW:
                right = first + (FEW - 1) * across + 2 < width
                if across == 1:
                    multiply_few(
                        x, above, at, below, zeros, upper, lower, left, right, weights, factors, shift, shift_at, slope,
                        addend, adds, y, target + pixel * lanes,
                    )  # fmt: skip
                else:
                    skip_few(
                        x, above, at, below, zeros, upper, lower, left, right, weights, factors, shift, shift_at, slope,
                        addend, adds, y, target + pixel * lanes,
                    )  # fmt: skip
                pixel += FEW
            else:
                right = first + 2 < width
                multiply_one(
                    x, above, at, below, zeros, upper, lower, left, right, weights, factors, shift, shift_at, slope,
                    addend, adds, y, target + pixel * lanes,
                )  # fmt: skip
                pixel += 1


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
