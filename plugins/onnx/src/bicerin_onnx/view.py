"""Look at a net in Netron, with the shapes of its blobs."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import click

from bicerin.cli.options import FILE, net_options, phase_option, verbosity_options
from bicerin.errors import BicerinError
from bicerin_proto.quotation import printable, system_reason

_log = logging.getLogger("bicerin.onnx")


@click.command()
@click.argument("net", type=FILE)
@click.option("--weights", "-w", multiple=True, metavar="FILE", type=FILE, help="Weights to load; repeatable.")
@click.option("--keep-losses", is_flag=True, help="Show losses and Accuracy too.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Where Netron serves.  [default: any free port]")
@click.option("--browse/--no-browse", default=True, show_default=True, help="Open the browser.")
@phase_option("TEST")
@net_options
@verbosity_options
def view(
    net: str,
    weights: tuple[str, ...],
    keep_losses: bool,
    port: int,
    browse: bool,
    phase: str,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
) -> None:
    """Show NET in Netron, which is installed apart: pip install 'bicerin-onnx[view]'.

    Netron reads a prototxt by itself, without shapes. Here it is given the net as an ONNX model, in which each blob has
    its shape; a layer that has no counterpart in ONNX is one of the domain "caffe". Ctrl-C ends.
    """
    from bicerin.net import Net
    from bicerin_onnx import exporter

    netron = _netron()
    built = Net(Path(net), phase, level=level, stages=stages, layer_providers=layer_providers)
    for path in weights:
        built.load_weights(path)
    with tempfile.TemporaryDirectory(prefix="bicerin-view-") as folder:
        model = Path(folder) / f"{Path(net).stem}.onnx"
        exporter.export(built, model, fold=False, dynamic=False, custom_domain=True, keep_losses=keep_losses)
        try:
            _, taken = netron.start(str(model), address=("127.0.0.1", port), browse=browse)
        except OSError as error:
            raise BicerinError(f"port {port} of 127.0.0.1 cannot be used: {system_reason(error)}") from error
        click.echo(f"http://127.0.0.1:{taken}/ ({printable(net)}; Ctrl-C ends)")
        _wait(netron)


def _wait(netron: Any) -> None:
    try:
        netron.wait()
    except KeyboardInterrupt:
        click.echo()
    finally:
        netron.stop()


def _netron() -> Any:
    try:
        import netron
    except ImportError as error:
        raise BicerinError("Netron, which shows the net, is not installed: pip install 'bicerin-onnx[view]'") from error
    return netron
