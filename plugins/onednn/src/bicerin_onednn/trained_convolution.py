"""Convolution by oneDNN in training: forward, and the gradients of data, weights and bias.

Each of the three products is the library's or the layer's own: see `ChoosesWays`. Source: oneDNN's convolution
primitives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from math import prod
from typing import Any

import numpy as np

from bicerin.kernels import Finish, rounds_least
from bicerin.kernels.choices import shortest
from bicerin.layer import Blob
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_onednn import library as dnn
from bicerin_onednn.attributes import attributes
from bicerin_onednn.chosen_ways import ENGINE, OWN, WINOGRAD, ChoosesWays
from bicerin_onednn.exchange import place_to_write, written
from bicerin_onednn.layout import OneDNNLayout, address, any_of, dims, layout_of, reorder, rows_of
from bicerin_onednn.library import NotImplementedByOneDNNError, is_forked, is_slow, library
from bicerin_onednn.primitive import Primitive
from bicerin_onednn.trained_exchange import (
    is_arranged,
    read_in,
    read_rows,
    rows_in,
    rows_to_write,
    rows_written,
    scratch,
)
from bicerin_onednn.trained_winograd import TrainedWinograd


class TrainedConvolutionLayer(ChoosesWays, ConvolutionLayer):
    """A convolution with 1 to 3 spatial axes of float32."""

    kind = "convolution"

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        self._products: dict[Any, Products | None] = {}

    def _described(self, arranged: bool) -> str:
        """The shapes, and whether the bottom is in one of the library's layouts.

        What is chosen where rounding counts most must not take the place of what was chosen for training.
        """
        geometry = self.geometry
        return (
            f"{self.bottom_shape} {'in a layout' if arranged else 'in rows'} to {self.top_shape}, kernel "
            f"{geometry.kernel}, stride {geometry.stride}, pad {geometry.pad}, dilation {geometry.dilation}, group "
            f"{self.group}{', rounding least' if rounds_least() else ''}"
        )

    def _of(self, finish: Finish) -> Products | None:
        """The library's products at the present shapes; None where it has none."""
        key = (self.bottom_shape, finish.shift.size > 0, finish.slope, rounds_least())
        if key not in self._products:
            self._products.clear()
            usable = self.slope is None and all(self.bottom_shape) and len(self.bottom_shape) in (3, 4, 5)
            try:
                self._products[key] = Products(self, bool(finish.shift.size), finish.slope) if usable else None
            except NotImplementedByOneDNNError:
                self._products[key] = None
        return self._products[key]

    # The passes

    _last: Products | None = None

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._last = None
        finish = self.finish(self.blobs[1].read_only.data if len(self.blobs) > 1 else None)
        if is_forked() or finish.scale.size:
            super().forward(bottom, top)
            return
        products = self._last = self._of(finish)
        if products is None:
            super().forward(bottom, top)
            return
        weights = self.blobs[0].read_only.data
        for x, y in zip(bottom, top, strict=True):
            source, target = x.memory[0], y.memory[0]
            arranged = is_arranged(source)
            ways: dict[str, Callable[[], Any]] = {
                ENGINE: partial(products.forward, source, weights, finish.shift, target),
                OWN: partial(self._own_forward, products, source, weights, finish, target, arranged),
            }
            if products.winograd is not None:
                ways[WINOGRAD] = partial(products.winograd.forward, source, weights, finish.shift, target)
            besides = None if arranged else partial(_turning, products.y)
            ways[self.way("forward", self._described(arranged), ways, besides, lambda: products.forward_code)]()

    def _own_forward(
        self, products: Products, source: Any, weights: np.ndarray, finish: Finish, target: Any, arranged: bool
    ) -> None:
        layout = products.y if arranged else None
        x = read_rows(source, self.bottom_shape, "rows of x")
        y = rows_to_write(target, self.top_shape, layout, "rows of y")
        self.write_top(x, weights, finish, y, self.blobs[0].data_version)
        rows_written(target, y, layout)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        products = self._last
        if products is None or is_forked():
            super().backward(top, propagate_down, bottom)
            return
        weights, *bias = self.blobs
        wants_bias = bool(bias) and self.param_propagate_down(1)
        for y, down, x in zip(top, propagate_down, bottom, strict=True):
            source, y_diff, x_diff = x.memory[0], y.memory[1], x.memory[1]
            arranged = is_arranged(source)
            described = self._described(arranged)
            if self.param_propagate_down(0):
                self._add_gradients(products, source, y_diff, described, bias[0] if wants_bias else None)
            elif wants_bias:
                rows = read_rows(y_diff, self.top_shape, "rows of y")
                self.ops.add_bias_gradient(rows.reshape(self._top_rows), bias[0].diff)
            if down:
                values = weights.read_only.data
                ways: dict[str, Callable[[], Any]] = {
                    ENGINE: partial(products.data_gradient, y_diff, values, x_diff),
                    OWN: partial(self._own_data_gradient, products, y_diff, values, x_diff, arranged),
                }
                if products.winograd is not None:
                    ways[WINOGRAD] = partial(products.winograd.data_gradient, y_diff, values, x_diff)
                ways[self.way("data gradient", described, ways, None, lambda: products.data_code)]()

    def _add_gradients(self, products: Products, source: Any, y_diff: Any, described: str, bias: Any) -> None:
        """Add the gradients of the weights and the bias."""
        weights, winograd = self.blobs[0], products.winograd
        found = _gradients(weights.count, self.num_output)
        ways: dict[str, Callable[[], Any]] = {
            ENGINE: partial(products.weight_gradient, source, y_diff, *found),
            OWN: partial(self._own_weight_gradient, source, y_diff, *found, bias is not None),
        }
        if winograd is not None:
            ways[WINOGRAD] = partial(winograd.add_gradients, source, y_diff, *found)
        way = self.way("weight gradient", described, ways, None, lambda: products.weight_code)
        if way == ENGINE:
            ways[ENGINE]()
            _add(weights, found[0])
            if bias is not None:
                _add(bias, found[1])
            return
        bias_diff = None if bias is None else bias.diff
        if way == WINOGRAD and winograd is not None:
            winograd.add_gradients(source, y_diff, weights.diff, bias_diff)
        else:
            unused = found[1] if bias_diff is None else bias_diff
            self._own_weight_gradient(source, y_diff, weights.diff, unused, bias is not None)

    def _own_weight_gradient(
        self, source: Any, y_diff: Any, weight_diff: np.ndarray, bias_diff: np.ndarray, wants_bias: bool
    ) -> None:
        rows = read_rows(y_diff, self.top_shape, "rows of y")
        x = read_rows(source, self.bottom_shape, "rows of x")
        self.add_weight_gradient(x, rows, weight_diff.reshape(self.weight_shape()))
        if wants_bias:
            self.ops.add_bias_gradient(rows.reshape(self._top_rows), bias_diff)

    def _own_data_gradient(
        self, products: Products, y_diff: Any, weights: np.ndarray, x_diff: Any, arranged: bool
    ) -> None:
        layout = products.x if arranged else None
        rows = read_rows(y_diff, self.top_shape, "rows of y")
        found = rows_to_write(x_diff, self.bottom_shape, layout, "rows of x")
        self.write_bottom_diff(rows, weights, found, self.blobs[0].data_version)
        rows_written(x_diff, found, layout)


