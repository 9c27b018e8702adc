"""Solver: trains a net as a `SolverParameter` says. Each update rule is a subclass in a file of its own.

Source: Caffe's `Solver` and `SGDSolver`.
"""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from math import isfinite
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

import bicerin_proto
from bicerin.device.device import Device, get_device
from bicerin.discovery.configuration import ignoring_unknown_options, reading_as
from bicerin.discovery.registry import Registry
from bicerin.errors import (
    BicerinError,
    DataError,
    DeviceError,
    PluginError,
    ProtoError,
    SnapshotError,
    SolverError,
    WeightsError,
)
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.html import html_table
from bicerin.layer.operations import Operations
from bicerin.net import Net
from bicerin.net.hooks import implemented, plugins, solver_hooks
from bicerin.net.weights import check_hdf5_names
from bicerin.parallel.data_parallel import DataParallel
from bicerin.parallel.global_batch import divided
from bicerin.parallel.training import ParallelTraining
from bicerin.schema.installed_schema import read_net, read_solver
from bicerin.solver import debug_info
from bicerin.solver.display import Display
from bicerin.solver.layer_rate import adapts, layer_rate
from bicerin.solver.learning_rate import check_policy, learning_rate, plugin_policy, starting_rate
from bicerin.solver.momentum import check_momentum, momentum, weight_decay
from bicerin.solver.nets import NetSources
from bicerin.solver.norm import norm
from bicerin.solver.outcome import Outcome, goes_on
from bicerin.solver.snapshot import (
    OF_EACH_RANK,
    SolverState,
    check_state,
    plain_value,
    read_state,
    state_of_rank,
    write_state,
)
from bicerin.solver.snapshot_claim import SnapshotClaim
from bicerin.solver.snapshot_files import SnapshotFiles, weights_of_state
from bicerin.solver.step import Step
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.solver")

solvers = Registry("bicerin.solvers", "solver type")


