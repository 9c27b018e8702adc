"""What is measured: a net, a batch size and a mode, in a folder of files that every peer reads.

net.prototxt, net.caffemodel: for Bicerin, OpenCV and Caffe; net.onnx: for ONNX Runtime and OpenVINO; net.py with its
weights: for PyTorch; inputs.npz; case.json: the names of outputs, and what losses count for.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import models
import numpy as np

import bicerin
import bicerin_onnx
import bicerin_proto
from bicerin.errors import BicerinError, NetError
from bicerin.layer.loss_layer import LossLayer
from bicerin.schema.installed_schema import read_net
from bicerin_onnx import pytorch


@dataclass
class Case:
    """A folder with its files.

    Attributes:
        operations: multiplications and additions of a pass, of the convolutions and inner products alone; a training
            step counts three times.
        losses: the blobs that are losses.
        drops: whether a training step drops at random, so that the losses of peers differ.
        refused: file -> why it could not be written.
    """

    folder: Path
    operations: int
    losses: list[str]
    drops: bool
    refused: dict[str, str] = field(default_factory=dict)


def write(source: str, batch: int, train: bool, folder: Path) -> Case:
    """Write the files of a net: the name of one in `models`, or a prototxt whose inputs are Input layers.

    Raises:
        BicerinError: it cannot be read or built, or not be trained.
    """
    message = _message(source, batch, train)
    net = bicerin.Net(message, phase="TRAIN" if train else "TEST", seed=0)
    inputs = _inputs(net)
    models.prepare(net, inputs)
    weights = net.save(folder / "net.caffemodel")
    bicerin_proto.write_text(message, folder / "net.prototxt")
    np.savez(folder / "inputs.npz", **inputs)
    losses = [name for node in net.nodes for name in node.top_names if isinstance(node.layer, LossLayer)]
    drops = any(node.type == "Dropout" for node in net.nodes)
    last = {name: node.name for node in net.nodes for name in node.top_names}
    facts: dict[str, Any] = {
        "outputs": losses if train else net.outputs,
        "layers": [last[name] for name in net.outputs],
        "loss_weights": {
            name: float(weight)
            for node in net.nodes
            for name, weight in zip(node.top_names, node.loss_weights, strict=False)
            if weight
        },
    }
    case = Case(folder, 2 * multiply_adds(net) * (3 if train else 1), losses, drops)
    del net
    plain = bicerin.Net(message, phase="TEST", weights=weights)
    try:
        program = pytorch.export(plain, folder / "net.py", keep_losses=train, dynamic=False)
        facts["torch_inputs"] = list(program.inputs)
    except BicerinError as error:
        case.refused["net.py"] = _reason(error)
    if not train:
        try:
            bicerin_onnx.export(plain, folder / "net.onnx", dynamic=False)
        except BicerinError as error:
            case.refused["net.onnx"] = _reason(error)
    (folder / "case.json").write_text(json.dumps(facts))
    return case


def multiply_adds(net: Any) -> int:
    """Multiplications (each with an addition) of a forward pass, of the convolutions and inner products alone."""
    total = 0
    for node in net.nodes:
        if node.type in (
            "Convolution",
            "InnerProduct",
            "Deconvolution",
            "ConvolutionDepthwise",
            "DepthwiseConvolution",
        ):
            weight = node.blobs[0]
            places = node.bottom if node.type == "Deconvolution" else node.top
            total += places[0].count * (weight.count // weight.shape[0])
    return total


def _reason(error: BicerinError) -> str:
    return str(error).partition("\n")[0]


def _message(source: str, batch: int, train: bool) -> Any:
    if source in models.NETS:
        text = models.prototxt(source, batch, train and source in models.CLASSIFIERS)
        message = read_net(text).message
    else:
        message = read_net(Path(source)).message
        _resize(message, batch)
    for layer in message.layer:
        if not layer.bottom and layer.type not in ("Input", "Parameter", "DummyData"):
            raise NetError(
                f'{source}: layer "{layer.name}" ({layer.type}) reads files; measure a net whose inputs are Input '
                "layers, such as a deploy.prototxt."
            )
    if train and not any("Loss" in layer.type for layer in message.layer):
        _add_losses(message, source)
    return message


def _resize(message: Any, batch: int) -> None:
    """Give the inputs another batch size: those that have as many images as the first."""
    shapes = [shape for layer in message.layer if layer.type == "Input" for shape in layer.input_param.shape]
    images = next((shape.dim[0] for shape in shapes if shape.dim), None)
    for shape in shapes:
        if shape.dim and shape.dim[0] == images:
            shape.dim[0] = batch


def _add_losses(message: Any, source: str) -> None:
    """A SoftmaxWithLoss, with labels of noise, in place of each output's Softmax, or behind an output of scores."""
    net = bicerin.Net(message, phase="TEST")
    for number, name in enumerate(net.outputs):
        maker = next(layer for layer in reversed(message.layer) if name in layer.top)
        scores = maker.bottom[0] if maker.type == "Softmax" else name
        shape = net.blobs[scores].shape
        if len(shape) < 2 or maker.type not in ("Softmax", "InnerProduct", "Convolution", "Deconvolution", "Crop"):
            raise NetError(
                f'{source}: it has no loss, and its output "{name}" ({maker.type}) is no score of classes: to measure '
                "training, give a net with its loss."
            )
        if maker.type == "Softmax":
            message.layer.remove(maker)
        label = f"label{number or ''}"
        made = message.layer.add(name=label, type="Input", top=[label])
        made.input_param.shape.add(dim=[shape[0], *shape[2:]])
        message.layer.add(
            name=f"loss{number or ''}", type="SoftmaxWithLoss", bottom=[scores, label], top=[f"loss{number or ''}"]
        )


def _inputs(net: Any) -> dict[str, np.ndarray]:
    """Noise; labels among the classes of the loss that reads them."""
    random = np.random.default_rng(1)
    classes = {}
    origin: dict[str, str] = {}
    for node in net.nodes:
        if node.type == "Split":
            origin.update(dict.fromkeys(node.top_names, origin.get(node.bottom_names[0], node.bottom_names[0])))
        if isinstance(node.layer, LossLayer) or node.type == "Accuracy":
            label = node.bottom_names[1]
            classes[origin.get(label, label)] = node.bottom[0].shape[1]
    found = {}
    for name in net.inputs:
        shape = net.blobs[name].shape
        values = random.integers(0, classes[name], shape) if name in classes else random.normal(size=shape)
        found[name] = values.astype(np.float32)
    return found
