"""Convolutions with the rectifier that Intel's fork puts into them."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.testing import run_layer

OPTIONS = 'num_output: 4 kernel_size: 3 weight_filler { type: "xavier" } bias_filler { value: 0.1 }'


@pytest.mark.parametrize("slope", [0, 0.5])
def test_a_rectified_convolution_is_one_with_its_negative_sums_multiplied(slope: float, device: str) -> None:
    x = np.random.default_rng(1).normal(size=(2, 3, 6, 5))
    plain, rectified = (
        run_layer(f'type: "Convolution" convolution_param {{ {OPTIONS} {options} }}', [x], seed=3, device=device)
        for options in ("", f"relu: true negative_slope: {slope}")
    )
    for run in (plain, rectified):
        run.forward()
    sums = np.asarray(plain.top[0].data)
    np.testing.assert_allclose(rectified.top[0].data, np.where(sums > 0, sums, slope * sums), rtol=1e-5, atol=1e-6)
    diff = np.random.default_rng(2).normal(size=sums.shape).astype(np.float32)
    plain.top[0].diff[...] = np.where(sums > 0, diff, slope * diff)
    rectified.top[0].diff[...] = diff
    for run in (plain, rectified):
        run.backward()
    np.testing.assert_array_equal(rectified.top[0].diff, diff)
    for ours, theirs in zip([*rectified.bottom, *rectified.blobs], [*plain.bottom, *plain.blobs], strict=True):
        np.testing.assert_allclose(ours.diff, theirs.diff, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("layer_type", "options", "words"),
    [
        ("Convolution", "negative_slope: 0.1", "is of relu: true"),
        ("Convolution", "relu: true negative_slope: -0.1", "must not be negative"),
        ("Deconvolution", "relu: true", "give a ReLU layer"),
    ],
)
def test_relu_that_cannot_be(layer_type: str, options: str, words: str) -> None:
    text = f'type: "{layer_type}" convolution_param {{ num_output: 1 kernel_size: 1 {options} }}'
    with pytest.raises(LayerError, match=words):
        run_layer(text, [np.ones((1, 1, 2, 2))])
