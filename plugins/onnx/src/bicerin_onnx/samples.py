"""Samples: what a net and its export are compared on, where it is not noise."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, NetError
from bicerin.net import Net
from bicerin.net.arrays_file import read_arrays
from bicerin.net.node import Node
from bicerin_onnx.candidate import Input

_log = logging.getLogger("bicerin.onnx")

#: Ends of names of images.
_IMAGES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


def read_samples(path: str, net: Net, taken: Mapping[str, Input]) -> dict[str, Any]:
    """Arrays for inputs, by name: those of an `.npz`, or an image for the one that takes images.

    An image is resized to what the input takes: (1, C, H, W), blue first, values of 0 to 255, without what a data layer
    does to it, unless that is in the model.

    Args:
        taken: the inputs, by the blob that they stand for.

    Raises:
        ProtoError, DataError: the file is missing, or is not what it should be.
        NetError: no input takes an image, or several do.
    """
    if Path(path).suffix.lower() not in _IMAGES:
        return read_arrays(path)
    found = [
        (name, one) for name, one in taken.items() if len(one.dims) == 4 and net.blobs[name].shape[1:2] in ((1,), (3,))
    ]
    if len(found) != 1:
        listed = ", ".join(f'"{one.name}"' for _, one in found) or "none"
        raise NetError(
            f"{path}: an image is for one input of 1 or 3 channels; of those there are: {listed}. Give an .npz."
        )
    if find_spec("bicerin_data") is None:
        raise NetError(f"{path}: images are read with bicerin-data: pip install 'bicerin-onnx[images]'")
    from bicerin_data.image import read_image

    name, one = found[0]
    shape = net.blobs[name].shape
    height, width = (dim if isinstance(dim, int) else size for dim, size in zip(one.dims[2:], shape[2:], strict=True))
    image = read_image(path, shape[1] == 3, height, width)
    number = one.dims[0] if isinstance(one.dims[0], int) else 1
    return {one.name: np.repeat(image[None].astype(np.float32), number, axis=0)}


def read_batch(net: Net, taken: Mapping[str, Input], given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the net's data layers read next, for the inputs that they make, float32; nothing of one that has nothing.

    Afterwards those stand where they stood that keep a state, as Python layers may not.

    Args:
        given: names of inputs that have arrays already.
    """
    found: dict[str, np.ndarray] = {}
    for index, node in enumerate(net.nodes):
        names = [name for name in node.top_names if name in taken and taken[name].name not in given]
        names = [name for name in names if not taken[name].is_image]
        if node.bottom or node.type == "Input" or not names:
            continue
        state = node.layer.state()
        try:
            net.run_forward(index, index + 1)
        except BicerinError as error:
            _log.info('layer "%s" reads nothing to compare on: %s', node.name, error)
            continue
        found |= {taken[name].name: _values(node, name) for name in names}
        if state is not None:
            node.layer.restore_state(state)
    return found


def _values(node: Node, name: str) -> np.ndarray:
    return np.array(node.top[list(node.top_names).index(name)].read_only.data, np.float32)
