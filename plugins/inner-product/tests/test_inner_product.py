"""InnerProduct: gradients, options, shapes, errors."""

from math import prod

import numpy as np
import pytest

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import check_gradient, run_layer
from bicerin_inner_product import product_kernels

FILLED = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'


def layer(options: str = "num_output: 4") -> str:
    return f'name: "ip" type: "InnerProduct" inner_product_param {{ {options} {FILLED} }}'


def expected(x: np.ndarray, run, axis: int, transpose: bool = False) -> np.ndarray:
    weight = run.blobs[0].data
    inputs = x.reshape(*x.shape[:axis], prod(x.shape[axis:]))
    y = np.einsum("...k,kn->...n", inputs, weight if transpose else weight.T)
    return y + run.blobs[1].data if len(run.blobs) > 1 else y


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("num_output: 4", (3, 2, 3)),
        ("num_output: 4", (1, 5)),
        ("num_output: 1", (3, 1)),
        ("num_output: 4 bias_term: false", (3, 2, 3)),
        ("num_output: 4 transpose: true", (3, 2, 3)),
        ("num_output: 4 transpose: true bias_term: false axis: 2", (2, 2, 3)),
        ("num_output: 3 axis: 0", (2, 3)),
        ("num_output: 3 axis: -1", (2, 3, 4)),
    ],
)
def test_gradient(options, shape, device):
    x = np.random.default_rng(0).normal(size=shape)
    check_gradient(layer(options), [x], device=device)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize(
    ("axis", "shape", "top_shape"),
    [
        (0, (2, 3), (4,)),
        (1, (2, 3, 5), (2, 4)),
        (2, (2, 3, 5), (2, 3, 4)),
        (1, (0, 3, 5), (0, 4)),
        (1, (1, 3, 5), (1, 4)),
    ],
)
def test_forward(axis, shape, top_shape, transpose, dtype, device):
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    run = run_layer(
        layer(f"num_output: 4 axis: {axis} transpose: {str(transpose).lower()}"), [x], dtype=dtype, device=device
    )
    run.forward()
    assert run.top[0].shape == top_shape
    assert run.top[0].data.dtype == dtype
    np.testing.assert_allclose(run.top[0].data, expected(x, run, axis, transpose), rtol=1e-5, atol=1e-5)


def test_negative_axis_counts_from_the_end(device):
    x = np.random.default_rng(2).normal(size=(2, 3, 5))
    run = run_layer(layer("num_output: 4 axis: -2"), [x], dtype=np.float64, device=device)
    run.forward()
    np.testing.assert_allclose(run.top[0].data, expected(x, run, 1))


