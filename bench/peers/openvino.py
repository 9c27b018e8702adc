"""OpenVINO on the CPU, inference only, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.graph import onnx_model


def available() -> str | None:
    try:
        import onnx  # noqa: F401
        import openvino
    except ImportError:
        return None
    return str(openvino.__version__)


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import openvino

        core = openvino.Core()
        model = core.read_model(onnx_model(net, weights))
        options = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.compiled = core.compile_model(model, "CPU", options)

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        self.result = self.compiled(inputs)[0]

    def outputs(self) -> np.ndarray:
        return self.result
