"""What a layer in place overwrites that others read.

Tops that a layer's backward pass reads: the gradient is wrong. Caffe computes such a gradient too, and says nothing.
The layers' part: `bicerin.layer.abilities`.

And blobs of other names in the same memory, such as a Flatten's bottom beside its top: who reads them later sees what
was written, as in Caffe.
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


def overwritten_views(nodes: Sequence[Node]) -> dict[int, str]:
    """The place of each layer that works in place on a memory which a later layer reads by another blob -> a sentence
    on that."""
    found: dict[int, str] = {}
    made: dict[int, set[int]] = {}
    for index, node in enumerate(nodes):
        written = {id(blob) for blob in node.top} if node.works_in_place else set()
        memories = {id(blob.memory[0]) for blob in node.top} if written else set()
        views = {key for memory in memories for key in made.get(memory, ()) if key not in written}
        for reader in nodes[index + 1 :] if views else ():
            name = next((n for n, b in zip(reader.bottom_names, reader.bottom, strict=True) if id(b) in views), None)
            if name is not None:
                own, name, by = (printable(one) for one in (node.top_names[0], name, reader.name))
                found[index] = (
                    f'it works in place on "{own}", in whose memory "{name}" is too, which "{by}" reads afterwards'
                )
                break
        for blob in node.top:
            made.setdefault(id(blob.memory[0]), set()).add(id(blob))
    return found


def _spared(node: Node) -> TopValues:
    return node.layer.spares() if isinstance(node.layer, Spares) else TopValues.NONE
