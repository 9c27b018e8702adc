"""A net as a graph for Graphviz: boxes for layers, octagons for blobs. No layer plugin is needed."""

from __future__ import annotations

import shutil
from typing import Any

import bicerin_proto
from bicerin.errors import BicerinError

# Those of the pictures that Caffe draws.
_COLORS = {
    "Convolution": "#FF5050",
    "Deconvolution": "#FF5050",
    "Pooling": "#FF9900",
    "InnerProduct": "#CC33FF",
}
_OTHER_LAYER = "#6495ED"
_IN_PLACE = "#90EE90"
_BLOB = "#E0E0E0"

_CONVOLUTIONS = ("Convolution", "Deconvolution")


def layers_in_phase(net: Any, phase: Any = None) -> list[Any]:
    """The layers of a `NetParameter` that it has in a phase; by default, all."""
    if net.layers:  # an older format
        old, net = net, type(net)()
        net.CopyFrom(old)
        bicerin_proto.upgrade_net(net)
    if phase is None:
        return list(net.layer)
    from bicerin.layer.phase import Phase
    from bicerin.net.rules import included

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
    # Where the graph grows downwards there is room beside the words of a box.
    separator = " " if rankdir in ("TB", "BT") else "\n"
    graph = pydot.Dot(_quoted(net.name or "net"), graph_type="digraph", rankdir=rankdir)
    for index, layer in enumerate(layers_in_phase(net, phase)):
        name = f"layer {index}"
        in_place = list(layer.bottom) == list(layer.top)
        graph.add_node(
            pydot.Node(
                _quoted(name),
                label=_quoted(separator.join(layer_label(layer, lr_multipliers))),
                shape="box",
                style=_quoted("filled,rounded" if in_place else "filled"),
                fillcolor=_quoted(_IN_PLACE if in_place else layer_color(layer.type)),
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
            words = edge_label(layer) if label_edges else ""
            text = {"label": _quoted(words)} if words else {}
            graph.add_edge(pydot.Edge(_quoted(name), _quoted(f"blob {blob}"), **text))
    return graph


def layer_label(layer: Any, lr_multipliers: bool = False) -> list[str]:
    """What stands in a layer's box: name, type, and the geometry of a layer with a window."""
    words = [layer.name, f"({layer.type})"]
    if layer.type in _CONVOLUTIONS:
        options = layer.convolution_param
        words += _window(options)
        if any(size != 1 for size in options.dilation):
            words.append(f"dilation: {' x '.join(map(str, options.dilation))}")
        if options.group > 1:
            words.append(f"group: {options.group}")
    elif layer.type == "Pooling":
        options = layer.pooling_param
        words[1] = f"({layer.type} {type(options).PoolMethod.Name(options.pool)})"
        words += ["global"] if options.global_pooling else _window(options)
    if lr_multipliers and layer.param:
        words.append(f"lr mult: {', '.join(f'{spec.lr_mult:.1f}' for spec in layer.param)}")
    return words


def layer_color(layer_type: str) -> str:
    """What a layer's box is filled with."""
    return _COLORS.get(layer_type, _OTHER_LAYER)


def _window(options: Any) -> list[str]:
    return [
        f"kernel size: {_sizes(options, 'kernel_size', 1)}",
        f"stride: {_sizes(options, 'stride', 1)}",
        f"pad: {_sizes(options, 'pad', 0)}",
    ]


def _sizes(options: Any, field: str, default: int) -> str:
    """One number for all axes, or height x width; the fields are named `pad`, or `pad_h` and `pad_w`."""
    stem = field.removesuffix("_size")
    if options.HasField(f"{stem}_h") or options.HasField(f"{stem}_w"):
        return f"{getattr(options, f'{stem}_h')} x {getattr(options, f'{stem}_w')}"
    value = getattr(options, field)
    sizes = [value] if isinstance(value, int) else list(value)
    return " x ".join(map(str, sizes or [default]))


def edge_label(layer: Any) -> str:
    """What stands at a layer's tops: how many outputs it makes, of a Data layer its batch size, or nothing."""
    if layer.type == "Data":
        return f"Batch {layer.data_param.batch_size}"
    for types, field in (
        (_CONVOLUTIONS, "convolution_param"),
        (("InnerProduct",), "inner_product_param"),
        (("Embed",), "embed_param"),
        (("RNN", "LSTM"), "recurrent_param"),
    ):
        if layer.type in types:
            return str(getattr(layer, field).num_output)
    return ""


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
