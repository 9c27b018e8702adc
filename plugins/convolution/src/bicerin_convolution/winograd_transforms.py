"""The transforms of Winograd's convolutions F(4x4, 3x3) and F(2x2, 5x5), for as many tiles at once as a vector holds.

An output tile Y comes from an input tile D of 6x6 and a kernel W with 36 multiplications, in place of 144 or 100:

    Y = A^T [ (G W G^T) * (B^T D B) ] A

The gradient of the kernel is the same sum read backwards, again with 36 multiplications for a tile:

    dW = G^T [ sum over tiles of (A dY A^T) * (B^T D B) ] G

Source: Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.kernels.numba_internals import element, intrinsic, ir, is_true, nothing, slot, types
from bicerin.kernels.panel import Vectors

#: Side of an input tile. An output tile's is PATCH + 1 - that of the kernel.
PATCH = 6
B_T = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float64,
)
#: The points at which the polynomials are multiplied, the last of the six being infinity, and their factors.
_AT = (0, 1, -1, 2, -2)
_FACTORS = (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24)


def _g(kernel: int) -> np.ndarray:
    """G for a side of the kernel."""
    powers = [[factor * at**k for k in range(kernel)] for at, factor in zip(_AT, _FACTORS, strict=True)]
    return np.array([*powers, [0] * (kernel - 1) + [1]], np.float64)


def _a_t(tile: int) -> np.ndarray:
    """A^T for a side of the output tile."""
    return np.array([[*(at**i for at in _AT), float(i == tile - 1)] for i in range(tile)], np.float64)


def _combine(vectors: Vectors, factors: np.ndarray, terms: list[Any]) -> Any:
    """The sum of the terms, each times its factor."""
    builder = vectors.builder
    total = None
    for factor, term in sorted(zip(factors, terms, strict=True), key=lambda pair: -pair[0]):
        if factor == 0:
            continue
        if total is None:
            total = term if factor == 1 else builder.fmul(term, vectors.constant(factor))
        elif factor == 1:
            total = builder.fadd(total, term)
        elif factor == -1:
            total = builder.fsub(total, term)
        else:
            total = vectors.fma(term, vectors.constant(factor), total)
    return total


def _both_sides(vectors: Vectors, matrix: np.ndarray, tile: list[list[Any]]) -> list[list[Any]]:
    """matrix . tile . matrix^T"""
    columns = range(len(tile[0]))
    left = [[_combine(vectors, row, [line[j] for line in tile]) for j in columns] for row in matrix]
    return [[_combine(vectors, row, line) for row in matrix] for line in left]


@intrinsic
def transform_input(
    typing: Any, source: Any, line: Any, starts: Any, first: Any, target: Any, target_at: Any, step: Any
) -> Any:
    """transform_input(source, line, starts, first, target, target_at, step): a vector of input tiles.

    Row i of tile t is at source[starts[first + t] + i * line]; element f of the 36 goes to
    target[target_at + f * step + t].
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = Vectors(context, builder, source)
        intp = args[1].type
        begin = element(context, builder, starts, args[2], args[3])
        places = [
            element(context, builder, source, args[0], builder.load(builder.gep(begin, [ir.Constant(intp, t)])))
            for t in range(vectors.length)
        ]
        tile = []
        for i in range(PATCH):
            offset = builder.mul(ir.Constant(intp, i), args[1])
            # Eight elements of each tile's row, of which six count; interleaved, they are columns of all tiles.
            lines = [vectors.load(builder.gep(place, [offset]), 8) for place in places]
            together = vectors.interleave(lines)
            tile.append([vectors.part(together, j * vectors.length) for j in range(PATCH)])
        for i, row in enumerate(_rows_and_columns(vectors, _input_line, tile)):
            for j, value in enumerate(row):
                at = builder.add(args[5], builder.mul(ir.Constant(intp, i * PATCH + j), args[6]))
                vectors.store(value, element(context, builder, target, args[4], at))
        return nothing(context)

    intp = types.intp
    return types.void(source, intp, starts, intp, target, intp, intp), generate


