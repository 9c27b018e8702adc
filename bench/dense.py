"""Nets that say something of every place of an image: fully convolutional ones, and detectors.

FCN-8s (Shelhamer et al., 2017); OpenPose, body_25 (Cao et al., 2019); MobileNet-SSD and SSD-300 (Liu et al., 2016;
Howard et al., 2017); ENet (Paszke et al., 2016), with its normalizations in the weights, as it is deployed.
"""

from __future__ import annotations

from net_text import Text

SHAPES = {
    "fcn8s": (3, 500, 500),
    "openpose": (3, 256, 256),
    "mobilenet_ssd": (3, 300, 300),
    "ssd300": (3, 300, 300),
    "enet": (3, 512, 1024),
}


def _deconv(net: Text, name: str, bottom: str, outputs: int, size: int, stride: int, bias: bool = False) -> str:
    param = f"num_output: {outputs} kernel_size: {size} stride: {stride} bias_term: {str(bias).lower()}"
    param += ' weight_filler { type: "bilinear" }' if not bias else ' weight_filler { type: "xavier" }'
    return net.layer("Deconvolution", name, bottom, f"convolution_param {{ {param} }}")


def fcn8s(net: Text) -> None:
    top, kept = "data", {}
    for stage, (depth, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for number in range(1, depth + 1):
            pad = 100 if (stage, number) == (1, 1) else 1
            top = net.conv(f"conv{stage}_{number}", top, outputs, 3, pad=pad)
        top = kept[stage] = net.pool(f"pool{stage}", top, 2, 2)
    top = net.dropout(net.conv("fc6", top, 4096, 7), 0.5)
    top = net.dropout(net.conv("fc7", top, 4096, 1), 0.5)
    top = _deconv(net, "upscore2", net.conv("score_fr", top, 21, 1, relu=False), 21, 4, 2)
    for stage, offset, size, stride in ((4, 5, 4, 2), (3, 9, 16, 8)):
        score = net.conv(f"score_pool{stage}", kept[stage], 21, 1, relu=False)
        score = net.layer("Crop", f"score_pool{stage}c", [score, top], f"crop_param {{ offset: {offset} }}")
        top = _deconv(net, f"upscore{stride}_{stage}", net.add(f"fuse_pool{stage}", top, score), 21, size, stride)
    net.layer("Crop", "score", [top, "data"], "crop_param { offset: 31 }")


def openpose(net: Text) -> None:
    """Four stages find the fields between joints, two the joints; each reads what the one before found."""

    def conv(name: str, bottom: str, outputs: int, size: int) -> str:
        return net.relu(net.conv(name, bottom, outputs, size, relu=False, pad=size // 2), "PReLU")

    top = "data"
    for stage, (depth, outputs) in enumerate(((2, 64), (2, 128), (4, 256), (1, 512)), 1):
        for number in range(1, depth + 1):
            top = net.conv(f"conv{stage}_{number}", top, outputs, 3, pad=1)
        top = net.pool(f"pool{stage}", top, 2, 2) if stage < 4 else top
    for number, outputs in ((2, 512), (3, 256), (4, 128)):
        top = conv(f"conv4_{number}", top, outputs, 3)
    features = bottom = top
    found: dict[str, str] = {}
    stages = [("fields", 52, width) for width in (96, 128, 128, 128)] + [("joints", 26, width) for width in (96, 128)]
    for stage, (kind, outputs, width) in enumerate(stages):
        top = bottom
        for block in range(1, 6):
            parts = []
            for number in range(3):
                top = conv(f"{kind}{stage}_{block}_{number}", top, width, 3)
                parts.append(top)
            top = net.concat(f"{kind}{stage}_{block}", parts)
        top = conv(f"{kind}{stage}_6", top, 256 if width == 96 else 512, 1)
        found[kind] = net.conv(f"{kind}{stage}", top, outputs, 1, relu=False)
        if stage < len(stages) - 1:
            bottom = net.concat(f"with_{kind}{stage}", [features, *found.values()])
    net.concat("net_output", [found["joints"], found["fields"]])


def _detector(net: Text, maps: list[tuple[str, dict[str, str]]], classes: int = 21) -> None:
    """The heads of SSD: offsets and scores of the prior boxes of each map, and what they detect."""
    parts: dict[str, list[str]] = {"loc": [], "conf": [], "prior": []}
    for number, (bottom, options) in enumerate(maps):
        ratios = options.get("ratios", "").split()
        boxes = 1 + 2 * len(ratios) + ("max" in options)
        size = 3 if options.get("head") == "3x3" else 1
        for kind, outputs in (("loc", 4 * boxes), ("conf", classes * boxes)):
            top = net.conv(f"{bottom}_{kind}", bottom, outputs, size, relu=False, pad=size // 2)
            order = "permute_param { order: 0 order: 2 order: 3 order: 1 }"
            top = net.layer("Permute", f"{top}_perm", top, order)
            parts[kind].append(net.layer("Flatten", f"{top}_flat", top))
        param = f"min_size: {options['min']} " + (f"max_size: {options['max']} " if "max" in options else "")
        param += " ".join(f"aspect_ratio: {ratio}" for ratio in ratios)
        param += " flip: true clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5"
        prior = net.layer("PriorBox", f"prior{number}", [bottom, "data"], f"prior_box_param {{ {param} }}")
        parts["prior"].append(prior)
    loc, conf = net.concat("mbox_loc", parts["loc"]), net.concat("mbox_conf", parts["conf"])
    prior = net.concat("mbox_prior", parts["prior"], axis=2)
    param = f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }}"
    top = net.layer("Softmax", "scores", net.layer("Reshape", "rows", conf, param), "softmax_param { axis: 2 }")
    # Of an untrained net, at the usual threshold of 0.01, nearly every box would be a detection.
    param = (
        f"num_classes: {classes} share_location: true background_label_id: 0 code_type: CENTER_SIZE keep_top_k: 100 "
    )
    param += "nms_param { nms_threshold: 0.45 top_k: 100 } confidence_threshold: 0.25"
    flat = net.layer("Flatten", "flat", top)
    net.layer("DetectionOutput", "detections", [loc, flat, prior], f"detection_output_param {{ {param} }}")


def mobilenet_ssd(net: Text) -> None:
    top, channels = net.conv("conv0", "data", 32, 3, stride=2, pad=1), 32
    kept = {}
    outputs = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for number, width in enumerate(outputs, 1):
        stride = 2 if number in (2, 4, 6, 12) else 1
        top = net.conv(f"conv{number}_dw", top, channels, 3, pad=1, stride=stride, group=channels)
        top, channels = net.conv(f"conv{number}", top, width, 1), width
        kept[number] = top
    maps = [kept[11], kept[13]]
    for number, (narrow, wide) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128)), 14):
        top = net.conv(f"conv{number}_1", top, narrow, 1)
        top = net.conv(f"conv{number}_2", top, wide, 3, pad=1, stride=2)
        maps.append(top)
    sizes = ("60", "105", "150", "195", "240", "285")
    ends = (None, "150", "195", "240", "285", "300")
    boxes = []
    for bottom, least, most in zip(maps, sizes, ends, strict=True):
        options = {"min": least, "ratios": "2.0 3.0" if most else "2.0"}
        boxes.append((bottom, options | ({"max": most} if most else {})))
    _detector(net, boxes)


