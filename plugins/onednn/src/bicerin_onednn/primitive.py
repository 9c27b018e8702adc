"""Primitives: things that oneDNN computes at given shapes and layouts."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from bicerin.kernels.recording import Call, recording
from bicerin_onednn import library as dnn
from bicerin_onednn.library import ExecArg, library


class Primitive:
    """What the library runs.

    Args:
        descriptor: the primitive's, which is let go of.
        arguments: the library's number of each argument -> the descriptor of its memory.
    """

    def __init__(self, descriptor: int, arguments: Mapping[int, int]) -> None:
        dll = library()
        self.implementation = dll.implementation(descriptor)
        self._handle = dll.make("primitive_create", descriptor)
        dll.call("primitive_desc_destroy", descriptor)
        self._kinds = dict(arguments)
        self._memories = [dll.make("memory_create", memory, dll.engine, None) for memory in arguments.values()]
        self._addresses = [0] * len(self._memories)
        self._arguments = _arguments(arguments, self._memories)
        self._number, self._stream = len(self._memories), dll.stream
        self._execute, self._set_address = dll.execute, dll.set_address
        weakref.finalize(self, _free, dll, self._handle, self._memories)

    def run(self, *addresses: int) -> None:
        """Compute, from and to the memory at these addresses, in the order of the arguments.

        Raises:
            OneDNNError: the library says that it failed.
        """
        known = self._addresses
        for index, address in enumerate(addresses):
            if known[index] != address:
                known[index] = address
                self._set_address(self._memories[index], address)
        status = self._execute(self._handle, self._stream, self._number, self._arguments)
        if recording.calls is not None:
            recording.calls.append(self._bound(addresses))
        if status:
            raise dnn.OneDNNError(f"oneDNN {library().version} fails with status {status} ({self.implementation}).")

    def _bound(self, addresses: Sequence[int]) -> Call:
        """A call with memories of its own: others may run the primitive at other addresses meanwhile."""
        dll = library()
        pairs = zip(self._kinds.values(), addresses, strict=True)
        memories = [dll.make("memory_create", kind, dll.engine, address) for kind, address in pairs]
        call = _Bound(self._execute, self._handle, self._stream, self._number, _arguments(self._kinds, memories))
        call.primitive = self
        weakref.finalize(call, _free, dll, None, memories)
        return call


class _Bound(partial[int]):
    """A call of the library's, which keeps its primitive alive."""

    primitive: Primitive


def _arguments(kinds: Iterable[int], memories: Sequence[int]) -> Any:
    return (ExecArg * len(memories))(*(ExecArg(*pair) for pair in zip(kinds, memories, strict=True)))


def _free(dll: dnn.Library, primitive: int | None, memories: list[int]) -> None:
    for memory in memories:
        dll.call("memory_destroy", memory)
    if primitive is not None:
        dll.call("primitive_destroy", primitive)
