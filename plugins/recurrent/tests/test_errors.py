"""What cannot be is an error that says why, in Caffe's words where it has some."""

import numpy as np
import pytest

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer


def make(kind, options, *shapes, tops=1):
    return run_layer(
        f'name: "t" type: "{kind}" recurrent_param {{ {options} }}', [np.ones(shape) for shape in shapes], tops=tops
    )


X, CONT = (3, 2, 4), (3, 2)
CASES = [
    ("", [X, CONT], 1, "num_output must be positive"),
    ("num_output: 3", [(3, 2), CONT], 1, r"bottom\[0\] must have at least 3 axes -- \(#timesteps, #streams"),
    ("num_output: 3", [(0, 2, 4), (0, 2)], 1, "there are no time steps"),
    ("num_output: 3", [X, (3,)], 1, r"bottom\[1\] must have exactly 2 axes -- \(#timesteps, #streams\)"),
    ("num_output: 3", [X, (3, 1)], 1, r"bottom\[1\] has the shape \(3, 1\)"),
    ("num_output: 3", [X, CONT, (3, 2)], 1, r"static input must have the shape \(2, ...\), not \(3, 2\)"),
]


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
@pytest.mark.parametrize(("options", "shapes", "tops", "message"), CASES)
def test_set_up(kind, options, shapes, tops, message):
    with pytest.raises(ShapeError, match=message) as raised:
        make(kind, options, *shapes, tops=tops)
    assert f'layer "t" ({kind})' in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "options", "shapes", "tops", "message"),
    [
        ("LSTM", "", [X], 1, "LSTM Layer takes at least 2 bottom"),
        ("LSTM", "", [X, CONT, (2, 1), (2, 1)], 1, "LSTM Layer takes at most 3 bottom"),
        ("LSTM", "expose_hidden: true", [X, CONT, (2, 1)], 3, "LSTM Layer takes at least 4 bottom"),
        ("LSTM", "expose_hidden: true", [X, CONT, (1, 2, 3), (1, 2, 3)], 2, "LSTM Layer produces 3 top"),
        ("LSTM", "", [X, CONT], 2, "LSTM Layer produces 1 top"),
        ("RNN", "expose_hidden: true", [X, CONT], 2, "RNN Layer takes at least 3 bottom"),
        ("RNN", "expose_hidden: true", [X, CONT, (1, 2, 3)], 1, "RNN Layer produces 2 top"),
    ],
)
def test_blob_counts(kind, options, shapes, tops, message):
    with pytest.raises(BlobCountError, match=message):
        make(kind, f"num_output: 3 {options}", *shapes, tops=tops)


def test_shape_of_an_exposed_state():
    with pytest.raises(ShapeError, match=r"bottom\[3\] shape must match hidden state input shape: \(1, 2, 3\), not"):
        make("LSTM", "num_output: 3 expose_hidden: true", X, CONT, (1, 2, 3), (1, 2, 4), tops=3)


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_changed_shapes(kind):
    run = make(kind, "num_output: 3", X, CONT)
    for shape, message in (
        ((5, 2, 4), "input number of timesteps changed from 3 to 5"),
        ((3, 2, 5), r"the input has \[5\] features, and the weights are for \[4\]"),
    ):
        run.bottom[0].reshape(*shape)
        with pytest.raises(ShapeError, match=message):
            run.forward()


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_markers_take_no_gradient(kind):
    run = make(kind, "num_output: 3", X, CONT)
    run.forward()
    assert run.propagate_down == [True, False]
    with pytest.raises(LayerError, match="Cannot backpropagate to sequence indicators"):
        run.backward([True, True])


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(2, 3, 4), (2, 3, 16), (2, 3)], r"bottom 0 has the shape \(2, 3, 4\)"),
        ([(1, 3, 4), (1, 2, 16), (1, 3)], r"bottom 1 has the shape \(1, 2, 16\)"),
        ([(1, 3, 4), (1, 3, 16), (1, 3, 1)], r"bottom 2 has the shape \(1, 3, 1\)"),
        ([(1, 3, 4), (1, 3, 12), (1, 3)], "a cell of 4 needs gates of 16, not 12"),
    ],
)
def test_lstm_unit(shapes, message):
    with pytest.raises(ShapeError, match=message):
        run_layer('name: "u" type: "LSTMUnit"', [np.ones(shape) for shape in shapes])


def test_lstm_unit_markers_take_no_gradient():
    run = run_layer('name: "u" type: "LSTMUnit"', [np.ones((1, 3, 4)), np.ones((1, 3, 16)), np.ones((1, 3))])
    run.forward()
    with pytest.raises(LayerError, match="Cannot backpropagate to sequence indicators"):
        run.backward([True, True, True])


@pytest.mark.parametrize(
    ("definition", "shapes"),
    [
        ('type: "LSTM" recurrent_param { num_output: 3 }', [(2, 1, 3), (2, 1)]),
        ('type: "RNN" recurrent_param { num_output: 3 }', [(2, 1, 3), (2, 1)]),
        ('type: "LSTMUnit"', [(1, 1, 3), (1, 1, 12), (1, 1)]),
    ],
)
def test_not_in_place(definition, shapes):
    with pytest.raises(LayerError, match="Layer does not allow in-place computation"):
        run_layer(definition, [np.zeros(shape) for shape in shapes], in_place=True)
