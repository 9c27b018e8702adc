"""A net as the page shows it: its layers in each phase, with shapes, cost, prototxt, and who brings each."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bicerin.cli.time import measure
from bicerin.errors import BicerinError, PluginError
from bicerin.layer.layer import layers
from bicerin.net import Net
from bicerin.net.outline import LayerOutline, NetOutline
from bicerin_proto import Document
from bicerin_proto.quotation import visible

_log = logging.getLogger("bicerin.report")

#: Of a layer's text no more is shown; what is longer has long lists of numbers.
_LONGEST_TEXT = 4000

Data = dict[str, Any]


class NetGraphs:
    """The nets of the page. What a layer has in each phase, such as its text, is kept once.

    Args:
        layer_providers: layer type -> distribution.
    """

    def __init__(self, layer_providers: Mapping[str, str] | None = None) -> None:
        self._layer_providers = layer_providers
        self._definitions: dict[tuple[str, str], int] = {}
        self._texts: list[Data] = []
        self._nets: list[Data] = []

    def add(self, document: Document, outline: NetOutline, times: Data | None = None) -> None:
        """Take in a net in one phase.

        Args:
            document: what the outline was made of.
            times: what `bicerin time --json` says of it.
        """
        measured = {row["name"]: row for row in (times or {}).get("layers", ())}
        rows = []
        for row, definition in _with_definitions(outline.layers, document.message.layer):
            rows.append(
                {
                    "name": row.name,
                    "type": row.type,
                    "definition": self._definition(row, definition),
                    "bottom": row.bottom,
                    "top": row.top,
                    "bottom_shapes": row.bottom_shapes,
                    "top_shapes": row.top_shapes,
                    "parameters": row.parameters,
                    "parameter_count": row.parameter_count,
                    "multiply_adds": row.multiply_adds,
                    "memory": row.memory,
                    "assumed": row.assumed,
                    "note": row.note,
                    "error": row.error,
                    "forward_ms": measured.get(row.name, {}).get("forward_ms"),
                    "backward_ms": measured.get(row.name, {}).get("backward_ms"),
                }
            )
        self._nets.append(
            {
                "name": outline.name,
                "phase": outline.phase,
                "file": document.name,
                "layers": rows,
                "errors": outline.errors,
                "warnings": outline.warnings,
                "parameter_count": outline.total("parameter_count"),
                "multiply_adds": outline.total("multiply_adds"),
                "memory": outline.total("memory"),
                "known": outline.is_known and not outline.errors,
                "times": {name: value for name, value in times.items() if name != "layers"} if times else None,
            }
        )

    def data(self) -> Data:
        return {"nets": self._nets, "definitions": self._texts}

    def _definition(self, row: LayerOutline, definition: Any) -> int:
        text = _text(definition)
        key = (row.location, text)
        if key not in self._definitions:
            self._definitions[key] = len(self._texts)
            self._texts.append({"location": row.location, "text": text, "provider": self._provider(row.type)})
        return self._definitions[key]

    def _provider(self, layer_type: str) -> Data | None:
        try:
            found = layers.provider(layer_type, self._layer_providers)
        except PluginError:  # nobody brings it, or several do: the layer's row says so
            return None
        return {"distribution": found.distribution, "version": found.version, "code": found.value}


def _with_definitions(rows: Iterable[LayerOutline], definitions: Sequence[Any]) -> Iterable[tuple[LayerOutline, Any]]:
    """Each row with its `LayerParameter`; rows are some of the definitions, in their order."""
    rest = iter(definitions)
    for row in rows:
        yield row, next(one for one in rest if one.name == row.name and one.type == row.type)


def _text(definition: Any) -> str:
    """A layer as prototxt, without weights."""
    copy = type(definition)()
    copy.CopyFrom(definition)
    del copy.blobs[:]
    body = "".join(f"  {line}\n" for line in str(copy).splitlines())
    text = visible(f"layer {{\n{body}}}")
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}\n[... {len(text) - _LONGEST_TEXT} characters ...]"
    return text


def times_of(document: Document, phase: str, iterations: int, **options: Any) -> tuple[Data | None, str]:
    """What `bicerin time` measures of a net, and "", or None and why it cannot run."""
    try:
        with Net(document, phase, **options) as net:
            return measure(net, iterations), ""
    except BicerinError as error:
        return None, str(error)
