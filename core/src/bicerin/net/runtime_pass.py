"""The forward pass of a net that a runtime computes as far as it can: its layers, cut into parts.

The cut follows what layers read, not the order in the file: a loss half-way down, or a Python layer in a side branch,
does not split what is beside it. Layers that run here keep their order among each other, since they may do more than
write their tops.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bicerin.device.memory import changes, moves
from bicerin.errors import NetError
from bicerin.kernels import num_threads
from bicerin.layer.blob import Blob
from bicerin.layer.input import InputLayer
from bicerin.layer.loss_layer import LossLayer
from bicerin.net.node import Node
from bicerin.net.overwritten import overwritten_views
from bicerin.net.runtime import Part, Program, Runtime

_log = logging.getLogger("bicerin.net")

_LOSS = "it is a loss, which is summed up here"
#: How many programs a part has at most, for inputs of other sizes: the one that was used last stays longest.
MOST_PROGRAMS = 4


@dataclass(frozen=True)
class Step:
    """Layers of a forward pass that run one after the other here, or at once in a runtime.

    Attributes:
        nodes: in the order in which they run.
        runtime: the name of what computes them; None for the core.
        forward: runs them; returns the sum of their weighted losses.
    """

    nodes: tuple[Node, ...]
    runtime: str | None
    forward: Callable[[], float]


class RuntimePass:
    """A whole forward pass.

    Args:
        nodes: the net's.
        runtime: what computes those that it can.
        wanted: the names of the blobs that must have values afterwards, besides those that layers here read or write.

    Attributes:
        steps: in the order in which they run.
        refusals: the names of layers with bottoms that run here -> why.
    """

    def __init__(self, nodes: Sequence[Node], runtime: Runtime, wanted: Collection[str]) -> None:
        self.runtime = runtime
        self.refusals: dict[str, str] = {}
        there = self._choose(nodes)
        self._parts: list[_RunningPart] = []
        self.steps: list[Step] = []
        #: Of those that have something to do.
        self._forward: list[Callable[[], float]] = []
        groups = _cut(nodes, there)
        alone = not self.refusals
        for group in groups:
            members = tuple(nodes[index] for index in group)
            part = None
            if there[group[0]]:
                part = _part(members, [node for node in nodes if node not in members], wanted, alone)
            # What makes nothing that anybody reads, such as Silence alone, is no program either.
            if part is not None and part.outputs:
                running = _RunningPart(part, runtime)
                self._parts.append(running)
                self._add(Step(members, runtime.name, running.forward))
            else:
                self._add(
                    Step(members, None, _Here(members)), any(type(node.layer) is not InputLayer for node in members)
                )
        self._say()

    def _add(self, step: Step, does_something: bool = True) -> None:
        self.steps.append(step)
        if does_something:
            self._forward.append(step.forward)

    def _choose(self, nodes: Sequence[Node]) -> list[bool]:
        """Of each layer, whether the runtime computes it."""
        there: list[bool] = []
        makers: dict[str, int] = {}
        seen_elsewhere = overwritten_views(nodes)
        for index, node in enumerate(nodes):
            if node.type == "Split":  # it is where its bottom is made
                maker = makers[node.bottom_names[0]]
                if node.is_loss and there[maker]:
                    self.refusals[nodes[maker].name] = _LOSS
                    there[maker] = False
                there.append(there[maker])
            elif node.is_loss or isinstance(node.layer, LossLayer):
                self.refusals[node.name] = _LOSS
                there.append(False)
            elif index in seen_elsewhere:
                self.refusals[node.name] = seen_elsewhere[index]
                there.append(False)
            elif node.type == "Input":
                there.append(False)
            else:
                refusal = self.runtime.refusal(node)
                if refusal is not None and node.bottom:
                    self.refusals[node.name] = refusal
                there.append(refusal is None)
            makers.update(dict.fromkeys(node.top_names, index))
        return there

    def _say(self) -> None:
        if not self._parts:
            reasons = "; ".join(f'"{name}": {why}' for name, why in list(self.refusals.items())[:3])
            _log.warning("no layer of the net runs in %s: all of it runs here. %s", self.runtime.name, reasons)
            return
        for name, why in self.refusals.items():
            _log.info('layer "%s" runs here, not in %s: %s', name, self.runtime.name, why)

    def values(self) -> set[int]:
        """The ids of the blobs that have values after a pass."""
        found: set[int] = set()
        for step in self.steps:
            if step.runtime is None:
                found.update(id(blob) for node in step.nodes for blob in (*node.bottom, *node.top))
        for part in self._parts:
            found.update(id(blob) for blob in (*part.bottom, *part.top))
            found -= part.overwritten
            for node in part.part.nodes:
                if node.type == "Split" and id(node.bottom[0]) in found:
                    found.update(id(blob) for blob in node.top)
        return found

    def forward(self) -> float:
        """Run all steps; returns the weighted loss."""
        loss = 0.0
        for forward in self._forward:
            loss += forward()
        return loss

    def close(self) -> None:
        """Let go of the programs; a later pass compiles them anew."""
        for part in self._parts:
            part.forget()


class _Here:
    """Layers that run one after the other; Input layers have nothing to do."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = [node for node in nodes if type(node.layer) is not InputLayer]

    def __call__(self) -> float:
        loss = 0.0
        if self._nodes:
            with np.errstate(all="ignore"):
                for node in self._nodes:
                    loss += node.forward()
        return loss


