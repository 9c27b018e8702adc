"""`bicerin test`: the mean of each output of a net over a number of passes, or what a plugin sums it up to."""

from __future__ import annotations

import logging
from pathlib import Path

import click
import numpy as np

from bicerin.cli.connected import connected, net_is_built, parallel_option
from bicerin.cli.json_text import json_text
from bicerin.cli.options import FILE, device_option, json_option, net_options, runtime_option, verbosity_options
from bicerin.cli.progress import counted
from bicerin.cli.table import console, new_table
from bicerin.net import Net
from bicerin.net.batch_size import batch_size
from bicerin.parallel.agreement import check_same, facts, weights_facts
from bicerin.parallel.ranks import Ranks
from bicerin.parallel.team import Team
from bicerin.schema.installed_schema import schema
from bicerin.solver.outcome import Outcome, goes_on

_log = logging.getLogger("bicerin.cli")


@click.command()
@click.argument("net", type=FILE)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Weights to load; repeatable.")
@click.option("--iterations", type=click.IntRange(min=1), default=50, show_default=True, help="How many passes.")
@click.option("--skip-bad-records", is_flag=True, help="Replace records that cannot be read, and count them.")
@device_option("cpu")
@runtime_option
@net_options
@parallel_option
@json_option
@verbosity_options
def test(
    net: str,
    weights: tuple[str, ...],
    iterations: int,
    skip_bad_records: bool,
    device: str,
    runtime: str | None,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    parallel: str | None,
    as_json: bool,
) -> None:
    """Run NET in the phase TEST and print the mean of each output over the iterations.

    The loss is the sum of the outputs that have a loss weight, each times its weight.
    """
    with connected(parallel) as communicator:
        built = Net(
            Path(net),
            "TEST",
            device=device,
            level=level,
            stages=stages,
            layer_providers=layer_providers,
            skip_bad_records=skip_bad_records,
            runtime=runtime,
        )
        for path in weights:
            built.load_weights(path)
        if not weights and built.params:
            if communicator is not None:
                raise click.UsageError("Give --weights: each rank would test other weights, from its fillers.")
            _log.warning("no --weights: the net runs with random weights, from its fillers")
        if built.inputs:
            _log.warning("nothing sets the inputs %s: Input layers hold zeros here", ", ".join(built.inputs))
        net_is_built(communicator)
        if communicator is None:
            loss, means = _run(built, iterations)
        else:
            with Team(communicator) as team:
                options = {"iterations": iterations, "skip_bad_records": skip_bad_records, "runtime": runtime}
                found = facts([built], None, options, {}) | weights_facts(built)
                with team.progress.waiting("the start"):
                    check_same(communicator, found, "test")
                loss, means = 0.0, {}
                if not goes_on(built):
                    loss, means = _run(built, iterations, team)
                elif not team.rank:
                    _log.info("rank 0 tests alone: a pass of this net goes on where the one before it has ended")
                    loss, means = _run(built, iterations)
                team.all_gather(b"")  # none ends before the others
            if team.rank:
                return
    if as_json:
        outputs = {name: mean.item() if mean.size == 1 else mean for name, mean in means.items()}
        result = {"net": net, "iterations": iterations, "loss": loss, "outputs": outputs}
        click.echo(json_text(result, indent=2))
    else:
        _print_table(built, iterations, loss, means)


def _run(net: Net, iterations: int, ranks: Ranks | None = None) -> tuple[float, dict[str, np.ndarray]]:
    """The mean loss and the outputs of all passes, which ranks divide if there are several."""
    outcome = Outcome(net, schema().SolverParameter(), iterations, ranks)
    says = ranks is None or not ranks.rank
    for number in counted(range(iterations), "testing") if says else range(iterations):
        outcome.run(number)
    results = outcome.results()
    return outcome.loss / iterations, results


#: Outputs with more elements than this are shown by their extremes.
_MOST_ROWS = 20


def _print_table(net: Net, iterations: int, loss: float, means: dict[str, np.ndarray]) -> None:
    table = new_table("Output", "Mean", "Loss weight", right=("Mean", "Loss weight"))
    for name, mean in means.items():
        weight = net.loss_weight(name)
        for row in _rows(name, mean):
            table.add_row(*row, f"{weight:g}" if weight else "")
    table.add_section()
    table.add_row("total loss", f"{loss:.6g}", "")
    output = console()
    output.print(table)
    output.print(f"{iterations} iteration(s) of {_images(net)}")


def _rows(name: str, mean: np.ndarray) -> list[tuple[str, str]]:
    if mean.size == 1:
        return [(name, f"{mean.item():.6g}")]
    if mean.size > _MOST_ROWS:
        shape = " x ".join(map(str, mean.shape))
        return [(f"{name} ({shape})", f"{mean.min():.6g} to {mean.max():.6g}")]
    return [(f"{name}[{', '.join(map(str, index))}]", f"{value:.6g}") for index, value in np.ndenumerate(mean)]


def _images(net: Net) -> str:
    size = batch_size(net)
    return f"{size} image(s)" if size else "no images"
