"""One layer alone, exported, run elsewhere and compared: for the tests, and for the tables in docs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec

import numpy as np

from bicerin.errors import LayerError
from bicerin.testing.case import LayerCase
from bicerin.testing.run import LayerRun
from bicerin_onnx import pytorch
from bicerin_onnx.exporter import export_layer
from bicerin_onnx.hooks import Hooks, hooks, torch_hooks
from bicerin_onnx.session import session
from bicerin_onnx.tracing import FunctionError, NothingToExportError
from bicerin_onnx.verification import difference


@dataclass(frozen=True)
class Comparison:
    """What became of a layer.

    Attributes:
        operators: of ONNX, or functions and modules of PyTorch, each once.
        differences: of each top; see `verification.difference`.
    """

    operators: tuple[str, ...]
    differences: tuple[float, ...]


def compare(run: LayerRun, opset: int = 17) -> Comparison:
    """Export a layer that is set up, run it on its bottoms here and in ONNX Runtime, and compare its tops.

    Raises:
        LayerError, NetError: it cannot be exported.
    """
    inputs = _inputs(run)
    model = export_layer(run.node, opset=opset)
    taken = {info.name for info in model.graph.input}
    operators = tuple(dict.fromkeys(node.op_type for node in model.graph.node))
    return _compared(run, inputs, taken, operators, session(model, []))


def compare_in_torch(run: LayerRun) -> Comparison:
    """The same in PyTorch."""
    inputs = _inputs(run)
    program = pytorch.export_layer(run.node)
    return _compared(run, inputs, set(program.inputs), program.calls(), program.run)


def _inputs(run: LayerRun) -> dict[str, np.ndarray]:
    return {f"in{index}": blob.data.astype(np.float32) for index, blob in enumerate(run.bottom)}


def _compared(
    run: LayerRun,
    inputs: Mapping[str, np.ndarray],
    taken: Collection[str],
    operators: tuple[str, ...],
    theirs: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]],
) -> Comparison:
    for blob, array in zip(run.bottom, inputs.values(), strict=True):
        assert blob.shape == array.shape, "the export left other sizes behind"
        blob.data[...] = array
    run.forward()
    outputs = theirs({name: array for name, array in inputs.items() if name in taken})
    return Comparison(
        operators, tuple(difference(outputs[f"top{index}"], top.data) for index, top in enumerate(run.top))
    )


def check(case: LayerCase) -> str | None:
    """Compare a case's layer with what its function for ONNX makes: a check of `bicerin plugins check`.

    Returns:
        Why it does not apply; None where it passes.

    Raises:
        AssertionError: the results differ, or the function fails.
    """
    if find_spec("onnxruntime") is None:
        return "onnxruntime is not installed"
    return _check(case, hooks, compare, "ONNX Runtime")


def check_in_torch(case: LayerCase) -> str | None:
    """The same of its function for PyTorch."""
    if find_spec("torch") is None or find_spec("safetensors") is None:
        return "torch or safetensors is not installed"
    return _check(case, torch_hooks, compare_in_torch, "PyTorch")


def _check(case: LayerCase, registry: Hooks, comparison: Callable[[LayerRun], Comparison], runtime: str) -> str | None:
    run = replace(case, phase="TEST").run()
    if registry.of(run.layer) is None:
        return f"no function says what it is in {registry.language}"
    try:
        found = comparison(run)
    except FunctionError as error:
        raise AssertionError(error.reason) from error
    except LayerError as error:
        return f"refused: {error.reason}"
    except NothingToExportError:
        return "it is left out of a model"
    worst = max(found.differences, default=0.0)
    allowed = max(1e-5, case.tolerance)
    assert worst <= allowed, f"in {runtime} the top differs by {worst:.1e} of its size; {allowed:g} is allowed"
    return None
