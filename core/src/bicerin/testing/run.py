"""One layer, run alone on given arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob
from bicerin.layer.layer import Layer
from bicerin.schema.create_layer import create_layer


@dataclass
class LayerRun:
    """A layer with its blobs, set up and ready to be run forward and backward, silent about NaN as in a net."""

    layer: Layer
    bottom: list[Blob]
    top: list[Blob]

    def forward(self) -> float:
        """One forward pass; returns the weighted loss."""
        with np.errstate(all="ignore"):
            return self.layer.forward(self.bottom, self.top)

    def backward(self, propagate_down: Sequence[bool] | None = None) -> None:
        """One backward pass from the tops' diffs; the parameters' diffs start from zero.

        Args:
            propagate_down: one flag a bottom; by default, what the layer allows.
        """
        if propagate_down is None:
            propagate_down = self.propagate_down
        for blob in self.layer.blobs:
            blob.diff.fill(0)
        with np.errstate(all="ignore"):
            self.layer.backward(self.top, list(propagate_down), self.bottom)

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
        inputs: one array a bottom.
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
        blob = Blob(array.shape, layer.dtype, layer.device, f"in{index}")
        blob.data[...] = array
        bottom.append(blob)
    if tops is None:
        allowed = layer.counts.top
        tops = len(layer.param.top) or (1 if 1 in allowed else allowed.least)
    top = [layer.new_blob(name=f"top{index}") for index in range(tops)]
    if in_place:
        if not bottom or not top:
            raise ValueError(
                f"in_place: {layer.type} has {len(bottom)} bottom(s) and {len(top)} top(s) here; the first bottom "
                "cannot be the first top. `inputs` gives the bottoms, `tops` says how many tops."
            )
        top[0] = bottom[0]
    layer.set_up(bottom, top)
    for blob, values in zip(layer.blobs, parameters, strict=len(parameters) > 0):
        blob.data[...] = values
    return LayerRun(layer, bottom, top)
