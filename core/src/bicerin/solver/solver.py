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
from bicerin.discovery.registry import Provider, Registry, require_class
from bicerin.errors import (
    DataError,
    DeviceError,
    PluginError,
    SolverError,
)
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.html import html_table
from bicerin.layer.operations import Operations
from bicerin.net import Net
from bicerin.net.hooks import implemented, plugins, solver_hooks
from bicerin.net.weights import check_hdf5_names
from bicerin.parallel.agreement import versions_of
from bicerin.parallel.data_parallel import DataParallel
from bicerin.parallel.global_batch import divided
from bicerin.parallel.training import ParallelTraining
from bicerin.schema.installed_schema import read_net, read_solver
from bicerin.solver import debug_info
from bicerin.solver.display import Display
from bicerin.solver.layer_rate import adapts, layer_rate
from bicerin.solver.learning_rate import check_policy, learning_rate, lr_policies, plugin_policy, starting_rate
from bicerin.solver.momentum import check_momentum, momentum, weight_decay
from bicerin.solver.nets import NetSources
from bicerin.solver.norm import clipping, norm
from bicerin.solver.requests import Requests
from bicerin.solver.snapshot_files import SnapshotFiles
from bicerin.solver.snapshots import Snapshots
from bicerin.solver.step import Step
from bicerin.solver.tests import Tests
from bicerin_proto.cardinality import is_repeated
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.solver")


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
        keep_gradients: whether the gradients of the net's blobs, besides those of its parameters, are there to read
            after a step. By default those are whose arrays somebody holds, and the others share memory: see
            `Net.forward_backward`. A run that is resumed goes on exactly with the same setting.
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
        keep_gradients: bool = False,
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
        self.keep_gradients = keep_gradients
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
        self._requests = Requests()
        self._display = Display(self.param)
        self._adapts = adapts(self.param)
        team = None
        if parallel is not None:
            versions = versions_of(solvers, self.param.type) | versions_of(lr_policies, self.param.lr_policy)
            team = ParallelTraining(parallel, self.net, self.test_nets, self.param, versions)
        self._team = team
        self._tests = Tests(self, team, self._requests, self._display, self._tell)
        self._snapshots = Snapshots(self, directory, self._losses, self._policy, team, self._tests, self._tell)

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
            if self._takes_part:
                self._snapshots.write_after_training()
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
        self._snapshots.claim()
        self._display.start(self.iteration)
        self._tell("bicerin_solver_start")
        try:
            with self._team.watched() if self._team is not None else contextlib.nullcontext():
                yield
        except DataError as error:
            if self._team is None:  # others may be in the middle of a step
                self._snapshots.write_before(error)
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
                loss, stop, snapshot = team.finish_step(loss, *self._requests.take())
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
                stop, snapshot = self._requests.take()
            if snapshot or self._due(self.param.snapshot):
                self.snapshot()
            if stop:
                self.stopped = True
                return

    def _agree(self) -> None:
        """Of several ranks: have rank 0's weights, once all train the same; at the start, and after `restore`."""
        if self._team is not None:
            self._team.agree(self._history, self.iteration)

    def _diverged(self, loss: float) -> None:
        """Say that a loss is not finite, and end the training if that is wanted; the weights are not updated yet."""
        said = f"the loss of iteration {self.iteration} is {loss:g}: training has diverged."
        hint = "A lower base_lr or clip_gradients may help."
        if self.stop_on_nan:
            if self._takes_part and self.param.snapshot_prefix:
                said += f" The weights that gave it are in {self.snapshot()}."
            raise SolverError(f"{said} {hint}")
        if not self._has_diverged:
            self._has_diverged = True
            if self.is_root:
                _log.warning("%s %s", said, hint)

    @property
    def _takes_part(self) -> bool:
        """Whether this solver has a part in tests and snapshots: the one of rank 0, or each of a team."""
        return self.is_root or self._team is not None

    def _due(self, interval: int) -> bool:
        """Whether what is done every so many iterations is due, and this solver has a part in it."""
        return self._takes_part and interval > 0 and self.iteration % interval == 0

    def _forward_backward(self, debug: bool) -> float:
        """The loss of one iteration; the gradients are added up over `iter_size` passes."""
        with debug_info.attached(self.net) if debug else contextlib.nullcontext():
            passes = self.param.iter_size
            run = partial(self.net.forward_backward, keep_gradients=self.keep_gradients)
            loss = sum(run() for _ in range(passes - 1))
            with self._team.last_pass() if self._team is not None else contextlib.nullcontext():
                loss += run()
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
        gradients = [self._diff(blob) for blob in self._params] if self.param.clip_gradients >= 0 else []
        scale = clipping(self.param.clip_gradients, gradients, self.device, self.is_root) / self.param.iter_size
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
        return self._tests.run_all()

    def test(self, index: int = 0) -> dict[str, Any] | None:
        """Run a test net `test_iter` times with the present weights.

        Returns:
            The mean of each output, or what a plugin sums it up to, a float or an array, by name; None if
            `request_stop` was called.
        """
        self._agree()
        return self._tests.run(index)

    # Requests and callbacks

    def request_stop(self) -> None:
        """End the running `step` or `solve` after this iteration. Safe in a signal handler and from other threads."""
        self._requests.stop()

    def request_snapshot(self) -> None:
        """Snapshot after this iteration. Safe in a signal handler and from other threads."""
        self._requests.snapshot()

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
        return self._snapshots.write()

    def restore(self, path: str | PathLike[str]) -> None:
        """Go on from a snapshot that this program or Caffe wrote.

        Everything is compared before anything is changed.

        Raises:
            SnapshotError: it is of another solver type or another net, or its weights are missing.
            WeightsError: its weights do not fit the net.
        """
        self._snapshots.restore(Path(path))

    # From the source

    def _own_device(self) -> str:
        if not self.param.HasField("solver_mode") or self.param.solver_mode != self.param.GPU:
            return "cpu"
        return f"gpu:{self.param.device_id}" if self.param.HasField("device_id") else "gpu"

    def _own_weights(self, resolve: Callable[[str], Path]) -> list[Path]:
        return [resolve(name.strip()) for names in self.param.weights for name in names.split(",") if name.strip()]


def _check_solver(provider: Provider, target: Any) -> None:
    require_class(provider, target, Solver, "bicerin.Solver", "type")


solvers = Registry("bicerin.solvers", "solver type", check=_check_solver)


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
