"""`bicerin info`: versions, devices and settings, for a bug report, and what is not installed."""

from __future__ import annotations

import os
import platform
import sys
from typing import Any

import click
from importlib_metadata import PackageNotFoundError, version

from bicerin.cli.json_text import json_text
from bicerin.cli.missing import missing
from bicerin.cli.options import json_option
from bicerin.device.device import devices
from bicerin.discovery import configuration, registry
from bicerin.errors import BicerinError
from bicerin.layer.layer import layers

_PACKAGES = (
    "bicerin", "bicerin-proto", "numpy", "protobuf", "numba", "h5py", "lmdb", "plyvel", "opencv-python-headless",
    "pydot", "matplotlib",
)  # fmt: skip


@click.command()
@json_option
def info(as_json: bool) -> None:
    """Show versions, devices and settings, and what is not installed with the command that would bring it."""
    from bicerin.cli.table import console, new_table

    found = _found()
    if as_json:
        click.echo(json_text(found, indent=2))
        return
    table = new_table("What", "Which")
    for section in ("versions", "devices", "settings"):
        for name, value in found[section].items():
            if value is not None:  # else it is among what is missing
                table.add_row(name, str(value))
        table.add_section()
    for one in found["missing"]:
        table.add_row(one["name"], f"not installed ({one['brings']}): {one['command']}")
    console().print(table)


def _found() -> dict[str, Any]:
    from bicerin.kernels.compiled import COMPILED, num_threads

    providers = [p for names in registry.plugin_index().values() for found in names.values() for p in found]
    plugins = {provider.distribution: provider.version for provider in providers}
    file = configuration.path()
    return {
        "versions": {
            "python": f"{platform.python_version()} ({sys.executable})",
            "platform": platform.platform(),
            **{name: _version(name) for name in _PACKAGES},
            **{name: plugins[name] for name in sorted(plugins) if name not in _PACKAGES},
        },
        "devices": {name: _device(name) for name in devices.providers()},
        "settings": {
            "layer types": len(layers.providers()),
            "kernels": "compiled" if COMPILED else "NumPy references",
            "threads": num_threads(),
            "configuration": f"{file}" if file.is_file() else f"{file} (absent)",
            **{name: value for name, value in sorted(os.environ.items()) if name.startswith("BICERIN_")},
        },
        "missing": [one._asdict() for one in missing()],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device(name: str) -> str:
    from bicerin.device.device import get_device

    try:
        return f"{get_device(name)!r}: works"
    except BicerinError as error:
        return str(error)
