"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-rcnn`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bicerin.testing import layer_case

Make = Callable[[np.random.Generator], np.ndarray]

REGIONS = np.array([[0, 0, 0, 40, 24], [1, 8, 4, 30, 30], [1, 60, 60, 90, 90], [0, 20, 5, 12, 2], [0, 5, 7, 5, 7]])
"""In images of 44 x 36 pixels: all of one, a part, one that lies outside, one turned round, one pixel."""


FILLERS = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 }'


def distinct(*shape: int) -> Make:
    """A function that makes values 0.01 apart: no difference taken turns one maximum into another."""
    return lambda random: random.permutation(np.prod(shape)).reshape(shape) * 0.01


def labels(number: int, classes: int) -> Make:
    return lambda random: random.integers(0, classes, number)


def zeros_and_ones(*shape: int) -> Make:
    return lambda random: random.integers(0, 2, shape)


ROI_POOLING = [
    layer_case(name, f'type: "ROIPooling" roi_pooling_param {{ {options} }}', [distinct(2, 3, 9, 11), regions],
               check_bottom=[0], batched=[1])
    for name, options, regions in [
        ("plain", "pooled_h: 2 pooled_w: 3 spatial_scale: 0.25", REGIONS),
        ("fine", "pooled_h: 7 pooled_w: 7 spatial_scale: 0.25", REGIONS),
        ("four_axes", "pooled_h: 1 pooled_w: 1 spatial_scale: 0.25", REGIONS.reshape(5, 5, 1, 1)),
        ("pooled_size", "pooled_size: 3 spatial_scale: 0.25", REGIONS),
        ("unscaled", "pooled_size: 4 pooled_size: 2", REGIONS / [1, 5, 5, 5, 5]),
        ("padded", "pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 pad_ratio: 0.25", REGIONS),
    ]
]  # fmt: skip

ROI_ALIGN = [
    layer_case(name, f'type: "ROIAlign" {options}', [(2, 3, 9, 11), regions], check_bottom=[0], batched=[1])
    for name, options, regions in [
        ("linear", "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 bi_type: 0 }", REGIONS),
        ("cubic", "roi_pooling_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.3 samples: CENTERS }", REGIONS),
        ("padded", "roi_pooling_param { pooled_h: 2 pooled_w: 2 spatial_scale: 0.25 bi_type: 1 pad_ratio: 0.25 }",
         REGIONS.reshape(5, 5, 1, 1)),
        ("corners", "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 samples: CORNERS }", REGIONS),
        ("corners_padded",
         "roi_pooling_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.3 samples: CORNERS pad_ratio: 0.5 }", REGIONS),
        ("averages", "roi_align_param { pooled_h: 2 pooled_w: 3 spatial_scale: 0.25 }", REGIONS),
        ("averages_of_four", "roi_align_param { pooled_h: 3 pooled_w: 2 spatial_scale: 0.3 sampling_ratio: 2 }",
         REGIONS),
    ]
]  # fmt: skip

PSROI_ALIGN = [
    layer_case(name, f'type: "PSROIAlign" psroi_align_param {{ {options} }}', [shape, regions],
               check_bottom=[0], batched=[1])
    for name, options, shape, regions in [
        ("plain", "spatial_scale: 0.25 output_dim: 2 group_size: 3", (2, 18, 9, 11), REGIONS),
        ("one_bin", "spatial_scale: 0.3 output_dim: 4 group_size: 1 sample_num: 3", (2, 4, 9, 11), REGIONS),
        ("fine", "spatial_scale: 0.25 output_dim: 1 group_size: 4 sample_num: 1", (2, 16, 9, 11),
         REGIONS.reshape(5, 5, 1, 1)),
    ]
]  # fmt: skip

PSROI_POOLING = [
    layer_case(name, f'type: "PSROIPooling" psroi_pooling_param {{ {options} }}', [shape, regions],
               check_bottom=[0], batched=[1])
    for name, options, shape, regions in [
        ("plain", "spatial_scale: 0.25 output_dim: 2 group_size: 3", (2, 18, 9, 11), REGIONS),
        ("one_bin", "spatial_scale: 0.25 output_dim: 4 group_size: 1", (2, 4, 9, 11), REGIONS),
        ("fine", "spatial_scale: 0.0625 output_dim: 1 group_size: 4", (2, 16, 3, 3), REGIONS.reshape(5, 5, 1, 1)),
    ]
]  # fmt: skip


def between_pixels(*shape: int) -> Make:
    """Offsets whose places lie between pixels: no difference taken crosses one, where what is read has a kink."""
    return lambda random: random.integers(-3, 3, shape) + random.uniform(0.2, 0.8, shape)


