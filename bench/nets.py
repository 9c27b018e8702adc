"""Whole nets beside what a user would pick instead: `python bench/nets.py FILE... --batch 1 8 --train`.

A FILE is a prototxt whose inputs are Input layers, or the name of a net in `bench/models.py`; by default, all of those.

Every peer runs in a process of its own on the same weights and inputs. The processes take turns, so that a machine
whose speed drifts slows all of them. A turn is a tenth of a second or one step, whichever is longer, after a step that
is not timed: some peers' threads spin for milliseconds after their last step, and what ran before leaves cold caches.
Before anything is timed, the outputs must agree, and in training the losses of the first step, unless the net drops at
random. Reported are medians, the spread (from the first to the third quartile), the ratio of each peer's median to ours
(over 1: we are faster), the arithmetic rate against the machine's own matrix product, and peak memory. A peer that
cannot run a net is left out, with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import case as cases
import models
import numpy as np
import peers

from bicerin.errors import BicerinError

HERE = Path(__file__).parent
#: Batch sizes where none is asked for; 1 of the others.
BATCH = {"lenet": 64, "caffenet": 10, "googlenet": 10}


class PeerError(RuntimeError):
    """A peer that does not run; says why."""


class Worker:
    """A peer's process."""

    def __init__(self, peer: str, folder: Path, train: bool, threads: int) -> None:
        self.peer = peer
        arguments = [peer, str(folder), "train" if train else "test", str(threads)]
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
        self.answer()

    def answer(self) -> str:
        """The next line; the error's last line, where the process has ended."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if line:
            return line
        self.errors.seek(0)
        said = [line.strip() for line in self.errors.read().splitlines() if line.strip()]
        self.close()
        raise PeerError(said[-1][:300] if said else f"it ended with {self.process.returncode}")

    def ask(self, command: str) -> str:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # the answer says why
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.errors.close()


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


def measure(source: str, batch: int, train: bool, names: list[str], threads: list[int], rounds: int) -> list[Any]:
    """The figures of one net, batch size and mode for every peer, for each number of threads.

    Raises:
        BicerinError: the net cannot be read, built or trained.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        case = cases.write(source, batch, train, Path(folder))
        for number in threads:
            row = {
                "net": Path(source).stem if source not in models.NETS else source,
                "batch": batch,
                "mode": "training step" if train else "inference",
                "threads": number,
            }
            found.append({**row, **_measure(case, train, names, number, rounds)})
    return found


def _measure(case: cases.Case, train: bool, names: list[str], threads: int, rounds: int) -> dict[str, Any]:
    left_out: dict[str, str] = {}
    workers: list[Worker] = []
    for peer in names:
        refused = case.refused.get(peers.KINDS[peer].file)
        try:
            if refused is not None:
                raise PeerError(refused)
            worker = Worker(peer, case.folder, train, threads)
            worker.ask("step")
            workers.append(worker)
        except PeerError as error:
            left_out[peer] = str(error)
    try:
        workers = _agreeing(workers, case, left_out, train)
        for worker in workers:
            for _ in range(2):
                worker.ask("run")
        times: dict[str, list[float]] = {worker.peer: [] for worker in workers}
        for _ in range(rounds):
            for worker in workers:
                times[worker.peer] += map(float, worker.ask("run").split())
        peaks = {worker.peer: float(worker.ask("peak")) for worker in workers}
    finally:
        for worker in workers:
            worker.close()
    figures = {}
    for peer, values in times.items():
        first, median, third = np.percentile(values, [25, 50, 75]).tolist()
        figures[peer] = {
            "median_ms": median,
            "spread_ms": [first, third],
            "gflops": case.operations / median / 1e6,
            "peak_mb": peaks[peer],
        }
    for figure in figures.values():
        figure["ratio"] = figure["median_ms"] / figures["bicerin"]["median_ms"]
    return {"peers": figures, "left_out": left_out}