def ssd300(net: Text) -> None:
    top, kept = "data", {}
    for stage, (depth, outputs) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for number in range(1, depth + 1):
            top = net.conv(f"conv{stage}_{number}", top, outputs, 3, pad=1)
        kept[stage] = top
        top = net.pool(f"pool{stage}", top, 2, 2) if stage < 5 else net.pool("pool5", top, 3, 1, pad=1)
    param = 'across_spatial: false channel_shared: false scale_filler { type: "constant" value: 20 }'
    first = net.layer("Normalize", "conv4_3_norm", kept[4], f"norm_param {{ {param} }}")
    top = net.conv("fc7", net.conv("fc6", top, 1024, 3, pad=6, dilation=6), 1024, 1)
    maps = [first, top]
    for number, (narrow, wide, options) in enumerate(
        ((256, 512, {"pad": 1, "stride": 2}), (128, 256, {"pad": 1, "stride": 2}), (128, 256, {}), (128, 256, {})), 6
    ):
        top = net.conv(f"conv{number}_2", net.conv(f"conv{number}_1", top, narrow, 1), wide, 3, **options)
        maps.append(top)
    sizes = (30, 60, 111, 162, 213, 264, 315)
    boxes = []
    for number, bottom in enumerate(maps):
        ratios = "2.0" if number in (0, 4, 5) else "2.0 3.0"
        options_ = {"min": str(sizes[number]), "max": str(sizes[number + 1]), "ratios": ratios, "head": "3x3"}
        boxes.append((bottom, options_))
    _detector(net, boxes)


