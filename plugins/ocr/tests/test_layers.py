"""The decoder, Lstm's state from batch to batch, and options that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import LayerRun, run_layer

random = np.random.default_rng(0)


def onehot(paths: list[list[int]], classes: int) -> np.ndarray:
    """Scores, `(T, N, C)`, whose best classes are these."""
    return np.eye(classes)[np.array(paths).T] * 2 + 1


def decoded(text: str, *bottom: np.ndarray, tops: int = 1, device: str = "cpu") -> LayerRun:
    run = run_layer(text, bottom, tops=tops, dtype=np.float64, device=device)
    run.forward()
    return run


def test_what_is_read(device: str) -> None:
    """The last class is the blank; a sequence ends before a marker of 0."""
    scores = onehot([[0, 0, 3, 0, 1, 1], [2, 3, 3, 1, 1, 0]], 4)
    markers = np.array([[0, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 1]]).T
    run = decoded('type: "CTCGreedyDecoder"', scores, markers, tops=2, device=device)
    assert run.top[0].shape == (2, 6, 1, 1)
    assert run.top[0].read_only.data[:, :, 0, 0].tolist() == [[0, 0, 1, -1, -1, -1], [2, 1, -1, -1, -1, -1]]
    assert run.top[1].read_only.data[:, 0, 0, 0].tolist() == [-18, -12]


def test_repeats_that_count() -> None:
    text = 'type: "CTCGreedyDecoder" ctc_decoder_param { blank_index: 0 ctc_merge_repeated: false }'
    run = decoded(text, onehot([[1, 1, 0, 2]], 3), np.ones((4, 1)))
    assert run.top[0].data[0, :, 0, 0].tolist() == [1, 1, 2, -1]


@pytest.mark.parametrize(("target", "distance"), [
    ([0, 1, 2, -1], 0), ([0, 2, -1, 9], 1 / 3), ([-1, 0, 0, 0], 1), ([2, 1, 0, 2], 1 / 2), ([0, 0, 1, 2], 1 / 4),
])  # fmt: skip
def test_the_accuracy_is_an_edit_distance(target: list[int], distance: float, device: str) -> None:
    scores = onehot([[0, 1, 1, 2], [3, 3, 3, 3]], 4)
    targets = np.array([target, [-1] * 4]).T
    run = decoded('type: "CTCGreedyDecoder"', scores, np.ones((4, 2)), targets, tops=2, device=device)
    assert np.isclose(run.top[1].read_only.data.item(), 1 - distance / 2)


def lstm_by_definition(x: np.ndarray, cont: np.ndarray, weights: list[np.ndarray]) -> np.ndarray:
    (w_x, w_h, b), size = weights, weights[1].shape[1]
    h = c = np.zeros((x.shape[1], size))
    made = []
    for t in range(len(x)):
        h, c = h * cont[t][:, None], c * cont[t][:, None]
        i, f, o, g = np.split(x[t] @ w_x.T + h @ w_h.T + b, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        made.append(h)
    return np.array(made)


WEIGHTS = [random.normal(size=shape) for shape in ((12, 4), (12, 3), (12,))]


def test_lstm_of_several_sequences(device: str) -> None:
    x, cont = random.normal(size=(5, 3, 4)), random.integers(0, 2, (5, 3))
    run = run_layer('type: "Lstm" lstm_param { num_output: 3 }', [x, cont], parameters=WEIGHTS, dtype=np.float64,
                    device=device)  # fmt: skip
    run.forward()
    assert np.allclose(run.top[0].read_only.data, lstm_by_definition(x, cont, WEIGHTS))


def test_lstm_goes_on_where_the_last_batch_ended(device: str) -> None:
    """With markers; its state goes into snapshots. Without markers every batch starts anew."""
    x, cont = random.normal(size=(6, 2, 4)), np.ones((6, 2))
    cont[0] = 0
    whole = lstm_by_definition(x, cont, WEIGHTS)
    text = 'type: "Lstm" lstm_param { num_output: 3 }'
    run = run_layer(text, [x[:3], cont[:3]], parameters=WEIGHTS, dtype=np.float64, device=device)
    run.forward()
    other = run_layer(text, [x[3:], cont[3:]], parameters=WEIGHTS, dtype=np.float64, device=device)
    other.layer.restore_state(run.layer.state())
    other.forward()
    assert np.allclose(other.top[0].read_only.data, whole[3:])
    alone = run_layer(text, [x[:3]], parameters=WEIGHTS, dtype=np.float64, device=device)
    for _ in range(2):
        alone.forward()
        assert np.allclose(alone.top[0].read_only.data, whole[:3])


def test_clipping() -> None:
    """Of the gradient of b nothing is left above the threshold, times the steps."""
    x = random.normal(size=(3, 1, 4))
    run = run_layer('type: "Lstm" lstm_param { num_output: 3 clipping_threshold: 0.01 }', [x], parameters=WEIGHTS,
                    dtype=np.float64)  # fmt: skip
    run.forward()
    run.top[0].diff[...] = 100
    run.backward()
    assert 0.01 < np.abs(run.blobs[2].diff).max() <= 0.03 + 1e-12


@pytest.mark.parametrize(("text", "shapes", "tops", "words"), [
    ('type: "Transpose" transpose_param { dim: [0, 1] }', [(2, 3, 4)], 1, "Name each of its 3 axes once"),
    ('type: "Transpose" transpose_param { dim: [0, 1, 1] }', [(2, 3, 4)], 1, r"dim \[0, 1, 1\]"),
    ('type: "Reverse" reverse_param { axis: 2 }', [(2, 3)], 1, "axis is 2"),
    ('type: "Reverse" reverse_param { axis: -1 }', [(2, 3)], 1, "axis is -1"),
    ('type: "ContinuationIndicator"', [(2, 3)], 1, "time_step must be > 0"),
    ('type: "ContinuationIndicator" continuation_indicator_param { time_step: 2 }', [], 1, "neither a bottom nor"),
    ('type: "ContinuationIndicator" continuation_indicator_param { time_step: 2 batch_size: 4 }', [(3, 2)], 1,
     "batch_size is 4, but the bottom has 3"),
    ('type: "LabelsequenceAccuracy"', [(2, 3), (2, 3)], 1, r"the shape \(N, T, C\)"),
    ('type: "LabelsequenceAccuracy"', [(2, 3, 4), (3, 3)], 1, r"the labels must have the shape \(2, L\)"),
    ('type: "CTCGreedyDecoder"', [(4, 2, 3), (4, 3)], 1, r"the markers must have the shape \(4, 2\)"),
    ('type: "CTCGreedyDecoder" ctc_decoder_param { blank_index: 3 }', [(4, 2, 3), (4, 2)], 1, "blank_index is 3"),
    ('type: "CTCGreedyDecoder"', [(4, 2, 3), (4, 2)], 3, "needs targets as bottom 2"),
    ('type: "Lstm"', [(4, 2, 3)], 1, "num_output must be > 0"),
    ('type: "Lstm" lstm_param { num_output: 2 }', [(4, 2, 3), (4, 3)], 1, r"bottom 1 must have the shape \(4, 2\)"),
    ('type: "Lstm" lstm_param { num_output: 2 clipping_threshold: -1 }', [(4, 2, 3)], 1, "clipping_threshold must be"),
])  # fmt: skip
def test_what_cannot_be(text: str, shapes: list[tuple[int, ...]], tops: int, words: str) -> None:
    with pytest.raises((LayerError, ShapeError), match=words):
        run_layer(text, [np.zeros(shape) for shape in shapes], tops=tops)
