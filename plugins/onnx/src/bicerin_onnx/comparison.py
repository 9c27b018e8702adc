"""One layer alone, exported, run in ONNX Runtime and compared: for the tests, and for the table in docs/onnx.md."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from bicerin.errors import LayerError
from bicerin.testing.case import LayerCase
from bicerin.testing.run import LayerRun
from bicerin_onnx.exporter import export_layer
from bicerin_onnx.hooks import hook_of
from bicerin_onnx.tracing import NothingToExportError
from bicerin_onnx.verification import difference, session


@dataclass(frozen=True)
class Comparison:
    """What became of a layer.

    Attributes:
        operators: of ONNX, each once.
        differences: of each top; see `verification.difference`.
    """

    operators: tuple[str, ...]
    differences: tuple[float, ...]


def compare(run: LayerRun, opset: int = 17) -> Comparison:
    """Export a layer that is set up, run it on its bottoms here and in ONNX Runtime, and compare its tops.

    Raises:
        LayerError, NetError: it cannot be exported.
    """
    inputs = {f"in{index}": blob.data.astype(np.float32) for index, blob in enumerate(run.bottom)}
    model = export_layer(run.node, opset=opset)
    for blob, array in zip(run.bottom, inputs.values(), strict=True):
        assert blob.shape == array.shape, "the export left other sizes behind"
        blob.data[...] = array
    run.forward()
    taken = {info.name for info in model.graph.input}
    outputs = session(model, [])({name: array for name, array in inputs.items() if name in taken})
    operators = tuple(dict.fromkeys(node.op_type for node in model.graph.node))
    return Comparison(
        operators, tuple(difference(outputs[f"top{index}"], top.data) for index, top in enumerate(run.top))
    )


def check(case: LayerCase) -> str | None:
    """Compare a case's layer with what its function for ONNX makes: a check of `bicerin plugins check`.

    Returns:
        Why it does not apply; None where it passes.

    Raises:
        AssertionError: the results differ.
    """
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    run = replace(case, phase="TEST").run()
    if hook_of(run.layer) is None:
        return "no function says what it is in ONNX"
    try:
        found = compare(run)
    except LayerError as error:
        return f"refused: {error.reason}"
    except NothingToExportError:
        return "it is left out of a model"
    worst = max(found.differences, default=0.0)
    allowed = max(1e-5, case.tolerance)
    assert worst <= allowed, f"in ONNX Runtime the top differs by {worst:.1e} of its size; {allowed:g} is allowed"
    return None
