"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-video`."""

from __future__ import annotations

from bicerin.testing import LayerCase, layer_case

FILLED = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "constant" value: 0.3 }'
#: Its rows are of one batch, all reduced to one.
REDUCED = {"rows": "it reduces the axis of the batch", "batch_sizes": "its pieces are of so many rows"}

CONVOLUTION3D = [
    layer_case(name, f'type: "Convolution3D" {where} {{ num_output: 4 {FILLED} {options} }}', [shape])
    for name, where, options, shape in [
        ("plain", "convolution3d_param", "kernel_size: 3 kernel_depth: 2", (2, 2, 3, 4, 5)),
        ("padded", "convolution3d_param", "kernel_size: 3 kernel_depth: 3 pad: 1 temporal_pad: 1", (2, 3, 3, 4, 3)),
        ("strides", "convolution3d_param", "kernel_size: 2 kernel_depth: 3 stride: 2 temporal_stride: 3 "
         "temporal_pad: 2 filter_group: 2 bias_term: false", (2, 2, 4, 5, 4)),
        ("c3d_1_0", "convolution_param", "kernel_size: 3 kernel_depth: 1 pad: 1", (2, 2, 3, 3, 4)),
    ]
]  # fmt: skip

ND_CONVOLUTION = [
    layer_case(name, f'type: "NdConvolution" convolution_param {{ num_output: 4 {FILLED} {options} }}', [shape])
    for name, options, shape in [
        ("three_axes", "kernel_shape { dim: 2 dim: 3 dim: 1 } pad_shape { dim: 1 dim: 1 dim: 0 }", (2, 2, 3, 4, 3)),
        ("strides", "kernel_shape { dim: 1 dim: 2 dim: 2 } stride_shape { dim: 2 dim: 1 dim: 2 }", (2, 2, 4, 3, 5)),
        ("groups", "group: 2 dilation: 2 kernel_shape { dim: 2 dim: 2 }", (2, 4, 4, 5)),
        ("one_axis", "kernel_shape { dim: 3 } bias_term: false", (2, 3, 5)),
    ]
]

POOLING3D = [
    layer_case(name, f'type: "Pooling3D" {where} {{ {options} }}', [shape])
    for name, where, options, shape in [
        ("greatest", "pooling3d_param", "kernel_size: 2 kernel_depth: 2 stride: 2 temporal_stride: 2", (2, 2, 4, 4, 6)),
        ("frames_stay", "pooling3d_param", "kernel_size: 2 kernel_depth: 1 stride: 2", (2, 2, 3, 4, 4)),
        ("frames_alone", "pooling3d_param", "kernel_size: 1 kernel_depth: 3", (2, 2, 5, 2, 3)),
        ("nothing", "pooling3d_param", "kernel_size: 1 kernel_depth: 1", (2, 2, 2, 3, 2)),
        ("over_the_edge", "pooling3d_param", "kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2",
         (2, 1, 5, 4, 6)),
        ("means", "pooling3d_param", "pool: AVE kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2 pad: 1",
         (2, 2, 3, 4, 5)),
        ("c3d_1_0", "pooling_param", "pool: AVE kernel_size: 2 kernel_depth: 2 temporal_stride: 2 stride: 2",
         (2, 2, 3, 5, 4)),
    ]
]  # fmt: skip

ND_POOLING = [
    layer_case(name, f'type: "NdPooling" pooling_param {{ {options} }}', [shape])
    for name, options, shape in [
        ("greatest", "kernel_shape { dim: 1 dim: 2 dim: 2 } stride_shape { dim: 1 dim: 2 dim: 2 }", (2, 2, 3, 5, 4)),
        ("padded", "kernel_shape { dim: 3 dim: 2 dim: 3 } pad_shape { dim: 1 dim: 0 dim: 1 }", (2, 2, 3, 4, 3)),
        ("means", "pool: AVE kernel_shape { dim: 3 dim: 3 } pad_shape { dim: 1 dim: 1 } stride_shape { dim: 2 dim: 1 }",
         (2, 2, 5, 4)),
        ("one_axis", "kernel_shape { dim: 3 } stride_shape { dim: 2 }", (2, 2, 7)),
        ("four_axes", "pool: AVE kernel_shape { dim: 2 dim: 1 dim: 2 dim: 2 }", (2, 1, 3, 2, 3, 3)),
        ("global", "pool: AVE global_pooling: true", (2, 3, 2, 3, 2)),
    ]
]  # fmt: skip

GATHER = [
    layer_case("one", 'type: "Gather"', [(2, 3)]),
    layer_case("two", 'type: "Gather" top: "x" top: "y"', [(2, 3), (2, 1, 4)]),
]

SCATTER = [
    layer_case("one", 'type: "Scatter"', [(4, 3)]),
    layer_case("two", 'type: "Scatter" top: "x" top: "y"', [(2, 3, 2, 2), (2, 2)]),
]

BATCH_REDUCTION = [
    layer_case(name, f'type: "BatchReduction" batch_reduction_param {{ {options} }}', [shape], without=without)
    for name, options, shape, without in [
        ("sum", "reduction_param { axis: 1 }", (2, 4, 3), {}),
        ("mean_of_the_batch", "reduction_param { operation: MEAN }", (4, 3), REDUCED),
        ("levels", "level: [1, 2, 1] reduction_param { operation: MEAN axis: 1 }", (3, 6, 2), {}),
        ("one_level", "level: 2 reduction_param { operation: SUM axis: -1 }", (3, 2, 4), {}),
        ("greatest", "reduction_param { operation: TOPK k: 2 axis: 1 }", (2, 5, 3), {}),
        ("greatest_of_levels", "level: [1, 2] reduction_param { operation: TOPK axis: 1 }", (2, 5, 3), {}),
        ("diagonal", "pos: true reduction_param { operation: MEAN axis: 1 }", (2, 3, 3, 2), {}),
        (
            "levels_of_a_diagonal",
            "pos: true level: [1, 1] reduction_param { operation: TOPK axis: 1 }",
            (2, 2, 2, 3),
            {},
        ),
    ]
]

CASES: list[LayerCase] = [
    *CONVOLUTION3D,
    *ND_CONVOLUTION,
    *POOLING3D,
    *ND_POOLING,
    *GATHER,
    *SCATTER,
    *BATCH_REDUCTION,
]
