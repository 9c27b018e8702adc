"""Options that several commands share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from bicerin.log import logger

_Command = TypeVar("_Command", bound=Callable[..., Any])


#: What a field of a prototxt holds that the command line may set.
INT32 = click.IntRange(-(2**31), 2**31 - 1)
COUNT = click.IntRange(0, 2**31 - 1)


class FileName(click.ParamType):
    """A file's name as it is given; the shell completes it. Whoever opens the file says what is wrong with it."""

    name = "file"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


FILE = FileName()


def complete_devices(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from bicerin.device.device import devices

    return [name for name in devices.providers() if name.startswith(incomplete)]


def complete_runtimes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from bicerin.net.runtime import runtimes

    return [name for name in runtimes.providers() if name.startswith(incomplete)]


def complete_plugins(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from bicerin.discovery.registry import plugin_index

    found = {provider.distribution for names in plugin_index().values() for all in names.values() for provider in all}
    return [name for name in sorted(found) if name.startswith(incomplete)]


def complete_providers(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from bicerin.layer.layer import layers

    pairs = [f"{name}={one.distribution}" for name, found in layers.providers().items() for one in found]
    return [pair for pair in pairs if pair.startswith(incomplete)]


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
        type=FILE,
        metavar="FILE",
        help="Append a JSON object for each training step, test result and snapshot to FILE.",
    )(command)


def write_json_log(path: str | None) -> None:
    """Write the JSON log until the command that runs is done."""
    if path is not None:
        from bicerin.cli.json_log import JsonLog

        click.get_current_context().with_resource(JsonLog(path))


def net_options(command: _Command) -> _Command:
    """What a net is read and built with: `level`, `stages`, `layer_providers`."""

    def ignore(ctx: click.Context, param: click.Parameter, value: bool) -> None:
        if value:
            from bicerin.discovery.configuration import ignoring_unknown_options

            ctx.with_resource(ignoring_unknown_options())

    for option in (
        schema_option,
        click.option(
            "--ignore-unknown-options",
            is_flag=True,
            expose_value=False,
            callback=ignore,
            help="Compute without the options that no layer knows, although that changes the results.",
        ),
        provider_option,
        click.option("--stage", "stages", multiple=True, metavar="NAME", help="A stage of the net's state."),
        click.option("--level", type=INT32, help="The level of the net's state."),
    ):
        command = option(command)
    return command


def provider_option(command: _Command) -> _Command:
    """`--provider`: which distribution's layers to take."""
    return click.option(
        "--provider",
        "layer_providers",
        multiple=True,
        metavar="TYPE=DIST",
        callback=_providers,
        shell_complete=complete_providers,
        help="Take a layer type from this distribution, if several bring it.",
    )(command)


def schema_option(command: _Command) -> _Command:
    """`--schema`: whose numbers binary files have."""

    def read_as(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
        if value is not None:
            from bicerin.discovery.configuration import reading_as

            ctx.with_resource(reading_as(value))

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
        from bicerin.schema.installed_schema import schema

        return [name for name in sorted(schema().forks) if name.startswith(incomplete)]

    return click.option(
        "--schema",
        metavar="FORK",
        expose_value=False,
        callback=read_as,
        shell_complete=complete,
        help="The fork whose numbers a binary net has, where that cannot be told from what is in it.",
    )(command)


def device_option(default: str | None) -> Callable[[_Command], _Command]:
    return click.option(
        "--device",
        default=default,
        show_default=default or "what solver_mode says",
        help="cpu, gpu, gpu:1, ...",
        shell_complete=complete_devices,
    )


def runtime_option(command: _Command) -> _Command:
    return click.option(
        "--runtime",
        metavar="NAME",
        help="What computes the layers that it can, in place of the core: onnxruntime, openvino, ...",
        shell_complete=complete_runtimes,
    )(command)


def json_option(command: _Command) -> _Command:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def phase_option(default: str | None, shown: str | None = None) -> Callable[[_Command], _Command]:
    """`shown` says what the default is where none is fixed."""
    return click.option(
        "--phase",
        type=click.Choice(["TRAIN", "TEST"], case_sensitive=False),
        default=default,
        show_default=shown or default is not None,
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
