"""Whether a communicator does what `bicerin.parallel.Communicator` says: a check that every rank of a run calls."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bicerin.parallel.communicator import Communicator


def check_communicator(communicator: Communicator) -> None:
    """Use everything that a communicator has, and compare; called on all ranks at once.

    Raises:
        AssertionError: says what is wrong.
    """
    rank, size = communicator.rank, communicator.size
    assert 0 <= rank < size, f"rank {rank} of {size}"
    assert 0 <= communicator.local_rank < communicator.local_size <= size, "local_rank and local_size"
    for dtype in (np.float64, np.float32, np.float16):
        for root in (0, size - 1):
            array = np.arange(5, dtype=dtype) + rank
            communicator.broadcast(array, root)
            _equal(array, np.arange(5) + root, f"broadcast of {np.dtype(dtype)} from rank {root}")
        array = np.arange(4, dtype=dtype) * (rank + 1)
        communicator.all_reduce(array)
        _equal(array, np.arange(4) * (size * (size + 1) // 2), f"the sum of {np.dtype(dtype)}")
    # Several at once, of different sizes, as the buckets of gradients are.
    arrays = [np.full(count, rank + count, np.float32) for count in (1, 3000, 70_000, 2)]
    started = [communicator.start_all_reduce(array) for array in arrays]
    for array, pending in reversed(list(zip(arrays, started, strict=True))):
        pending.wait()
        _equal(array, size * array.size + size * (size - 1) // 2, f"one of several sums, of {array.size} elements")
    _check_repeats(communicator)
    own = bytes([rank]) * rank
    everyones = [bytes([other]) * other for other in range(size)]
    for root in (0, size - 1):
        found = communicator.gather(own, root)
        assert found == (everyones if rank == root else []), f"gather to rank {root}: {found!r}"
        assert communicator.share(own, root) == everyones[root], f"share from rank {root}"
    assert communicator.all_gather(own) == everyones, "all_gather"
    if communicator.can_message:
        _check_messages(communicator)


def _check_repeats(communicator: Communicator) -> None:
    """Sums whose rounding depends on their order are the same on all ranks, and when they are made again."""
    random = np.random.default_rng(communicator.rank)
    values = random.normal(size=1001).astype(np.float32) * 10.0 ** random.integers(-3, 4, 1001).astype(np.float32)
    first, again = values.copy(), values.copy()
    communicator.all_reduce(first)
    communicator.all_reduce(again)
    assert first.tobytes() == again.tobytes(), "a sum that is made twice is not the same"
    assert len(set(communicator.all_gather(first.tobytes()))) == 1, "a sum is not the same on all ranks"


def _check_messages(communicator: Communicator) -> None:
    rank, size = communicator.rank, communicator.size
    for other in range(size):
        if other != rank:
            communicator.send(other, f"from {rank}".encode())
    found: dict[int, bytes] = {}
    until = time.monotonic() + 30
    while len(found) < size - 1 and time.monotonic() < until:
        message = communicator.receive()
        if message is None:
            time.sleep(0.001)
        else:
            found[message[0]] = message[1]
    expected = {other: f"from {other}".encode() for other in range(size) if other != rank}
    assert found == expected, f"messages: {found!r}"
    communicator.all_gather(b"")
    assert communicator.receive() is None, "a message that nobody has sent"


def _equal(array: np.ndarray, expected: Any, what: str) -> None:
    assert (array == expected).all(), f"{what}: {array!r} instead of {expected!r}"
