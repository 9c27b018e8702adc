"""Nets of many layers, for the graph: GoogLeNet (Szegedy et al., 2015), ResNet-152 (He et al., 2016), one deeper."""

from __future__ import annotations


def layer(kind: str, name: str, bottoms: str, top: str = "", more: str = "") -> str:
    reads = " ".join(f'bottom: "{bottom}"' for bottom in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {reads} top: "{top or name}" {more} }}\n'


def convolution(name: str, bottom: str, outputs: int, size: int, stride: int = 1, bias: bool = True) -> str:
    param = (
        f"convolution_param {{ num_output: {outputs} kernel_size: {size} stride: {stride} pad: {size // 2} "
        f"bias_term: {str(bias).lower()} }}"
    )
    return layer("Convolution", name, bottom, more=param)


def pooling(name: str, bottom: str, size: int, stride: int, kind: str = "MAX", pad: int = 0) -> str:
    return layer(
        "Pooling",
        name,
        bottom,
        more=f"pooling_param {{ pool: {kind} kernel_size: {size} stride: {stride} pad: {pad} }}",
    )


def data(name: str, batch: int) -> str:
    shapes = f"shape {{ dim: {batch} dim: 3 dim: 224 dim: 224 }} shape {{ dim: {batch} }}"
    return (
        f'name: "{name}"\nlayer {{ name: "data" type: "Input" top: "data" top: "label" input_param {{ {shapes} }} }}\n'
    )


def scores(bottom: str, name: str = "loss3") -> str:
    inner = "inner_product_param { num_output: 1000 }"
    return layer("InnerProduct", f"{name}/classifier", bottom, more=inner) + layer(
        "SoftmaxWithLoss", f"{name}/loss", f"{name}/classifier label"
    )


def googlenet() -> str:
    def rectified(name: str, bottom: str, outputs: int, size: int, stride: int = 1) -> str:
        return convolution(name, bottom, outputs, size, stride) + layer("ReLU", f"{name}/relu", name, name)

    text = data("GoogLeNet", 16) + rectified("conv1", "data", 64, 7, 2) + pooling("pool1", "conv1", 3, 2)
    text += layer("LRN", "norm1", "pool1") + rectified("conv2/reduce", "norm1", 64, 1)
    text += (
        rectified("conv2", "conv2/reduce", 192, 3) + layer("LRN", "norm2", "conv2") + pooling("pool2", "norm2", 3, 2)
    )
    bottom = "pool2"
    table = {
        "3a": (64, 96, 128, 16, 32, 32), "3b": (128, 128, 192, 32, 96, 64), "4a": (192, 96, 208, 16, 48, 64),
        "4b": (160, 112, 224, 24, 64, 64), "4c": (128, 128, 256, 24, 64, 64), "4d": (112, 144, 288, 32, 64, 64),
        "4e": (256, 160, 320, 32, 128, 128), "5a": (256, 160, 320, 32, 128, 128), "5b": (384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    for name, (one, reduce3, three, reduce5, five, project) in table.items():
        at = f"inception_{name}"
        text += rectified(f"{at}/1x1", bottom, one, 1) + rectified(f"{at}/3x3_reduce", bottom, reduce3, 1)
        text += rectified(f"{at}/3x3", f"{at}/3x3_reduce", three, 3) + rectified(f"{at}/5x5_reduce", bottom, reduce5, 1)
        text += rectified(f"{at}/5x5", f"{at}/5x5_reduce", five, 5) + pooling(f"{at}/pool", bottom, 3, 1, pad=1)
        text += rectified(f"{at}/pool_proj", f"{at}/pool", project, 1)
        bottom = f"{at}/output"
        text += layer("Concat", bottom, f"{at}/1x1 {at}/3x3 {at}/5x5 {at}/pool_proj")
        if name in ("4a", "4d"):
            loss = "loss1" if name == "4a" else "loss2"
            text += pooling(f"{loss}/pool", bottom, 5, 3, "AVE") + rectified(f"{loss}/conv", f"{loss}/pool", 128, 1)
            text += layer("InnerProduct", f"{loss}/fc", f"{loss}/conv", more="inner_product_param { num_output: 1024 }")
            text += layer("ReLU", f"{loss}/relu", f"{loss}/fc", f"{loss}/fc") + layer(
                "Dropout", f"{loss}/drop", f"{loss}/fc", f"{loss}/fc"
            )
            text += scores(f"{loss}/fc", loss)
        if name in ("3b", "4e"):
            text += pooling(f"pool_{name}", bottom, 3, 2)
            bottom = f"pool_{name}"
    text += pooling("pool5", bottom, 7, 1, "AVE") + layer("Dropout", "drop5", "pool5", "pool5")
    return text + scores("pool5")


def resnet152() -> str:
    def normalized(name: str, bottom: str, outputs: int, size: int, stride: int = 1) -> str:
        text = convolution(name, bottom, outputs, size, stride, bias=False)
        return text + layer("BatchNorm", f"bn_{name}", name, name) + layer("Scale", f"scale_{name}", name, name)

    text = data("ResNet-152", 1) + normalized("conv1", "data", 64, 7, 2) + layer("ReLU", "conv1_relu", "conv1", "conv1")
    text += pooling("pool1", "conv1", 3, 2)
    bottom = "pool1"
    for stage, (blocks, width) in enumerate([(3, 64), (8, 128), (36, 256), (3, 512)], start=2):
        for block in range(blocks):
            at, stride = f"res{stage}_{block}", 2 if stage > 2 and block == 0 else 1
            if block == 0:
                text += normalized(f"{at}_branch1", bottom, 4 * width, 1, stride)
            path = bottom
            for part, (outputs, size) in enumerate([(width, 1), (width, 3), (4 * width, 1)]):
                name = f"{at}_branch2{'abc'[part]}"
                text += normalized(name, path, outputs, size, stride if part == 0 else 1)
                text += layer("ReLU", f"{name}_relu", name, name) if part < 2 else ""
                path = name
            text += layer("Eltwise", at, f"{at}_branch1 {path}" if block == 0 else f"{bottom} {path}")
            text += layer("ReLU", f"{at}_relu", at, at)
            bottom = at
    return (
        text
        + layer("Pooling", "pool5", bottom, more="pooling_param { pool: AVE global_pooling: true }")
        + scores("pool5")
    )


def deep() -> str:
    """More layers than dagre lays out soon, with branches, lines past layers, and a blob that nobody makes."""
    text = data("deep", 1)
    bottom = "data"
    for block in range(210):
        at = f"block{block}"
        text += (
            layer("ReLU", f"{at}_1", bottom) + layer("TanH", f"{at}_2", f"{at}_1") + layer("Power", f"{at}_3", bottom)
        )
        missing = " nowhere" if block == 100 else ""
        text += layer("ReLU", f"{at}_4", f"{at}_3") + layer("Eltwise", at, f"{at}_2 {at}_4 {bottom}{missing}")
        bottom = at
    return text + scores(bottom)
