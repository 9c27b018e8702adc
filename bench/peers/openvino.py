"""OpenVINO on the CPU, inference only, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def available() -> str | None:
    try:
        import openvino
    except ImportError:
        return None
    return str(openvino.__version__)


class Peer:
    def __init__(self, folder: Path, train: bool, threads: int) -> None:
        import openvino

        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.compiled = openvino.Core().compile_model(folder / "net.onnx", "CPU", options)
        self.takes = [one.any_name for one in self.compiled.inputs]

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        self.result = self.compiled({name: inputs[name] for name in self.takes})

    def outputs(self) -> dict[str, np.ndarray]:
        return {output.any_name: self.result[output] for output in self.compiled.outputs}