class Solver:
    """Trains a net and tests it. `Solver(source)` makes one of the class that the source's `type` names.

    Args:
        source: a path, the text of a solver's prototxt, or a `SolverParameter`. Files that it names are looked for
            from the working directory, as Caffe does, and then beside it. A `Document`, as `bicerin_proto.read_solver`
            returns, is taken as it is.
        device: "cpu", "gpu", ...; by default what `solver_mode` and `device_id` say, or the CPU where they say nothing.
            Of several ranks on a machine each takes another one: the second takes "gpu:1" for "gpu". An index in
            `device` or a `device_id` is the same for all of them.
        dtype: of all blobs.
        weights: `.caffemodel` or HDF5 files to start from, besides those in the source's `weights`.
        layer_providers, strict_device, skip_bad_records: for the nets; see `Net`.
        stop_on_nan: whether a loss that is infinite or NaN ends the training, with a snapshot of the weights from
            before its update and a `SolverError`. By default a warning is logged, once a run, and training goes on, as
            in Caffe.
        schema, ignore_unknown_options: how the solver and its nets are read; see `Net`.
        hooks: objects with hooks of this solver's own: methods marked with `bicerin.net.hooks.hookimpl`, such as
            `bicerin_solver_step`. They are called after those of installed plugins.
        rank, replicas: which one this solver is of several that train together, for instance in a process each, and
            add up their gradients in an `add_callback`. Only the one of rank 0 tests, snapshots and says how it goes.
        parallel: with which solvers of other processes this one trains, and how; it gives `rank` and `replicas`. All of
            them call the same methods, in the same order.

    Attributes:
        param: the `SolverParameter`.
        net, test_nets: the nets; a test net takes its weights from `net` whenever it is tested.
        iteration: the number of updates done.
        is_root: whether it is the one of rank 0.
        parallel: as given.
        stopped: whether the last `step` or `solve` ended because `request_stop` was called.

    Raises:
        BicerinError: the source or a net cannot be read or built, or the parameters do not make sense.
    """

    type: ClassVar[str]
    #: How many history arrays each learnable blob has.
    histories: ClassVar[int] = 1
    #: Whether `update` takes `momentum`, which `momentum_policy` may change, and not the solver's own field.
    has_momentum_policy: ClassVar[bool] = False
    _operations = Operations("update_rules")
    _document: bicerin_proto.Document

    def __new__(cls, source: Any, *args: Any, **keywords: Any) -> Solver:
        if isinstance(source, bicerin_proto.Document):
            document = source
        else:
            ignore = keywords.get("ignore_unknown_options", False)
            with reading_as(keywords.get("schema")), ignoring_unknown_options(ignore):
                document = read_solver(source, keywords.get("layer_providers"))
        if cls is Solver:
            try:
                cls = solvers.load(document.message.type)
            except PluginError as error:
                raise type(error)(f"{document.name}: {error}") from error.__cause__
        elif document.message.HasField("type") and document.message.type != cls.type:
            _log.warning('%s: type "%s" is run as "%s"', document.name, document.message.type, cls.type)
        solver = object.__new__(cls)
        solver._document = document
        return solver

    def __init__(
        self,
        source: Any,
        device: str | Device | None = None,
        dtype: Any = np.float32,
        weights: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
        *,
        layer_providers: Mapping[str, str] | None = None,
        strict_device: bool = False,
        schema: str | None = None,
        ignore_unknown_options: bool = False,
        skip_bad_records: bool = False,
        stop_on_nan: bool = False,
        hooks: Sequence[object] = (),
        rank: int = 0,
        replicas: int = 1,
        parallel: DataParallel | None = None,
    ) -> None:
        document = self._document
        self.param = document.message
        directory = document.path.parent if document.path is not None else None
        resolve = Context(directory=directory).resolve
        self._directory = directory
        self._hooks = solver_hooks(hooks)
        read = partial(read_net, layer_providers=layer_providers)
        sources = NetSources(document, resolve, read)
        try:
            self.check_parameters()
            with reading_as(schema), ignoring_unknown_options(ignore_unknown_options):
                train_net, test_nets = sources.train_net(), sources.test_nets()
        except SolverError as error:
            raise type(error)(f"{document.name}: {error}") from error

        try:
            wanted = device if device is not None else self._own_device()
            self.device = get_device(wanted if parallel is None else parallel.device_of_rank(wanted))
        except DeviceError as error:
            if device is not None:
                raise
            hint = 'device="cpu", on the command line --device cpu, runs it on the CPU.'
            raise DeviceError(f"{document.name}: solver_mode: GPU: {error} {hint}") from error
        options: dict[str, Any] = {
            "device": self.device,
            "dtype": dtype,
            "layer_providers": layer_providers,
            "strict_device": strict_device,
            "skip_bad_records": skip_bad_records,
        }
        if parallel is not None:
            rank, replicas = parallel.rank, parallel.size
            # Whatever a rank was given: they have not compared it yet, and all have to call the same.
            shared_seed = parallel.shared_seed(self.param.random_seed)
            if parallel.global_batch:
                train_net = divided(train_net, replicas)
        self.parallel = parallel
        self.is_root = rank == 0
        tests = self.is_root or (parallel is not None and not parallel.test_on_root)
        seed = self.param.random_seed + rank if self.param.random_seed >= 0 else None
        _log.info("Creating training net from %s", train_net.name)
        self.net = Net(train_net, seed=seed, rank=rank, replicas=replicas, **options)
        self.test_nets: list[Net] = []
        if parallel is not None:
            seed = shared_seed  # all ranks go through the same test data, and divide the passes
        for index, test_net in enumerate(test_nets if tests else ()):
            _log.info("Creating test net (#%d) specified by %s", index, test_net.name)
            self.test_nets.append(Net(test_net, seed=None if seed is None else seed + 1 + index, **options))
        if self.param.debug_info:
            for net in self.test_nets:
                debug_info.attach(net)
        for path in [*self._own_weights(resolve), *_paths(weights)]:
            _log.info("Finetuning from %s", printable(path))
            for net in [self.net, *self.test_nets]:
                net.load_weights(path)

        if self.param.snapshot_format == self.param.HDF5 and self.param.snapshot_prefix:
            check_hdf5_names(node.name for node in self.net.nodes if node.blobs)
        self.stop_on_nan = stop_on_nan
        self.iteration = 0
        self.current_step = 0
        self._policy = plugin_policy(self.param)
        self.stopped = False
        self._params = [blob.blob for blob in self.net.learnable_params]
        self._history = [
            Blob(blob.shape, self.net.dtype, self.device, f"history {number} of {blob.name}")
            for number in range(self.histories)
            for blob in self._params
        ]
        self._losses: deque[float] = deque(maxlen=self.param.average_loss)
        self._callbacks: list[tuple[Callable[[], Any], Callable[[], Any]]] = []
        self._stop_requested = False
        self._snapshot_requested = False
        self._snapshot_iteration = -1
        #: Where the solver began, or was restored: nothing was learned up to there.
        self._first_iteration = 0
        self._claim: SnapshotClaim | None = None
        self._test_states: list[dict[str, Any]] | None = None
        self._display = Display(self.param)
        self._adapts = adapts(self.param)
        self._team = ParallelTraining(parallel, self.net, self.param) if parallel is not None else None
        #: Whether the team's members have the same weights, history and net.
        self._agreed = False
        #: What `restore` has read, until the others have it too.
        self._read_state: SolverState | None = None
        #: The test nets that one rank runs alone, since a pass goes on where the one before ended.
        self._undivided = [(parallel is not None and parallel.test_on_root) or goes_on(net) for net in self.test_nets]

    def __repr__(self) -> str:
        loss = f", loss {self.loss:.6g}" if self._losses else ""
        return (
            f"{type(self).__name__}({printable(self.net.name)!r}, {self.device!r}: "
            f"iteration {self.iteration} of {self.param.max_iter}{loss})"
        )

    def _repr_html_(self) -> str:
        rows = [
            ("iteration", f"{self.iteration} of {self.param.max_iter}"),
            ("learning rate", f"{self.learning_rate:g}"),
        ]
        if self._losses:
            rows.append(("loss", f"{self.loss:.6g}"))
        rows += [("trained", repr(self.net)), *(("tested", repr(net)) for net in self.test_nets)]
        return html_table(repr(self), (), rows)

    # What an update rule implements

    def update(self, step: Step) -> None:
        """Update one learnable blob: `step.run(self.rules.<rule>, constants...)`."""
        raise NotImplementedError(f"{type(self).__qualname__} has no update rule.")

    @classmethod
    def check(cls, param: Any) -> None:
        """As `check_parameters`, of a SolverParameter alone. Whether snapshots can be written is not looked at."""
        solver = object.__new__(cls)
        solver.param = type(param)()
        solver.param.CopyFrom(param)
        solver.param.ClearField("snapshot")
        solver.param.ClearField("snapshot_prefix")
        solver.check_parameters()

    def check_parameters(self) -> None:
        """Raise a `SolverError` for parameters that do not make sense; a rule adds its own checks."""
        param = self.param
        _check_finite(param)
        check_policy(param)
        adapts(param)
        check_momentum(param, has_momentum=self.has_momentum_policy)
        if param.average_loss < 1:
            raise SolverError(f"average_loss should be at least 1, not {param.average_loss}.")
        if param.iter_size < 1:
            raise SolverError(f"iter_size should be at least 1, not {param.iter_size}.")
        if param.weight_decay and param.regularization_type not in ("L1", "L2"):
            raise SolverError(f'Unknown regularization type: {param.regularization_type}; it is "L1" or "L2".')
        if param.snapshot > 0 or (param.snapshot_after_train and param.snapshot_prefix):
            SnapshotFiles(param, self._directory).check()

    @cached_property
    def rules(self) -> Any:
        """The update rules of `update_rules`, for the arrays of the solver's device."""
        return self._operations.on(self.device, self.net.dtype)

    # Training

    def step(self, iterations: int = 1) -> None:
        """Run `iterations` iterations: test and snapshot when due, forward and backward `iter_size` times, update.

        Ends early, with `stopped` True, if `request_stop` is called.
        """
        # 3.0 is what a script's division gives.
        if not isinstance(iterations, Real) or iterations < 0 or not float(iterations).is_integer():
            raise SolverError(f"step({iterations!r}): the number of iterations is a whole number from 0 on.")
        with self._run():
            self._step(int(iterations))

    def solve(self, resume_file: str | PathLike[str] | None = None) -> None:
        """Train up to `max_iter`, then snapshot and test as the parameters say.

        Args:
            resume_file: a `.solverstate` to go on from.
        """
        with self._run():
            _log.info("Solving %s", self.net.name)
            _log.info("Learning Rate Policy: %s", self.param.lr_policy)
            if resume_file is not None:
                self.restore(resume_file)
            self._step(self.param.max_iter - self.iteration)
            self._snapshot_after_training()
            if self.stopped:
                _log.info("Optimization stopped early.")
                return
            if self._due(self.param.display):
                loss = self.net.run_forward()
                self._losses.append(loss if self._team is None else self._team.total(loss) / self._team.size)
                if self.is_root:
                    _log.info("Iteration %d, loss = %g", self.iteration, self.loss)
            if self._due(self.param.test_interval):
                self.test_all()
            _log.info("Optimization Done.")

    @contextlib.contextmanager
    def _run(self) -> Iterator[None]:
        self.stopped = False
        self._has_diverged = False
        self._claim_snapshots()
        self._display.start(self.iteration)
        self._tell("bicerin_solver_start")
        try:
            with self._team.watched() if self._team is not None else contextlib.nullcontext():
                yield
        except DataError as error:
            if self._team is None:  # others may be in the middle of a step
                self._save_before(error)
            raise
        finally:
            self._tell("bicerin_solver_stop")

    def _tell(self, hook: str, **values: Any) -> None:
        """Call a hook: what installed plugins make of it, then this solver's own."""
        for manager in (plugins(), self._hooks):
            getattr(manager.hook, hook)(solver=self, **values)

    def _step(self, iterations: int) -> None:
        observed = implemented("bicerin_solver_step") or self._hooks.hook.bicerin_solver_step.get_hookimpls()
        team = self._team
        self._agree()
        end = self.iteration + iterations
        while self.iteration < end:
            # The backward pass that follows writes most of them, so that it need not read zeros.
            self.net.clear_param_diffs(later=True)
            if self._due(self.param.test_interval) and (self.iteration > 0 or self.param.test_initialization):
                self.test_all()
                if self.stopped:
                    return
            for on_start, _ in self._callbacks:
                on_start()
            display = self._due(self.param.display) and self.is_root
            loss = self._forward_backward(debug=display and self.param.debug_info)
            if team is not None:
                loss, stop, snapshot = team.finish_step(loss, self._take_stop_request(), self._take_snapshot_request())
            if not isfinite(loss):
                self._diverged(loss)
            self._losses.append(loss)
            if display:
                self._display.progress(self.net, self.iteration, self.loss)
            if team is not None and self._due(self.param.display):
                team.say_waits(self.is_root)
            for _, on_gradients_ready in self._callbacks:
                on_gradients_ready()
            self.apply_update()
            if display and self.param.debug_info:
                debug_info.update(self.net)
            if observed:
                self._tell("bicerin_solver_step", loss=loss)
            if team is None:
                stop, snapshot = self._take_stop_request(), self._take_snapshot_request()
            if snapshot or self._due(self.param.snapshot):
                self.snapshot()
            if stop:
                self.stopped = True
                return

    def _agree(self) -> None:
        """Of several ranks: have rank 0's weights, once all train the same; at the start, and after `restore`."""
        if self._team is not None and not self._agreed:
            self._team.begin(self._history, self.iteration)
            self._agreed = True

    def _diverged(self, loss: float) -> None:
        """Say that a loss is not finite, and end the training if that is wanted; the weights are not updated yet."""
        said = f"the loss of iteration {self.iteration} is {loss:g}: training has diverged."
        hint = "A lower base_lr or clip_gradients may help."
        if self.stop_on_nan:
            if self._snapshots and self.param.snapshot_prefix:
                said += f" The weights that gave it are in {self.snapshot()}."
            raise SolverError(f"{said} {hint}")
        if not self._has_diverged:
            self._has_diverged = True
            if self.is_root:
                _log.warning("%s %s", said, hint)

    @property
    def _snapshots(self) -> bool:
        """Whether this solver has a part in tests and snapshots: the one of rank 0, or each of a team."""
        return self.is_root or self._team is not None

    def _due(self, interval: int) -> bool:
        """Whether what is done every so many iterations is due, and this solver has a part in it."""
        return self._snapshots and interval > 0 and self.iteration % interval == 0

    def _forward_backward(self, debug: bool) -> float:
        """The loss of one iteration; the gradients are added up over `iter_size` passes."""
        with debug_info.attached(self.net) if debug else contextlib.nullcontext():
            passes = self.param.iter_size
            loss = sum(self.net.forward_backward() for _ in range(passes - 1))
            with self._team.last_pass() if self._team is not None else contextlib.nullcontext():
                loss += self.net.forward_backward()
            return loss / passes

    def apply_update(self) -> None:
        """Update the weights from the gradients that the net now holds; `iteration` goes up by one."""
        if self._policy is not None and self._losses:
            self.current_step = self._policy.observe(self.iteration, self.current_step, self.loss)
        rate, self.current_step = self._rate()
        if self.is_root and self._due(self.param.display):
            _log.info("Iteration %d, lr = %g", self.iteration, rate)
        #: Of this update.
        self.momentum = momentum(self.param, self.iteration, rate)
        weight_decay_now = weight_decay(self.param, self.iteration)
        # In Caffe's order: the clipping looks at the sum of the iter_size passes, before their mean and the decay.
        scale = self._clipping() / self.param.iter_size
        scalar = self.net.dtype.type
        count = len(self._params)
        multipliers = zip(self.net.params_lr, self.net.params_weight_decay, strict=True)
        for index, (blob, (lr_mult, decay_mult)) in enumerate(zip(self._params, multipliers, strict=True)):
            decay = weight_decay_now * decay_mult
            data, diff = self._data(blob), self._diff(blob)
            own = rate * lr_mult
            if self._adapts:
                norms = norm([data], self.device), norm([diff], self.device) * scale
                own = layer_rate(self.param, rate, lr_mult, *norms)
            l2, l1 = (0.0, decay) if self.param.regularization_type == "L1" else (decay, 0.0)
            step = Step(
                data,
                diff,
                tuple(self._data(history) for history in self._history[index::count]),
                tuple(map(scalar, (scale, l2, l1, own))),
                scalar,
            )
            # Gradients may be infinite or NaN; the loss says so.
            with self.device.current(), np.errstate(all="ignore"):
                self.update(step)
        self.iteration += 1

    def _data(self, blob: Blob) -> Any:
        return blob.on(self.device).data.reshape(-1)

    def _diff(self, blob: Blob) -> Any:
        return blob.on(self.device).diff.reshape(-1)

    def _clipping(self) -> float:
        """What the gradients are scaled with so that their norm is at most `clip_gradients`."""
        limit = self.param.clip_gradients
        if limit < 0:
            return 1.0
        found = norm([self._diff(blob) for blob in self._params], self.device)
        if found <= limit:
            return 1.0
        ratio = limit / found
        if self.is_root:
            _log.info(
                "Gradient clipping: scaling down gradients (L2 norm %g > %g) by scale factor %g", found, limit, ratio
            )
        return ratio

    @property
    def learning_rate(self) -> float:
        """The rate of the coming update."""
        return self._rate()[0]

    def _rate(self) -> tuple[float, int]:
        """The rate of the coming update, and the step that is reached with it."""
        if self._policy is not None:
            start = starting_rate(self.param, self.iteration)
            rate = self._policy.rate(self.iteration, self.current_step) if start is None else start
            return max(rate, getattr(self.param, "min_lr", 0.0)), self.current_step
        return learning_rate(self.param, self.iteration, self.current_step)

    @property
    def loss(self) -> float:
        """The mean of the last `average_loss` iterations' losses; 0 before the first."""
        return sum(self._losses) / len(self._losses) if self._losses else 0.0

    @property
    def history(self) -> list[Blob]:
        """The history blobs in the order of Caffe's snapshots: the first of every learnable blob, then the second."""
        return self._history

    # Testing

    def test_all(self) -> list[dict[str, Any]]:
        """Test every test net; see `test`. Ends early, with `stopped` True, if `request_stop` is called."""
        self._agree()
        if self._team is not None:
            self._team.average_statistics()
            if self.parallel is not None and self.parallel.test_on_root and not self.is_root:
                return []
        # Should the test be interrupted, a snapshot has to repeat it from its start.
        self._test_states = [net.state() for net in self.test_nets]
        results: list[dict[str, Any]] = []
        for index in range(len(self.test_nets)):
            result = self.test(index)
            if result is None:
                return results
            results.append(result)
        self._test_states = None
        return results

    def test(self, index: int = 0) -> dict[str, Any] | None:
        """Run a test net `test_iter` times with the present weights.

        Returns:
            The mean of each output, or what a plugin sums it up to, a float or an array, by name; None if
            `request_stop` was called.
        """
        self._agree()
        net = self.test_nets[index]
        passes = self.param.test_iter[index]
        if self.is_root:
            _log.info("Iteration %d, Testing net (#%d)", self.iteration, index)
        net.share_trained_layers_with(self.net)
        if self._team is None or not self._undivided[index]:
            return self._test(net, index, passes, self._team)
        if not self.is_root:
            return {}
        with self._team.progress.doing("tests"):
            return self._test(net, index, passes, None)

    def _test(self, net: Net, index: int, passes: int, team: ParallelTraining | None) -> dict[str, Any] | None:
        """Run the passes of a test, or with a team this rank's share of them."""
        rank, size = (team.rank, team.size) if team is not None else (0, 1)
        outcome = Outcome(net, self.param, divided=team is not None)
        loss = 0.0
        for number in range(passes):
            stop, snapshot = False, False
            if self._team is None:
                stop, snapshot = self._take_stop_request(), self._take_snapshot_request()
            elif team is not None and number % size == 0:
                stop, snapshot = team.any_of([self._take_stop_request(), self._take_snapshot_request()])
            if snapshot:
                self.snapshot()
            if stop:
                self.stopped = True
                _log.info("Test interrupted.")
                return None
            if number % size != rank:
                net.pass_by()
                continue
            loss += net.run_forward()
            outcome.add()
            if team is not None:
                team.progress.moves += 1
        if team is not None:
            loss = team.total(loss)
            outcome.combine(team)
        if self.param.test_compute_loss and passes and self.is_root:
            _log.info("Test loss: %g", loss / passes)
        summed = outcome.results()
        if self.is_root:
            self._display.outputs("Test", net, summed)
        results = {name: float(value.reshape(())) if value.size == 1 else value for name, value in summed.items()}
        self._tell("bicerin_test_result", net_index=index, results=results)
        return results

    # Requests and callbacks

    def request_stop(self) -> None:
        """End the running `step` or `solve` after this iteration. Safe in a signal handler and from other threads."""
        self._stop_requested = True

    def request_snapshot(self) -> None:
        """Snapshot after this iteration. Safe in a signal handler and from other threads."""
        self._snapshot_requested = True

    def _take_stop_request(self) -> bool:
        taken, self._stop_requested = self._stop_requested, False
        return taken

    def _take_snapshot_request(self) -> bool:
        taken, self._snapshot_requested = self._snapshot_requested, False
        return taken

    def add_callback(self, on_start: Callable[[], Any], on_gradients_ready: Callable[[], Any]) -> None:
        """Call one function before each iteration's passes, and one between them and the update."""
        self._callbacks.append((on_start, on_gradients_ready))

    def share_weights(self, net: Net) -> None:
        """Let another net use the weights of the trained one."""
        net.share_trained_layers_with(self.net)

    # Snapshots

    def snapshot(self) -> Path:
        """Write `<prefix>_iter_<iteration>.caffemodel` and `.solverstate` (both `.h5` for HDF5); returns the latter.

        Each file appears whole, the weights before the state that names them, so that a kill at any moment leaves
        every state that there is with its weights.

        Raises:
            SnapshotError: there is no prefix, or a file cannot be written.
        """
        self._agree()
        files = SnapshotFiles(self.param, self._directory)
        model, path = files.of(self.iteration)
        team = self._team
        state = self._state(str(model)) if team is None else self._state_of_team(team, str(model))
        if not self.is_root and team is not None:
            self._snapshot_iteration = self.iteration
            return path
        kind = "HDF5" if files.hdf5 else "binary proto"
        try:
            with team.progress.doing("writes a snapshot") if team is not None else contextlib.nullcontext():
                _log.info("Snapshotting to %s file %s", kind, model)
                self.net.save(model, write_diff=self.param.snapshot_diff)
                _log.info("Snapshotting solver state to %s file %s", kind, path)
                write_state(state, path)
        except (ProtoError, WeightsError, OSError, TypeError, ValueError) as error:
            raise SnapshotError(f"the snapshot of iteration {self.iteration} was not written: {error}") from error
        self._snapshot_iteration = self.iteration
        self._tell("bicerin_snapshot", path=path)
        return path

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
        tests = self._test_states if self._test_states is not None else [net.state() for net in self.test_nets]
        return SolverState(
            self.iteration,
            learned_net,
            self.current_step,
            [blob.read_only.data for blob in self._history],
            {
                "type": self.type,
                "losses": list(self._losses),
                "lr_policy": dict(self._policy.state()) if self._policy is not None else {},
                "net": self.net.state(),
                "test_nets": tests,
            },
        )

    def restore(self, path: str | PathLike[str]) -> None:
        """Go on from a snapshot that this program or Caffe wrote.

        Everything is compared before anything is changed.

        Raises:
            SnapshotError: it is of another solver type or another net, or its weights are missing.
            WeightsError: its weights do not fit the net.
        """
        path = Path(path)
        if self._team is None or self.is_root:
            self._restore(path)
        if self._team is not None:
            self._restore_others(self._team, path)

    def _restore(self, path: Path) -> None:
        state = read_state(path)
        _log.info("Restoring previous solver status from %s", printable(path))
        check_state(state, path, self.type, [node.name for node in self.net.nodes], self._history)
        before = self._state(None)
        before.history = [array.copy() for array in before.history]
        weights = [blob.read_only.data.copy() for blob in self._params]
        marks = self._snapshot_iteration, self._first_iteration, self._test_states
        try:
            if state.learned_net:
                self.net.load_weights(weights_of_state(state.learned_net, path))
            self._take(state)
        except Exception as error:
            for blob, array in zip(self._params, weights, strict=True):
                blob.data[...] = array
            self._take(before)
            self._snapshot_iteration, self._first_iteration, self._test_states = marks
            if isinstance(error, BicerinError):
                raise
            raise SnapshotError(
                f"{path}: the state of a layer or of the learning-rate policy is damaged: "
                f"{type(error).__name__}: {error}. The solver is as it was."
            ) from error
        self._read_state = state
        if state.extra is None:
            _log.info("%s: written by Caffe; data layers start from where they are", path)

    def _restore_others(self, team: ParallelTraining, path: Path) -> None:
        """Be, on every rank, as the state says that rank 0 has read; weights and history come with the first step."""
        own = self._read_state
        what = [own.iteration, own.current_step, own.extra] if own is not None else None
        iteration, current_step, extra = team.share(what, plain_value)
        self._read_state, self._agreed = None, False
        if self.is_root:
            return
        history = [blob.read_only.data for blob in self._history]
        try:
            self._take(SolverState(iteration, None, current_step, history, extra))
        except Exception as error:
            if isinstance(error, BicerinError):
                raise
            raise SnapshotError(
                f"{path}: the state of a layer on rank {team.rank} is damaged: {type(error).__name__}: {error}."
            ) from error

    def _take(self, state: SolverState) -> None:
        """Be as a state says, which fits; the weights are there already."""
        for blob, array in zip(self._history, state.history, strict=True):
            blob.data.reshape(-1)[...] = array.reshape(-1)
        self.iteration = self._first_iteration = state.iteration
        self.current_step = state.current_step
        self._losses.clear()
        self._snapshot_iteration = -1
        self._test_states = None
        rank, size = (self._team.rank, self._team.size) if self._team is not None else (0, 1)
        extra = state_of_rank(state.extra or {}, rank, size)
        self._losses.extend(map(float, extra.get("losses", ())))
        if self._policy is not None and extra.get("lr_policy"):
            self._policy.restore_state(extra["lr_policy"])
        self.net.restore_state(extra.get("net", {}))
        for net, net_state in zip(self.test_nets, extra.get("test_nets", ()), strict=False):
            net.restore_state(net_state)
        for net in self.test_nets:
            net.share_trained_layers_with(self.net)

    def _claim_snapshots(self) -> None:
        """Once, before the first iteration, where snapshots will be written."""
        snapshots = self.param.snapshot > 0 or self.param.snapshot_after_train
        if self._claim is None and self.is_root and snapshots and self.param.snapshot_prefix:
            self._claim = SnapshotClaim(SnapshotFiles(self.param, self._directory).prefix())

    def _save_before(self, error: DataError) -> None:
        """Snapshot what was learned when the data cannot be read any further: the weights are those of the last update.

        A data layer that had read its part of the iteration before another failed goes on after that part.
        """
        learned = self.iteration > max(self._snapshot_iteration, self._first_iteration)
        if not learned or not self.is_root or not self.param.snapshot_prefix:
            return
        _log.warning("no more data can be read; saving what has been learned so far")
        try:
            self.snapshot()
        except BicerinError as other:
            error.add_note(f"The weights of iteration {self.iteration} could not be saved either: {other}")

    def _snapshot_after_training(self) -> None:
        if not self._snapshots or not self.param.snapshot_after_train or self._snapshot_iteration == self.iteration:
            return
        if self._due(self.param.snapshot):
            return
        if not self.param.snapshot_prefix:
            if self.is_root:
                _log.warning("the solver has no snapshot_prefix: the trained weights are not saved")
            return
        self.snapshot()

    # From the source

    def _own_device(self) -> str:
        if not self.param.HasField("solver_mode") or self.param.solver_mode != self.param.GPU:
            return "cpu"
        return f"gpu:{self.param.device_id}" if self.param.HasField("device_id") else "gpu"

    def _own_weights(self, resolve: Callable[[str], Path]) -> list[Path]:
        return [resolve(name.strip()) for names in self.param.weights for name in names.split(",") if name.strip()]


def _check_finite(param: Any) -> None:
    """Refuse a number of a solver that is not one: no comparison finds a NaN, and every weight would become one."""
    for field, value in param.ListFields():
        if field.cpp_type not in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
            continue
        for number in value if is_repeated(field) else [value]:
            if not isfinite(number):
                raise SolverError(f"{field.name} should be a finite number, not {number}.")


def _paths(weights: Any) -> list[Path]:
    if weights is None:
        return []
    return [Path(weights)] if isinstance(weights, (str, PathLike)) else [Path(path) for path in weights]
