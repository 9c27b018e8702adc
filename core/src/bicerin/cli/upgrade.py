"""`bicerin upgrade`: bring a net or solver of an older format up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import bicerin_proto
from bicerin.cli.options import FILE, schema_option
from bicerin.schema.installed_schema import layer_owners, named_fork, schema


@click.command()
@click.argument("kind", type=click.Choice(["net", "solver"]))
@click.argument("source", type=FILE, metavar="INPUT")
@click.argument("target", type=FILE, metavar="OUTPUT")
@click.option("--binary/--text", default=None, help="The form of OUTPUT; by default, that of INPUT.")
@click.option(
    "--align-crops",
    is_flag=True,
    help="Give Crop layers without parameters the offsets that the forks of FCN's time aligned them with.",
)
@schema_option
def upgrade(kind: str, source: str, target: str, binary: bool | None, align_crops: bool) -> None:
    """Bring a net or solver of an older format up to date.

    Reads INPUT, a prototxt or a binary file such as a .caffemodel, and writes OUTPUT in today's format. OUTPUT may be
    INPUT; it is replaced as a whole. Comments are not kept.
    """
    merged = schema()
    if kind == "net":
        document = bicerin_proto.read_net(
            Path(source), merged, upgrade=False, owners=layer_owners(), fork=named_fork(merged)
        )
        done = bicerin_proto.upgrade_net(document.message)
        done += _align_crops(document.message) if align_crops else []
    else:
        document = bicerin_proto.read_solver(Path(source), merged, upgrade=False, owners=layer_owners())
        done = bicerin_proto.upgrade_solver(document.message)
    if binary if binary is not None else document.text is None:
        bicerin_proto.write_binary(document.message, target)
    else:
        bicerin_proto.write_text(document.message, target)
    for line in done:
        click.echo(f"upgraded {line}")
    click.echo(f"{target}: written" if done else f"{target}: written; {source} was up to date")


def _align_crops(net: Any) -> list[str]:
    """Write the offsets of `aligned_offsets`; returns what was done."""
    from bicerin.spec.crop_alignment import aligned_offsets

    done = []
    for index, offset in aligned_offsets(net.layer).items():
        net.layer[index].crop_param.offset.extend(offset)
        done.append(f'layer "{net.layer[index].name}": crop_param {{ offset: {", ".join(map(str, offset))} }}')
    return done
