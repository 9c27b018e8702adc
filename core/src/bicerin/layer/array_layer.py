"""Layers whose arithmetic is whole-array code, written once for NumPy and CuPy."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob
from bicerin.layer.layer import Layer

__all__ = ["ArrayLayer", "DeviceBlob"]


class DeviceBlob:
    """A blob whose `data` and `diff` are the device's arrays: what `ArrayLayer` sees where the device is no host.

    Args:
        const_data, const_diff: the layer only reads the values, or the gradient, so that the host's copy stays valid.
    """

    __slots__ = ("blob", "const_data", "const_diff")

    def __init__(self, blob: Blob, const_data: bool = False, const_diff: bool = False) -> None:
        self.blob = blob
        self.const_data = const_data
        self.const_diff = const_diff

    @property
    def data(self) -> Any:
        return self.blob.const_gpu_data if self.const_data else self.blob.gpu_data

    @property
    def diff(self) -> Any:
        return self.blob.const_gpu_diff if self.const_diff else self.blob.gpu_diff

    @property
    def shape(self) -> tuple[int, ...]:
        return self.blob.shape

    @property
    def count(self) -> int:
        return self.blob.count


class ArrayLayer(Layer):
    """A layer whose arithmetic is whole-array code, the same for NumPy and CuPy.

    A subclass implements `forward_array(xp, bottom, top)` and `backward_array(xp, top, propagate_down, bottom)`, where
    `xp` is the array module and `data`, `diff`, `shape` and `count` of each blob are of that module. Learnable blobs
    are in `self.weights(xp)` in the same form.
    """

    @abstractmethod
    def forward_array(self, xp: Any, bottom: Sequence[Any], top: Sequence[Any]) -> None:
        """Write `top[i].data` from `bottom[i].data`, with functions of `xp`."""

    def backward_array(
        self, xp: Any, top: Sequence[Any], propagate_down: Sequence[bool], bottom: Sequence[Any]
    ) -> None:
        """Write `bottom[i].diff` where `propagate_down[i]`, and add to the diffs of the weights."""
        Layer.backward_cpu(self, top, propagate_down, bottom)

    def weights(self, xp: Any) -> Sequence[Any]:
        """The learnable blobs, their data to read only."""
        return self.blobs if xp is np else [DeviceBlob(blob, const_data=True) for blob in self.blobs]

    def on(self, xp: Any, blob: Blob) -> Any:
        """A blob of the layer's own, such as a buffer, in the form that `xp` works on."""
        return blob if xp is np else DeviceBlob(blob)

    def array(self, blob: Blob) -> Any:
        """The values of a blob of the layer's own, to read or write, on the side that the layer runs on."""
        return blob.data if self.device.is_host else blob.gpu_data

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """By default one for each element of the tops."""
        return sum(blob.count for blob in top)

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.forward_array(np, bottom, top)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self.backward_array(np, top, propagate_down, bottom)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        tops = [DeviceBlob(blob, const_diff=True) for blob in top]
        # In place, bottom and top stay one object.
        bottoms = [
            tops[top.index(blob)] if blob in top else DeviceBlob(blob, const_data=True, const_diff=True)
            for blob in bottom
        ]
        self.forward_array(self.device.xp, bottoms, tops)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        bottoms = [DeviceBlob(blob, const_data=True) for blob in bottom]
        tops = [
            bottoms[bottom.index(blob)] if blob in bottom else DeviceBlob(blob, const_data=True, const_diff=True)
            for blob in top
        ]
        self.backward_array(self.device.xp, tops, propagate_down, bottoms)
