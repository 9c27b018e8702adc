"""The schema that prototxt is read with: Caffe's own, merged with what the installed plugins add.

Plugins name their compiled `.proto` through the entry-point group `bicerin.schemas`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bicerin_proto


def schema(layer_providers: Mapping[str, str] | None = None) -> Any:
    """The merged schema; `layer_providers` chooses where plugins disagree."""
    return bicerin_proto.default_schema()


def read_layer(definition: Any, layer_providers: Mapping[str, str] | None = None) -> Any:
    """A `LayerParameter` from the text of a layer, with or without `layer { }` around it, or from a message.

    Raises:
        ParseError: the text is not exactly one layer.
    """
    from bicerin.errors import ProtoError

    if not isinstance(definition, str):
        return definition
    text = definition.strip()
    if not text.startswith(("layer ", "layer{", "layers", "layer\n")):
        text = f"layer {{ {definition} }}"
    net = bicerin_proto.read_net(text + "\n", schema(layer_providers)).message
    if len(net.layer) != 1:
        raise ProtoError(f"one layer was expected, and {len(net.layer)} were given.")
    return net.layer[0]
