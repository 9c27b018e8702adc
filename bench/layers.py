"""Where a net's time goes: `python bench/layers.py googlenet` times each layer beside the least it could take.

A layer's limit is the longer of two times: its multiply-adds at the rate of the machine's matrix product, and the bytes
of its blobs, each moved once, at the rate at which the machine copies an array that is too large for its caches. Small
blobs stay in the caches, so that a layer of little arithmetic may beat its limit. Convolutions are counted by their
plain formula, so that Winograd's may beat it too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import models
import numpy as np
from nets import BATCH, matrix_product_rate

import bicerin


def copy_rate(megabytes: int = 64) -> float:
    """GB/s of reading and writing memory, the best of a few copies."""
    source = np.ones(megabytes << 18, np.float32)
    target = np.empty_like(source)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        target[...] = source
        best = min(best, time.perf_counter() - started)
    return 2 * source.nbytes / best / 1e9


def operations(layer: Any, top: list[Any]) -> int:
    """Floating point operations of a forward pass of a convolution or inner product; 0 for the rest."""
    if layer.type not in ("Convolution", "InnerProduct"):
        return 0
    weight = layer.blobs[0]
    return 2 * top[0].count * (weight.count // weight.shape[0])


class Stopwatch:
    """The times of each layer, one list for each direction."""

    def __init__(self, net: bicerin.Net) -> None:
        self.times: dict[tuple[str, int], list[float]] = defaultdict(list)
        net.before_forward.append(self._start)
        net.before_backward.append(self._start)
        net.after_forward.append(lambda index: self._stop("forward", index))
        net.after_backward.append(lambda index: self._stop("backward", index))

    def _start(self, index: int) -> None:
        self._began = time.perf_counter()

    def _stop(self, direction: str, index: int) -> None:
        self.times[direction, index].append(time.perf_counter() - self._began)


def profile(name: str, train: bool, rounds: int, optimize: bool, gemm: float, copy: float) -> list[dict[str, Any]]:
    """A row for each layer and direction that takes time: name, type, algorithm, milliseconds, limit, rates."""
    options = {"optimize": True} if optimize else {}
    net = bicerin.Net(
        models.prototxt(name, BATCH.get(name, 1), train), phase="TRAIN" if train else "TEST", seed=0, **options
    )
    random = np.random.default_rng(1)
    for blob in map(net.blobs.get, net.inputs):
        blob.data[...] = random.normal(size=blob.shape) if blob.num_axes > 1 else random.integers(0, 10, blob.shape)
    watch = Stopwatch(net)
    for _ in range(2):
        net.forward_backward() if train else net.run_forward()
    watch.times.clear()
    for _ in range(rounds):
        net.clear_param_diffs()
        net.forward_backward() if train else net.run_forward()
    rows = []
    for (direction, index), times in sorted(watch.times.items(), key=lambda item: item[0][1]):
        node = net.nodes[index]
        layer, bottom, top = node.layer, node.bottom, node.top
        if direction == "backward" and not node.wants_backward:
            continue
        passes = 1
        if direction == "backward":
            passes = any(node.propagate_down) + any(map(layer.param_propagate_down, range(len(layer.blobs))))
        flops = operations(layer, top) * passes
        moved = {id(blob.memory[0]): blob.count * blob.dtype.itemsize for blob in (*bottom, *top, *layer.blobs)}
        seconds = median(times)
        rows.append(
            {
                "layer": layer.name,
                "type": layer.type,
                "direction": direction,
                "ms": 1000 * seconds,
                "limit_ms": 1000 * max(flops / gemm, sum(moved.values()) * max(1, passes) / copy) / 1e9,
                "gflops": flops / seconds / 1e9,
                "algorithm": str(getattr(layer, "algorithm", "")),
            }
        )
    return rows


def show(rows: list[dict[str, Any]], least: float) -> None:
    whole = sum(row["ms"] for row in rows)
    print(f"{'layer':22} {'type':14} {'':8} {'ms':>8} {'share':>6} {'limit ms':>9} {'of limit':>8} {'GFLOP/s':>8}")
    for row in sorted(rows, key=lambda row: -row["ms"]):
        if row["ms"] >= least * whole:
            rate = f"{row['gflops']:8.1f}" if row["gflops"] else " " * 8
            print(
                f"{row['layer']:22} {row['type']:14} {row['direction']:8} {row['ms']:8.3f} {row['ms'] / whole:6.1%} "
                f"{row['limit_ms']:9.3f} {row['limit_ms'] / row['ms']:8.0%} {rate}  {row['algorithm']}"
            )
    print(f"{'type':22} {'':14} {'':8} {'ms':>8} {'share':>6} {'limit ms':>9} {'of limit':>8}")
    kinds = {(row["type"], row["direction"]) for row in rows}
    for kind in sorted(kinds, key=lambda kind: -sum(r["ms"] for r in rows if (r["type"], r["direction"]) == kind)):
        ours = [row for row in rows if (row["type"], row["direction"]) == kind]
        total, limit = sum(row["ms"] for row in ours), sum(row["limit_ms"] for row in ours)
        print(
            f"{kind[0]:22} {len(ours):3} layer(s)   {kind[1]:8} {total:8.3f} {total / whole:6.1%} {limit:9.3f} "
            f"{limit / total if total else 0:8.0%}"
        )
    print(f"{'the layers together':46} {whole:8.3f} {'':6} {sum(row['limit_ms'] for row in rows):9.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nets", nargs="*", default=list(models.NETS))
    parser.add_argument("--train", action="store_true", help="a training step without the solver's update")
    parser.add_argument("--optimize", action="store_true", help="as bicerin.Net(..., optimize=True) runs it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--least", type=float, default=0.01, help="the least share of the time that is shown")
    parser.add_argument("--output", type=Path, help="a JSON file for all rows")
    arguments = parser.parse_args()
    gemm, copy = matrix_product_rate(), copy_rate()
    print(f"matrix product {gemm:.0f} GFLOP/s, copying {copy:.1f} GB/s")
    found = {}
    for name in arguments.nets:
        print(f"\n{name}, batch {BATCH.get(name, 1)}, {'training step' if arguments.train else 'inference'}")
        found[name] = profile(name, arguments.train, arguments.rounds, arguments.optimize, gemm, copy)
        show(found[name], arguments.least)
    if arguments.output:
        arguments.output.write_text(
            json.dumps({"gemm_gflops": gemm, "copy_gb_s": copy, "nets": found}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
