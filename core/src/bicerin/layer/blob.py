"""Blob: the data and the diff (gradient) of one shape."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

import bicerin_proto
from bicerin.device.device import CPU, Device
from bicerin.device.memory import Memory, State, changes, moves
from bicerin.errors import DeviceError, ShapeError
from bicerin.layer.blob_view import BlobView, HostView, not_writable
from bicerin.layer.html import html_table

MAX_AXES = 32
MAX_COUNT = 2**31 - 1


class Blob:
    """An N-d array with its gradient, row-major, as Caffe's `Blob`.

    `data` and `diff` are NumPy arrays to read and write. Where the blob's device has memory of its own, the values move
    when the other side is asked for: `on(device)` is the blob as the device sees it. All are zeros until someone
    writes, and take no memory until they are touched. An array stays valid until `reshape` needs more room than the
    blob has ever had.

    Args:
        shape: any number of axes up to 32, each 0 or more; `()` is a scalar.
        dtype: float32 (Caffe's) or float64; a layer's own buffers may hold integers.
        device: the side besides the host where the values may live.
        name: what errors call it.
    """

    __slots__ = (
        "_arrays",
        "_data",
        "_diff",
        "_handed_out",
        "_read_only",
        "count",
        "device",
        "dtype",
        "name",
        "renew",
        "shape",
    )

    def __init__(
        self,
        shape: Sequence[int] = (),
        dtype: Any = np.float32,
        device: Device = CPU,
        name: str = "",
    ) -> None:
        self.dtype = np.dtype(dtype)
        self.device = device
        self.name = name
        self.shape: tuple[int, ...] = ()
        self.count = 1
        self._data = Memory(1, self.dtype, device)
        self._diff = Memory(1, self.dtype, device)
        # One array for each (side, kind), remade when the memory or the shape under it changes.
        self._arrays: dict[Any, tuple[Any, Any]] = {}
        self._read_only: BlobView | None = None
        self._handed_out: weakref.ref[Blob] | None = None
        #: Where the values are gone when it is another blob's turn in their memory: computes them again, to be kept.
        self.renew: Callable[[], None] | None = None
        self.reshape(*shape)

    def __repr__(self) -> str:
        return f"Blob({self.name!r}, shape={self.shape}, dtype={self.dtype})"

    def _repr_html_(self) -> str:
        return html_table(repr(self), (), self._numbers())

    def _numbers(self) -> Iterator[tuple[str, str]]:
        values = self.read_only.data
        finite = values[np.isfinite(values)]
        yield "elements", f"{self.count:,}"
        if finite.size:
            for name in ("min", "mean", "max"):
                yield name, f"{getattr(finite, name)():.6g}"
        if finite.size < values.size:
            yield "not finite", f"{values.size - finite.size:,}"

    def __deepcopy__(self, memo: dict) -> Blob:
        twin = Blob(self.shape, self.dtype, self.device, self.name)
        twin.copy_from(self, copy_diff=True)
        return twin

    # Shape

    def reshape(self, *shape: int) -> None:
        """Change the shape. Memory is kept where it is large enough; otherwise both arrays start anew as zeros.

        Args:
            shape: the axes, as separate integers or as one sequence.

        Raises:
            ShapeError: an axis is negative, there are more than 32, the count passes 2**31 - 1, or the values need more
                memory than there is.
        """
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
            shape = tuple(shape[0])
        if shape == self.shape:
            return
        shape = tuple(int(axis) for axis in shape)
        count = prod(shape)
        if len(shape) > MAX_AXES or count > MAX_COUNT or any(not 0 <= axis <= MAX_COUNT for axis in shape):
            raise ShapeError(
                f"a blob cannot have the shape {shape}.",
                f"A blob has at most {MAX_AXES} axes, none negative, and at most {MAX_COUNT} elements.",
            )
        if count > self._data.size:
            self._check_memory(shape, count)
            memory = Memory(count, self.dtype, self.device)
            memory.versioned = self._data.versioned
            self._use(memory)
        if count > self._diff.size:
            self._diff = Memory(count, self.dtype, self.device)
        moves.number += 1
        self.shape = shape
        self.count = count
        self._arrays.clear()

    def _check_memory(self, shape: tuple[int, ...], count: int) -> None:
        """Memory is taken when it is first touched, and then it is too late to refuse: the system ends the process."""
        needed = count * self.dtype.itemsize
        if self.device.is_host and needed > bicerin_proto.machine_memory():
            raise ShapeError(
                f"a blob of the shape {shape} needs {needed} bytes for its values, and as many for its gradient; this "
                f"machine has {bicerin_proto.machine_memory()}."
            )

    def reshape_like(self, other: Blob) -> None:
        self.reshape(*other.shape)

    @property
    def num_axes(self) -> int:
        return len(self.shape)

    def canonical_axis(self, axis: int) -> int:
        """`axis` counted from the front: -1 is the last.

        Raises:
            ShapeError: the blob has no such axis.
        """
        axes = len(self.shape)
        if not -axes <= axis < axes:
            raise ShapeError(
                f"axis {axis} is out of range for {self.name or 'a blob'} of shape {self.shape}.",
                f"It has {axes} axes: {-axes} to {axes - 1}." if axes else "It is one number, without axes.",
            )
        return axis % axes if axes else 0

    def count_between(self, start: int, stop: int | None = None) -> int:
        """The product of the axes from `start` up to, not including, `stop`."""
        return prod(self.shape[start:stop])

    def _legacy_axis(self, index: int) -> int:
        if len(self.shape) > 4:
            raise ShapeError(f"num, channels, height and width are for blobs of up to 4 axes, not {self.shape}.")
        return self.shape[index] if index < len(self.shape) else 1

    @property
    def num(self) -> int:
        return self._legacy_axis(0)

    @property
    def channels(self) -> int:
        return self._legacy_axis(1)

    @property
    def height(self) -> int:
        return self._legacy_axis(2)

    @property
    def width(self) -> int:
        return self._legacy_axis(3)

    # Arrays

    def _shaped(self, key: Any, buffer: Any) -> Any:
        cached = self._arrays.get(key)
        if cached is not None and cached[0] is buffer:
            return cached[1]
        array = buffer[: self.count].reshape(self.shape)
        self._arrays[key] = (buffer, array)
        return array

    @property
    def data(self) -> np.ndarray:
        """The values on the host, to read and write."""
        memory = self._data
        return self._lent(memory) if memory.versioned else self._shaped("data", memory.host_array())

    @property
    def diff(self) -> np.ndarray:
        """The gradient on the host, to read and write."""
        return self._shaped("diff", self._diff.host_array())

    def _lent(self, memory: Memory) -> np.ndarray:
        return memory.lent_array()[: self.count].reshape(self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The values on the host: `np.asarray(blob)`, to read only, or `np.array(blob)`, a copy."""
        return np.array(not_writable(self.read_only.data), dtype, copy=copy)

    @property
    def read_only(self) -> BlobView:
        """The blob with the host's arrays to read only, so that the device's copy stays valid."""
        if self._read_only is None:
            self._read_only = HostView(self, CPU, writes_data=False, writes_diff=False)
        return self._read_only

    @property
    def data_version(self) -> int | None:
        """A number that is another one once the values may have been written; see `Memory.version`. None for a blob
        that was not made with `keep_versions`, or shares the values of such a one.
        """
        return self._data.version

    def keep_versions(self) -> None:
        """Have a `data_version` from now on. To be called before anyone has the blob's array, since whoever keeps one
        may write to it at any time; those that are asked for from now on are lent.
        """
        self._data.versioned = True

    def on(self, device: Device, *, writes_data: bool = True, writes_diff: bool = True) -> Any:
        """The blob as a device sees it: `data` and `diff` are its arrays. On a host that is all there is, the blob.

        Args:
            device: the blob's own, or the host.
            writes_data, writes_diff: whether the values or the gradient may be written; if not, the copy on the other
                side stays valid, and a device that can tell refuses to write.

        Raises:
            DeviceError: the blob is bound to another device.
        """
        if device.is_host and self.device.is_host:
            return self
        if not device.is_host and (type(device), device.index) != (type(self.device), self.device.index):
            raise DeviceError(
                f'blob "{self.name}" is bound to the device "{self.device}", and has no arrays on "{device}"; '
                f'build the net with device="{device}".'
            )
        return BlobView(self, device, writes_data, writes_diff)

    @property
    def _gpu_data_ptr(self) -> int:
        """The address of the values on the device; pycaffe's name."""
        return int(self._on_device().data.data.ptr)

    @property
    def _gpu_diff_ptr(self) -> int:
        """The address of the gradient on the device; pycaffe's name."""
        return int(self._on_device().diff.data.ptr)

    def _on_device(self) -> Any:
        if self.device.is_host:
            raise DeviceError(
                f'blob "{self.name}" is bound to the device "{self.device}", which has no arrays of its own; '
                'use data and diff, or build the net with device="gpu".'
            )
        return self.on(self.device)

    @property
    def blob(self) -> Blob:
        """The blob itself, as of a `BlobView`."""
        return self

    def clear_diff(self, *, later: bool = False) -> None:
        """Make the gradient zeros.

        Args:
            later: on the host, only when it is next asked for; arrays that were handed out before do not see it.
        """
        if not self.device.is_host:
            with self.device.current():
                self.on(self.device).diff.fill(0)
        elif later:
            self._diff.clear_host()
        else:
            self.diff.fill(0)

    def cleared_diff(self) -> np.ndarray | None:
        """After `clear_diff(later=True)`, once: the gradient, for one who writes all of it and need not see zeros."""
        if self._diff.state is not State.CLEARED:
            return None
        return self._shaped("diff", self._diff.uncleared_host_array())

    def share_data(self, other: Blob) -> None:
        """Use the other blob's values as this blob's own, without a copy; the counts must be equal."""
        self._require_same_count(other)
        if self._data is not other._data:
            self._use(other._data)
            self._arrays.clear()

    def share_diff(self, other: Blob) -> None:
        """Use the other blob's gradient as this blob's own, without a copy; the counts must be equal."""
        self._require_same_count(other)
        if self._diff is not other._diff:
            self._diff = other._diff
            self._arrays.clear()

    def use_memory(self, memory: Memory) -> None:
        """Keep the values in this memory, which has room for them, from now on."""
        if memory.size < self.count:
            raise ShapeError(f"a memory of {memory.size} elements cannot hold a blob of shape {self.shape}.")
        self._use(memory)
        self._arrays.clear()

    def _use(self, memory: Memory) -> None:
        if self._data.versioned:
            changes.number += 1
        moves.number += 1
        self._data = memory

    def use_diff_memory(self, memory: Memory) -> None:
        """Keep the gradient in this memory, which has room for it, from now on."""
        if memory.size < self.count:
            raise ShapeError(f"a memory of {memory.size} elements cannot hold a gradient of shape {self.shape}.")
        self._diff = memory
        self._arrays.clear()

    def shares_data_with(self, other: Blob) -> bool:
        return self._data is other._data

    def _require_same_count(self, other: Blob) -> None:
        if self.count != other.count:
            raise ShapeError(f"blobs of shapes {self.shape} and {other.shape} cannot share memory.")

    def copy_from(self, other: Blob, copy_diff: bool = False, reshape: bool = False) -> None:
        """Copy the other blob's values, and with `copy_diff` its gradient.

        Raises:
            ShapeError: the shapes differ and `reshape` is False.
        """
        if self.shape != other.shape:
            if not reshape:
                raise ShapeError(f"cannot copy a blob of shape {other.shape} into one of shape {self.shape}.")
            self.reshape(*other.shape)
        other = other.blob
        on_device = not self.device.is_host and self.device is other.device
        for kind in ("data", "diff") if copy_diff else ("data",):
            if on_device and getattr(other, f"_{kind}").on_device:
                with self.device.current():
                    source = other.on(self.device, writes_data=False, writes_diff=False)
                    getattr(self.on(self.device), kind)[...] = getattr(source, kind)
            else:
                getattr(self, kind)[...] = getattr(other.read_only, kind)

    @property
    def memory(self) -> tuple[Memory, Memory]:
        """The memories under data and diff, for accounting."""
        return self._data, self._diff

    # Protobuf

    def to_proto(self, write_diff: bool = False, into: Any = None) -> Any:
        """A `BlobProto` with the shape, the data and, with `write_diff`, the diff; `into` is one to fill."""
        return bicerin_proto.array_blob(self.read_only.data, self.read_only.diff if write_diff else None, into=into)

    def from_proto(self, proto: Any, reshape: bool = True) -> None:
        """Take the values, and the gradient where there is one, of a `BlobProto`.

        Raises:
            ShapeError: the shapes differ and `reshape` is False.
        """
        shape = bicerin_proto.blob_shape(proto)
        if reshape:
            self.reshape(*shape)
        elif not same_shape(proto, self.shape):
            raise ShapeError(f"cannot take a blob of shape {shape} into one of shape {self.shape}.")
        self.data.reshape(-1)[...] = bicerin_proto.blob_array(proto).reshape(-1)
        if len(proto.diff) or len(proto.double_diff):
            self.diff.reshape(-1)[...] = bicerin_proto.blob_array(proto, diff=True).reshape(-1)


def same_shape(proto: Any, shape: tuple[int, ...]) -> bool:
    """Whether a `BlobProto` has this shape. Those of 4 axes of older files, and those of 5 of C3D's, match shapes
    without their leading axes of 1.
    """
    theirs = bicerin_proto.blob_shape(proto)
    if theirs == tuple(shape):
        return True
    padded = len(theirs) == 5 or any(proto.HasField(field) for field in ("num", "channels", "height", "width"))
    missing = len(theirs) - len(shape)
    return padded and missing >= 0 and theirs == (1,) * missing + tuple(shape)
