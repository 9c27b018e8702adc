"""`caffe.NCCL`: solvers of several processes on one machine, a process for each, that train together.

Gradients are averaged, as by Caffe's, but through the host's memory and not by NVIDIA's library, so that processes
without a GPU can do it too.
"""

from __future__ import annotations

from typing import Any

from bicerin.errors import ParallelError
from bicerin.parallel import DataParallel
from bicerin.parallel.gradient_average import GradientAverage
from bicerin_caffe import settings
from bicerin_caffe.local_ranks import LocalRanks, new_meeting
from bicerin_caffe.user_exceptions import user_exceptions


def has_nccl() -> bool:
    """Whether solvers can train together by `NCCL`."""
    return True


class NCCL:
    """Connects this process's solver with those of the others. All have to be made before any goes on.

    Args:
        solver: made after `set_solver_count` and `set_solver_rank`.
        uid: of `new_uid`, the same in all processes.

    Raises:
        ParallelError: a RuntimeError: the others do not come, or one of them ends.
    """

    @user_exceptions
    def __init__(self, solver: Any, uid: str) -> None:
        place = settings.place()
        if not isinstance(uid, str):
            raise ParallelError(f"NCCL: the uid is {uid!r}, and not one of NCCL.new_uid().")
        self._net = solver._core.net
        self._communicator = LocalRanks(uid, place["rank"], place["replicas"])
        self._average = GradientAverage(self._net, DataParallel(self._communicator))

    @staticmethod
    def new_uid() -> str:
        """What the processes of one training are given, to find each other."""
        return new_meeting()

    @user_exceptions
    def bcast(self) -> None:
        """Give all solvers the parameters of rank 0; called in all processes."""
        for blob in self._net.learnable_params:
            self._communicator.broadcast(blob.data.reshape(-1))

    def __call__(self, layer: int) -> None:
        """What `net.after_backward(nccl)` calls: nothing is done yet, since gradients are averaged together before the
        update, whether or not `layer_wise_reduce` is set.
        """

    def gradients_ready(self) -> None:
        """Average the gradients of all solvers; `solver.add_callback(nccl)` has it called."""
        self._average.finish()
