"""Values by their definitions, options, in place, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin
from bicerin.errors import LayerError, ShapeError
from bicerin.net.node import Node
from bicerin.testing import run_layer
from bicerin_mobile import axpy_kernels, bn_kernels, interp_kernels, relu6_kernels, upsample_kernels

random = np.random.default_rng(0)
X = random.normal(size=(2, 6, 5, 4))


def forward(text: str, *inputs: np.ndarray, **options):
    run = run_layer(text, inputs, dtype=np.float64, **options)
    run.forward()
    return run


@pytest.mark.parametrize("layer", ["DepthwiseConvolution", "ConvolutionDepthwise"])
def test_depthwise_convolution(layer: str) -> None:
    weights, bias = random.normal(size=(6, 1, 3, 3)), random.normal(size=6)
    text = f'type: "{layer}" convolution_param {{ num_output: 6 group: 6 kernel_size: 3 stride: 2 pad: 1 }}'
    top = forward(text, X, parameters=[weights, bias]).top[0].data
    padded = np.pad(X, [(0, 0), (0, 0), (1, 1), (1, 1)])
    for n, c, i, j in np.ndindex(2, 6, 3, 2):
        window = padded[n, c, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
        assert np.isclose(top[n, c, i, j], (window * weights[c, 0]).sum() + bias[c])


def test_relu6() -> None:
    x = np.array([-2, -0.0, 0.5, 5.9, 6, 7, np.inf, -np.inf, np.nan])
    for dtype in (np.float32, np.float64):
        run = run_layer('type: "ReLU6"', [x], dtype=dtype)
        run.forward()
        assert np.array_equal(run.top[0].data, [0, 0, dtype(0.5), dtype(5.9), 6, 6, 6, 0, np.nan], equal_nan=True)
    run = run_layer('type: "ReLU6" relu6_param { negative_slope: 0.5 }', [x[:6]], in_place=True, dtype=np.float64)
    run.forward()
    assert run.top[0].data.tolist() == [-1, 0, 0.5, 5.9, 6, 6]
    run.top[0].diff[...] = 2
    run.backward()
    assert run.bottom[0].diff.tolist() == [1, 1, 2, 2, 0, 0]


@pytest.mark.parametrize("slope", [0.0, 0.25])
def test_relu6_kernels_equal_their_references(slope: float) -> None:
    x, y_diff = random.normal(size=1000) * 5, random.normal(size=1000)
    y, again, x_diff, diff = np.empty((4, 1000))
    relu6_kernels.forward(x, slope, y)
    relu6_kernels.forward_array(np, x, slope, again)
    relu6_kernels.backward(x, slope, y_diff, x_diff)
    relu6_kernels.backward_array(np, x, slope, y_diff, diff)
    assert np.array_equal(y, again) and np.array_equal(x_diff, diff)
    assert np.array_equal(y, np.minimum(np.maximum(x, 0) + slope * np.minimum(x, 0), 6))


def test_shuffle_channel() -> None:
    """Six channels in two groups: 0 1 2 and 3 4 5 become 0 3, 1 4, 2 5."""
    top = forward('type: "ShuffleChannel" shuffle_channel_param { group: 2 }', X).top[0].data
    assert np.array_equal(top, X[:, [0, 3, 1, 4, 2, 5]])


def test_axpy_in_place_of_y() -> None:
    a, y = random.normal(size=(2, 6)), random.normal(size=X.shape)
    plain = forward('type: "Axpy"', a.reshape(2, 6, 1, 1), X, y)
    assert np.allclose(plain.top[0].data, a[:, :, None, None] * X + y)
    run = run_layer('type: "Axpy"', [a, X, y], dtype=np.float64)
    node = Node(run.layer, run.bottom, [run.bottom[2]])
    node.forward()
    assert np.array_equal(run.bottom[2].data, plain.top[0].data)
    run.bottom[2].diff[...] = plain.top[0].diff[...] = random.normal(size=X.shape)
    node.backward_to([True, True, True])
    plain.backward()
    for mine, other in zip(run.bottom, plain.bottom, strict=True):
        assert np.array_equal(mine.diff.reshape(-1), other.diff.reshape(-1))


def test_upsample_repeats() -> None:
    assert np.array_equal(forward('type: "Upsample" upsample_param { scale: 3 }', X).top[0].data,
                          X.repeat(3, axis=2).repeat(3, axis=3))  # fmt: skip


def test_upsample_puts_back_what_max_pooling_took() -> None:
    """The second top of a 2 x 2 max pooling leads each maximum to its place."""
    blocks = X[:, :, :4].reshape(2, 6, 2, 2, 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(2, 6, 2, 2, 4)
    choice = blocks.argmax(axis=-1)
    i, j = np.indices((2, 2))
    mask = (2 * i + choice // 2) * 4 + 2 * j + choice % 2
    top = forward('type: "Upsample" upsample_param { scale: 2 }', blocks.max(axis=-1), mask).top[0].data
    is_maximum = np.zeros((2, 6, 16), bool)
    np.put_along_axis(is_maximum, mask.reshape(2, 6, 4), True, axis=2)
    assert np.array_equal(top, np.where(is_maximum.reshape(2, 6, 4, 4), X[:, :, :4], 0))


def test_upsample_the_last_of_several_stays() -> None:
    run = forward('type: "Upsample" upsample_param { upsample_h: 2 upsample_w: 2 }',
                  np.arange(1.0, 5).reshape(1, 1, 2, 2), [[[[3, 0], [3, 3]]]])  # fmt: skip
    assert run.top[0].data.tolist() == [[[[2, 0], [0, 4]]]]
    run.top[0].diff[...] = [[5, 6], [7, 8]]
    run.backward()
    assert run.bottom[0].diff.tolist() == [[[[8, 5], [8, 8]]]]


def test_upsample_kernels_equal_their_references() -> None:
    x, y_diff = random.normal(size=(3, 4, 5)), random.normal(size=(3, 8, 10))
    y, again, x_diff, diff = np.empty((3, 8, 10)), np.empty((3, 8, 10)), np.empty((3, 4, 5)), np.empty((3, 4, 5))
    upsample_kernels.repeat(x, y)
    upsample_kernels.repeat_array(np, x, again)
    upsample_kernels.repeat_backward(y_diff, x_diff)
    upsample_kernels.repeat_backward_array(np, y_diff, diff)
    assert np.array_equal(y, again) and np.allclose(x_diff, diff, rtol=1e-12)
    places = random.integers(0, 12, (3, 20)).astype(float)
    flat, source = x.reshape(3, 20), np.empty((3, 12), np.int32)
    first, second = np.empty((3, 12)), np.empty((3, 12))
    assert not upsample_kernels.unpool(flat, places, source, first)
    assert not upsample_kernels.unpool_array(np, flat, places, source, second)
    assert np.array_equal(first, second)
    places[1, 7:9], places[2, 3] = (12, -1), np.nan
    assert upsample_kernels.unpool(flat, places, source, first)
    assert upsample_kernels.unpool_array(np, flat, places, source, second)
    diff, again = np.empty((3, 20)), np.empty((3, 20))
    upsample_kernels.unpool_backward(y_diff[:, 0, :1] + np.arange(12), places, diff)
    upsample_kernels.unpool_backward_array(np, y_diff[:, 0, :1] + np.arange(12), places, again)
    assert np.array_equal(diff, again, equal_nan=True) and np.isnan(diff).sum() == 3


@pytest.mark.parametrize(("options", "size"), [
    ("height: 9 width: 3", (9, 3)), ("zoom_factor: 3", (13, 10)), ("shrink_factor: 2", (3, 2)),
    ("shrink_factor: 2 zoom_factor: 3", (7, 4)), ("shrink_factor: 2 height: 9 width: 9", (3, 2)),
    ("zoom_factor: 2 height: 99", (9, 7)), ("shrink_factor: 2 zoom_factor: 3 height: 8 width: 6", (8, 6)),
    ("zoom_factor: 2 pad_beg: -1 pad_end: -1", (5, 3)), ("height: 1 width: 4", (1, 4)),
])  # fmt: skip
def test_interp(options: str, size: tuple[int, int]) -> None:
    top = forward(f'type: "Interp" interp_param {{ {options} }}', X).top[0].data
    x = X[:, :, 1:-1, 1:-1] if "pad" in options else X
    assert top.shape == (2, 6, *size)
    for i, j in np.ndindex(*size):
        y, z = (k * (before - 1) / (after - 1) if after > 1 else 0
                for k, before, after in zip((i, j), x.shape[2:], size, strict=True))  # fmt: skip
        top_row, left = min(int(y), x.shape[2] - 1), min(int(z), x.shape[3] - 1)
        bottom, right = min(top_row + 1, x.shape[2] - 1), min(left + 1, x.shape[3] - 1)
        upper = x[:, :, top_row, left] * (1 - z + left) + x[:, :, top_row, right] * (z - left)
        lower = x[:, :, bottom, left] * (1 - z + left) + x[:, :, bottom, right] * (z - left)
        assert np.allclose(top[:, :, i, j], upper * (1 - y + top_row) + lower * (y - top_row))


@pytest.mark.parametrize("size", [(7, 9), (2, 3), (1, 1), (4, 2)])
def test_interp_kernels_equal_their_references(size: tuple[int, int]) -> None:
    x, y_diff = random.normal(size=(3, 6, 7)), random.normal(size=(3, *size))
    y, again, x_diff, diff = np.empty((3, *size)), np.empty((3, *size)), np.empty(x.shape), np.empty(x.shape)
    interp_kernels.interpolate(x, 1, 4, 5, y)
    interp_kernels.interpolate_array(np, x, 1, 4, 5, again)
    interp_kernels.interpolate_backward(y_diff, 1, 4, 5, x_diff)
    interp_kernels.interpolate_backward_array(np, y_diff, 1, 4, 5, diff)
    assert np.allclose(y, again, rtol=1e-12, atol=1e-12) and np.allclose(x_diff, diff, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("inner", [1, 5])
def test_axpy_and_bn_kernels_equal_their_references(inner: int) -> None:
    x, y = random.normal(size=(2, 2, 3, inner))
    a, b, c, d = random.normal(size=(4, 3))
    for kernel, formula, arguments, outputs in (
        (axpy_kernels.multiply_add, axpy_kernels.multiply_add_array, (a, x, y), 1),
        (axpy_kernels.multiply, axpy_kernels.multiply_array, (a, x), 1),
        (bn_kernels.normalize, bn_kernels.normalize_array, (x, a, b, c, d), 2),
        (bn_kernels.input_gradient, bn_kernels.input_gradient_array, (x, y, a, b, c), 1),
    ):
        ours, theirs = np.empty((2, outputs, *x.shape))
        kernel(*arguments, *ours)
        formula(np, *arguments, *theirs)
        assert np.allclose(ours, theirs, rtol=1e-12, atol=1e-12)


SCALE, SHIFT = random.normal(size=(2, 6))
MEAN, VARIANCE = X.mean(axis=(0, 2, 3)), X.var(axis=(0, 2, 3))


def channel(values: np.ndarray) -> np.ndarray:
    return values.reshape(1, 6, 1, 1)


def test_bn_of_segnet() -> None:
    weights = [channel(SCALE), channel(SHIFT)]
    for phase in ("TRAIN", "TEST"):
        run = forward('type: "BN" bn_param { bn_mode: LEARN }', X, parameters=weights, phase=phase, tops=3)
        expected = channel(SCALE) * (X - channel(MEAN)) / np.sqrt(channel(VARIANCE) + 1e-9) + channel(SHIFT)
        assert np.allclose(run.top[0].data, expected)
        assert np.allclose(run.top[1].data, channel(MEAN)) and np.allclose(run.top[2].data, channel(VARIANCE))
    run = forward('type: "BN" bn_param { bn_mode: INFERENCE }', X, parameters=weights)
    assert np.allclose(run.top[0].data, channel(SCALE) * X + channel(SHIFT))


def test_bn_of_yjxiong() -> None:
    weights = [SCALE[None], SHIFT[None], np.full((1, 6), 3.0), np.full((1, 6), 2.0)]
    run = forward('type: "BN" bn_param { momentum: 0.75 eps: 0.01 }', X, parameters=weights)
    assert np.allclose(run.top[0].data, channel(SCALE) * (X - channel(MEAN)) / np.sqrt(channel(VARIANCE) + 0.01)
                       + channel(SHIFT))  # fmt: skip
    assert np.allclose(run.blobs[2].data, 0.75 * 3 + 0.25 * MEAN)
    assert np.allclose(run.blobs[3].data, 0.75 * 2 + 0.25 * VARIANCE)
    given = channel(SCALE) * (X - 3) / np.sqrt(2 + 0.01) + channel(SHIFT)
    for text, phase in (("eps: 0.01", "TEST"), ("eps: 0.01 frozen: true", "TRAIN")):
        run = forward(f'type: "BN" bn_param {{ {text} }}', X, parameters=weights, phase=phase)
        assert np.allclose(run.top[0].data, given)
        assert (run.blobs[2].data == 3).all() and (run.blobs[3].data == 2).all()


@pytest.mark.parametrize(("text", "learned"), [("momentum: 0.9", [1, 1, 0, 0]), ("frozen: true", [0, 0, 0, 0])])
def test_bn_leaves_its_averages_to_itself(text: str, learned: list[int]) -> None:
    layer = run_layer(f'type: "BN" param {{ lr_mult: 1 }} bn_param {{ {text} }}', [X]).layer
    assert [spec.lr_mult for spec in layer.param.param] == learned
    assert [layer.param_propagate_down(index) for index in range(4)] == [bool(one) for one in learned]


@pytest.mark.parametrize(("text", "has_gradients"), [("momentum: 0.9", True), ("frozen: true", False)])
def test_frozen_bn_has_no_gradients_of_its_own_whatever_force_backward_says(text: str, has_gradients: bool) -> None:
    net = bicerin.Net(
        'force_backward: true layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } } '
        f'layer {{ name: "bn" type: "BN" bottom: "x" top: "y" bn_param {{ {text} }} }}',
        "TRAIN",
    )
    net.forward(x=np.arange(6).reshape(2, 3))
    net.blobs["y"].diff[...] = np.arange(1, 7).reshape(2, 3)
    net.run_backward()
    assert [bool(blob.diff.any()) for blob in net.params["bn"]] == [has_gradients] * 2 + [False] * 2


@pytest.mark.parametrize("text", ["bn_mode: LEARN", "bn_mode: INFERENCE", "eps: 1e-5", "frozen: true"])
def test_bn_in_place(text: str) -> None:
    weights = [channel(SCALE), channel(SHIFT)] if "mode" in text else [SCALE[None], SHIFT[None]] * 2
    weights = [*weights[:-1], np.abs(weights[-1])]
    runs = [
        forward(f'type: "BN" bn_param {{ {text} }}', X, parameters=weights, in_place=in_place)
        for in_place in (False, True)
    ]
    for run in runs:
        run.top[0].diff[...] = np.cos(X)
        run.backward()
    plain, in_place = runs
    assert np.array_equal(plain.top[0].data, in_place.top[0].data)
    assert np.array_equal(plain.bottom[0].diff, in_place.bottom[0].diff)
    for mine, other in zip(in_place.blobs, plain.blobs, strict=True):
        assert np.array_equal(mine.diff, other.diff)


@pytest.mark.parametrize(("shapes", "averages"), [
    ([(1, 6, 1, 1)] * 2, False), ([(6,)] * 2, False), ([(1, 6, 1, 1)] * 4, True), ([(1, 6)] * 4, True),
])  # fmt: skip
def test_bn_is_told_by_its_blobs(shapes: list[tuple[int, ...]], averages: bool) -> None:
    """Without fields; files hold the blobs with and without axes of 1."""
    blobs = "".join(
        f"blobs {{ shape {{ {' '.join(f'dim: {axis}' for axis in shape)} }} data: [1, 1, 1, 1, 1, 1] }} "
        for shape in shapes
    )
    layer = run_layer(f'type: "BN" {blobs}', [X]).layer
    assert layer.averages == averages and len(layer.blobs) == len(shapes)


IMAGE, OTHER = (1, 6, 4, 4), (1, 6, 4, 5)


@pytest.mark.parametrize(("text", "shapes", "error", "words"), [
    ('type: "ConvolutionDepthwise" convolution_param { num_output: 4 kernel_size: 1 }', [IMAGE], ShapeError,
     "4 against 6"),
    ('type: "ShuffleChannel" shuffle_channel_param { group: 0 }', [IMAGE], LayerError, "group must be greater than 0"),
    ('type: "ShuffleChannel" shuffle_channel_param { group: 4 }', [IMAGE], ShapeError, "Wrong group size: 6"),
    ('type: "Axpy"', [(1, 5), IMAGE, IMAGE], ShapeError, r"in0 must have the shape \(1, 6\)"),
    ('type: "Axpy"', [(1, 6, 2, 1), IMAGE, IMAGE], ShapeError, r"not \(1, 6, 2, 1\)"),
    ('type: "Axpy"', [(1, 6), IMAGE, OTHER], ShapeError, "x and y must have the same shape"),
    ('type: "Upsample" upsample_param { scale: 0 }', [IMAGE], LayerError, "scale must be > 0"),
    ('type: "Upsample" upsample_param { pad_out_h: true }', [IMAGE], LayerError, "pad_out_h is for unpooling"),
    ('type: "Upsample"', [IMAGE, OTHER], ShapeError, "the mask must have the shape of the input"),
    ('type: "Upsample"', [(6, 4, 4), (6, 4, 4)], ShapeError, "Input must have 4 axes"),
    ('type: "Upsample" upsample_param { scale_h: 2 }', [IMAGE, IMAGE], LayerError, "scale OR scale_h & scale_w"),
    ('type: "Upsample" upsample_param { scale: 1 }', [IMAGE, IMAGE], LayerError, "height must be greater than 1"),
    ('type: "Upsample" upsample_param { scale: 3 pad_out_w: true }', [IMAGE, IMAGE], LayerError, "scale_w == 2"),
    ('type: "Upsample" upsample_param { upsample_h: 1 upsample_w: 9 }', [IMAGE, IMAGE], LayerError, "greater than 1"),
    ('type: "Interp"', [IMAGE], LayerError, "gives no size"),
    ('type: "Interp" interp_param { height: 3 }', [IMAGE], LayerError, "gives no size"),
    ('type: "Interp" interp_param { height: 3 width: 3 pad_beg: 1 }', [IMAGE], LayerError, "Only supports non-pos"),
    ('type: "Interp" interp_param { zoom_factor: 0 }', [IMAGE], LayerError, "Zoom factor must be positive"),
    ('type: "Interp" interp_param { shrink_factor: -1 }', [IMAGE], LayerError, "Shrink factor must be positive"),
    ('type: "Interp" interp_param { zoom_factor: 2 pad_end: -4 }', [IMAGE], ShapeError, "height should be positive: 0"),
    ('type: "Interp" interp_param { height: 0 width: 3 }', [IMAGE], ShapeError, "4 of the bottom, 0"),
    ('type: "Interp" interp_param { zoom_factor: 2 }', [(6, 4, 4)], ShapeError, "num, channels, height, width"),
    ('type: "BN" bn_param { scale_filler { } momentum: 0.9 }', [IMAGE], LayerError, "mixes two kinds of BN"),
    ('type: "BN" bn_param { var_eps: 1e-9 momentum: 0.9 }', [IMAGE], LayerError, "kinds of BN: var_eps and momentum"),
    ('type: "BN" bn_param { var_eps: 1e-9 bn_mode: LEARN }', [IMAGE], LayerError,
     "bn_mode is SegNet's, var_eps weiliu89's"),
    ('type: "BN" top: "a" top: "b" bn_param { across_spatial: true }', [IMAGE], LayerError,
     "1 top with across_spatial, not 2"),
    ('type: "BN"', [(6,)], ShapeError, r"Input must have the shape \(N, C, ...\)"),
])  # fmt: skip
def test_errors(text: str, shapes: list[tuple[int, ...]], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        run_layer(text, [np.zeros(shape) for shape in shapes])


@pytest.mark.parametrize("place", [16, -1, np.nan])
def test_upsample_to_a_place_outside(place: int) -> None:
    run = run_layer('type: "Upsample"', [np.ones((1, 1, 2, 2)), [[[[0, 1], [2, place]]]]])
    with pytest.raises(LayerError, match=f"upsample top index {place} out of range"):
        run.forward()


def test_not_in_place() -> None:
    with pytest.raises(LayerError, match="does not allow in-place"):
        run_layer('type: "ShuffleChannel" shuffle_channel_param { group: 2 }', [X], in_place=True)
    with pytest.raises(LayerError, match="does not allow in-place computation on a or x"):
        run_layer('type: "Axpy"', [X[:, :, 0, 0], X, X], in_place=True)
