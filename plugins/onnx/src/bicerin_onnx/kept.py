"""A net that is as it was after other sizes have been tried on it, or other inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from bicerin.layer.blob import Blob


@contextmanager
def kept(nodes: Sequence[Any], values: bool = False) -> Iterator[None]:
    """Let layers and their blobs be as they were when the block is left.

    A blob that has grown meanwhile gets its old memory back, so that the arrays that somebody has are its own again,
    and a Split that is not among the layers still shares what it did.

    Args:
        nodes: their blobs keep shapes and memories, and the layers what they remember; a data layer's place does not
            count as that.
        values: keep a copy of the values too, since layers are going to run.
    """
    blobs = {id(blob.blob): blob.blob for node in nodes for blob in (*node.bottom, *node.top, *_own(node.layer))}
    before = [(blob, blob.shape, *blob.memory) for blob in blobs.values()]
    copies = _copies(list(blobs.values())) if values else []
    layers = [node.layer for node in nodes if node.bottom]
    states = [layer.state() for layer in layers]
    try:
        yield
    finally:
        for blob, shape, data, diff in before:
            blob.reshape(*shape)
            if blob.memory[0] is not data:
                blob.use_memory(data)
            if blob.memory[1] is not diff:
                blob.use_diff_memory(diff)
        for blob, array in copies:
            blob.data[...] = array
        for layer, state in zip(layers, states, strict=True):
            if state is not None and state != layer.state():
                layer.restore_state(state)


def _own(layer: Any) -> Iterator[Any]:
    """The blobs that a layer has beside bottoms and tops: learned ones and buffers, some of which it remembers."""
    for value in vars(layer).values() if layer is not None else ():
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if isinstance(getattr(one, "blob", None), Blob):
                yield one


def _copies(blobs: Sequence[Blob]) -> list[tuple[Blob, np.ndarray]]:
    """The values of each memory, with the largest of the blobs that share it."""
    largest: dict[int, Blob] = {}
    for blob in sorted(blobs, key=lambda blob: blob.count):
        largest[id(blob.memory[0])] = blob
    return [(blob, np.array(blob.read_only.data)) for blob in largest.values()]
