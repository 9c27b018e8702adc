"""A net's outline: the shapes, parameters and cost of its layers, found without running it.

Layers are set up one after the other, as a net does it, but nothing is filled and no data is needed. What cannot be
told is said, with the reason, and the rest goes on: a layer whose bottom has no known shape is left out, and so are
those above it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, MissingDataError, NetError, PluginError
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.layer import Layer
from bicerin.layer.layer import layers as layer_registry
from bicerin.layer.phase import Phase
from bicerin.net.parameters import Parameters
from bicerin.net.rules import check_propagate_down, included, net_state
from bicerin.net.weights import LoadReport, compare_weights

Shape = tuple[int, ...]

#: float32, as a net is run unless it is asked for something else.
_DTYPE = np.dtype(np.float32)


@dataclass
class LayerOutline:
    """What is known of a layer.

    Attributes:
        location: "file:line".
        bottom, top: the names of its blobs, automatic tops left out.
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
    built: dict[str, Layer] = field(default_factory=dict, repr=False)
    learnable: Parameters = field(default_factory=Parameters, repr=False)
    #: Whether a layer reads what only a layer makes that is not in this phase: the net is not meant for it.
    cut_off: bool = False

    @property
    def errors(self) -> list[str]:
        return [layer.error for layer in self.layers if layer.error]

    @property
    def is_known(self) -> bool:
        """Whether every shape is."""
        return all(layer.is_known for layer in self.layers)

    def compare_weights(self, source: Any) -> tuple[LoadReport, list[str]]:
        """What loading the weights of a file would do, and what does not fit; see `load_weights`."""
        return compare_weights(self.built, lambda blob: self.learnable.of_blob[id(blob)].blob is blob, source)

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
) -> NetOutline:
    """The outline of a net.

    Args:
        document: what `bicerin_proto.read_net` returned.
        phase, level, stages: the net's state, as for a `Net`.
        given: shapes of blobs, for inputs and for what data layers and layers that nobody has would make. An axis of
            -1 is what the layer itself knows of it, such as a data layer's batch size.
        layer_providers: layer type -> distribution.
    """
    return _Outliner(document, given or {}, layer_providers).run(phase, level, stages)


