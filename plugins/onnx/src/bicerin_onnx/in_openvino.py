"""The runtime "openvino": OpenVINO, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bicerin.errors import NetError
from bicerin.net.runtime import Part, Program
from bicerin_onnx.model import LARGEST, size_of, write
from bicerin_onnx.onnx_runtime import OnnxProgram, OnnxRuntime
from bicerin_onnx.part_model import PartModel


class Openvino(OnnxRuntime):
    """Layers that are computed by OpenVINO, in float32.

    Args:
        settings: of its CPU device, beside which it has its own defaults: `Openvino({"PERFORMANCE_HINT": "LATENCY"})`.
            `INFERENCE_PRECISION_HINT` is `f32` where nothing is said; by itself it would compute in bfloat16 on some
            processors.
    """

    name = "openvino"
    title = "OpenVINO"
    errors = (RuntimeError, ValueError)

    def __init__(self, settings: Mapping[str, Any] | None = None) -> None:
        self.settings = dict(settings or {})
        try:
            import openvino
        except ImportError as error:
            raise NetError(
                'the runtime "openvino" needs OpenVINO, which cannot be imported: pip install '
                f"'bicerin-onnx[openvino]'. ({error})"
            ) from error
        self._library: Any = openvino
        self._core: Any = openvino.Core()

    def load(self, model: PartModel, part: Part) -> Program:
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
        if part.threads is not None:
            settings["INFERENCE_NUM_THREADS"] = part.threads
        settings |= self.settings
        compiled = self._core.compile_model(self._read(model), "CPU", settings)
        return _Request(model, self, self._library, compiled)

    def _read(self, model: PartModel) -> Any:
        if size_of(model.proto) <= LARGEST:
            return self._core.read_model(BytesIO(model.proto.SerializeToString()))
        with TemporaryDirectory() as folder:
            return self._core.read_model(write(model.proto, Path(folder) / "net.onnx"))


class _Request(OnnxProgram):
    def __init__(self, model: PartModel, runtime: OnnxRuntime, library: Any, compiled: Any) -> None:
        super().__init__(model, runtime)
        self._tensor = library.Tensor
        self._request = compiled.create_infer_request()
        self._ports = {name: port for port in compiled.outputs for name in port.get_names()}
        self._inputs = {name: port for port in compiled.inputs for name in port.get_names()}
        self._varying = [self._ports[name] for name, varies in zip(model.outputs, model.varies, strict=True) if varies]

    def bind(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        model, request = self.model, self._request
        names = [*model.names, *(memory.before.name for memory in model.memories)]
        for name, array in zip(names, inputs, strict=True):
            request.set_tensor(self._inputs[name], self._tensor(array, shared_memory=True))
        fixed = [name for name, varies in zip(model.outputs, model.varies, strict=True) if not varies]
        for name, array in zip([*fixed, *(memory.after.name for memory in model.memories)], outputs, strict=True):
            request.set_tensor(self._ports[name], self._tensor(array, shared_memory=True))

    def execute(self) -> Sequence[Any]:
        self._request.infer()
        return [np.array(self._request.get_tensor(port).data) for port in self._varying]
