"""Top shapes and values against the same thing said in NumPy, in both dtypes, with batches of 0 and 1 among them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bicerin.testing import run_layer


def tops(kind: str, options: str, inputs, dtype=np.float32):
    run = run_layer(f'name: "t" type: "{kind}" {options}', inputs, dtype=dtype)
    run.forward()
    return [blob.data for blob in run.top]


def counting(*shape: int) -> np.ndarray:
    return np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape)


CASES = [
    ("Flatten", "", (2, 3, 4), lambda x: x.reshape(2, 12)),
    ("Flatten", "", (0, 3, 4), lambda x: x.reshape(0, 12)),
    ("Flatten", "flatten_param { axis: -2 end_axis: -1 }", (2, 3, 4, 5), lambda x: x.reshape(2, 3, 20)),
    ("Flatten", "flatten_param { axis: 2 end_axis: 1 }", (2, 3, 4), lambda x: x.reshape(2, 3, 1, 4)),
    ("Reshape", "reshape_param { shape { dim: 0 dim: 0 dim: -1 } }", (2, 3, 4, 5), lambda x: x.reshape(2, 3, 20)),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 } }", (0, 3, 4), lambda x: x.reshape(0, 12)),
    ("Reshape", "reshape_param { shape { dim: -1 dim: 2 } }", (0, 4), lambda x: x.reshape(0, 2)),
    ("Reshape", "reshape_param { shape { dim: 3 dim: -1 } axis: 1 }", (2, 6, 4), lambda x: x.reshape(2, 3, 8)),
    ("Reshape", "reshape_param { shape { dim: 1 } axis: 1 num_axes: 0 }", (2, 3), lambda x: x.reshape(2, 1, 3)),
    ("Reshape", "reshape_param { shape { dim: 1 } axis: -1 num_axes: 0 }", (2, 3), lambda x: x.reshape(2, 3, 1)),
    ("Reshape", "reshape_param { shape { dim: 0 dim: -1 } axis: -3 }", (2, 3, 4), lambda x: x.reshape(2, 3, 4)),
    ("Reshape", "reshape_param { shape { } }", (1, 1), lambda x: x.reshape(())),
    ("Reshape", "reshape_param { shape { dim: -1 } }", (), lambda x: x.reshape(1)),
    ("Reshape", "reshape_param { shape { dim: 1 dim: 1 } }", (), lambda x: x.reshape(1, 1)),
    ("Tile", "tile_param { tiles: 3 }", (2, 3, 4), lambda x: np.tile(x, (1, 3, 1))),
    ("Tile", "tile_param { tiles: 2 axis: 0 }", (0, 3), lambda x: x),
    ("Tile", "tile_param { tiles: 2 axis: -1 }", (1, 3), lambda x: np.tile(x, (1, 2))),
    ("Reduction", "", (2, 3), lambda x: x.sum()),
    ("Reduction", "reduction_param { operation: MEAN axis: 1 coeff: 2 }", (2, 3, 4), lambda x: 2 * x.mean((1, 2))),
    ("Reduction", "reduction_param { operation: ASUM axis: -1 }", (1, 3), lambda x: abs(x).sum(1)),
    ("Reduction", "reduction_param { operation: SUMSQ axis: 1 }", (0, 3), lambda x: x[:, 0]),
    ("Reduction", "reduction_param { operation: MEAN axis: 0 }", (0, 3), lambda x: np.zeros(())),
    ("Silence", "", (2, 3), None),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "options", "shape", "expected"), CASES)
def test_one_bottom(kind, options, shape, expected, dtype):
    x = counting(*shape) * (-1) ** counting(*shape)
    results = tops(kind, options, [x], dtype)
    assert len(results) == (expected is not None)
    for result in results:
        assert result.dtype == dtype
        assert result.shape == expected(x).shape
        np.testing.assert_allclose(result, expected(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(2, 3, 4), (0, 3, 4), (1, 1), ()])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", lambda a, b, c: a + b + c),
        ("coeff: 1 coeff: 1 coeff: -2", lambda a, b, c: a + b - 2 * c),
        ("coeff: -0.5 coeff: 1 coeff: 0", lambda a, b, c: -0.5 * a + b),
        ("operation: PROD", lambda a, b, c: a * b * c),
        ("operation: MAX", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
        ("operation: MAX coeff: 5 coeff: 5 coeff: 5", lambda a, b, c: np.maximum(np.maximum(a, b), c)),
    ],
)
def test_eltwise(options, expected, shape, dtype):
    inputs = np.random.default_rng(0).normal(size=(3, *shape)).astype(dtype)
    (result,) = tops("Eltwise", f"eltwise_param {{ {options} }}", list(inputs), dtype)
    assert result.shape == shape and result.dtype == dtype
    np.testing.assert_allclose(result, expected(*inputs), rtol=1e-6, atol=1e-6)


def test_eltwise_maximum_of_equals(device):
    run = run_layer('name: "m" type: "Eltwise" eltwise_param { operation: MAX }', [np.zeros(1)] * 3, device=device)
    run.forward()
    run.top[0].diff[...] = 1
    run.backward()
    assert [float(blob.diff[0]) for blob in run.bottom] == [0, 1, 0]


def test_eltwise_product_with_zeros(device):
    for stable, expected in (("true", [[2.0], [0.0]]), ("false", [[np.nan], [0.0]])):
        options = f"operation: PROD stable_prod_grad: {stable}"
        run = run_layer(
            f'name: "p" type: "Eltwise" eltwise_param {{ {options} }}', [np.zeros(1), np.full(1, 2.0)], device=device
        )
        run.forward()
        run.top[0].diff[...] = 1
        run.backward()
        np.testing.assert_array_equal([blob.diff for blob in run.bottom], expected)


@pytest.mark.parametrize("batch", [0, 1, 3])
def test_crop(batch):
    x, reference = counting(batch, 2, 5, 6), np.zeros((batch, 9, 3, 2))
    np.testing.assert_array_equal(tops("Crop", "", [x, reference])[0], x[:, :, :3, :2])
    np.testing.assert_array_equal(tops("Crop", "crop_param { offset: 2 }", [x, reference])[0], x[:, :, 2:5, 2:4])
    np.testing.assert_array_equal(tops("Crop", "crop_param { axis: -1 offset: 4 }", [x, reference])[0], x[..., 4:6])


ARGMAX = [
    ("", (2, 1, 1), [[[1]], [[3]]]),
    ("top_k: 3", (2, 1, 3), [[[1, 3, 0]], [[3, 2, 1]]]),
    ("top_k: 2 out_max_val: true", (2, 2, 2), [[[1, 3], [7, 5]], [[3, 2], [4, 4]]]),
    ("axis: 1", (2, 1), [[1], [3]]),
    ("axis: -1 top_k: 2 out_max_val: true", (2, 2), [[7, 5], [4, 4]]),
    ("axis: 0", (1, 4), [[1, 0, 1, 0]]),
    ("axis: 0 top_k: 2", (2, 4), [[1, 0, 1, 0], [0, 1, 0, 1]]),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("options", "shape", "expected"), ARGMAX)
def test_argmax(options, shape, expected, dtype):
    scores = np.array([[2, 7, 1, 5], [4, 4, 4, 4]])  # of equal ones the later is first
    (result,) = tops("ArgMax", f"argmax_param {{ {options} }}", [scores], dtype)
    assert result.shape == shape
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    ("shape", "options", "expected"),
    [
        ((0, 5), "", (0, 1, 1)),
        ((1, 5, 2, 2), "top_k: 20", (1, 1, 20, 1)),
        ((2, 5, 2, 2, 2), "out_max_val: true", (2, 2, 1, 1, 1)),
        ((0, 5, 2), "axis: 1 top_k: 2", (0, 2, 2)),
    ],
)
def test_argmax_shapes(shape, options, expected):
    assert tops("ArgMax", f"argmax_param {{ {options} }}", [counting(*shape)])[0].shape == expected


def test_argmax_of_the_flattened_rest():
    x = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    best = tops("ArgMax", "argmax_param { top_k: 20 out_max_val: true }", [x])[0]
    order = np.argsort(-x.reshape(3, 20), axis=1)
    np.testing.assert_array_equal(best[:, 0], order)
    np.testing.assert_array_equal(best[:, 1], np.take_along_axis(x.reshape(3, 20), order, 1))


def test_filter():
    x, y = counting(4, 2, 1), counting(4, 3)
    for selector in (np.array([0, 1, 0, -2.5]), np.array([0, 1, 0, 1]).reshape(4, 1, 1)):
        first, second = tops("Filter", "top: 'a' top: 'b'", [x, y, selector])
        np.testing.assert_array_equal(first, x[[1, 3]])
        np.testing.assert_array_equal(second, y[[1, 3]])


def test_filter_follows_its_selector(device):
    run = run_layer('name: "f" type: "Filter" top: "a"', [counting(3, 2), np.zeros(3)], device=device)
    assert run.top[0].shape == (3, 2), "before the first pass nobody knows the selector"
    for selector in ([0, 0, 0], [1, 0, 1], [1, 1, 1]):
        run.bottom[1].data[...] = selector
        run.forward()
        np.testing.assert_array_equal(run.top[0].data, counting(3, 2)[np.array(selector) > 0])


def test_batch_reindex():
    x = counting(3, 2)
    np.testing.assert_array_equal(tops("BatchReindex", "", [x, [2, 0, 2, 1.9]])[0], x[[2, 0, 2, 1]])
    assert tops("BatchReindex", "", [x, np.zeros(0)])[0].shape == (0, 2)
    assert tops("BatchReindex", "", [x[:0], np.zeros(0)])[0].shape == (0, 2)


@pytest.mark.parametrize("kind", ["Flatten", "Reshape", "Concat", "Slice"])
def test_memory_is_shared_not_copied(kind, device):
    run = run_layer(
        f'name: "s" type: "{kind}" reshape_param {{ shape {{ dim: -1 }} }}', [counting(2, 3)], device=device
    )
    run.forward()
    for blob in (run.bottom[0], run.top[0]):
        assert np.shares_memory(blob.data, run.bottom[0].data)
        assert np.shares_memory(blob.diff, run.bottom[0].diff)
    run.bottom[0].reshape(5, 3)  # new memory: the top must follow
    run.bottom[0].data[...] = counting(5, 3)
    run.forward()
    np.testing.assert_array_equal(run.top[0].data.ravel(), counting(15))
    assert np.shares_memory(run.top[0].diff, run.bottom[0].diff)


shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@given(st.data())
def test_slice_then_concat_is_nothing(data):
    axis = data.draw(st.integers(0, 3))
    shape = data.draw(st.lists(st.integers(0, 3), min_size=axis + 1, max_size=4))
    shape[axis] = data.draw(st.integers(2, 7))
    points = sorted(data.draw(st.sets(st.integers(1, shape[axis] - 1))))
    written = " ".join(f"slice_point: {point}" for point in points) if points else ""
    names = " ".join(f'top: "{index}"' for index in range(len(points) + 1))
    axis -= data.draw(st.sampled_from([0, len(shape)]))
    x = counting(*shape).astype(np.float32)
    parts = tops("Slice", f"slice_param {{ axis: {axis} {written} }} {names}", [x])
    for part, expected in zip(parts, np.split(x, points, axis), strict=True):
        np.testing.assert_array_equal(part, expected)
    np.testing.assert_array_equal(tops("Concat", f"concat_param {{ axis: {axis} }}", parts)[0], x)


@given(shapes, st.data())
def test_reshape_there_and_back(shape, data):
    x = counting(*shape).astype(np.float32)
    start = data.draw(st.integers(0, len(shape)))
    number = data.draw(st.integers(0, len(shape) - start))
    options = f"shape {{ dim: -1 }} axis: {start} num_axes: {number}"
    (there,) = tops("Reshape", f"reshape_param {{ {options} }}", [x])
    inferred = np.prod(shape[start : start + number], dtype=int)
    if x.size:
        assert there.shape == (*shape[:start], inferred, *shape[start + number :])
        dims = " ".join(f"dim: {size}" for size in shape)
        np.testing.assert_array_equal(tops("Reshape", f"reshape_param {{ shape {{ {dims} }} }}", [there])[0], x)
    else:
        assert there.size == 0


@pytest.mark.parametrize("options", ["", "top_k: 2", "axis: 1", "top_k: 3 axis: -1", "top_k: 2 out_max_val: true"])
def test_what_places_of_the_largest_pick(options):
    x = np.random.default_rng(0).permutation(24).reshape(2, 3, 4).astype(float)
    run = run_layer(f'type: "ArgMax" argmax_param {{ {options} }}', [x])
    with_values = options.replace("out_max_val: true", "") + " out_max_val: true"
    values = run_layer(f'type: "ArgMax" argmax_param {{ {with_values} }}', [x])
    run.forward()
    values.forward()
    found = run.layer.chosen(run.bottom, 0, run.top[0].data)
    expected = values.top[0].data if "axis" in options else values.top[0].data[:, 1:]  # beside the places
    np.testing.assert_array_equal(found[:, : expected.shape[1]], expected)
    assert np.isnan(run.layer.chosen(run.bottom, 0, np.full(run.top[0].shape, 24.0)).reshape(-1)[0])


def test_the_largest_values_are_no_choices():
    run = run_layer('type: "ArgMax" argmax_param { axis: 1 out_max_val: true }', [np.ones((2, 3))])
    run.forward()
    assert run.layer.chosen(run.bottom, 0, run.top[0].data) is None
