"""Panels: how the operands of a matrix product lie in memory, and the product of two of them in registers.

A product C = A . B over a long `depth` runs in tiles of C of `ROWS` rows and `width` columns, small enough to stay in
vector registers while the depth is walked. For that the tile's rows of A and columns of B are packed beforehand:

    A panel  (depth, ROWS)     B panel  (depth, width)     each contiguous

so that a step of the depth reads one line of each: ROWS numbers, each multiplied with all of the width's. The layout is
that of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008. The vectors are written out in
LLVM's terms, since a loop in Python leaves it to chance whether the tile stays in registers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bicerin.kernels import numba_internals as internals
from bicerin.kernels.numba_internals import FEATURES, element, intrinsic, ir, types

#: Vectors in a line of a B panel.
VECTORS = 3
#: The tile takes ROWS * VECTORS registers: 24 where there are 32, 12 where there are 16.
ROWS, VECTOR_BYTES = next(
    shape
    for feature, shape in {"avx512f": (8, 64), "neon": (8, 16), "avx": (4, 32), "": (4, 16)}.items()
    if not feature or feature in FEATURES
)
#: Bytes in a line of a B panel: its width is this by the size of an element.
LINE_BYTES = VECTORS * VECTOR_BYTES


class Vectors:
    """Writes LLVM instructions on vectors of an array type's elements."""

    def __init__(self, context: Any, builder: Any, array_type: Any) -> None:
        self.builder = builder
        self.element = internals.value_type(context, array_type.dtype)
        self.length = VECTOR_BYTES // (array_type.dtype.bitwidth // 8)
        self.type = ir.VectorType(self.element, self.length)
        self.align = array_type.dtype.bitwidth // 8
        self.suffix = f"v{self.length}f{array_type.dtype.bitwidth}"
        self._fma = internals.declared(builder, ir.FunctionType(self.type, [self.type] * 3), f"llvm.fma.{self.suffix}")

    def constant(self, value: float) -> Any:
        return ir.Constant(self.type, [float(value)] * self.length)

    def load(self, pointer: Any, length: int | None = None) -> Any:
        kind = ir.VectorType(self.element, length or self.length)
        return self.builder.load(self.builder.bitcast(pointer, kind.as_pointer()), align=self.align)

    def store(self, value: Any, pointer: Any) -> None:
        self.builder.store(value, self.builder.bitcast(pointer, value.type.as_pointer()), align=self.align)

    def splat(self, scalar: Any, kind: Any = None) -> Any:
        undefined = ir.Constant(kind or self.type, ir.Undefined)
        one = self.builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
        return self.shuffle(one, undefined, [0] * self.length)

    def shuffle(self, first: Any, second: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)
        return self.builder.shuffle_vector(first, second, mask)

    def interleave(self, lines: list[Any]) -> Any:
        """One long vector: the first element of each line, the second of each, and so on; a power of two of lines."""
        while len(lines) > 1:
            half, length = len(lines) // 2, lines[0].type.count
            lanes = [lane for pair in zip(range(length), range(length, 2 * length), strict=True) for lane in pair]
            lines = [self.shuffle(lines[i], lines[half + i], lanes) for i in range(half)]
        return lines[0]

    def part(self, value: Any, first: int, length: int | None = None) -> Any:
        """Elements of a long vector, from the first on."""
        lanes = list(range(first, first + (length or self.length)))
        return self.shuffle(value, ir.Constant(value.type, ir.Undefined), lanes)

    def line(self, first: Any, count: Any) -> Iterator[tuple[Any, Any, Any]]:
        """Once: the body of a loop over a line, given index, place and mask of each vector of it."""
        intp = count.type
        lanes = ir.Constant(ir.VectorType(intp, self.length), list(range(self.length)))
        with internals.for_range(self.builder, count, self.length) as index:
            place = self.place(first, index)
            left = self.splat(self.builder.sub(count, index), lanes.type)
            yield index, place, self.builder.icmp_signed("<", lanes, left)

    def place(self, first: Any, index: Any) -> Any:
        """The vector that starts at an element, counted from the first."""
        return self.builder.bitcast(self.builder.gep(first, [index]), self.type.as_pointer())

    def store_masked(self, value: Any, place: Any, mask: Any) -> None:
        kinds = [self.type, place.type, ir.IntType(32), mask.type]
        store = self._function("store", ir.VoidType(), kinds)
        self.builder.call(store, [value, place, ir.IntType(32)(self.align), mask])

    def load_masked(self, place: Any, mask: Any) -> Any:
        load = self._function("load", self.type, [place.type, ir.IntType(32), mask.type, self.type])
        return self.builder.call(load, [place, ir.IntType(32)(self.align), mask, self.constant(0)])

    def _function(self, name: str, result: Any, kinds: list[Any]) -> Any:
        kind = ir.FunctionType(result, kinds)
        return internals.declared(self.builder, kind, f"llvm.masked.{name}.{self.suffix}.p0")

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        return self.builder.call(self._fma, [a, b, c])

    def rectifier(self, slope: Any) -> Callable[[Any], Any]:
        """f(v) = v where v > 0, else slope * v, of vectors. The slope is a number that is only known at run time."""
        builder, zero = self.builder, self.constant(0)
        below = self.splat(slope)
        flat = builder.fcmp_ordered("==", slope, ir.Constant(slope.type, 0.0))

        def rectified(value: Any) -> Any:
            # A comparison that NaN fails, so that NaN stays NaN; and no product of infinity with 0.
            low = builder.select(flat, zero, builder.fmul(value, below))
            return builder.select(builder.fcmp_ordered("<=", value, zero), low, value)

        return rectified


