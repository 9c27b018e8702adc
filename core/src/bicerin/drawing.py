"""A net as a graph for Graphviz: boxes for layers, octagons for blobs. No layer plugin is needed."""

from __future__ import annotations

import shutil
from typing import Any

from bicerin.errors import BicerinError

_COLORS = {
    "Convolution": "#ff8a80",
    "Deconvolution": "#ff8a80",
    "Pooling": "#ffcc80",
    "InnerProduct": "#ce93d8",
}
_OTHER_LAYER = "#90caf9"
_BLOB = "#e0e0e0"


def layers_in_phase(net: Any, phase: Any = None) -> list[Any]:
    """The layers of a `NetParameter` that it has in a phase; by default, all."""
    if phase is None:
        return list(net.layer)
    from bicerin.net.rules import included
    from bicerin.phase import Phase

    state = type(net.state)()
    state.CopyFrom(net.state)
    state.phase = Phase.of(phase)
    return [layer for layer in net.layer if included(layer, state, net.name)]


def net_graph(
    net: Any, rankdir: str = "LR", label_edges: bool = True, phase: Any = None, lr_multipliers: bool = False
) -> Any:
    """The graph of a `NetParameter`, a `pydot.Dot`.

    Args:
        rankdir: the direction of the data: LR is left to right, TB top to bottom.
        label_edges: whether an edge says how many outputs a layer makes.
        phase: draw the layers of this phase only.
        lr_multipliers: whether a layer's box says its `lr_mult`s.
    """
    pydot = _pydot()
    drawn: set[str] = set()
    graph = pydot.Dot(_quoted(net.name or "net"), graph_type="digraph", rankdir=rankdir)
    for index, layer in enumerate(layers_in_phase(net, phase)):
        name = f"layer {index}"
        in_place = list(layer.bottom) == list(layer.top)
        graph.add_node(
            pydot.Node(
                _quoted(name),
                label=_quoted("\n".join(layer_label(layer, lr_multipliers))),
                shape="box",
                style=_quoted("filled,rounded" if in_place else "filled"),
                fillcolor=_quoted(layer_color(layer.type)),
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
            outputs = num_output(layer) if label_edges else 0
            text = {"label": _quoted(str(outputs))} if outputs else {}
            graph.add_edge(pydot.Edge(_quoted(name), _quoted(f"blob {blob}"), **text))
    return graph


def layer_label(layer: Any, lr_multipliers: bool = False) -> list[str]:
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
    if lr_multipliers and layer.param:
        lines.append(f"lr_mult: {', '.join(f'{spec.lr_mult:g}' for spec in layer.param)}")
    return lines


def layer_color(layer_type: str) -> str:
    """What a layer's box is filled with."""
    return _COLORS.get(layer_type, _OTHER_LAYER)


def _sizes(options: Any, field: str, default: int) -> str:
    """One number for all axes, or height x width; the fields are named `pad`, or `pad_h` and `pad_w`."""
    stem = field.removesuffix("_size")
    if options.HasField(f"{stem}_h") or options.HasField(f"{stem}_w"):
        return f"{getattr(options, f'{stem}_h')} x {getattr(options, f'{stem}_w')}"
    value = getattr(options, field)
    sizes = [value] if isinstance(value, int) else list(value)
    return " x ".join(map(str, sizes or [default]))


def num_output(layer: Any) -> int:
    """How many outputs a layer makes; 0 for a layer that does not say."""
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


def rendered(graph: Any, kind: str) -> bytes:
    """A graph as a picture: "svg", "png", "pdf", ..., or as Graphviz text: "dot" or "raw".

    Raises:
        BicerinError: Graphviz's program `dot`, which draws, is not installed or fails.
    """
    if kind in ("dot", "raw"):
        text: str = graph.to_string()
        return text.encode()
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