class Products:
    """The library's three products at one shape.

    Args:
        layer: whose they are.
        has_bias: whether something is added to each sum.
        slope: of the rectifier that the forward pass ends with; 1 for none.

    Attributes:
        x, y: the layouts of bottom and top, and of their gradients.
        winograd: the same products by our own kernels; None where they cannot.

    Raises:
        NotImplementedByOneDNNError: the library does not have the forward product.
    """

    def __init__(self, layer: ConvolutionLayer, has_bias: bool, slope: float) -> None:
        geometry, group = layer.geometry, layer.group
        self._x_shape, self._y_shape = layer.bottom_shape, layer.top_shape
        self._outputs, channels = self._y_shape[1], self._x_shape[1] // group
        kernel = tuple(geometry.kernel)
        ungrouped = (self._outputs, channels, *kernel)
        self._w_shape = (group, self._outputs // group, channels, *kernel) if group > 1 else ungrouped
        after = [
            (y - 1) * stride + (k - 1) * dilation + 1 - x - pad
            for x, y, k, stride, pad, dilation in zip(
                self._x_shape[2:],
                self._y_shape[2:],
                kernel,
                geometry.stride,
                geometry.pad,
                geometry.dilation,
                strict=True,
            )
        ]
        self._window = (
            dims(geometry.stride),
            dims([dilation - 1 for dilation in geometry.dilation]),
            dims(geometry.pad),
            dims(after),
        )
        self._bias = rows_of((self._outputs,)).handle if has_bias else None
        dll = library()
        with attributes(slope) as attribute:
            descriptor = self._forward_descriptor(attribute)
        self.x = layout_of(self._x_shape, dll.memory_descriptor(descriptor, dnn.QUERY_SRC))
        self.y = layout_of(self._y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DST))
        self._w = layout_of(self._w_shape, dll.memory_descriptor(descriptor, dnn.QUERY_WEIGHTS))
        arguments = {dnn.SRC: self.x.handle, dnn.WEIGHTS: self._w.handle, dnn.DST: self.y.handle}
        if self._bias is not None:
            arguments[dnn.BIAS] = self._bias
        self._forward = Primitive(descriptor, arguments)
        self.winograd = TrainedWinograd.of(layer, slope)

    @property
    def forward_code(self) -> str:
        """The library's name of the code of the forward product."""
        return self._forward.implementation

    @property
    def data_code(self) -> str:
        """That of the gradient of the bottom."""
        return self._data[0].implementation

    @property
    def weight_code(self) -> str:
        """That of the gradient of the weights."""
        return self._weight[0].implementation

    def _forward_descriptor(self, attribute: Any = None) -> int:
        ends = any_of(self._x_shape), any_of(self._w_shape), self._bias, any_of(self._y_shape)
        kind = library().engine, dnn.TRAINING, dnn.CONVOLUTION
        return library().make("convolution_forward_primitive_desc_create", *kind, *ends, *self._window, attribute)

    def _weights_in(self, weights: np.ndarray, layout: OneDNNLayout) -> int:
        """The address of the weights, of this moment, in a layout."""
        weights = np.ascontiguousarray(weights)
        if layout.is_rows:
            return address(weights)
        room = scratch("weights", layout.nbytes)
        reorder(rows_of(self._w_shape), layout).run(address(weights), room.address)
        return room.address

    def forward(self, source: Any, weights: np.ndarray, shift: np.ndarray, target: Any) -> None:
        addresses = [read_in(source, self.x, "x"), self._weights_in(weights, self._w), place_to_write(target, self.y)]
        if self._bias is not None:
            addresses.append(address(shift))
        self._forward.run(*addresses)
        written(target)

    def _backward_descriptor(self, name: str, x: Any, y: Any, *middle: Any) -> int:
        """In the layouts of the forward product if the library has fast code for them, else in its own choice."""
        dll = library()
        hint = self._forward_descriptor()
        make = partial(dll.make, name, dll.engine, dnn.CONVOLUTION)
        try:
            try:
                found = make(x.handle, *middle, y.handle, *self._window, hint, None)
            except NotImplementedByOneDNNError:
                found = None
            if found is None or is_slow(dll.implementation(found)):
                if found is not None:
                    dll.call("primitive_desc_destroy", found)
                found = make(any_of(x.shape), *middle, any_of(y.shape), *self._window, hint, None)
            return found
        finally:
            dll.call("primitive_desc_destroy", hint)

    @cached_property
    def _data(self) -> tuple[Primitive, OneDNNLayout, OneDNNLayout, OneDNNLayout]:
        dll = library()
        name = "convolution_backward_data_primitive_desc_create"
        descriptor = self._backward_descriptor(name, self.x, self.y, any_of(self._w_shape))
        x = layout_of(self._x_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DIFF_SRC))
        y = layout_of(self._y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DIFF_DST))
        w = layout_of(self._w_shape, dll.memory_descriptor(descriptor, dnn.QUERY_WEIGHTS))
        arguments = {dnn.DIFF_DST: y.handle, dnn.WEIGHTS: w.handle, dnn.DIFF_SRC: x.handle}
        return Primitive(descriptor, arguments), x, y, w

    def data_gradient(self, y_diff: Any, weights: np.ndarray, x_diff: Any) -> None:
        primitive, x, y, w = self._data
        addresses = read_in(y_diff, y, "y"), self._weights_in(weights, w)
        if x is self.x:
            primitive.run(*addresses, place_to_write(x_diff, x))
        else:
            room = scratch("x", x.nbytes)
            primitive.run(*addresses, room.address)
            reorder(x, self.x).run(room.address, place_to_write(x_diff, self.x))
        written(x_diff)

    @cached_property
    def _weight(self) -> tuple[Primitive, OneDNNLayout, OneDNNLayout, OneDNNLayout]:
        dll = library()
        name = "convolution_backward_weights_primitive_desc_create"
        descriptor = self._backward_descriptor(name, self.x, self.y, any_of(self._w_shape), self._bias)
        x = layout_of(self._x_shape, dll.memory_descriptor(descriptor, dnn.QUERY_SRC))
        y = layout_of(self._y_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DIFF_DST))
        w = layout_of(self._w_shape, dll.memory_descriptor(descriptor, dnn.QUERY_DIFF_WEIGHTS))
        arguments = {dnn.SRC: x.handle, dnn.DIFF_DST: y.handle, dnn.DIFF_WEIGHTS: w.handle}
        if self._bias is not None:
            arguments[dnn.DIFF_BIAS] = self._bias
        return Primitive(descriptor, arguments), x, y, w

    def weight_gradient(self, source: Any, y_diff: Any, weight_diff: np.ndarray, bias_diff: np.ndarray) -> None:
        """Write both gradients."""
        primitive, x, y, w = self._weight
        room = None if w.is_rows else scratch("weights", w.nbytes)
        addresses = [read_in(source, x, "x"), read_in(y_diff, y, "y")]
        addresses.append(address(weight_diff) if room is None else room.address)
        if self._bias is not None:
            addresses.append(address(bias_diff))
        primitive.run(*addresses)
        if room is not None:
            reorder(w, rows_of(self._w_shape)).run(room.address, address(weight_diff))


def _turning(layout: OneDNNLayout) -> float:
    """Seconds that it takes a neighbour to have values in rows that are in a layout."""
    if layout.is_rows:
        return 0.0
    room = scratch("y", layout.nbytes)
    rows = scratch("rows of y", 4 * prod(layout.shape))
    return shortest(partial(reorder(layout, rows_of(layout.shape)).run, room.address, rows.address))


def _gradients(weights: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Scratch memory for the gradients of weights and bias."""
    return (
        rows_in(scratch("gradient of weights", 4 * weights), (weights,)),
        rows_in(scratch("gradient of bias", 4 * outputs), (outputs,)),
    )


def _add(blob: Any, gradient: np.ndarray) -> None:
    """Add to the gradient of a learnable blob, without reading it where it is known to be zeros."""
    cleared = blob.blob.cleared_diff()
    if cleared is not None:
        cleared.reshape(-1)[...] = gradient
    else:
        diff = blob.diff.reshape(-1)
        diff += gradient
