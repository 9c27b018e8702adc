"""Step: what an update rule gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """What an update rule gets of one learnable blob: arrays of the device, shape `(count,)`, and scalars.

    Attributes:
        data, diff: the blob's; the rule writes the update into `diff` and subtracts it from `data`.
        history: as many arrays as the solver's `histories`, zeros at first.
        terms: `scale, l2, l1, rate`: the gradient is scale * diff + l2 * data + l1 * sign(data).
        scalar: makes a number of the arrays' dtype.
    """

    data: Any
    diff: Any
    history: tuple[Any, ...]
    terms: tuple[Any, ...]
    scalar: Callable[[float], Any]

    def run(self, rule: Callable[..., None], *constants: float) -> None:
        """Call a rule of `update_rules` with the arrays, the terms and its own constants."""
        rule(self.data, self.diff, *self.history, *self.terms, *map(self.scalar, constants))
