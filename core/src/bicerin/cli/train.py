"""`bicerin train`: train a net as a solver's prototxt says."""

from __future__ import annotations

import contextlib
import signal
from pathlib import Path
from typing import Any

import click

from bicerin.cli.connected import connected, net_is_built, parallel_options
from bicerin.cli.options import (
    COUNT,
    FILE,
    device_option,
    log_json_option,
    net_options,
    verbosity_options,
    write_json_log,
)
from bicerin.cli.progress import training_bar
from bicerin.cli.signals import EFFECTS, signals_obeyed
from bicerin.cli.summary import summary
from bicerin.cli.train_options import TrainCommand, hooks_of_options
from bicerin.parallel.data_parallel import WIRE_TYPES, DataParallel
from bicerin.schema.installed_schema import read_solver
from bicerin.solver import Solver


@click.command(cls=TrainCommand)
@click.argument("solver", type=FILE)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Start from these weights; repeatable.")
@click.option("--resume", "--snapshot", metavar="FILE", type=FILE, help="Continue from this .solverstate.")
@click.option("--iterations", type=COUNT, help="Train up to this iteration, instead of max_iter.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="The seed of all randomness, instead of random_seed.")
@click.option("--skip-bad-records", is_flag=True, help="Replace records that cannot be read, and count them.")
@click.option(
    "--stop-on-nan", is_flag=True, help="Snapshot and fail as soon as a loss is not finite, instead of warning."
)
@device_option(None)
@net_options
@click.option(
    "--sigint-effect",
    type=click.Choice(list(EFFECTS)),
    default="snapshot-and-stop",
    show_default=True,
    help="What Ctrl-C does. A second Ctrl-C ends the program at once.",
)
@click.option(
    "--sighup-effect",
    type=click.Choice(list(EFFECTS)),
    default="snapshot",
    show_default=True,
    help="What the signal SIGHUP does.",
)
@parallel_options
@log_json_option
@verbosity_options
def train(
    solver: str,
    weights: tuple[str, ...],
    resume: str | None,
    iterations: int | None,
    seed: int | None,
    skip_bad_records: bool,
    stop_on_nan: bool,
    device: str | None,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    sigint_effect: str,
    sighup_effect: str,
    parallel: str | None,
    global_batch: bool,
    gradients: str,
    test_on_root: bool,
    patience: float,
    log_json: str | None,
) -> None:
    """Train a net as SOLVER, a solver's prototxt, says.

    Ctrl-C writes a snapshot and stops after the iteration that runs. Going on with --resume gives the same losses as a
    run that was not interrupted.
    """
    if weights and resume:
        raise click.UsageError("Give --resume to continue a training, or --weights to start one, but not both.")
    with connected(parallel) as communicator:
        if communicator is not None:
            together = DataParallel(communicator, global_batch, gradients, test_on_root, patience=patience)
        elif global_batch or test_on_root or gradients != WIRE_TYPES[0]:
            raise click.UsageError("--global-batch, --gradients and --test-on-root go with --parallel.")
        else:
            together = None
        options = _options(parallel, global_batch, gradients, test_on_root)
        is_root = together is None or together.rank == 0
        if is_root:
            write_json_log(log_json)
        document = read_solver(Path(solver), layer_providers)
        _change(document.message, iterations, seed, level, stages)
        built = Solver(  # it makes one of the class that the document names
            document,
            device,
            weights=weights,
            layer_providers=layer_providers,
            skip_bad_records=skip_bad_records,
            stop_on_nan=stop_on_nan,
            hooks=hooks_of_options(click.get_current_context()) if is_root else (),
            parallel=together,
        )
        net_is_built(communicator)
        if resume:
            built.restore(resume)
        with contextlib.ExitStack() as around:
            if is_root:
                around.enter_context(summary(solver, options))
                around.enter_context(training_bar())
            came = around.enter_context(signals_obeyed(built, sigint_effect, sighup_effect))
            built.solve()
    if signal.SIGTERM in came:
        raise SystemExit(128 + signal.SIGTERM)  # what whoever sent it expects


def _options(parallel: str | None, global_batch: bool, gradients: str, test_on_root: bool) -> list[str]:
    """What of the command line a run that goes on needs, to be the same run."""
    options = ["--parallel", parallel] if parallel is not None else []
    options += ["--global-batch"] * global_batch + ["--test-on-root"] * test_on_root
    return options + (["--gradients", gradients] if gradients != WIRE_TYPES[0] else [])


def _change(param: Any, iterations: int | None, seed: int | None, level: int | None, stages: tuple[str, ...]) -> None:
    """Put what the command line says in the place of what the prototxt says."""
    if iterations is not None:
        param.max_iter = iterations
    if seed is not None:
        param.random_seed = seed
    if level is not None:
        param.train_state.level = level
    param.train_state.stage.extend(stages)
