"""Training by ranks: two beside one on this machine, and a model of many: `python bench/distributed.py`.

Measured, with a thread for each rank: a step of one rank and of two, when each bucket of gradients is ready, and sums
over two ranks of several sizes. The model carries them to N ranks in a network: a bucket begins when it is ready and
the one before it has passed, and a step is over when both the passes and the last bucket are. In the network, a sum of
S bytes takes

    ring:  2 (N - 1) (latency + S / N / bandwidth)
    tree:  2 ceil(log2 N) (latency + S / bandwidth)

Latency and bandwidth are assumed. What the processors do for it, copying, adding and waiting for memory, is not hidden
behind the passes: `host` seconds for each byte that a rank takes in, which is what two ranks here take longer than one.

Source: Thakur, Rabenseifner and Gropp, Optimization of Collective Communication Operations in MPICH, 2005.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from math import ceil, log2
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "distributed.json"
#: Net -> images of a rank.
NETS = {"lenet": 64, "caffenet": 8, "googlenet": 8, "resnet50": 8, "vgg16": 8}
#: Bits a second -> seconds that a message takes at least.
NETWORKS = {10e9: 30e-6, 100e9: 3e-6}
RANKS = [2**power for power in range(1, 11)]


def step_times(name: str, batch: int, seconds: float) -> dict[str, Any]:
    """Of one rank, which runs this: seconds of a step, and of each bucket its bytes and how long before the end of the
    passes it was ready.
    """
    import models
    import numpy as np

    import bicerin
    from bicerin.parallel import DataParallel, connect

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "net").write_text(str(models.prototxt(name, batch, True)))
        path = Path(folder) / "solver"
        path.write_text(f'net: "{folder}/net" base_lr: 1e-6 lr_policy: "fixed" max_iter: 1000000 random_seed: 1')
        communicator = connect("mpi")
        solver = bicerin.Solver(path, parallel=DataParallel(communicator))
    net = solver.net
    net.blobs["data"].data[...] = np.random.default_rng(0).random(net.blobs["data"].shape)
    buckets = solver._team._average.buckets
    ready: dict[int, float] = {}
    net.after_backward.append(lambda index: ready.__setitem__(index, time.perf_counter()))
    times, waits, since = [], [], 0.0
    solver.step(1)
    begun = time.perf_counter()
    while len(times) < 2 or since < seconds:
        waited, started = solver._team.progress.waited, time.perf_counter()
        solver.step(1)
        times.append(time.perf_counter() - started)
        waits.append(solver._team.progress.waited - waited)
        flag = np.array([time.perf_counter() - begun])
        communicator.broadcast(flag)  # all ranks stop after the same step
        since = float(flag[0])
    end = max(ready.values())
    found = {
        "batch": batch,
        "step": median(times),
        "waits": median(waits),
        "buckets": [(bucket.count * 4, end - _ready(ready, bucket.ready_at)) for bucket in buckets],
    }
    return found if communicator.rank == 0 else {}


def _ready(times: dict[int, float], layer: int) -> float:
    """When the backward pass was through with a layer; one that it leaves out was passed with the next."""
    return times[min((index for index in times if index >= layer), default=max(times))]


def sum_times() -> dict[str, float]:
    """Bytes -> seconds of a sum over the ranks; each runs this."""
    import numpy as np

    from bicerin.parallel import connect

    communicator, found = connect("mpi"), {}
    for power in range(2, 27, 3):
        array = np.zeros(2**power // 4, np.float32)
        times = []
        for _ in range(12):
            communicator.gather(b"")
            started = time.perf_counter()
            communicator.all_reduce(array)
            times.append(time.perf_counter() - started)
        found[str(2**power)] = median(times[2:])
    return found if communicator.rank == 0 else {}


def measured(ranks: int, *arguments: object) -> dict[str, Any]:
    """What rank 0 of so many says."""
    command = [Path(sys.executable).with_name("mpiexec"), "-n", ranks, sys.executable, __file__, "--rank", *arguments]
    environment = {**os.environ, "BICERIN_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, command)], env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"')))
    return found


def efficiency(net: dict[str, Any], ranks: int, bandwidth: float, algorithm: str) -> float:
    """The time of a step alone by that of one of so many ranks."""
    latency, end = NETWORKS[bandwidth], float("-inf")
    total = sum(size for size, _ in net["buckets"])
    for size, before_end in net["buckets"]:
        if algorithm == "ring":
            seconds = 2 * (ranks - 1) * (latency + 8 * size / ranks / bandwidth)
        else:
            seconds = 2 * ceil(log2(ranks)) * (latency + 8 * size / bandwidth)
        end = max(end, -before_end) + seconds
    taken_in = 2 * (ranks - 1) / ranks if algorithm == "ring" else ceil(log2(ranks))
    return float(net["step"] / (net["step"] + total * host_seconds(net) * taken_in + max(0.0, end)))


def host_seconds(net: dict[str, Any]) -> float:
    """Of each byte that a rank takes in: with two ranks, that is each byte of the gradients once."""
    return float(max(0.0, net["two"] - net["step"]) / sum(size for size, _ in net["buckets"]))


def plot(found: dict[str, Any], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for axis, bandwidth in zip(axes, NETWORKS, strict=True):
        for color, (name, net) in enumerate(found["nets"].items()):
            for algorithm, style in (("ring", "-"), ("tree", "--")):
                values = [efficiency(net, ranks, bandwidth, algorithm) for ranks in RANKS]
                label = f"{name}, {net['batch']} a rank" if algorithm == "ring" else None
                axis.plot(RANKS, values, style, color=f"C{color}", label=label)
        axis.set(xscale="log", xlabel="ranks", title=f"{bandwidth / 1e9:g} Gbit/s", ylim=(0, 1.05))
        axis.set_xticks(RANKS, map(str, RANKS))
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("efficiency (ring: solid, tree: dashed)")
    axes[1].legend(fontsize=8)
    figure.savefig(path, dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rank", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--nets", nargs="*", choices=NETS, default=list(NETS), help="measure these, and keep the others"
    )
    parser.add_argument("--seconds", type=float, default=6, help="the least time for each net")
    parser.add_argument("--sums", action="store_true", help="measure the sums anew")
    arguments = parser.parse_args()
    if arguments.rank is not None:
        own = (
            step_times(arguments.rank[0], int(arguments.rank[1]), arguments.seconds) if arguments.rank else sum_times()
        )
        if own:
            print(json.dumps(own))
        return
    found = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"nets": {}}
    if arguments.sums or "sums" not in found:
        found["sums"] = measured(2)
    for name in arguments.nets:
        one = measured(1, name, NETS[name], "--seconds", arguments.seconds)
        two = measured(2, name, NETS[name], "--seconds", arguments.seconds)
        found["nets"][name] = {**one, "two": two["step"], "two_waits": two["waits"]}
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    found["nets"] = {name: found["nets"][name] for name in NETS if name in found["nets"]}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    for name, net in found["nets"].items():
        model = [efficiency(net, 64, bandwidth, "ring") for bandwidth in NETWORKS]
        print(
            f"{name}: batch {net['batch']}, {1000 * net['step']:.0f} ms a step; two ranks {1000 * net['two']:.0f} ms, "
            f"efficiency {net['step'] / net['two']:.3f}; modelled at 64 ranks: "
            + ", ".join(f"{value:.2f} at {width / 1e9:g} Gbit/s" for value, width in zip(model, NETWORKS, strict=True))
        )  # fmt: skip
    try:
        plot(found, HERE.parent / "docs" / "figures" / "distributed.png")
    except ImportError:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
