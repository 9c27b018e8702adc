"""The layer contract; gradients with exposed hidden states; an LSTMUnit without streams."""

import numpy as np
import pytest

from bicerin.testing import LayerConformance, check_gradient, run_layer
from bicerin_recurrent.cases import CASES, HIDDEN, definition


def inputs(steps: int, streams: int, *features: int, first: int = 0) -> list[np.ndarray]:
    """x, and markers where some sequences begin in the middle; `first` says whether the first step goes on."""
    random = np.random.default_rng(steps + streams)
    cont = random.integers(0, 2, (steps, streams))
    cont[0] = first
    return [random.normal(size=(steps, streams, *features)), cont]


class TestLayers(LayerConformance):
    cases = CASES


@pytest.mark.parametrize("static", [[], [np.ones((2, 2))]])
@pytest.mark.parametrize("kind", HIDDEN)
def test_gradient_with_exposed_states(kind, static, device):
    """Sequences go on from states that are given; no gradient reaches these, and none comes from theirs after."""
    states = list(np.random.default_rng(0).normal(size=(HIDDEN[kind], 1, 2, 3)))
    given = [*inputs(3, 2, 2, first=1), *static, *states]
    run = run_layer(
        definition(kind, "expose_hidden: true"), given, tops=1 + len(states), dtype=np.float64, device=device
    )
    seed = np.random.default_rng(1).normal(size=run.top[0].shape)

    def objective() -> float:
        run.forward()
        return float((seed * run.top[0].data).sum())

    objective()
    for blob in run.top[1:]:
        blob.diff[...] = 5
    exposed = run.bottom[-len(states) :]
    for blob in exposed:
        blob.diff[...] = 5
    run.top[0].diff[...] = seed
    run.backward([index != 1 for index in range(len(run.bottom))])
    for blob in exposed:
        assert (blob.diff == 0).all()
    for blob in [run.bottom[0], *run.bottom[2 : 2 + len(static)], *run.blobs]:
        analytic = blob.diff.copy()
        for position in np.ndindex(blob.shape):
            value = blob.data[position]
            blob.data[position] = value + 1e-5
            above = objective()
            blob.data[position] = value - 1e-5
            below = objective()
            blob.data[position] = value
            assert abs((above - below) / 2e-5 - analytic[position]) < 1e-7


def test_gradient_of_an_empty_lstm_unit(device):
    check_gradient(
        'name: "u" type: "LSTMUnit"', [np.zeros((1, 0, 2)), np.zeros((1, 0, 8)), np.zeros((1, 0))], device=device
    )
