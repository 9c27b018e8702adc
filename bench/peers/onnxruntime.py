"""ONNX Runtime on the CPU, inference only."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def available() -> str | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    return str(onnxruntime.__version__)


class Peer:
    def __init__(self, folder: Path, train: bool, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # Its threads spin within a run, as they do by default; one that waits must not take a core from the others.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        path = str(folder / "net.onnx")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.takes = [one.name for one in self.session.get_inputs()]
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        self.results = self.session.run(None, {name: inputs[name] for name in self.takes})

    def outputs(self) -> dict[str, np.ndarray]:
        return dict(zip(self.names, self.results, strict=True))
