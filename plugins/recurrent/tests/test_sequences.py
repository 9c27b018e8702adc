"""The hidden state from batch to batch, its exposure, saving, and the order of the blobs."""

import json

import numpy as np
import pytest

from bicerin.testing import run_layer

FILLED = 'weight_filler { type: "gaussian" std: 0.4 } bias_filler { type: "gaussian" std: 0.3 }'
HIDDEN = {"RNN": 1, "LSTM": 2}


def make(kind: str, given, options: str = "", dtype=np.float64, **keywords):
    text = f'name: "t" type: "{kind}" recurrent_param {{ num_output: 3 {FILLED} {options} }}'
    return run_layer(text, given, dtype=dtype, **keywords)


def feed(run, *arrays) -> np.ndarray:
    for blob, array in zip(run.bottom, arrays, strict=False):
        blob.reshape(*array.shape)
        blob.data[...] = array
    run.forward()
    return run.top[0].data.copy()


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(6, 2, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", HIDDEN)
def test_a_batch_goes_on_where_the_last_ended(kind, x, dtype):
    cont = np.ones((6, 2))
    cont[4, 1] = 0
    whole = feed(make(kind, [x, cont], dtype=dtype), x, cont)
    parts = make(kind, [x[:2], cont[:2]], dtype=dtype)
    joined = np.concatenate([feed(parts, x[start : start + 2], cont[start : start + 2]) for start in (0, 2, 4)])
    np.testing.assert_allclose(joined, whole, rtol=1e-5, atol=1e-6)
    assert not np.allclose(feed(parts, x[:2], cont[:2]), whole[:2]), "nothing was carried over"


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_marker_of_0_forgets(kind, x):
    cont = np.ones((6, 2))
    cont[0] = cont[3] = 0
    run = make(kind, [x, cont])
    first = feed(run, x, cont)
    np.testing.assert_array_equal(feed(run, x, cont), first)
    np.testing.assert_allclose(first[3:], feed(make(kind, [x[3:], cont[3:]]), x[3:], cont[3:]))
    other = x.copy()
    other[:3] += 1
    np.testing.assert_array_equal(feed(run, other, cont)[3:], first[3:])


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("kind", HIDDEN)
def test_exposed_states_carry_a_sequence_over(kind, static, x):
    number = HIDDEN[kind]
    always = [np.full((2, 5), 0.5)] if static else []
    cont = np.ones((6, 2))
    whole = feed(make(kind, [x, cont, *always]), x, cont, *always)
    states = [np.zeros((1, 2, 3))] * number
    run = make(kind, [x[:3], cont[:3], *always, *states], "expose_hidden: true", tops=1 + number)
    first = feed(run, x[:3], cont[:3], *always, *states)
    states = [blob.data.copy() for blob in run.top[1:]]
    assert [state.shape for state in states] == [(1, 2, 3)] * number
    if kind == "LSTM":
        np.testing.assert_array_equal(states[0][0], first[-1])  # h comes before c
    second = feed(run, x[3:], cont[3:], *always, *states)
    np.testing.assert_allclose(np.concatenate([first, second]), whole)
    np.testing.assert_array_equal(feed(run, x[3:], cont[3:], *always, *states), second)


@pytest.mark.parametrize("kind", HIDDEN)
def test_resumed_exactly(kind, x):
    cont = np.ones((2, 2))
    run = make(kind, [x[:2], cont], dtype=np.float32)
    feed(run, x[:2], cont)
    state = json.loads(json.dumps(run.layer.state()))
    resumed = make(kind, [x[:2], cont], dtype=np.float32)
    resumed.layer.restore_state(state)
    np.testing.assert_array_equal(feed(resumed, x[2:4], cont), feed(run, x[2:4], cont))


def test_exposed_states_are_not_kept(x):
    given = [x, np.ones((6, 2)), np.zeros((1, 2, 3))]
    assert "hidden" not in (make("RNN", given, "expose_hidden: true", tops=2).layer.state() or {})


@pytest.mark.parametrize("kind", HIDDEN)
def test_number_of_streams_may_change(kind, x):
    run = make(kind, [x, np.zeros((6, 2))])
    for streams in (1, 0, 5, 2):
        wide = np.random.default_rng(1).normal(size=(6, streams, 4))
        cont = np.zeros((6, streams))
        assert feed(run, wide, cont).shape == (6, streams, 3)
        run.top[0].diff[...] = 1
        run.backward()
        fresh = make(kind, [wide, cont])
        np.testing.assert_allclose(run.top[0].data, feed(fresh, wide, cont))


@pytest.mark.parametrize(
    ("kind", "static", "shapes"),
    [
        ("LSTM", False, [(12, 4), (12,), (12, 3)]),
        ("LSTM", True, [(12, 4), (12,), (12, 10), (12, 3)]),
        ("RNN", False, [(3, 4), (3,), (3, 3), (3, 3), (3,)]),
        ("RNN", True, [(3, 4), (3,), (3, 10), (3, 3), (3, 3), (3,)]),
    ],
)
def test_blobs(kind, static, shapes, x, device):
    given = [x, np.ones((6, 2))] + ([np.ones((2, 5, 2))] if static else [])
    run = make(kind, given)
    assert [blob.shape for blob in run.blobs] == shapes
    again = run_layer(run.node.to_proto(), given, dtype=np.float64, device=device)
    np.testing.assert_allclose(feed(again, *given), feed(run, *given), rtol=1e-5)


@pytest.mark.parametrize("kind", HIDDEN)
def test_a_top_changed_in_place_does_not_change_the_gradient(kind, x):
    cont = np.zeros((6, 2))
    gradients = []
    for factor in (1, 0):
        run = make(kind, [x, cont])
        feed(run, x, cont)
        run.top[0].data[...] *= factor
        run.top[0].diff[...] = 1
        run.backward()
        gradients.append([blob.diff.copy() for blob in [run.bottom[0], *run.blobs]])
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)


def test_frozen_parameters_keep_their_diff(x):
    for kind in HIDDEN:
        run = make(kind, [x, np.ones((6, 2)), np.ones((2, 5))])
        for index in range(len(run.blobs)):
            run.layer.set_param_propagate_down(index, False)
        feed(run, x)
        run.top[0].diff[...] = 1
        run.backward()
        assert all((blob.diff == 0).all() for blob in run.blobs)
        assert (run.bottom[0].diff != 0).any()


def test_debug_info_reports_sizes(x, caplog):
    run = make("LSTM", [x, np.ones((6, 2))], "debug_info: true")
    with caplog.at_level("INFO", "bicerin.recurrent"):
        run.forward()
        run.backward()
    assert '[Forward] layer "t", output' in caplog.text
    assert '[Backward] layer "t", parameter 2' in caplog.text


def test_lstm_unit_saturates_without_warnings(recwarn, device):
    gates = np.array([[[-1e4, -1e4, 1e4, 1e4]]])
    run = run_layer('name: "u" type: "LSTMUnit"', [np.ones((1, 1, 1)), gates, np.ones((1, 1))], device=device)
    run.forward()
    assert [float(blob.data.item()) for blob in run.top] == [0, 0]
    assert not recwarn.list
