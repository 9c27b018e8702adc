"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-mobile`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from bicerin.testing import layer_case

ONES = 'slope_filler { type: "constant" value: 1.5 } bias_filler { type: "constant" value: 0.5 }'
SCALE = 'scale_filler { type: "constant" value: 1.5 } shift_filler { type: "constant" value: 0.5 }'


def places(number: int, planes: int, *shape: int) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that makes a mask of places, each of 0 to `number` - 1 at most once in a plane."""

    def make(random: np.random.Generator) -> np.ndarray:
        chosen = [random.permutation(number)[: np.prod(shape)].reshape(shape) for _ in range(planes)]
        return np.stack(chosen).reshape(-1, 3, *shape)

    return make


def averages(channels: int) -> list[np.ndarray]:
    """Scale, shift, mean and variance of yjxiong's BN."""
    random = np.random.default_rng(4)
    return [random.normal(size=(1, channels)) for _ in range(3)] + [random.uniform(0.5, 2, (1, channels))]


def convolution(layer_type: str, options: str) -> str:
    filler = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 }'
    return f'type: "{layer_type}" convolution_param {{ {options} {filler} }}'


DEPTHWISE_CONVOLUTION = [
    layer_case("plain", convolution("DepthwiseConvolution", "num_output: 4 group: 4 kernel_size: 3 pad: 1"),
               [(2, 4, 6, 5)]),
    layer_case("stride", convolution("DepthwiseConvolution", "num_output: 4 group: 4 kernel_size: 3 stride: 2 "
                                     "bias_term: false engine: CAFFE"), [(2, 4, 7, 5)]),
    layer_case("two_a_channel", convolution("DepthwiseConvolution", "num_output: 6 group: 3 kernel_size: 2 "
                                            "dilation: 2"), [(2, 3, 5, 5)]),
]  # fmt: skip

CONVOLUTION_DEPTHWISE = [
    layer_case("plain", convolution("ConvolutionDepthwise", "num_output: 4 kernel_size: 3 pad: 1"), [(2, 4, 6, 5)]),
    layer_case("stride", convolution("ConvolutionDepthwise", "num_output: 4 kernel_size: 3 stride: 2"),
               [(2, 4, 7, 5)]),
]  # fmt: skip

RELU6 = [
    layer_case(name, f'type: "ReLU6" {options}', [lambda random: random.uniform(-9, 9, (3, 2, 4, 5))],
               kink=lambda x: np.minimum(np.abs(x), np.abs(x - 6)))
    for name, options in [("plain", ""), ("leaky", "relu6_param { negative_slope: 0.1 }")]
]  # fmt: skip

SHUFFLE_CHANNEL = [
    layer_case("two", 'type: "ShuffleChannel" shuffle_channel_param { group: 2 }', [(2, 6, 3, 2)]),
    layer_case("three", 'type: "ShuffleChannel" shuffle_channel_param { group: 3 }', [(2, 6)]),
    layer_case("one", 'type: "ShuffleChannel"', [(2, 5, 3)]),
]

BROADCAST_MUL = [
    layer_case("plain", 'type: "BroadcastMul"', [(2, 3, 4, 5), (2, 3, 1, 1)]),
    layer_case("swapped", 'type: "BroadcastMul"', [(2, 3), (2, 3, 4)]),
    layer_case("equal", 'type: "BroadcastMul"', [(2, 3, 1, 1), (2, 3, 1, 1)]),
]

AXPY = [
    layer_case("plain", 'type: "Axpy"', [(2, 3, 1, 1), (2, 3, 4, 5), (2, 3, 4, 5)]),
    layer_case("two_axes", 'type: "Axpy"', [(2, 3), (2, 3, 4), (2, 3, 4)]),
    layer_case("no_space", 'type: "Axpy"', [(2, 3), (2, 3), (2, 3)]),
]

UPSAMPLE = [
    layer_case("repeat", 'type: "Upsample" upsample_param { scale: 2 }', [(2, 3, 4, 5)]),
    layer_case("repeat_thrice", 'type: "Upsample" upsample_param { scale: 3 }', [(2, 4, 5)]),
    layer_case("identity", 'type: "Upsample"', [(2, 3, 4, 5)]),
    *(
        layer_case(name, f'type: "Upsample" upsample_param {{ {options} }}',
                   [(2, 3, 3, 2), places(number, 6, 3, 2)], check_bottom=[0])
        for name, options, number in [
            ("unpool", "", 24), ("unpool_scales", "scale_h: 2 scale_w: 3", 36),
            ("unpool_odd", "scale: 2 pad_out_h: true pad_out_w: true", 15),
            ("unpool_size", "upsample_h: 5 upsample_w: 7", 35),
        ]
    ),
]  # fmt: skip

INTERP = [
    layer_case(name, f'type: "Interp" interp_param {{ {options} }}', [shape])
    for name, options, shape in [
        ("larger", "height: 9 width: 11", (2, 3, 4, 5)),
        ("smaller", "height: 3 width: 2", (2, 3, 7, 6)),
        ("to_one", "height: 1 width: 1", (2, 3, 4, 5)),
        ("from_one", "height: 3 width: 4", (2, 3, 1, 1)),
        ("the_same", "height: 4 width: 5", (2, 3, 4, 5)),
        ("zoom", "zoom_factor: 4", (2, 2, 3, 4)),
        ("shrink", "shrink_factor: 3", (2, 2, 8, 7)),
        ("both", "shrink_factor: 2 zoom_factor: 3", (2, 2, 6, 7)),
        ("cropped", "height: 5 width: 5 pad_beg: -1 pad_end: -2", (2, 2, 7, 8)),
        ("nearest", "height: 7 width: 9 mode: NEAREST", (2, 3, 4, 5)),
        ("nearest_smaller", "height: 3 width: 2 mode: NEAREST pad_beg: -1", (2, 3, 7, 6)),
        ("nearest_one", "height: 1 width: 4 mode: NEAREST", (2, 1, 3, 1)),
    ]
]

