"""What runtimes of ONNX models have in common: a part of a net becomes a model, which is bound to the net's blobs."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from logging import getLogger
from operator import is_
from typing import Any

import numpy as np

from bicerin.device.memory import Memory, State, moves
from bicerin.errors import BicerinError, LayerError, NetError
from bicerin.layer.blob import Blob
from bicerin.net.node import Node
from bicerin.net.runtime import Part, Program, Runtime
from bicerin_onnx.graph import Graph, Value
from bicerin_onnx.hooks import hooks
from bicerin_onnx.layer_graph import LayerGraph
from bicerin_onnx.part_model import OPSET, PartModel
from bicerin_onnx.tracing import no_values
from bicerin_proto.quotation import printable

_log = getLogger("bicerin.onnx")


class OnnxRuntime(Runtime):
    """Abstract. A subclass says how a model is loaded."""

    #: Its name as its makers write it.
    title: str
    #: What it raises of its own; set when it is made.
    errors: tuple[type[Exception], ...]

    @abstractmethod
    def load(self, model: PartModel, part: Part) -> Program:
        """The program of a model.

        Raises:
            errors: where it refuses the model.
        """

    def refusal(self, node: Node) -> str | None:
        """Why a layer has no model: nobody says what it is in ONNX, or an option has no counterpart there."""
        try:
            hook = hooks.of(node.layer)
        except BicerinError as error:
            return str(error)
        if hook is None:
            return f'nobody says what a layer of type "{node.type}" is in ONNX'
        graph = Graph()
        bottoms = [Value(name, blob.shape) for name, blob in zip(node.bottom_names, node.bottom, strict=True)]
        place = LayerGraph(graph, node.layer, bottoms, [blob.shape for blob in node.top], OPSET)
        place.remembers = True
        try:
            made = hook(place, node.layer)
        except LayerError as error:
            return error.reason
        except Exception as error:
            return f"the function that exports it raised {type(error).__name__}: {printable(error)}"
        if made is None:
            return "it is not part of a model"
        wrong = no_values(made)
        return f"the function that exports it {wrong}" if wrong else self.lacks(graph)

    def lacks(self, graph: Graph) -> str | None:
        """Why the runtime cannot run the operations of a layer, where that is known beforehand."""
        return None

    def compile(self, part: Part, any_size: bool) -> Program:
        began = time.perf_counter()
        model = PartModel(part, any_size)
        try:
            program = self.load(model, part)
        except BicerinError:
            raise
        except self.errors as error:
            raise NetError(
                f'{self.title} refuses the layers "{part.nodes[0].name}" to "{part.nodes[-1].name}": {error}'
            ) from error
        _log.info(
            '%s compiled the layers "%s" to "%s"%s in %.1f s',
            self.title,
            part.nodes[0].name,
            part.nodes[-1].name,
            " for inputs of other sizes" if any_size else "",
            time.perf_counter() - began,
        )
        return program


class OnnxProgram(Program):
    """Abstract: a model that is loaded. A subclass binds arrays, and runs.

    Args:
        model: it.
        runtime: that it is loaded in.
    """

    def __init__(self, model: PartModel, runtime: OnnxRuntime) -> None:
        self.model = model
        self._runtime = runtime
        #: Whose blobs are bound, what is read and written at each run, and the arrays.
        self._given: tuple[Sequence[Blob], Sequence[Blob]] | None = None
        self._read: list[Any] = []
        self._written: list[Blob] = []
        self._bound: list[np.ndarray] = []
        #: The memories of what is read and written, and `moves.number` when their arrays were bound.
        self._memories: list[Memory] = []
        self._moves = -1
        #: The tops whose sizes depend on data.
        self._varying_tops: list[Blob] = []
        #: Arrays that are copied after a run: made -> where they belong.
        self._copied: list[tuple[np.ndarray, np.ndarray]] = []

    def fits(self, bottom: Sequence[Blob]) -> bool:
        return self.model.fits(bottom)

    def run(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._given is None or self._given[0] is not bottom or self._given[1] is not top:
            self._take(bottom, top)
        try:
            if self._moves != moves.number or not self._are_in_rows():
                self._look()
            made = self.execute()
        except self._runtime.errors as error:
            self._given = None
            raise NetError(f"{self._runtime.title} cannot run the net: {error}") from error
        for array, target in self._copied:
            target[...] = array
        for blob, array in zip(self._varying_tops, made, strict=True):
            blob.reshape(*array.shape)
            blob.data[...] = array

    def _are_in_rows(self) -> bool:
        """Whether what is read is nowhere else than in the arrays that were bound, nor is it where it is written."""
        return all(memory.state is State.HOST for memory in self._memories)

    def _look(self) -> None:
        """Bind the arrays of what is read and written, unless they are bound."""
        arrays = [view.data for view in self._read]
        arrays += [blob.data for blob in self._written]
        if not self._bound or not all(map(is_, arrays, self._bound)):
            self._bind(arrays[: len(self._read)], arrays[len(self._read) :])
            self._bound = arrays
        self._memories = [view.blob.memory[0] for view in (*self._read, *self._written)]
        self._moves = moves.number

    def _take(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Find the blobs that are read and written at each run; nothing is bound yet."""
        model = self.model
        memories = [memory.blob for memory in model.memories]
        varies = list(zip(top, model.varies, strict=True))
        self._read = [blob.read_only for blob in (*(bottom[place] for place in model.inputs), *memories)]
        self._written = [*(blob for blob, varying in varies if not varying), *memories]
        self._varying_tops = [blob for blob, varying in varies if varying]
        self._bound = []
        self._moves = -1
        self._given = bottom, top

    def _bind(self, given: Sequence[np.ndarray], fixed: Sequence[np.ndarray]) -> None:
        """Bind inputs and outputs of fixed sizes. What others of them share is written apart, and copied afterwards."""
        self._copied = []
        outputs: list[np.ndarray] = []
        for index, array in enumerate(fixed):
            others = [*given, *fixed[:index], *fixed[index + 1 :]]
            if any(np.may_share_memory(array, other) for other in others):
                own = np.empty_like(array)
                self._copied.append((own, array))
                outputs.append(own)
            else:
                outputs.append(array)
        self.bind([np.asarray(array, order="C") for array in given], outputs)

    @abstractmethod
    def bind(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Let the model read and write these arrays from now on: its inputs, and its outputs of fixed sizes."""

    @abstractmethod
    def execute(self) -> Sequence[Any]:
        """Run the model; the arrays of the outputs whose sizes depend on data."""
