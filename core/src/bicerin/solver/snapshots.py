"""The snapshots of a solver: what it writes, and goes on from.

Source: Caffe's `Solver::Snapshot` and `Solver::Restore`.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bicerin.errors import BicerinError, DataError, ProtoError, SnapshotError, WeightsError
from bicerin.parallel.training import ParallelTraining
from bicerin.solver.snapshot_claim import SnapshotClaim
from bicerin.solver.snapshot_files import SnapshotFiles, weights_of_state
from bicerin.solver.state import (
    OF_EACH_RANK,
    SolverState,
    check_state,
    plain_value,
    read_state,
    state_of_rank,
    write_state,
)
from bicerin.solver.tests import Tests
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.solver")


class Snapshots:
    """Of one solver.

    Args:
        solver: the `Solver`.
        directory: of its file, or None.
        losses: its last ones, which are restored in place.
        policy: its learning-rate policy, where that is a plugin's.
        team: the ranks that it trains with; None where it is alone.
        tests: its tests.
        tell: calls a hook, by its name and its arguments.
    """

    def __init__(
        self,
        solver: Any,
        directory: Path | None,
        losses: deque[float],
        policy: Any,
        team: ParallelTraining | None,
        tests: Tests,
        tell: Callable[..., None],
    ) -> None:
        self._solver, self._team, self._tests, self._tell = solver, team, tests, tell
        self._losses, self._policy = losses, policy
        self._files = SnapshotFiles(solver.param, directory)
        #: The iteration of the last snapshot; -1 for none.
        self._written = -1
        #: Where the solver began, or was restored: nothing was learned up to there.
        self._first = 0
        self._claim: SnapshotClaim | None = None

    # Writing

    def claim(self) -> None:
        """Once, before the first iteration, where snapshots will be written."""
        solver = self._solver
        wanted = solver.param.snapshot > 0 or solver.param.snapshot_after_train
        if self._claim is None and solver.is_root and wanted and solver.param.snapshot_prefix:
            self._claim = SnapshotClaim(self._files.prefix())

    def write(self) -> Path:
        """As `Solver.snapshot`."""
        solver, team = self._solver, self._team
        model, path = self._files.of(solver.iteration)
        state = self._state(str(model)) if team is None else self._state_of_team(team, str(model))
        if not solver.is_root and team is not None:
            self._written = solver.iteration
            return path
        kind = "HDF5" if self._files.hdf5 else "binary proto"
        try:
            with team.progress.doing("writes a snapshot") if team is not None else contextlib.nullcontext():
                _log.info("Snapshotting to %s file %s", kind, model)
                solver.net.save(model, write_diff=solver.param.snapshot_diff)
                _log.info("Snapshotting solver state to %s file %s", kind, path)
                write_state(state, path)
        except (ProtoError, WeightsError, OSError, TypeError, ValueError) as error:
            raise SnapshotError(f"the snapshot of iteration {solver.iteration} was not written: {error}") from error
        self._written = solver.iteration
        self._tell("bicerin_snapshot", path=path)
        return path

    def write_before(self, error: DataError) -> None:
        """Snapshot what was learned when the data cannot be read any further: the weights are those of the last update.

        A data layer that had read its part of the iteration before another failed goes on after that part.
        """
        solver = self._solver
        learned = solver.iteration > max(self._written, self._first)
        if not learned or not solver.is_root or not solver.param.snapshot_prefix:
            return
        _log.warning("no more data can be read; saving what has been learned so far")
        try:
            solver.snapshot()
        except BicerinError as other:
            error.add_note(f"The weights of iteration {solver.iteration} could not be saved either: {other}")

    def write_after_training(self) -> None:
        """What `snapshot_after_train` asks for, where the last iteration's was not written already."""
        solver = self._solver
        if not solver.param.snapshot_after_train or self._written == solver.iteration:
            return
        if solver.param.snapshot > 0 and solver.iteration % solver.param.snapshot == 0:
            return
        if solver.param.snapshot_prefix:
            solver.snapshot()
        elif solver.is_root:
            _log.warning("the solver has no snapshot_prefix: the trained weights are not saved")

    def _state_of_team(self, team: ParallelTraining, learned_net: str) -> SolverState:
        """As `_state`, with the states of the other ranks' nets; on rank 0, the one that writes it."""
        team.average_statistics()
        team.check_weights()
        state = self._state(learned_net)
        assert state.extra is not None
        others = team.gather({name: state.extra[name] for name in OF_EACH_RANK}, plain_value)[1:]
        state.extra["ranks"] = others
        return state

    def _state(self, learned_net: str | None) -> SolverState:
        """All that a run needs to go on, besides the weights; the history is the solver's own arrays."""
        solver = self._solver
        tests = self._tests.states
        extra = {
            "type": solver.type,
            "losses": list(self._losses),
            "lr_policy": dict(self._policy.state()) if self._policy is not None else {},
            "net": solver.net.state(),
            "test_nets": tests if tests is not None else [net.state() for net in solver.test_nets],
        }
        if self._team is not None and self._team.scales:
            extra["scales"] = self._team.scales
        history = [blob.read_only.data for blob in solver.history]
        return SolverState(solver.iteration, learned_net, solver.current_step, history, extra)

    # Going on

    def restore(self, path: Path) -> None:
        """As `Solver.restore`."""
        state = self._restore(path) if self._team is None or self._solver.is_root else None
        if self._team is not None:
            self._restore_others(self._team, path, state)

    def _restore(self, path: Path) -> SolverState:
        solver = self._solver
        state = read_state(path)
        _log.info("Restoring previous solver status from %s", printable(path))
        check_state(state, path, solver.type, [node.name for node in solver.net.nodes], solver.history)
        before = self._state(None)
        before.history = [array.copy() for array in before.history]
        params = [blob.blob for blob in solver.net.learnable_params]
        weights = [blob.read_only.data.copy() for blob in params]
        marks = self._written, self._first, self._tests.states
        try:
            if state.learned_net:
                solver.net.load_weights(weights_of_state(state.learned_net, path))
            self._take(state)
        except Exception as error:
            for blob, array in zip(params, weights, strict=True):
                blob.data[...] = array
            self._take(before)
            self._written, self._first, self._tests.states = marks
            if isinstance(error, BicerinError):
                raise
            raise SnapshotError(
                f"{path}: the state of a layer or of the learning-rate policy is damaged: "
                f"{type(error).__name__}: {error}. The solver is as it was."
            ) from error
        if state.extra is None:
            _log.info("%s: written by Caffe; data layers start from where they are", path)
        return state

    def _restore_others(self, team: ParallelTraining, path: Path, own: SolverState | None) -> None:
        """Be, on every rank, as the state says that rank 0 has read; weights and history come with the first step."""
        what = [own.iteration, own.current_step, own.extra] if own is not None else None
        iteration, current_step, extra = team.share(what, plain_value)
        team.may_differ()
        if self._solver.is_root:
            return
        history = [blob.read_only.data for blob in self._solver.history]
        try:
            self._take(SolverState(iteration, None, current_step, history, extra))
        except Exception as error:
            if isinstance(error, BicerinError):
                raise
            raise SnapshotError(
                f"{path}: the state of a layer on rank {team.rank} is damaged: {type(error).__name__}: {error}."
            ) from error

    def _take(self, state: SolverState) -> None:
        """Have the solver be as a state says, which fits; the weights are there already."""
        solver = self._solver
        for blob, array in zip(solver.history, state.history, strict=True):
            blob.data.reshape(-1)[...] = array.reshape(-1)
        solver.iteration = self._first = state.iteration
        solver.current_step = state.current_step
        self._losses.clear()
        self._written = -1
        self._tests.states = None
        rank, size = (self._team.rank, self._team.size) if self._team is not None else (0, 1)
        extra = state_of_rank(state.extra or {}, rank, size)
        self._losses.extend(map(float, extra.get("losses", ())))
        if self._team is not None:
            self._team.scales = extra.get("scales", ())
        if self._policy is not None and extra.get("lr_policy"):
            self._policy.restore_state(extra["lr_policy"])
        solver.net.restore_state(extra.get("net", {}))
        for net, net_state in zip(solver.test_nets, extra.get("test_nets", ()), strict=False):
            net.restore_state(net_state)
        for net in solver.test_nets:
            net.share_trained_layers_with(solver.net)
