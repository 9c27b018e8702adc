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

from bicerin.kernels.numba_internals import element, intrinsic, ir, nothing, types
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
        for i, row in enumerate(_both_sides(vectors, B_T, tile)):
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


#: D to B^T D B.
transform_patch = _transform(B_T)
#: W to G W G^T.
transform_kernel_3 = _transform(_g(3))
transform_kernel_5 = _transform(_g(5))
#: A product M to A^T M A.
transform_output_4 = _transform_output(_a_t(4))
transform_output_2 = _transform_output(_a_t(2))
#: dY to A dY A^T.
transform_gradient_4 = _transform(_a_t(4).T)
transform_gradient_2 = _transform(_a_t(2).T)
#: A sum M of products to G^T M G.
kernel_gradient_3 = _transform(_g(3).T)
kernel_gradient_5 = _transform(_g(5).T)
