"""Convolution by oneDNN, forward. Source: oneDNN's convolution primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from bicerin.device import Room
from bicerin.kernels import Finish
from bicerin.kernels.choices import choice, shortest
from bicerin.kernels.recording import recording
from bicerin.layer import AddsAnother, Blob, Repetition, Replays
from bicerin.layer.abilities import affine_steps
from bicerin.layer.engine import is_named
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_onednn import library as dnn
from bicerin_onednn.attributes import attributes
from bicerin_onednn.exchange import Reader, place_to_write, written
from bicerin_onednn.layout import address, any_of, blocked_of, dims, layout_of, reorder, rows_of
from bicerin_onednn.library import NotImplementedByOneDNNError, is_forked, is_slow, library
from bicerin_onednn.primitive import Primitive
from bicerin_onednn.watch import Watch

#: For how many shapes of a bottom, of one layer, products are kept.
_MOST_PRODUCTS = 8
#: Winograd's transforms fill the caches, and find them full of other layers' data, where a measurement has them alone.
_FACTORS = {"own": 1.3}


class OneDNNConvolutionLayer(Replays, AddsAnother, ConvolutionLayer):
    """A convolution with 1 to 3 spatial axes of float32, and the sum with another blob after it."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        if len(self.blobs) > 1:
            self.blobs[1].keep_versions()
        self._watch = Watch(self)
        self._products: dict[Any, Product] = {}

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._ran = None
        if is_forked():
            self._forward(bottom, top)
            return
        changed = self._watch.changed(self.absorbed)
        if changed:
            bias = self.blobs[1].read_only.data if len(self.blobs) > 1 else None
            self._finish = self.finish(bias)
        finish, addend = self._finish, self.addend
        slope = None if addend is None else self._slope_after()
        key = (self.bottom_shape, finish.shift.size > 0, finish.slope, slope)
        product = self._products.get(key)
        if product is None:
            with recording.paused():
                product = self._product(key, finish, slope, bottom, top)
        if product.is_own:
            self._forward(bottom, top)
            return
        if changed or self._prepared_for is not product:
            with recording.paused():
                product.prepare(self.blobs[0].read_only.data, finish)
            self._prepared_for = product
        for x, y in zip(bottom, top, strict=True):
            product.run(x, y, addend)
        self._ran = product

    def repetition(self) -> Repetition | None:
        product = self._prepared_for
        if product is None or self._ran is not product:
            return None
        found = self._watch.repetition(product)
        if found is None:
            return None
        return found._replace(attributes=[*found.attributes, *(layer.affine for layer in self.rectifiers)])

    def _forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """By the layer's own code."""
        super().forward(bottom, top)
        if self.addend is not None:
            y, slope = top[0].data, self._slope_after()
            np.add(y, self.addend.read_only.data, out=y)
            if slope != 1:
                np.multiply(y, self.dtype.type(slope), out=y, where=y < 0)

    def _slope_after(self) -> float:
        """Of the rectifier after the sum; 1 where there is none."""
        return affine_steps(self.rectifiers)[0].negative_slope if self.rectifiers else 1.0

    _finish: Finish
    _prepared_for: Any = None
    #: The product that computed the last forward pass; None where the layer's own code did.
    _ran: Any = None

    @property
    def algorithm(self) -> str:
        """The algorithm of the last forward pass, where it is the library's."""
        product = self._prepared_for
        return super().algorithm if product is None or product.is_own else str(product)

    def _product(
        self, key: Any, finish: Finish, slope: float | None, bottom: Sequence[Blob], top: Sequence[Blob]
    ) -> Product:
        """The product of a kind that is new, with the choice whether the library computes it."""
        if len(self._products) >= _MOST_PRODUCTS:
            self._products.clear()
        if not all(self.bottom_shape) or len(self.bottom_shape) not in (3, 4, 5):
            product = Product.own()
        else:
            product = self._fastest(Product.each(self, finish, slope), finish, bottom[0], top[0])
        self._products[key] = product
        return product

    def _fastest(self, products: Mapping[str, Product], finish: Finish, bottom: Blob, top: Blob) -> Product:
        """Of the library's products and the layer's own code, that which takes the least time."""
        ways: dict[str, Callable[[], Any]] = {}
        besides: dict[str, float] = {}
        for name, product in products.items():
            product.prepare(self.blobs[0].read_only.data, finish)
            ways[name] = partial(product.run, bottom, top, self.addend)
            besides[name] = product.reordering() if name == LIBRARYS and len(products) > 1 else 0.0
        if not is_named("onednn", self.param):
            ways["own"] = partial(self._forward, [bottom], [top])
            besides["own"] = next(iter(products.values())).reordering()
        if len(ways) > 1:
            next(iter(ways.values()))()
            kind = f"oneDNN {library().version}, convolution at TEST {self._described()}"
            chosen = choice(kind, ways, besides, _FACTORS)
        else:
            chosen = next(iter(ways))
        return products[chosen] if chosen in products else Product.own()

    def _described(self) -> str:
        geometry = self.geometry
        return (
            f"{self.bottom_shape} to {self.top_shape}, kernel {geometry.kernel}, stride {geometry.stride}, pad "
            f"{geometry.pad}, dilation {geometry.dilation}, group {self.group}"
        )


