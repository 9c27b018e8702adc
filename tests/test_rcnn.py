"""Regions of images with a coloured square: a small detector learns their class and where their square ends."""

from __future__ import annotations

import numpy as np

import bicerin
from bicerin_yolo.boxes_kernels import overlaps

SIZE, IMAGES, REGIONS = 32, 8, 4
STEPS, HELD_OUT = 150, 24
#: Blue, green and red of each class.
COLORS = np.array([(230, 30, 30), (30, 230, 30), (30, 30, 230)])


def examples(random: np.random.Generator, number: int) -> dict[str, np.ndarray]:
    """Images with a square on noise; of each, regions that are near the square, or the last one, which is not.

    `label` is 0 for what is no object; `target` and `inside` are how the region becomes the object's box, as in Fast
    R-CNN, and 1 where that counts; `box` are the objects' x1, y1, x2, y2.
    """
    images = random.integers(80, 120, (number, 3, SIZE, SIZE)).astype(float)
    rois, labels, boxes = [], [], []
    for index, image in enumerate(images):
        label, size = int(random.integers(3)), int(random.integers(9, 15))
        left, top = random.integers(0, SIZE - size, 2)
        image[:, top : top + size, left : left + size] = COLORS[label][:, None, None]
        box = np.array([left, top, left + size - 1, top + size - 1], float)
        for region in range(REGIONS):
            if region < REGIONS - 1:
                rois.append([index, *(box + random.uniform(-4, 4, 4)).clip(0, SIZE - 1)])
                labels.append(label + 1)
            else:  # on the other side of the image, a quarter of its width
                start = 0 if left + size / 2 > SIZE / 2 else SIZE - 8
                rois.append([index, start, 8, start + 7, 22])
                labels.append(0)
            boxes.append(box)
    regions, objects, of = np.array(rois), np.array(boxes), np.array(labels)
    extent = regions[:, 3:] - regions[:, 1:3] + 1
    moved = (objects[:, :2] + objects[:, 2:] - regions[:, 1:3] - regions[:, 3:]) / 2 / extent
    grown = np.log((objects[:, 2:] - objects[:, :2] + 1) / extent)
    inside = np.repeat(of[:, None] > 0, 4, axis=1)
    target = np.concatenate([moved, grown], axis=1) * 5 * inside
    return {
        "data": (images - 100) / 100,
        "rois": regions,
        "label": of,
        "target": target,
        "inside": inside,
        "box": objects,
    }


def convolution(name: str, bottom: str, outputs: int, stride: int = 1, filler: str = "msra") -> str:
    return f"""layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{
        num_output: {outputs} kernel_size: 3 pad: 1 stride: {stride} weight_filler {{ type: "{filler}" }} }} }}
        """


def relu(name: str) -> str:
    return f'layer {{ name: "relu-{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}\n'


def detector(number: int) -> str:
    """Its tops: `score` of four classes, and `delta`, for `number` images."""
    rows = number * REGIONS
    shapes = {
        "data": (number, 3, SIZE, SIZE),
        "rois": (rows, 5),
        "label": (rows,),
        "target": (rows, 4),
        "inside": (rows, 4),
    }
    text = "".join(
        f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ '
        + " ".join(f"dim: {axis}" for axis in shape)
        + " } } }\n"
        for name, shape in shapes.items()
    )
    text += convolution("conv0", "data", 10, stride=2) + relu("conv0")
    text += convolution("offsets", "conv0", 18, filler="constant")
    text += """
        layer { name: "conv1" type: "DeformableConvolution" bottom: "conv0" bottom: "offsets" top: "conv1"
          deformable_convolution_param { num_output: 10 kernel_size: 3 pad: 1 deformable_group: 1
            weight_filler { type: "msra" } } }
        """ + relu("conv1")
    text += (
        """
        layer { name: "align" type: "ROIAlign" bottom: "conv1" bottom: "rois" top: "align"
          roi_align_param { pooled_h: 3 pooled_w: 3 spatial_scale: 0.5 sampling_ratio: 2 } }
        layer { name: "score" type: "InnerProduct" bottom: "align" top: "score"
          inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
        """
        + convolution("maps", "conv1", 36)
        + """
        layer { name: "psalign" type: "PSROIAlign" bottom: "maps" bottom: "rois" top: "psalign"
          psroi_align_param { output_dim: 4 group_size: 3 spatial_scale: 0.5 sample_num: 2 } }
        layer { name: "delta" type: "Pooling" bottom: "psalign" top: "delta"
          pooling_param { pool: AVE global_pooling: true } }
        """
    )
    return text


LOSSES = """
    layer { name: "flat" type: "Flatten" bottom: "delta" top: "flat" }
    layer { name: "class" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "class" }
    layer { name: "place" type: "SmoothL1Loss" bottom: "flat" bottom: "target" bottom: "inside" top: "place" }
    """


def moved(regions: np.ndarray, delta: np.ndarray) -> np.ndarray:
    """The boxes x, y, width, height that regions become."""
    extent = regions[:, 3:] - regions[:, 1:3] + 1
    middle = (regions[:, 1:3] + regions[:, 3:]) / 2 + delta[:, :2] / 5 * extent
    return np.concatenate([middle, extent * np.exp(delta[:, 2:] / 5)], axis=1)


def test_regions_are_told_apart_and_moved_onto_their_object() -> None:
    random = np.random.default_rng(1)
    solver = bicerin.Solver(f"""
        net_param {{ {detector(IMAGES)} {LOSSES} }} type: "Adam" base_lr: 0.01 momentum: 0.9 momentum2: 0.99
        lr_policy: "step" gamma: 0.2 stepsize: 110 display: 0 random_seed: 1 snapshot_after_train: false""")
    for _ in range(STEPS):
        for name, values in examples(random, IMAGES).items():
            if name != "box":
                solver.net.blobs[name].data[...] = values
        solver.step(1)

    net = bicerin.Net(detector(HELD_OUT), phase="TEST")
    net.share_trained_layers_with(solver.net)
    given = examples(random, HELD_OUT)
    found = net.forward(data=given["data"], rois=given["rois"])
    right = (found["score"].argmax(axis=1) == given["label"]).mean()
    objects = given["label"] > 0
    regions, truth = given["rois"][objects], given["box"][objects]
    delta = found["delta"].reshape(-1, 4)[objects]
    sizes = np.concatenate([(truth[:, :2] + truth[:, 2:]) / 2, truth[:, 2:] - truth[:, :2] + 1], axis=1)
    before, after = (
        np.mean([overlaps(np, one[None], two)[0] for one, two in zip(moved(regions, d), sizes, strict=True)])
        for d in (np.zeros_like(delta), delta)
    )
    print(f"{right:.2f} of the regions have the right class; overlap {before:.2f} as given, {after:.2f} moved")
    assert right >= 0.95
    assert after >= 0.75 and after > before + 0.2
    # The places that the deformable convolution looks at were learned as well.
    assert np.abs(solver.net.params["offsets"][0].data).max() > 0.01
