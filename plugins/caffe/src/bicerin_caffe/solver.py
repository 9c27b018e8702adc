"""`caffe.Solver` and its siblings: a `bicerin.Solver` with pycaffe's names."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import bicerin
import bicerin_proto
from bicerin.schema.installed_schema import read_solver
from bicerin.solver.solver import solvers
from bicerin_caffe import settings
from bicerin_caffe.nccl import NCCL
from bicerin_caffe.net import Net
from bicerin_caffe.user_exceptions import user_exceptions
from bicerin_caffe.vectors import NetVec


class Solver:
    """Trains a net. `get_solver` makes one, or the class of an update rule does."""

    #: The type of its solver, in the registry; None for what the prototxt says.
    _type: str | None = None

    @user_exceptions
    def __init__(self, solver_file: str | os.PathLike[str]) -> None:
        self._train(read_solver(Path(os.fsdecode(solver_file))))

    def _train(self, document: bicerin_proto.Document) -> None:
        seed = settings.next_seed()
        if document.message.random_seed < 0 and seed is not None:
            document.message.random_seed = seed
        cls = bicerin.Solver if self._type is None else solvers.load(self._type)
        self._core = cls(document, device=settings.device(), keep_gradients=True, **settings.place())

    @cached_property
    def net(self) -> Net:
        """The net that is trained."""
        return Net._of(self._core.net)

    @cached_property
    def test_nets(self) -> NetVec:
        """The nets that are tested."""
        return NetVec(Net._of(net) for net in self._core.test_nets)

    @property
    def iter(self) -> int:
        """The number of updates done."""
        return self._core.iteration

    @property
    def param(self) -> Any:
        """The `SolverParameter`; `base_lr` may be set in it."""
        return self._core.param

    @user_exceptions
    def solve(self, resume_file: str | os.PathLike[str] | None = None) -> None:
        """Train up to `max_iter`, from a snapshot if one is given."""
        self._core.solve(resume_file or None)

    @user_exceptions
    def step(self, iterations: int) -> None:
        """Run this many iterations."""
        self._core.step(iterations)

    @user_exceptions
    def restore(self, resume_file: str | os.PathLike[str]) -> None:
        """Go on from a snapshot."""
        self._core.restore(resume_file)

    @user_exceptions
    def snapshot(self) -> None:
        """Write `<snapshot_prefix>_iter_<iter>.caffemodel` and `.solverstate`."""
        self._core.snapshot()

    def share_weights(self, net: Net) -> None:
        """Let another net use the weights of the trained one."""
        self._core.share_weights(net._core)

    def apply_update(self) -> None:
        """Update the weights from the gradients that the net now holds."""
        self._core.apply_update()

    def add_callback(
        self, on_start: Callable[[], Any] | NCCL, on_gradients_ready: Callable[[], Any] | None = None
    ) -> None:
        """Call one function before each iteration's passes, and one between them and the update; or, given an `NCCL`,
        let it average the gradients there.
        """
        if isinstance(on_start, NCCL):
            self._core.add_callback(lambda: None, on_start.gradients_ready)
        elif on_gradients_ready is None:
            raise TypeError("add_callback takes two functions, or an NCCL.")
        else:
            self._core.add_callback(on_start, on_gradients_ready)


class SGDSolver(Solver):
    _type = "SGD"


class NesterovSolver(Solver):
    _type = "Nesterov"


class AdaGradSolver(Solver):
    _type = "AdaGrad"


class RMSPropSolver(Solver):
    _type = "RMSProp"


class AdaDeltaSolver(Solver):
    _type = "AdaDelta"


class AdamSolver(Solver):
    _type = "Adam"


_CLASSES = {cls._type: cls for cls in Solver.__subclasses__()}


@user_exceptions
def get_solver(solver_file: str | os.PathLike[str]) -> Solver:
    """The solver of the type that the prototxt names: of the class of an update rule, or `Solver` for a plugin's."""
    document = read_solver(Path(os.fsdecode(solver_file)))
    cls = _CLASSES.get(document.message.type, Solver)
    solver = object.__new__(cls)
    solver._train(document)
    return solver
