"""A net's outline: the shapes, parameters and cost of its layers, found without running it.

Layers are set up one after the other, as a net does it, but nothing is filled and no data is needed. What cannot be
told is said, with the reason, and the rest goes on: a layer whose bottom has no known shape is left out, and so are
those above it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, MissingDataError, NetError, PluginError
from bicerin.layer.abilities import TellsShapes, multiply_adds
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.phase import Phase
from bicerin.net.builder import Builder
from bicerin.net.hooks import warnings_of
from bicerin.net.node import Node
from bicerin.net.parameters import Parameters
from bicerin.net.rules import included, left_out, net_state
from bicerin.net.weights import LoadReport, compare_weights, repeated_names
from bicerin_proto.quotation import message_text, printable

Shape = tuple[int, ...]

#: float32, as a net is run unless it is asked for something else.
_DTYPE = np.dtype(np.float32)


@dataclass
class LayerOutline:
    """What is known of a layer.

    Attributes:
        location: "file:line".
        bottom, top: the names of its blobs, without automatic tops.
        bottom_shapes, top_shapes: their shapes; None for one that is not known.
        parameters: the shapes of its learnable blobs.
        parameter_count: the elements of those that no layer before it shares.
        multiply_adds: of one forward pass.
        memory: bytes of the tops that it does not share with a bottom, without gradients.
        assumed: whether shapes were assumed or given, since the data is not there.
        note: why something is not known or was assumed.
        error: what is wrong with it.
    """

    name: str
    type: str
    location: str
    bottom: list[str]
    top: list[str]
    bottom_shapes: list[Shape | None] = field(default_factory=list)
    top_shapes: list[Shape | None] = field(default_factory=list)
    parameters: list[Shape] = field(default_factory=list)
    parameter_count: int = 0
    multiply_adds: int = 0
    memory: int = 0
    assumed: bool = False
    note: str = ""
    error: str = ""

    @property
    def is_known(self) -> bool:
        return None not in self.top_shapes


@dataclass
class NetOutline:
    """What is known of a net in one phase."""

    name: str
    phase: str
    layers: list[LayerOutline]
    #: The layers that could be set up, and who owns their learnable blobs.
    nodes: list[Node] = field(default_factory=list, repr=False)
    learnable: Parameters = field(default_factory=Parameters, repr=False)
    #: Whether a layer reads what only a layer makes that is not in this phase: the net is not meant for it.
    cut_off: bool = False
    #: What is wrong with the file as a whole.
    problems: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        return [*self.problems, *(layer.error for layer in self.layers if layer.error)]

    @property
    def is_known(self) -> bool:
        """Whether every shape is."""
        return all(layer.is_known for layer in self.layers)

    @property
    def warnings(self) -> list[str]:
        """What a net would warn of when it is made."""
        found = [*repeated_names(self.nodes), *(warnings_of([node.param for node in self.nodes]) if self.nodes else ())]
        return [message_text(text) for text in found]

    def compare_weights(self, source: Any) -> tuple[LoadReport, list[str]]:
        """What loading the weights of a file would do, and what does not fit; see `load_weights`."""
        return compare_weights(self.nodes, lambda blob: self.learnable.of_blob[id(blob)].blob is blob, source)

    def total(self, what: str) -> int:
        """The sum over the layers of `parameter_count`, `multiply_adds` or `memory`."""
        return sum(getattr(layer, what) for layer in self.layers)


def outline(
    document: Any,
    phase: Any = None,
    *,
    level: int | None = None,
    stages: Sequence[str] | None = None,
    given: Mapping[str, Shape] | None = None,
    layer_providers: Mapping[str, str] | None = None,
    without: Collection[str] = (),
) -> NetOutline:
    """The outline of a net.

    Args:
        document: what `bicerin_proto.read_net` returned.
        phase, level, stages: the net's state, as for a `Net`.
        given: shapes of blobs, for inputs and for what data layers and layers that nobody has would make. An axis of
            -1 is what the layer itself knows of it, such as a data layer's batch size.
        layer_providers: layer type -> distribution.
        without: types of layers that are not made, such as Python, which would run what a file names.
    """
    return _Outliner(document, given or {}, layer_providers, without).run(phase, level, stages)


class _Outliner:
    def __init__(
        self,
        document: Any,
        given: Mapping[str, Shape],
        layer_providers: Mapping[str, str] | None,
        without: Collection[str],
    ) -> None:
        self.document = document
        self.without = without
        self.given = given
        self.layer_providers = layer_providers
        #: What layers told of their tops without data, axes that they do not know as None.
        self.told: dict[tuple[str, int], Sequence[int | None] | None] = {}

    def run(self, phase: Any, level: int | None, stages: Sequence[str] | None) -> NetOutline:
        param = type(self.document.message)()
        param.CopyFrom(self.document.message)
        state = net_state(param, phase, level, stages)
        context = Context(
            Phase(state.phase),
            dtype=_DTYPE,
            directory=self.document.path.parent if self.document.path is not None else None,
            net_name=param.name,
            shapes_only=True,
        )
        self.builder = Builder(context, self.layer_providers)
        locations = [self.document.location(index) for index in range(len(param.layer))]
        self.builder.left_out = left_out(param, state, locations)
        for index, definition in reversed(list(enumerate(param.layer))):
            with suppress(NetError):  # which the layer's row says
                if included(definition, state, locations[index]):
                    self.builder.makers |= dict.fromkeys(definition.top, definition.name)
        rows = []
        for index, definition in enumerate(param.layer):
            location = locations[index]
            try:
                if not included(definition, state, location):
                    continue
            except NetError as error:
                rows.append(LayerOutline(definition.name, definition.type, location, [], [], error=str(error)))
                continue
            rows.append(self._layer(definition, location))
        blobs, nodes, learnable = self.builder.blobs, self.builder.nodes, self.builder.parameters
        cut_off = any(name in self.builder.left_out and name not in blobs for row in rows for name in row.bottom)
        problems = [] if param.layer else [f"{self.document.name}: the net has no layers"]
        return NetOutline(param.name, Phase(state.phase).name, rows, nodes, learnable, cut_off, problems)

    def _layer(self, definition: Any, location: str) -> LayerOutline:
        row = LayerOutline(definition.name, definition.type, location, list(definition.bottom), list(definition.top))
        blobs = self.builder.blobs
        for name in row.bottom:
            if name not in blobs and self._is_given(name):
                blobs[name] = Blob(self.given[name], _DTYPE, name=name)
        row.bottom_shapes = [self._shape(name) for name in row.bottom]
        known = self._tops_of(row, definition)
        for position, name in enumerate(row.top):
            if known[position] is None and name in self.given:
                known[position] = self._given(row, name, position)
            if name not in row.bottom and (blob := known[position]) is not None:
                row.memory += blob.count * _DTYPE.itemsize
            blobs[name] = known[position]
        row.top_shapes = [self._shape(name) for name in row.top]
        return row

    def _is_given(self, name: str) -> bool:
        return name in self.given and all(size >= 0 for size in self.given[name])

    def _given(self, row: LayerOutline, name: str, position: int) -> Blob | None:
        """A blob of the given shape, completed by what the layer knows; None if axes are left."""
        given, told = self.given[name], self.told.get((row.name, position)) or ()
        if len(told) != len(given):
            told = given
        shape = [hint if size < 0 else size for size, hint in zip(given, told, strict=True)]
        known = [size for size in shape if size is not None and size >= 0]
        if len(known) < len(shape):
            return None
        row.assumed = True
        return Blob(known, _DTYPE, name=name)

    def _shape(self, name: str) -> Shape | None:
        blob = self.builder.blobs.get(name)
        return blob.shape if blob is not None else None

    def _tops_of(self, row: LayerOutline, definition: Any) -> list[Blob | None]:
        """The tops with their shapes, None for those that cannot be told; the row then says why."""
        where = f'{row.location}: layer "{printable(row.name)}"'
        blobs = self.builder.blobs
        nothing: list[Blob | None] = [None] * len(row.top)
        try:
            self.builder.check_names(definition, row.location)
            if row.type in self.without:
                row.note = f"a layer of the type {row.type} is not run here"
                return nothing
            cls = self.builder.layer_class(definition, row.location)
            least = cls.counts.top.least if cls.counts.auto_top else 0
            cls.counts.check(cls.type, len(row.bottom), max(len(row.top), least))
            unknown = [name for name in row.bottom if blobs[name] is None]
            if unknown:
                row.note = f"the shape of {', '.join(dict.fromkeys(unknown))} is not known"
                return nothing
            if row.top and not row.bottom and all(map(self._is_given, row.top)):
                row.note = "shapes as given"
                return nothing
            node = self.builder.node(definition, row.location)
            try:
                node.set_up()
            except MissingDataError as error:
                row.note = error.reason
                return self._assumed(row, node)
            node.layer.close()  # it will not run
            self._accept(row, node)
            return list(node.top[: len(row.top)])
        except PluginError as error:
            row.error = str(error).partition("\n")[0]
            # A layer that works in place cannot change the shape, whatever it is.
            kept = [blobs.get(name) if name in row.bottom else None for name in row.top]
            row.assumed = any(kept)
            return kept
        except BicerinError as error:
            text = str(error)
            row.error = text if text.startswith(f"{row.location}:") else f"{where} ({row.type}): {text}"
        except Exception as error:
            # A fault of the layer's own; the shapes of the others are still worth knowing.
            row.error = message_text(f"{where} ({row.type}): {type(error).__name__}: {error}")
        return nothing

    def _accept(self, row: LayerOutline, node: Node) -> None:
        row.multiply_adds = multiply_adds(node.layer, node.bottom, node.top)
        row.parameters = [blob.shape for blob in node.blobs]
        self.builder.accept(node)
        learnable = self.builder.parameters.of_blob
        row.parameter_count = sum(blob.count for blob in node.blobs if learnable[id(blob)].blob is blob)

    def _assumed(self, row: LayerOutline, node: Node) -> list[Blob | None]:
        tops = node.top[: len(row.top)]
        layer = node.layer
        shapes = layer.shapes_without_data(len(tops)) if isinstance(layer, TellsShapes) else [None] * len(tops)
        found: list[Blob | None] = []
        for position, (blob, shape) in enumerate(zip(tops, shapes, strict=True)):
            self.told[row.name, position] = shape
            known = None if shape is None else [size for size in shape if size is not None]
            if known is None or len(known) < len(shape or ()):
                found.append(None)
                continue
            blob.reshape(*known)
            row.assumed = True
            found.append(blob)
        return found
