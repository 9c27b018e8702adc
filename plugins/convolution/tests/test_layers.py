"""Options, shapes and errors of the layers."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bicerin.errors import BicerinError, BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin.testing.run import LayerRun

GAUSSIAN = 'weight_filler { type: "gaussian" std: 1 } bias_filler { type: "constant" value: 0.5 }'


def layer(type_name: str, options: str, *shapes: tuple[int, ...], **keywords: object) -> LayerRun:
    random = np.random.default_rng(0)
    inputs = [random.normal(size=shape) for shape in shapes]
    definition = f'name: "layer" type: "{type_name}" convolution_param {{ {options} }}'
    return run_layer(definition, inputs, tops=len(inputs), **keywords)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("type_name", "options", "bottom", "top", "weights"),
    [
        ("Convolution", "num_output: 4 kernel_size: 3", (2, 3, 7, 6), (2, 4, 5, 4), (4, 3, 3, 3)),
        ("Convolution", "num_output: 4 kernel_size: 3 stride: 2 pad: 1", (2, 3, 7, 6), (2, 4, 4, 3), (4, 3, 3, 3)),
        ("Convolution", "num_output: 4 kernel_size: 3 dilation: 2", (2, 3, 7, 6), (2, 4, 3, 2), (4, 3, 3, 3)),
        ("Convolution", "num_output: 4 kernel_size: 3 group: 2", (2, 6, 7, 6), (2, 4, 5, 4), (4, 3, 3, 3)),
        ("Convolution", "num_output: 4 kernel_h: 3 kernel_w: 1", (2, 3, 7, 6), (2, 4, 5, 6), (4, 3, 3, 1)),
        ("Convolution", "num_output: 4 kernel_size: 2 kernel_size: 3", (2, 3, 7, 6), (2, 4, 6, 4), (4, 3, 2, 3)),
        ("Convolution", "num_output: 4 kernel_size: 2 axis: 2", (2, 5, 3, 6), (2, 5, 4, 5), (4, 3, 2)),
        ("Convolution", "num_output: 4 kernel_size: 2", (2, 3, 4, 5, 6), (2, 4, 3, 4, 5), (4, 3, 2, 2, 2)),
        ("Deconvolution", "num_output: 4 kernel_size: 3", (2, 3, 5, 4), (2, 4, 7, 6), (3, 4, 3, 3)),
        ("Deconvolution", "num_output: 4 kernel_size: 4 stride: 2 pad: 1", (2, 3, 5, 4), (2, 4, 10, 8), (3, 4, 4, 4)),
        ("Deconvolution", "num_output: 6 kernel_size: 2 group: 3", (2, 3, 5, 4), (2, 6, 6, 5), (3, 2, 2, 2)),
        ("Deconvolution", "num_output: 4 kernel_size: 2 dilation: 3", (2, 3, 5), (2, 4, 8), (3, 4, 2)),
    ],
)
def test_shapes(type_name: str, options: str, bottom: tuple, top: tuple, weights: tuple) -> None:
    run = layer(type_name, options, bottom)
    assert run.top[0].shape == top
    assert [blob.shape for blob in run.blobs] == [weights, (top[run.layer.axis],)]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "bottom", "message"),
    [
        ("kernel_size: 3", (1, 2, 5, 5), "num_output must be at least 1"),
        ("num_output: 2", (1, 2, 5, 5), "kernel_size must be specified once, or once per spatial dimension"),
        (
            "num_output: 2 kernel_size: 3 kernel_size: 3 kernel_size: 3",
            (1, 2, 5, 5),
            "specified 3 times; 2 spatial dims",
        ),
        ("num_output: 2 kernel_size: 3 kernel_h: 3 kernel_w: 3", (1, 2, 5, 5), "Either kernel_size or kernel_h/w"),
        ("num_output: 2 kernel_h: 3 kernel_w: 3", (1, 2, 5), "kernel_h & kernel_w can only be used for 2D convolution"),
        ("num_output: 2 kernel_h: 3", (1, 2, 5, 5), "Filter dimensions must be nonzero"),
        ("num_output: 2 kernel_size: 0", (1, 2, 5, 5), "Filter dimensions must be nonzero"),
        ("num_output: 2 kernel_size: 3 stride: 0", (1, 2, 5, 5), "Stride dimensions must be nonzero"),
        ("num_output: 2 kernel_size: 3 stride_h: 2", (1, 2, 5, 5), "Stride dimensions must be nonzero"),
        ("num_output: 2 kernel_size: 3 stride: 1 stride_h: 1", (1, 2, 5, 5), "Either stride or stride_h/w"),
        ("num_output: 2 kernel_size: 3 pad: 1 pad_w: 1", (1, 2, 5, 5), "Either pad or pad_h/w"),
        ("num_output: 2 kernel_size: 3 pad_w: 1", (1, 2, 5), "pad_h & pad_w can only be used for 2D convolution"),
        (
            "num_output: 2 kernel_size: 1 dilation: 1 dilation: 1 dilation: 1",
            (1, 2, 5, 5),
            "dilation must be specified",
        ),
        ("num_output: 2 kernel_size: 3 group: 2", (1, 3, 5, 5), "the channels (3) must be a multiple of group (2)"),
        ("num_output: 3 kernel_size: 3 group: 2", (1, 4, 5, 5), "Number of output should be multiples of group"),
        ("num_output: 2 kernel_size: 3 group: 0", (1, 4, 5, 5), "must be a multiple of group (0)"),
        ("num_output: 2 kernel_size: 6", (1, 2, 5, 7), "a kernel of 6x6 is larger than the padded input: 5x7"),
        ("num_output: 2 kernel_size: 3 dilation: 3", (1, 2, 5, 7), "3x3 with dilation 3x3 (7x7) is larger"),
        ("num_output: 2 kernel_size: 3 axis: 4", (1, 2, 5, 5), "axis 4 is out of range"),
        ("num_output: 2 kernel_size: 3", (1, 0, 5, 5), "the bottom has no channels: axis 1 of its shape (1, 0, 5, 5)"),
    ],
)
def test_errors_of_convolution(options: str, bottom: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer("Convolution", options, bottom)


def test_errors_of_deconvolution() -> None:
    with pytest.raises(ShapeError, match="the output would have the size 0x2"):
        layer("Deconvolution", "num_output: 2 kernel_size: 2 pad: 1", (1, 2, 1, 3))


def test_errors_of_im2col() -> None:
    with pytest.raises(ShapeError, match="at least one spatial axis"):
        layer("Im2col", "kernel_size: 2", (1, 2))
    with pytest.raises(BlobCountError, match="Im2col Layer takes 1 bottom"):
        layer("Im2col", "kernel_size: 2", (1, 2, 3, 3), (1, 2, 3, 3))


def test_bottoms_must_have_one_shape() -> None:
    with pytest.raises(
        ShapeError, match=re.escape("shape mismatch - bottom[0]: (1, 2, 5, 5) vs. bottom[1]: (2, 2, 5, 5)")
    ):
        layer("Convolution", "num_output: 2 kernel_size: 3", (1, 2, 5, 5), (2, 2, 5, 5))


def test_it_cannot_work_in_place() -> None:
    with pytest.raises(LayerError, match="does not allow in-place computation"):
        layer("Convolution", "num_output: 2 kernel_size: 1", (1, 2, 5, 5), in_place=True)
    with pytest.raises(LayerError, match="does not allow in-place computation"):
        layer("Im2col", "kernel_size: 1", (1, 2, 5, 5), in_place=True)


def test_the_bottom_may_change_its_size_but_not_its_channels() -> None:
    run = layer("Convolution", f"num_output: 2 kernel_size: 3 pad: 1 {GAUSSIAN}", (2, 3, 6, 5))
    small, first = run.bottom[0].data.copy(), None
    for shape in ((2, 3, 6, 5), (5, 3, 9, 8), (1, 3, 4, 4), (0, 3, 4, 4), (2, 3, 6, 5)):
        run.bottom[0].reshape(*shape)
        run.bottom[0].data[...] = np.resize(small, shape)
        run.forward()
        assert run.top[0].shape == (shape[0], 2, *shape[2:])
        if first is None:
            first = run.top[0].data.copy()
    assert np.array_equal(run.top[0].data, first)
    run.bottom[0].reshape(2, 4, 6, 5)
    with pytest.raises(ShapeError, match="Input size incompatible with convolution kernel: 4 channels, expected 3"):
        run.forward()
    run.bottom[0].reshape(2, 3, 6)
    with pytest.raises(ShapeError, match="bottom num_axes may not change"):
        run.forward()


@pytest.mark.parametrize("type_name", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("images", [0, 1])
def test_batches_of_none_and_of_one(type_name: str, images: int) -> None:
    options = f"num_output: 3 kernel_size: 3 pad: 1 {GAUSSIAN}"
    run = layer(type_name, options, (images, 2, 6, 5))
    pair = layer(type_name, options, (2, 2, 6, 5))
    run.forward()
    run.top[0].diff[...] = 1
    run.backward()
    assert run.top[0].shape == (images, 3, 6, 5)
    if images:
        pair.bottom[0].data[0] = run.bottom[0].data[0]
        for mine, theirs in zip(run.blobs, pair.layer.blobs, strict=True):
            theirs.data[...] = mine.data
        pair.forward()
        np.testing.assert_allclose(run.top[0].data[0], pair.top[0].data[0], rtol=1e-5, atol=1e-5)
    else:
        assert not any(blob.diff.any() for blob in run.blobs)


def test_axis_joins_what_is_before_it() -> None:
    """(2, 3, C, H, W) with axis 2 is six images of (C, H, W)."""
    joined = layer("Convolution", f"num_output: 2 kernel_size: 3 axis: 2 {GAUSSIAN}", (2, 3, 4, 5, 6))
    plain = layer("Convolution", f"num_output: 2 kernel_size: 3 {GAUSSIAN}", (6, 4, 5, 6))
    for run in (joined, plain):
        run.blobs[0].data.flat[:] = np.arange(72)
        run.forward()
    assert np.array_equal(joined.top[0].data.reshape(6, 2, 3, 4), plain.top[0].data)


def test_without_spatial_axes_it_is_an_inner_product() -> None:
    run = layer("Convolution", f"num_output: 5 kernel_size: 1 {GAUSSIAN}", (4, 3))
    run.forward()
    weights, bias = (blob.data for blob in run.blobs)
    np.testing.assert_allclose(run.top[0].data, run.bottom[0].data @ weights.T + bias, rtol=1e-5, atol=1e-6)


def test_weights_of_an_inner_product_make_a_fully_convolutional_net() -> None:
    """An inner product over (3, 4, 5), cast into a kernel of 4x5, slides over a larger input."""
    random = np.random.default_rng(1)
    matrix = random.normal(size=(6, 60)).astype(np.float32)
    run = layer("Convolution", "num_output: 6 kernel_h: 4 kernel_w: 5 bias_term: false", (2, 3, 7, 9))
    run.blobs[0].data.flat[:] = matrix.reshape(-1)
    run.forward()
    assert run.top[0].shape == (2, 6, 4, 5)
    window = run.bottom[0].data[:, :, 2:6, 3:8].reshape(2, 60)
    np.testing.assert_allclose(run.top[0].data[:, :, 2, 3], window @ matrix.T, rtol=1e-4, atol=1e-5)


def test_parameters_that_need_no_gradient_get_none() -> None:
    run = layer("Convolution", f"num_output: 2 kernel_size: 3 {GAUSSIAN}", (2, 3, 6, 5))
    run.forward()
    run.top[0].diff[...] = 1
    for blob in run.blobs:
        blob.diff.fill(7)
    run.layer.set_param_propagate_down(0, False)
    run.layer.set_param_propagate_down(1, False)
    run.node.backward_to([True])
    assert all((blob.diff == 7).all() for blob in run.blobs)
    assert run.bottom[0].diff.any()


def test_given_weights_must_fit() -> None:
    """The number of blobs and their shapes, as they came with the layer's parameters."""
    saved = layer("Convolution", f"num_output: 2 kernel_size: 3 {GAUSSIAN}", (2, 3, 6, 5)).node.to_proto()
    x = np.zeros((2, 3, 6, 5))
    assert run_layer(saved, [x]).layer.blobs[0].data.any()
    saved.convolution_param.bias_term = False
    with pytest.raises(ShapeError, match="Incorrect number of weight blobs: 2, expected 1"):
        run_layer(saved, [x])
    saved.convolution_param.bias_term = True
    saved.convolution_param.num_output = 4
    with pytest.raises(ShapeError, match=re.escape("must have the shape (4, 3, 3, 3), not (2, 3, 3, 3)")):
        run_layer(saved, [x])


def test_im2col_orders_channels_by_kernel_element() -> None:
    run = layer("Im2col", "kernel_size: 3 stride: 2 pad: 1", (2, 3, 6, 5))
    run.forward()
    assert run.top[0].shape == (2, 27, 3, 3)
    # Channel 1, kernel element (0, 2), position (1, 1): row 2 - 1 + 0, column 2 - 1 + 2.
    assert np.array_equal(run.top[0].data[:, 9 + 2, 1, 1], run.bottom[0].data[:, 1, 1, 3])
    assert not run.top[0].data[:, 9, 0, 0].any()


def test_the_algorithm_can_be_read() -> None:
    run = layer("Convolution", "num_output: 2 kernel_size: 3", (1, 2, 6, 5))
    assert run.layer.algorithm in ("gemm", "reference")  # type: ignore[attr-defined]


def test_an_unknown_algorithm_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_CONVOLUTION", "fft")
    with pytest.raises(BicerinError, match='"layer" \\(Convolution\\)'):
        layer("Convolution", "num_output: 2 kernel_size: 3", (1, 2, 6, 5))
