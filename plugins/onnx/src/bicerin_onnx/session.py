"""A model in ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, NetError
from bicerin_onnx.model import LARGEST, size_of, write


@cache
def onnxruntime_errors() -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: its own exceptions, which have no class above them but `Exception`, and Python's."""
    from onnxruntime.capi import onnxruntime_pybind11_state as library

    own = [one for one in vars(library).values() if isinstance(one, type) and issubclass(one, Exception)]
    return (*own, RuntimeError, ValueError)


def session(
    model: Any, names: Sequence[str], largest: int = LARGEST
) -> Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]:
    """A function from inputs by name to these blobs by name, run by ONNX Runtime on the CPU.

    Raises:
        NetError: onnxruntime is not installed, or refuses the model.
    """
    import onnx

    try:
        import onnxruntime
    except ImportError as error:
        raise NetError(
            "onnxruntime is not installed, so the model cannot be compared: pip install 'bicerin-onnx[onnxruntime]'"
        ) from error
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    infos = {info.name: info for info in copy.graph.value_info}
    present = {info.name for info in copy.graph.output}
    made = {name for node in copy.graph.node for name in node.output}
    copy.graph.output.extend(infos[name] for name in names if name not in present and name in made)
    wanted = [info.name for info in copy.graph.output]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it raises says the same
    try:
        with TemporaryDirectory() as folder:
            # Beyond what a message may hold, it is read from files.
            large = size_of(copy) > largest
            source = str(write(copy, Path(folder) / "net.onnx", largest)) if large else copy.SerializeToString()
            runtime = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except BicerinError:
        raise
    except onnxruntime_errors() as error:
        raise NetError(f"ONNX Runtime refuses the model: {error}{_hint(str(error))}") from error

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(wanted, runtime.run(wanted, dict(inputs)), strict=True))
        except onnxruntime_errors() as error:
            raise NetError(f"ONNX Runtime cannot run the model: {error}") from error

    return run


def _hint(said: str) -> str:
    """What else may be done where an operation of that version is not implemented."""
    if "NOT_IMPLEMENTED" not in said:
        return ""
    return ". It may know the operation in an older version of ONNX, such as opset 17; a model need not be compared."
