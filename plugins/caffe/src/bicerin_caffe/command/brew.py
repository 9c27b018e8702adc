"""`caffe`: train, test, time, device_query."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import bicerin
from bicerin.cli.progress import training_bar
from bicerin.cli.signals import signals_obeyed
from bicerin.cli.time import Stopwatch
from bicerin.device import get_device
from bicerin.errors import DeviceError, PluginError
from bicerin.schema.installed_schema import read_solver
from bicerin_caffe import settings
from bicerin_caffe.command.flags import GLOG, FlagError, parse
from bicerin_caffe.command.program import running

_log = logging.getLogger("bicerin.caffe")

_FLAGS: dict[str, Any] = {
    "gpu": "",
    "solver": "",
    "model": "",
    "phase": "",
    "level": 0,
    "stage": "",
    "snapshot": "",
    "weights": "",
    "iterations": 50,
    "sigint_effect": "stop",
    "sighup_effect": "snapshot",
    "help": False,
    "version": False,
}

_USAGE = """\
usage: caffe <command> <args>

commands:
  train           train or finetune a model
  test            score a model
  device_query    show GPU diagnostic information
  time            benchmark model execution time

flags, with one dash or two, as -flag value or -flag=value:
  -gpu            the GPU to run on: its number, or "all"; several numbers train on all of them (with bicerin-mpi)
  -solver         the solver definition (train)
  -model          the model definition (test, time)
  -phase          TRAIN or TEST (time); TRAIN by default
  -level          the level of the net's state
  -stage          the stages of the net's state, separated by commas
  -snapshot       the solver state to go on from (train)
  -weights        the weights to start from, separated by commas; not with -snapshot
  -iterations     how many iterations to run (test, time); 50 by default
  -sigint_effect  what SIGINT does: snapshot, stop or none (train); stop by default
  -sighup_effect  what SIGHUP does: snapshot, stop or none (train); snapshot by default
