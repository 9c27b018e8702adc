"""The momentum and the weight decay of an iteration, by `momentum_policy` and `weight_decay_policy`.

    momentum_policy      fixed   momentum
                         poly    from momentum to max_momentum, by (iteration / max_iter) ** momentum_power
                         opt     (1 - 0.5 * √rate)², at most max_momentum if that is given
    weight_decay_policy  fixed   weight_decay
                         poly    weight_decay * (iteration / max_iter) ** weight_decay_power

The fields come with bicerin-forks. Source: the `SGDSolver` of NVIDIA's Caffe 0.17.
"""

from __future__ import annotations

from math import sqrt
from typing import Any

from bicerin.errors import SolverError

_MOMENTUM = ("fixed", "poly", "opt")
_DECAY = ("fixed", "poly")


def check_momentum(param: Any, *, has_momentum: bool) -> None:
    """Check that the policies exist, and that what they need is given.

    Args:
        has_momentum: whether the solver's rule uses the momentum of this module.

    Raises:
        SolverError: they do not, or it is not.
    """
    momentum, decay = _policy(param, "momentum_policy"), _policy(param, "weight_decay_policy")
    for field, policy, known in (("momentum_policy", momentum, _MOMENTUM), ("weight_decay_policy", decay, _DECAY)):
        if policy not in known:
            raise SolverError(f"Unknown {field}: {policy}; it is {' or '.join(map(repr, known))}.".replace("'", '"'))
        if policy == "poly" and param.max_iter <= 0:
            raise SolverError(f'{field} "poly": max_iter must be greater than 0, not {param.max_iter}.')
    if momentum != "fixed" and not has_momentum:
        raise SolverError(f'momentum_policy "{momentum}" is known to SGD and Nesterov alone, not to {param.type}.')


def momentum(param: Any, iteration: int, rate: float) -> float:
    """The momentum of an iteration with this learning rate."""
    policy = _policy(param, "momentum_policy")
    if policy == "poly":
        share = _progress(param, iteration) ** param.momentum_power
        return float(param.momentum + (param.max_momentum - param.momentum) * share)
    if policy == "opt":
        best = (1 - 0.5 * sqrt(max(rate, 0.0))) ** 2
        return min(float(param.max_momentum), best) if param.HasField("max_momentum") else best
    return float(param.momentum)


def weight_decay(param: Any, iteration: int) -> float:
    """The weight decay of an iteration, which each blob's `decay_mult` multiplies."""
    if _policy(param, "weight_decay_policy") == "poly":
        return float(param.weight_decay * _progress(param, iteration) ** param.weight_decay_power)
    return float(param.weight_decay)


def _policy(param: Any, field: str) -> str:
    return getattr(param, field, "fixed") or "fixed"


def _progress(param: Any, iteration: int) -> float:
    return iteration / param.max_iter
