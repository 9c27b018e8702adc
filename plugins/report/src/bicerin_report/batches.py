"""Where images come from: each function runs a net over them, and yields how many samples it has just run on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin.net import Net
from bicerin.net.arrays_file import read_arrays
from bicerin_proto.quotation import printable

Batches = Iterator[int]


def from_data_layers(net: Net, samples: int) -> Batches:
    """The net's own data, pass by pass: so many samples, or, where they come in one order over and over, each once."""
    first: list[bytes] = []
    done = 0
    while done < samples:
        net.run_forward()
        batch = _batch(net)
        marks = _marks(net, batch)
        first = first or marks
        again = _first_again(marks, first, 0 if done else 1)
        if again is not None:
            if again:  # else all of this batch has been there before
                yield min(again, samples - done)
            return
        yield min(batch, samples - done)
        done += max(1, batch)


def _first_again(marks: list[bytes], first: list[bytes], start: int) -> int | None:
    """The place from which on the first samples come once more; None where they do not."""
    places = range(start, len(marks))
    return next((place for place in places if marks[place:] == first[: len(marks) - place]), None)


def _marks(net: Net, batch: int) -> list[bytes]:
    """What tells one sample of the batch from another: a digest of all that the net's sources have of it."""
    blobs = [
        blob for node in net.nodes if not node.bottom for blob in node.top if blob.shape and blob.shape[0] == batch
    ]
    arrays = [np.ascontiguousarray(blob.read_only.data) for blob in blobs]
    return [hashlib.blake2b(b"".join(array[row].tobytes() for array in arrays)).digest() for row in range(batch)]


def from_arrays(net: Net, path: str, samples: int, batch: int = 32) -> Batches:
    """The arrays of an .npz, one for each input, by their names.

    Raises:
        DataError: the file cannot be read, or its arrays are not those of the inputs, of one length.
    """
    arrays = read_arrays(path)
    missing = [name for name in net.inputs if name not in arrays]
    lengths = {len(array) for array in arrays.values() if array.ndim}
    if missing or len(lengths) != 1:
        has = ", ".join(f"{name} {array.shape}" for name, array in arrays.items()) or "none"
        raise DataError(
            f"{printable(path)}: it should have an array for each of the inputs ({', '.join(net.inputs)}), of one "
            f"length; it has {has}."
        )
    total = min(samples, lengths.pop())
    for first in range(0, total, batch):
        net.forward({name: array[first : min(total, first + batch)] for name, array in arrays.items()})
        yield min(batch, total - first)


def from_files(net: Net, preprocess: Any, input: str, files: Sequence[str], batch: int = 16) -> Batches:
    """Image files, prepared as a `bicerin_data.Preprocessor` does."""
    for first in range(0, len(files), batch):
        some = list(files[first : first + batch])
        net.forward({input: preprocess(some)})
        yield len(some)


def _batch(net: Net) -> int:
    return next(
        (int(node.top[0].shape[0]) for node in net.nodes if not node.bottom and node.top and node.top[0].shape), 0
    )