def _agreeing(workers: list[Worker], case: cases.Case, left_out: dict[str, str], train: bool) -> list[Worker]:
    """The peers whose outputs, or losses, are ours; the others are left out."""
    if train and case.drops:
        return workers
    outputs = {}
    for worker in workers:
        path = case.folder / f"{worker.peer}.npz"
        worker.ask(f"outputs {path}")
        with np.load(path) as file:
            outputs[worker.peer] = {name: file[name] for name in file.files}
    if "bicerin" not in outputs:
        raise PeerError(f"we do not run it ourselves: {left_out['bicerin']}")
    ours = outputs["bicerin"]
    unfit = [name for name, array in ours.items() if not np.isfinite(array).all()]
    if unfit:
        raise PeerError(f'our output "{unfit[0]}" is not finite: there is nothing to compare')
    kept = []
    for worker in workers:
        difference = max(_difference(array, outputs[worker.peer].get(name)) for name, array in ours.items())
        if difference <= 1e-3:
            kept.append(worker)
        else:
            left_out[worker.peer] = f"it computes something else: off by {difference:.1e} of the output's size"
            worker.close()
    return kept


def _difference(ours: np.ndarray, theirs: np.ndarray | None) -> float:
    """The root mean square of the difference, over that of ours."""
    if theirs is None:
        return np.inf
    ours, theirs = ours.squeeze(), theirs.squeeze()
    if ours.shape[-1:] == theirs.shape[-1:] == (7,) and ours.ndim == theirs.ndim == 2:
        # Rows of detections: equal scores may be in another order, and one on the threshold on its other side.
        number = min(len(ours), len(theirs))
        if abs(len(ours) - len(theirs)) > 0.02 * number:
            return np.inf
        ours, theirs = (-np.sort(-rows[:, 2])[: int(0.98 * number)] for rows in (ours, theirs))
    if ours.shape != theirs.shape:
        return np.inf
    size = np.sqrt(np.mean(np.square(ours, dtype=np.float64)))
    return float(np.sqrt(np.mean(np.square(ours.astype(np.float64) - theirs))) / (size + 1e-30))


def lines(result: dict[str, Any]) -> str:
    found = []
    for peer, figure in result["peers"].items():
        low, high = figure["spread_ms"]
        found.append(
            f"{result['net']:14} {result['batch']:5} {result['mode']:14} {result['threads']:7} {peer:12} "
            f"{figure['median_ms']:9.2f} {low:8.2f}{high:9.2f} {figure['ratio']:6.2f} {figure['gflops']:8.1f} "
            f"{figure['peak_mb']:8.0f}"
        )
    found += [f"    {peer} is left out: {reason}" for peer, reason in result["left_out"].items()]
    return "\n".join(found)


HEAD = (
    f"{'net':14} {'batch':>5} {'mode':14} {'threads':>7} {'peer':12} {'median':>9} {'spread':>17} {'ratio':>6} "
    f"{'GFLOP/s':>8} {'peak MB':>8}"
)


def thread_table(results: list[dict[str, Any]]) -> str:
    """Medians of each peer by the number of threads, and how many times faster the most are than the least."""
    numbers = sorted({result["threads"] for result in results})
    rows: dict[tuple[str, int, str, str], dict[int, float]] = {}
    for result in results:
        for peer, figure in result["peers"].items():
            key = (result["net"], result["batch"], result["mode"], peer)
            rows.setdefault(key, {})[result["threads"]] = figure["median_ms"]
    found = [f"{'ms by threads':51}" + "".join(f"{number:10}" for number in numbers) + f"{'gain':>8}"]
    for (net, batch, mode, peer), times in rows.items():
        if len(times) == len(numbers):
            values = "".join(f"{times[number]:10.2f}" for number in numbers)
            found.append(
                f"{net:14} {batch:5} {mode:14} {peer:14} {values}{times[numbers[0]] / times[numbers[-1]]:8.2f}"
            )
    return "\n".join(found)


def means(results: list[dict[str, Any]]) -> str:
    """The geometric mean of each peer's ratios to us, and to us with optimize=True, over all rows that it has."""
    found = []
    for mode in ("inference", "training step"):
        for peer in peers.KINDS:
            rows = [result["peers"] for result in results if result["mode"] == mode and peer in result["peers"]]
            for base in ("bicerin", "optimize"):
                ratios = [row[peer]["median_ms"] / row[base]["median_ms"] for row in rows if base in row]
                if ratios and peer not in ("bicerin", "optimize"):
                    found.append(
                        f"{mode}: {peer} over {base}: geometric mean {statistics.geometric_mean(ratios):.2f}, least "
                        f"{min(ratios):.2f}, {len(ratios)} rows"
                    )
    return "\n".join(found)


