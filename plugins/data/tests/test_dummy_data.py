"""DummyData: shapes, fillers, what is filled again."""

import numpy as np
import pytest

from bicerin.errors import BlobCountError, ShapeError
from bicerin.testing import LayerConformance
from bicerin_data.cases import CASES

GAUSSIAN = 'data_filler { type: "gaussian" std: 1 }'
CONSTANT = 'data_filler { type: "constant" value: 3 }'


def dummy(param, tops=2):
    names = " ".join(f'top: "t{index}"' for index in range(tops))
    return f'type: "DummyData" {names} dummy_data_param {{ {param} }}'


class TestDummyData(LayerConformance):
    cases = CASES


@pytest.mark.parametrize(
    ("param", "shapes"),
    [
        ("shape { dim: 2 dim: 3 }", [(2, 3), (2, 3)]),
        ("shape { dim: 2 } shape { }", [(2,), ()]),
        ("shape { dim: 0 dim: 3 } shape { dim: 1 dim: 1 dim: 1 dim: 1 dim: 1 }", [(0, 3), (1, 1, 1, 1, 1)]),
        ("num: 2 channels: 3 height: 4 width: 5", [(2, 3, 4, 5)] * 2),
        ("num: 2 num: 6 channels: 3 height: 4 width: 5 width: 7", [(2, 3, 4, 5), (6, 3, 4, 7)]),
    ],
)
def test_shapes(param, shapes, make_layer):
    run = make_layer(dummy(param))
    assert [blob.shape for blob in run.top] == shapes
    run.forward()
    assert all((blob.data == 0).all() for blob in run.top)


def test_nothing_is_filled_where_only_shapes_are_asked_for(make_layer):
    """`bicerin check` of a large net takes no memory."""
    run = make_layer(dummy(f"shape {{ dim: 5 dim: 3 }} {CONSTANT}"), shapes_only=True)
    assert [blob.shape for blob in run.top] == [(5, 3)] * 2
    assert [blob.memory[0].nbytes for blob in run.top] == [0, 0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constants_are_filled_once_and_the_rest_each_time(dtype, make_layer, batches):
    run = make_layer(dummy(f"shape {{ dim: 20 }} {GAUSSIAN} {CONSTANT}"), dtype=dtype)
    assert (run.top[1].data == 3).all()
    run.top[1].data[0] = 8
    (first, constant), (second, _) = batches(run, 2)
    assert constant[0] == 8
    assert constant.dtype == dtype
    assert first.std() > 0.3
    assert not np.array_equal(first, second)


def test_one_filler_for_all_tops(make_layer, batches):
    first, second = batches(make_layer(dummy(f"shape {{ dim: 20 }} {GAUSSIAN}")))[0]
    assert not np.array_equal(first, second)


def test_resuming_is_exact(make_layer, batches):
    whole = make_layer(dummy(f"shape {{ dim: 20 }} {GAUSSIAN}"))
    batches(whole, 3)
    state = whole.layer.state()
    resumed = make_layer(dummy(f"shape {{ dim: 20 }} {GAUSSIAN}"), seed=9)
    resumed.layer.restore_state(state)
    assert np.array_equal(batches(whole)[0], batches(resumed)[0])


@pytest.mark.parametrize(
    ("param", "reason"),
    [
        ("", "Must specify 'shape' once, or once per top blob: 0 for 3 tops"),
        ("shape { } shape { }", "Must specify 'shape' once, or once per top blob: 2 for 3 tops"),
        ("num: 1 num: 1 channels: 1 height: 1 width: 1", "Must specify 'num' once, or once per top blob: 2"),
        ("num: 1 channels: 1 height: 1", "Must specify 'width' once, or once per top blob: 0"),
        ("shape { } num: 1", "Both shape and legacy fields were specified"),
        (f"shape {{ }} {CONSTANT} {CONSTANT}", "Number of data fillers must be 0, 1 or equal to the number of tops"),
    ],
)
def test_errors(param, reason, make_layer):
    with pytest.raises(ShapeError, match=reason):
        make_layer(dummy(param, tops=3))


def test_needs_a_top(make_layer):
    with pytest.raises(BlobCountError, match="DummyData Layer produces at least 1 top blob"):
        make_layer(dummy("shape { }", tops=0))
