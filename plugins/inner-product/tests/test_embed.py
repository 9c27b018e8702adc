"""Embed: gradients, options, shapes, errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import check_gradient, run_layer
from bicerin_inner_product.embed_kernels import add_rows_at, add_rows_reference

FILLED = 'weight_filler { type: "gaussian" } bias_filler { type: "uniform" min: -1 max: 1 }'


def layer(options: str = "input_dim: 6 num_output: 4") -> str:
    return f'name: "e" type: "Embed" embed_param {{ {options} {FILLED} }}'


@pytest.mark.parametrize("options", ["", "bias_term: false"])
@pytest.mark.parametrize("shape", [(3, 5), (7,), (1, 2, 3), (0, 4), ()])
def test_gradient(options, shape, device):
    indices = np.random.default_rng(0).integers(0, 6, shape)
    check_gradient(layer(f"input_dim: 6 num_output: 4 {options}"), [indices], check_bottom=[], device=device)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(3, 5), (0, 5), (1,), ()])
def test_forward(shape, dtype, device):
    indices = np.random.default_rng(1).integers(0, 6, shape)
    run = run_layer(layer(), [indices], dtype=dtype, device=device)
    run.forward()
    table, bias = (blob.data for blob in run.blobs)
    assert run.top[0].shape == (*shape, 4)
    np.testing.assert_array_equal(run.top[0].data, table[indices] + bias)


def test_blobs_are_table_and_bias(device):
    assert [b.shape for b in run_layer(layer(), [np.zeros(3)], device=device).layer.blobs] == [(6, 4), (4,)]
    no_bias = run_layer(layer("input_dim: 6 num_output: 4 bias_term: false"), [np.zeros(3)], device=device)
    assert [b.shape for b in no_bias.layer.blobs] == [(6, 4)]


@pytest.mark.parametrize(("value", "said"), [(6, "6"), (-1, "-1"), (2.5, "2.5"), (np.nan, "nan"), (np.inf, "inf")])
def test_an_index_that_is_no_row(value, said, device):
    indices = np.zeros((2, 3))
    indices[1, 2] = value
    run = run_layer(layer(), [indices], device=device)
    if device != "cpu":
        # A kernel cannot raise an error.
        run.forward()
        assert np.argwhere(np.isnan(run.top[0].data).any(axis=2)).tolist() == [[1, 2]]
        return
    with pytest.raises(ShapeError, match=rf"index {said} at \(1, 2\) is not a row.*(?s:.)*0 to input_dim - 1 = 5"):
        run.forward()


def test_errors(device):
    with pytest.raises(ShapeError, match="EmbedLayer num_output must be positive"):
        run_layer(layer("input_dim: 6"), [np.zeros(3)], device=device)
    with pytest.raises(ShapeError, match="EmbedLayer input_dim must be positive"):
        run_layer(layer("num_output: 6"), [np.zeros(3)], device=device)
    run = run_layer(layer(), [np.zeros(3)], device=device)
    run.forward()
    with pytest.raises(LayerError, match="Can't backpropagate to EmbedLayer input"):
        run.backward([True])


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 5), st.sampled_from([np.float32, np.float64]))
def test_kernel_equals_its_reference(index, columns, dtype):
    index = np.array(index, np.int64)
    rows = np.random.default_rng(len(index)).normal(size=(len(index), columns)).astype(dtype)
    one, other = np.ones((5, columns), dtype), np.ones((5, columns), dtype)
    add_rows_at(index, rows, one)
    add_rows_reference(index, rows, other)
    np.testing.assert_allclose(one, other, rtol=1e-6)
