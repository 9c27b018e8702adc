"""PyTorch on the CPU: the net's layers as `bicerin export --to torch` writes them, in either layout of memory."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np


def available() -> str | None:
    try:
        import safetensors  # noqa: F401
        import torch
    except ImportError:
        return None
    return str(torch.__version__)


class Peer:
    def __init__(self, folder: Path, train: bool, threads: int, channels_last: bool = False) -> None:
        import torch

        from peers import facts

        torch.set_num_threads(threads)
        spec = importlib.util.spec_from_file_location("net", folder / "net.py")
        assert spec is not None and spec.loader is not None
        written = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(written)
        module = written.load().train(train)
        self.torch, self.train, self.channels_last = torch, train, channels_last
        found = facts(folder)
        self.names, self.weights, self.takes = found["outputs"], found["loss_weights"], found["torch_inputs"]
        if channels_last:
            module = module.to(memory_format=torch.channels_last)
        if train:
            # Everything is updated in one call.
            self.optimizer = torch.optim.SGD(
                module.parameters(), lr=0.001, momentum=0.9, weight_decay=0.0005, fused=True
            )
        self.module = module if train else _released(module)

    def _tensor(self, array: np.ndarray) -> Any:
        tensor = self.torch.from_numpy(array)
        if self.channels_last and tensor.ndim == 4:
            return tensor.contiguous(memory_format=self.torch.channels_last)
        return tensor

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        values = [self._tensor(inputs[name]) for name in self.takes]
        if not self.train:
            with self.torch.inference_mode():
                self.result = self.module(*values)
            return
        self.optimizer.zero_grad()
        self.result = self.module(*values)
        losses = self.result if isinstance(self.result, dict) else {self.names[0]: self.result}
        sum(self.weights[name] * losses[name] for name in self.names).backward()
        self.optimizer.step()

    def outputs(self) -> dict[str, np.ndarray]:
        found = self.result if isinstance(self.result, dict) else {self.names[0]: self.result}
        return {name: found[name].detach().numpy() for name in self.names}


def _released(module: Any) -> Any:
    """The module with each blob let go after its last reader, as torch.fx writes it; itself, where fx cannot."""
    from torch import fx

    try:
        return fx.symbolic_trace(module)
    except Exception:  # a loop over what was detected, or one over time: fx raises errors of many kinds
        return module
