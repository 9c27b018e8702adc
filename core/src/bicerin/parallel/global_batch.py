"""A net whose `batch_size` is that of all ranks together, divided among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import bicerin_proto
from bicerin.errors import ParallelError
from bicerin.net.rules import filter_layers
from bicerin_proto.quotation import printable


def divided(document: bicerin_proto.Document, size: int) -> bicerin_proto.Document:
    """The net with every batch a `size`-th: the field `batch_size` of layers without bottoms, and the first axis of the
    shapes that DummyData and Input layers give.

    Raises:
        ParallelError: a layer's batch cannot be divided; says which.
    """
    message = type(document.message)()
    message.CopyFrom(document.message)
    locations = [document.location(index) for index in range(len(message.layer))]
    number = 0
    for index in filter_layers(message, message.state, locations):
        layer = message.layer[index]
        if layer.bottom or not layer.top:
            continue
        where = f'{locations[index]}: layer "{printable(layer.name)}" ({layer.type})'
        sizes = list(_sizes(layer))
        if not sizes:
            raise ParallelError(
                f"{where}: it has no batch_size that could be divided among {size} ranks. Give each rank its batch in "
                "the net, and leave out --global-batch (global_batch=True)."
            )
        for holder, name, place in sizes:
            value = getattr(holder, name) if place is None else getattr(holder, name)[place]
            if value % size or not value:
                raise ParallelError(f"{where}: a batch of {value} cannot be divided among {size} ranks.")
            if place is None:
                setattr(holder, name, value // size)
            else:
                getattr(holder, name)[place] = value // size
        number += 1
    if not number:
        raise ParallelError(f"{document.name}: no layer reads data, so that there is no batch to divide.")
    return replace(document, message=message)


def _sizes(layer: Any) -> Iterator[tuple[Any, str, int | None]]:
    """Where a layer says how large its batch is: the message, the field, and its place in a repeated field."""
    for field, value in layer.ListFields():
        if field.message_type is None or not field.name.endswith("_param") or field.name == "transform_param":
            continue
        if field.name in ("dummy_data_param", "input_param"):
            for shape in value.shape:
                if shape.dim:
                    yield shape, "dim", 0
            for place in range(len(getattr(value, "num", ()))):
                yield value, "num", place
        elif "batch_size" in field.message_type.fields_by_name and value.HasField("batch_size"):
            yield value, "batch_size", None
