"""Builder: makes a net's nodes one after the other, each on the blobs of those before it.

A net stops at the first error. `bicerin check` goes on, and has blobs whose shape is not known: None in `blobs`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, LayerError, NetError, PluginError
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.engine import engine_class
from bicerin.layer.layer import Layer
from bicerin.layer.layer import layers as layer_registry
from bicerin.layer.phase import Phase
from bicerin.net.node import Node, code_place, shared_node
from bicerin.net.parameters import Parameters
from bicerin.net.rules import check_propagate_down
from bicerin.net.splits import unknown_bottom
from bicerin_proto.quotation import printable


class Builder:
    """The nodes, blobs and learnable parameters of a net that is being built.

    Args:
        context: the net's; each layer gets its own location, generator and phase.
        layer_providers: layer type -> distribution.
        root: given a layer's name, the node of a net whose layer may be shared; None where there is none.

    Attributes:
        blobs: name -> blob, in the order in which the layers make them; None for one whose shape is not known.
        left_out: tops of layers that do not belong to the net -> a sentence that says so.
        makers: the net's blobs -> the first layer that makes each, for errors.
    """

    def __init__(
        self,
        context: Context,
        layer_providers: Mapping[str, str] | None = None,
        root: Callable[[str], Node | None] = lambda name: None,
    ) -> None:
        self.context = context
        self.layer_providers = layer_providers
        self.root = root
        self.nodes: list[Node] = []
        self.blobs: dict[str, Any] = {}
        self.parameters = Parameters()
        self.left_out: dict[str, str] = {}
        self.makers: dict[str, str] = {}

    def check_names(self, definition: Any, location: str) -> None:
        """Refuse bottoms that nobody makes, tops that somebody else makes, and wrong numbers of `propagate_down`.

        Raises:
            NetError: says which.
        """
        for position, name in enumerate(definition.bottom):
            if name not in self.blobs:
                later, why = self.makers.get(name), self.left_out.get(name)
                raise NetError(unknown_bottom(definition, position, location, self.blobs, later, why))
        for index, name in enumerate(definition.top):
            if name in definition.top[:index]:
                raise NetError(
                    f"{location}: layer \"{printable(definition.name)}\": Top blob '{name}' is named twice; "
                    "each top has a name of its own."
                )
            if name in self.blobs and name not in definition.bottom[index : index + 1]:
                raise NetError(
                    f"{location}: Top blob '{name}' produced by multiple sources: "
                    f'layer "{printable(definition.name)}" and layer "{printable(self._producer(name))}". A layer '
                    "may work in place only where the bottom and the top of that name have the same position."
                )
        check_propagate_down(definition, location)

    def layer_class(self, definition: Any, location: str) -> type[Layer]:
        """The class that an installed plugin brings for the layer's type.

        Raises:
            PluginError: nobody brings it, or who does is broken; with the layer's place.
        """
        try:
            cls: type[Layer] = layer_registry.load(definition.type, self.layer_providers)
        except PluginError as error:
            raise type(error)(f'{location}: layer "{printable(definition.name)}": {error}') from error.__cause__
        return cls

    def add(self, definition: Any, location: str, random: np.random.Generator | None = None) -> Node:
        """Make a layer with its blobs, and set it up.

        Raises:
            BicerinError: with the layer and its place.
        """
        self.check_names(definition, location)
        node = self.node(definition, location, random)
        node.set_up()
        self.accept(node)
        return node

    def node(self, definition: Any, location: str, random: np.random.Generator | None = None) -> Node:
        """Make a layer with its blobs, not set up; its tops are not among `blobs` yet."""
        if not definition.HasField("phase"):
            definition.phase = self.context.phase
        shared = shared_node(self.root(definition.name), definition)
        if shared is not None:
            layer = shared.layer
            if layer.context.device is not self.context.device:
                raise NetError(
                    f'layer "{printable(layer.name)}" cannot be shared by nets on {layer.context.device} and '
                    f"{self.context.device}."
                )
        else:
            layer = self._layer(definition, location, random)
        bottom = [self.blobs[name] for name in definition.bottom]
        top = [
            bottom[index] if name in definition.bottom[index : index + 1] else self._blob(name)
            for index, name in enumerate(definition.top)
        ]
        while layer.counts.auto_top and len(top) < layer.counts.top.least:
            top.append(self._blob("(automatic)"))
        return Node(layer, bottom, top, definition.bottom, definition.top, definition, shared)

    def accept(self, node: Node) -> None:
        """Take in a node that has been set up: its tops, and what it learns.

        Raises:
            NetError: its ParamSpecs do not fit its blobs.
        """
        self.nodes.append(node)
        for name, blob in zip(node.top_names, node.top, strict=False):
            self.blobs[name] = blob
        node.learns = self.parameters.add_layer(node)

    def _layer(self, definition: Any, location: str, random: np.random.Generator | None) -> Layer:
        context = replace(self.context, location=location, phase=Phase(definition.phase))
        if random is not None:
            context = replace(context, random=random)
        cls = engine_class(self.layer_class(definition, location), definition, context)
        try:
            return cls(definition, context)
        except BicerinError as error:
            raise type(error)(
                f'{location}: layer "{printable(definition.name)}" ({printable(definition.type)}): {error}'
            ) from error
        except Exception as error:
            raised = f"{type(error).__name__}: {printable(error)}"
            raise LayerError(
                f'{location}: layer "{printable(definition.name)}" ({printable(definition.type)}): '
                f"its code raised {raised}",
                code_place(error, cls),
            ) from error

    def _blob(self, name: str) -> Blob:
        return Blob((), self.context.dtype, self.context.device, name)

    def _producer(self, blob: str) -> str:
        return next((node.name for node in self.nodes if blob in node.top_names), "?")
