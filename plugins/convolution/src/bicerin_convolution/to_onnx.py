"""What the layers are in ONNX, for bicerin-onnx."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bicerin.layer.onnx_graph import Graph


def convolution(graph: Graph, layer: Any) -> Any:
    return _convolution(graph, layer, "Conv")


def deconvolution(graph: Graph, layer: Any) -> Any:
    return _convolution(graph, layer, "ConvTranspose")


def _convolution(graph: Graph, layer: Any, operator: str) -> Any:
    """One operation for each pair of bottom and top."""
    geometry = layer.geometry
    spatial = len(geometry.kernel)
    if spatial > 3:
        graph.refuse(f"{operator} over {spatial} spatial axes is more than runtimes of ONNX compute: up to 3.")
    if 0 in geometry.dilation:
        graph.refuse("ONNX has no dilation of 0.")
    # Without spatial axes it is a convolution over one pixel.
    shape = layer.weight_shape()
    weights = graph.blob(0, shape if spatial else (*shape, 1))
    bias = graph.blob(1) if len(layer.blobs) > 1 else None
    tops = []
    for bottom, top in zip(graph.bottoms, graph.tops, strict=True):
        plain = layer.axis == 1 and spatial
        x = bottom if plain else _joined(graph, bottom, layer.axis)
        y = graph.op(
            operator,
            x,
            weights,
            bias,
            kernel_shape=list(geometry.kernel) or [1],
            strides=list(geometry.stride) or [1],
            pads=(list(geometry.pad) or [0]) * 2,
            dilations=list(geometry.dilation) or [1],
            group=layer.group,
        )
        slope = getattr(layer, "slope", None)
        if slope is not None:
            y = graph.op("LeakyRelu", y, alpha=float(slope)) if slope else graph.op("Relu", y)
        tops.append(y if plain else _parted(graph, y, top, layer.axis))
    return tops


def im2col(graph: Graph, layer: Any) -> Any:
    """A convolution whose kernels are 1 at one place each."""
    geometry = layer.geometry
    if len(geometry.kernel) > 3:
        graph.refuse(f"Conv over {len(geometry.kernel)} spatial axes is more than runtimes of ONNX compute: up to 3.")
    (bottom,) = graph.bottoms
    channels, size = bottom.shape[layer.axis], prod(geometry.kernel)
    kernels = np.tile(np.eye(size).reshape(size, 1, *geometry.kernel), (channels, *[1] * (1 + len(geometry.kernel))))
    y = graph.op(
        "Conv",
        bottom if layer.axis == 1 else _joined(graph, bottom, layer.axis),
        kernels,
        kernel_shape=list(geometry.kernel),
        strides=list(geometry.stride),
        pads=list(geometry.pad) * 2,
        dilations=list(geometry.dilation),
        group=channels,
    )
    return y if layer.axis == 1 else _parted(graph, y, graph.tops[0], layer.axis)


def local(graph: Graph, layer: Any) -> Any:
    """The patches of each position, a row each, times its weights."""
    geometry, (x,) = layer.geometry, graph.bottoms
    channels, positions = x.shape[1], layer.output[0] * layer.output[1]
    kernels = np.tile(np.eye(geometry.size).reshape(geometry.size, 1, *geometry.kernel), (channels, 1, 1, 1))
    patches = graph.op(
        "Conv",
        x,
        kernels,
        kernel_shape=list(geometry.kernel),
        strides=list(geometry.stride),
        pads=list(geometry.pad) * 2,
        group=channels,
    )
    rows = graph.op("Transpose", graph.op("Reshape", patches, [0, layer.depth, positions]), perm=[2, 0, 1])
    weights = graph.op("Transpose", graph.blob(0, [layer.outputs, layer.depth, positions]), perm=[2, 1, 0])
    y = graph.op("Transpose", graph.op("MatMul", rows, weights), perm=[1, 2, 0])
    if len(layer.blobs) > 1:
        y = graph.op("Add", y, graph.blob(1, [layer.outputs, positions]))
    return graph.op("Reshape", y, [0, layer.outputs, *layer.output])


def _joined(graph: Graph, bottom: Any, axis: int) -> Any:
    """The axes before the channels as one."""
    shape = bottom.shape
    return graph.op("Reshape", bottom, [-1 if axis else 1, *shape[axis:], *[1] * (len(shape) == axis + 1)])


def _parted(graph: Graph, y: Any, top: tuple[int, ...], axis: int) -> Any:
    """The axes before the channels as the top has them."""
    return graph.op("Reshape", y, [-1, *top[1:]] if axis else list(top))