@intrinsic
def multiply(
    typing: Any, a: Any, a_at: Any, a_row: Any, a_step: Any, b: Any, b_at: Any, depth: Any,
    c: Any, c_at: Any, c_line: Any, vectors: Any, add: Any,
) -> Any:  # fmt: skip
    """multiply(a, a_at, a_row, a_step, b, b_at, depth, c, c_at, c_line, vectors, add): a tile of C = A . B.

    Row r of A is a[a_at + r * a_row + k * a_step] for each k of the depth: (1, ROWS) for a panel, (line, 1) for rows
    that lie as they are. The B panel starts at b[b_at]; of its width the first `vectors` are used, 1 to VECTORS. The
    tile starts at c[c_at], with `c_line` from row to row; with `add` it is added to. The arrays are contiguous and of
    one type; the rest are of type intp, but `add` a bool.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        a_, a_at, a_row, a_step, b_, b_at, depth, c_, c_at, c_line, count, add = args
        vector = Vectors(context, builder, a)
        intp = a_at.type
        rows = [
            element(context, builder, a, a_, builder.add(a_at, builder.mul(a_row, ir.Constant(intp, row))))
            for row in range(ROWS)
        ]
        panel = element(context, builder, b, b_, b_at)
        tile = element(context, builder, c, c_, c_at)
        for columns in range(1, VECTORS + 1):
            with builder.if_then(builder.icmp_signed("==", count, ir.Constant(intp, columns))):
                _multiply(vector, rows, a_step, panel, depth, tile, c_line, columns, internals.is_true(builder, add))
        return internals.nothing(context)

    n = types.intp
    return types.void(a, n, n, n, b, n, n, c, n, n, n, add), generate


def _multiply(
    vector: Vectors, rows: list, a_step: Any, panel: Any, depth: Any, tile: Any, c_line: Any, columns: int, add: Any
) -> None:
    builder, intp = vector.builder, depth.type

    def number(value: int) -> Any:
        return ir.Constant(intp, value)

    sums = [[internals.slot(builder, vector.type) for _ in range(columns)] for _ in range(ROWS)]
    places = [
        [
            builder.gep(tile, [builder.add(builder.mul(number(row), c_line), number(column * vector.length))])
            for column in range(columns)
        ]
        for row in range(ROWS)
    ]
    with builder.if_else(add) as (adding, writing):
        with adding:
            for sum_row, place_row in zip(sums, places, strict=True):
                for total, place in zip(sum_row, place_row, strict=True):
                    builder.store(vector.load(place), total)
        with writing:
            for sum_row in sums:
                for total in sum_row:
                    builder.store(vector.constant(0), total)
    with internals.for_range(builder, depth) as step:
        line = builder.gep(panel, [builder.mul(step, number(VECTORS * vector.length))])
        factors = [vector.load(builder.gep(line, [number(v * vector.length)])) for v in range(columns)]
        at = builder.mul(step, a_step)
        for row, sum_row in zip(rows, sums, strict=True):
            scalar = vector.splat(builder.load(builder.gep(row, [at])))
            for factor, total in zip(factors, sum_row, strict=True):
                builder.store(vector.fma(scalar, factor, builder.load(total)), total)
    for sum_row, place_row in zip(sums, places, strict=True):
        for total, place in zip(sum_row, place_row, strict=True):
            vector.store(builder.load(total), place)


@intrinsic(prefer_literal=True)
def copy_vector(typing: Any, source: Any, source_at: Any, stride: Any, target: Any, target_at: Any) -> Any:
    """copy_vector(source, source_at, stride, target, target_at): copy a vector of every `stride`-th element.

    `stride` is written out as a number. The source is read to the end of the last of `stride` vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = Vectors(context, builder, source)
        step = stride.literal_value
        value = vectors.load(element(context, builder, source, args[0], args[1]), step * vectors.length)
        if step > 1:
            lanes = list(range(0, step * vectors.length, step))
            value = vectors.shuffle(value, ir.Constant(value.type, ir.Undefined), lanes)
        vectors.store(value, element(context, builder, target, args[3], args[4]))
        return internals.nothing(context)

    return types.void(source, types.intp, stride, target, types.intp), generate


