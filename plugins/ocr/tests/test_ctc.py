"""CtcLoss by its definition: the sum over all paths; the gradient of the sequences' sum; what is refused."""

from __future__ import annotations

from itertools import groupby, product

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin.testing import run_layer

random = np.random.default_rng(0)


def by_definition(x: np.ndarray, label: list[int], blank: int) -> float:
    """-log of the sum of the probabilities of all paths that read as the label; x is `(T, C)`."""
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    total = 0.0
    for path in product(range(x.shape[1]), repeat=len(x)):
        if [one for one, _ in groupby(path) if one != blank] == label:
            total += float(np.prod(p[np.arange(len(x)), path]))
    return -np.log(total) if total else 0.0


@pytest.mark.parametrize(("label", "blank"), [
    ([1, 2], 0), ([1, 1], 0), ([0, 2, 0], 1), ([], 0), ([0], 2), ([1, 2, 1, 2, 1], 0), ([1, 1, 1], 0),
    ([1, 1, 1, 1], 0),
])  # fmt: skip
def test_all_paths(label: list[int], blank: int, device: str) -> None:
    x = random.normal(size=(5, 1, 3)) * 2
    padded = [*label, *[blank] * (5 - len(label))]
    run = run_layer(f'type: "CtcLoss" ctc_loss_param {{ blank_label: {blank} }}', [x, [padded]], dtype=np.float64,
                    device=device)  # fmt: skip
    assert np.isclose(run.forward(), by_definition(x[:, 0], label, blank))


def test_the_gradient_is_that_of_the_sum(device: str) -> None:
    x, labels = random.normal(size=(6, 3, 4)), np.array([[1, 0, 1], [2, 3, 0], [1, 1, 1]])
    text = 'type: "CtcLoss" loss_weight: 2 ctc_loss_param { time_step: 5 }'
    run = run_layer(text, [x, labels], dtype=np.float64, device=device)
    run.forward()
    run.backward([True, False])
    found = np.array(run.bottom[0].read_only.diff)
    step = 1e-6
    for place in np.ndindex(x.shape):
        losses = []
        for sign in (step, -step):
            moved = x.copy()
            moved[place] += sign
            losses.append(run_layer(text, [moved, labels], dtype=np.float64).forward())
        assert np.isclose(found[place], 3 * (losses[0] - losses[1]) / (2 * step), atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_long_sequences_lose_no_precision(dtype: type, device: str) -> None:
    """Of each step the shares of the classes are 1 together, so that a gradient's sum over them is 0."""
    x, labels = random.normal(size=(500, 2, 30)) * 5, random.integers(1, 30, (2, 200))
    run = run_layer('type: "CtcLoss"', [x, labels], dtype=dtype, device=device)
    loss = run.forward()
    run.backward([True, False])
    diff = run.bottom[0].read_only.diff
    assert np.isfinite(loss)
    assert loss > 1000
    assert np.abs(diff.sum(axis=2)).max() < 1e-4
    assert np.abs(diff).max() <= 1 + 1e-6


def test_nothing_is_sure_and_nothing_overflows() -> None:
    """A class whose score is 1,000 less costs 1,000; it may come at any of three steps."""
    x = np.zeros((3, 1, 2))
    x[:, 0, 1] = -1000
    run = run_layer('type: "CtcLoss"', [x, [[1]]], dtype=np.float32)
    assert np.isclose(run.forward(), 1000 - np.log(3))
    run.backward([True, False])
    assert np.isfinite(run.bottom[0].diff).all()


def test_an_empty_batch() -> None:
    run = run_layer('type: "CtcLoss"', [np.zeros((4, 0, 3)), np.zeros((0, 2))])
    assert run.forward() == 0
    run.backward([True, False])


@pytest.mark.parametrize(("value", "words"), [
    (3, "label 3, at place 1 of sequence 0, is out of range"), (-1, "label -1, at place 1"), (np.nan, "label nan"),
])  # fmt: skip
def test_labels_that_cannot_be(value: float, words: str, device: str) -> None:
    labels = np.array([[1, value], [1, 2]])
    run = run_layer('type: "CtcLoss"', [np.zeros((4, 2, 3)), labels], device=device)
    with pytest.raises(LayerError, match=words):
        run.forward()  # a device gives NaN, which is then explained


@pytest.mark.parametrize(("options", "scores", "labels", "words"), [
    ("alphabet_size: 4", (4, 2, 3), (2, 2), "alphabet_size is 4, but the scores are of 3 classes"),
    ("time_step: 5", (4, 2, 3), (2, 2), "time_step is 5, but the scores have 4 steps"),
    ("blank_label: 3", (4, 2, 3), (2, 2), "blank_label is 3; there are 3 classes"),
    ("blank_label: -1", (4, 2, 3), (2, 2), "blank_label is -1"),
    ("", (4, 2, 3), (3, 2), r"the labels must have the shape \(2, L\)"),
    ("", (4, 2, 3, 1), (2, 2), r"must have the shape \(T, N, C\)"),
    ("", (0, 2, 3), (2, 2), "there are no time steps"),
])  # fmt: skip
def test_what_does_not_fit(options: str, scores: tuple[int, ...], labels: tuple[int, ...], words: str) -> None:
    with pytest.raises(ShapeError, match=words):
        run_layer(f'type: "CtcLoss" ctc_loss_param {{ {options} }}', [np.zeros(scores), np.zeros(labels)])
