"""Where the elements of one top lie in another, and the Crop layer that follows from it.

A layer with a window maps the coordinates of its bottom to those of its top: top = a * bottom + b on every spatial
axis. A chain of layers composes these maps. Source: J. Long et al., "Fully convolutional networks for semantic
segmentation", 2015; pycaffe's `coord_map`, whose names are kept.

A map is (axis, a, b): the axis before the first that it is about, or None for any; scale and offset, numbers or arrays
with one entry per spatial axis.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.spec.net_spec import Function, Top, layers

#: Types whose tops lie where their bottoms do.
PASS_THROUGH_LAYERS = [
    "AbsVal", "BatchNorm", "Bias", "BNLL", "Dropout", "Eltwise", "ELU", "Log", "LRN", "Exp", "MVN", "Power", "ReLU",
    "PReLU", "Scale", "Sigmoid", "Split", "TanH", "Threshold",
]  # fmt: skip

Map = tuple[int | None, Any, Any]


class UndefinedMapException(Exception):
    """A layer has no such map: its type is not one of those known here."""


class AxisMismatchException(Exception):
    """Two maps are about different axes."""


def conv_params(fn: Function) -> tuple[int, Any, Any, Any]:
    """The axis, stride, kernel size with dilation, and pad of a layer with a window.

    Raises:
        AssertionError: it uses the older fields for height and width.
    """
    params = fn.params.get("convolution_param", fn.params)
    legacy = {f"{word}_{side}" for word in ("pad", "kernel", "stride") for side in "hw"}
    assert not legacy & {*fn.params, *params}, "cropping does not support legacy _h/_w params"
    kernel = np.array(params["kernel_size"], ndmin=1)
    dilation = np.array(params.get("dilation", 1), ndmin=1)
    return (
        params.get("axis", 1),
        np.array(params.get("stride", 1), ndmin=1),
        (kernel - 1) * dilation + 1,
        np.array(params.get("pad", 0), ndmin=1),
    )


def crop_params(fn: Function) -> tuple[int, Any]:
    """The axis and the offset of a Crop layer."""
    params = fn.params.get("crop_param", fn.params)
    return params.get("axis", 2), np.array(params.get("offset", 0), ndmin=1)


def coord_map(fn: Function) -> Map:
    """The map of a layer.

    Raises:
        UndefinedMapException: the type has none.
    """
    if fn.type_name in ("Convolution", "Pooling", "Im2col"):
        axis, stride, kernel, pad = conv_params(fn)
        return axis, 1 / stride, (pad - (kernel - 1) / 2) / stride
    if fn.type_name == "Deconvolution":
        axis, stride, kernel, pad = conv_params(fn)
        return axis, stride, (kernel - 1) / 2 - pad
    if fn.type_name in PASS_THROUGH_LAYERS:
        return None, 1, 0
    if fn.type_name == "Crop":
        axis, offset = crop_params(fn)
        return axis - 1, 1, -offset
    raise UndefinedMapException(f"{fn.type_name} layers have no coordinate map")


def compose(base_map: Map, next_map: Map) -> Map:
    """The map that takes `next_map` first and `base_map` after it.

    Raises:
        AxisMismatchException: they are about different axes.
    """
    first, a1, b1 = base_map
    second, a2, b2 = next_map
    if None not in (first, second) and first != second:
        raise AxisMismatchException(f"axis {first} and axis {second}")
    return second if first is None else first, a1 * a2, a1 * b2 + b1


def inverse(coord_map: Map) -> Map:
    """The map back."""
    axis, a, b = coord_map
    return axis, 1 / a, -b / a


def coord_map_from_to(top_from: Top, top_to: Top) -> Map:
    """The map from the coordinates of one top to those of another, through the layers below both.

    Raises:
        RuntimeError: they share no top below them, or a layer on the way has no map.
    """
    below = _maps_below(top_from)
    for top, upwards in _maps_below(top_to).items():
        if top in below:
            return compose(upwards, inverse(below[top]))
    raise RuntimeError("Could not compute map between tops; are they connected by spatial layers?")


def _maps_below(top: Top) -> dict[Top, Map]:
    """Every top that `top` is computed from, nearest first, with the map from its coordinates to those of `top`."""
    maps: dict[Top, Map] = {top: (None, 1, 0)}
    frontier = [top]
    while frontier:
        current = frontier.pop(0)
        # The second bottom of a Crop gives its shape, not its elements.
        bottoms = current.fn.inputs[:1] if current.fn.type_name == "Crop" else current.fn.inputs
        for bottom in bottoms:
            if bottom in maps:
                continue
            try:
                maps[bottom] = compose(maps[current], coord_map(current.fn))
            except UndefinedMapException:
                continue
            frontier.append(bottom)
    return maps


def crop(top_from: Top, top_to: Top) -> Top:
    """A Crop layer that cuts `top_from` to the shape of `top_to`, where it lies in it.

    Raises:
        AssertionError: the scales differ, or the offset is negative or no whole number.
        RuntimeError: the tops are not connected.
    """
    axis, a, b = coord_map_from_to(top_from, top_to)
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    assert (a == 1).all(), f"scale mismatch on crop (a = {a})"
    assert (b <= 0).all(), f"cannot crop negative offset (b = {b})"
    assert (np.round(b) == b).all(), f"cannot crop noninteger offset (b = {b})"
    first = 1 if axis is None else axis
    cropped: Top = layers.Crop(top_from, top_to, crop_param={"axis": first + 1, "offset": (-b).astype(int).tolist()})
    return cropped
