"""Products: ways to compute a convolution's forward pass at one shape, of which a layer takes the fastest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import partial
from math import prod
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bicerin.device import Room
from bicerin.kernels import WITH_PANELS, Finish
from bicerin.kernels.choices import shortest
from bicerin.kernels.recording import Call, recording
from bicerin.layer import Blob
from bicerin.layer.engine import is_named
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_convolution.plan import may_transform
from bicerin_onednn import library as dnn
from bicerin_onednn.attributes import attributes
from bicerin_onednn.exchange import Reader, place_to_write, written
from bicerin_onednn.layout import (
    OneDNNLayout,
    address,
    any_of,
    blocked_of,
    dims,
    floats_at,
    layout_of,
    reorder,
    rows_of,
)
from bicerin_onednn.library import NotImplementedByOneDNNError, is_slow, library
from bicerin_onednn.primitive import Primitive

if TYPE_CHECKING:
    from bicerin_convolution.blocked_forward import BlockedForward

#: The ways: the library with its own order of the arrays; the library with channels in blocks, where that is not its
#: own; our kernels on those blocks, of Winograd's algorithm, for 1x1, for narrow groups and for depthwise; and the
#: layer's own code.
LIBRARYS, BLOCKED, OWN = "onednn", "blocked", "own"
WINOGRAD, POINTWISE, GROUPED, DEPTHWISE = "winograd", "pointwise", "grouped", "depthwise"
#: For how many places of the arrays calls are kept.
_MOST_CALLS = 4


class Product(ABC):
    """The forward pass at one shape."""

    #: Whether the layer's own code computes it.
    is_own: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, weights: np.ndarray, finish: Finish) -> None:
        """Take the weights, and the scale and shift of each output."""

    @abstractmethod
    def run(self, bottom: Blob, top: Blob, addend: Blob | None = None) -> None:
        """Compute the top, with another blob added."""

    @abstractmethod
    def reordering(self) -> float:
        """Seconds that neighbours in its layouts take to hand on values in rows, about half of them so."""


class OwnProduct(Product):
    """What stands for the layer's own code, which the layer itself runs."""

    is_own = True

    def prepare(self, weights: np.ndarray, finish: Finish) -> None:
        raise NotImplementedError("the layer's own code prepares nothing here")

    def run(self, bottom: Blob, top: Blob, addend: Blob | None = None) -> None:
        raise NotImplementedError("the layer runs its own code")

    def reordering(self) -> float:
        return 0.0


