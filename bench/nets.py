"""Whole nets beside what a user would pick instead: `python bench/nets.py`, or `python -m tox run -e bench`.

Every peer runs in a process of its own on the same weights and inputs. The processes take turns, so that a machine
whose speed drifts slows all of them. A turn is a tenth of a second or one step, whichever is longer, after a step that
is not timed: some peers' threads spin for milliseconds after their last step, and what ran before leaves cold caches.
Before anything is timed, the outputs must agree. Reported are medians, the spread (from the first to the third
quartile), the ratio of each peer's median to ours (over 1: we are faster), the arithmetic rate against the machine's
own matrix product, and peak memory.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import models
import numpy as np
import peers

import bicerin

HERE = Path(__file__).parent
BATCH = {"lenet": 64, "caffenet": 10, "googlenet": 10}


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, name: str, batch: int, train: bool, threads: int, weights: Path) -> None:
        self.peer = peer
        mode = "train" if train else "test"
        arguments = [peer, name, str(batch), mode, str(threads), str(weights)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        environment["BICERIN_NUM_THREADS"] = str(threads)
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- open as long as the process runs
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=environment,
        )
        if self.answer() != "ready":
            self.errors.seek(0)
            raise RuntimeError(f"{peer} could not build {name}:\n{self.errors.read()[-2000:]}")

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()


def multiply_adds(net: Any) -> int:
    """Multiplications (each with an addition) of a forward pass, of the convolutions and inner products alone."""
    total = 0
    for index, layer in enumerate(net.layers):
        if layer.type in ("Convolution", "InnerProduct"):
            weight = layer.blobs[0]
            per_output = weight.count // weight.shape[0]
            total += net.nodes[index].top[0].count * per_output
    return total


def matrix_product_rate(size: int = 1536) -> float:
    """GFLOP/s of NumPy's float32 matrix product, the best of a few."""
    a, b = (np.random.default_rng(0).random((size, size), np.float32) for _ in range(2))
    out = np.empty_like(a)
    best = min(_seconds(lambda: np.matmul(a, b, out=out)) for _ in range(8))
    return 2 * size**3 / best / 1e9


def _seconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(name: str, train: bool, names: list[str], threads: int, rounds: int, batch: int) -> dict[str, Any]:
    """The figures of one net and mode for every peer."""
    net = bicerin.Net(models.prototxt(name, batch, train), phase="TRAIN" if train else "TEST", seed=0)
    operations = 2 * multiply_adds(net) * (3 if train else 1)
    with tempfile.TemporaryDirectory() as folder:
        weights = net.save(Path(folder) / "weights.caffemodel")
        del net
        workers = [Worker(peer, name, batch, train, threads, weights) for peer in names]
        for worker in workers:
            for _ in range(3):
                worker.ask("run")
        if not train:
            check_agreement(workers, Path(folder))
        times: dict[str, list[float]] = {worker.peer: [] for worker in workers}
        for _ in range(rounds):
            for worker in workers:
                times[worker.peer] += map(float, worker.ask("run").split())
        peaks = {worker.peer: float(worker.ask("peak")) for worker in workers}
        for worker in workers:
            worker.close()
    figures = {}
    for peer, values in times.items():
        first, median, third = statistics.quantiles(values, n=4)
        figures[peer] = {
            "median_ms": median,
            "spread_ms": [first, third],
            "gflops": operations / median / 1e6,
            "peak_mb": peaks[peer],
        }
    for figure in figures.values():
        figure["ratio"] = figure["median_ms"] / figures["bicerin"]["median_ms"]
    return {"net": name, "batch": batch, "mode": "training step" if train else "inference", "peers": figures}


def check_agreement(workers: list[Worker], folder: Path) -> None:
    """Raise unless all peers gave the same probabilities."""
    outputs = {}
    for worker in workers:
        path = folder / f"{worker.peer}.npy"
        worker.ask(f"outputs {path}")
        outputs[worker.peer] = np.load(path).squeeze()
    ours = outputs["bicerin"]
    for peer, theirs in outputs.items():
        if ours.shape != theirs.shape or not np.allclose(ours, theirs, rtol=1e-3, atol=1e-6):
            raise RuntimeError(f"{peer} computes something else: off by up to {np.abs(ours - theirs).max()}")


def table(results: list[dict[str, Any]], peak: float) -> str:
    lines = [f"the machine's matrix product: {peak:.0f} GFLOP/s"]
    lines.append(
        f"{'net':10} {'mode':14} {'peer':12} {'median':>9} {'spread':>17} {'ratio':>6} {'GFLOP/s':>8} {'peak MB':>8}"
    )
    for result in results:
        for peer, figure in result["peers"].items():
            low, high = figure["spread_ms"]
            lines.append(
                f"{result['net']:10} {result['mode']:14} {peer:12} {figure['median_ms']:9.2f} {low:8.2f}{high:9.2f} "
                f"{figure['ratio']:6.2f} {figure['gflops']:8.1f} {figure['peak_mb']:8.0f}"
            )
    return "\n".join(lines)


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios to ours, a group for each net and mode."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 4))
    labels = [f"{result['net']}\n{result['mode']}" for result in results]
    for number, peer in enumerate(peers.NAMES):
        at = [index + 0.15 * number for index, result in enumerate(results) if peer in result["peers"]]
        heights = [result["peers"][peer]["ratio"] for result in results if peer in result["peers"]]
        if at:
            axes.bar(at, heights, 0.14, label=peer)
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set_xticks([index + 0.3 for index in range(len(results))], labels, fontsize=8)
    axes.set_ylabel("time, ours = 1")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Time whole nets, ours and others'.")
    parser.add_argument("--nets", nargs="+", choices=list(models.NETS), default=list(models.NETS))
    parser.add_argument("--modes", nargs="+", choices=["test", "train"], default=["test", "train"])
    parser.add_argument("--peers", nargs="+", choices=peers.NAMES, default=list(peers.NAMES))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    arguments = parser.parse_args()

    versions = {peer: importlib.import_module(f"peers.{peer}").available() for peer in arguments.peers}
    for peer, version in versions.items():
        print(f"{peer}: {version or 'not installed'}")
    present = ["bicerin", *(peer for peer, version in versions.items() if version and peer != "bicerin")]
    peak = matrix_product_rate()
    results = []
    for name in arguments.nets:
        for mode in arguments.modes:
            names = [peer for peer in present if mode == "test" or peer in peers.TRAINING]
            results.append(measure(name, mode == "train", names, arguments.threads, arguments.rounds, BATCH[name]))
            print(table(results[-1:], peak).splitlines()[1] if len(results) == 1 else "", flush=True)
            print("\n".join(table(results[-1:], peak).splitlines()[2:]), flush=True)
    print()
    print(table(results, peak))
    facts = {"versions": versions, "threads": arguments.threads, "machine": platform.processor(), "gemm_gflops": peak}
    arguments.output.write_text(json.dumps({**facts, "results": results}, indent=1) + "\n")
    try:
        plot(results, arguments.output.with_suffix(".png"))
    except ImportError:
        print("no plot: matplotlib is not installed")


if __name__ == "__main__":
    main()
