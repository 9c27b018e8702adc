"""Convolution as the formula says, for groups of few channels, where a product of matrices has no size.

The rows of the input are laid out as `Bands` says; the outputs are summed up in registers, VECTORS at a time.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels import kernel, part, spread
from bicerin.kernels.finishing import finished
from bicerin.kernels.numba_internals import element, for_range, intrinsic, ir, nothing, slot, types
from bicerin.kernels.panel import VECTOR_BYTES, Vectors, copy_line

#: Sums that are in registers together, which hides how long an addition takes.
SUMS = 4
#: Outputs of a plane in a bundle of groups, and bundles for each thread, at least.
BUNDLE, UNITS = 4096, 8


@intrinsic
def copy_part(typing: Any, source: Any, source_at: Any, stride: Any, target: Any, target_at: Any, count: Any) -> Any:
    """copy_part(source, source_at, stride, target, target_at, count): copy every `stride`-th element, 1 or 2.

    Nothing is read before the first or after the last of the `count` elements, nor written.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source_, at, stride_, target_, target_at_, count_ = args
        vectors = Vectors(context, builder, source)
        intp = at.type
        first = element(context, builder, source, source_, at)
        target_first = element(context, builder, target, target_, target_at_)
        with builder.if_else(builder.icmp_signed("==", stride_, intp(1))) as (every, other):
            with every:
                for index, place, mask in vectors.line(target_first, count_):
                    value = vectors.load_masked(vectors.place(first, index), mask)
                    vectors.store_masked(value, place, mask)
            with other:
                # The last element is one past a pair's first.
                pairs = builder.sub(builder.mul(count_, intp(2)), intp(1))
                lanes = ir.Constant(ir.VectorType(intp, vectors.length), list(range(vectors.length)))
                even = list(range(0, 2 * vectors.length, 2))
                for index, place, mask in vectors.line(target_first, count_):
                    halves = []
                    for half in range(2):
                        start = builder.add(builder.mul(index, intp(2)), intp(half * vectors.length))
                        left = vectors.splat(builder.sub(pairs, start), lanes.type)
                        inside = builder.icmp_signed("<", lanes, left)
                        halves.append(vectors.load_masked(vectors.place(first, start), inside))
                    vectors.store_masked(vectors.shuffle(halves[0], halves[1], even), place, mask)
        return nothing(context)

    n = types.intp
    return types.void(source, n, n, target, n, n), generate


