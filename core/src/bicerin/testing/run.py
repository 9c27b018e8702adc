"""One layer, run alone on given arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob
from bicerin.layer.layer import Layer
from bicerin.net.node import Node
from bicerin.schema.create_layer import create_layer


class LayerRun:
    """A layer with its blobs, set up and ready to be run forward and backward, silent about NaN as in a net.

    Attributes:
        node: the layer in its place.
        layer, bottom, top, blobs: the node's, with the host's arrays.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.layer: Layer = node.layer
        self.bottom: list[Blob] = node.bottom
        self.top: list[Blob] = node.top

    @property
    def blobs(self) -> list[Blob]:
        return self.node.blobs

    def forward(self) -> float:
        """One forward pass; returns the weighted loss."""
        with np.errstate(all="ignore"):
            return self.node.forward()

    def backward(self, propagate_down: Sequence[bool] | None = None) -> None:
        """One backward pass from the tops' diffs; the parameters' diffs start from zero.

        Args:
            propagate_down: one flag per bottom; by default, what the layer allows.
        """
        for blob in self.blobs:
            blob.diff.fill(0)
        self.add_backward(propagate_down)

    def add_backward(self, propagate_down: Sequence[bool] | None = None) -> None:
        """As `backward`; the parameters' diffs are added to."""
        with np.errstate(all="ignore"):
            self.node.backward_to(list(self.propagate_down if propagate_down is None else propagate_down))

    @property
    def propagate_down(self) -> list[bool]:
        return [self.layer.allow_force_backward(index) for index in range(len(self.bottom))]


def run_layer(
    definition: Any,
    inputs: Sequence[np.ndarray] = (),
    *,
    tops: int | None = None,
    parameters: Sequence[np.ndarray] = (),
    phase: Any = "TRAIN",
    device: Any = "cpu",
    dtype: Any = np.float32,
    seed: int = 0,
    in_place: bool = False,
) -> LayerRun:
    """Make a layer, give it bottoms that hold `inputs`, and set it up.

    Args:
        definition: the text of a layer, or a `LayerParameter`.
        inputs: one array per bottom.
        tops: how many tops; by default as many as the definition names, else the least that the layer declares.
        parameters: values for the layer's blobs, after its fillers.
        in_place: use the first bottom as the first top.

    Raises:
        ValueError: `in_place` of a layer that has no bottom or no top here.
    """
    layer = create_layer(definition, phase=phase, device=device, dtype=dtype, seed=seed)
    bottom = []
    for index, array in enumerate(inputs):
        array = np.asarray(array)
        blob = Blob(array.shape, layer.dtype, layer.context.device, f"in{index}")
        blob.data[...] = array
        bottom.append(blob)
    if tops is None:
        allowed = layer.counts.top
        tops = len(layer.param.top) or (1 if 1 in allowed else allowed.least)
    top = [Blob((), layer.dtype, layer.context.device, f"top{index}") for index in range(tops)]
    if in_place:
        if not bottom or not top:
            raise ValueError(
                f"in_place: {layer.type} has {len(bottom)} bottom(s) and {len(top)} top(s) here; the first bottom "
                "cannot be the first top. `inputs` gives the bottoms, `tops` says how many tops."
            )
        top[0] = bottom[0]
    node = Node(layer, bottom, top)
    node.set_up()
    for blob, values in zip(node.blobs, parameters, strict=len(parameters) > 0):
        blob.data[...] = values
    return LayerRun(node)