"""


def caffe() -> NoReturn:
    """What the script `caffe` runs."""
    try:
        flags, rest = parse(sys.argv[1:], {**_FLAGS, **GLOG})
    except FlagError as error:
        sys.exit(f"ERROR: {error}")
    if flags["version"]:
        print("caffe version 1.0.0")
        sys.exit(0)
    if flags["help"] or len(rest) != 1:
        print(_USAGE, end="")
        sys.exit(1 if rest else 0)
    if rest[0] not in _COMMANDS:
        sys.exit(f"ERROR: Unknown action: {rest[0]}; available: {', '.join(_COMMANDS)}")
    running("caffe", flags, _COMMANDS[rest[0]])


def _train(flags: dict[str, Any]) -> None:
    if not flags["solver"]:
        raise FlagError("Need a solver definition to train: -solver FILE.")
    if flags["snapshot"] and flags["weights"]:
        raise FlagError("Give a snapshot to resume training or weights to finetune but not both.")
    for name in ("sigint_effect", "sighup_effect"):
        if flags[name] not in ("snapshot", "stop", "none"):
            raise FlagError(f'Invalid signal effect "{flags[name]}" was specified: it is snapshot, stop or none.')
    numbers = _gpus(flags)
    if len(numbers) > 1 and _are_there(numbers):
        _launch(flags, numbers)
    document = read_solver(Path(flags["solver"]))
    param = document.message
    param.train_state.level = flags["level"]
    param.train_state.stage.extend(_listed(flags["stage"]))
    device = _train_device(flags, param)
    solver = bicerin.Solver(document, device, weights=_listed(flags["weights"]))
    if flags["snapshot"]:
        _log.info("Resuming from %s", flags["snapshot"])
        solver.restore(flags["snapshot"])
    _log.info("Starting Optimization")
    with training_bar(), signals_obeyed(solver, flags["sigint_effect"], flags["sighup_effect"]):
        solver.solve()
    _log.info("Optimization Done.")


def _are_there(numbers: list[int]) -> bool:
    """Whether there are all of these GPUs, and what trains on several."""
    if importlib.util.find_spec("bicerin_mpi") is None:
        _log.warning("several GPUs train together with bicerin-mpi: pip install 'bicerin-mpi[mpich]'")
        return False
    try:
        for number in numbers:
            get_device(f"gpu:{number}")
    except (DeviceError, PluginError) as error:
        _log.warning("-gpu %s: %s", ",".join(map(str, numbers)), error)
        return False
    return True


def _launch(flags: dict[str, Any], numbers: list[int]) -> NoReturn:
    """Become `bicerin launch`, which trains in a process for each GPU."""
    command = [sys.executable, "-c", "from bicerin.cli import main; main()", "launch", "-n", str(len(numbers)), "train"]
    command += [flags["solver"], "--device", "gpu", "--level", str(flags["level"])]
    command += ["--sigint-effect", flags["sigint_effect"], "--sighup-effect", flags["sighup_effect"], "--test-on-root"]
    for option, values in (
        ("--stage", _listed(flags["stage"])),
        ("--weights", _listed(flags["weights"])),
        ("--resume", [flags["snapshot"]] if flags["snapshot"] else []),
    ):
        for value in values:
            command += [option, value]
    _log.info("Using GPUs %s", ", ".join(map(str, numbers)))
    # The processes' own first, second, ... GPUs are those of the list.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(map(str, numbers))}
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.execve(sys.executable, command, environment)


def _train_device(flags: dict[str, Any], param: Any) -> str:
    """The device to train on; of several GPUs, the first one, which then makes each update from as many batches."""
    numbers = _gpus(flags)
    if not numbers and param.HasField("solver_mode") and param.solver_mode == param.GPU:
        numbers = [param.device_id]
    if len(numbers) > 1:
        _log.warning(
            "-gpu %s: one device does the work of %d: iter_size is %d, not %d, so that an update is of as many images",
            flags["gpu"],
            len(numbers),
            len(numbers) * param.iter_size,
            param.iter_size,
        )
        param.iter_size *= len(numbers)
    return _used(numbers[:1], "Using GPUs %d", "GPU %d: %s")


def _device(flags: dict[str, Any]) -> str:
    numbers = _gpus(flags)
    for number in reversed(numbers[1:]):
        _log.info("Not using GPU #%d for single-GPU function", number)
    return _used(numbers[:1], "Use GPU with device ID %d", "GPU %d device name: %s")


def _gpus(flags: dict[str, Any]) -> list[int]:
    numbers = ["0"] if flags["gpu"] == "all" else _listed(flags["gpu"])
    if not all(number.isdecimal() for number in numbers):
        raise FlagError(f"illegal value '{flags['gpu']}' specified for flag 'gpu': it is a number, numbers, or all.")
    return [int(number) for number in numbers]


def _used(numbers: list[int], chosen: str, named: str) -> str:
    """The device of this number, if there is one, and said so."""
    device = settings.gpu_or_cpu(numbers[0]) if numbers else "cpu"
    if device == "cpu":
        _log.info("Use CPU.")
    else:
        _log.info(chosen, numbers[0])
        _log.info(named, numbers[0], _properties(numbers[0])["name"].decode())
    return device


def _properties(number: int) -> dict[str, Any]:
    device: Any = get_device(f"gpu:{number}")
    properties: dict[str, Any] = device.xp.cuda.runtime.getDeviceProperties(number)
    return properties


def _net(flags: dict[str, Any], purpose: str, phase: str) -> bicerin.Net:
    if not flags["model"]:
        raise FlagError(f"Need a model definition to {purpose}: -model FILE.")
    net = bicerin.Net(
        Path(flags["model"]), phase, device=_device(flags), level=flags["level"], stages=_listed(flags["stage"])
    )
    for path in _listed(flags["weights"]):
        net.load_weights(Path(path))
    return net


def _test(flags: dict[str, Any]) -> None:
    if not flags["weights"]:
        raise FlagError("Need model weights to score: -weights FILE.")
    net = _net(flags, "score", "TEST")
    iterations = flags["iterations"]
    _log.info("Running for %d iterations.", iterations)
    loss = 0.0
    sums: dict[str, np.ndarray] = {}
    for number in range(iterations):
        loss += net.run_forward()
        for name in net.outputs:
            output = net.blobs[name].read_only.data.reshape(-1)
            sums[name] = sums[name] + output if name in sums else output.astype(np.float64)
            for value in output.tolist():
                _log.info("Batch %d, %s = %g", number, name, value)
    _log.info("Loss: %g", loss / iterations)
    for name, total in sums.items():
        weight = net.loss_weight(name)
        for mean in (total / iterations).tolist():
            _log.info("%s = %g%s", name, mean, f" (* {weight:g} = {weight * mean:g} loss)" if weight else "")


def _time(flags: dict[str, Any]) -> None:
    if flags["phase"] not in ("", "TRAIN", "TEST"):
        raise FlagError('phase must be "TRAIN" or "TEST"')
    net = _net(flags, "time", flags["phase"] or "TRAIN")
    iterations = flags["iterations"]
    watch = Stopwatch(net)
    # Kernels are compiled and buffers allocated in passes that are not measured.
    _log.info("Performing Forward")
    _log.info("Initial loss: %g", net.run_forward())
    _log.info("Performing Backward")
    net.run_backward()
    watch.clear()
    _log.info("*** Benchmark begins ***")
    _log.info("Testing for %d iterations.", iterations)
    passes = []
    for number in range(iterations):
        began = watch.now()
        net.run_forward()
        between = watch.now()
        net.run_backward()
        ended = watch.now()
        passes.append((between - began, ended - between))
        _log.info("Iteration: %d forward-backward time: %g ms.", number + 1, 1000 * (ended - began))
    _log.info("Average time per layer: ")
    for index, name in enumerate(net.layer_names):
        for direction, times in (("forward", watch.forward[index]), ("backward", watch.backward[index])):
            _log.info("%10s\t%s: %g ms.", name, direction, 1000 * sum(times) / iterations)
    forward, backward = (1000 * sum(times) for times in zip(*passes, strict=True))
    _log.info("Average Forward pass: %g ms.", forward / iterations)
    _log.info("Average Backward pass: %g ms.", backward / iterations)
    _log.info("Average Forward-Backward: %g ms.", (forward + backward) / iterations)
    _log.info("Total Time: %g ms.", forward + backward)
    _log.info("*** Benchmark ends ***")


def _device_query(flags: dict[str, Any]) -> None:
    _log.info("Querying GPUs %s", flags["gpu"])
    for number in _gpus(flags) or [0]:
        properties = _properties(number)
        for what, value in (
            ("Device id", number),
            ("Major revision number", properties["major"]),
            ("Minor revision number", properties["minor"]),
            ("Name", properties["name"].decode()),
            ("Total global memory", properties["totalGlobalMem"]),
            ("Total shared memory per block", properties["sharedMemPerBlock"]),
            ("Total registers per block", properties["regsPerBlock"]),
            ("Warp size", properties["warpSize"]),
            ("Maximum threads per block", properties["maxThreadsPerBlock"]),
            ("Clock rate", properties.get("clockRate", "unknown")),
            ("Number of multiprocessors", properties["multiProcessorCount"]),
        ):
            _log.info("%-32s%s", f"{what}:", value)


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


_COMMANDS: dict[str, Callable[[dict[str, Any]], None]] = {
    "train": _train,
    "test": _test,
    "time": _time,
    "device_query": _device_query,
}