@intrinsic(prefer_literal=True)
def sum_taps(
    typing: Any, seen: Any, plane: Any, slots: Any, rows: Any, places: Any, pitch: Any, columns: Any, tap_columns: Any,
    w: Any, channels: Any, tap_rows: Any, sums: Any, sums_at: Any,
) -> Any:  # fmt: skip
    """sum_taps(seen, plane, slots, rows, places, pitch, columns, tap_columns, w, channels, tap_rows, sums, sums_at):
    SUMS vectors of outputs, written one after the other.

    Args:
        seen: scratch memory, `plane` elements a channel.
        slots, columns, pitch: those of `Bands`.
        rows, places: for each of the vectors, where its output row starts in `slots`, and its column; tuples of SUMS.
        tap_columns: how many; a loop over a number that is written out is unrolled.
        w: `channels * tap_rows * tap_columns` weights.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        seen_, plane_, slots_, rows_, places_, pitch_, columns_, count_, w_, channels_, tap_rows_, sums_, at = args
        vectors = Vectors(context, builder, seen)
        intp = at.type
        totals = [slot(builder, vectors.constant(0)) for _ in range(SUMS)]
        for total in totals:
            builder.store(vectors.constant(0), total)
        starts = [builder.extract_value(rows_, index) for index in range(SUMS)]
        offsets = [builder.extract_value(places_, index) for index in range(SUMS)]
        weight = element(context, builder, w, w_, intp(0))
        first = element(context, builder, seen, seen_, intp(0))
        shift = element(context, builder, columns, columns_, intp(0))
        literal = getattr(tap_columns, "literal_value", None)
        count = intp(literal) if literal is not None else count_

        def add(lines: list[Any], row_weight: Any, j: Any) -> None:
            factor = vectors.splat(builder.load(builder.gep(row_weight, [j])))
            column = builder.load(builder.gep(shift, [j]))
            for line, total in zip(lines, totals, strict=True):
                value = vectors.load(builder.gep(line, [column]))
                builder.store(vectors.fma(factor, value, builder.load(total)), total)

        with for_range(builder, channels_) as c:
            origin = builder.gep(first, [builder.mul(c, plane_)])
            with for_range(builder, tap_rows_) as i:
                lines = []
                for start, offset in zip(starts, offsets, strict=True):
                    place = element(context, builder, slots, slots_, builder.add(start, i))
                    line = builder.mul(builder.load(place), pitch_)
                    lines.append(builder.gep(origin, [builder.add(line, offset)]))
                row = builder.add(builder.mul(c, tap_rows_), i)
                row_weight = builder.gep(weight, [builder.mul(row, count)])
                if literal is not None:
                    for j in range(literal):
                        add(lines, row_weight, intp(j))
                else:
                    with for_range(builder, count) as j:
                        add(lines, row_weight, j)
        target = element(context, builder, sums, sums_, at)
        for index, total in enumerate(totals):
            vectors.store(builder.load(total), builder.gep(target, [intp(index * vectors.length)]))
        return nothing(context)

    n = types.intp
    four = types.UniTuple(n, SUMS)
    return types.void(seen, n, slots, four, four, n, columns, tap_columns, w, n, n, sums, n), generate


@part
def lay_out(flat_x, base, row_width, stride, sources, shifts, stretch, pitch, seen, at):  # type: ignore[no-untyped-def]
    """The rows of a band of one channel, which starts at flat_x[base]; what is padding stays as it is, zeros."""
    for number in range(sources.size):
        row = at + (number + 1) * pitch
        for place in range(shifts.size):
            shift = shifts[place]
            start = max(0, -(shift // stride))
            end = min(stretch, -((shift - row_width) // stride))
            if end <= start:
                continue
            source = base + sources[number] * row_width + start * stride + shift
            target = row + place * stretch + start
            if stride <= 2:
                copy_part(flat_x, source, stride, seen, target, end - start)
            else:
                for k in range(end - start):
                    seen[target + k] = flat_x[source + k * stride]


@part
def correlate_groups(  # type: ignore[no-untyped-def]
    unit, worker, x, stride, outputs_of, starts, sources, slots, columns, shifts, stretch, pitch, plane, vectors,
    taps, w, finish, y, out_rows, out_column, out_step, out_width, scratch, ready, bundle,
):  # fmt: skip
    """The outputs of some groups, counted through all images."""
    groups, outputs, channels, _ = w.shape
    row_count, row_width = x.shape[2:]
    lanes = VECTOR_BYTES // x.itemsize
    flat_x, flat_y, flat_slots = x.reshape(-1), y.reshape(-1), slots.reshape(-1)
    tap_rows, tap_columns = slots.shape[1], columns.size
    seen = scratch[worker]
    weights = seen[channels * plane : channels * (plane + taps.size)]
    sums = seen[channels * (plane + taps.size) :]
    if ready[worker] == 0:
        ready[worker] = 1
        seen[: channels * plane] = 0
    for number in range(unit * bundle, min((unit + 1) * bundle, x.shape[0] * groups)):
        image, group = number // groups, number % groups
        for band in range(starts.size - 1):
            for c in range(channels):
                base = ((image * groups + group) * channels + c) * row_count * row_width
                here = sources[starts[band] : starts[band + 1]]
                lay_out(flat_x, base, row_width, stride, here, shifts, stretch, pitch, seen, c * plane)
            first, last = outputs_of[band], outputs_of[band + 1]
            for m in range(outputs):
                out = group * outputs + m
                for c in range(channels):
                    for tap in range(taps.size):
                        weights[c * taps.size + tap] = w[group, m, c, taps[tap]]
                row, column, at = first, 0, 0
                end = (last - first) * vectors * lanes
                while at < end:
                    # The next vectors, row by row; past the last of them, that one again.
                    r0, q0 = row, column
                    r1, q1 = (r0, q0 + 1) if q0 + 1 < vectors else (min(r0 + 1, last - 1), 0)
                    r2, q2 = (r1, q1 + 1) if q1 + 1 < vectors else (min(r1 + 1, last - 1), 0)
                    r3, q3 = (r2, q2 + 1) if q2 + 1 < vectors else (min(r2 + 1, last - 1), 0)
                    row, column = (r3, q3 + 1) if q3 + 1 < vectors else (r3 + 1, 0)
                    in_slots = (r0 * tap_rows, r1 * tap_rows, r2 * tap_rows, r3 * tap_rows)
                    places = (q0 * lanes, q1 * lanes, q2 * lanes, q3 * lanes)
                    if tap_columns == 3:
                        sum_taps(
                            seen, plane, flat_slots, in_slots, places, pitch, columns, 3, weights, channels, tap_rows,
                            sums, at,
                        )  # fmt: skip
                    else:
                        sum_taps(
                            seen, plane, flat_slots, in_slots, places, pitch, columns, tap_columns, weights, channels,
                            tap_rows, sums, at,
                        )  # fmt: skip
                    at += SUMS * lanes
                scale, shift, slope = finish[0, out], finish[1, out], finish[2, out]
                for o in range(first, last):
                    target = ((image * groups * outputs + out) * y.shape[2] + out_rows[o]) * y.shape[3] + out_column
                    at = (o - first) * vectors * lanes
                    if out_step == 1:
                        copy_line(sums, at, scale, shift, slope, flat_y, target, out_width)
                    else:
                        for q in range(out_width):
                            flat_y[target + q * out_step] = finished(sums[at + q], scale, shift, slope)


@kernel()
def correlate_rows(  # type: ignore[no-untyped-def]
    x, stride, outputs_of, starts, sources, slots, columns, shifts, stretch, pitch, plane, vectors,
    taps, w, finish, y, out_rows, out_column, out_step, out_width, scratch,
):  # fmt: skip
    """y = w * x, finished, where `Taps` says.

    Args:
        x, y: `(N, G * C, R, W)` and `(N, G * M, R', W')`, contiguous.
        outputs_of, starts, ...: those of `Bands`.
        w: `(G, M, C, kernel)`.
        finish: of `FinishTable`.
        scratch: one line of elements per thread, of `scratch_size`.
    """
    workers = scratch.shape[0]
    ready = np.zeros(workers, np.uint8)
    # Small planes go together, since there is some work before the first.
    total = x.shape[0] * w.shape[0]
    bundle = max(1, min(BUNDLE // max(1, y.shape[2] * y.shape[3]), total // (UNITS * workers)))
    spread(
        correlate_groups,
        -(-total // bundle),
        scratch.shape[0],
        (
            x, stride, outputs_of, starts, sources, slots, columns, shifts, stretch, pitch, plane, vectors,
            taps, w, finish, y, out_rows, out_column, out_step, out_width, scratch, ready, bundle,
        ),
    )  # fmt: skip


def scratch_size(channels: int, plane: int, taps: int, rows: int, vectors: int, lanes: int) -> int:
    """Elements of scratch that `correlate_rows` needs for one thread; `rows` are the most output rows of a band."""
    return channels * (plane + taps) + (rows * vectors + SUMS) * lanes