class _RunningPart:
    """A part with its programs, which are made when they are needed: for other sizes, and for other weights.

    Attributes:
        bottom, top: the blobs of its inputs and outputs.
    """

    def __init__(self, part: Part, runtime: Runtime) -> None:
        self.part = part
        self._runtime = runtime
        self.bottom = [part.blob(name) for name in part.inputs]
        self.top = [part.blob(name) for name in part.outputs]
        #: The one that runs is the last.
        self._programs: list[_Compiled] = []
        self._weights = _Weights([blob for node in part.nodes for blob in node.blobs])
        #: The shapes of the inputs and of the outputs when it last ran.
        self._shapes: list[tuple[int, ...]] = []
        self._blobs = [*self.bottom, *self.top]
        #: The ids of blobs that its layers write, in the net, and of which the program hands nothing back.
        self.overwritten = {id(blob) for node in part.nodes if node.type != "Split" for blob in node.top} - {
            id(blob) for blob in self.top
        }
        #: `changes.number` when no layer was a loss.
        self._without_losses: int | None = None
        self._here = _Here(part.nodes)
        self._splits = [node for node in part.nodes if node.type == "Split" and node.bottom[0] in self.top]
        #: `moves.number` and `changes.number` when nothing was left to look at before the next run.
        self._settled = (-1, -1)

    def forward(self) -> float:
        if self._settled == (moves.number, changes.number):
            self._programs[-1].program.run(self.bottom, self.top)
            return 0.0
        if self._without_losses != changes.number:
            self._refuse_losses()
            self._without_losses = changes.number
        reshaped = [blob.shape for blob in self._blobs] != self._shapes
        if reshaped:
            for node in self.part.nodes:
                node.reshape()
        if self._weights.changed():
            self.forget()
        if not all(blob.count for blob in self.bottom):
            self._shapes = [blob.shape for blob in self._blobs]
            return self._here()
        if reshaped or not self._programs:
            self._choose()
        given = [blob.shape for blob in self._blobs]
        try:
            self._programs[-1].program.run(self.bottom, self.top)
        except NetError:
            if not self._programs[-1].any_size:
                raise
            # A runtime may find only now that it cannot compute these sizes with those of the program open.
            self._programs.pop()
            self._compile(any_size=False)
            self._programs[-1].program.run(self.bottom, self.top)
        left = [blob.shape for blob in self._blobs]
        if left != given:  # as long as the data says
            for node in self._splits:
                node.reshape()
        self._shapes = left
        if left == given and self._weights.are_known:
            self._settled = moves.number, changes.number
        return 0.0

    def _refuse_losses(self) -> None:
        for node in self.part.nodes:
            if node.is_loss:
                raise NetError(
                    f'layer "{node.name}" became a loss after the net was built, and {self._runtime.name} does not '
                    "compute losses: give its loss_weight in the net's file."
                )

    def forget(self) -> None:
        self._programs.clear()
        self._settled = (-1, -1)

    def _choose(self) -> None:
        """Take the program for these inputs: one for their sizes alone, if there is one."""
        fitting = [one for one in self._programs if one.program.fits(self.bottom)]
        if fitting:
            found = min(fitting, key=lambda one: one.any_size)
            self._programs.remove(found)
            self._programs.append(found)
        else:
            self._compile(any_size=bool(self._programs))

    def _compile(self, any_size: bool) -> None:
        self._weights.note()
        try:
            found = _Compiled(self._runtime.compile(self.part, any_size), any_size)
        except NetError:
            if not any_size:
                raise
            found = _Compiled(self._runtime.compile(self.part, any_size=False), any_size=False)
        del self._programs[: 1 - MOST_PROGRAMS]
        self._programs.append(found)


