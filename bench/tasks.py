"""Nets that do more than classify images, as prototxt, in full size, written from their papers.

MobileNet-SSD (Howard et al., 2017; Liu et al., 2016); FCN-8s (Long et al., 2015) with three skips' scores; Faster R-CNN
over VGG-16 (Ren et al., 2015), proposals included; SegNet (Badrinarayanan et al., 2017), which unpools by masks; LRCN's
captions (Donahue et al., 2015): words and an image's features through two LSTMs.
"""

from __future__ import annotations

from net_text import Text

Stages = tuple[tuple[int, int], ...]
VGG: Stages = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


def _text(name: str, inputs: dict[str, tuple[int, ...]]) -> Text:
    net = Text(name, (1, 1, 1, 1), False)
    net.lines = [f'name: "{name}"']
    for top, shape in inputs.items():
        dims = " ".join(f"dim: {size}" for size in shape)
        net.lines.append(f'layer {{ name: "{top}" type: "Input" top: "{top}" input_param {{ shape {{ {dims} }} }} }}')
    return net


def _map(net: Text, name: str, bottom: str, outputs: int, size: int = 1, **options: int) -> str:
    """A convolution whose outputs are scores or coordinates, of a size as after training."""
    more = " ".join(f"{key}: {value}" for key, value in options.items())
    param = f'num_output: {outputs} kernel_size: {size} {more} weight_filler {{ type: "xavier" }}'
    return net.layer("Convolution", name, bottom, f"convolution_param {{ {param} }}")


