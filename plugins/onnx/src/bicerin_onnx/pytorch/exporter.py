"""Export of a net, or of one layer, to PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

from bicerin.net import Net
from bicerin.net.node import Node
from bicerin_onnx.exporter import alone, check_net, inputs_of
from bicerin_onnx.graph import Graph
from bicerin_onnx.pytorch import folding
from bicerin_onnx.pytorch.program import Program, python_file
from bicerin_onnx.pytorch.tracer import ModuleTracer
from bicerin_onnx.sizes import Sizes


def export(
    net: Net,
    path: str | PathLike[str] | None = None,
    *,
    fold: bool = True,
    dynamic: bool = True,
    end: str | Sequence[str] | None = None,
    keep_losses: bool = False,
) -> Program:
    """A net as a module of PyTorch.

    Each layer is a line, and each blob a variable under its name, or what of it Python allows. In `eval()` the module
    computes what the net does in TEST; in `train()` Dropout drops, and BatchNorm normalizes by the batch and keeps its
    averages.

    Args:
        net: in phase TEST, with its weights.
        path: where to write it, a name that ends with `.py`; the weights go beside it, `.safetensors`. Atomically.
        fold: make a Scale after a BatchNorm the `weight` and `bias` of the `nn.BatchNorm2d`, where nothing else reads
            what is between; the blob between the two is then not there.
        dynamic: find out which sizes may change.
        end: the blob, or blobs, to end with; by default what no layer reads.
        keep_losses: export losses and Accuracy too; labels are then inputs.

    Raises:
        NetError: the net or an option does not fit; a layer cannot be exported.
        LayerError: an option of a layer has no counterpart in PyTorch.
        ProtoError: a file cannot be written.
    """
    check_net(net, "PyTorch")
    if path is not None:
        python_file(path)
    ends = [end] if isinstance(end, str) else list(end or ())
    with net.lock:
        tracer = ModuleTracer(net.nodes, 0, False, keep_losses, ends)
        graph = _graph(tracer, fold, dynamic)
        made = {value.name for value in graph.outputs}
        weights = {
            name: float(weight)
            for node in net.nodes
            for name, weight in zip(node.top_names, node.loss_weights, strict=False)
            if name in made and weight
        }
        program = Program.of(graph, net.name, weights)
    if path is not None:
        program.write(path)
    return program


def export_layer(node: Node, *, fold: bool = False, dynamic: bool = True, keep_losses: bool = True) -> Program:
    """One layer alone, for tests: its inputs are `in0`, `in1`, ..., its blobs `top0`, `top1`, ..."""
    return Program.of(_graph(ModuleTracer(alone(node), 0, False, keep_losses), fold, dynamic), node.type, {})


def _graph(tracer: ModuleTracer, fold: bool, dynamic: bool) -> Graph:
    graph = Sizes(tracer, inputs_of(tracer)).trace(dynamic)
    if fold:
        folding.fold(graph)
    folding.write_over(graph)
    return graph
