"""Memory moves only when the other side is asked for, and every move is counted."""

from types import ModuleType

import numpy as np

from bicerin.device.device import Device
from bicerin.device.memory import State
from bicerin.layer.blob import Blob
from bicerin.layer.blob_view import BlobView
from bicerin.layer.handed_out import handed_out


class OtherSide(Device):
    """A device whose arrays are separate NumPy arrays, so that a missing copy shows."""

    name = "other"

    @property
    def xp(self) -> ModuleType:
        return np

    def _copy_to_host(self, source: np.ndarray, target: np.ndarray) -> None:
        target[...] = source

    def _copy_from_host(self, source: np.ndarray, target: np.ndarray) -> None:
        target[...] = source


def moves(blob: Blob) -> tuple[int, int]:
    return blob.device.transfers.to_device, blob.device.transfers.to_host


def on_device(blob: Blob) -> BlobView:
    return blob.on(blob.device)


def is_clear(blob: Blob) -> bool:
    return blob.memory[1].state is State.CLEARED


def test_nothing_is_allocated_or_moved_until_touched() -> None:
    blob = Blob((1000,), device=OtherSide())
    assert blob.memory[0].state is State.UNINITIALIZED
    assert blob.memory[0].nbytes == 0
    assert not on_device(blob).data.any()
    assert moves(blob) == (0, 0)


def test_writes_on_one_side_are_seen_on_the_other() -> None:
    blob = Blob((3,), device=OtherSide())
    blob.data[...] = [1, 2, 3]
    assert list(on_device(blob).data) == [1, 2, 3]
    assert moves(blob) == (1, 0)
    on_device(blob).data[...] += 1
    assert list(blob.data) == [2, 3, 4]
    assert moves(blob) == (1, 1)
    blob.data[0] = 9
    assert list(on_device(blob).data) == [9, 3, 4]
    assert moves(blob) == (2, 1)


def test_reading_on_the_host_leaves_the_device_valid() -> None:
    blob = Blob((2,), device=OtherSide())
    on_device(blob).data[...] = 5
    for _ in range(3):
        assert list(blob.read_only.data) == [5, 5]
        _ = on_device(blob).data
    # Every write access to the device makes the host's copy stale, and each read of it fetches it once.
    assert moves(blob) == (0, 3)
    _ = blob.read_only.data, blob.read_only.data
    assert moves(blob) == (0, 4)
    assert blob.memory[0].state is State.SYNCED


def test_bytes_are_counted() -> None:
    blob = Blob((4,), np.float64, OtherSide())
    blob.data.fill(1)
    _ = on_device(blob).data
    assert blob.device.transfers.bytes_to_device == 32


def test_a_gradient_is_cleared_when_it_is_looked_at() -> None:
    blob = Blob((3,))
    blob.diff[...] = 7
    held = blob.diff
    blob.clear_diff(later=True)
    assert is_clear(blob)
    assert held[0] == 7
    assert list(blob.read_only.diff) == [0, 0, 0]
    assert not is_clear(blob)
    assert held[0] == 0

    blob.diff[...] = 7
    blob.clear_diff(later=True)
    cleared = blob.cleared_diff()
    assert cleared is not None
    cleared[...] = 2
    assert list(blob.diff) == [2, 2, 2]


def test_a_cleared_gradient_reaches_the_device() -> None:
    blob = Blob((3,), device=OtherSide())
    blob.diff[...] = 7
    blob.memory[1].clear_host()
    assert list(on_device(blob).diff) == [0, 0, 0]


def test_what_nobody_touched_stays_without_memory() -> None:
    blob = Blob((3,))
    blob.clear_diff(later=True)
    assert blob.memory[1].nbytes == 0
    assert not is_clear(blob)


def test_arrays_are_exchanged() -> None:
    blob = Blob((2, 3))
    first = blob.data
    given = np.arange(6, dtype=np.float32)
    had = blob.memory[0].exchange(given)
    assert np.shares_memory(had, first)
    assert np.shares_memory(blob.data, given)
    assert blob.data.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_those_who_share_the_values_see_the_exchanged_array() -> None:
    blob, other = Blob((4,)), Blob((2, 2))
    other.share_data(blob)
    other.data[...] = 7
    blob.memory[0].exchange(np.arange(4, dtype=np.float32))
    assert other.data.tolist() == [[0, 1], [2, 3]]


def test_an_array_that_was_lent_keeps_its_place() -> None:
    blob = Blob((3,))
    held = handed_out(blob).data
    given = np.arange(3, dtype=np.float32)
    assert blob.memory[0].exchange(given) is given
    assert held.tolist() == [0, 1, 2]
    del held
    assert blob.memory[0].exchange(given) is not given


def test_an_array_of_another_size_is_copied() -> None:
    blob = Blob((5,))
    blob.data[...] = 9
    blob.reshape(2)
    given = np.arange(2, dtype=np.float32)
    assert blob.memory[0].exchange(given) is given
    assert blob.data.tolist() == [0, 1]


def test_the_device_gets_what_was_exchanged() -> None:
    blob = Blob((2,), device=OtherSide())
    blob.data[...] = 1
    assert list(on_device(blob).data) == [1, 1]
    blob.memory[0].exchange(np.full(2, 5, np.float32))
    assert list(on_device(blob).data) == [5, 5]
