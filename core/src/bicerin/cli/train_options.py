"""Options of `bicerin train` that plugins add: each makes hooks of what it is given, for the solver that trains.

    [project.entry-points."bicerin.train_options"]
    tensorboard = "bicerin_tensorboard.train_option:hooks"

The entry point's name is the option's, without the dashes. The function takes the option's value, a path, and returns
an object with hook implementations; see `Solver`'s argument `hooks`. The module's first line is the option's help, read
without importing it.
"""

from __future__ import annotations

from typing import Any

import click

from bicerin.cli.lazy_group import entry_help
from bicerin.cli.options import FILE
from bicerin.discovery.registry import Registry
from bicerin_proto.hints import comes_with

train_options = Registry(
    "bicerin.train_options",
    "option of bicerin train",
    {"record": "bicerin-report", "tensorboard": "bicerin-tensorboard"}.get,
)

_GIVEN = "bicerin.train_options"


class TrainCommand(click.Command):
    """A command with the options that plugins add."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        own = super().get_params(ctx)
        taken = {name for param in own for name in param.opts}
        return own + [_option(name) for name in train_options.providers() if f"--{name}" not in taken]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            distribution = train_options.known(error.option_name.lstrip("-"))
            if distribution is not None:
                raise click.UsageError(
                    f"No such option '{error.option_name}'. {comes_with(distribution)}", ctx
                ) from None
            raise


def hooks_of_options(ctx: click.Context) -> list[Any]:
    """The hooks of the plugins' options that were given.

    Raises:
        PluginError: several distributions bring the option, or its code cannot be imported.
        BicerinError: the value is not right for it.
    """
    return [train_options.load(name)(value) for name, value in ctx.meta.get(_GIVEN, ())]


def _option(name: str) -> click.Option:
    def keep(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            ctx.meta.setdefault(_GIVEN, []).append((name, value))

    return click.Option(
        [f"--{name}"],
        type=FILE,
        metavar="PATH",
        expose_value=False,
        callback=keep,
        help=entry_help(train_options, name, "option"),
    )
