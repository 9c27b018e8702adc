"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from bicerin.log import logger

_Command = TypeVar("_Command", bound=Callable[..., Any])


#: What a field of a prototxt holds that the command line may set.
INT32 = click.IntRange(-(2**31), 2**31 - 1)
COUNT = click.IntRange(0, 2**31 - 1)


def verbosity_options(command: _Command) -> _Command:
    """`--quiet` and `--verbose`, which work before a command and after it."""

    def set_level(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            logger.setLevel(logging.WARNING if param.name == "quiet" else logging.DEBUG)

    for flag, text in (
        ("--verbose", "Say more."),
        ("--quiet", "Print results, warnings and errors only."),
    ):
        command = click.option(flag, is_flag=True, expose_value=False, callback=set_level, help=text)(command)
    return command


def log_json_option(command: _Command) -> _Command:
    """`--log-json`, before a command and after it; `write_json_log` does what it asks for."""
    return click.option(
        "--log-json",
        metavar="FILE",
        help="Append a JSON object for each training step, test result and snapshot to FILE.",
    )(command)


def write_json_log(path: str | None) -> None:
    """Write the JSON log until the command that runs is done."""
    if path is not None:
        from bicerin.cli.json_log import JsonLog

        click.get_current_context().with_resource(JsonLog(path))


def net_options(command: _Command) -> _Command:
    """What a net is built with: `level`, `stages`, `layer_providers`."""

    def ignore(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            from bicerin.discovery.configuration import ignoring_unknown_options

            ctx.with_resource(ignoring_unknown_options())

    for option in (
        click.option(
            "--ignore-unknown-options",
            is_flag=True,
            expose_value=False,
            callback=ignore,
            help="Compute without options that no layer knows, although the results are then others.",
        ),
        click.option(
            "--provider",
            "layer_providers",
            multiple=True,
            metavar="TYPE=DIST",
            callback=_providers,
            help="Take a layer type from this distribution, where several bring it.",
        ),
        click.option("--stage", "stages", multiple=True, metavar="NAME", help="A stage of the net's state."),
        click.option("--level", type=INT32, help="The level of the net's state."),
    ):
        command = option(command)
    return command


def device_option(default: str | None) -> Callable[[_Command], _Command]:
    return click.option(
        "--device",
        default=default,
        show_default=default or "what solver_mode says",
        help="cpu, gpu, gpu:1, ...",
    )


def json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def phase_option(default: str | None) -> Callable[[_Command], _Command]:
    return click.option(
        "--phase",
        type=click.Choice(["TRAIN", "TEST"], case_sensitive=False),
        default=default,
        show_default=default is not None,
        help="The phase of the net.",
    )


def _providers(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    chosen = {}
    for value in values:
        layer_type, equals, distribution = value.partition("=")
        if not (layer_type and equals and distribution):
            raise click.BadParameter(f'"{value}" is not of the form TYPE=DISTRIBUTION, as in ROIPooling=bicerin-rcnn.')
        chosen[layer_type] = distribution
    return chosen
