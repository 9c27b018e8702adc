"""Numeric gradients, over the options and the number of spatial axes."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.testing import check_gradient

CONVOLUTIONS = {
    "plain": ((2, 3, 5, 6), "num_output: 4 kernel_size: 3"),
    "pad": ((2, 3, 5, 6), "num_output: 4 kernel_size: 3 pad: 1"),
    "pad wider than the kernel": ((1, 2, 3, 4), "num_output: 2 kernel_size: 2 pad: 3"),
    "stride": ((2, 3, 7, 6), "num_output: 4 kernel_size: 3 stride: 2"),
    "stride past the kernel": ((2, 2, 7, 8), "num_output: 3 kernel_size: 2 stride: 3"),
    "stride leaves a border": ((1, 2, 8, 7), "num_output: 3 kernel_size: 3 stride: 2 pad: 1"),
    "dilation": ((1, 2, 7, 8), "num_output: 3 kernel_size: 3 dilation: 2 pad: 2"),
    "dilation by axis": ((1, 2, 7, 8), "num_output: 3 kernel_size: 2 dilation: 3 dilation: 1 stride: 2 stride: 1"),
    "rectangle": ((1, 3, 6, 7), "num_output: 2 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 0 pad_w: 1"),
    "no bias": ((2, 3, 5, 6), "num_output: 4 kernel_size: 3 bias_term: false"),
    "groups": ((2, 4, 5, 4), "num_output: 6 kernel_size: 3 group: 2 pad: 1"),
    "depthwise": ((2, 3, 5, 4), "num_output: 3 kernel_size: 3 group: 3 pad: 1"),
    "depthwise with a multiplier": ((2, 3, 5, 4), "num_output: 6 kernel_size: 3 group: 3 stride: 2 pad: 1"),
    "pointwise": ((2, 3, 4, 5), "num_output: 4 kernel_size: 1"),
    "pointwise stride": ((2, 3, 4, 5), "num_output: 4 kernel_size: 1 stride: 2"),
    "pointwise groups": ((2, 4, 3, 3), "num_output: 6 kernel_size: 1 group: 2"),
    "one axis": ((2, 3, 8), "num_output: 4 kernel_size: 3 pad: 1"),
    "three axes": ((1, 2, 3, 4, 3), "num_output: 2 kernel_size: 2 pad: 1 stride: 2 stride: 1 stride: 1"),
    "four axes": ((1, 2, 2, 3, 2, 3), "num_output: 2 kernel_size: 2 pad: 1"),
    "no axis": ((4, 3), "num_output: 5 kernel_size: 1"),
    "axis 2": ((2, 2, 3, 4, 4), "axis: 2 num_output: 2 kernel_size: 2 pad: 1"),
    "axis -3": ((2, 2, 3, 4, 4), "axis: -3 num_output: 2 kernel_size: 2"),
    "axis 0": ((3, 4, 4), "axis: 0 num_output: 2 kernel_size: 3"),
    "force_nd_im2col": ((2, 3, 5, 6), "num_output: 4 kernel_size: 3 pad: 1 force_nd_im2col: true"),
    "engine": ((2, 3, 5, 6), "num_output: 2 kernel_size: 3 engine: CUDNN"),
    "kernel as large as the input": ((2, 3, 4, 5), "num_output: 2 kernel_size: 4 kernel_size: 5"),
    "large kernel, stride 4": ((1, 2, 13, 14), "num_output: 3 kernel_size: 7 stride: 4"),
}


@pytest.mark.parametrize("type_name", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize(("shape", "options"), CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def test_gradient(type_name: str, shape: tuple[int, ...], options: str, device: str) -> None:
    if type_name == "Deconvolution" and options == "num_output: 2 kernel_size: 2 pad: 3":
        options = "num_output: 2 kernel_size: 2 pad: 1"
    x = np.random.default_rng(0).uniform(-1, 1, shape)
    filler = 'weight_filler { type: "gaussian" std: 0.5 } bias_filler { type: "constant" value: 0.3 }'
    check_gradient(f'type: "{type_name}" convolution_param {{ {options} {filler} }}', [x], device=device)


@pytest.mark.parametrize("type_name", ["Convolution", "Deconvolution"])
def test_gradient_of_two_bottoms(type_name: str, device: str) -> None:
    random = np.random.default_rng(0)
    options = 'num_output: 3 kernel_size: 2 pad: 1 stride: 2 weight_filler { type: "gaussian" std: 0.5 }'
    check_gradient(
        f'type: "{type_name}" convolution_param {{ {options} }}',
        [random.normal(size=(2, 2, 4, 5)) for _ in "ab"],
        tops=2,
        device=device,
    )


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((2, 3, 5, 6), "kernel_size: 3 pad: 1 stride: 2"),
        ((2, 2, 7), "kernel_size: 3 dilation: 2"),
        ((1, 2, 3, 4, 3), "kernel_size: 2 pad: 1"),
        ((2, 2, 2, 5, 5), "axis: 2 kernel_h: 2 kernel_w: 3"),
    ],
)
def test_gradient_of_im2col(shape: tuple[int, ...], options: str, device: str) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    check_gradient(f'type: "Im2col" convolution_param {{ {options} }}', [x], device=device)
