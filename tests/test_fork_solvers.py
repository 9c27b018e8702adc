"""What forks add to the solver: rates that start low, stages, a least rate, and rates of each blob's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin.errors import SolverError
from bicerin.schema import read_solver
from bicerin.solver.learning_rate import check_policy, learning_rate

pytest.importorskip("bicerin_forks")

NET = """
net_param {
  layer { name: "d" type: "DummyData" top: "x" top: "t"
    dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 }
    data_filler { value: 1 } data_filler { value: 3 } } }
  layer { name: "a" type: "InnerProduct" bottom: "x" top: "a" param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 0 }
    inner_product_param { num_output: 2 weight_filler { value: 0.5 } bias_filler { value: 1 } } }
  layer { name: "loss" type: "EuclideanLoss" bottom: "a" bottom: "t" top: "loss" }
}
snapshot_after_train: false
"""


def param(text: str) -> Any:
    return read_solver(f"{text}\n").message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('lr_policy: "fixed" warmup_iter: 4 warmup_start_lr: 0.4', [0.4, 0.8, 1.2, 1.6, 2, 2]),
        ('lr_policy: "step" gamma: 0.5 stepsize: 2 warmup_iter: 2', [0, 1, 1, 1, 0.5, 0.5]),
        ('lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 2 warmup_iter: 3', [0, 2 / 3, 4 / 3, 1, 0.5, 0.5]),
        ('lr_policy: "fixed" rampup_interval: 4 rampup_lr: 1', [1, 1 + 1 / 16, 1.25, 1 + 9 / 16, 2, 2]),
        ('lr_policy: "poly" power: 2 max_iter: 4 min_lr: 1', [2, 1 + 9 / 16, 1.25, 1 + 1 / 16, 1, 1]),
        ('lr_policy: "exp" gamma: 0.5 min_lr: 0.3', [2, 1, 0.5, 0.3, 0.3, 0.3]),
        ('lr_policy: "multifixed" stagelr: 0.1 stagelr: 7 stageiter: 1 stageiter: 3', [0.1, 0.1, 7, 7, 7, 7]),
    ],
)
def test_rates(text: str, expected: list[float]) -> None:
    solver = param(f"base_lr: 2 {text}")
    check_policy(solver)
    found, step = [], 0
    for iteration in range(6):
        rate, step = learning_rate(solver, iteration, step)
        found.append(rate)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('lr_policy: "multifixed" stagelr: 1', "there are 1 and 0"),
        ('lr_policy: "multifixed" stagelr: 1 stagelr: 2 stageiter: 5 stageiter: 3', "must not decrease: 5, 3"),
        ('lr_policy: "fixed" min_lr: 3', "min_lr is 3, more than base_lr, 2"),
        ('lr_policy: "fixed" larc: true larc_policy: "auto"', "Unknown larc_policy: auto"),
        ('lr_policy: "fixed" momentum_policy: "exp"', 'Unknown momentum_policy: exp; it is "fixed" or "poly" or "opt"'),
        ('lr_policy: "fixed" weight_decay_policy: "opt"', 'Unknown weight_decay_policy: opt; it is "fixed" or "poly"'),
        ('lr_policy: "fixed" momentum_policy: "poly"', 'momentum_policy "poly": max_iter must be greater than 0'),
        ('lr_policy: "fixed" type: "Adam" momentum: 0.9 momentum_policy: "opt"', "SGD and Nesterov alone, not to Adam"),
    ],
)
def test_what_does_not_make_sense(text: str, words: str) -> None:
    with pytest.raises(SolverError, match=words):
        bicerin.Solver(f"{NET} base_lr: 2 {text}")


@pytest.mark.parametrize(
    ("text", "factor"),
    [
        ("larc: true larc_eta: 0.01", lambda w, g: 0.1 * 0.01 * w / g),
        ("larc: true larc_eta: 0.01 iter_size: 2", lambda w, g: 0.1 * 0.01 * w / g),
        ('larc: true larc_eta: 0.01 larc_policy: "clip"', lambda w, g: min(0.1, 0.01 * w / g)),
        ('larc: true larc_eta: 9 larc_policy: "clip"', lambda w, g: min(0.1, 9 * w / g)),
        ("local_lr_auto: true local_gw_ratio: 0.02", lambda w, g: 0.1 * 0.02 * w / (g + 0.5 * w)),
        ("", lambda w, g: 0.1),
    ],
)
def test_a_blob_has_a_rate_of_its_own(text: str, factor: Any, device: str) -> None:
    """The update by hand: 2 outputs of 3 * 0.5 + 1, half a unit too low, for each of 4 rows, over 4."""
    text = f'{NET} base_lr: 0.1 lr_policy: "fixed" weight_decay: 0.5 {text}'
    solver = bicerin.Solver(text, device=device, dtype=np.float64)
    weight, bias = solver.net.params["a"]
    before = weight.data.copy()
    solver.step(1)
    gradient = np.full((2, 3), -0.5)
    w, g = np.linalg.norm(before), np.linalg.norm(gradient)
    np.testing.assert_allclose(before - weight.data, factor(w, g) * (gradient + 0.5 * before), rtol=1e-6)
    assert (bias.data == 1).all()  # its lr_mult is 0


@pytest.mark.parametrize(
    ("text", "momenta", "decays"),
    [
        ("momentum: 0.5", [0.5] * 3, [0.1] * 3),
        (
            'max_iter: 4 momentum: 0.5 momentum_policy: "poly" max_momentum: 0.9 momentum_power: 2',
            [0.5, 0.525, 0.6],
            [0.1] * 3,
        ),
        ('momentum_policy: "opt"', [(1 - 0.5 * 0.04**0.5) ** 2] * 3, [0.1] * 3),
        ('momentum_policy: "opt" max_momentum: 0.7', [0.7] * 3, [0.1] * 3),
        ('max_iter: 4 weight_decay_policy: "poly" weight_decay_power: 1', [0] * 3, [0, 0.025, 0.05]),
    ],
)
def test_momentum_and_decay_by_iteration(text: str, momenta: list[float], decays: list[float]) -> None:
    """Three updates by hand: h = momentum * h + rate * (gradient + decay * w)."""
    solver = bicerin.Solver(f'{NET} base_lr: 0.04 lr_policy: "fixed" weight_decay: 0.1 {text}', dtype=np.float64)
    weight = solver.net.params["a"][0].data
    w, history = weight.copy(), np.zeros((2, 3))
    for momentum, decay in zip(momenta, decays, strict=True):
        gradient = np.repeat((w.sum(axis=1, keepdims=True) + 1 - 3), 3, axis=1)
        history = momentum * history + 0.04 * (gradient + decay * w)
        w = w - history
        solver.step(1)
        np.testing.assert_allclose(weight, w, rtol=1e-6)