#: The ways of the library: its own order of the arrays, and channels in blocks, where that is not its own.
LIBRARYS, BLOCKED = "onednn", "blocked"


class Product:
    """The forward pass at one shape.

    Args:
        layer: whose it is.
        finish: what becomes of each sum, for its kind.
        slope: of the rectifier after another blob is added; None where none is.
        blocked: whether the arrays are to have their channels in blocks; else the library chooses their order.
    """

    #: Whether the layer's own code computes it.
    is_own = False

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
        x = layout_of(x_shape, dll.memory_descriptor(descriptor, dnn.QUERY_SRC))
        self._y = layout_of(y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        self._w = layout_of(grouped, dll.memory_descriptor(descriptor, dnn.QUERY_WEIGHTS))
        arguments = {dnn.SRC: x.handle, dnn.WEIGHTS: self._w.handle, dnn.DST: self._y.handle}
        if self._has_bias:
            arguments[dnn.BIAS] = rows_of((outputs,)).handle
        if self._addend is not None:
            arguments[dnn.ADDEND] = self._addend.layout.handle
        self._primitive = Primitive(descriptor, arguments)
        self._x = Reader(x)
        self._weights = Room(self._w.nbytes)
        self._bias = np.zeros(outputs, np.float32)
        self._bias_address = address(self._bias)

    @classmethod
    def each(cls, layer: ConvolutionLayer, finish: Finish, slope: float | None) -> dict[str, Product]:
        """The library's ways to compute it that are worth measuring, by name."""
        products = {LIBRARYS: cls(layer, finish, slope)}
        try:
            blocked = cls(layer, finish, slope, blocked=True)
        except NotImplementedByOneDNNError:
            return products
        differs = blocked._y is not products[LIBRARYS]._y or blocked._x.layout is not products[LIBRARYS]._x.layout
        if differs and not is_slow(blocked._primitive.implementation):
            products[BLOCKED] = blocked
        return products

    @classmethod
    def own(cls) -> Product:
        """What stands for the layer's own code."""
        product = cls.__new__(cls)
        product.is_own = True
        return product

    def __str__(self) -> str:
        return f"oneDNN {self._primitive.implementation}"

    def prepare(self, weights: np.ndarray, finish: Finish) -> None:
        """Take the weights, each output's times its scale, and the shift."""
        if finish.scale.size:
            weights = weights * finish.scale.reshape(-1, *(1,) * (weights.ndim - 1))
        weights = np.ascontiguousarray(weights)
        reorder(rows_of(self._weights_shape), self._w).run(address(weights), self._weights.address)
        if self._has_bias:
            self._bias[...] = finish.shift

    def reordering(self) -> float:
        """Seconds that neighbours in the library's layouts take to hand on values in rows, about half of them so."""
        total = 0.0
        for layout, back in ((self._x.layout, False), (self._y, True)):
            if not layout.is_rows:
                rows, room = np.zeros(prod(layout.shape), np.float32), Room(layout.nbytes)
                room.array.fill(0)
                ends = (layout, rows_of(layout.shape)), (room.address, address(rows))
                pair, addresses = ends if not back else (ends[0][::-1], ends[1][::-1])
                total += shortest(partial(reorder(*pair).run, *addresses))
        return total / 2

    def run(self, bottom: Blob, top: Blob, addend: Blob | None = None) -> None:
        target = top.memory[0]
        addresses = [self._x.address(bottom.memory[0]), self._weights.address, place_to_write(target, self._y)]
        if self._has_bias:
            addresses.append(self._bias_address)
        if self._addend is not None and addend is not None:
            addresses.append(self._addend.address(addend.memory[0]))
        self._primitive.run(*addresses)
        written(target)


def _blocked_or_any(shape: tuple[int, ...]) -> int:
    layout = blocked_of(shape)
    return any_of(shape) if layout is None else layout.handle
