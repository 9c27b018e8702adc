"""`bicerin draw`: a picture of a net, through Graphviz."""

from __future__ import annotations

from pathlib import Path

import click

import bicerin_proto
from bicerin.cli.drawing import net_graph, rendered
from bicerin.cli.net_or_solver import read_net_or_solver, train_net
from bicerin.cli.options import FILE, phase_option
from bicerin.errors import BicerinError

_FORMATS = ("svg", "png", "pdf", "dot")


@click.command()
@click.argument("net", type=FILE)
@click.argument("output", type=FILE)
@click.option(
    "--rankdir",
    type=click.Choice(["LR", "RL", "TB", "BT"]),
    default="LR",
    show_default=True,
    help="The direction of the data: left to right, top to bottom, ...",
)
@phase_option(None)
def draw(net: str, output: str, rankdir: str, phase: str | None) -> None:
    """Draw NET, a net's or a solver's prototxt, to OUTPUT: .svg, .png, .pdf, or .dot for Graphviz text.

    Without --phase, the layers of both phases are drawn. No layer plugin is needed.
    """
    kind = Path(output).suffix.lower().lstrip(".")
    if kind not in _FORMATS:
        raise BicerinError(f"{output}: its name must end in {', '.join(f'.{one}' for one in _FORMATS)}.")
    document, is_solver = read_net_or_solver(net)
    message = (train_net(document) if is_solver else document).message
    data = rendered(net_graph(message, rankdir, phase=phase), kind)
    with bicerin_proto.atomic_write(output) as file:
        file.write(data)
    click.echo(f"{output}: written")
