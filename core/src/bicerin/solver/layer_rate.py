"""Rates that each learnable blob has of its own, from the norms of its values and of its gradient.

    larc             larc_eta * |w| / |g|, times the rate ("scale") or at most the rate ("clip"); NVIDIA's Caffe
    local_lr_auto    the rate times local_gw_ratio * |w| / (|g| + weight_decay * |w|); Intel's

They take the place of `lr_mult`, where that is not 0. |g| is the norm of the gradient after clipping and the mean over
`iter_size`, without decay. The fields come with bicerin-forks.

NVIDIA's releases differ: 0.17.3 multiplies larc's rate by 1 - momentum. What `larc_turbo` does to it differs as well,
on GPUs only: a factor in one solver, a difference in another, which may make the rate negative. It is no option that is
known here, and a solver with it is refused.

Source: Y. You et al., "Large batch training of convolutional networks", 2017.
"""

from __future__ import annotations

from typing import Any

from bicerin.errors import SolverError

_POLICIES = ("scale", "clip")


def adapts(param: Any) -> bool:
    """Whether the solver asks for such rates.

    Raises:
        SolverError: `larc_policy` is unknown.
    """
    larc = getattr(param, "larc", False)
    if larc and param.larc_policy not in _POLICIES:
        raise SolverError(f'Unknown larc_policy: {param.larc_policy}; it is "scale" or "clip".')
    return bool(larc or getattr(param, "local_lr_auto", False))


def layer_rate(param: Any, rate: float, lr_mult: float, data: float, diff: float) -> float:
    """The rate of a blob.

    Args:
        rate: the policy's.
        data, diff: the norms of its values and of its gradient.
    """
    if lr_mult <= 0:
        return rate * lr_mult
    larc = getattr(param, "larc", False)
    own = 1.0
    if data > 0 and diff > 0:  # not where it is NaN
        own = param.larc_eta * data / diff if larc else param.local_gw_ratio * data / (diff + param.weight_decay * data)
    return min(rate, own) if larc and param.larc_policy == "clip" else rate * own
