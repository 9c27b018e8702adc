"""How many images a net reads in a pass."""

from __future__ import annotations

from typing import Any


def batch_size(net: Any) -> int:
    """The number of images that a net reads in one pass: the first axis of what its first layer without bottoms makes.

    0 where no layer makes data.
    """
    for node in net.nodes:
        if not node.bottom and node.top and node.top[0].shape and not node.blobs:
            return int(node.top[0].shape[0])
    return 0
