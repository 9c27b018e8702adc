"""The names that blobs have in the model."""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.net.node import Node


def blob_names(nodes: Sequence[Node]) -> dict[tuple[int, int], str]:
    """(place of the node, place of the top) -> the name of that version of the blob.

    Layers that work in place make several versions of one name. The last keeps it, or an input that is worked on in
    place; another is named after the layer that makes it, and its type too where that name is a blob's. What Split
    layers make has no name of its own.
    """
    last = {name: (i, j) for i, node in enumerate(nodes) for j, name in enumerate(node.top_names)}
    last |= {name: (i, j) for i, node in enumerate(nodes) if not node.bottom for j, name in enumerate(node.top_names)}
    taken = set(last)
    names = {}
    for i, node in enumerate(nodes):
        if node.type == "Split":
            continue
        for j in range(len(node.top)):
            name = node.top_names[j] if j < len(node.top_names) else f"{node.name}/{j}"
            if last.get(name) != (i, j):
                name = free_name((node.name, f"{node.name}/{node.type}", f"{node.name}/{j}"), taken)
                taken.add(name)
            names[i, j] = name
    return names


def free_name(wanted: Sequence[str], taken: set[str]) -> str:
    """The first of these names that is not taken, or the last with a number after it."""
    for name in wanted:
        if name not in taken:
            return name
    number = 2
    while f"{wanted[-1]}_{number}" in taken:
        number += 1
    return f"{wanted[-1]}_{number}"