DEFORMABLE_CONVOLUTION = [
    layer_case(name, f'type: "DeformableConvolution" deformable_convolution_param {{ {FILLERS} {options} }}',
               [x, between_pixels(*offsets)])
    for name, options, x, offsets in [
        ("plain", "num_output: 3 kernel_size: 3 pad: 1 deformable_group: 1", (2, 4, 5, 6), (2, 18, 5, 6)),
        ("groups", "num_output: 4 kernel_size: 2 group: 2 deformable_group: 4", (2, 4, 5, 4), (2, 32, 4, 3)),
        ("strided", "num_output: 2 kernel_h: 3 kernel_w: 2 stride: 2 dilation: 2 pad: 1 deformable_group: 2 "
         "bias_term: false", (2, 4, 7, 6), (2, 24, 3, 3)),
    ]
]  # fmt: skip

DEFORMABLE_PSROI_POOLING = [
    layer_case(name, f'type: "DeformablePSROIPooling" deformable_psroi_pooling_param {{ {options} }}',
               [maps, REGIONS, *offsets], check_bottom=[0, 2][: 1 + len(offsets)], batched=[1, 2][: 1 + len(offsets)])
    for name, options, maps, offsets in [
        ("plain", "spatial_scale: 0.25 output_dim: 2 group_size: 3 trans_std: 0.1 sample_per_part: 2",
         (2, 18, 9, 11), [(5, 2, 3, 3)]),
        ("classes", "spatial_scale: 0.3 output_dim: 4 group_size: 2 part_size: 1 trans_std: 0.2",
         (2, 16, 9, 11), [(5, 4, 1, 1)]),
        ("still", "spatial_scale: 0.25 output_dim: 1 group_size: 3 sample_per_part: 4 no_trans: true",
         (2, 9, 9, 11), []),
    ]
]  # fmt: skip

L1_LOSS = [
    layer_case("plain", 'type: "L1Loss"', [(4, 8), (4, 8)], check_bottom=[0, 1]),
    layer_case("maps", 'type: "L1Loss" loss_weight: 2', [(3, 4, 2, 3), (3, 24)], check_bottom=[0, 1]),
]

DECODE_BBOX = [
    layer_case("classes", 'type: "DecodeBBox"', [(5, 12), (5, 3), REGIONS], phase="TEST", gradient=False),
    layer_case(
        "scaled",
        'type: "DecodeBBox" bbox_reg_param { bbox_mean: [0, 0.1, 0, 0] bbox_std: [0.1, 0.1, 0.2, 0.2] }',
        [(5, 8), (5, 2), REGIONS],
        phase="TEST",
        gradient=False,
    ),
    layer_case("cascade", 'type: "DecodeBBox"', [(5, 8), REGIONS.reshape(5, 5, 1, 1)], phase="TEST", gradient=False),
]

# Not in CASES, whose readers run them in TEST, too: there a third bottom is refused, as in the fork.
DECODE_BBOX_IN_TRAINING = [
    layer_case("kept", 'type: "DecodeBBox" decode_bbox_param { gt_iou_thr: 0.7 }',
               [(5, 8), REGIONS, np.array([[0, 0, 0, 0, overlap] for overlap in (0.1, 0.9, 0.6, 0.2, 0.7)])],
               gradient=False, without={"rows": "the top has not the rows of the batch, but those that are kept"}),
]  # fmt: skip

SMOOTH_L1_LOSS = [
    layer_case("plain", 'type: "SmoothL1Loss"', [(4, 8), (4, 8)]),
    layer_case("sigma", 'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 3 }', [(4, 8), (4, 8)]),
    layer_case("maps", 'type: "SmoothL1Loss" loss_weight: 2', [(3, 4, 2, 3), (3, 4, 2, 3)]),
    layer_case("axes_of_one", 'type: "SmoothL1Loss"', [(3, 4, 1, 1), (3, 4)]),
    layer_case("each", 'type: "SmoothL1Loss" top: "loss" top: "each" loss_weight: [1, 0]', [(3, 4, 2), (3, 4, 2)]),
    layer_case("inside", 'type: "SmoothL1Loss"', [(4, 8), (4, 8), zeros_and_ones(4, 8)]),
    layer_case("inside_and_outside", 'type: "SmoothL1Loss" smooth_l1_loss_param { sigma: 2 }', [(4, 8)] * 4),
]

SMOOTH_L1_LOSS_OHEM = [
    layer_case("plain", 'type: "SmoothL1LossOHEM"', [(4, 8), (4, 8)]),
    layer_case("each", 'type: "SmoothL1LossOHEM"', [(2, 4, 3, 2), (2, 4, 3, 2)], tops=2),
    layer_case("weighted", 'type: "SmoothL1LossOHEM" loss_param { normalization: BATCH_SIZE }',
               [(4, 8), (4, 8), zeros_and_ones(4, 8)]),
    layer_case("fixed", 'type: "SmoothL1LossOHEM" loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 9 }',
               [(4, 8, 1, 1), (4, 8), zeros_and_ones(4, 8)]),
    layer_case("whole", 'type: "SmoothL1LossOHEM" loss_param { normalization: NONE }', [(4, 8), (4, 8)], tops=2),
]  # fmt: skip

