"""Convolution3D, NdConvolution, Pooling3D and NdPooling against their formulas, written again; what layers refuse."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import bicerin


def convolved(x: np.ndarray, weights: np.ndarray, bias: np.ndarray, stride: Any, pad: Any) -> np.ndarray:
    """The sums of products under each place of the kernel."""
    x = np.pad(x, [(0, 0), (0, 0), *((p, p) for p in pad)])
    kernel = weights.shape[2:]
    shape = [(size - k) // s + 1 for size, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    y = np.empty((len(x), len(weights), *shape))
    for place in product(*map(range, shape)):
        part = tuple(slice(i * s, i * s + k) for i, s, k in zip(place, stride, kernel, strict=True))
        y[(..., *place)] = np.tensordot(x[(..., *part)], weights, (range(1, x.ndim), range(1, x.ndim))) + bias
    return y


def pooled(x: np.ndarray, kernel: Any, stride: Any, pad: Any, numbers: Any, reduce: Callable[..., Any]) -> np.ndarray:
    """Each window reduced; that of AVE is as large as it is within size + pad."""
    y = np.empty((*x.shape[:2], *numbers))
    for place in product(*map(range, numbers)):
        starts = [i * s - p for i, s, p in zip(place, stride, pad, strict=True)]
        area = np.prod([min(b + k, n + p) - b for b, k, n, p in zip(starts, kernel, x.shape[2:], pad, strict=True)])
        part = tuple(slice(max(b, 0), b + k) for b, k in zip(starts, kernel, strict=True))
        window = x[(..., *part)].reshape(*x.shape[:2], -1)
        y[(..., *place)] = window.sum(2) / area if reduce is np.mean else window.max(2)
    return y


@pytest.mark.parametrize(("text", "shape", "kernel", "stride", "pad"), [
    ('type: "Convolution3D" convolution3d_param { num_output: 3 kernel_size: 3 kernel_depth: 2 pad: 1 stride: 2 '
     'temporal_pad: 1 temporal_stride: 3 weight_filler { type: "gaussian" } }',
     (2, 2, 5, 6, 4), (2, 3, 3), (3, 2, 2), (1, 1, 1)),
    ('type: "Convolution3D" convolution_param { num_output: 3 kernel_size: 2 kernel_depth: 3 temporal_pad: 1 '
     'weight_filler { type: "gaussian" } }', (2, 2, 3, 4, 5), (3, 2, 2), (1, 1, 1), (1, 0, 0)),
    ('type: "NdConvolution" convolution_param { num_output: 3 kernel_shape { dim: 3 dim: 1 dim: 2 } '
     'pad_shape { dim: 1 dim: 0 dim: 1 } stride_shape { dim: 1 dim: 2 dim: 1 } weight_filler { type: "gaussian" } }',
     (2, 3, 4, 5, 3), (3, 1, 2), (1, 2, 1), (1, 0, 1)),
], ids=["Convolution3D", "c3d_1_0", "NdConvolution"])  # fmt: skip
def test_convolutions(text: str, shape: Any, kernel: Any, stride: Any, pad: Any, run_layer: Callable[..., Any]) -> None:
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    run = run_layer(text, [x])
    run.forward()
    weights, bias = (blob.data for blob in run.blobs)
    assert weights.shape == (3, shape[1], *kernel) and bias.shape == (3,)
    np.testing.assert_allclose(run.top[0].data, convolved(x, weights, bias, stride, pad), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("text", "shape", "kernel", "stride", "pad", "numbers"), [
    ("Pooling3D pooling3d_param kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2",
     (2, 3, 5, 6, 4), (2, 3, 3), (2, 2, 2), (0, 0, 0), (3, 3, 2)),
    ("Pooling3D pooling3d_param pool: AVE kernel_size: 3 kernel_depth: 2 stride: 2 temporal_stride: 2 pad: 1",
     (2, 3, 5, 6, 4), (2, 3, 3), (2, 2, 2), (0, 1, 1), (3, 4, 3)),
    ("NdPooling pooling_param kernel_shape { dim: 2 dim: 3 dim: 3 } stride_shape { dim: 2 dim: 2 dim: 2 } "
     "pad_shape { dim: 0 dim: 1 dim: 1 }", (2, 3, 5, 6, 4), (2, 3, 3), (2, 2, 2), (0, 1, 1), (2, 3, 2)),
    ("NdPooling pooling_param pool: AVE kernel_shape { dim: 2 dim: 1 dim: 2 dim: 2 } pad_shape { dim: 1 dim: 0 dim: 1 "
     "dim: 0 }", (2, 2, 2, 3, 3, 2), (2, 1, 2, 2), (1, 1, 1, 1), (1, 0, 1, 0), (3, 3, 4, 1)),
])  # fmt: skip
def test_poolings(
    text: str, shape: Any, kernel: Any, stride: Any, pad: Any, numbers: Any, run_layer: Callable[..., Any]
) -> None:
    kind, where, options = text.split(" ", 2)
    x = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    run = run_layer(f'type: "{kind}" {where} {{ {options} }}', [x])
    run.forward()
    expected = pooled(x, kernel, stride, pad, numbers, np.mean if "AVE" in text else np.max)
    np.testing.assert_allclose(run.top[0].data, expected, rtol=1e-4, atol=1e-5)


def test_of_equal_values_the_first_has_the_gradient(run_layer: Callable[..., Any]) -> None:
    run = run_layer('type: "Pooling3D" pooling3d_param { kernel_size: 2 kernel_depth: 2 }', [np.ones((1, 1, 2, 2, 2))])
    run.forward()
    run.top[0].diff[...] = 3
    run.backward()
    assert run.bottom[0].diff.reshape(-1).tolist() == [3, *[0] * 7]


@pytest.mark.parametrize(("text", "shape", "reason"), [
    ('type: "Convolution3D" convolution3d_param { num_output: 2 kernel_size: 1 kernel_depth: 1 group: 2 }',
     (1, 2, 1, 1, 1), "C3D knows no groups"),
    ('type: "Convolution3D" convolution3d_param { num_output: 3 kernel_size: 1 kernel_depth: 1 filter_group: 2 }',
     (1, 2, 1, 1, 1), "a multiple of filter_group 2"),
    ('type: "Convolution3D" convolution3d_param { num_output: 3 kernel_size: 1 kernel_depth: 1 }', (1, 2, 3, 3),
     "N, C, L, H, W"),
    ('type: "Convolution3D" convolution3d_param { num_output: 3 } convolution_param { kernel_depth: 1 }',
     (1, 2, 1, 3, 3), "not both"),
    ('type: "NdConvolution" convolution_param { num_output: 3 kernel_size: 3 }', (1, 2, 4, 4), "no kernel_shape"),
    ('type: "NdConvolution" convolution_param { num_output: 3 kernel_shape { dim: 3 } }', (1, 2, 4, 4),
     "1 sizes, and the bottom 2"),
    ('type: "NdConvolution" convolution_param { num_output: 3 kernel_shape { dim: 3 dim: 3 } pad: 1 }', (1, 2, 4, 4),
     "give pad_shape"),
    ('type: "Pooling3D" pooling3d_param { pool: STOCHASTIC kernel_size: 1 kernel_depth: 1 }', (1, 2, 1, 3, 3),
     "STOCHASTIC"),
    ('type: "Pooling3D" pooling3d_param { kernel_size: 3 kernel_depth: 1 pad: 1 }', (1, 2, 1, 3, 3),
     "only for average pooling"),
    ('type: "Pooling3D" pooling3d_param { kernel_size: 3 }', (1, 2, 1, 3, 3), "kernel must be greater than 0"),
    ('type: "Pooling3D" pooling3d_param { kernel_size: 3 kernel_depth: 3 }', (1, 2, 3, 3), "N, C, L, H, W"),
    ('type: "NdPooling" pooling_param { kernel_size: 3 }', (1, 2, 3, 3), "no kernel_shape"),
    ('type: "NdPooling" pooling_param { kernel_shape { dim: 2 dim: 2 } stride: 2 }', (1, 2, 3, 3), "give stride_shape"),
    ('type: "NdPooling" pooling_param { kernel_shape { dim: 2 dim: 4 } }', (1, 2, 3, 3), "no window fits"),
    ('type: "NdPooling" pooling_param { kernel_shape { dim: 2 dim: 2 } round_mode: CEIL }', (1, 2, 3, 3), "CEIL"),
    ('type: "Pooling3D" pooling_param { kernel_depth: 1 kernel_size: 2 kernel_h: 3 global_pooling: true }',
     (1, 2, 1, 3, 3), "global_pooling, kernel_h of pooling_param is not known to C3D"),
    ('type: "Pooling3D" pooling_param { kernel_depth: 1 kernel_size: 2 round_mode: FLOOR }', (1, 2, 1, 3, 3),
     "round_mode of pooling_param is not known"),
    ('type: "BatchReduction" batch_reduction_param { reduction_param { operation: ASUM } }', (3, 2), "ASUM"),
    ('type: "BatchReduction" batch_reduction_param { reduction_param { coeff: 2 } }', (3, 2), "no coeff"),
    ('type: "BatchReduction" batch_reduction_param { reduction_param { operation: TOPK k: 4 } }', (3, 2), "k = 4"),
    ('type: "BatchReduction" batch_reduction_param { level: 1 level: 2 }', (3, 2), "of 5 rows; axis 0 has 3"),
    ('type: "BatchReduction" batch_reduction_param { pos: true }', (3, 2), "of one length"),
])  # fmt: skip
def test_what_is_refused(text: str, shape: Any, reason: str, run_layer: Callable[..., Any]) -> None:
    with pytest.raises(bicerin.BicerinError, match=reason):
        run_layer(text, [np.zeros(shape)])
