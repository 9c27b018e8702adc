"""`bicerin parse-log`: a training log as two CSV files."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import click

import bicerin_proto
from bicerin.cli.options import FILE
from bicerin.cli.training_log import Row, TrainingLog, read_log


@click.command("parse-log")
@click.argument("log", type=FILE)
@click.argument("folder", type=FILE, metavar="[OUTDIR]", default=".")
@click.option("--delimiter", default=",", show_default=True, help="What separates the columns.")
def parse_log(log: str, folder: str, delimiter: str) -> None:
    """Turn LOG, what `bicerin train` or Caffe said, into <log>.train and <log>.test in OUTDIR.

    Both are CSV files: NumIters, Seconds, LearningRate, and a column for each output of the net. Write such a log with

        bicerin train solver.prototxt 2> train.log

    or with --log-json, which says every step: its Seconds are those that the steps took.
    """
    if len(delimiter) != 1:
        raise click.BadParameter("it must be one character.", param_hint="--delimiter")
    found = read_log(Path(log))
    for kind, rows in (("train", found.train), ("test", found.test)):
        path = Path(folder) / f"{Path(log).name}.{kind}"
        with bicerin_proto.atomic_write(path) as file:
            file.write(_csv(found, rows, delimiter).encode())
        click.echo(f"{path}: {len(rows)} row(s)")


def _csv(log: TrainingLog, rows: list[Row], delimiter: str) -> str:
    text = io.StringIO()
    columns = log.columns(rows) or ["NumIters", "Seconds", "LearningRate"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: float) -> str:
    return "NaN" if math.isnan(value) else f"{value:.10g}"
