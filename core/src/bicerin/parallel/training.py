"""The part of a solver that has to do with the other ranks."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.kernels.compiled import num_threads
from bicerin.layer.blob import Blob
from bicerin.net import Net
from bicerin.net.batch_size import batch_size
from bicerin.parallel.agreement import check_same, check_same_weights, facts
from bicerin.parallel.data_parallel import DataParallel
from bicerin.parallel.gradient_average import GradientAverage
from bicerin.parallel.ranks import Ranks
from bicerin.parallel.statistics import average_statistics
from bicerin.parallel.watchdog import Watchdog, processes_of
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.solver")

#: How many times as long as later the ranks wait for each other at first: while nets are built, data opened, and
#: kernels compiled, which the first pass of each layer may have to wait for.
_AT_FIRST = 5
#: After so many steps all kernels of a step are there on all ranks: who ends the second has updated after the first.
_FIRST_STEPS = 2


class ParallelTraining(Ranks):
    """What the ranks of a training do together. Every method is called on all ranks, in the same order.

    Args:
        parallel: the ranks, and how they work together.
        net: the net that is trained.
        test_nets: those that are tested.
        param: the SolverParameter.
        versions: of the distributions that bring the solver.
    """

    def __init__(
        self, parallel: DataParallel, net: Net, test_nets: Sequence[Net], param: Any, versions: Mapping[str, str]
    ) -> None:
        super().__init__(parallel.communicator)
        self.options = parallel
        self._net = net
        #: Those of which all ranks have the same.
        self._nets = [net] if parallel.test_on_root else [net, *test_nets]
        self._param, self._versions = param, versions
        self._average = GradientAverage(net, parallel, self.progress)
        self._processes: list[tuple[str, int]] | None = None
        self.progress.leniency = _AT_FIRST
        self._steps = 0
        #: The test nets that were tested.
        self._tested: set[int] = set()
        #: Whether all ranks have the same net, weights and history.
        self._agreed = False
        #: Of each rank: the seconds that it waited since the log last said so.
        self._waits = np.zeros(parallel.size)
        self._waited = 0.0
        self._since = self._measured = time.perf_counter()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """A rank that does not come any more is named while the block runs."""
        self.progress.here()
        processes = self._known_processes()
        self._net.gradients_ready.append(self._moved)
        try:
            with Watchdog(self.communicator, self.progress, self.options.patience, processes):
                yield
        finally:
            self._net.gradients_ready.remove(self._moved)

    def _known_processes(self) -> list[tuple[str, int]]:
        """Of each rank, its machine and the number of its process; all have to ask for the first time together."""
        if self._processes is None:
            self.progress.here()
            # A rank that still builds its net does not answer.
            watchdog = Watchdog(self.communicator, self.progress, self.options.patience)
            with watchdog, self.progress.waiting("the start"):
                self._processes = processes_of(self.communicator)
        return self._processes

    def _moved(self, index: int) -> None:
        self.progress.moves += 1

    # The start

    def may_differ(self) -> None:
        """Rank 0 has read other weights: they are to be given to all before the next step."""
        self._agreed = False

    def agree(self, history: Sequence[Blob], iteration: int) -> None:
        """Compare what all ranks are about to train, and give them the weights of rank 0: at the start, and after
        `may_differ`.

        Args:
            history: the solver's, which is given to all too, where something was learned already.
            iteration: the number of updates done.

        Raises:
            ParallelError: a rank differs; says in what.
        """
        if self._agreed:
            return
        size = self.communicator.size
        options = {
            "global_batch": self.options.global_batch,
            "gradients": self.options.gradients,
            "test_on_root": self.options.test_on_root,
            "bucket_bytes": self.options.bucket_bytes,
            "iteration": iteration,
        }
        processes = self._known_processes()
        with self.progress.waiting("the start"):
            check_same(self.communicator, facts(self._nets, self._param, options, self._versions))
            for blob in [*self._net.learnable_params, *(history if iteration else ())]:
                self._broadcast(blob)
            check_same_weights(self.communicator, self._net)
        images, passes = batch_size(self._net), self._param.iter_size
        _log.info(
            "%d rank%s x batch %d x iter_size %d = %d images a step; the learning rate is that of the solver's file",
            size, "" if size == 1 else "s", images, passes, size * images * passes,
        )  # fmt: skip
        self._waits[:], self._since, self._waited = 0, time.perf_counter(), self.progress.waited
        self._check_threads()
        for rank, (machine, process) in enumerate(processes):
            _log.debug("rank %d is process %d on %s", rank, process, printable(machine))
        self._agreed = True

    def _check_threads(self) -> None:
        """Warn where the ranks of this machine have more threads than it has processors: they slow each other down."""
        local, threads, processors = self.communicator.local_size, num_threads(), os.cpu_count() or 1
        if self.communicator.local_rank == 0 and threads > 1 and local * threads > processors:
            _log.warning(
                "%d ranks with %d threads each share the %d processors of %s: set BICERIN_NUM_THREADS to %d",
                local, threads, processors, self.communicator.machine, max(1, processors // local),
            )  # fmt: skip

    def _broadcast(self, blob: Blob) -> None:
        if self.communicator.takes(blob.device):
            self.communicator.broadcast(blob.on(blob.device).data.reshape(-1))
        else:
            self.communicator.broadcast(blob.data.reshape(-1))

    # A step

    def last_pass(self) -> contextlib.AbstractContextManager[None]:
        """The last of the `iter_size` passes of a step runs within the block."""
        return self._average.of_pass()

    def finish_step(self, loss: float, stop: bool, snapshot: bool) -> tuple[float, bool, bool]:
        """Average the gradients; the mean of the ranks' losses, and whether one of them is to stop or to snapshot."""
        notes = np.zeros(3 + self.communicator.size)
        notes[:3] = loss, stop, snapshot
        notes[3 + self.communicator.rank] = self.progress.waited - self._waited
        self._waited, self._measured = self.progress.waited, time.perf_counter()
        self._average.finish()
        with self.progress.waiting("the loss"):
            self.communicator.all_reduce(notes)
        self._waits += notes[3:]
        self._steps += 1
        if self._steps == _FIRST_STEPS:
            self.progress.leniency = 1.0
        return float(notes[0]) / self.communicator.size, bool(notes[1]), bool(notes[2])

    def say_waits(self, say: bool) -> None:
        """Log how much of the time since the last call was waiting, and how much computing; only where `say`.

        Times are those up to the last sum of gradients, whose own wait counts the next time: each rank sends its own
        together with it.
        """
        shares = 100 * np.minimum(self._waits / max(self._measured - self._since, 1e-9), 1)
        self._waits[:], self._since = 0, self._measured
        if say and self.size > 1:
            least, most = int(shares.argmin()), int(shares.argmax())
            _log.info(
                "    Rank %d: %.0f%% computing, %.0f%% waiting for others; rank %d: %.0f%% computing, %.0f%% waiting",
                least, 100 - shares[least], shares[least], most, 100 - shares[most], shares[most],
            )  # fmt: skip

    # Tests

    @contextlib.contextmanager
    def testing(self, index: int) -> Iterator[None]:
        """A test net is tested within the block; the first time, the others may take longer."""
        with contextlib.nullcontext() if index in self._tested else self.progress.lenient(_AT_FIRST):
            yield
        self._tested.add(index)

    def any_of(self, flags: Sequence[bool]) -> list[bool]:
        """For each flag, whether it is set on any rank."""
        sums = np.array(flags, np.float64)
        with self.progress.waiting("the ranks' requests"):
            self.communicator.all_reduce(sums)
        return [bool(value) for value in sums]

    def average_statistics(self) -> None:
        """Put the ranks' averages in the place of what BatchNorm and the like have gathered on each."""
        with self.progress.waiting("the statistics"):
            average_statistics(self.communicator, self._net)

    # Snapshots

    @property
    def scales(self) -> list[float]:
        """See `GradientAverage.scales`; the same on all ranks."""
        return self._average.scales

    @scales.setter
    def scales(self, scales: Sequence[float]) -> None:
        self._average.scales = scales

    def check_weights(self) -> None:
        """Raise an error where the ranks have come to different weights."""
        with self.progress.waiting("the weights"):
            check_same_weights(self.communicator, self._net)

    def gather(self, state: Mapping[str, Any], plain: Callable[[Any], Any]) -> list[dict[str, Any]]:
        """What each rank gives, JSON values, in the order of ranks; on rank 0, and nothing on the others."""
        with self.progress.waiting("the states"):
            found = self.communicator.gather(json.dumps(state, default=plain).encode())
        return [json.loads(text) for text in found]

    def share(self, value: Any, plain: Callable[[Any], Any]) -> Any:
        """Rank 0's JSON value, on all; what the others give does not count."""
        root = self.communicator.rank == 0
        text = json.dumps(value, default=plain).encode() if root else b""
        with self.progress.waiting("what rank 0 reads", patient=True):
            return json.loads(self.communicator.share(text))