# The scales of one image are the batch.
IMRESIZE = [
    layer_case(
        name, f'type: "ImResize" imresize_param {{ {options} }}', [shape],
        without={
            "batch_sizes": "the scales of an image are one item", "rows": "each scale has a place of its own",
        },
    )
    for name, options, shape in [
        ("factor", "factor: 3", (1, 2, 4, 5)),
        ("sizes", "target_spatial_height: 7 target_spatial_width: 4", (1, 3, 5, 6)),
        ("scales", "factor: 2 start_scale: 1 scale_gap: 0.4", (3, 2, 8, 11)),
        ("smaller", "factor: 0.5 start_scale: 0.75", (1, 2, 9, 12)),
    ]
]  # fmt: skip

NMS = [
    layer_case(name, f'type: "Nms" nms_param {{ {options} }}', [shape], gradient=False)
    for name, options, shape in [
        ("plain", "threshold: 0.1 max_peaks: 9 num_parts: 2", (2, 2, 9, 11)),
        ("few", "threshold: -0.5 max_peaks: 1 num_parts: 1", (1, 3, 12, 7)),
        ("none", "threshold: 9 num_parts: 3", (2, 3, 5, 5)),
        ("small", "threshold: 0 num_parts: 1", (2, 1, 2, 3)),
    ]
]

MAXIMUM = [
    layer_case("plain", 'type: "Maximum"', [(2, 3, 4, 5)], gradient=False),
    layer_case("negative", 'type: "Maximum"', [-np.ones((1, 2, 3, 2))], gradient=False),
]


def near_identity(number: int, columns: tuple[int, ...]) -> Callable[[np.random.Generator], np.ndarray]:
    """A function that makes columns of a transformation that is almost none, for each of a number of items."""

    def make(random: np.random.Generator) -> np.ndarray:
        theta = np.array([1.0, 0, 0, 0, 1, 0]) + random.uniform(-0.3, 0.3, (number, 6))
        return np.asarray(theta[:, list(columns)])

    return make


SPATIAL_TRANSFORMER = [
    layer_case("plain", 'type: "SpatialTransformer"', [(2, 3, 4, 5), near_identity(2, tuple(range(6)))],
               batched=(0, 1)),
    layer_case("larger", 'type: "SpatialTransformer" st_param { output_H: 6 output_W: 3 }',
               [(2, 2, 4, 5), near_identity(2, tuple(range(6)))], batched=(0, 1)),
    layer_case("zoom", 'type: "SpatialTransformer" st_param { theta_1_2: 0 theta_1_3: 0.1 theta_2_1: 0 '
               "theta_2_3: -0.2 }", [(3, 1, 5, 4), near_identity(3, (0, 4))], batched=(0, 1)),
    layer_case("no_image_gradient", 'type: "SpatialTransformer" st_param { to_compute_dU: false }',
               [(2, 2, 4, 4), near_identity(2, tuple(range(6)))], batched=(0, 1), check_bottom=[1]),
]  # fmt: skip


segnet = partial(layer_case, inputs=[(4, 3, 2, 5)])

BN = [
    segnet("segnet", f'type: "BN" bn_param {{ {SCALE} }}'),
    segnet("segnet_test", f'type: "BN" bn_param {{ {SCALE} bn_mode: LEARN }}', phase="TEST"),
    segnet("segnet_inference", f'type: "BN" bn_param {{ {SCALE} bn_mode: INFERENCE }}'),
    segnet("weiliu89", f'type: "BN" bn_param {{ {SCALE} var_eps: 0.1 }}'),
    segnet("weiliu89_by_place", f'type: "BN" bn_param {{ {SCALE} across_spatial: false var_eps: 0.01 }}'),
    segnet("yjxiong", f'type: "BN" bn_param {{ {ONES} momentum: 0.8 }}'),
    segnet("yjxiong_test", f'type: "BN" bn_param {{ {ONES} eps: 0.01 }}', parameters=averages(3), phase="TEST"),
    segnet("yjxiong_frozen", f'type: "BN" bn_param {{ {ONES} frozen: true }}', parameters=averages(3)),
    layer_case("two_axes", f'type: "BN" bn_param {{ {ONES} }}', [(6, 3)]),
    layer_case("no_fields", 'type: "BN"', [(4, 3, 2)], parameters=averages(3)),
]

CASES = [
    *DEPTHWISE_CONVOLUTION,
    *CONVOLUTION_DEPTHWISE,
    *RELU6,
    *SHUFFLE_CHANNEL,
    *AXPY,
    *BROADCAST_MUL,
    *UPSAMPLE,
    *INTERP,
    *BN,
    *IMRESIZE,
    *NMS,
    *MAXIMUM,
    *SPATIAL_TRANSFORMER,
]
