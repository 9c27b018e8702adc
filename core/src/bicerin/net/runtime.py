"""Runtime: something else that computes the layers of a net, such as ONNX Runtime. `Net(..., "TEST", runtime="NAME")`.

A package brings one with an entry point of the group `bicerin.runtimes`, named as users name it: a subclass of
`Runtime`, made without arguments. The net asks it for each layer whether it computes layers like that one. Those that
it does are put together into as few parts as the layers between them allow, and each part becomes one `Program`; the
other layers run as they do in any net.

    class Nothing(Runtime):
        name = "nothing"

        def refusal(self, node):
            return None if node.type == "Dropout" else "only Dropout is nothing"

        def compile(self, part, any_size):
            return Copy()

    class Copy(Program):
        def fits(self, bottom):
            return True

        def run(self, bottom, top):
            top[0].data[...] = bottom[0].read_only.data
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from bicerin.discovery.registry import Provider, Registry, require_class
from bicerin.errors import BrokenPluginError, UnknownNameError
from bicerin.layer.blob import Blob
from bicerin.net.node import Node

#: What is known to bring a runtime, with what it needs.
_KNOWN = {"onnxruntime": "bicerin-onnx[onnxruntime]", "openvino": "bicerin-onnx[openvino]"}


@dataclass(frozen=True)
class Part:
    """Layers that a runtime computes at once.

    Attributes:
        nodes: in the order in which they would run here. A Split layer, which nets insert, hands its bottom on.
        inputs: the names of the blobs that come from outside.
        outputs: the names of those that others read, as the last of the nodes that writes it leaves it. One may be
            among the inputs, where a layer works in place.
        threads: how many to use; None where the user has not said (`BICERIN_NUM_THREADS`).
        is_whole: whether nothing but layers of data, which only set blobs, runs beside it.
    """

    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    threads: int | None
    is_whole: bool

    def blob(self, name: str) -> Blob:
        """The blob of that name, which has the shape that it has in the net now."""
        for node in self.nodes:
            for names, blobs in ((node.bottom_names, node.bottom), (node.top_names, node.top)):
                if name in names:
                    return blobs[names.index(name)]
        raise KeyError(name)


class Program(ABC):
    """A part, compiled, with the weights that its layers had then."""

    @abstractmethod
    def fits(self, bottom: Sequence[Blob]) -> bool:
        """Whether it computes inputs of these shapes; if not, the part is compiled anew."""

    @abstractmethod
    def run(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Compute the part.

        Args:
            bottom: the inputs, to be read: `read_only.data`, float32 on the host.
            top: the outputs, to be written: `data`. They have their shapes, apart from sizes that depend on data: a top
                of another shape is to be reshaped first. One may be among the bottoms, or share its memory.
        """


class Runtime(ABC):
    """Computes parts of nets in phase TEST, on the host, in float32.

    Attributes:
        name: what users call it.

    Raises:
        BicerinError: when it is made, where what it needs is not installed; says what to install.
    """

    name: ClassVar[str]

    @abstractmethod
    def refusal(self, node: Node) -> str | None:
        """Why a layer cannot run there, in a sentence that a user reads; None where it can.

        It is asked once, when the net is built; the layer is set up and has its shapes. Layers that make data, and
        losses, are not asked for.
        """

    @abstractmethod
    def compile(self, part: Part, any_size: bool) -> Program:
        """Compile a part, with the weights that its layers have now.

        Args:
            any_size: whether inputs of other sizes than the present ones have come, so that it is worth more if the
                program takes many sizes than if it is fast at one.
        """


def _check(provider: Provider, target: Any) -> None:
    require_class(provider, target, Runtime, f"{Runtime.__module__}.{Runtime.__qualname__}")


runtimes = Registry("bicerin.runtimes", "runtime", _KNOWN.get, _check)


def get_runtime(spec: str | Runtime) -> Runtime:
    """The runtime of that name, or a `Runtime` as it is.

    Raises:
        UnknownNameError: no installed distribution brings it; lists those that are there, and what can be installed.
        BrokenPluginError: it is no `Runtime`, or has no name.
        BicerinError: it is there, and what it needs is not.
    """
    if isinstance(spec, Runtime):
        return _named(spec, f"{type(spec).__module__}.{type(spec).__qualname__}")
    if not isinstance(spec, str) or spec not in runtimes:
        raise UnknownNameError(_unknown(spec))
    provider = runtimes.provider(spec)
    return _named(runtimes.loaded(provider)(), str(provider))


def _named(runtime: Runtime, origin: str) -> Runtime:
    """The runtime, if it has a name: steps, tables and errors show it."""
    name = getattr(runtime, "name", None)
    if not isinstance(name, str) or not name:
        has = "no name" if name is None else f"the name {name!r}, which is not a text"
        raise BrokenPluginError(
            f'the runtime {origin} has {has}: give its class an attribute such as name = "mine", what users call it.'
        )
    return runtime


def _unknown(spec: Any) -> str:
    from bicerin_proto.hints import did_you_mean

    named = f'"{spec}"' if isinstance(spec, str) else repr(spec)
    there = [f"{name} (of {found[0].distribution})" for name, found in runtimes.providers().items()]
    close = did_you_mean(spec, runtimes.providers(), most=3) if isinstance(spec, str) else ""
    others = [f'"{name}": pip install "{package}"' for name, package in _KNOWN.items() if name not in runtimes]
    return " ".join(
        filter(
            None,
            [
                f"unknown runtime {named}.",
                close,
                f"Installed: {', '.join(there) or 'none'}.",
                f"To have {'; '.join(others)}." if others else "",
            ],
        )
    )
