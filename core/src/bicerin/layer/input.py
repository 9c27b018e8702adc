"""Input: tops of given shapes, which the user fills. Source: Caffe's `InputLayer`."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.errors import ShapeError
from bicerin.layer.abilities import HasExample
from bicerin.layer.blob import Blob
from bicerin.layer.counts import BlobCounts, at_least
from bicerin.layer.layer import Layer


class InputLayer(HasExample, Layer):
    """Its tops take the shapes of `input_param.shape`: one for all, or one for each; none leaves them to the user."""

    type = "Input"
    example = """
        layer { name: "in" type: "Input" top: "in" input_param { shape { dim: 1 dim: 3 dim: 224 dim: 224 } } }
        """
    counts = BlobCounts(bottom=0, top=at_least(1))

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        shapes = self.param.input_param.shape
        if len(shapes) not in (0, 1, len(top)):
            raise ShapeError(
                f"input_param gives {len(shapes)} shapes for {len(top)} tops.",
                "Must specify 'shape' once, once per top blob, or not at all.",
            )
        for index, blob in enumerate(top if shapes else ()):
            blob.reshape(*shapes[index if len(shapes) > 1 else 0].dim)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The user's own reshape of a top is kept."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """The data is already there."""

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """There is nothing below."""
