"""`bicerin plot-log`: curves from training logs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import bicerin_proto
from bicerin.cli.options import FILE
from bicerin.cli.training_log import Row, TrainingLog, read_log
from bicerin.errors import BicerinError

_X = {"iteration": "NumIters", "seconds": "Seconds"}
_SHORT = {"learning-rate": "LearningRate", "smoothed-loss": "SmoothedLoss"}


@click.command("plot-log")
@click.argument("logs", type=FILE, metavar="LOG...", nargs=-1, required=True)
@click.argument("output", type=FILE, metavar="OUTPUT")
@click.option(
    "--y",
    default="loss",
    show_default=True,
    help="An output of the net, learning-rate or smoothed-loss (what the solver displays).",
)
@click.option("--x", type=click.Choice(list(_X)), default="iteration", show_default=True)
@click.option("--log-scale", is_flag=True, help="A logarithmic y axis.")
def plot_log(logs: tuple[str, ...], output: str, y: str, x: str, log_scale: bool) -> None:
    """Plot what training LOGs, of `bicerin train`, its --log-json or Caffe, say to OUTPUT (.png, .svg or .pdf)."""
    kind = Path(output).suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise BicerinError(f"{output}: its name must end in .png, .svg or .pdf.")
    curves = [curve for path in logs for curve in _curves(path, _X[x], _SHORT.get(y, y))]
    figure = _figure(curves, x, y, log_scale)
    with bicerin_proto.atomic_write(output) as file:
        figure.savefig(file, format=kind)
    click.echo(f"{output}: written")


def _curves(path: str, x: str, y: str) -> list[tuple[str, list[float], list[float]]]:
    """Label, x and y of the train and the test curve of a log, where it has them."""
    log = read_log(Path(path))
    found = []
    for kind, rows in (("train", log.train), ("test", log.test)):
        points = [(row[x], row[y]) for row in rows if y in row and _is_main(row)]
        if points:
            found.append((f"{Path(path).name} {kind}", [p[0] for p in points], [p[1] for p in points]))
    if not found:
        raise BicerinError(f'{path}: nothing in it is named "{y}"; there is: {", ".join(_names(log))}.')
    return found


def _is_main(row: Row) -> bool:
    return not row.get("TestNet")


def _names(log: TrainingLog) -> list[str]:
    names = [*log.columns(log.train), *log.columns(log.test)]
    return [name for name in dict.fromkeys(names) if name not in ("NumIters", "Seconds", "TestNet")]


def _figure(curves: list[tuple[str, list[float], list[float]]], x: str, y: str, log_scale: bool) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise BicerinError("plotting needs matplotlib: pip install bicerin[plot]") from error

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for label, xs, ys in curves:
        axes.plot(xs, ys, label=label, marker="." if len(xs) < 50 else None)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if log_scale:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
