"""The cases that prove the layers: for the tests, and for `bicerin plugins check bicerin-segmentation`."""

from __future__ import annotations

import numpy as np

from bicerin.testing import layer_case

UNPOOLING = [
    layer_case(name, f'type: "UnPooling" unpooling_param {{ {options} }}', [(2, 3, 4, 3)])
    for name, options in [
        ("fixed", "out_kernel_size: 2 out_stride: 2"),
        ("fixed_odd", "unpool: FIXED out_kernel_h: 3 out_kernel_w: 4 out_stride: 2 out_pad: 1"),
        ("in_one_place", "out_kernel_size: 5 out_stride: 1 out_pad: 3"),
        ("rep", "unpool: REP out_kernel_size: 2 out_stride: 2"),
        ("rep_overlapping", "unpool: REP out_kernel_size: 4 out_stride_h: 2 out_stride_w: 3 out_pad_h: 1 out_pad_w: 0"),
        ("rep_apart", "unpool: REP out_kernel_size: 2 out_stride: 3"),
        ("div", "unpool: DIV out_kernel_size: 3 out_stride: 2 out_pad: 1"),
    ]
]  # fmt: skip
UNPOOLING += [
    layer_case("like_another", 'type: "UnPooling" unpooling_param { unpool: REP }', [(2, 3, 3, 2), (2, 1, 6, 5)],
               batched=(0, 1), check_bottom=(0,)),
    layer_case("values", 'type: "UnPooling" unpooling_param { unpool: DIV out_kernel_size: 2 out_stride: 1 }',
               [np.array([[[[4.0, 8.0]]]])],
               expected=[np.array([[[[1.0, 1.5, 2.0], [1.0, 1.5, 2.0]]]])]),
]  # fmt: skip

CASES = UNPOOLING
