"""The gradients of several ranks, averaged while the backward pass goes on.

Parameters are put into buckets in the order in which a backward pass is done with them: a parameter is ready once the
first of the layers that use it has run, since that one runs last. A bucket whose last parameter is ready is packed into
one array and its sum over the ranks begins; the layers below run meanwhile. All ranks have the same net, and so begin
the same sums in the same order.

Source: Li et al., PyTorch Distributed, 2020 (buckets); Caffe's `NCCL`, which also averages before clipping,
normalization and weight decay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import frexp
from typing import Any

import numpy as np

from bicerin.device.device import CPU, Device
from bicerin.layer.blob import Blob
from bicerin.net import Net
from bicerin.parallel.communicator import Pending
from bicerin.parallel.data_parallel import DataParallel
from bicerin.parallel.progress import Progress

#: Between which sizes the largest of a sum in float16 may lie, and how far below the upper one it is aimed, since
#: gradients grow from step to step. With the smallest, what is 2**15 times smaller than the largest has all its digits.
_SMALLEST, _LARGEST, _ROOM = 2.0, 65504.0, 16.0


@dataclass
class Bucket:
    """Gradients that travel together.

    Attributes:
        blobs: the parameters.
        ready_at: the index of the layer after whose backward pass all of them are ready.
        layer: the name of that layer.
        count: of elements.
    """

    blobs: list[Blob]
    ready_at: int
    layer: str
    count: int
    #: What travels, from when it is first packed; None for a parameter that travels where it is.
    array: Any = None
    pending: Pending | None = None
    #: In half precision: what the gradients are multiplied with on the way.
    scale: float = 1.0


class GradientAverage:
    """Averages the gradients of a net's parameters over the ranks.

        with average.of_pass():        # of several passes that are added up, the last
            net.forward_backward()
        average.finish()               # every rank's gradients are the average now

    Args:
        net: the net; its parameters must not change their shapes.
        parallel: the ranks, and how gradients travel.
        progress: told what is being waited for.
    """

    def __init__(self, net: Net, parallel: DataParallel, progress: Progress | None = None) -> None:
        self._net = net
        self._communicator = parallel.communicator
        self._progress = progress if progress is not None else Progress()
        self._half = parallel.gradients == "float16"
        self._chosen: Device | None = None
        self.buckets = _buckets(net, parallel.bucket_bytes)
        self._next = 0

    @property
    def scales(self) -> list[float]:
        """In half precision, the scale of each bucket: what a run that goes on exactly begins with. Otherwise none."""
        return [bucket.scale for bucket in self.buckets] if self._half else []

    @scales.setter
    def scales(self, scales: Sequence[float]) -> None:
        known = len(scales) == len(self.buckets)
        for index, bucket in enumerate(self.buckets):
            bucket.scale = float(scales[index]) if known else 1.0

    @property
    def _side(self) -> Device:
        """Where what travels lies: the net's device, or the host; all ranks ask together for the first time."""
        if self._chosen is None:
            self._chosen = self._net.device if self._communicator.takes(self._net.device) else CPU
        return self._chosen

    @contextlib.contextmanager
    def of_pass(self) -> Iterator[None]:
        """The backward pass that runs within the block completes the gradients, and their sums begin as it goes on."""
        self._net.gradients_ready.append(self._after_layer)
        try:
            yield
        finally:
            self._net.gradients_ready.remove(self._after_layer)

    def _after_layer(self, index: int) -> None:
        while self._next < len(self.buckets) and self.buckets[self._next].ready_at >= index:
            self._start(self.buckets[self._next])
            self._next += 1
        for bucket in self.buckets[: self._next]:
            if bucket.pending is not None and bucket.pending.done():
                bucket.pending = _DONE

    def finish(self) -> None:
        """Begin what has not begun yet, wait for all sums, and put the averages in the place of the gradients."""
        for bucket in self.buckets[self._next :]:
            self._start(bucket)
        self._next = 0
        for bucket in self.buckets:
            assert bucket.pending is not None
            with self._progress.waiting(f'the gradient of "{bucket.layer}"'):
                bucket.pending.wait()
            bucket.pending = None
            self._take(bucket)

    # One bucket

    def _start(self, bucket: Bucket) -> None:
        with self._side.current():
            if self._half:
                bucket.array = self._packed(bucket, np.dtype(np.float16), bucket.scale)
            elif len(bucket.blobs) == 1 and self._side is self._net.device:
                bucket.array = bucket.blobs[0].on(self._side).diff.reshape(-1)
            else:
                bucket.array = self._packed(bucket, self._net.dtype, 1.0)
            bucket.pending = self._communicator.start_all_reduce(bucket.array)

    def _packed(self, bucket: Bucket, dtype: np.dtype[Any], scale: float) -> Any:
        array = bucket.array
        if array is None or array.dtype != dtype:
            array = self._side.empty(bucket.count, dtype)
        with np.errstate(over="ignore", invalid="ignore"):
            for part, blob in zip(_parts(array, bucket), bucket.blobs, strict=True):
                gradient = self._read(blob)
                part[...] = gradient * scale if scale != 1 else gradient
        return array

    def _read(self, blob: Blob) -> Any:
        if self._side.is_host:
            return blob.read_only.diff.reshape(-1)
        return blob.on(self._side, writes_data=False, writes_diff=False).diff.reshape(-1)

    def _take(self, bucket: Bucket) -> None:
        with self._side.current(), np.errstate(all="ignore"):
            factor = 1.0 / self._communicator.size
            if self._half:
                factor = self._half_factor(bucket, factor)
            for part, blob in zip(_parts(bucket.array, bucket), bucket.blobs, strict=True):
                # The host's array is the net's own where nothing else has arrays.
                diff = blob.on(self._side).diff if self._side is self._net.device else blob.diff
                self._side.xp.multiply(part, self._net.dtype.type(factor), out=diff.reshape(-1))

    def _half_factor(self, bucket: Bucket, factor: float) -> float:
        """What a sum in half precision is multiplied with to be the average; the scale of the next step is set.

        All ranks have the same sum, and so come to the same scale. A sum that was too large for it, or so small that
        digits were lost, is made again in full precision.
        """
        largest = float(abs(bucket.array).max()) if bucket.count else 0.0
        if _SMALLEST <= largest <= _LARGEST:
            largest /= bucket.scale
            factor /= bucket.scale
        else:
            bucket.array = self._packed(bucket, self._net.dtype, 1.0)
            pending = self._communicator.start_all_reduce(bucket.array)
            with self._progress.waiting(f'the gradient of "{bucket.layer}"'):
                pending.wait()
            largest = float(abs(bucket.array).max()) if bucket.count else 0.0
        if np.isfinite(largest) and largest > 0:
            bucket.scale = _power_of_two_below(_LARGEST / _ROOM / largest)
        return factor


