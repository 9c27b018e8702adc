"""A small net to begin with, of the kind of LeNet: convolutions and max pooling, then two layers of inner products.

Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998; with ReLU after each layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bicerin.errors import DataError
from bicerin_data.image import read_image
from bicerin_data.image_folder import ImageFolder
from bicerin_proto import LayerParameter, NetParameter

#: How many images are looked at to choose a size, and between which sides it lies.
_LOOKED_AT = 100
_SIDES = (28, 64)

#: The filters of each convolution, the first given first, and the outputs of the first inner product.
_FILTERS = (16, 32, 64, 64)
_HIDDEN = 64
#: Pooling goes on while the shorter side is at least this; it is halved each time.
_SMALLEST_SIDE = 9


def starter_shape(images: ImageFolder) -> tuple[int, int, int]:
    """(C, H, W) for a small net: gray if the images looked at are, and square, of about their shorter side, 28 to 64.

    Raises:
        DataError: none of them can be read.
    """
    step = max(1, len(images.lines) // _LOOKED_AT)
    shapes = []
    for name, _ in images.lines[::step]:
        try:
            shapes.append(read_image(str(images.path / name), None).shape)
        except DataError as error:
            reason = error
    if not shapes:
        raise reason
    side = int(np.median([min(shape[1:]) for shape in shapes]))
    side = min(max(side - side % 4, _SIDES[0]), _SIDES[1])
    return (1 if all(shape[0] == 1 for shape in shapes) else 3), side, side


def starter_net(height: int, width: int, classes: int) -> Any:
    """A NetParameter from the blob "data", (N, C, height, width), to the scores "scores", (N, classes)."""
    net = NetParameter()
    name, side = "data", min(height, width)
    for number, filters in enumerate(_FILTERS, start=1):
        if number > 1 and side < _SMALLEST_SIDE:
            break
        conv = _learning(net, "Convolution", f"conv{number}", name)
        conv.convolution_param.num_output = filters
        conv.convolution_param.kernel_size.append(5)
        conv.convolution_param.pad.append(2)
        conv.convolution_param.weight_filler.type = "msra"
        net.layer.add(name=f"relu{number}", type="ReLU", bottom=[conv.name], top=[conv.name])
        pool = net.layer.add(name=f"pool{number}", type="Pooling", bottom=[conv.name], top=[f"pool{number}"])
        pool.pooling_param.kernel_size = 2
        pool.pooling_param.stride = 2
        name, side = pool.name, (side + 1) // 2
    hidden = _inner_product(net, "hidden", name, _HIDDEN)
    net.layer.add(name="relu_hidden", type="ReLU", bottom=[hidden.name], top=[hidden.name])
    drop = net.layer.add(name="drop_hidden", type="Dropout", bottom=[hidden.name], top=[hidden.name])
    drop.dropout_param.dropout_ratio = 0.5
    _inner_product(net, "scores", hidden.name, classes)
    return net


def _inner_product(net: Any, name: str, bottom: str, outputs: int) -> LayerParameter:
    layer = _learning(net, "InnerProduct", name, bottom)
    layer.inner_product_param.num_output = outputs
    layer.inner_product_param.weight_filler.type = "msra"
    return layer


def _learning(net: Any, kind: str, name: str, bottom: str) -> Any:
    """A layer of weights and biases; biases learn at twice the rate and do not decay."""
    layer = net.layer.add(name=name, type=kind, bottom=[bottom], top=[name])
    layer.param.add(lr_mult=1, decay_mult=1)
    layer.param.add(lr_mult=2, decay_mult=0)
    return layer