@intrinsic
def copy_line(
    typing: Any,
    source: Any,
    source_at: Any,
    scale: Any,
    shift: Any,
    slope: Any,
    target: Any,
    target_at: Any,
    count: Any,
) -> Any:
    """copy_line(source, source_at, scale, shift, slope, target, target_at, count): copy `count` elements, finished.

    That is f(scale * x + shift) with f(v) = v where v > 0, else slope * v. The source is read to the end of the last
    vector.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source_, at, scale_, shift_, slope_, target_, target_at_, count_ = args
        vectors = Vectors(context, builder, source)
        factor, summand, rectified = vectors.splat(scale_), vectors.splat(shift_), vectors.rectifier(slope_)
        first = element(context, builder, source, source_, at)
        for index, place, mask in vectors.line(element(context, builder, target, target_, target_at_), count_):
            value = vectors.fma(vectors.load(builder.gep(first, [index])), factor, summand)
            vectors.store_masked(rectified(value), place, mask)
        return internals.nothing(context)

    intp = types.intp
    number = source.dtype
    return types.void(source, intp, number, number, number, target, intp, intp), generate


@intrinsic
def add_line(typing: Any, source: Any, source_at: Any, target: Any, target_at: Any, count: Any) -> Any:
    """add_line(source, source_at, target, target_at, count): add exactly `count` elements to the target's.

    The source is read to the end of the last vector.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source_, at, target_, target_at_, count_ = args
        vectors = Vectors(context, builder, source)
        first = element(context, builder, source, source_, at)
        for index, place, mask in vectors.line(element(context, builder, target, target_, target_at_), count_):
            total = builder.fadd(vectors.load(builder.gep(first, [index])), vectors.load_masked(place, mask))
            vectors.store_masked(total, place, mask)
        return internals.nothing(context)

    intp = types.intp
    return types.void(source, intp, target, intp, intp), generate


@intrinsic
def transpose(
    typing: Any, source: Any, source_at: Any, source_line: Any, target: Any, target_at: Any, target_line: Any
) -> Any:
    """transpose(source, source_at, source_line, target, target_at, target_line): ROWS lines of a vector each,
    written as lines of ROWS."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors = Vectors(context, builder, source)
        intp = args[1].type
        first = element(context, builder, source, args[0], args[1])
        rows = [vectors.load(builder.gep(first, [builder.mul(ir.Constant(intp, row), args[2])])) for row in range(ROWS)]
        together = vectors.interleave(rows)
        target_first = element(context, builder, target, args[3], args[4])
        for column in range(vectors.length):
            place = builder.gep(target_first, [builder.mul(ir.Constant(intp, column), args[5])])
            vectors.store(vectors.part(together, column * ROWS, ROWS), place)
        return internals.nothing(context)

    intp = types.intp
    return types.void(source, intp, intp, target, intp, intp), generate
