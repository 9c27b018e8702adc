"""Static quantization: a model in 8-bit integers, by ONNX Runtime's own tool, from what flows through the net.

Weights are int8, one scale for each channel; activations are int8, with the range that they had on the calibration's
batches. Between QuantizeLinear and DequantizeLinear, a runtime computes in integers what it can (format QDQ).

What has learned weights is quantized (Conv, ConvTranspose, Gemm, MatMul), and what only hands on or adds quantized
values; what else there is stays in float32: softmax, normalization, coordinates of boxes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bicerin.errors import DataError, NetError
from bicerin.net import Net
from bicerin.net.node import Node
from bicerin_onnx.kept import kept
from bicerin_onnx.model import LARGEST, check, size_of
from bicerin_onnx.names import blob_names
from bicerin_onnx.session import session
from bicerin_onnx.tracing import Tracer

Batch = dict[str, np.ndarray]

#: Operators with learned weights, which are worth it.
_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
#: Those that stay in integers between them.
_BETWEEN = {"Add", "AveragePool", "Clip", "Concat", "GlobalAveragePool", "MaxPool", "Relu"}


@dataclass(frozen=True)
class Change:
    """What quantization changes in one output.

    Attributes:
        largest, mean: the difference of an element, the largest and the root mean square of all, over the root mean
            square of the output.
        same_class: the share of rows whose largest value has the same place; None where there are no rows of several.
    """

    output: str
    largest: float
    mean: float
    same_class: float | None


@dataclass
class Quantization:
    """A quantized model, and how its outputs differ from the net's.

    Attributes:
        model: the `onnx.ModelProto`.
        quantized: how many operations are quantized.
        batches: how many the ranges were found on, and as many the outputs were compared on.
        changes: one for each output.
        results: the net's own outputs that are made of the model's, such as accuracy and loss -> their means over the
            batches: the net's, and with the model in its place.
    """

    model: Any
    quantized: int
    batches: int
    changes: list[Change] = field(default_factory=list)
    results: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [("output", "largest change", "root mean square", "same class")]
        for one in self.changes:
            same = "" if one.same_class is None else f"{one.same_class:.1%}"
            lines.append((one.output, f"{one.largest:.1e}", f"{one.mean:.1e}", same))
        if self.results:
            lines.append(("", "float32", "int8", ""))
        lines += [(name, f"{before:.6g}", f"{after:.6g}", "") for name, (before, after) in self.results.items()]
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        return "\n".join(
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def quantize(net: Net, model: Any, batches: int = 10, inputs: Mapping[str, np.ndarray] | None = None) -> Quantization:
    """Quantize a model of a net, with ranges from the net's data layers, and compare it with the net.

    Args:
        net: with its weights, in phase TEST. Its data layers go on by twice as many batches.
        model: what `export` made of it.
        batches: on how many to find the ranges; as many that follow are compared.
        inputs: arrays by the names of the inputs, their first axis the images, in place of data layers. The net's own
            batch size is taken from them; ranges and comparison use the same.

    Raises:
        NetError: there are neither data layers nor arrays; onnxruntime is not installed, or refuses the model.
    """
    if batches < 1:
        raise NetError(f"int8: {batches} batches: it must be 1 or more.")
    if size_of(model) > LARGEST:
        raise NetError("int8: the model has weights beyond 2 GiB, which ONNX Runtime does not quantize.")
    source = _Source(net, [info.name for info in model.graph.input], inputs)
    with net.lock, kept(net.nodes, values=True):
        made, quantized = _quantized(model, source.batches(batches))
        result = Quantization(made, quantized, batches)
        _compare(net, made, source.batches(batches), result)
    return result


class _Source:
    """Batches for a net's inputs."""

    def __init__(self, net: Net, names: Sequence[str], inputs: Mapping[str, np.ndarray] | None) -> None:
        self.net, self.names = net, list(names)
        self.inputs = inputs
        makers = [node for node in net.nodes if not node.bottom and node.type != "Input"]
        made = {name for node in makers for name in node.top_names}
        lacking = [name for name in names if name not in (inputs if inputs is not None else made)]
        if lacking and inputs is not None:
            raise NetError(f'int8: there is no array for the input "{lacking[0]}"; there are: {", ".join(inputs)}.')
        if lacking:
            raise NetError(
                f'int8: no data layer makes the input "{lacking[0]}", so it is not known what values it has. Export '
                "the net that has the data layer, such as train_val.prototxt, or give an .npz with such arrays."
            )
        self._makers = makers

    def batches(self, most: int) -> Iterator[Batch]:
        """Batches, each an array by name; the net's blobs hold the same."""
        if self.inputs is None:
            for _ in range(most):
                for node in self._makers:
                    node.forward()
                yield {name: np.array(self.net.blobs[name].read_only.data, np.float32) for name in self.names}
            return
        first = self.net.blobs[self.names[0]].shape[0]
        arrays = {name: np.asarray(self.inputs[name], np.float32) for name in self.names}
        count = len(arrays[self.names[0]])
        if count < first or any(len(array) != count for array in arrays.values()):
            raise NetError(f"int8: arrays need one row for each image, and at least {first}, as many as a batch has.")
        for start in islice(range(0, count - first + 1, first), most):
            batch = {name: array[start : start + first] for name, array in arrays.items()}
            for name, array in batch.items():
                blob = self.net.blobs[name]
                blob.reshape(*array.shape)
                blob.data[...] = array
            yield batch