def machine() -> str:
    """The processor's name."""
    path = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in path.read_text().splitlines() if line.startswith("model name")]
    return names[0] if path.exists() and names else platform.processor()


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """Bars of the ratios to ours, a group for each net, batch size and mode."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = [peer for peer in peers.KINDS if any(peer in result["peers"] for result in results)]
    figure, axes = pyplot.subplots(figsize=(max(9, 1.2 * len(results)), 4))
    labels = [f"{result['net']} {result['batch']}\n{result['mode']}" for result in results]
    width = 0.9 / max(len(names), 1)
    for number, peer in enumerate(names):
        at = [index + width * number for index, result in enumerate(results) if peer in result["peers"]]
        heights = [result["peers"][peer]["ratio"] for result in results if peer in result["peers"]]
        axes.bar(at, heights, width, label=peer)
    axes.axhline(1, color="black", linewidth=0.5)
    axes.set_xticks([index + 0.4 for index in range(len(results))], labels, fontsize=7)
    axes.set_ylabel("time, ours = 1")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)


def _earlier(path: Path, facts: dict[str, Any]) -> dict[str, Any]:
    """An earlier run on this machine, whose peers were of these versions; a run of others may add to it."""
    earlier: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    versions = earlier.get("versions", {})
    same = all(versions.get(peer, version) == version for peer, version in facts["versions"].items())
    return earlier if same and earlier.get("machine") == facts["machine"] else {}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time whole nets, ours and others'.")
    parser.add_argument(
        "nets", nargs="*", metavar="FILE", default=list(models.NETS), help="a prototxt, or a net's name"
    )
    parser.add_argument("--batch", nargs="+", type=int, help="sizes; by default 1, and more of small nets")
    parser.add_argument("--train", action="store_true", help="training steps too")
    parser.add_argument("--modes", nargs="+", choices=["test", "train"], help="only these")
    parser.add_argument("--peers", nargs="+", choices=list(peers.KINDS), default=list(peers.KINDS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", nargs="+", type=int, default=[len(os.sched_getaffinity(0))])
    parser.add_argument("--add", action="store_true", help="to the rows of an earlier run on this machine")
    parser.add_argument("--output", type=Path, default=HERE / "results.json")
    arguments = parser.parse_args()
    modes = arguments.modes or ["test", *["train"] * arguments.train]

    versions = {peer: peers.available(peer) for peer in dict.fromkeys(("bicerin", *arguments.peers))}
    for peer, version in versions.items():
        print(f"{peer}: {version or 'not installed'}")
    facts = {"versions": versions, "machine": machine(), "gemm_gflops": matrix_product_rate()}
    print(f"{facts['machine']}; its matrix product: {facts['gemm_gflops']:.0f} GFLOP/s\n\n{HEAD}", flush=True)
    results: list[dict[str, Any]] = []
    failed = {}
    for source in arguments.nets:
        for batch in arguments.batch or [BATCH.get(source, 1)]:
            for mode in modes:
                names = [
                    peer
                    for peer, version in versions.items()
                    if version and (peers.KINDS[peer].trains if mode == "train" else True)
                ]
                try:
                    found = measure(source, batch, mode == "train", names, arguments.threads, arguments.rounds)
                except (BicerinError, PeerError) as error:
                    failed[f"{source}, batch {batch}, {mode}"] = str(error)
                    print(f"{source}: {error}", flush=True)
                    continue
                results += found
                print("\n".join(map(lines, found)), flush=True)
                keys = [tuple(row[name] for name in ("net", "batch", "mode", "threads")) for row in results]
                earlier = _earlier(arguments.output, facts) if arguments.add else {}
                old = [
                    row
                    for row in earlier.get("results", ())
                    if tuple(row[name] for name in ("net", "batch", "mode", "threads")) not in keys
                ]
                together = {**facts, "versions": {**earlier.get("versions", {}), **versions}, "results": old + results}
                arguments.output.write_text(json.dumps(together, indent=1) + "\n")
    print(f"\n{means(results)}")
    if len(arguments.threads) > 1:
        print(f"\n{thread_table(results)}")
    try:
        plot([row for row in results if row["threads"] == arguments.threads[-1]], arguments.output.with_suffix(".png"))
    except ImportError:
        print("no plot: matplotlib is not installed")
    if failed:
        sys.exit("\n".join(f"{what}: {why}" for what, why in failed.items()))


if __name__ == "__main__":
    main()
