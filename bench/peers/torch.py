"""PyTorch on the CPU: the layers of the net as calls of torch.nn.functional."""

from __future__ import annotations

from typing import Any

import numpy as np


def available() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    return str(torch.__version__)


class Peer:
    def __init__(self, net: Any, weights: dict[str, list[np.ndarray]], train: bool, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.torch, self.net, self.train = torch, net, train
        self.weights = {
            name: [torch.tensor(array, requires_grad=train) for array in arrays] for name, arrays in weights.items()
        }
        self.steps = [step for step in (self._step(layer) for layer in net.layer) if step is not None]
        if train:
            kernels = [arrays[0] for arrays in self.weights.values()]
            biases = [arrays[1] for arrays in self.weights.values()]
            groups = [{"params": kernels, "weight_decay": 0.0005}, {"params": biases, "lr": 0.002}]
            self.optimizer = torch.optim.SGD(groups, lr=0.001, momentum=0.9)

    def _step(self, layer: Any) -> Any:
        function = self.torch.nn.functional
        bottoms, top, weights = list(layer.bottom), layer.top[0], self.weights.get(layer.name)
        if layer.type == "Input":
            return None
        if layer.type == "Convolution":
            p = layer.convolution_param
            stride, pad, group = (p.stride or [1])[0], (p.pad or [0])[0], p.group
            call = lambda x: function.conv2d(x, *weights, stride=stride, padding=pad, groups=group)  # noqa: E731
        elif layer.type == "InnerProduct":
            call = lambda x: function.linear(x.flatten(1), *weights)  # noqa: E731
        elif layer.type == "ReLU":
            call = lambda x: function.relu_(x)  # noqa: E731
        elif layer.type == "Pooling" and layer.pooling_param.pool == 0:
            p = layer.pooling_param
            call = lambda x: function.max_pool2d(x, p.kernel_size, p.stride, p.pad, ceil_mode=True)  # noqa: E731
        elif layer.type == "Pooling":
            p = layer.pooling_param
            call = lambda x: function.avg_pool2d(x, p.kernel_size, p.stride, p.pad, ceil_mode=True)  # noqa: E731
        elif layer.type == "LRN":
            p = layer.lrn_param
            call = lambda x: function.local_response_norm(x, p.local_size, p.alpha, p.beta, p.k)  # noqa: E731
        elif layer.type == "Dropout":
            ratio = layer.dropout_param.dropout_ratio
            call = lambda x: function.dropout(x, ratio, self.train)  # noqa: E731
        elif layer.type == "Concat":
            call = lambda *x: self.torch.cat(x, 1)  # noqa: E731
        elif layer.type == "Softmax":
            call = lambda x: function.softmax(x, 1)  # noqa: E731
        elif layer.type == "SoftmaxWithLoss":
            weight = layer.loss_weight[0]
            call = lambda x, label: weight * function.cross_entropy(x, label.long())  # noqa: E731
        else:
            raise ValueError(layer.type)
        return call, bottoms, top, layer.type == "SoftmaxWithLoss"

    def _forward(self, inputs: dict[str, np.ndarray]) -> Any:
        values = {name: self.torch.from_numpy(array) for name, array in inputs.items()}
        losses = []
        for call, bottoms, top, is_loss in self.steps:
            values[top] = call(*(values[bottom] for bottom in bottoms))
            if is_loss:
                losses.append(values[top])
        self.values = values
        return sum(losses) if losses else None

    def run(self, inputs: dict[str, np.ndarray]) -> None:
        if not self.train:
            with self.torch.inference_mode():
                self._forward(inputs)
            return
        self.optimizer.zero_grad()
        self._forward(inputs).backward()
        self.optimizer.step()

    def outputs(self) -> np.ndarray:
        return self.values["prob"].numpy()