class _Outliner:
    def __init__(self, document: Any, given: Mapping[str, Shape], layer_providers: Mapping[str, str] | None) -> None:
        self.document = document
        self.given = given
        self.layer_providers = layer_providers
        #: None for a blob whose shape is not known.
        self.blobs: dict[str, Blob | None] = {}
        self.parameters = Parameters()
        self.built: dict[str, Layer] = {}
        #: What layers told of their tops without data, axes that they do not know left out as None.
        self.told: dict[tuple[str, int], Sequence[int | None] | None] = {}

    def run(self, phase: Any, level: int | None, stages: Sequence[str] | None) -> NetOutline:
        param = type(self.document.message)()
        param.CopyFrom(self.document.message)
        state = net_state(param, phase, level, stages)
        locations = [self.document.location(index) for index in range(len(param.layer))]
        context = Context(
            Phase(state.phase),
            directory=self.document.path.parent if self.document.path is not None else None,
            net_name=param.name,
            shapes_only=True,
        )
        rows = []
        left_out: set[str] = set()
        for index in range(len(param.layer)):
            definition, location = param.layer[index], locations[index]
            try:
                if not included(definition, state, location):
                    left_out.update(definition.top)
                    continue
            except NetError as error:
                row = LayerOutline(definition.name, definition.type, location, [], [], error=str(error))
                rows.append(row)
                continue
            if not definition.HasField("phase"):
                definition.phase = state.phase
            rows.append(self._layer(definition, replace(context, location=location, phase=Phase(definition.phase))))
        cut_off = any(name in left_out and name not in self.blobs for row in rows for name in row.bottom)
        return NetOutline(param.name, Phase(state.phase).name, rows, self.built, self.parameters, cut_off)

    def _layer(self, definition: Any, context: Context) -> LayerOutline:
        row = LayerOutline(
            definition.name, definition.type, context.location or "", list(definition.bottom), list(definition.top)
        )
        for name in row.bottom:
            if name not in self.blobs and self._is_given(name):
                self.blobs[name] = Blob(self.given[name], _DTYPE, name=name)
        row.bottom_shapes = [self._shape(name) for name in row.bottom]
        top = [self._top(row, position, name) for position, name in enumerate(row.top)]
        known = self._tops_of(row, definition, context, top)
        for position, name in enumerate(row.top):
            if known[position] is None and name in self.given:
                known[position] = self._given(row, name, position)
            if name not in row.bottom and (blob := known[position]) is not None:
                row.memory += blob.count * _DTYPE.itemsize
            self.blobs[name] = known[position]
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
        blob = self.blobs.get(name)
        return blob.shape if blob is not None else None

    def _top(self, row: LayerOutline, position: int, name: str) -> Blob:
        """The blob to write to: in place, the bottom itself."""
        bottom = self.blobs.get(name) if name in row.bottom[position : position + 1] else None
        return bottom if bottom is not None else Blob((), _DTYPE, name=name)

    def _tops_of(self, row: LayerOutline, definition: Any, context: Context, top: list[Blob]) -> list[Blob | None]:
        """The tops with their shapes, None for those that cannot be told; the row then says why."""
        where = f'{context.location}: layer "{row.name}"'
        nothing: list[Blob | None] = [None] * len(top)
        try:
            self._check_names(row, definition, where)
            cls = layer_registry.load(definition.type, self.layer_providers)
            automatic = [Blob((), _DTYPE) for _ in range(_least_tops(cls) - len(top))]
            cls.counts.check(cls.type, len(row.bottom), len(top) + len(automatic))
            unknown = [name for name in row.bottom if self.blobs[name] is None]
            if unknown:
                row.note = f"the shape of {', '.join(dict.fromkeys(unknown))} is not known"
                return nothing
            if row.top and not row.bottom and all(map(self._is_given, row.top)):
                row.note = "shapes as given"
                return nothing
            layer = cls(definition, context)
            try:
                self._set_up(row, layer, [*top, *automatic])
            except MissingDataError as error:
                row.note = error.reason
                return self._assumed(row, layer, top)
            self.built[row.name] = layer
            return list(top)
        except PluginError as error:
            row.error = f"{where}: {str(error).partition(chr(10))[0]}"
            # A layer that works in place cannot change the shape, whatever it is.
            kept = [self.blobs.get(name) if name in row.bottom else None for name in row.top]
            row.assumed = any(kept)
            return kept
        except BicerinError as error:
            text = str(error)
            row.error = text if text.startswith(f"{context.location}:") else f"{where} ({row.type}): {text}"
        except Exception as error:
            # A fault of the layer's own; the shapes of the others are still worth knowing.
            row.error = f"{where} ({row.type}): {type(error).__name__}: {error}"
        return nothing

    def _check_names(self, row: LayerOutline, definition: Any, where: str) -> None:
        for name in row.bottom:
            if name not in self.blobs:
                raise NetError(f"{where}: Unknown bottom blob '{name}': no layer before it makes it.")
        for position, name in enumerate(row.top):
            if name in self.blobs and name not in row.bottom[position : position + 1]:
                raise NetError(f"{where}: Top blob '{name}' produced by multiple sources.")
        check_propagate_down(definition, row.location)

    def _set_up(self, row: LayerOutline, layer: Layer, top: list[Blob]) -> None:
        bottom: Any = [self.blobs[name] for name in row.bottom]
        layer.set_up(bottom, top)
        layer.close()  # it will not run
        row.multiply_adds = int(layer.multiply_adds(bottom, top))
        row.parameters = [blob.shape for blob in layer.blobs]
        self.parameters.add_layer(layer, layer.param, row.location)
        owned = [blob for blob in layer.blobs if self.parameters.of_blob[id(blob)].blob is blob]
        row.parameter_count = sum(blob.count for blob in owned)

    def _assumed(self, row: LayerOutline, layer: Layer, top: Sequence[Blob]) -> list[Blob | None]:
        found: list[Blob | None] = []
        for position, (blob, shape) in enumerate(zip(top, layer.shapes_without_data(len(top)), strict=True)):
            self.told[row.name, position] = shape
            known = None if shape is None else [size for size in shape if size is not None]
            if known is None or len(known) < len(shape or ()):
                found.append(None)
                continue
            blob.reshape(*known)
            row.assumed = True
            found.append(blob)
        return found


def _least_tops(cls: type[Layer]) -> int:
    return cls.counts.top.least if cls.counts.auto_top else 0
