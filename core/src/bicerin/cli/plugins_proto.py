"""`bicerin plugins proto`: compile a plugin's .proto."""

from __future__ import annotations

from pathlib import Path

import click

import bicerin_proto
from bicerin.errors import PluginError


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=Path)
@click.option("--check", is_flag=True, help="Write nothing; fail if a compiled file is out of date.")
def proto(files: tuple[Path, ...], check: bool) -> None:
    """Compile the .proto of a plugin.

    The result lies beside it (roi.proto -> roi.binpb) and is what the plugin ships, so that only its author needs
    protoc. A .proto may import "caffe.proto" and "bicerin.proto".
    """
    stale = []
    for file in files:
        compiled = file.with_suffix(".binpb")
        if not check:
            descriptor = bicerin_proto.compile_proto(file)
            # What does not fit into Caffe's schema is better known now than when a net is read.
            bicerin_proto.Schema.check(bicerin_proto.Fragment(str(file), descriptor))
            with bicerin_proto.atomic_write(compiled) as output:
                output.write(descriptor)
            click.echo(compiled)
        elif bicerin_proto.check_current(file):
            click.echo(f"{compiled} is current")
        else:
            stale.append(file)
            click.echo(f"{compiled} is not what {file} compiles to")
    if stale:
        raise PluginError(f"run: bicerin plugins proto {' '.join(map(str, stale))}")
