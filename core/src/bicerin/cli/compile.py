"""`bicerin compile`: compile ahead what nets and solvers need, so that the first run need not."""

from __future__ import annotations

import logging
from typing import Any

import click

from bicerin.cli.check import nets_in_their_phases
from bicerin.cli.net_or_solver import read_net_or_solver
from bicerin.cli.options import FILE, device_option, net_options, phase_option, verbosity_options
from bicerin.net import Net
from bicerin.solver import Solver

_log = logging.getLogger("bicerin.cli")


@click.command("compile")
@click.argument("files", type=FILE, nargs=-1, required=True, metavar="FILE...")
@phase_option(None)
@device_option("cpu")
@net_options
@verbosity_options
def compile_kernels(
    files: tuple[str, ...],
    phase: str | None,
    device: str,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
) -> None:
    """Compile the kernels that nets and solvers need.

    Each FILE is run once on zeros, or on its own data where it has some: a net in each of its phases, a solver for one
    iteration, of which nothing is written. What that compiles is kept on disk, beside the packages or in
    NUMBA_CACHE_DIR, and the next process starts without compiling.
    """
    from bicerin.kernels import COMPILED

    if not COMPILED:
        _log.warning("there is nothing to compile: without Numba, or with BICERIN_KERNELS=reference, NumPy runs")
    for file in files:
        document, is_solver = read_net_or_solver(file, layer_providers)
        options: dict[str, Any] = {"device": device, "layer_providers": layer_providers}
        if is_solver:
            _run_solver(document, options)
            click.echo(f"{file}: ready to train")
            continue
        state: dict[str, Any] = {"level": level, "stages": stages or None}
        outlines = [] if phase else nets_in_their_phases(document, {**state, "layer_providers": layer_providers})
        phases = [phase] if phase else [net.phase for net in outlines]
        for each in phases:
            net = Net(document, each, **state, **options)
            net.forward_backward()
            net.close()
            if each == "TEST":
                Net(document, each, optimize=True, **state, **options).run_forward()
        click.echo(f"{file}: ready in phase {' and '.join(phases)}")


def _run_solver(document: Any, options: dict[str, Any]) -> None:
    param = document.message
    param.ClearField("snapshot")
    param.ClearField("snapshot_prefix")
    param.test_initialization = False
    solver = Solver(document, **options)
    solver.step(1)
    for net in solver.test_nets:
        net.run_forward()
