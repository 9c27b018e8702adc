"""`bicerin draw`: a picture of a net, through Graphviz."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import bicerin_proto
from bicerin.cli.net_or_solver import read_net_or_solver, train_net
from bicerin.cli.options import phase_option
from bicerin.errors import BicerinError

_FORMATS = ("svg", "png", "pdf", "dot")
_COLORS = {
    "Convolution": "#ff8a80",
    "Deconvolution": "#ff8a80",
    "Pooling": "#ffcc80",
    "InnerProduct": "#ce93d8",
}
_OTHER_LAYER = "#90caf9"
_BLOB = "#e0e0e0"


@click.command()
@click.argument("net")
@click.argument("output")
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
    graph = _graph(message, _kept(message, document, phase), rankdir)
    data = graph.to_string().encode() if kind == "dot" else _rendered(graph, kind)
    with bicerin_proto.atomic_write(output) as file:
        file.write(data)
    click.echo(f"{output}: written")


def _kept(message: Any, document: bicerin_proto.Document, phase: str | None) -> list[Any]:
    if phase is None:
        return list(message.layer)
    from bicerin.net.rules import filter_layers
    from bicerin.phase import Phase

    message.state.phase = Phase.of(phase)
    locations = [document.name] * len(message.layer)
    return [message.layer[index] for index in filter_layers(message, message.state, locations)]


def _graph(net: Any, layers: Sequence[Any], rankdir: str) -> Any:
    pydot = _pydot()
    drawn: set[str] = set()
    graph = pydot.Dot(_quoted(net.name or "net"), graph_type="digraph", rankdir=rankdir)
    for index, layer in enumerate(layers):
        name = f"layer {index}"
        in_place = list(layer.bottom) == list(layer.top)
        graph.add_node(
            pydot.Node(
                _quoted(name),
                label=_quoted("\n".join(label(layer))),
                shape="box",
                style=_quoted("filled,rounded" if in_place else "filled"),
                fillcolor=_quoted(_COLORS.get(layer.type, _OTHER_LAYER)),
            )
        )
        blobs = dict.fromkeys([*layer.bottom, *layer.top])
        for blob in [name for name in blobs if name not in drawn]:
            drawn.add(blob)
            graph.add_node(
                pydot.Node(
                    _quoted(f"blob {blob}"),
                    label=_quoted(blob),
                    shape="octagon",
                    style="filled",
                    fillcolor=_quoted(_BLOB),
                )
            )
        for blob in layer.bottom:
            graph.add_edge(pydot.Edge(_quoted(f"blob {blob}"), _quoted(name)))
        for blob in layer.top:
            outputs = _num_output(layer)
            text = {"label": _quoted(str(outputs))} if outputs else {}
            graph.add_edge(pydot.Edge(_quoted(name), _quoted(f"blob {blob}"), **text))
    return graph


def label(layer: Any) -> list[str]:
    """The lines in a layer's box: name, type, and the geometry of a layer with a window."""
    lines = [layer.name, f"({layer.type})"]
    if layer.type in ("Convolution", "Deconvolution"):
        options = layer.convolution_param
        for word, field, default in (("kernel", "kernel_size", 1), ("stride", "stride", 1), ("pad", "pad", 0)):
            lines.append(f"{word}: {_sizes(options, field, default)}")
        if any(size != 1 for size in options.dilation):
            lines.append(f"dilation: {' x '.join(map(str, options.dilation))}")
        if options.group > 1:
            lines.append(f"group: {options.group}")
    elif layer.type == "Pooling":
        options = layer.pooling_param
        lines[1] = f"({type(options).PoolMethod.Name(options.pool)} {layer.type})"
        if options.global_pooling:
            lines.append("global")
        else:
            for word, field, default in (("kernel", "kernel_size", 1), ("stride", "stride", 1), ("pad", "pad", 0)):
                lines.append(f"{word}: {_sizes(options, field, default)}")
    return lines


def _sizes(options: Any, field: str, default: int) -> str:
    """One number for all axes, or height x width; the fields are named `pad`, or `pad_h` and `pad_w`."""
    stem = field.removesuffix("_size")
    if options.HasField(f"{stem}_h") or options.HasField(f"{stem}_w"):
        return f"{getattr(options, f'{stem}_h')} x {getattr(options, f'{stem}_w')}"
    value = getattr(options, field)
    sizes = [value] if isinstance(value, int) else list(value)
    return " x ".join(map(str, sizes or [default]))


def _num_output(layer: Any) -> int:
    for kind, field in (
        (("Convolution", "Deconvolution"), "convolution_param"),
        (("InnerProduct",), "inner_product_param"),
        (("Embed",), "embed_param"),
        (("RNN", "LSTM"), "recurrent_param"),
    ):
        if layer.type in kind:
            return int(getattr(layer, field).num_output)
    return 0


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _pydot() -> Any:
    try:
        import pydot
    except ImportError as error:
        raise BicerinError("drawing needs pydot: pip install bicerin[draw]") from error
    return pydot


def _rendered(graph: Any, kind: str) -> bytes:
    if shutil.which("dot") is None:
        raise BicerinError(
            "Graphviz's program `dot`, which draws, is not on the PATH. Install Graphviz "
            "(apt install graphviz, brew install graphviz, conda install graphviz, https://graphviz.org/download), "
            "or write a .dot file, which needs no program."
        )
    try:
        data: bytes = graph.create(format=kind)
    except (AssertionError, OSError) as error:
        raise BicerinError(f"Graphviz's program `dot` failed: {error}") from error
    return data
