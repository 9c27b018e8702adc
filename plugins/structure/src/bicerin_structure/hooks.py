"""What is said of a net with Crop layers when it is built."""

from __future__ import annotations

import logging
from typing import Any

from bicerin import hookimpl

_log = logging.getLogger("bicerin.structure")


@hookimpl
def bicerin_net_built(net: Any) -> None:
    """Warn of Crop layers that other forks would align: they cut at offset 0, as in Caffe 1.0."""
    layers = [node.param for node in net.nodes]
    if not any(layer.type == "Crop" and not layer.HasField("crop_param") for layer in layers):
        return
    from bicerin.spec.crop_alignment import aligned_offsets

    for index, offset in aligned_offsets(layers).items():
        numbers = " ".join(f"offset: {number}" for number in offset)
        _log.warning(
            'layer "%s": Crop without crop_param cuts at offset 0, as in Caffe 1.0; the forks of FCN, HED and CRF-RNN '
            "aligned its bottoms, which is crop_param { %s }. Write the one that the net was trained with; bicerin "
            "upgrade net --align-crops writes the second",
            layers[index].name,
            numbers,
        )
