"""What a test of a net comes to: each of its outputs, summed up over the passes.

By default that is the mean. A plugin that knows an output whose mean says nothing, such as a table of detections, sums
it up itself: see the hook `bicerin_test_output`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bicerin.errors import NetError
from bicerin.net.hooks import plugins

if TYPE_CHECKING:
    from bicerin.net import Net


class OutputSum(Protocol):
    """Sums one output up."""

    def add(self, values: np.ndarray) -> None:
        """Take the output of one pass: an array that the next pass writes anew."""

    def result(self) -> Any:
        """What the passes come to: a number or an array."""


class Mean:
    """The mean over the passes, in float64.

    Args:
        name: of the output, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._sum: np.ndarray | None = None
        self._passes = 0

    def add(self, values: np.ndarray) -> None:
        if self._sum is None:
            self._sum = np.zeros(values.shape)
        if values.shape != self._sum.shape:
            raise NetError(
                f'the output "{self._name}" has no mean: its shape is {values.shape} in pass {self._passes + 1} of the '
                f"test, and was {self._sum.shape}. A Silence layer leaves an output out."
            )
        self._sum += values
        self._passes += 1

    def result(self) -> Any:
        assert self._sum is not None
        return self._sum / self._passes


class Outcome:
    """The outputs of a net, collected pass by pass.

    Args:
        param: the SolverParameter, or one of defaults.
    """

    def __init__(self, net: Net, param: Any) -> None:
        self._net = net
        self._passes = 0
        self._sums: dict[str, OutputSum] = {}
        for name in net.outputs:
            found = plugins().hook.bicerin_test_output(net=net, name=name, param=param)
            self._sums[name] = found if found is not None else Mean(name)

    def add(self) -> None:
        """Take the outputs of the pass that the net has just run."""
        self._passes += 1
        with np.errstate(all="ignore"):  # a net that diverged has infinite outputs
            for name, output in self._sums.items():
                output.add(self._net.blobs[name].read_only.data)

    def results(self) -> dict[str, np.ndarray]:
        """Output name -> what it comes to; nothing without a pass."""
        if not self._passes:
            return {}
        return {name: np.asarray(output.result()) for name, output in self._sums.items()}