def _quantized(model: Any, batches: Iterator[Batch]) -> tuple[Any, int]:
    """The model in 8 bits, and how many of its operations are."""
    import onnx

    try:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise NetError(
            "onnxruntime is not installed, which quantizes models: pip install 'bicerin-onnx[onnxruntime]'"
        ) from error

    last: Batch = {}

    class Reader(CalibrationDataReader):
        def get_next(self) -> Batch | None:
            batch = next(batches, None)
            if batch is not None:
                _check_finite(batch, "input")
                last.update(batch)
            return batch

    chosen = _chosen(model)
    if not chosen:
        raise NetError("int8: the model has no layer with weights that could be quantized.")
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    # Its shapes are stated and its layers folded: what its tool would ask to be done before.
    entry = copy.metadata_props.add()
    entry.key, entry.value = "onnx.quant.pre_process", "onnxruntime.quant"
    operators = sorted({node.op_type for node in model.graph.node if node.name in chosen})
    # Others of these operators may be beside them, with values of any size.
    with TemporaryDirectory() as folder, _silence(), np.errstate(all="ignore"):
        path = Path(folder) / "int8.onnx"
        try:
            quantize_static(
                copy,
                path,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                # Seven bits: products of eight overflow where a processor has no instruction for them (VNNI).
                reduce_range=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                op_types_to_quantize=operators,
                nodes_to_quantize=chosen,
            )
        except (DataError, NetError):
            raise
        except Exception as error:
            if last:
                _check_model_finite(model, last)
            raise NetError(f"int8: ONNX Runtime cannot quantize the model: {error}") from error
        made = onnx.load(path)
    del made.metadata_props[:]
    made.metadata_props.extend(model.metadata_props)
    check(made)
    return made, len(chosen)


def _check_finite(arrays: Mapping[str, np.ndarray], what: str) -> None:
    for name, array in arrays.items():
        wrong = np.size(array) - int(np.count_nonzero(np.isfinite(array)))
        if wrong:
            raise NetError(
                f'int8: {wrong} of {np.size(array)} values of the {what} "{name}" are NaN or infinite in a batch of '
                "the calibration: there is no range for them. Give data, and weights, of finite numbers."
            )


def _check_model_finite(model: Any, batch: Batch) -> None:
    """Refuse values inside the model that have no range; the first blob is named."""
    made = {name for node in model.graph.node for name in node.output}
    names = [info.name for info in (*model.graph.value_info, *model.graph.output) if info.name in made]
    found = session(model, names)(batch)
    order = [name for node in model.graph.node for name in node.output if name in found]
    _check_finite({name: found[name] for name in order}, "blob")


