"""What is said of a net with Crop layers, when it is built and by `bicerin check`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bicerin import hookimpl


@hookimpl
def bicerin_net_warnings(layers: Sequence[Any]) -> list[str]:
    """Crop layers that other forks would align: they cut at offset 0, as in Caffe 1.0."""
    if not any(layer.type == "Crop" and not layer.HasField("crop_param") for layer in layers):
        return []
    from bicerin.spec.crop_alignment import aligned_offsets

    return [
        f'layer "{layers[index].name}": Crop without crop_param cuts at offset 0, as in Caffe 1.0; the forks of FCN, '
        f"HED and CRF-RNN aligned its bottoms, which is crop_param {{ {_written(offset)} }}. Write the one that the "
        "net was trained with; bicerin upgrade net --align-crops writes the second"
        for index, offset in aligned_offsets(layers).items()
    ]


def _written(offset: Sequence[int]) -> str:
    return " ".join(f"offset: {number}" for number in offset)
