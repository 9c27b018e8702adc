"""Tops that a layer's backward pass reads, and that a later layer overwrites in place: the gradient is wrong.

Caffe computes such a gradient too, and says nothing. The layers' part: `bicerin.layer.abilities`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.layer.abilities import ReadsTops, Spares, TopValues
from bicerin.net.node import Node
from bicerin_proto.quotation import printable


def overwritten_tops(nodes: Sequence[Node]) -> list[str]:
    """A sentence for each layer whose gradient is wrong since another works in place on its top."""
    found = []
    for index, reader in enumerate(nodes):
        layer = reader.layer
        if not (reader.wants_backward and isinstance(layer, ReadsTops)):
            continue
        read = layer.reads_in_tops()
        memories = {id(blob.memory[0]) for blob in reader.top}
        for writer in nodes[index + 1 :] if read else ():
            in_place = [blob for blob in writer.top if any(blob is other for other in writer.bottom)]
            if any(id(blob.memory[0]) in memories for blob in in_place) and _spared(writer) < read:
                name = printable(writer.name)
                found.append(
                    f'layer "{name}" ({writer.type}) overwrites in place what the backward pass of layer '
                    f'"{printable(reader.name)}" ({reader.type}) reads, so that its gradient is wrong, as in Caffe; '
                    f'give the top of "{name}" a name of its own'
                )
                break
    return found


def _spared(node: Node) -> TopValues:
    return node.layer.spares() if isinstance(node.layer, Spares) else TopValues.NONE