class _Done(Pending):
    def done(self) -> bool:
        return True


_DONE = _Done()


def _power_of_two_below(value: float) -> float:
    return float(2.0 ** max(-100, min(100, frexp(value)[1] - 1)))


def _parts(array: Any, bucket: Bucket) -> Iterator[Any]:
    """The stretches of a bucket's array that belong to its parameters."""
    begin = 0
    for blob in bucket.blobs:
        yield array[begin : begin + blob.count]
        begin += blob.count


def _buckets(net: Net, limit: int) -> list[Bucket]:
    """The parameters that get gradients, in the order in which a backward pass is done with them."""
    found: list[tuple[int, Blob]] = []
    for blob, lr_mult, users in zip(net.learnable_params, net.params_lr, net.param_users(), strict=True):
        # One that its layers keep themselves, such as an average, gets none.
        learned = any(net.nodes[index].layer.param_propagate_down(place) for index, place in users)
        if lr_mult != 0 or learned:
            found.append((min(index for index, _ in users), blob.blob))
    found.sort(key=lambda pair: -pair[0])
    buckets: list[Bucket] = []
    for index, blob in found:
        size = blob.count * net.dtype.itemsize
        last = buckets[-1] if buckets else None
        if last is None or last.count * net.dtype.itemsize + size > limit:
            buckets.append(Bucket([blob], index, net.nodes[index].name, blob.count))
        else:
            last.blobs.append(blob)
            last.count += blob.count
            last.ready_at, last.layer = index, net.nodes[index].name
    return buckets
