"""Time against batch size: `python bench/scaling.py`. It must be a line: an image costs the same in every batch.

What a batch costs at all, such as a pass over the weights of an inner product, is the line's start.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median

import models
import numpy as np

import bicerin

HERE = Path(__file__).parent
SIZES = (1, 2, 4, 8, 16, 32, 64)


def milliseconds(name: str, sizes: list[int], train: bool, seconds: float) -> dict[int, float]:
    """The median time of a pass over each size of a batch, in one net that is reshaped."""
    net = bicerin.Net(models.prototxt(name, max(sizes), train), phase="TRAIN" if train else "TEST", seed=0)
    found = {}
    for size in sizes:
        for blob in map(net.blobs.get, net.inputs):
            blob.reshape(size, *blob.shape[1:])
            blob.data[...] = np.random.default_rng(0).random(blob.shape)
        run = net.forward_backward if train else net.run_forward
        run()
        times: list[float] = []
        while len(times) < 3 or sum(times) < seconds:
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        found[size] = 1000 * median(times)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", nargs="+", choices=models.NETS, default=["lenet", "caffenet"])
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--train", action="store_true", help="forward and backward")
    parser.add_argument("--seconds", type=float, default=1.0, help="the least time for each size")
    parser.add_argument("--output", type=Path, default=HERE / "scaling.json")
    arguments = parser.parse_args()
    found = {}
    print("ms, by images".ljust(16) + "".join(f"{size:10}" for size in arguments.sizes))
    for name in arguments.nets:
        found[name] = milliseconds(name, arguments.sizes, arguments.train, arguments.seconds)
        print(name.ljust(16) + "".join(f"{value:10.2f}" for value in found[name].values()), flush=True)
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")
    try:
        plot(found, arguments.output.with_suffix(".png"))
    except ImportError:
        print("no plot: matplotlib is not installed")


def plot(found: dict[str, dict[int, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, panes = pyplot.subplots(1, len(found), figsize=(4.5 * len(found), 3.6), squeeze=False)
    for axes, (name, values) in zip(panes[0], found.items(), strict=True):
        sizes, times = np.array(list(values)), np.array(list(values.values()))
        slope, start = np.polyfit(sizes, times, 1)
        axes.plot(sizes, times, marker=".", label="measured")
        axes.plot(sizes, start + slope * sizes, linestyle=":", color="black", label=f"{start:.2f} + {slope:.3f} n")
        axes.set(title=name, xlabel="images in a batch", ylabel="ms", ylim=(0, None))
        axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
