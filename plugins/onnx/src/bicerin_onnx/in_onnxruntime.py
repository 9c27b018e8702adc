"""The runtime "onnxruntime": ONNX Runtime, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bicerin.errors import NetError
from bicerin.net.runtime import Part, Program
from bicerin_onnx.model import LARGEST, size_of, write
from bicerin_onnx.onnx_runtime import OnnxProgram, OnnxRuntime
from bicerin_onnx.part_model import PartModel
from bicerin_onnx.session import onnxruntime_errors


class Onnxruntime(OnnxRuntime):
    """Layers that are computed by ONNX Runtime.

    Args:
        settings: entries of its `SessionOptions`, beside which it has its own defaults:
            `Onnxruntime({"session.intra_op.allow_spinning": "0"})`.
    """

    name = "onnxruntime"
    title = "ONNX Runtime"

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings = dict(settings or {})
        try:
            import onnxruntime
        except ImportError as error:
            raise NetError(
                'the runtime "onnxruntime" needs ONNX Runtime, which cannot be imported: pip install '
                f"'bicerin-onnx[onnxruntime]'. ({error})"
            ) from error
        self._library: Any = onnxruntime
        self.errors = onnxruntime_errors()

    def load(self, model: PartModel, part: Part) -> Program:
        options = self._library.SessionOptions()
        options.log_severity_level = 4  # what it raises says the same
        if part.threads is not None:
            options.intra_op_num_threads = part.threads
            options.inter_op_num_threads = 1
        if not part.is_whole:
            # Its threads would go on looking for work while ours do theirs.
            options.add_session_config_entry("session.force_spinning_stop", "1")
        for key, value in self.settings.items():
            options.add_session_config_entry(str(key), str(value))
        return _Session(model, self, self._session(model, options))

    def _session(self, model: PartModel, options: Any) -> Any:
        make = self._library.InferenceSession
        if size_of(model.proto) <= LARGEST:
            return make(model.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        with TemporaryDirectory() as folder:
            path = write(model.proto, Path(folder) / "net.onnx")
            return make(str(path), options, providers=["CPUExecutionProvider"])


class _Session(OnnxProgram):
    def __init__(self, model: PartModel, runtime: OnnxRuntime, session: Any) -> None:
        super().__init__(model, runtime)
        self._session = session
        self._binding = session.io_binding()
        self._arrays: list[np.ndarray] = []
        self._varying = [name for name, varies in zip(model.outputs, model.varies, strict=True) if varies]
        self._places = [
            index for index, output in enumerate(session.get_outputs()) if output.name in set(self._varying)
        ]

    def bind(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        model, binding = self.model, self._binding
        binding.clear_binding_inputs()
        self._arrays = [*inputs, *outputs]  # bound by their addresses
        names = [*model.names, *(memory.before.name for memory in model.memories)]
        for name, array in zip(names, inputs, strict=True):
            binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        self._fixed = list(outputs)
        self._bind_outputs()

    def _bind_outputs(self) -> None:
        model, binding = self.model, self._binding
        binding.clear_binding_outputs()
        fixed = iter(self._fixed)
        for name, varies in zip(model.outputs, model.varies, strict=True):
            if varies:
                binding.bind_output(name, "cpu")
            else:
                array = next(fixed)
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
        for memory, array in zip(model.memories, fixed, strict=True):
            binding.bind_output(memory.after.name, "cpu", 0, np.float32, array.shape, array.ctypes.data)

    def execute(self) -> Sequence[Any]:
        if self._varying:
            self._bind_outputs()  # what it made before would be taken for an array to write to
        self._session.run_with_iobinding(self._binding)
        if not self._varying:
            return ()
        made = self._binding.get_outputs()
        return [made[place].numpy() for place in self._places]
