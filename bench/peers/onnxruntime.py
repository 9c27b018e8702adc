"""ONNX Runtime on the CPU, inference only."""

from __future__ import annotations

from typing import Any

import numpy as np

from peers.graph import onnx_model


def available() -> str | None:
    try:
        import onnx  # noqa: F401
        import onnxruntime
    except ImportError:
        return None
    return str(onnxruntime.__version__)


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # A worker that waits must not take a core from the others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        model = onnx_model(net, weights)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        (self.result,) = self.session.run(None, inputs)

    def outputs(self) -> np.ndarray:
        return self.result
