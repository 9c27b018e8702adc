"""Primitives: things that oneDNN computes at given shapes and layouts."""

from __future__ import annotations

import weakref
from collections.abc import Mapping

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
        self._memories = [dll.make("memory_create", memory, dll.engine, None) for memory in arguments.values()]
        self._addresses = [0] * len(self._memories)
        pairs = zip(arguments, self._memories, strict=True)
        self._arguments = (ExecArg * len(self._memories))(*(ExecArg(*pair) for pair in pairs))
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
        if status:
            raise dnn.OneDNNError(f"oneDNN {library().version} fails with status {status} ({self.implementation}).")


def _free(dll: dnn.Library, primitive: int, memories: list[int]) -> None:
    for memory in memories:
        dll.call("memory_destroy", memory)
    dll.call("primitive_destroy", primitive)
