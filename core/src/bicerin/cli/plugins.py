"""`bicerin plugins`: what the installed plugins bring, and what a plugin's author needs."""

from __future__ import annotations

import click

from bicerin.cli.lazy_group import Lazy, LazyGroup

_COMMANDS = {
    "list": Lazy("bicerin.cli.plugins_list:list_plugins", "List the layer types that are installed."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def plugins() -> None:
    """See what the installed plugins bring."""
