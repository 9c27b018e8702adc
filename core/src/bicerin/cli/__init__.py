"""The command line: `bicerin`. One file per command, whose module is imported when it is invoked.

A plugin adds a command through the entry-point group `bicerin.commands`:

    [project.entry-points."bicerin.commands"]
    convert-imageset = "bicerin_data.convert_imageset:convert_imageset"

The module's first line is what `bicerin --help` says of it, read without importing it.
"""

from __future__ import annotations


def main() -> None:
    """What the script `bicerin` runs."""
    from bicerin.cli.command_line import command_line

    command_line(prog_name="bicerin")
