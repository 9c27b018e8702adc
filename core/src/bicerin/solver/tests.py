"""The tests of a solver's test nets, by one process or divided among the ranks of a team.

Source: Caffe's `Solver::TestAll` and `Solver::Test`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bicerin.net import Net
from bicerin.parallel.training import ParallelTraining
from bicerin.solver.display import Display
from bicerin.solver.outcome import Outcome, goes_on
from bicerin.solver.requests import Requests

_log = logging.getLogger("bicerin.solver")


class Tests:
    """Of one solver.

    Args:
        solver: the `Solver`, whose `test_nets` are tested.
        team: the ranks that it trains with; None where it is alone.
        requests: what is asked of the solver meanwhile.
        display: says the results.
        tell: calls a hook, by its name and its arguments.

    Attributes:
        states: while all are tested, the states of the test nets before that: a snapshot that is taken meanwhile has to
            repeat the tests from their start. Otherwise None.
    """

    def __init__(
        self,
        solver: Any,
        team: ParallelTraining | None,
        requests: Requests,
        display: Display,
        tell: Callable[..., None],
    ) -> None:
        self._solver, self._team = solver, team
        self._requests, self._display, self._tell = requests, display, tell
        self.states: list[dict[str, Any]] | None = None
        self._root_alone = team is not None and team.options.test_on_root
        #: For each net, whether one rank runs it alone, since a pass goes on where the one before ended.
        self._undivided = [self._root_alone or goes_on(net) for net in solver.test_nets]

    def run_all(self) -> list[dict[str, Any]]:
        """As `Solver.test_all`."""
        if self._team is not None:
            self._team.average_statistics()
            if self._root_alone and not self._solver.is_root:
                return []
        nets = self._solver.test_nets
        self.states = [net.state() for net in nets]
        results: list[dict[str, Any]] = []
        for index in range(len(nets)):
            result = self._solver.test(index)
            if result is None:
                return results
            results.append(result)
        self.states = None
        return results

    def run(self, index: int) -> dict[str, Any] | None:
        """As `Solver.test`."""
        solver = self._solver
        net = solver.test_nets[index]
        passes = solver.param.test_iter[index]
        if solver.is_root:
            _log.info("Iteration %d, Testing net (#%d)", solver.iteration, index)
        net.share_trained_layers_with(solver.net)
        if self._team is None:
            return self._run(net, index, passes, None)
        if not self._undivided[index]:
            with self._team.testing(index):
                return self._run(net, index, passes, self._team)
        if not solver.is_root:
            return {}
        with self._team.progress.doing("tests"):
            return self._run(net, index, passes, None)

    def _run(self, net: Net, index: int, passes: int, team: ParallelTraining | None) -> dict[str, Any] | None:
        """Run the passes of a test, or with a team this rank's share of them."""
        solver = self._solver
        outcome = Outcome(net, solver.param, passes, team)
        for number in range(passes):
            stop, snapshot = self._asked(team, number)
            if snapshot:
                solver.snapshot()
            if stop:
                solver.stopped = True
                _log.info("Test interrupted.")
                return None
            outcome.run(number)
        summed = outcome.results()
        if solver.param.test_compute_loss and passes and solver.is_root:
            _log.info("Test loss: %g", outcome.loss / passes)
        if solver.is_root:
            self._display.outputs("Test", net, summed)
        results = {name: float(value.reshape(())) if value.size == 1 else value for name, value in summed.items()}
        self._tell("bicerin_test_result", net_index=index, results=results)
        return results

    def _asked(self, team: ParallelTraining | None, number: int) -> tuple[bool, bool]:
        """Whether to stop and whether to snapshot before a pass; of several ranks, all are asked at once."""
        if self._team is None:
            return self._requests.take()
        if team is None or number % team.size:
            return False, False
        stop, snapshot = team.any_of(self._requests.take())
        return stop, snapshot
