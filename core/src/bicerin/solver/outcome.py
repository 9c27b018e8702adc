"""What a test of a net comes to: each of its outputs, summed up over the passes.

By default that is the mean. A plugin that knows an output whose mean says nothing, such as a table of detections, sums
it up itself: see the hook `bicerin_test_output`.
"""

from __future__ import annotations

import json
from io import BytesIO
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bicerin.errors import NetError
from bicerin.net.hooks import plugins
from bicerin.parallel.ranks import Ranks

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

    Attributes:
        total: the sum; None before the first pass.
        passes: how many there were.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.total: np.ndarray | None = None
        self.passes = 0

    def add(self, values: np.ndarray) -> None:
        if self.total is None:
            self.total = np.zeros(values.shape)
        if values.shape != self.total.shape:
            raise NetError(
                f'the output "{self._name}" has no mean: its shape is {values.shape} in pass {self.passes + 1} of the '
                f"test, and was {self.total.shape}. A Silence layer leaves an output out."
            )
        self.total += values
        self.passes += 1

    def result(self) -> Any:
        assert self.total is not None
        return self.total / self.passes

    def combine(self, ranks: Ranks) -> None:
        """Take in the passes that other ranks have run.

        Raises:
            NetError: the output has not the same shape on all ranks.
        """
        own = json.dumps([self.passes, self.total.shape if self.total is not None else None]).encode()
        found = [json.loads(one) for one in ranks.all_gather(own)]
        shapes = [tuple(shape) for _, shape in found if shape is not None]
        if len(set(shapes)) > 1:
            raise NetError(
                f'the output "{self._name}" has no mean: its shape is {shapes[0]} in some passes of the test, and '
                f"{next(shape for shape in shapes if shape != shapes[0])} in others. A Silence layer leaves an output "
                "out."
            )
        if shapes:
            total = self.total if self.total is not None else np.zeros(shapes[0])
            flat = np.ascontiguousarray(total).reshape(-1)
            ranks.sum(flat)
            self.total = flat.reshape(shapes[0])
        self.passes = sum(passes for passes, _ in found)


class Kept:
    """The values of each pass, of an output that a plugin sums up: in the end it gets those of all ranks, in the order
    of passes.

    Args:
        summed: the plugin's.
    """

    def __init__(self, summed: OutputSum) -> None:
        self._summed = summed
        self._values: list[np.ndarray] = []

    def add(self, values: np.ndarray) -> None:
        self._values.append(values.copy())

    def result(self) -> Any:
        return self._summed.result()

    def combine(self, ranks: Ranks) -> None:
        """Give the plugin the values of all ranks: pass `i` was run by rank `i` modulo their number."""
        found = [_arrays(one) for one in ranks.all_gather(_bytes(self._values))]
        for values in zip_longest(*found):
            for array in values:
                if array is not None:
                    self._summed.add(array)
        self._values.clear()


class Outcome:
    """The outputs of a net, collected pass by pass.

    Args:
        param: the SolverParameter, or one of defaults.
        passes: how many `run` will be called for.
        ranks: who divides the passes: pass `i` is that of rank `i` modulo their number. None where there is one alone.

    Attributes:
        loss: the sum of the passes' weighted losses.
    """

    def __init__(self, net: Net, param: Any, passes: int, ranks: Ranks | None = None) -> None:
        self._net, self._ranks = net, ranks
        if ranks is not None:
            net.take_turns(range(ranks.rank, passes, ranks.size), passes)
        self._passes = 0
        self.loss = 0.0
        self._sums: dict[str, Any] = {}
        for name in net.outputs:
            found = plugins().hook.bicerin_test_output(net=net, name=name, param=param)
            self._sums[name] = Mean(name) if found is None else Kept(found) if ranks is not None else found

    def run(self, number: int) -> None:
        """Run a pass and take its outputs; where it is another rank's, go on to the data of the next.

        Args:
            number: from 0 on, each in its turn.
        """
        if self._ranks is not None and number % self._ranks.size != self._ranks.rank:
            self._net.pass_by()
            return
        self.loss += self._net.run_forward()
        self._passes += 1
        with np.errstate(all="ignore"):  # a net that diverged has infinite outputs
            for name, output in self._sums.items():
                output.add(self._net.blobs[name].read_only.data)
        if self._ranks is not None:
            self._ranks.progress.moves += 1

    def results(self) -> dict[str, np.ndarray]:
        """Output name -> what it comes to; nothing without a pass. `loss` is then that of all ranks, too."""
        if self._ranks is not None:
            self._combine(self._ranks)
        if not self._passes:
            return {}
        return {name: np.asarray(output.result()) for name, output in self._sums.items()}

    def _combine(self, ranks: Ranks) -> None:
        """Take in the passes that other ranks have run; on every rank, the results are those of all passes."""
        self.loss, self._passes = ranks.total(self.loss), int(ranks.total(self._passes))
        with np.errstate(all="ignore"):
            for output in self._sums.values():
                output.combine(ranks)


def _bytes(arrays: list[np.ndarray]) -> bytes:
    stream = BytesIO()
    for array in arrays:
        np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def _arrays(data: bytes) -> list[np.ndarray]:
    stream, found = BytesIO(data), []
    while stream.tell() < len(data):
        found.append(np.load(stream, allow_pickle=False))
    return found


def goes_on(net: Net) -> bool:
    """Whether a pass goes on where the one before it has ended, in more than what is read and what is random: several
    ranks cannot divide the passes of such a net.
    """
    return any(node.bottom and set(node.layer.state() or ()) - {"random"} for node in net.nodes)
