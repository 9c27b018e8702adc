"""Time the pooling and normalization layers of LeNet, CaffeNet, GoogLeNet and ResNet, beside PyTorch's if importable.

    python bench/pooling.py [--only NAME] [--repeat 15]

Runs are interleaved. Prints the least milliseconds of a forward and of a backward pass at TRAIN, of a forward pass at
TEST, and PyTorch's forward pass at TRAIN (or "-").
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from bicerin.testing import run_layer

POOL = 'type: "Pooling" pooling_param {{ {} }}'.format
MAX_3_2 = POOL("kernel_size: 3 stride: 2")
MAX_3_1 = POOL("kernel_size: 3 pad: 1")
LRN = 'type: "LRN" lrn_param { local_size: 5 alpha: 1e-4 }'

# name: layer, input, the same in PyTorch
LAYERS = {
    "lenet pool1": (POOL("kernel_size: 2 stride: 2"), (64, 20, 24, 24), lambda nn: nn.MaxPool2d(2, 2)),
    "caffenet pool1": (MAX_3_2, (10, 96, 55, 55), lambda nn: nn.MaxPool2d(3, 2, ceil_mode=True)),
    "caffenet norm1": (LRN, (10, 96, 27, 27), lambda nn: nn.LocalResponseNorm(5, k=1)),
    "googlenet pool1": (MAX_3_2, (10, 64, 112, 112), lambda nn: nn.MaxPool2d(3, 2, ceil_mode=True)),
    "googlenet norm2": (LRN, (10, 192, 56, 56), lambda nn: nn.LocalResponseNorm(5, k=1)),
    "googlenet 3a": (MAX_3_1, (10, 192, 28, 28), lambda nn: nn.MaxPool2d(3, 1, 1)),
    "googlenet 4b": (MAX_3_1, (10, 512, 14, 14), lambda nn: nn.MaxPool2d(3, 1, 1)),
    "googlenet 5a": (MAX_3_1, (10, 832, 7, 7), lambda nn: nn.MaxPool2d(3, 1, 1)),
    "googlenet pool5": (POOL("pool: AVE kernel_size: 7"), (10, 1024, 7, 7), lambda nn: nn.AvgPool2d(7)),
    "average 3 x 3": (
        POOL("pool: AVE kernel_size: 3 stride: 2"),
        (10, 96, 55, 55),
        lambda nn: nn.AvgPool2d(3, 2, ceil_mode=True),
    ),
    "cifar norm1": ('type: "LRN" lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL }', (100, 32, 16, 16), None),
    "resnet bn": ('type: "BatchNorm"', (10, 64, 56, 56), lambda nn: nn.BatchNorm2d(64, affine=False)),
    "resnet scale": ('type: "Scale" scale_param { bias_term: true }', (10, 64, 56, 56), None),
}


def best(runs: list[Callable[[], object]], repeat: int) -> list[float]:
    """The least milliseconds of each, run in turn."""
    times = [float("inf")] * len(runs)
    for run in runs:
        run()
    for _ in range(repeat):
        for index, run in enumerate(runs):
            start = time.perf_counter()
            run()
            times[index] = min(times[index], time.perf_counter() - start)
    return [1e3 * seconds for seconds in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a layer's name")
    parser.add_argument("--repeat", type=int, default=15)
    arguments = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
    print(f"{'layer':16} {'forward':>9} {'backward':>9} {'TEST':>9} {'PyTorch':>9}")
    for name, (definition, shape, peer) in LAYERS.items():
        if arguments.only not in name:
            continue
        x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        train, test = (run_layer(definition, [x], phase=phase) for phase in ("TRAIN", "TEST"))
        train.forward()
        train.top[0].diff[...] = 1
        runs: list[Callable[[], object]] = [train.forward, train.backward, test.forward]
        if torch is not None and peer:
            module, tensor = peer(torch.nn), torch.from_numpy(x).requires_grad_()
            runs.append(partial(module, tensor))
        times = [f"{milliseconds:9.2f}" for milliseconds in best(runs, arguments.repeat)]
        print(f"{name:16} {' '.join(times)}{'' if len(times) > 3 else '         -'}")


if __name__ == "__main__":
    main()
