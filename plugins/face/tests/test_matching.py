"""LabeledMatching, UnlabeledMatching, GlobalLSEMargin and LabelSpecificRescale, against loops over items."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin.errors import LayerError
from bicerin.testing import run_layer

random = np.random.default_rng(3)
X = random.normal(size=(5, 4))


def test_labeled_matching_remembers_items_in_their_order(device: str) -> None:
    labels = np.array([1, 0, 1, -1, 7])
    memory = random.normal(size=(3, 4))
    text = 'type: "LabeledMatching" labeled_matching_param { num_classes: 3 momentum: 0.25 }'
    run = run_layer(
        text, [X, labels], parameters=[memory, np.array([4.0, 5, 6])], tops=2, dtype=np.float64, device=device
    )
    run.forward()
    assert np.allclose(run.top[0].data, X @ memory.T)
    assert run.top[1].data.tolist() == [1, 0, 1, -1, -1]
    run.top[0].diff[...] = y_diff = random.normal(size=(5, 3))
    run.backward([True, False])
    assert np.allclose(run.bottom[0].diff, y_diff @ memory)
    expected = memory.copy()
    for item, label in zip(X, labels, strict=True):
        if 0 <= label < 3:
            expected[label] = 0.25 * expected[label] + 0.75 * item
    assert np.allclose(run.blobs[0].data, expected)
    assert run.blobs[1].data.tolist() == [0, 0, 7]


def test_unlabeled_matching_is_a_queue(device: str) -> None:
    text = 'type: "UnlabeledMatching" unlabeled_matching_param { queue_size: 3 }'
    run = run_layer(text, [X, np.zeros(5)], dtype=np.float64, device=device)
    queue, tail = np.zeros((3, 4)), 0
    for labels in ([-1, 0, -1, 3, 2], [1, -1, -2, 0, 1], [-1, -1, -1, -1, -1]):
        run.bottom[1].data[...] = labels
        run.forward()
        assert np.allclose(run.top[0].data, X @ queue.T)
        run.backward([True, False])
        for item, label in zip(X, labels, strict=True):
            if label == -1:
                queue[tail], tail = item, (tail + 1) % 3
        assert np.allclose(run.blobs[0].data, queue)
    assert run.layer.state()["tail"] == tail
    run.layer.restore_state({"tail": 1})
    assert run.layer.state()["tail"] == 1


def mean_shift(margins: np.ndarray, mode: float, steps: int) -> float:
    while steps:
        near = margins[np.abs(margins - mode) < 0.1]
        if not len(near):
            mode = margins.mean()
            continue
        steps, last, mode = steps - 1, mode, near.mean()
        if abs(last - mode) < 0.001:
            break
    return float(mode)


@pytest.mark.parametrize("with_norms", [False, True])
def test_global_lse_margin_follows_the_batch(with_norms: bool, device: str) -> None:
    labels = np.array([0, 1, 2, 3, 1, 0])
    norms = random.uniform(2, 5, 6)
    text = 'type: "GlobalLSEMargin" scale_param { filler { type: "constant" value: 9 } max_value: 4 }'
    inputs = [np.zeros((6, 4)), labels, norms][: 3 if with_norms else 2]
    run = run_layer(text, inputs, tops=2, dtype=np.float64, device=device)
    s, m = norms if with_norms else np.full(6, 4.0), 0.0
    own = np.eye(4, dtype=bool)[labels]
    for _ in range(3):
        x = random.uniform(-0.2, 0.2, (6, 4)) + own * 0.6
        run.bottom[0].data[...] = x
        run.forward()
        lse = np.log(np.where(own, 0, np.exp(s[:, None] * x)).sum(axis=1)) / s
        margins = x[own] - lse
        m = 0.9 * m + 0.1 * mean_shift(margins, m, 1) if m else mean_shift(margins, margins.mean(), 20)
        y = s[:, None] * (x - own * max(m, 0))
        assert np.allclose(run.blobs[1].data, m) and np.allclose(run.top[0].data, y)
        largest = np.where(own, -1, x).max(axis=1)
        assert np.allclose(run.top[1].data, [s.mean(), x[own].mean(), lse.mean(), largest.mean(), m])
        run.top[0].diff[...] = y_diff = random.normal(size=(6, 4))
        run.blobs[0].diff[...] = 0
        run.backward([True, False, True][: len(inputs)])
        assert np.allclose(run.bottom[0].diff, s[:, None] * y_diff)
        by_scale = (y_diff * y / s[:, None]).sum(axis=1)
        if with_norms:
            assert np.allclose(run.bottom[2].diff, by_scale)
        else:
            assert np.allclose(run.blobs[0].diff, by_scale.sum()) and run.blobs[0].data[0] == 4


@pytest.mark.parametrize(("options", "own", "slope"), [
    ("positive_weight: 3", lambda x: 3 * x, lambda x: 3 + 0 * x),
    ("positive_weight: 3 bias_fix: true", lambda x: 3 * x - 2, lambda x: 3 + 0 * x),
    ("positive_weight: 2 power_on_positive: true", lambda x: np.sign(x) * x * x, lambda x: 2 * np.abs(x)),
    ("positive_weight: 3 for_ip: true", lambda x: np.where(x > 0, 3 * x, x), lambda x: np.where(x > 0, 3.0, 1.0)),
])  # fmt: skip
def test_label_specific_rescale(options: str, own, slope, device: str) -> None:
    labels = np.array([0, 3, 1, 1, 2])
    text = f'type: "LabelSpecificRescale" label_specific_rescale_param {{ {options} negative_weight: 0.5 }}'
    run = run_layer(text, [X, labels], dtype=np.float64, device=device)
    run.forward()
    there = np.eye(4, dtype=bool)[labels]
    assert np.allclose(run.top[0].data, np.where(there, own(X), 0.5 * X))
    run.top[0].diff[...] = 2
    run.backward([True, False])
    assert np.allclose(run.bottom[0].diff, np.where(there, 2 * slope(X), 1))


def test_label_specific_rescale_anneals_and_resumes() -> None:
    text = ('type: "LabelSpecificRescale" label_specific_rescale_param { positive_weight_base: 8 gamma: 1 power: 2 '
            "positive_weight_min: 0.4 iteration: 1 }")  # fmt: skip
    run = run_layer(text, [X, np.zeros(5)], tops=2, dtype=np.float64)
    found = []
    for _ in range(4):
        run.forward()
        found.append(float(run.top[1].data[0]))
    assert np.allclose(found, [8 / 9, 8 / 16, 0.4, 0.4])
    again = run_layer(text, [X, np.zeros(5)], tops=2, dtype=np.float64)
    again.layer.restore_state({"iteration": 2})
    again.forward()
    assert np.allclose(again.top[1].data, 0.5)


def test_options_without_effect_are_refused() -> None:
    text = 'type: "LabelSpecificRescale" label_specific_rescale_param {{ {} }}'
    for options, words in (("negative_upper_bound: 1", "no effect"), ("do_backward: false", "not supported")):
        with pytest.raises(LayerError, match=words):
            run_layer(text.format(options), [X, np.zeros(5)])


def test_global_lse_margin_without_a_bias() -> None:
    with pytest.raises(LayerError, match="num_axes, bias_term of scale_param is not known"):
        run_layer('type: "GlobalLSEMargin" scale_param { axis: 1 num_axes: 0 bias_term: true }', [X, np.zeros(5)])
