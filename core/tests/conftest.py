"""Layers for the core's own tests, provided as an installed plugin would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, LossLayer


class AffineLayer(Layer):
    """top = weight * bottom + offset, with two learnable scalars' worth of blobs: weight (C,), offset (C,)."""

    type = "Affine"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].num_axes != 2:
            raise ShapeError(f"its bottom must be (N, C), not {bottom[0].shape}.")
        channels = bottom[0].shape[1]
        filler = self.param.inner_product_param
        self.declare_blobs(((channels,), filler.weight_filler), ((channels,), filler.bias_filler))

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if bottom[0].shape[1:] != self.blobs[0].shape:
            raise ShapeError(f"its bottom must be (N, {self.blobs[0].count}), not {bottom[0].shape}.")
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        weight, offset = self.blobs
        top[0].data[...] = bottom[0].data * weight.data + offset.data

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        weight, offset = self.blobs
        if self.param_propagate_down(0):
            weight.diff[...] += (top[0].diff * bottom[0].data).sum(0)
        if self.param_propagate_down(1):
            offset.diff[...] += top[0].diff.sum(0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * weight.data


class SquareLayer(Layer):
    """top = bottom squared; may work in place."""

    type = "Square"
    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        self.kept = np.empty(bottom[0].shape, self.dtype)

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.kept[...] = bottom[0].data
        top[0].data[...] = self.kept**2

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = 2 * self.kept * top[0].diff


class HalfSquareLossLayer(LossLayer):
    """Half the mean over the batch of the squared distance to the label."""

    type = "HalfSquareLoss"

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().reshape(bottom, top)
        if bottom[0].shape != bottom[1].shape:
            raise ShapeError(f"the bottoms differ: {bottom[0].shape} and {bottom[1].shape}.")

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not bottom[0].count:
            raise ShapeError("the mean of no rows is not defined.")
        self.distance = bottom[0].data - bottom[1].data
        top[0].data[...] = (self.distance**2).sum() / (2 * len(self.distance))

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = self.distance * (top[0].diff / len(self.distance))


class NoiseLayer(Layer):
    """Adds standard normal noise."""

    type = "Noise"
    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].data[...] = bottom[0].data + self.context.random.normal(size=bottom[0].shape)


TEST_LAYERS: list[type[Layer]] = [AffineLayer, SquareLayer, HalfSquareLossLayer, NoiseLayer]


@pytest.fixture
def provided(provided: Any) -> Any:
    """With this folder's layers too."""
    for layer in TEST_LAYERS:
        provided.layer(layer)
    return provided