def _chosen(model: Any) -> list[str]:
    """The names of the operations to quantize."""
    constants = {tensor.name for tensor in model.graph.initializer}
    within: set[str] = set()
    chosen = []
    for node in model.graph.node:
        given = [name for name in node.input if name and name not in constants]
        weighted = node.op_type in _WEIGHTED and len(given) == 1 and node.input[0] in given
        between = node.op_type in _BETWEEN and given and all(name in within for name in given)
        if node.op_type in ("Add", "Concat") and len(given) < 2:
            between = False
        if weighted or between:
            chosen.append(node.name)
            within.update(node.output)
    return chosen


@contextmanager
def _silence() -> Iterator[None]:
    """Without what the tool says to the root of all logs, and NumPy of values that have no range."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
    finally:
        root.setLevel(level)


def _compare(net: Net, model: Any, batches: Iterator[Batch], result: Quantization) -> None:
    """Run both on the same batches; what the net makes of the outputs, such as accuracy, is made of both."""
    infos = {info.name for info in (*model.graph.value_info, *model.graph.output)}
    inside = {name: net.nodes[i].top[j] for (i, j), name in blob_names(net.nodes).items() if name in infos}
    after, read = _after(net.nodes, set(inside))
    outputs = [info.name for info in model.graph.output]
    run = session(model, read)
    reported = [(node.top_names[j], blob) for node in after for j, blob in enumerate(node.top[: len(node.top_names)])]
    reported = [(name, blob) for name, blob in reported if name in net.outputs]
    expected: list[list[np.ndarray]] = []
    found: list[Batch] = []
    values: list[list[tuple[float, float]]] = []
    for batch in batches:
        for i, node in enumerate(net.nodes):
            if node.bottom or node.blobs:
                net.run_forward(i, i + 1)
        expected.append([np.array(inside[name].read_only.data) for name in outputs])
        before = [float(np.mean(blob.read_only.data)) for _, blob in reported]
        made = run(batch)
        found.append({name: made[name] for name in outputs})
        for name in read:
            inside[name].reshape(*made[name].shape)
            inside[name].data[...] = made[name]
        for node in after:
            node.forward()
        values.append(
            [(one, float(np.mean(blob.read_only.data))) for one, (_, blob) in zip(before, reported, strict=True)]
        )
    result.changes = [
        _change(name, [(arrays[i], made[name]) for arrays, made in zip(expected, found, strict=True)])
        for i, name in enumerate(outputs)
    ]
    for (name, _), pairs in zip(reported, zip(*values, strict=True), strict=True):
        before_mean, after_mean = np.mean(pairs, axis=0)
        result.results[name] = float(before_mean), float(after_mean)


def _after(nodes: Sequence[Node], inside: set[str]) -> tuple[list[Node], list[str]]:
    """The layers that no model has, such as Accuracy, and the values of the model that they read."""
    tracer = Tracer(nodes, 17)
    tracer.trace()
    version: dict[str, str] = {}
    read: dict[str, None] = {}
    for i, node in enumerate(nodes):
        if i in tracer.left_out:
            read.update(dict.fromkeys(version[name] for name in node.bottom_names if version.get(name) in inside))
        for j, name in enumerate(node.top_names):
            version[name] = version[node.bottom_names[0]] if node.type == "Split" else tracer.names[i, j]
    return [nodes[i] for i in tracer.left_out], list(read)


def _change(name: str, pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> Change:
    if any(one.shape != other.shape for one, other in pairs):
        return Change(name, float("nan"), float("nan"), None)  # such as detections, of which there are others
    expected, found = (np.concatenate([np.ravel(array) for array in arrays]) for arrays in zip(*pairs, strict=True))
    scale = float(np.sqrt(np.mean(np.square(expected, dtype=np.float64)))) + 1e-30
    error = np.abs(expected.astype(np.float64) - found)
    rows = [(one, other) for one, other in pairs if one.ndim == 2 and one.shape[1] > 1 and len(one)]
    same = [float(np.mean(one.argmax(1) == other.argmax(1))) for one, other in rows]
    return Change(
        name,
        float(error.max(initial=0)) / scale,
        float(np.sqrt(np.mean(np.square(error)))) / scale,
        float(np.mean(same)) if same else None,
    )
