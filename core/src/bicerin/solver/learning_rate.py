"""The learning rate of an iteration, by `lr_policy`.

    fixed       base_lr
    step        base_lr * gamma ** (iteration // stepsize)
    exp         base_lr * gamma ** iteration
    inv         base_lr * (1 + gamma * iteration) ** -power
    multistep   base_lr * gamma ** step, where `step` goes up by one at each `stepvalue`
    poly        base_lr * (1 - iteration / max_iter) ** power
    sigmoid     base_lr / (1 + exp(-gamma * (iteration - stepsize)))
    multifixed  stagelr of the first stage whose stageiter is not passed yet; after all of them, the last

Others are brought by plugins: `LearningRatePolicy`. Fields of bicerin-forks change a policy's rate:

    warmup_iter, warmup_start_lr  before warmup_iter, a line from warmup_start_lr to base_lr (Intel)
    rampup_interval, rampup_lr    before rampup_interval, from rampup_lr to base_lr with the square of the iteration
    min_lr                        no rate is less; `poly` goes from base_lr down to it (both of NVIDIA's Caffe 0.17)

Source: Caffe's `SGDSolver::GetLearningRate`, and those of Intel's, NVIDIA's and eric612's forks.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.discovery.registry import Registry
from bicerin.errors import SolverError
from bicerin_proto.hints import comes_with, did_you_mean

_log = logging.getLogger("bicerin.solver")

lr_policies = Registry("bicerin.lr_policies", "learning-rate policy", {"plateau": "bicerin-ssd"}.get)


class LearningRatePolicy(ABC):
    """A policy that a plugin brings, under its name in the entry-point group `bicerin.lr_policies`.

    Args:
        param: the SolverParameter.

    Raises:
        SolverError: what the policy needs is missing or out of range.
    """

    def __init__(self, param: Any) -> None:
        self.param = param

    @abstractmethod
    def rate(self, iteration: int, current_step: int) -> float:
        """The rate of an iteration, in the step that has been reached with it."""

    def observe(self, iteration: int, current_step: int, loss: float) -> int:
        """Called before each update; returns the step that is reached with it.

        Args:
            loss: the mean of the last `average_loss` iterations, this one included.
        """
        return current_step

    def state(self) -> Mapping[str, Any]:
        """What a snapshot must hold besides the step, for a run to go on exactly: JSON values."""
        return {}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""


def plugin_policy(param: Any) -> LearningRatePolicy | None:
    """The policy, if a plugin brings it; None for those of this module.

    Raises:
        SolverError: what the policy needs is missing or out of range.
        PluginError: the plugin is broken.
    """
    if param.lr_policy in _POLICIES:
        return None
    made: LearningRatePolicy = lr_policies.load(param.lr_policy)(param)
    return made


def learning_rate(param: Any, iteration: int, current_step: int) -> tuple[float, int]:
    """The rate of an iteration, and the step that the policies `step` and `multistep` have reached with it.

    Args:
        param: the SolverParameter.
        current_step: the step before this iteration; a snapshot keeps it.
    """
    start = starting_rate(param, iteration)
    if start is not None:
        return start, current_step
    if param.lr_policy == "multifixed":
        return _staged(param, iteration), current_step
    if param.lr_policy == "step":
        current_step = iteration // param.stepsize
    elif param.lr_policy == "multistep":
        # One step an iteration, as in Caffe: a stepvalue that stands twice counts twice, an iteration apart.
        steps = param.stepvalue
        if current_step < len(steps) and iteration >= steps[current_step]:
            current_step += 1
    with np.errstate(over="ignore", under="ignore"):
        factor = _FACTORS[param.lr_policy](param, iteration, current_step)
    least = getattr(param, "min_lr", 0.0)
    if param.lr_policy == "poly" and least:
        return (param.base_lr - least) * float(factor) + least, current_step
    return max(param.base_lr * float(factor), least), current_step


def starting_rate(param: Any, iteration: int) -> float | None:
    """The rate of an iteration of the warm-up, whatever the policy; None once that is over."""
    if iteration < getattr(param, "warmup_iter", 0):
        share = iteration / param.warmup_iter
        return float(param.warmup_start_lr + (param.base_lr - param.warmup_start_lr) * share)
    if iteration < getattr(param, "rampup_interval", 0):
        share = (iteration / param.rampup_interval) ** 2
        return float(param.rampup_lr + (param.base_lr - param.rampup_lr) * share)
    return None


def check_policy(param: Any) -> None:
    """Check that the policy exists and that what it needs is given.

    Raises:
        SolverError: it is unknown, or a field is missing or out of range.
    """
    policy = param.lr_policy
    if policy in lr_policies and policy not in _POLICIES:
        plugin_policy(param)
        return
    if policy not in _POLICIES:
        valid = ", ".join([*_POLICIES, *lr_policies.providers()])
        if not policy:
            raise SolverError(f"the solver gives no lr_policy; the policies: {valid}.")
        distribution = lr_policies.known(policy)
        hint = f"{comes_with(distribution)}. " if distribution else f"{did_you_mean(policy, _POLICIES)} ".lstrip()
        raise SolverError(f"Unknown learning rate policy: {policy}. {hint}The policies: {valid}.")
    if policy == "multifixed":
        _check_stages(getattr(param, "stagelr", ()), getattr(param, "stageiter", ()))
        return
    if getattr(param, "min_lr", 0.0) > param.base_lr:
        raise SolverError(f"min_lr is {param.min_lr:g}, more than base_lr, {param.base_lr:g}.")
    needed = _NEEDED[policy]
    if "gamma" in needed and param.gamma < 0:
        raise SolverError(f'lr_policy "{policy}": gamma must be at least 0, not {param.gamma:g}.')
    for field in ("stepsize", "max_iter"):
        if field in needed and getattr(param, field) <= 0:
            raise SolverError(f'lr_policy "{policy}": {field} must be greater than 0, not {getattr(param, field)}.')
    read = ("base_lr", *(field for field in ("gamma", "power") if field in needed))
    missing = [field for field in read if not param.HasField(field)]
    if missing:
        _log.warning('lr_policy "%s": the solver gives no %s, which is taken as 0', policy, " and no ".join(missing))


def _check_stages(rates: Sequence[float], ends: Sequence[int]) -> None:
    if not rates or len(rates) != len(ends):
        raise SolverError(
            f'lr_policy "multifixed" needs a stagelr and a stageiter for each stage: there are {len(rates)} and '
            f"{len(ends)}."
        )
    if list(ends) != sorted(ends):
        raise SolverError(f'lr_policy "multifixed": stageiter must not decrease: {", ".join(map(str, ends))}.')


def _staged(param: Any, iteration: int) -> float:
    stages = zip(param.stagelr, param.stageiter, strict=True)
    return next((float(rate) for rate, end in stages if iteration <= end), float(param.stagelr[-1]))


def _exponential(param: Any, iteration: int, step: int) -> np.float64:
    return np.float64(param.gamma) ** iteration


def _stepped(param: Any, iteration: int, step: int) -> np.float64:
    return np.float64(param.gamma) ** step


def _inverse(param: Any, iteration: int, step: int) -> np.float64:
    return np.float64(1 + param.gamma * iteration) ** -param.power


def _polynomial(param: Any, iteration: int, step: int) -> np.float64:
    # Past max_iter the rate stays 0; a power of a negative number would make the weights NaN.
    return np.float64(max(0.0, 1 - iteration / param.max_iter)) ** param.power


def _sigmoid(param: Any, iteration: int, step: int) -> np.float64:
    return 1 / (1 + np.exp(np.float64(-param.gamma * (iteration - param.stepsize))))


_FACTORS: dict[str, Callable[[Any, int, int], Any]] = {
    "fixed": lambda param, iteration, step: 1.0,
    "step": _stepped,
    "exp": _exponential,
    "inv": _inverse,
    "multistep": _stepped,
    "poly": _polynomial,
    "sigmoid": _sigmoid,
}

#: Those of this module. All but one multiply base_lr by a factor.
_POLICIES = (*_FACTORS, "multifixed")

_NEEDED: dict[str, tuple[str, ...]] = {
    "fixed": (),
    "step": ("gamma", "stepsize"),
    "exp": ("gamma",),
    "inv": ("gamma", "power"),
    "multistep": ("gamma",),
    "poly": ("power", "max_iter"),
    "sigmoid": ("gamma", "stepsize"),
}
