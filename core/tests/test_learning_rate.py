"""Learning rates: every policy, with its formula written out by hand, and the checks."""

from __future__ import annotations

import logging
from math import exp
from typing import Any

import pytest

import bicerin_proto
from bicerin.errors import SolverError
from bicerin.solver.learning_rate import LearningRatePolicy, check_policy, learning_rate, lr_policies, plugin_policy


def param(text: str):
    return bicerin_proto.read_solver(f"{text}\n", upgrade=False).message


def rates(text: str, iterations: int) -> list[float]:
    """The rates of iterations 0, 1, ..., with the step carried along as a solver does."""
    found, step = [], 0
    for iteration in range(iterations):
        rate, step = learning_rate(param(text), iteration, step)
        found.append(rate)
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('lr_policy: "fixed"', [2, 2, 2, 2, 2, 2]),
        ('lr_policy: "step" gamma: 0.5 stepsize: 2', [2, 2, 1, 1, 0.5, 0.5]),
        ('lr_policy: "exp" gamma: 0.5', [2, 1, 0.5, 0.25, 0.125, 0.0625]),
        ('lr_policy: "inv" gamma: 0.5 power: 2', [2 / (1 + 0.5 * i) ** 2 for i in range(6)]),
        ('lr_policy: "multistep" gamma: 0.5 stepvalue: 1 stepvalue: 4', [2, 1, 1, 1, 0.5, 0.5]),
        # Caffe takes one step an iteration, so that the second of two equal values counts one iteration later.
        ('lr_policy: "multistep" gamma: 0.5 stepvalue: 2 stepvalue: 2', [2, 2, 1, 0.5, 0.5, 0.5]),
        ('lr_policy: "poly" power: 2 max_iter: 4', [2 * (1 - i / 4) ** 2 for i in range(4)] + [0, 0]),
        ('lr_policy: "poly" power: 0.5 max_iter: 4', [2 * (1 - i / 4) ** 0.5 for i in range(4)] + [0, 0]),
        ('lr_policy: "sigmoid" gamma: 2 stepsize: 3', [2 / (1 + exp(-2 * (i - 3))) for i in range(6)]),
    ],
)
def test_policies(text: str, expected: list[float]) -> None:
    assert rates(f"base_lr: 2 {text}", 6) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "iteration", "expected"),
    [
        ('lr_policy: "sigmoid" gamma: 1 stepsize: 100000', 0, 0),
        ('lr_policy: "exp" gamma: 0.5', 100000, 0),
        ('lr_policy: "exp" gamma: 2', 100000, float("inf")),
    ],
)
def test_far_out_rates_are_as_in_caffe(text: str, iteration: int, expected: float) -> None:
    assert learning_rate(param(f"base_lr: 1 {text}"), iteration, 0)[0] == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no lr_policy; the policies: fixed, step, exp, inv, multistep, poly, sigmoid"),
        ('lr_policy: "multstep"', 'Unknown learning rate policy: multstep. Did you mean "multistep"?'),
        ('lr_policy: "warmup"', "Unknown learning rate policy: warmup. The policies: fixed, step, exp"),
        ('lr_policy: "step" gamma: 0.1', '"step": stepsize must be greater than 0, not 0'),
        ('lr_policy: "step" gamma: -0.1 stepsize: 1', '"step": gamma must be at least 0, not -0.1'),
        ('lr_policy: "sigmoid" gamma: 1 stepsize: -5', '"sigmoid": stepsize must be greater than 0, not -5'),
        ('lr_policy: "poly" power: 1', '"poly": max_iter must be greater than 0, not 0'),
    ],
)
def test_checks(text: str, message: str) -> None:
    with pytest.raises(SolverError) as error:
        check_policy(param(f"base_lr: 1 {text}"))
    assert message in str(error.value)


def test_what_is_missing_and_counts_as_zero_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check_policy(param('lr_policy: "inv" gamma: 1'))
    assert 'lr_policy "inv": the solver gives no base_lr and no power, which is taken as 0' in caplog.text
    caplog.clear()
    check_policy(param('base_lr: 1 lr_policy: "inv" gamma: 1 power: 1'))
    assert not caplog.records


class HalvedPolicy(LearningRatePolicy):
    """Half as much after each loss above 1."""

    def __init__(self, param: Any) -> None:
        super().__init__(param)
        if not param.base_lr:
            raise SolverError("halved: give a base_lr.")

    def rate(self, iteration: int, current_step: int) -> float:
        rate: float = self.param.base_lr / 2**current_step
        return rate

    def observe(self, iteration: int, current_step: int, loss: float) -> int:
        return current_step + (loss > 1)


def test_a_policy_of_a_plugin(provided: Any) -> None:
    lr_policies._loaded[provided.add(lr_policies.group, "halved", "halved:HalvedPolicy")] = HalvedPolicy
    given = param('base_lr: 8 lr_policy: "halved"')
    check_policy(given)
    policy = plugin_policy(given)
    assert policy is not None and policy.state() == {}
    assert [policy.rate(0, policy.observe(0, 1, loss)) for loss in (0.5, 2)] == [4, 2]
    assert plugin_policy(param('base_lr: 8 lr_policy: "fixed"')) is None
    with pytest.raises(SolverError, match=r"halved: give a base_lr\."):
        check_policy(param('lr_policy: "halved"'))
    with pytest.raises(SolverError, match=r"Unknown learning rate policy: half.* sigmoid.*, halved"):
        check_policy(param('lr_policy: "half"'))


def test_who_brings_a_policy_is_known(provided: Any) -> None:
    provided.index.pop(lr_policies.group, None)
    with pytest.raises(SolverError, match=r"plateau\. It comes with bicerin-ssd: pip install bicerin-ssd\. The"):
        check_policy(param('base_lr: 1 lr_policy: "plateau"'))
