"""Which layers run backward, and which of their bottoms get a gradient.

A layer runs backward if it, or one below it, learns something, and a loss lies above it. A bottom gets a gradient if
something below it learns, unless `propagate_down` says otherwise. Source: Caffe's `Net::Init`.
"""

from __future__ import annotations

from collections.abc import Sequence

from bicerin.net.node import Node


def plan_backward(nodes: Sequence[Node], force: bool) -> None:
    """Set each node's `wants_backward` and `propagate_down`.

    Args:
        force: the net's `force_backward`: compute every gradient that a layer allows.
    """
    needed: dict[str, bool] = {}
    for node in nodes:
        given = list(node.param.propagate_down)
        node.propagate_down = given or [needed[name] for name in node.bottom_names]
        node.wants_backward = node.learns or any(node.propagate_down)
        needed.update(dict.fromkeys(node.top_names, node.wants_backward))

    under_loss: set[str] = set()
    skipped: set[str] = set()
    for node in reversed(nodes):
        # An automatic top has no name, but its loss counts.
        contributes = node.is_loss or any(name in under_loss for name in node.top_names)
        skip = bool(node.top_names) and all(name in skipped for name in node.top_names)
        if node.wants_backward and skip:
            node.wants_backward = False
            node.propagate_down = [False] * len(node.propagate_down)
        if not contributes:
            node.wants_backward = False
        for position, name in enumerate(node.bottom_names):
            if contributes:
                under_loss.add(name)
            else:
                node.propagate_down[position] = False
            (skipped.discard if node.propagate_down[position] else skipped.add)(name)

    for node in nodes if force else ():
        node.wants_backward = True
        node.propagate_down = [
            flag or node.layer.allow_force_backward(position) for position, flag in enumerate(node.propagate_down)
        ]
        for position in range(len(node.layer.blobs)):
            node.layer.set_param_propagate_down(position, True)
