"""Numbers that change from one forward pass to the next, and where they stand, for snapshots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bicerin.layer import Layer


class CountsPasses(Layer):
    """A layer that counts its forward passes from `iteration` on; a resumed run goes on counting.

    Attributes:
        iteration: how many passes there were.
    """

    iteration = 0

    def state(self) -> Mapping[str, Any] | None:
        return {**(super().state() or {}), "iteration": self.iteration}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        self.iteration = int(state["iteration"])
