"""The group `bicerin`: its commands, its options, and what becomes of an error."""

from __future__ import annotations

from typing import Any

import click

import bicerin
from bicerin.cli import messages
from bicerin.cli.failure import exit_status
from bicerin.cli.lazy_group import Lazy, LazyGroup, commands
from bicerin.cli.options import log_json_option, verbosity_options, write_json_log

_COMMANDS = {
    "train": Lazy("bicerin.cli.train:train", "Train a net as a solver's prototxt says."),
    "test": Lazy("bicerin.cli.test:test", "Run a net with weights and print the mean of each output."),
    "time": Lazy("bicerin.cli.time:time", "Measure each layer, forward and backward."),
    "check": Lazy("bicerin.cli.check:check", "Check nets and solvers without running them: shapes, cost, errors."),
    "compile": Lazy("bicerin.cli.compile:compile_kernels", "Compile ahead what nets and solvers need."),
    "plugins": Lazy("bicerin.cli.plugins:plugins", "See what the installed plugins bring, check them, and write one."),
    "upgrade": Lazy("bicerin.cli.upgrade:upgrade", "Bring a net or solver of an older format up to date."),
    "draw": Lazy("bicerin.cli.draw:draw", "Draw a net as SVG, PNG, PDF or Graphviz text."),
    "parse-log": Lazy("bicerin.cli.parse_log:parse_log", "Turn a training log into two CSV files."),
    "plot-log": Lazy("bicerin.cli.plot_log:plot_log", "Plot what training logs say."),
    "info": Lazy("bicerin.cli.info:info", "Show versions, devices and settings, and what is missing."),
}


class CommandLine(LazyGroup):
    """The outermost group: every error of a command passes here."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with messages.shown():
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            status = None if ctx.params["debug"] else exit_status(error)
            if status is None:
                raise
            ctx.exit(status)


@click.group(
    cls=CommandLine,
    lazy=_COMMANDS,
    registry=commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(bicerin.__version__, prog_name="bicerin")
@verbosity_options
@log_json_option
@click.option("--debug", is_flag=True, envvar="BICERIN_DEBUG", help="Show where in the code an error comes from.")
def command_line(log_json: str | None, debug: bool) -> None:
    """Train, test and inspect Caffe networks, whose layers are installed as plugins."""
    write_json_log(log_json)