def test_batch_may_grow_and_shrink(device):
    run = run_layer(layer(), [np.zeros((2, 3))], device=device)
    random = np.random.default_rng(3)
    for batch in (5, 0, 1, 2):
        x = random.normal(size=(batch, 3)).astype(np.float32)
        run.bottom[0].reshape(*x.shape)
        run.bottom[0].data[...] = x
        run.forward()
        np.testing.assert_allclose(run.top[0].data, expected(x, run, 1), rtol=1e-5, atol=1e-6)
        run.top[0].diff[...] = 1
        run.backward()
        np.testing.assert_allclose(run.blobs[0].diff, np.tile(x.sum(0), (4, 1)), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(run.blobs[1].diff, np.full(4, batch))


@pytest.mark.parametrize("block", [1, 7, 64])
def test_the_weight_gradient_is_the_same_in_blocks(monkeypatch, block):
    monkeypatch.setattr(product_kernels, "BLOCK", block)
    left, right, total = (np.random.default_rng(4).normal(size=shape) for shape in ((3, 5), (3, 6), (5, 6)))
    wanted = total + left.T @ right
    product_kernels.add_outer_in_blocks(left, right, total, True)
    np.testing.assert_allclose(total, wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("samples", "inputs", "outputs"),
    [
        (0, 3, 4),
        (1, 1, 1),
        (1, 1000, 21),
        (2, 77, 130),
        (10, 200, 130),
        (10, 96, 256),
        (49, 35, 9),
        (3, 500, 47),
        (200, 33, 600),
        (260, 401, 83),
    ],
)
def test_products_are_those_of_whole_arrays(samples, inputs, outputs, dtype):
    """Shapes that fill no tile, fill tiles exactly, and take several passes over the depth."""
    random = np.random.default_rng(5)
    x, w, y = (random.normal(size=s).astype(dtype) for s in ((samples, inputs), (outputs, inputs), (samples, outputs)))
    tolerance = {"rtol": 1e-4, "atol": 2e-4} if dtype is np.float32 else {"rtol": 1e-12, "atol": 1e-10}
    none = np.empty(0, dtype)
    for name, scale, shift, slope in (("plain", none, none, 1.0), ("finished", w[:, 0].copy(), w[:, -1].copy(), 0.25)):
        for product, given, large in (("dot_rows", x, w), ("sum_rows", x, np.ascontiguousarray(w.T))):
            found, wanted = np.full_like(y, np.nan), np.empty_like(y)
            getattr(product_kernels, product)(large, given, scale, shift, slope, found)
            getattr(product_kernels, f"{product}_array")(np, large, given, scale, shift, slope, wanted)
            np.testing.assert_allclose(found, wanted, err_msg=f"{product} {name}", **tolerance)
    for add in (True, False):
        found, wanted = w.copy(), w.copy()
        product_kernels.add_outer(y, x, found, add)
        product_kernels.add_outer_array(np, y, x, wanted, add)
        np.testing.assert_allclose(found, wanted, **tolerance)


def test_a_rectified_nan_stays_nan():
    none = np.empty(0)
    for product in (product_kernels.dot_rows, product_kernels.sum_rows):
        y = np.zeros((1, 1))
        product(np.ones((1, 1)), np.full((1, 1), np.nan), none, none, 0.0, y)
        assert np.isnan(y).all()
        product(np.ones((1, 1)), np.full((1, 1), -np.inf), none, none, 0.0, y)
        assert y == 0


def test_frozen_parameters_keep_their_diff(device):
    run = run_layer(layer(), [np.ones((2, 3))], device=device)
    run.layer.set_param_propagate_down(0, False)
    run.forward()
    run.top[0].diff[...] = 1
    run.blobs[0].diff[...] = 9
    run.node.backward_to([True])
    assert (run.blobs[0].diff == 9).all()
    assert (run.blobs[1].diff == 2).all()


def test_blobs_are_weight_and_bias(device):
    assert [b.shape for b in run_layer(layer(), [np.zeros((2, 3, 5))], device=device).layer.blobs] == [(4, 15), (4,)]
    transposed = run_layer(
        layer("num_output: 4 transpose: true bias_term: false"), [np.zeros((2, 3, 5))], device=device
    )
    assert [b.shape for b in transposed.layer.blobs] == [(15, 4)]


def test_blobs_of_a_saved_layer_in_the_legacy_shape(device):
    message = run_layer(layer(), [np.zeros((2, 3))], device=device).node.to_proto()
    for blob, shape in zip(message.blobs, [(1, 1, 4, 3), (1, 1, 1, 4)], strict=True):
        blob.ClearField("shape")
        blob.num, blob.channels, blob.height, blob.width = shape
    run = run_layer(message, [np.zeros((2, 3))], device=device)
    assert [b.shape for b in run.blobs] == [(4, 3), (4,)]


def test_errors(device):
    with pytest.raises(ShapeError, match="num_output must be positive"):
        run_layer(layer(""), [np.zeros((2, 3))], device=device)
    with pytest.raises(ShapeError, match="axis 2 is out of range"):
        run_layer(layer("num_output: 4 axis: 2"), [np.zeros((2, 3))], device=device)
    with pytest.raises(BlobCountError, match="InnerProduct Layer takes at most 2 bottom blob"):
        run_layer(layer(), [np.zeros((2, 3))] * 3, device=device)
    run = run_layer(layer(), [np.zeros((2, 3))], device=device)
    run.bottom[0].reshape(2, 5)
    with pytest.raises(ShapeError, match=r"Input size incompatible with inner product parameters: 5 .* for 3"):
        run.forward()
    message = run.node.to_proto()
    with pytest.raises(ShapeError, match=r"parameter blob 0 must have the shape \(4, 7\), not \(4, 3\)"):
        run_layer(message, [np.zeros((2, 7))], device=device)


@pytest.mark.parametrize(
    "definition", [layer("num_output: 3"), 'type: "Embed" embed_param { num_output: 3 input_dim: 2 }']
)
def test_not_in_place(definition, device):
    with pytest.raises(LayerError, match="Layer does not allow in-place computation"):
        run_layer(definition, [np.zeros((2, 3))], in_place=True, device=device)


@pytest.mark.parametrize("transpose", ["true", "false"])
def test_no_features_leave_the_bias(transpose, device):
    definition = layer(f"num_output: 3 transpose: {transpose}")
    run = run_layer(
        definition,
        [np.zeros((2, 0))],
        parameters=[np.zeros((0, 3) if transpose == "true" else (3, 0)), [1, 2, 3]],
        device=device,
    )
    run.forward()
    assert (run.top[0].data == [[1, 2, 3]] * 2).all()
    run.top[0].diff[...] = 1
    run.backward()
    assert (run.blobs[1].diff == 2).all()
