"""A group of commands that imports a command only when it is invoked, and lists them all without importing one."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from importlib.machinery import PathFinder
from typing import Any, NamedTuple, NoReturn

import click

from bicerin.discovery.registry import Registry
from bicerin.errors import ConflictError, PluginError

#: The commands of our own plugins, and which of them brings each.
KNOWN_COMMANDS = {
    "compute-image-mean": "bicerin-data",
    "convert-imageset": "bicerin-data",
    "export": "bicerin-onnx",
    "extract-features": "bicerin-data",
    "init": "bicerin-data",
    "launch": "bicerin-mpi",
    "list-images": "bicerin-data",
    "predict": "bicerin-data",
    "report": "bicerin-report",
    "view": "bicerin-onnx",
}
commands = Registry("bicerin.commands", "command", KNOWN_COMMANDS.get)


class Lazy(NamedTuple):
    """A command that is not imported yet: "module:command" and its line in the group's help."""

    target: str
    help: str


class LazyGroup(click.Group):
    """A group whose own commands stand in a table, and which plugins may add to.

    Args:
        lazy: name -> where the command is.
        registry: the entry points that add commands; None where plugins add none.
    """

    def __init__(
        self, *arguments: Any, lazy: Mapping[str, Lazy], registry: Registry | None = None, **keywords: Any
    ) -> None:
        super().__init__(*arguments, **keywords)
        self.lazy = dict(lazy)
        self.registry = registry

    def list_commands(self, ctx: click.Context) -> list[str]:
        added = self.registry.providers() if self.registry is not None else ()
        return [*self.lazy, *sorted({*added, *self.commands} - {*self.lazy})]

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in self.lazy:
            module, _, attribute = self.lazy[name].target.partition(":")
            found: click.Command = getattr(importlib.import_module(module), attribute)
            return found
        if name in self.commands:
            return self.commands[name]
        return self._loaded(name) if self.registry is not None and name in self.registry else None

    def _loaded(self, name: str) -> click.Command:
        assert self.registry is not None
        command = self.registry.load(name)
        if not isinstance(command, click.Command):
            raise PluginError(
                f'{self.registry.provider(name)} brings the command "{name}", which is not a click.Command.'
            )
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            self._unknown(ctx, name)
        return super().resolve_command(ctx, args)

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        from bicerin_proto.hints import comes_with, did_you_mean

        hint = did_you_mean(name, self.list_commands(ctx), most=3)
        if not hint and self.registry is not None and (distribution := self.registry.known(name)):
            hint = comes_with(distribution)
        ctx.fail(f'No such command "{name}". {hint}'.rstrip())

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, self._help(name)) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def _help(self, name: str) -> str:
        if name in self.lazy:
            return self.lazy[name].help
        if name in self.commands:
            return self.commands[name].get_short_help_str(100)
        assert self.registry is not None
        return entry_help(self.registry, name, "command")


def entry_help(registry: Registry, name: str, kind: str) -> str:
    """What the help says of an entry point: the first line of its module, and who brings it. Nothing is imported."""
    try:
        provider = registry.provider(name)
    except ConflictError:
        return f"Several installed distributions bring this {kind}."
    return f"{_first_line(provider.value.partition(':')[0])} [{provider.distribution}]".lstrip()


def _first_line(module: str) -> str:
    """The first line of a module's docstring, read from its file: neither it nor its package is imported."""
    parts = module.split(".")
    spec, folders = None, None
    try:
        for length in range(1, len(parts) + 1):
            spec = PathFinder.find_spec(".".join(parts[:length]), folders)
            folders = spec.submodule_search_locations if spec is not None else []
        if spec is None or spec.origin is None:
            return ""
        with open(spec.origin, encoding="utf-8") as file:
            text = ast.get_docstring(ast.parse(file.read())) or ""
    except (OSError, SyntaxError, ValueError):
        return ""  # whoever runs the command is told
    return text.partition("\n")[0]
