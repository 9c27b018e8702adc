"""The nets that are measured, as prototxt, written from their papers.

LeNet; CaffeNet (Jia et al., 2014); GoogLeNet (Szegedy et al., 2015); VGG-16 (Simonyan and Zisserman, 2015);
Inception-v2 (Ioffe and Szegedy, 2015); Inception-v3 (Szegedy et al., 2016); ResNet-50 (He et al., 2016);
SqueezeNet 1.1 (Iandola et al., 2016); ResNeXt-50 (Xie et al., 2017); DenseNet-121 (Huang et al., 2017);
MobileNet v1 (Howard et al., 2017) and v2 (Sandler et al., 2018); and those of `dense`.

`TRAIN` has the losses (GoogLeNet's three) and dropout; `TEST` ends in the probabilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dense
import numpy as np
from net_text import Text


def lenet(net: Text) -> None:
    top = net.pool("pool1", net.conv("conv1", "data", 20, 5, relu=False), 2, 2)
    top = net.pool("pool2", net.conv("conv2", top, 50, 5, relu=False), 2, 2)
    net.end(net.fc("ip2", net.relu(net.fc("ip1", top, 500)), 10))


def caffenet(net: Text) -> None:
    top = net.lrn("norm1", net.pool("pool1", net.conv("conv1", "data", 96, 11, stride=4), 3, 2))
    top = net.lrn("norm2", net.pool("pool2", net.conv("conv2", top, 256, 5, pad=2, group=2), 3, 2))
    top = net.conv("conv3", top, 384, 3, pad=1)
    top = net.conv("conv4", top, 384, 3, pad=1, group=2)
    top = net.pool("pool5", net.conv("conv5", top, 256, 3, pad=1, group=2), 3, 2)
    for name in ("fc6", "fc7"):
        top = net.dropout(net.relu(net.fc(name, top, 4096)), 0.5)
    net.end(net.fc("fc8", top, 1000))


_INCEPTION = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def _inception(net: Text, name: str, bottom: str) -> str:
    one, reduce3, three, reduce5, five, project = _INCEPTION[name]
    branches = [
        net.conv(f"i{name}_1x1", bottom, one, 1),
        net.conv(f"i{name}_3x3", net.conv(f"i{name}_3x3_reduce", bottom, reduce3, 1), three, 3, pad=1),
        net.conv(f"i{name}_5x5", net.conv(f"i{name}_5x5_reduce", bottom, reduce5, 1), five, 5, pad=2),
        net.conv(f"i{name}_project", net.pool(f"i{name}_pool", bottom, 3, 1, pad=1), project, 1),
    ]
    return net.layer("Concat", f"i{name}", branches)


def _auxiliary(net: Text, name: str, bottom: str) -> None:
    top = net.conv(f"{name}_conv", net.pool(f"{name}_pool", bottom, 5, 3, "AVE"), 128, 1)
    top = net.dropout(net.relu(net.fc(f"{name}_fc", top, 1024)), 0.7)
    net.end(net.fc(f"{name}_classifier", top, 1000), f"{name}_loss", 0.3)


def googlenet(net: Text) -> None:
    top = net.lrn("norm1", net.pool("pool1", net.conv("conv1", "data", 64, 7, stride=2, pad=3), 3, 2))
    top = net.lrn("norm2", net.conv("conv2", net.conv("conv2_reduce", top, 64, 1), 192, 3, pad=1))
    top = net.pool("pool2", top, 3, 2)
    for name in _INCEPTION:
        top = _inception(net, name, top)
        if name in ("3b", "4e"):
            top = net.pool(f"pool_{name}", top, 3, 2)
        if net.train and name in ("4a", "4d"):
            _auxiliary(net, f"loss_{name}", top)
    top = net.dropout(net.pool("pool5", top, 7, 1, "AVE"), 0.4)
    net.end(net.fc("classifier", top, 1000))


def vgg16(net: Text) -> None:
    top = "data"
    for stage, (depth, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for number in range(1, depth + 1):
            top = net.conv(f"conv{stage}_{number}", top, outputs, 3, pad=1)
        top = net.pool(f"pool{stage}", top, 2, 2)
    for name in ("fc6", "fc7"):
        top = net.dropout(net.relu(net.fc(name, top, 4096)), 0.5)
    net.end(net.fc("fc8", top, 1000))


def resnet50(net: Text) -> None:
    top = net.pool("pool1", net.conv_norm("conv1", "data", 64, 7, stride=2, pad=3), 3, 2)
    for stage, (depth, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 2):
        for number in range(depth):
            name, stride = f"res{stage}{'abcdef'[number]}", 2 if stage > 2 and number == 0 else 1
            short = top
            if number == 0:
                short = net.conv_norm(f"{name}_1", top, 4 * width, 1, None, stride=stride)
            top = net.conv_norm(f"{name}_2a", top, width, 1, stride=stride)
            top = net.conv_norm(f"{name}_2b", top, width, 3, pad=1)
            top = net.relu(net.add(name, short, net.conv_norm(f"{name}_2c", top, 4 * width, 1, None)))
    net.end(net.fc("fc1000", net.average("pool5", top), 1000))


def squeezenet(net: Text) -> None:
    top = net.pool("pool1", net.conv("conv1", "data", 64, 3, stride=2), 3, 2)
    for number, width in enumerate((16, 16, 32, 32, 48, 48, 64, 64), 2):
        squeezed = net.conv(f"fire{number}_squeeze", top, width, 1)
        wide = [
            net.conv(f"fire{number}_expand1", squeezed, 4 * width, 1),
            net.conv(f"fire{number}_expand3", squeezed, 4 * width, 3, pad=1),
        ]
        top = net.layer("Concat", f"fire{number}", wide)
        if number in (3, 5):
            top = net.pool(f"pool{number}", top, 3, 2)
    net.end(net.average("pool10", net.conv("conv10", net.dropout(top, 0.5), 1000, 1)))


def densenet121(net: Text) -> None:
    top, channels = net.pool("pool1", net.conv_norm("conv1", "data", 64, 7, stride=2, pad=3), 3, 2, pad=1), 64
    for stage, depth in enumerate((6, 12, 24, 16), 2):
        for number in range(1, depth + 1):
            name = f"conv{stage}_{number}"
            wide = net.conv_norm(f"{name}_x1", net.norm(top, top=f"{name}_in"), 128, 1)
            new = net.plain_conv(f"{name}_x2", wide, 32, 3, pad=1)
            top = net.layer("Concat", f"concat{stage}_{number}", [top, new])
            channels += 32
        top = net.norm(top, top=f"conv{stage}_out")
        if stage < 5:
            channels //= 2
            top = net.pool(f"pool{stage}", net.plain_conv(f"conv{stage}_half", top, channels, 1), 2, 2, "AVE")
    net.end(net.fc("fc6", net.average("pool5", top), 1000))


def mobilenet_v1(net: Text) -> None:
    top, channels = net.conv_norm("conv1", "data", 32, 3, stride=2, pad=1), 32
    outputs = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for number, width in enumerate(outputs, 2):
        stride = 2 if number in (3, 5, 7, 13) else 1
        top = net.conv_norm(f"conv{number}_dw", top, channels, 3, pad=1, stride=stride, group=channels)
        top, channels = net.conv_norm(f"conv{number}_sep", top, width, 1), width
    net.end(net.fc("fc7", net.average("pool6", top), 1000))


def mobilenet_v2(net: Text) -> None:
    top, channels = net.conv_norm("conv1", "data", 32, 3, stride=2, pad=1), 32
    stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for stage, (expand, width, depth, first) in enumerate(stages, 2):
        for number in range(1, depth + 1):
            name, bottom = f"conv{stage}_{number}", top
            stride, hidden = first if number == 1 else 1, channels * expand
            if expand > 1:
                top = net.conv_norm(f"{name}_expand", top, hidden, 1)
            top = net.conv_norm(f"{name}_dw", top, hidden, 3, pad=1, stride=stride, group=hidden)
            top = net.conv_norm(f"{name}_linear", top, width, 1, None)
            if number > 1:
                top = net.add(f"block{stage}_{number}", bottom, top)
            channels = width
    top = net.conv_norm("conv9", top, 1280, 1)
    net.end(net.fc("fc7", net.average("pool6", top), 1000))


def resnext50(net: Text) -> None:
    top = net.pool("pool1", net.conv_norm("conv1", "data", 64, 7, stride=2, pad=3), 3, 2)
    for stage, (depth, width) in enumerate(((3, 128), (4, 256), (6, 512), (3, 1024)), 2):
        for number in range(depth):
            name, stride = f"res{stage}{'abcdef'[number]}", 2 if stage > 2 and number == 0 else 1
            short = top
            if number == 0:
                short = net.conv_norm(f"{name}_1", top, 2 * width, 1, None, stride=stride)
            top = net.conv_norm(f"{name}_2a", top, width, 1)
            top = net.conv_norm(f"{name}_2b", top, width, 3, pad=1, stride=stride, group=32)
            top = net.relu(net.add(name, short, net.conv_norm(f"{name}_2c", top, 2 * width, 1, None)))
    net.end(net.fc("fc1000", net.average("pool5", top), 1000))


_INCEPTION_V2 = {
    "3a": (64, 64, 64, 64, 96, 32),
    "3b": (64, 64, 96, 64, 96, 64),
    "3c": (0, 128, 160, 64, 96, 0),
    "4a": (224, 64, 96, 96, 128, 128),
    "4b": (192, 96, 128, 96, 128, 128),
    "4c": (160, 128, 160, 128, 160, 96),
    "4d": (96, 128, 192, 160, 192, 96),
    "4e": (0, 128, 192, 192, 256, 0),
    "5a": (352, 192, 320, 160, 224, 128),
    "5b": (352, 192, 320, 192, 224, 128),
}


def inception_v2(net: Text) -> None:
    """Blocks of 0 outputs on the first and last branch halve the planes."""
    top = net.pool("pool1", net.conv_norm("conv1", "data", 64, 7, stride=2, pad=3), 3, 2)
    top = net.conv_norm("conv2", net.conv_norm("conv2_reduce", top, 64, 1), 192, 3, pad=1)
    top = net.pool("pool2", top, 3, 2)
    for name, (one, reduce3, three, reduce5, five, project) in _INCEPTION_V2.items():
        block, stride = f"i{name}", 1 if one else 2
        branches = [net.conv_norm(f"{block}_1x1", top, one, 1)] if one else []
        narrow = net.conv_norm(f"{block}_3x3_reduce", top, reduce3, 1)
        branches.append(net.conv_norm(f"{block}_3x3", narrow, three, 3, pad=1, stride=stride))
        narrow = net.conv_norm(f"{block}_double_reduce", top, reduce5, 1)
        narrow = net.conv_norm(f"{block}_double_1", narrow, five, 3, pad=1)
        branches.append(net.conv_norm(f"{block}_double_2", narrow, five, 3, pad=1, stride=stride))
        if project:
            pooled = net.pool(f"{block}_pool", top, 3, 1, "MAX" if name == "5b" else "AVE", pad=1)
            branches.append(net.conv_norm(f"{block}_project", pooled, project, 1))
        else:
            branches.append(net.pool(f"{block}_pool", top, 3, 2))
        top = net.concat(block, branches)
    net.end(net.fc("classifier", net.average("pool5", top), 1000))


def inception_v3(net: Text) -> None:
    def chain(name: str, bottom: str, *steps: tuple[int, int | tuple[int, int], dict[str, int]]) -> str:
        """Convolutions one after the other: outputs, size, options."""
        for number, (outputs, size, options) in enumerate(steps, 1):
            if isinstance(size, tuple):
                (height, width), pads = size, (size[0] // 2, size[1] // 2)
                options = {"kernel_h": height, "kernel_w": width, "pad_h": pads[0], "pad_w": pads[1]}
            bottom = net.conv_norm(f"{name}_{number}", bottom, outputs, size if isinstance(size, int) else 0, **options)
        return bottom

    same3, same5 = {"pad": 1}, {"pad": 2}
    top = chain("stem", "data", (32, 3, {"stride": 2}), (32, 3, {}), (64, 3, same3))
    top = chain("stem2", net.pool("pool1", top, 3, 2), (80, 1, {}), (192, 3, {}))
    top = net.pool("pool2", top, 3, 2)
    for number, project in enumerate((32, 64, 64), 1):
        name = f"a{number}"
        branches = [
            chain(f"{name}_1x1", top, (64, 1, {})),
            chain(f"{name}_5x5", top, (48, 1, {}), (64, 5, same5)),
            chain(f"{name}_3x3", top, (64, 1, {}), (96, 3, same3), (96, 3, same3)),
            chain(f"{name}_project", net.pool(f"{name}_pool", top, 3, 1, "AVE", pad=1), (project, 1, {})),
        ]
        top = net.concat(name, branches)
    branches = [
        chain("b_3x3", top, (384, 3, {"stride": 2})),
        chain("b_double", top, (64, 1, {}), (96, 3, same3), (96, 3, {"stride": 2})),
        net.pool("b_pool", top, 3, 2),
    ]
    top = net.concat("b", branches)
    for number, width in enumerate((128, 160, 160, 192), 1):
        name, row, column = f"c{number}", (1, 7), (7, 1)
        branches = [
            chain(f"{name}_1x1", top, (192, 1, {})),
            chain(f"{name}_7x7", top, (width, 1, {}), (width, row, {}), (192, column, {})),
            chain(
                f"{name}_double",
                top,
                (width, 1, {}),
                (width, column, {}),
                (width, row, {}),
                (width, column, {}),
                (192, row, {}),
            ),
            chain(f"{name}_project", net.pool(f"{name}_pool", top, 3, 1, "AVE", pad=1), (192, 1, {})),
        ]
        top = net.concat(name, branches)
    branches = [
        chain("d_3x3", top, (192, 1, {}), (320, 3, {"stride": 2})),
        chain("d_7x7", top, (192, 1, {}), (192, (1, 7), {}), (192, (7, 1), {}), (192, 3, {"stride": 2})),
        net.pool("d_pool", top, 3, 2),
    ]
    top = net.concat("d", branches)
    for number, kind in enumerate(("AVE", "MAX"), 1):
        name = f"e{number}"
        three = chain(f"{name}_3x3", top, (384, 1, {}))
        double = chain(f"{name}_double", top, (448, 1, {}), (384, 3, same3))
        branches = [chain(f"{name}_1x1", top, (320, 1, {}))]
        branches += [
            chain(f"{name}_{part}_{'hw'[size[0] == 1]}", bottom, (384, size, {}))
            for part, bottom in (("3x3", three), ("double", double))
            for size in ((1, 3), (3, 1))
        ]
        branches.append(chain(f"{name}_project", net.pool(f"{name}_pool", top, 3, 1, kind, pad=1), (192, 1, {})))
        top = net.concat(name, branches)
    net.end(net.fc("classifier", net.dropout(net.average("pool3", top), 0.2), 1000))


NETS = {
    "lenet": lenet,
    "caffenet": caffenet,
    "googlenet": googlenet,
    "vgg16": vgg16,
    "fcn8s": dense.fcn8s,
    "openpose": dense.openpose,
    "resnet50": resnet50,
    "resnext50": resnext50,
    "inception_v2": inception_v2,
    "inception_v3": inception_v3,
    "densenet121": densenet121,
    "squeezenet": squeezenet,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_ssd": dense.mobilenet_ssd,
    "ssd300": dense.ssd300,
    "enet": dense.enet,
}
#: Sizes of the inputs that are not 3 x 224 x 224.
SHAPES: dict[str, tuple[int, int, int]] = {
    "lenet": (1, 28, 28),
    "caffenet": (3, 227, 227),
    "squeezenet": (3, 227, 227),
    "inception_v3": (3, 299, 299),
    **dense.SHAPES,
}
#: Those that end in probabilities of classes, and can be trained with labels.
CLASSIFIERS = [name for name in NETS if name not in dense.SHAPES]


def prototxt(name: str, batch: int, train: bool) -> str:
    """The text of a net for a batch of that many images."""
    net = Text(name, (batch, *SHAPES.get(name, (3, 224, 224))), train)
    NETS[name](net)
    return str(net)


def prepare(net: Any, inputs: Mapping[str, np.ndarray], seed: int = 0) -> None:
    """Give a net without trained weights such that its values neither vanish nor grow beyond all numbers.

    Weights that are 0, since a deploy file names no fillers, become noise; those of convolutions and inner products are
    scaled so that what they make varies by 1 (Mishkin and Matas, 2016); every BatchNorm gets the statistics of what it
    reads, as a training would give it.
    """
    random = np.random.default_rng(seed)
    for node in net.nodes:
        if not node.bottom:
            for name, blob in zip(node.top_names, node.top, strict=True):
                if name in inputs:
                    blob.data[...] = inputs[name]
            continue
        if node.type == "BatchNorm":
            x = node.bottom[0].data
            axes = tuple(axis for axis in range(x.ndim) if axis != 1)
            for blob, values in zip(node.blobs, (x.mean(axes), x.var(axes), 1), strict=False):
                blob.data[...] = values
        for blob in node.blobs:
            if blob.num_axes > 1 and not blob.data.any():
                blob.data[...] = random.normal(size=blob.shape) * np.sqrt(2 * blob.shape[0] / blob.count)
        node.forward()
        if node.type in ("Convolution", "InnerProduct"):
            node.blobs[0].data[...] /= node.top[0].data.std() + 1e-30
            node.forward()