def enet(net: Text) -> None:
    """Bottlenecks that halve the planes keep the places of the greatest values, to which others put values back."""

    def conv(name: str, bottom: str, outputs: int, size: int, **options: int) -> str:
        return net.relu(net.conv(name, bottom, outputs, size, relu=False, **options), "PReLU")

    def pool(name: str, bottom: str) -> tuple[str, str]:
        param = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
        net.lines.append(
            f'layer {{ name: "{name}" type: "Pooling" bottom: "{bottom}" top: "{name}" top: "{name}_mask" {param} }}'
        )
        return name, f"{name}_mask"

    def sum_of(name: str, main: str, extension: str) -> str:
        return net.relu(net.add(name, main, extension), "PReLU")

    def plain(name: str, bottom: str, outputs: int, kind: str = "", dilation: int = 1) -> str:
        inner = conv(f"{name}_reduce", bottom, outputs // 4, 1)
        if kind == "asymmetric":
            for part, sizes in (("row", (1, 5)), ("column", (5, 1))):
                options = {"kernel_h": sizes[0], "kernel_w": sizes[1], "pad_h": sizes[0] // 2, "pad_w": sizes[1] // 2}
                inner = conv(f"{name}_{part}", inner, outputs // 4, 0, **options)
        else:
            inner = conv(f"{name}_conv", inner, outputs // 4, 3, pad=dilation, dilation=dilation)
        return sum_of(name, bottom, net.conv(f"{name}_expand", inner, outputs, 1, relu=False))

    def down(name: str, bottom: str, outputs: int) -> tuple[str, str]:
        pooled, mask = pool(f"{name}_pool", bottom)
        main = net.conv(f"{name}_main", pooled, outputs, 1, relu=False)
        inner = conv(f"{name}_reduce", bottom, outputs // 4, 2, stride=2)
        inner = conv(f"{name}_conv", inner, outputs // 4, 3, pad=1)
        return sum_of(name, main, net.conv(f"{name}_expand", inner, outputs, 1, relu=False)), mask

    def up(name: str, bottom: str, mask: str, outputs: int) -> str:
        main = net.conv(f"{name}_main", bottom, outputs, 1, relu=False)
        main = net.layer("Upsample", f"{name}_up", [main, mask], "upsample_param { scale: 2 }")
        inner = conv(f"{name}_reduce", bottom, outputs // 4, 1)
        inner = net.relu(_deconv(net, f"{name}_deconv", inner, outputs // 4, 2, 2, bias=True), "PReLU")
        return net.relu(net.add(name, main, net.conv(f"{name}_expand", inner, outputs, 1, relu=False)))

    parts = [
        net.conv("initial_conv", "data", 13, 3, relu=False, pad=1, stride=2),
        net.pool("initial_pool", "data", 2, 2),
    ]
    top = net.relu(net.concat("initial", parts), "PReLU")
    top, first = down("b1_0", top, 64)
    for number in range(1, 5):
        top = plain(f"b1_{number}", top, 64)
    top, second = down("b2_0", top, 128)
    for stage in (2, 3):
        for number in range(1, 9):
            dilation = 2 ** (number // 2) if number % 2 == 0 else 1
            top = plain(f"b{stage}_{number}", top, 128, "asymmetric" if number in (3, 7) else "", dilation)
    top = up("b4_0", top, second, 64)
    top = plain("b4_2", plain("b4_1", top, 64), 64)
    top = plain("b5_1", up("b5_0", top, first, 16), 16)
    _deconv(net, "score", top, 19, 2, 2, bias=True)
