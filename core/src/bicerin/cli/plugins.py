"""`bicerin plugins`: what the installed plugins bring, and what a plugin's author needs."""

from __future__ import annotations

import click

from bicerin.cli.lazy_group import Lazy, LazyGroup

_COMMANDS = {
    "list": Lazy("bicerin.cli.plugins_list:list_plugins", "List the layer types that are installed."),
    "show": Lazy("bicerin.cli.plugins_show:show", "Show what a layer type computes, its parameters, and an example."),
    "new": Lazy("bicerin.cli.plugins_new:new", "Write a package that brings a layer of its own."),
    "check": Lazy("bicerin.cli.plugins_check:check", "Check an installed plugin: its schema, layers and behaviour."),
    "proto": Lazy("bicerin.cli.plugins_proto:proto", "Compile the .proto of a plugin."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def plugins() -> None:
    """See what the installed plugins bring, check them, and write one."""
