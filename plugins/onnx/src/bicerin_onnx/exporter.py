"""Export of a net, or of one layer, to ONNX."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from os import PathLike
from typing import Any

from bicerin.errors import DataError, NetError
from bicerin.layer.blob import Blob
from bicerin.layer.phase import Phase
from bicerin.net import Net
from bicerin.net.node import Node
from bicerin_onnx.folding import fold as fold_graph
from bicerin_onnx.preprocessing import mean_of
from bicerin_onnx.preprocessing import preprocess as put_before
from bicerin_onnx.sizes import Sizes
from bicerin_onnx.source import Source
from bicerin_onnx.tracing import Tracer

_log = logging.getLogger("bicerin.onnx")

#: Softmax means what Caffe's does from there on.
OLDEST_OPSET = 13


def export(
    net: Net,
    path: str | PathLike[str] | None = None,
    *,
    opset: int = 17,
    fold: bool = True,
    dynamic: bool = True,
    end: str | Sequence[str] | None = None,
    custom_domain: bool = False,
    keep_losses: bool = False,
    preprocess: bool = False,
) -> Any:
    """A net as an ONNX model.

    Blobs keep their names; of a blob that layers work on in place, earlier versions are named after their layers. What
    data and Input layers make are the model's inputs, what no layer reads are its outputs; losses and Accuracy are left
    out, and so is what only they read.

    Args:
        net: in phase TEST, with its weights.
        path: where to write the model; atomically, with weights beyond 2 GiB in a file `.data` beside it.
        opset: the version of ONNX's operators, 13 or later.
        fold: put BatchNorm, Scale and Bias into the weights of the layer before them, where nothing else reads what is
            between, and leave out layers that do nothing.
        dynamic: let the batch size, height and width be variables where every layer allows it.
        end: the blob, or blobs, to end with; by default what no layer reads.
        custom_domain: write a node of the domain `caffe` for a layer that nobody says how to export.
        keep_losses: export losses and Accuracy too; labels are then inputs.
        preprocess: let the model take raw images, uint8, and do what the data layer's `transform_param` says.

    Returns:
        The `onnx.ModelProto`.

    Raises:
        NetError: the net or an option does not fit; a layer cannot be exported.
        LayerError: an option of a layer has no counterpart in ONNX.
        ProtoError: the file cannot be written.
    """
    from bicerin_onnx import model as models

    check_net(net, "ONNX")
    check_opset(opset)
    if path is not None:
        models.require_writable(path)
    ends = [end] if isinstance(end, str) else list(end or ())
    with net.lock:
        tracer = Tracer(net.nodes, opset, custom_domain, keep_losses, ends)
        made = _model(tracer, net.name, opset, fold, dynamic, _metadata(tracer), preprocess)
    if path is not None:
        models.write(made, path)
    return made


def export_layer(
    node: Node,
    *,
    opset: int = 17,
    fold: bool = False,
    dynamic: bool = True,
    custom_domain: bool = False,
    keep_losses: bool = True,
) -> Any:
    """One layer alone as a model, for tests: its inputs are `in0`, `in1`, ..., its outputs `top0`, `top1`, ..."""
    tracer = Tracer(alone(node), opset, custom_domain, keep_losses)
    return _model(tracer, node.type, opset, fold, dynamic, {})


def check_net(net: Net, language: str) -> None:
    """Check that a net can be exported.

    Raises:
        NetError: it is no net, or one that is not as it is in TEST.
    """
    if not isinstance(net, Net):
        raise NetError(f"export takes a bicerin.Net, not {type(net).__name__}.")
    if net.phase is not Phase.TEST:
        raise NetError(
            f"the net was built in phase TRAIN, with the losses and dropout of training; {language} gets the net as it "
            'runs: build it as Net(..., "TEST"), or with --phase TEST.'
        )
    if net.optimized:
        raise NetError("a net built with optimize=True or runtime= has no inner blobs: build it without, to export it.")


def alone(node: Node) -> Sequence[Any]:
    """A layer, and what makes its inputs `in0`, `in1`, ...; its outputs are `top0`, `top1`, ..."""
    bottoms = [f"in{index}" for index in range(len(node.bottom))]
    tops = [f"top{index}" for index in range(len(node.top))]
    sources = [Source(blob, name) for blob, name in zip(node.bottom, bottoms, strict=True)]
    return [*sources, Node(node.layer, node.bottom, node.top, bottoms, tops, node.param)]


def inputs_of(tracer: Tracer) -> list[tuple[str, Blob]]:
    """The blobs that what is exported will take, with their names."""
    inputs: list[tuple[str, Blob]] = []
    for i, node in enumerate(tracer.nodes):
        if i in tracer.active and tracer.is_source(i):
            inputs += list(zip(node.top_names, node.top, strict=False))
    wanted = {value.name for value in tracer.trace().inputs}
    return [(name, blob) for name, blob in inputs if name in wanted]


def _model(
    tracer: Tracer, name: str, opset: int, fold: bool, dynamic: bool, metadata: dict[str, str], preprocess: bool = False
) -> Any:
    from bicerin_onnx import model as models

    graph = Sizes(tracer, inputs_of(tracer)).trace(dynamic)
    if fold:
        fold_graph(graph)
    if preprocess:
        sources = {top: node for node in tracer.nodes if not node.bottom for top in node.top_names}
        metadata = {**metadata, **put_before(graph, sources, opset)}
    return models.build(graph, name, opset, metadata)


def _metadata(tracer: Tracer) -> dict[str, str]:
    """What the data layers did to their images: for who feeds the model. Of a mean image, the mean of each channel."""
    found = {}
    for i, node in enumerate(tracer.nodes):
        if i in tracer.active and tracer.is_source(i) and node.top_names and node.param.HasField("transform_param"):
            name, shape, param = node.top_names[0], node.top[0].shape, node.param.transform_param
            found[f"caffe.transform_param.{name}"] = str(param)
            found[f"caffe.scale.{name}"] = f"{param.scale:g}"
            try:
                mean = mean_of(node)
                means = [0.0] if mean is None else mean.mean(axis=(0, 2, 3)).tolist()
                found[f"caffe.mean.{name}"] = " ".join(f"{value:.6g}" for value in means)
            except DataError as error:
                _log.warning("the mean is not in the model's metadata: %s", error)
            if len(shape) == 4 and shape[1] in (1, 3):
                found[f"caffe.channels.{name}"] = "BGR" if shape[1] == 3 else "gray"
    return found


def check_opset(opset: Any) -> None:
    """Check that there is such a version of ONNX's operators.

    Raises:
        NetError: there is none, or it is too old.
    """
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if isinstance(opset, bool) or not isinstance(opset, int) or not OLDEST_OPSET <= opset <= newest:
        raise NetError(
            f"opset {opset!r}: it may be {OLDEST_OPSET} to {newest}, the newest that onnx {onnx.__version__} has."
        )
