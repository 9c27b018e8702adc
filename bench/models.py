"""The nets that are measured, as prototxt, written from their papers.

LeNet; CaffeNet (Jia et al., 2014); GoogLeNet (Szegedy et al., 2015); VGG-16 (Simonyan and Zisserman, 2015); ResNet-50
(He et al., 2016); SqueezeNet 1.1 (Iandola et al., 2016); DenseNet-121 (Huang et al., 2017); MobileNet v1 (Howard et
al., 2017) and v2 (Sandler et al., 2018).

`TRAIN` has the losses (GoogLeNet's three) and dropout; `TEST` ends in the probabilities.
"""

from __future__ import annotations

from typing import Any

import numpy as np

SHAPES: dict[str, tuple[int, int, int]] = {"lenet": (1, 28, 28), "caffenet": (3, 227, 227), "squeezenet": (3, 227, 227)}
CLASSES = {"lenet": 10}


class Text:
    """Collects layers; each method adds one and returns its top's name."""

    def __init__(self, name: str, batch: int, train: bool) -> None:
        self.train = train
        channels, height, width = SHAPES.get(name, (3, 224, 224))
        self.lines = [f'name: "{name}"']
        shapes = [("data", f"dim: {batch} dim: {channels} dim: {height} dim: {width}")]
        shapes += [("label", f"dim: {batch}")] if train else []
        for top, dims in shapes:
            self.lines.append(
                f'layer {{ name: "{top}" type: "Input" top: "{top}" input_param {{ shape {{ {dims} }} }} }}'
            )

    def layer(self, kind: str, name: str, bottoms: str | list[str], param: str = "", top: str | None = None) -> str:
        bottoms = [bottoms] if isinstance(bottoms, str) else bottoms
        reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
        top = name if top is None else top
        self.lines.append(f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top}" {param} }}')
        return top

    def relu(self, bottom: str) -> str:
        return self.layer("ReLU", f"relu_{bottom}", bottom, top=bottom)

    def conv(self, name: str, bottom: str, outputs: int, size: int, relu: bool = True, **options: int) -> str:
        more = " ".join(f"{key}: {value}" for key, value in options.items())
        self.layer(
            "Convolution",
            name,
            bottom,
            f"param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }} convolution_param {{ num_output: {outputs} "
            f'kernel_size: {size} {more} weight_filler {{ type: "xavier" }} bias_filler {{ value: 0.1 }} }}',
        )
        return self.relu(name) if relu else name

    def pool(self, name: str, bottom: str, size: int, stride: int, kind: str = "MAX", pad: int = 0) -> str:
        param = f"pooling_param {{ pool: {kind} kernel_size: {size} stride: {stride} pad: {pad} }}"
        return self.layer("Pooling", name, bottom, param)

    def lrn(self, name: str, bottom: str) -> str:
        return self.layer("LRN", name, bottom, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }")

    def fc(self, name: str, bottom: str, outputs: int) -> str:
        return self.layer(
            "InnerProduct",
            name,
            bottom,
            f"param {{ lr_mult: 1 }} param {{ lr_mult: 2 decay_mult: 0 }} inner_product_param {{ "
            f'num_output: {outputs} weight_filler {{ type: "xavier" }} }}',
        )

    def norm(self, bottom: str, relu: bool = True, top: str | None = None, kind: str = "ReLU") -> str:
        """BatchNorm, Scale and perhaps an activation: in place, or from `bottom` to `top`."""
        top = bottom if top is None else top
        self.layer("BatchNorm", f"bn_{top}", bottom, top=top)
        self.layer("Scale", f"scale_{top}", top, "scale_param { bias_term: true }", top=top)
        return self.layer(kind, f"relu_{top}", top, top=top) if relu else top

    def plain_conv(self, name: str, bottom: str, outputs: int, size: int, **options: int) -> str:
        """A convolution without bias, to be normalized."""
        more = " ".join(f"{key}: {value}" for key, value in options.items())
        param = f'num_output: {outputs} kernel_size: {size} bias_term: false {more} weight_filler {{ type: "msra" }}'
        return self.layer("Convolution", name, bottom, f"convolution_param {{ {param} }}")

    def conv_norm(
        self, name: str, bottom: str, outputs: int, size: int, relu: str | None = "ReLU", **options: int
    ) -> str:
        """A convolution without bias, normalized; `relu` names the activation's type."""
        return self.norm(self.plain_conv(name, bottom, outputs, size, **options), relu is not None, kind=relu or "")

    def add(self, name: str, *bottoms: str) -> str:
        return self.layer("Eltwise", name, list(bottoms))

    def average(self, name: str, bottom: str) -> str:
        return self.layer("Pooling", name, bottom, "pooling_param { pool: AVE global_pooling: true }")

    def dropout(self, bottom: str, ratio: float) -> str:
        return self.layer(
            "Dropout", f"drop_{bottom}", bottom, f"dropout_param {{ dropout_ratio: {ratio} }}", top=bottom
        )

    def end(self, score: str, name: str = "loss", weight: float = 1.0) -> None:
        if self.train:
            self.layer("SoftmaxWithLoss", name, [score, "label"], f"loss_weight: {weight}")
        else:
            self.layer("Softmax", "prob", score)

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"


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


NETS = {
    "lenet": lenet,
    "caffenet": caffenet,
    "googlenet": googlenet,
    "vgg16": vgg16,
    "resnet50": resnet50,
    "squeezenet": squeezenet,
    "densenet121": densenet121,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}


def prototxt(name: str, batch: int, train: bool) -> str:
    """The text of a net for a batch of that many images."""
    net = Text(name, batch, train)
    NETS[name](net)
    return str(net)


def normalize(net: Any, seed: int = 0) -> None:
    """Give every BatchNorm the statistics of noise, as a training would: with those that it is filled with, 0 and 0,
    a deep net's values grow beyond all numbers.
    """
    random = np.random.default_rng(seed)
    for node in net.nodes:
        if not node.bottom:
            for blob in node.top:
                blob.data[...] = random.normal(size=blob.shape)
            continue
        if node.type == "BatchNorm":
            x = node.bottom[0].data
            axes = tuple(axis for axis in range(x.ndim) if axis != 1)
            for blob, values in zip(node.blobs, (x.mean(axes), x.var(axes), 1), strict=False):
                blob.data[...] = values
        node.forward()
