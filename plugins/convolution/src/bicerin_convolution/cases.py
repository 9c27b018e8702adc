"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-convolution`."""

from __future__ import annotations

import numpy as np

from bicerin.testing import layer_case

FILLED = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "constant" value: 0.3 }'

#: A name, the options, and the bottom's shape: for Convolution and for Deconvolution.
CONVOLUTIONS: list[tuple[str, str, tuple[int, ...]]] = [
    ("plain", "num_output: 4 kernel_size: 3", (2, 3, 5, 6)),
    ("padded", "num_output: 4 kernel_size: 3 pad: 1", (2, 3, 5, 6)),
    ("kernel_of_5", "num_output: 3 kernel_size: 5 pad: 2", (2, 2, 6, 5)),
    ("without_bias", "num_output: 4 kernel_size: 3 bias_term: false", (2, 3, 5, 6)),
    ("stride", "num_output: 4 kernel_size: 3 stride: 2 pad: 1", (2, 3, 7, 6)),
    ("stride_past_the_kernel", "num_output: 3 kernel_size: 2 stride: 3", (2, 2, 7, 8)),
    ("dilated", "num_output: 3 kernel_size: 3 dilation: 2 pad: 2", (2, 2, 7, 8)),
    (
        "oblong",
        "num_output: 3 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0",
        (2, 2, 5, 6),
    ),
    ("groups", "num_output: 6 kernel_size: 3 group: 2", (2, 4, 5, 4)),
    ("by_channel", "num_output: 3 kernel_size: 3 group: 3 pad: 1", (2, 3, 5, 4)),
    ("pointwise", "num_output: 4 kernel_size: 1", (2, 3, 4, 5)),
    ("one_axis", "num_output: 4 kernel_size: 3 pad: 1", (2, 3, 8)),
    ("three_axes", "num_output: 2 kernel_size: 2 pad: 1 stride: 2 stride: 1 stride: 1", (2, 2, 3, 4, 3)),
    ("no_axis", "num_output: 5 kernel_size: 1", (4, 3)),
    ("axis_2", "axis: 2 num_output: 2 kernel_size: 2 pad: 1", (2, 2, 3, 4, 4)),
]

RECTIFIED: list[tuple[str, str, list[tuple[int, ...]]]] = [
    ("relu", "num_output: 4 kernel_size: 3 pad: 1 relu: true", [(2, 3, 4, 5)]),
    ("leaky", "num_output: 4 kernel_size: 1 group: 2 relu: true negative_slope: 0.25", [(2, 4, 3, 3), (2, 4, 3, 3)]),
    ("one_axis", "num_output: 3 kernel_size: 3 stride: 2 bias_term: false relu: true", [(2, 2, 7)]),
]

UNFOLDINGS: list[tuple[str, str, tuple[int, ...]]] = [
    ("stride", "kernel_size: 3 pad: 1 stride: 2", (2, 3, 5, 6)),
    ("one_axis", "kernel_size: 3 dilation: 2", (2, 2, 7)),
    ("three_axes", "kernel_size: 2 pad: 1", (2, 2, 3, 4, 3)),
    ("axis_2", "axis: 2 kernel_h: 2 kernel_w: 3", (2, 2, 2, 5, 5)),
]

CASES = [
    layer_case(
        f"{layer_type.lower()}_{name}",
        f'type: "{layer_type}" convolution_param {{ {options} {FILLED} }}',
        [shape],
    )
    for layer_type in ("Convolution", "Deconvolution")
    for name, options, shape in CONVOLUTIONS
]

CASES += [
    layer_case(
        f"convolution_rectified_{name}",
        f'type: "Convolution" convolution_param {{ {options} {FILLED} }}',
        shapes,
        tops=len(shapes),
    )
    for name, options, shapes in RECTIFIED
]

CASES += [
    layer_case(
        f"{layer_type.lower()}_of_two_bottoms",
        f'type: "{layer_type}" convolution_param {{ num_output: 3 kernel_size: 2 pad: 1 stride: 2 {FILLED} }}',
        [(2, 2, 4, 5), (2, 2, 4, 5)],
        tops=2,
    )
    for layer_type in ("Convolution", "Deconvolution")
]

CASES += [
    layer_case(f"im2col_{name}", f'type: "Im2col" convolution_param {{ {options} }}', [shape])
    for name, options, shape in UNFOLDINGS
]

CASES += [
    layer_case(
        "convolution_values",
        'type: "Convolution" convolution_param { num_output: 1 kernel_size: 2 }',
        [np.arange(6.0).reshape(1, 1, 2, 3)],
        parameters=[np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), np.array([0.5])],
        # 0 + 2 * 1 + 3 * 3 + 4 * 4, and 1 + 2 * 2 + 3 * 4 + 4 * 5; with the bias.
        expected=[np.array([[[[27.5, 37.5]]]])],
    ),
    layer_case(
        "deconvolution_values",
        'type: "Deconvolution" convolution_param { num_output: 1 kernel_size: 2 bias_term: false }',
        [np.array([[[[1.0, 10.0]]]])],
        parameters=[np.array([[[[1.0, 2.0], [3.0, 4.0]]]])],
        # Where the two kernels overlap, 1 * 2 + 10 * 1 and 1 * 4 + 10 * 3.
        expected=[np.array([[[[1.0, 12.0, 20.0], [3.0, 34.0, 40.0]]]])],
    ),
    layer_case(
        "im2col_values",
        'type: "Im2col" convolution_param { kernel_h: 1 kernel_w: 2 }',
        [np.array([[[[1.0, 2.0, 3.0]]]])],
        # By element of the kernel, and then by position.
        expected=[np.array([[[[1.0, 2.0]], [[2.0, 3.0]]]])],
    ),
]

LOCAL_FILLERS = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 }'

CASES += [
    layer_case(f"local_{name}", f'type: "Local" local_param {{ {options} {LOCAL_FILLERS} }}', [shape])
    for name, options, shape in [
        ("plain", "num_output: 3 kernel_size: 3", (2, 2, 5, 4)),
        ("stride", "num_output: 2 kernel_size: 2 stride: 2 pad: 1", (3, 1, 4, 5)),
        ("no_bias", "num_output: 4 kernel_size: 1 bias_term: false", (1, 3, 2, 2)),
    ]
]