def _transform_output(matrix: np.ndarray) -> Any:
    """transform(source, source_at, step, target, target_at, line): a vector of output tiles, side by side.

    Element f of tile t is at source[source_at + f * step + t]; row i of the tile, of `tile` elements, goes to
    target[target_at + i * line + tile * t].
    """

    def transform(typing: Any, source: Any, source_at: Any, step: Any, target: Any, target_at: Any, line: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vectors = Vectors(context, builder, source)
            intp = args[1].type

            def loaded(f: int) -> Any:
                at = builder.add(args[1], builder.mul(ir.Constant(intp, f), args[2]))
                return vectors.load(element(context, builder, source, args[0], at))

            tile = [[loaded(i * PATCH + j) for j in range(PATCH)] for i in range(PATCH)]
            for i, row in enumerate(_both_sides(vectors, matrix, tile)):
                at = builder.add(args[4], builder.mul(ir.Constant(intp, i), args[5]))
                vectors.store(vectors.interleave(row), element(context, builder, target, args[3], at))
            return nothing(context)

        intp = types.intp
        return types.void(source, intp, intp, target, intp, intp), generate

    return intrinsic(transform)


def _transform(matrix: np.ndarray) -> Any:
    """transform(source, source_at, line, step, target, target_at, point): a vector of tiles, M tile M^T.

    Element (i, j) of the tiles is at source[source_at + i * line + j * step]; the f-th of the result goes to
    target[target_at + f * point].
    """

    def transform(
        typing: Any, source: Any, source_at: Any, line: Any, step: Any, target: Any, target_at: Any, point: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vectors = Vectors(context, builder, source)

            def offset(at: Any, *places: tuple[int, Any]) -> Any:
                for index, size in places:
                    at = builder.add(at, builder.mul(ir.Constant(at.type, index), size))
                return at

            def loaded(i: int, j: int) -> Any:
                at = offset(args[1], (i, args[2]), (j, args[3]))
                return vectors.load(element(context, builder, source, args[0], at))

            side = range(matrix.shape[1])
            tile = [[loaded(i, j) for j in side] for i in side]
            found = [value for row in _both_sides(vectors, matrix, tile) for value in row]
            for f, value in enumerate(found):
                vectors.store(value, element(context, builder, target, args[4], offset(args[5], (f, args[6]))))
            return nothing(context)

        intp = types.intp
        return types.void(source, intp, intp, intp, target, intp, intp), generate

    return intrinsic(transform)


def _input_line(vectors: Vectors, d: list[Any]) -> list[Any]:
    """B^T d, with the sums that its rows have in common."""
    builder, fma = vectors.builder, vectors.fma
    two, four, minus_two, minus_four, minus_five = map(vectors.constant, (2, 4, -2, -4, -5))
    even, odd = fma(d[2], minus_four, d[4]), fma(d[1], minus_four, d[3])
    steep, rise = builder.fsub(d[4], d[2]), builder.fsub(d[3], d[1])
    return [
        fma(d[0], four, fma(d[2], minus_five, d[4])),
        builder.fadd(even, odd),
        builder.fsub(even, odd),
        fma(rise, two, steep),
        fma(rise, minus_two, steep),
        fma(d[1], four, fma(d[3], minus_five, d[5])),
    ]


def _output_line(vectors: Vectors, m: list[Any]) -> list[Any]:
    """A^T m of F(4, 3), with the sums that its rows have in common."""
    builder, fma = vectors.builder, vectors.fma
    two, four, eight = map(vectors.constant, (2, 4, 8))
    near, far = builder.fadd(m[1], m[2]), builder.fadd(m[3], m[4])
    near_odd, far_odd = builder.fsub(m[1], m[2]), builder.fsub(m[3], m[4])
    return [
        builder.fadd(builder.fadd(m[0], near), far),
        fma(far_odd, two, near_odd),
        fma(far, four, near),
        builder.fadd(fma(far_odd, eight, near_odd), m[5]),
    ]


def _short_output_line(vectors: Vectors, m: list[Any]) -> list[Any]:
    """A^T m of F(2, 5)."""
    builder = vectors.builder
    even = builder.fadd(builder.fadd(m[1], m[2]), builder.fadd(m[3], m[4]))
    odd = vectors.fma(builder.fsub(m[3], m[4]), vectors.constant(2), builder.fsub(m[1], m[2]))
    return [builder.fadd(m[0], even), builder.fadd(odd, m[5])]


def _rows_and_columns(vectors: Vectors, line: Any, tile: list[list[Any]]) -> list[list[Any]]:
    """A line's transform, of the columns of a tile and then of the rows."""
    columns = [line(vectors, [row[j] for row in tile]) for j in range(len(tile[0]))]
    return [line(vectors, [column[i] for column in columns]) for i in range(len(columns[0]))]


def _gradient_line(vectors: Vectors, y: list[Any]) -> list[Any]:
    """A y of F(4, 3), with the sums that its rows have in common."""
    builder, fma = vectors.builder, vectors.fma
    two, four = vectors.constant(2), vectors.constant(4)
    even, odd = builder.fadd(y[0], y[2]), builder.fadd(y[1], y[3])
    steep, rise = fma(y[2], four, y[0]), fma(y[3], four, y[1])
    return [
        y[0],
        builder.fadd(even, odd),
        builder.fsub(even, odd),
        fma(rise, two, steep),
        fma(rise, vectors.constant(-2), steep),
        y[3],
    ]


def _short_gradient_line(vectors: Vectors, y: list[Any]) -> list[Any]:
    """A y of F(2, 5)."""
    builder, fma = vectors.builder, vectors.fma
    return [
        y[0],
        builder.fadd(y[0], y[1]),
        builder.fsub(y[0], y[1]),
        fma(y[1], vectors.constant(2), y[0]),
        fma(y[1], vectors.constant(-2), y[0]),
        y[1],
    ]


def _transform_blocked_input(side: int, input_line: Any) -> Any:
    """transform(source, at, rows, row, columns, column, zeros, target, target_at, step): a block of channels of one
    tile.

    Pixel (i, j) of the tile, of `side` squared, is at source[at + rows[row + i] + columns[column + j]]; where either of
    them is negative, it is `zeros`, an array of a block of them. Element f of the 36 goes to target[target_at + f *
    step].
    """

    def transform(
        typing: Any, source: Any, at: Any, rows: Any, row: Any, columns: Any, column: Any, zeros: Any, target: Any,
        target_at: Any, step: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            vectors = Vectors(context, builder, source)
            intp = args[1].type
            zero = ir.Constant(intp, 0)
            # In memory, not a constant: that would be a branch for each pixel.
            nothing_there = vectors.place(element(context, builder, zeros, args[6], zero), zero)
            base = element(context, builder, source, args[0], args[1])

            def offsets(table_type: Any, table: Any, first: Any) -> list[tuple[Any, Any]]:
                found = []
                for k in range(side):
                    place = element(context, builder, table_type, table, builder.add(first, ir.Constant(intp, k)))
                    offset = builder.load(place)
                    found.append((offset, builder.icmp_signed(">=", offset, zero)))
                return found

            across = offsets(columns, args[4], args[5])
            tile = []
            for offset, inside in offsets(rows, args[2], args[3]):
                line = []
                for along, within in across:
                    # Pixels outside are read elsewhere, which takes no branches.
                    place = vectors.place(base, builder.add(offset, along))
                    place = builder.select(builder.and_(inside, within), place, nothing_there)
                    line.append(builder.load(place, align=vectors.align))
                tile.append(line)
            for i, line in enumerate(_rows_and_columns(vectors, input_line, tile)):
                for j, value in enumerate(line):
                    place = builder.add(args[8], builder.mul(ir.Constant(intp, i * PATCH + j), args[9]))
                    vectors.store(value, element(context, builder, target, args[7], place))
            return nothing(context)

        intp = types.intp
        return types.void(source, intp, rows, intp, columns, intp, zeros, target, intp, intp), generate

    return intrinsic(transform)


def _transform_blocked_output(output_line: Any) -> Any:
    """transform(source, at, step, shift, shift_at, slope, addend, adds, zeros, target, target_at, line, height, width):
    a block of channels of one output tile, finished.

    Element f of the 36 is at source[at + f * step]. Pixel (i, j) of the tile goes to target[target_at + i * line + j *
    vector], for i < height and j < width, as f(sum + shift + addend): the addend's is at the same place, and counts
    where `adds` is true; f(v) = v where v > 0, else slope * v.
    """

    def transform(
        typing: Any, source: Any, at: Any, step: Any, shift: Any, shift_at: Any, slope: Any, addend: Any, adds: Any,
        zeros: Any, target: Any, target_at: Any, line: Any, height: Any, width: Any,
    ) -> Any:  # fmt: skip
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            (
                source_, at_, step_, shift_, shift_at_, slope_, addend_, adds_, zeros_, target_, target_at_, line_,
                high, wide,
            ) = args  # fmt: skip
            vectors = Vectors(context, builder, source)
            intp = at_.type
            elsewhere = slot(builder, vectors.type)
            none = ir.Constant(intp, 0)
            nothing_there = vectors.place(element(context, builder, zeros, zeros_, none), none)

            def loaded(f: int) -> Any:
                place = builder.add(at_, builder.mul(ir.Constant(intp, f), step_))
                return vectors.load(element(context, builder, source, source_, place))

            tile = [[loaded(i * PATCH + j) for j in range(PATCH)] for i in range(PATCH)]
            summand = vectors.load(element(context, builder, shift, shift_, shift_at_))
            rectified = vectors.rectifier(slope_)
            counts = is_true(builder, adds_)
            first = element(context, builder, target, target_, target_at_)
            added = element(context, builder, addend, addend_, target_at_)
            # Pixels outside are written elsewhere, which takes no branches.
            for i, values in enumerate(_rows_and_columns(vectors, output_line, tile)):
                offset = builder.mul(ir.Constant(intp, i), line_)
                inside = builder.icmp_signed("<", ir.Constant(intp, i), high)
                for j, value in enumerate(values):
                    within = builder.and_(inside, builder.icmp_signed("<", ir.Constant(intp, j), wide))
                    place = builder.add(offset, ir.Constant(intp, j * vectors.length))
                    there = builder.select(within, vectors.place(first, place), elsewhere)
                    other = builder.select(builder.and_(within, counts), vectors.place(added, place), nothing_there)
                    value = builder.fadd(builder.fadd(value, summand), builder.load(other, align=vectors.align))
                    builder.store(rectified(value), there, align=vectors.align)
            return nothing(context)

        intp = types.intp
        number = source.dtype
        kinds = (source, intp, intp, shift, intp, number, addend, types.boolean, zeros, target, *(intp,) * 4)
        return types.void(*kinds), generate

    return intrinsic(transform)


#: D to B^T D B.
transform_patch = _transform(B_T)
#: W to G W G^T.
transform_kernel_3 = _transform(_g(3))
transform_kernel_5 = _transform(_g(5))
#: A product M to A^T M A.
transform_output_4 = _transform_output(_a_t(4))
transform_output_2 = _transform_output(_a_t(2))
transform_blocked_input = _transform_blocked_input(PATCH, _input_line)
transform_blocked_output_4 = _transform_blocked_output(_output_line)
transform_blocked_output_2 = _transform_blocked_output(_short_output_line)
#: dY to A dY A^T.
transform_gradient_4 = _transform(_a_t(4).T)
transform_gradient_2 = _transform(_a_t(2).T)
transform_blocked_gradient_4 = _transform_blocked_input(4, _gradient_line)
transform_blocked_gradient_2 = _transform_blocked_input(2, _short_gradient_line)
#: A sum M of products to G^T M G.
kernel_gradient_3 = _transform(_g(3).T)
kernel_gradient_5 = _transform(_g(5).T)
