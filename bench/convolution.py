"""Time the convolutions of LeNet, CaffeNet and GoogLeNet, beside PyTorch's where it is importable.

    python bench/convolution.py [--passes forward,weights,data] [--only NAME] [--repeat 7] [--best]

Runs are interleaved, so that a noisy machine is as noisy for both. Prints medians in milliseconds, the ratio to PyTorch
(above 1 is faster than it) and GFLOP/s, counted as for the direct formula.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from math import prod
from statistics import median

import numpy as np

from bicerin.kernels import Finish, num_threads
from bicerin_convolution.geometry import Geometry
from bicerin_convolution.plan import Plan
from bicerin_convolution.problem import Problem

# name: input, num_output, kernel, stride, pad, dilation, group
SHAPES = {
    "lenet conv1": ((64, 1, 28, 28), 20, 5, 1, 0, 1, 1),
    "lenet conv2": ((64, 20, 12, 12), 50, 5, 1, 0, 1, 1),
    "caffenet conv1": ((10, 3, 227, 227), 96, 11, 4, 0, 1, 1),
    "caffenet conv2": ((10, 96, 27, 27), 256, 5, 1, 2, 1, 2),
    "caffenet conv3": ((10, 256, 13, 13), 384, 3, 1, 1, 1, 1),
    "caffenet conv4": ((10, 384, 13, 13), 384, 3, 1, 1, 1, 2),
    "caffenet conv5": ((10, 384, 13, 13), 256, 3, 1, 1, 1, 2),
    "googlenet conv1": ((10, 3, 224, 224), 64, 7, 2, 3, 1, 1),
    "googlenet conv2 reduce": ((10, 64, 56, 56), 64, 1, 1, 0, 1, 1),
    "googlenet conv2": ((10, 64, 56, 56), 192, 3, 1, 1, 1, 1),
    "googlenet 3a 1x1": ((10, 192, 28, 28), 64, 1, 1, 0, 1, 1),
    "googlenet 3a 3x3": ((10, 96, 28, 28), 128, 3, 1, 1, 1, 1),
    "googlenet 3a 5x5": ((10, 16, 28, 28), 32, 5, 1, 2, 1, 1),
    "googlenet 4a 1x1": ((10, 480, 14, 14), 192, 1, 1, 0, 1, 1),
    "googlenet 4e 3x3": ((10, 160, 14, 14), 320, 3, 1, 1, 1, 1),
    "googlenet 5b 1x1": ((10, 832, 7, 7), 384, 1, 1, 0, 1, 1),
    "googlenet 5b 3x3": ((10, 192, 7, 7), 384, 3, 1, 1, 1, 1),
    "googlenet 5b 5x5": ((10, 48, 7, 7), 128, 5, 1, 2, 1, 1),
    "resnet 3x3 stride 2": ((10, 128, 56, 56), 128, 3, 2, 1, 1, 1),
    "resnet 1x1 stride 2": ((10, 256, 56, 56), 512, 1, 2, 0, 1, 1),
    "vgg conv1_2": ((2, 64, 224, 224), 64, 3, 1, 1, 1, 1),
    "mobilenet depthwise": ((10, 128, 56, 56), 128, 3, 1, 1, 1, 128),
    "mobilenet depthwise stride 2": ((10, 128, 56, 56), 128, 3, 2, 1, 1, 128),
    "resnext groups of 4": ((10, 128, 56, 56), 128, 3, 1, 1, 1, 32),
    "dilated": ((2, 256, 33, 33), 256, 3, 1, 2, 2, 1),
}


def timed(runs: dict[str, Callable[[], object]], repeat: int, best: bool) -> dict[str, float]:
    """Milliseconds of each, run in turn: the median, or the least."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(repeat):
        for name, run in runs.items():
            time.sleep(0.01)  # until the threads of the other have stopped to spin
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return {name: 1000 * (min if best else median)(each) for name, each in times.items()}


def compared(shape: tuple, passes: list[str], repeat: int, best: bool) -> None:
    x_shape, outputs, kernel, stride, pad, dilation, group = shape
    geometry = Geometry((kernel,) * 2, (stride,) * 2, (pad,) * 2, (dilation,) * 2)
    y_shape = (x_shape[0], outputs, *geometry.output_shape(x_shape[2:]))
    plan = Plan(Problem(x_shape, y_shape, geometry, group, np.dtype(np.float32)))
    random = np.random.default_rng(0)
    x, w, b, dy = (
        random.standard_normal(size, np.float32)
        for size in (x_shape, (outputs, x_shape[1] // group, kernel, kernel), (outputs,), y_shape)
    )
    biased, unfinished = (Finish.of(bias, (), x.dtype) for bias in (b, None))
    y, dw, dx = np.empty(y_shape, np.float32), np.zeros_like(w), np.empty_like(x)
    ours = {
        "forward": lambda: plan.forward(x, w, biased, y),
        "weights": lambda: plan.weight_gradient(x, dy, dw),
        "data": lambda: plan.data_gradient(dy, w, unfinished, dx),
    }
    theirs: dict[str, Callable[[], object]] = {}
    try:
        import torch
    except ImportError:
        pass
    else:
        torch.set_num_threads(num_threads())
        tx, tw, tb, tdy = (torch.from_numpy(array) for array in (x, w, b, dy))

        def gradient(mask: list[bool]) -> Callable[[], object]:
            return lambda: torch.ops.aten.convolution_backward(
                tdy, tx, tw, None, [stride] * 2, [pad] * 2, [dilation] * 2, False, [0, 0], group, mask
            )

        theirs = {
            "forward": lambda: torch.nn.functional.conv2d(tx, tw, tb, stride, pad, dilation, group),
            "weights": gradient([False, True, False]),
            "data": gradient([True, False, False]),
        }
    work = 2 * prod(y_shape) * prod(w.shape[1:])
    cells = []
    for name in passes:
        runs = {"ours": ours[name]} | ({"torch": theirs[name]} if theirs else {})
        found = timed(runs, repeat, best)
        ratio = f" x{found['torch'] / found['ours']:4.2f}" if theirs else ""
        cells.append(f"{name} {found['ours']:7.2f}{ratio} {work / found['ours'] / 1e6:4.0f}G")
    print("  ".join(cells), f" [{plan}]", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", default="forward,weights,data", type=lambda text: text.split(","))
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    parser.add_argument("--repeat", default=7, type=int)
    parser.add_argument("--best", action="store_true", help="the least times, not the medians: for a busy machine")
    arguments = parser.parse_args()
    for name, shape in SHAPES.items():
        if arguments.only in name:
            print(f"{name:29}", end=" ", flush=True)
            compared(shape, arguments.passes, arguments.repeat, arguments.best)


if __name__ == "__main__":
    main()