SOFTMAX_WITH_LOSS_OHEM = [
    layer_case("plain", 'type: "SoftmaxWithLossOHEM"', [(6, 5), labels(6, 5)]),
    layer_case("each", 'type: "SoftmaxWithLossOHEM"', [(6, 5), labels(6, 5)], tops=3),
    layer_case("maps", 'type: "SoftmaxWithLossOHEM" loss_param { normalization: FULL }',
               [(2, 3, 4, 2), lambda random: random.integers(0, 3, (2, 1, 4, 2))], tops=2),
    layer_case("ignored", 'type: "SoftmaxWithLossOHEM" loss_param { ignore_label: -1 }',
               [(6, 5), np.array([0, 4, -1, 2, -1, 1])], tops=3),
    layer_case("axis", 'type: "SoftmaxWithLossOHEM" softmax_param { axis: -1 } '
               "loss_param { normalization: PRE_FIXED pre_fixed_normalizer: 3 }",
               [(2, 4, 3), lambda random: random.integers(0, 3, (2, 4))], tops=3),
]  # fmt: skip

BOX_ANNOTATOR_OHEM = [
    layer_case("plain", 'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 1 }',
               [REGIONS, (5,), labels(5, 3), (5, 8)], tops=2, gradient=False),
    layer_case("four_axes", 'type: "BoxAnnotatorOHEM" box_annotator_ohem_param { roi_per_img: 4 ignore_label: 9 }',
               [(2, 5, 3, 4), (2, 1, 3, 4), (2, 1, 3, 4), (2, 8, 3, 4)], tops=2, gradient=False),
]  # fmt: skip

NUMBERED = {"rows": "its regions name their image by its place in the batch"}

PROPOSAL = [
    layer_case("plain", 'type: "Proposal"', [(2, 18, 4, 5), (2, 36, 4, 5), np.array([[64, 80, 1.0]])],
               gradient=False, batched=[0, 1], without=NUMBERED),
    layer_case("scores", 'type: "Proposal" proposal_param { ratio: 1 scale: 2 min_size: 4 nms_thresh: 0.5 }',
               [(2, 2, 4, 5), (2, 4, 4, 5), np.array([[64, 80, 1.5, 2]])], tops=2, gradient=False,
               batched=[0, 1], without=NUMBERED),
    layer_case("few", 'type: "Proposal" proposal_param { pre_nms_topn: 20 post_nms_topn: 3 feat_stride: 8 }',
               [(2, 18, 4, 5), (2, 36, 4, 5), np.array([[64, 80, 1], [60, 70, 2.0]])], tops=2, gradient=False,
               without=NUMBERED),
]  # fmt: skip

DETECTNET_LABELS = np.zeros((2, 1, 3, 16))
"""Two objects in the first image, one in the second."""
DETECTNET_LABELS[:, 0, 0, :2] = [[2, 16], [1, 16]]
DETECTNET_LABELS[0, 0, 1:, :6] = [[2, 1, 8, 6, 0, 1], [-3, 5, 9, 9, 0, 4]]
DETECTNET_LABELS[1, 0, 1, :6] = 9, 2, 4, 4, 0, 1

DETECTNET_TRANSFORMATION = [
    layer_case(name, 'type: "DetectNetTransformation" detectnet_groundtruth_param { image_size_x: 16 image_size_y: 12 '
               f"stride: 4 {options}", [lambda random: random.uniform(0, 255, (2, 3, 10, 18)), DETECTNET_LABELS],
               tops=2, phase=phase, gradient=False, batched=[0, 1], random=phase == "TRAIN")
    for name, phase, options in [
        ("grid", "TEST", "gridbox_type: GRIDBOX_MIN min_cvg_len: 5 obj_norm: true crop_bboxes: false "
         "object_class { src: 1 dst: 0 } object_class { src: 4 dst: 1 } } transform_param { mean_value: 127 }"),
        ("changed", "TRAIN", "} transform_param { mean_value: 1 mean_value: 2 mean_value: 3 } "
         "detectnet_augmentation_param { shift_x: 4 rotation_prob: 1 max_rotate_degree: 20 hue_rotation_prob: 1 }"),
    ]
]  # fmt: skip

CASES = [
    *ROI_POOLING,
    *PSROI_POOLING,
    *ROI_ALIGN,
    *PSROI_ALIGN,
    *DEFORMABLE_CONVOLUTION,
    *DEFORMABLE_PSROI_POOLING,
    *DECODE_BBOX,
    *DETECTNET_TRANSFORMATION,
    *L1_LOSS,
    *SMOOTH_L1_LOSS,
    *SMOOTH_L1_LOSS_OHEM,
    *SOFTMAX_WITH_LOSS_OHEM,
    *BOX_ANNOTATOR_OHEM,
    *PROPOSAL,
]