class LibraryProduct(Product):
    """By oneDNN.

    Args:
        layer: whose it is.
        finish: what becomes of each sum, for its kind.
        slope: of the rectifier after another blob is added; None where none is.
        blocked: whether the arrays are to have their channels in blocks; else the library chooses their order.

    Attributes:
        x, y: the layouts of bottom and top.

    Raises:
        NotImplementedByOneDNNError: the library cannot.
    """

    def __init__(self, layer: ConvolutionLayer, finish: Finish, slope: float | None, blocked: bool = False) -> None:
        geometry, group = layer.geometry, layer.group
        x_shape, y_shape = layer.bottom_shape, layer.top_shape
        outputs, channels = y_shape[1], x_shape[1] // group
        kernel = tuple(geometry.kernel)
        grouped = (group, outputs // group, channels, *kernel) if group > 1 else (outputs, channels, *kernel)
        self._weights_shape = grouped
        after = [
            (y - 1) * stride + (k - 1) * dilation + 1 - x - pad
            for x, y, k, stride, pad, dilation in zip(
                x_shape[2:], y_shape[2:], kernel, geometry.stride, geometry.pad, geometry.dilation, strict=True
            )
        ]
        self._has_bias = bool(finish.shift.size)
        dll = library()
        x_order, y_order = (_blocked_or_any(shape) if blocked else any_of(shape) for shape in (x_shape, y_shape))

        def describe(slope: float, addend: int | None = None) -> int:
            with attributes(slope, addend) as attribute:
                return dll.make(
                    "convolution_forward_primitive_desc_create",
                    dll.engine,
                    dnn.INFERENCE,
                    dnn.CONVOLUTION,
                    x_order,
                    any_of(grouped),
                    rows_of((outputs,)).handle if self._has_bias else None,
                    y_order,
                    dims(geometry.stride),
                    dims([dilation - 1 for dilation in geometry.dilation]),
                    dims(geometry.pad),
                    dims(after),
                    attribute,
                )

        descriptor = describe(finish.slope)
        self._addend: Reader | None = None
        if slope is not None:
            # What is added must be in the layout that the library chooses for the result.
            self._addend = Reader(layout_of(y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DST)))
            dll.call("primitive_desc_destroy", descriptor)
            descriptor = describe(slope, self._addend.layout.handle)
        self.x = layout_of(x_shape, dll.memory_descriptor(descriptor, dnn.QUERY_SRC))
        self.y = layout_of(y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        self._w = layout_of(grouped, dll.memory_descriptor(descriptor, dnn.QUERY_WEIGHTS))
        arguments = {dnn.SRC: self.x.handle, dnn.WEIGHTS: self._w.handle, dnn.DST: self.y.handle}
        if self._has_bias:
            arguments[dnn.BIAS] = rows_of((outputs,)).handle
        if self._addend is not None:
            arguments[dnn.ADDEND] = self._addend.layout.handle
        self._primitive = Primitive(descriptor, arguments)
        self._reader = Reader(self.x)
        self._weights = Room(self._w.nbytes)
        self._bias = np.zeros(outputs, np.float32)
        self._bias_address = address(self._bias)

    @property
    def is_slow(self) -> bool:
        """Whether the library's code is its reference."""
        return is_slow(self._primitive.implementation)

    def __str__(self) -> str:
        return f"oneDNN {self._primitive.implementation}"

    def prepare(self, weights: np.ndarray, finish: Finish) -> None:
        weights = np.ascontiguousarray(_scaled(weights, finish))
        reorder(rows_of(self._weights_shape), self._w).run(address(weights), self._weights.address)
        if self._has_bias:
            self._bias[...] = finish.shift

    def reordering(self) -> float:
        return _reordering(self.x, self.y)

    def run(self, bottom: Blob, top: Blob, addend: Blob | None = None) -> None:
        target = top.memory[0]
        addresses = [self._reader.address(bottom.memory[0]), self._weights.address, place_to_write(target, self.y)]
        if self._has_bias:
            addresses.append(self._bias_address)
        if self._addend is not None and addend is not None:
            addresses.append(self._addend.address(addend.memory[0]))
        self._primitive.run(*addresses)
        written(target)


class BlockedProduct(Product):
    """By our own kernels, from and to the library's blocks of channels.

    Args:
        name: of the algorithm.
        algorithm: it, at this shape.
        slope: of the rectifier that the pass ends with; 1 for none.
        x, y: the layouts of bottom and top.
    """

    def __init__(self, name: str, algorithm: BlockedForward, slope: float, x: OneDNNLayout, y: OneDNNLayout) -> None:
        self._name, self._algorithm = name, algorithm
        self._slope, self.x, self.y = slope, x, y
        self._reader, self._addend = Reader(x), Reader(y)
        self._calls: dict[tuple[int, ...], Call] = {}
        self._weights: np.ndarray | None = None

    def __str__(self) -> str:
        return f"own blocked {self._name}"

    def prepare(self, weights: np.ndarray, finish: Finish) -> None:
        self._weights = self._algorithm.transform(_scaled(weights, finish))
        self._shift = finish.shift
        self._calls.clear()

    def reordering(self) -> float:
        return _reordering(self.x, self.y)

    def run(self, bottom: Blob, top: Blob, addend: Blob | None = None) -> None:
        target = top.memory[0]
        added = () if addend is None else (self._addend.address(addend.memory[0]),)
        places = (self._reader.address(bottom.memory[0]), place_to_write(target, self.y), *added)
        call = self._calls.get(places)
        if call is None:
            if len(self._calls) >= _MOST_CALLS:
                self._calls.clear()
            x, y = floats_at(places[0], self.x), floats_at(places[1], self.y)
            other = floats_at(added[0], self.y) if added else None
            assert self._weights is not None, "it has been prepared"
            call = self._algorithm.bind(x, self._weights, y, self._shift, self._slope, other)
            self._calls[places] = call
        call()
        if recording.calls is not None:
            recording.calls.append(call)
        written(target)


def products_of(layer: ConvolutionLayer, finish: Finish, slope: float | None) -> dict[str, Product]:
    """The ways to compute a layer's forward pass that are worth measuring, by name, but its own code."""
    first = LibraryProduct(layer, finish, slope)
    products: dict[str, Product] = {LIBRARYS: first}
    try:
        blocked = LibraryProduct(layer, finish, slope, blocked=True)
    except NotImplementedByOneDNNError:
        blocked = first
    if (blocked.y is not first.y or blocked.x is not first.x) and not blocked.is_slow:
        products[BLOCKED] = blocked
    if not is_named("onednn", layer.param) and len(layer.bottom_shape) == 4:
        slope = finish.slope if slope is None else slope
        products.update(_own_products(layer, slope))
    return products


def _own_products(layer: ConvolutionLayer, slope: float) -> Iterator[tuple[str, Product]]:
    """Our own kernels on the library's blocks, where there are some for the shapes."""
    ends = blocked_ends(layer)
    if ends is None:
        return
    from bicerin_convolution.blocked_depthwise import BlockedDepthwise, applies_depthwise
    from bicerin_convolution.blocked_grouped import BlockedGrouped, applies_grouped
    from bicerin_convolution.blocked_pointwise import BlockedPointwise, applies_pointwise
    from bicerin_convolution.blocked_winograd import BlockedWinograd, applies_blocked

    problem = layer.problem(layer.bottom_shape, layer.top_shape)
    if applies_pointwise(problem):
        yield POINTWISE, BlockedProduct("product", BlockedPointwise(problem), slope, *ends)
    if applies_grouped(problem):
        yield GROUPED, BlockedProduct("groups", BlockedGrouped(problem), slope, *ends)
    if applies_depthwise(problem):
        yield DEPTHWISE, BlockedProduct("depthwise", BlockedDepthwise(problem), slope, *ends)
    if applies_blocked(problem) and may_transform():
        yield WINOGRAD, BlockedProduct("Winograd", BlockedWinograd(problem), slope, *ends)


def blocked_ends(layer: ConvolutionLayer) -> tuple[OneDNNLayout, OneDNNLayout] | None:
    """The layouts of bottom and top with channels in blocks as our own kernels have them; None where they do not."""
    if not WITH_PANELS or len(layer.bottom_shape) != 4:
        return None
    from bicerin_convolution.blocked_forward import lanes_of

    x, y = blocked_of(layer.bottom_shape), blocked_of(layer.top_shape)
    return None if x is None or y is None or lanes_of(layer.dtype) != library().lanes else (x, y)


def _scaled(weights: np.ndarray, finish: Finish) -> np.ndarray:
    """The weights, each output's times its scale."""
    return weights * finish.scale.reshape(-1, *(1,) * (weights.ndim - 1)) if finish.scale.size else weights


def _reordering(x: OneDNNLayout, y: OneDNNLayout) -> float:
    total = 0.0
    for layout, back in ((x, False), (y, True)):
        if not layout.is_rows:
            rows, room = np.zeros(prod(layout.shape), np.float32), Room(layout.nbytes)
            room.array.fill(0)
            ends = (layout, rows_of(layout.shape)), (room.address, address(rows))
            pair, addresses = ends if not back else (ends[0][::-1], ends[1][::-1])
            total += shortest(partial(reorder(*pair).run, *addresses))
    return total / 2


def _blocked_or_any(shape: tuple[int, ...]) -> int:
    layout = blocked_of(shape)
    return any_of(shape) if layout is None else layout.handle
