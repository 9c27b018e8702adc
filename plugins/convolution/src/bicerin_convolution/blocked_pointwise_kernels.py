"""Convolution with 1x1 kernels of arrays whose channels are in blocks of a vector.

A tile of ROWS pixels and a panel of outputs stays in registers while all channels are walked, and is finished there:

    x         (N, C / lanes, H, W, lanes)
    weights   (panels, C, VECTORS * lanes)
"""

from __future__ import annotations

from typing import Any

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.numba_internals import element, for_range, intrinsic, ir, nothing, slot, types
from bicerin.kernels.panel import ROWS, VECTOR_BYTES, VECTORS, Vectors
from bicerin_convolution.blocked_writing import Ending, write_finished


@intrinsic
def multiply_pixels(
    typing: Any, x: Any, at: Any, places: Any, first: Any, last: Any, plane: Any, blocks: Any, weights: Any,
    weights_at: Any, count: Any, shift: Any, shift_at: Any, slope: Any, addend: Any, adds: Any, y: Any, y_at: Any,
    y_plane: Any,
) -> Any:  # fmt: skip
    """multiply_pixels(x, at, places, first, last, plane, blocks, weights, weights_at, count, shift, shift_at, slope,
    addend, adds, y, y_at, y_plane): ROWS pixels of `count` blocks of outputs.

    Pixel p, from `first` on and never beyond `last`, is at x[at + places[p]], with `plane` elements from each of the
    `blocks` of channels to the next. It goes to y[y_at + p * lanes], with `y_plane` from block to block, as f(sum +
    shift + addend): the addend's is at the same place, and counts where `adds` is true; f(v) = v where v > 0, else
    slope * v. The panel of weights starts at weights[weights_at], the shift at shift[shift_at].
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        (
            x_, at_, places_, first_, last_, plane_, blocks_, weights_, weights_at_, count_, shift_, shift_at_, slope_,
            addend_, adds_, y_, y_at_, y_plane_,
        ) = args  # fmt: skip
        vectors = Vectors(context, builder, x)
        intp = at_.type

        def number(value: int) -> Any:
            return ir.Constant(intp, value)

        base = element(context, builder, x, x_, at_)
        pixels, sources = [], []
        for index in range(ROWS):
            # The last pixel again, where there are no more.
            pixel = builder.add(first_, number(index))
            pixel = builder.select(builder.icmp_signed("<", pixel, last_), pixel, last_)
            offset = builder.load(element(context, builder, places, places_, pixel))
            pixels.append(builder.mul(pixel, number(vectors.length)))
            sources.append(builder.gep(base, [offset]))
        panel = element(context, builder, weights, weights_, weights_at_)
        target = element(context, builder, y, y_, y_at_)
        added = element(context, builder, addend, addend_, y_at_)
        summands = element(context, builder, shift, shift_, shift_at_)
        zero = vectors.constant(0)
        ending = Ending(slope_, added, adds_, target)
        for columns in range(1, VECTORS + 1):
            with builder.if_then(builder.icmp_signed("==", count_, number(columns))):
                sums = [[slot(builder, zero) for _ in range(columns)] for _ in range(ROWS)]
                for total in (total for row in sums for total in row):
                    builder.store(zero, total)
                with for_range(builder, blocks_) as block:
                    offset = builder.mul(block, plane_)
                    line = builder.gep(panel, [builder.mul(block, number(VECTORS * vectors.length**2))])
                    for c in range(vectors.length):
                        at_line = c * VECTORS * vectors.length
                        factors = [
                            vectors.load(builder.gep(line, [number(at_line + v * vectors.length)]))
                            for v in range(columns)
                        ]
                        place = builder.add(offset, number(c))
                        for source, row in zip(sources, sums, strict=True):
                            scalar = vectors.splat(builder.load(builder.gep(source, [place])))
                            for factor, total in zip(factors, row, strict=True):
                                builder.store(vectors.fma(scalar, factor, builder.load(total)), total)
                found = []
                for v in range(columns):
                    along = builder.mul(number(v), y_plane_)
                    summand = vectors.load(builder.gep(summands, [number(v * vectors.length)]))
                    for pixel, row in zip(pixels, sums, strict=True):
                        found.append((builder.load(row[v]), summand, builder.add(along, pixel)))
                write_finished(vectors, found, ending)
        return nothing(context)

    n = types.intp
    kinds = (x, n, places, n, n, n, n, weights, n, n, shift, n, x.dtype, addend, types.boolean, y, n, n)
    return types.void(*kinds), generate


@part
def multiply_portion(  # type: ignore[no-untyped-def]
    unit, worker, x, image_step, plane, places, weights, blocks, y_blocks, y_plane, shift, slope, addend, adds, y, chunk
):
    """A chunk of pixels of one image, of one panel of outputs."""
    lanes = VECTOR_BYTES // x.itemsize
    panels = -(-y_blocks // VECTORS)
    pixels = places.size
    chunks = -(-pixels // chunk)
    panel, start, image = unit % panels, unit // panels % chunks * chunk, unit // panels // chunks
    begin, end = panel * y_blocks // panels, (panel + 1) * y_blocks // panels
    for pixel in range(start, min(start + chunk, pixels), ROWS):
        multiply_pixels(
            x, image * image_step, places, pixel, pixels - 1, plane, blocks,
            weights, panel * blocks * lanes * VECTORS * lanes, end - begin, shift, begin * lanes, slope,
            addend, adds, y, (image * y_blocks + begin) * y_plane, y_plane,
        )  # fmt: skip


@kernel()
def convolve_pixels(  # type: ignore[no-untyped-def]
    x, images, plane, places, weights, blocks, y_blocks, shift, slope, addend, adds, y, chunk, workers
):
    """y = f(weights * x + shift + addend), all of them flat, with channels in blocks of a vector.

    Args:
        x: `(N, blocks, H, W, lanes)`.
        plane: elements of a plane of x.
        places: of each pixel of y, its place in a plane of x.
        weights: of `pack_pointwise`.
        shift: of each channel of y.
        slope: f(v) = v where v > 0, else slope * v.
        addend: in the order of y; counts only where `adds` is true.
        y: `(N, y_blocks, H', W', lanes)`.
        chunk: pixels that a thread takes at a time, a multiple of ROWS.
    """
    lanes = VECTOR_BYTES // x.itemsize
    panels, chunks = -(-y_blocks // VECTORS), -(-places.size // chunk)
    spread(
        multiply_portion, images * chunks * panels, workers,
        (x, blocks * plane, plane, places, weights, blocks, y_blocks, places.size * lanes, shift, slope, addend, adds,
         y, chunk),
    )  # fmt: skip


@kernel()
def pack_pointwise(w, depth, packed):  # type: ignore[no-untyped-def]
    """The weights `(M, C)` as panels `(depth, VECTORS * lanes)`, of zeros where there are none."""
    lanes = VECTOR_BYTES // w.itemsize
    line = VECTORS * lanes
    outputs, channels = w.shape
    blocks = -(-outputs // lanes)
    panels = -(-blocks // VECTORS)
    packed[:] = 0
    for panel in range(panels):
        begin, end = panel * blocks // panels * lanes, (panel + 1) * blocks // panels * lanes
        for m in range(begin, min(end, outputs)):
            at = panel * depth * line + m - begin
            for c in range(channels):
                packed[at + c * line] = w[m, c]