def mobilenet_ssd(batch: int) -> str:
    net = _text("mobilenet_ssd", {"data": (batch, 3, 300, 300)})
    top, channels = net.conv_norm("conv0", "data", 32, 3, stride=2, pad=1), 32
    maps = []
    outputs = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    for number, width in enumerate(outputs, 1):
        stride = 2 if number in (2, 4, 6, 12) else 1
        top = net.conv_norm(f"conv{number}_dw", top, channels, 3, pad=1, stride=stride, group=channels)
        top, channels = net.conv_norm(f"conv{number}", top, width, 1), width
        if number in (11, 13):
            maps.append(top)
    for number, width in ((14, 512), (15, 256), (16, 256), (17, 128)):
        top = net.conv_norm(f"conv{number}_1", top, width // 2, 1)
        top = net.conv_norm(f"conv{number}_2", top, width, 3, pad=1, stride=2)
        maps.append(top)
    parts: dict[str, list[str]] = {"loc": [], "conf": [], "prior": []}
    sizes = (60, 105, 150, 195, 240, 285)
    for index, bottom in enumerate(maps):
        count = 3 if index == 0 else 6
        for kind, numbers in (("loc", 4), ("conf", 21)):
            name = _map(net, f"{bottom}_{kind}", bottom, numbers * count)
            name = net.layer("Permute", f"{name}_perm", name, "permute_param { order: [0, 2, 3, 1] }")
            parts[kind].append(net.layer("Flatten", f"{name}_flat", name))
        larger = f"max_size: {sizes[index] + 45} aspect_ratio: 3" if index else ""
        param = f"min_size: {sizes[index]} {larger} aspect_ratio: 2 flip: true variance: [0.1, 0.1, 0.2, 0.2]"
        parts["prior"].append(
            net.layer("PriorBox", f"{bottom}_prior", [bottom, "data"], f"prior_box_param {{ {param} }}")
        )
    loc, conf = (net.layer("Concat", f"mbox_{kind}", parts[kind]) for kind in ("loc", "conf"))
    prior = net.layer("Concat", "mbox_prior", parts["prior"], "concat_param { axis: 2 }")
    conf = net.layer("Reshape", "conf_rows", conf, "reshape_param { shape { dim: 0 dim: -1 dim: 21 } }")
    conf = net.layer("Flatten", "conf_flat", net.layer("Softmax", "prob", conf, "softmax_param { axis: 2 }"))
    net.layer(
        "DetectionOutput",
        "detections",
        [loc, conf, prior],
        "detection_output_param { num_classes: 21 code_type: CENTER_SIZE keep_top_k: 100 confidence_threshold: 0.25 "
        "nms_param { nms_threshold: 0.45 top_k: 100 } }",
    )
    return str(net)


def _vgg(net: Text, stages: Stages = VGG, pad: int = 1, last_pool: bool = True) -> str:
    top = "data"
    for stage, (depth, outputs) in enumerate(stages, 1):
        for number in range(1, depth + 1):
            top = net.conv(f"conv{stage}_{number}", top, outputs, 3, pad=pad if (stage, number) == (1, 1) else 1)
        if stage < len(stages) or last_pool:
            top = net.pool(f"pool{stage}", top, 2, 2)
    return top


def _upscore(net: Text, name: str, bottom: str, size: int) -> str:
    param = (
        f'num_output: 21 kernel_size: {size} stride: {size // 2} bias_term: false weight_filler {{ type: "bilinear" }}'
    )
    return net.layer("Deconvolution", name, bottom, f"convolution_param {{ {param} }}")


def fcn8s(batch: int) -> str:
    net = _text("fcn8s", {"data": (batch, 3, 320, 400)})
    top = net.dropout(net.conv("fc6", _vgg(net, pad=100), 4096, 7), 0.5)
    top = net.dropout(net.conv("fc7", top, 4096, 1), 0.5)
    top = _upscore(net, "upscore2", _map(net, "score_fr", top, 21), 4)
    for pool, offset, name in ((4, 5, "upscore_pool4"), (3, 9, "upscore8")):
        score = _map(net, f"score_pool{pool}", f"pool{pool}", 21)
        score = net.layer("Crop", f"score_pool{pool}c", [score, top], f"crop_param {{ axis: 2 offset: {offset} }}")
        top = _upscore(net, name, net.add(f"fuse_pool{pool}", top, score), 4 if pool == 4 else 16)
    net.layer("Crop", "score", [top, "data"], "crop_param { axis: 2 offset: 31 }")
    return str(net)


def faster_rcnn(batch: int) -> str:
    net = _text("faster_rcnn", {"data": (1, 3, 400, 600), "im_info": (1, 3)})
    conv5 = _vgg(net, last_pool=False)
    rpn = net.conv("rpn_conv", conv5, 512, 3, pad=1)
    score, box = _map(net, "rpn_cls_score", rpn, 18), _map(net, "rpn_bbox_pred", rpn, 36)
    rows = net.layer("Reshape", "rpn_rows", score, "reshape_param { shape { dim: 0 dim: 2 dim: -1 dim: 0 } }")
    prob = net.layer("Softmax", "rpn_cls_prob", rows)
    maps = net.layer("Reshape", "rpn_maps", prob, "reshape_param { shape { dim: 0 dim: 18 dim: -1 dim: 0 } }")
    param = "proposal_param { scale: 8 scale: 16 scale: 32 post_nms_topn: 100 min_size: 0 }"
    rois = net.layer("Proposal", "rois", [maps, box, "im_info"], param)
    param = "roi_pooling_param { pooled_h: 7 pooled_w: 7 spatial_scale: 0.0625 }"
    top = net.layer("ROIPooling", "pool5", [conv5, rois], param)
    for name in ("fc6", "fc7"):
        top = net.dropout(net.relu(net.fc(name, top, 4096)), 0.5)
    net.layer("Softmax", "cls_prob", net.fc("cls_score", top, 21))
    net.fc("bbox_pred", top, 84)
    return str(net)


def segnet(batch: int) -> str:
    net = _text("segnet", {"data": (batch, 3, 224, 320)})
    top, sizes = "data", []
    for stage, (depth, outputs) in enumerate(VGG, 1):
        for number in range(1, depth + 1):
            top = net.conv_norm(f"conv{stage}_{number}", top, outputs, 3, pad=1)
        net.lines.append(
            f'layer {{ name: "pool{stage}" type: "Pooling" bottom: "{top}" top: "pool{stage}" top: "mask{stage}" '
            "pooling_param { pool: MAX kernel_size: 2 stride: 2 } }"
        )
        top = f"pool{stage}"
        sizes.append((stage, depth, outputs))
    for stage, depth, outputs in reversed(sizes):
        top = net.layer("Upsample", f"upsample{stage}", [top, f"mask{stage}"], "upsample_param { scale: 2 }")
        for number in range(depth, 0, -1):
            width = outputs if number > 1 else (VGG[stage - 2][1] if stage > 1 else 12)
            name = f"conv{stage}_{number}_d"
            top = (
                net.conv_norm(name, top, width, 3, pad=1)
                if (stage, number) > (1, 1)
                else _map(net, name, top, 12, 3, pad=1)
            )
    net.layer("Softmax", "prob", top)
    return str(net)


def captions(batch: int) -> str:
    net = _text("captions", {"words": (20, batch), "cont": (20, batch), "features": (batch, 1000)})
    embed = net.layer(
        "Embed",
        "embed",
        "words",
        'embed_param { input_dim: 8801 num_output: 1000 bias_term: false weight_filler { type: "uniform" min: -0.08 '
        "max: 0.08 } }",
    )
    param = 'recurrent_param { num_output: 1000 weight_filler { type: "uniform" min: -0.08 max: 0.08 } }'
    lstm1 = net.layer("LSTM", "lstm1", [embed, "cont"], param)
    lstm2 = net.layer("LSTM", "lstm2", [lstm1, "cont", "features"], param)
    score = net.layer(
        "InnerProduct",
        "predict",
        lstm2,
        'inner_product_param { num_output: 8801 axis: 2 weight_filler { type: "uniform" min: -0.08 max: 0.08 } }',
    )
    net.layer("Softmax", "probs", score, "softmax_param { axis: 2 }")
    return str(net)


NETS = {
    "mobilenet_ssd": mobilenet_ssd,
    "fcn8s": fcn8s,
    "faster_rcnn": faster_rcnn,
    "segnet": segnet,
    "captions": captions,
}