class _Compiled(NamedTuple):
    program: Program
    any_size: bool


class _Weights:
    """Learned blobs, of which it is noticed when one is written."""

    def __init__(self, blobs: Sequence[Blob]) -> None:
        self._blobs = [_Weight(blob) for blob in blobs]
        #: `changes.number` when all of them had versions, and those that were noted.
        self._looked: int | None = None

    @property
    def are_known(self) -> bool:
        """Whether they are as they were noted, and nobody can write one without a change of `changes.number`."""
        return self._looked == changes.number

    def note(self) -> None:
        """Remember the values as they are."""
        self._looked = None
        for weight in self._blobs:
            weight.note()

    def changed(self) -> bool:
        """Whether there are others than were noted. They are looked at only where somebody may have written them."""
        looked = changes.number
        if self._looked == looked:
            return False
        if any(weight.changed() for weight in self._blobs):
            return True
        self._looked = looked if all(weight.is_noted for weight in self._blobs) else None
        return False


class _Weight:
    """One of them."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob
        blob.keep_versions()
        self._version: int | None = None
        self._digest = b""

    def note(self) -> None:
        self._version = self._blob.data_version
        self._digest = self._digested()

    @property
    def is_noted(self) -> bool:
        """Whether nobody can write it unnoticed; as of the last look."""
        return self._version is not None

    def changed(self) -> bool:
        version = self._blob.data_version
        if version is not None and version == self._version:
            return False
        if self._digested() != self._digest:
            return True
        self._version = version
        return False

    def _digested(self) -> bytes:
        array: Any = np.ascontiguousarray(self._blob.read_only.data)
        return hashlib.blake2b(array, digest_size=16).digest()


def _cut(nodes: Sequence[Node], there: Sequence[bool]) -> list[list[int]]:
    """Places of nodes, put together by where they run, in an order in which they can run."""
    depends = _dependencies(nodes)
    sources: list[int] = []
    for index, node in enumerate(nodes):
        # Nothing has to run before them, nor before what hands on to several layers what they make.
        if not there[index] and (not node.bottom or (node.type == "Split" and depends[index] <= set(sources))):
            sources.append(index)
    groups = [sources] if sources else []
    done = set(sources)
    while len(done) < len(nodes):
        for side in (True, False):
            group = []
            for index in range(len(nodes)):
                if index in done or there[index] is not side:
                    continue
                if depends[index] <= done:
                    group.append(index)
                    done.add(index)
                elif not side:
                    break
            if group:
                groups.append(group)
    return groups


def _dependencies(nodes: Sequence[Node]) -> list[set[int]]:
    """Of each node, those that must have run: who made its bottoms, and who touched what it works on in place."""
    depends: list[set[int]] = []
    makers: dict[int, int] = {}
    touched: dict[int, list[int]] = {}
    written: dict[int, int] = {}
    for index, node in enumerate(nodes):
        own = {makers[id(blob)] for blob in node.bottom if id(blob) in makers}
        memories = {id(blob.memory[0]) for blob in (*node.bottom, *node.top)}
        own |= {written[memory] for memory in memories if memory in written}
        for blob in node.top if node.works_in_place else ():
            memory = id(blob.memory[0])
            own |= set(touched.get(memory, ()))
            written[memory] = index
        for memory in memories:
            touched.setdefault(memory, []).append(index)
        makers.update((id(blob), index) for blob in node.top)
        depends.append(own)
    return depends


def _part(nodes: tuple[Node, ...], others: Iterable[Node], wanted: Collection[str], alone: bool) -> Part:
    handed_on: dict[str, str] = {}
    made: dict[str, None] = {}
    inputs: dict[str, None] = {}
    for node in nodes:
        inputs.update(dict.fromkeys(name for name in node.bottom_names if name not in made))
        if node.type == "Split":
            bottom = node.bottom_names[0]
            handed_on.update(dict.fromkeys(node.top_names, handed_on.get(bottom, bottom)))
        made.update(dict.fromkeys(node.top_names))
    read = {name for node in others for name in node.bottom_names} | set(wanted)
    outputs = dict.fromkeys(handed_on.get(name, name) for name in made if name in read)
    said = os.environ.get("BICERIN_NUM_THREADS", "")
    return Part(nodes, tuple(inputs), tuple(outputs), num_threads() if said else None, alone)
