"""`bicerin time`: how long each layer takes, forward and backward."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from statistics import median
from typing import Any

import click

from bicerin.cli.json_text import json_text
from bicerin.cli.net_or_solver import read_net_or_solver, train_net
from bicerin.cli.options import (
    FILE,
    device_option,
    json_option,
    net_options,
    phase_option,
    runtime_option,
    verbosity_options,
)
from bicerin.cli.progress import counted
from bicerin.cli.table import console, new_table
from bicerin.net import Net
from bicerin.net.batch_size import batch_size

#: Passes before the measured ones: kernels are compiled, buffers allocated and caches filled in them.
_WARM_UP = 2


@click.command()
@click.argument("net", type=FILE)
@click.option("--iterations", type=click.IntRange(min=1), default=50, show_default=True, help="How many passes.")
@phase_option(None, "TRAIN, or TEST with --runtime")
@device_option("cpu")
@runtime_option
@net_options
@json_option
@verbosity_options
def time(
    net: str,
    iterations: int,
    phase: str | None,
    device: str,
    runtime: str | None,
    level: int | None,
    stages: tuple[str, ...],
    layer_providers: dict[str, str],
    as_json: bool,
) -> None:
    """Measure each layer of NET, a net's or a solver's prototxt.

    Times are medians over the iterations, after two that are not counted. With --verbose, the algorithm that a layer
    chose is shown too. With --runtime, the parts are measured that run there and here, forward.
    """
    document, is_solver = read_net_or_solver(net, layer_providers)
    built = Net(
        train_net(document, layer_providers) if is_solver else document,
        phase or ("TRAIN" if runtime is None else "TEST"),
        device=device,
        level=level,
        stages=stages,
        layer_providers=layer_providers,
        runtime=runtime,
    )
    measured = measure(built, iterations) if built.runtime is None else measure_steps(built, iterations)
    if as_json:
        click.echo(json_text(measured, indent=2))
    elif built.runtime is not None:
        _print_steps(measured)
    else:
        _print(measured)


class Stopwatch:
    """The times of each layer, taken through a net's callbacks."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.forward: list[list[float]] = [[] for _ in net.nodes]
        self.backward: list[list[float]] = [[] for _ in net.nodes]
        self.transfers = [0] * len(net.nodes)
        self._began = 0.0
        self._moved = 0
        net.before_forward.append(self._start)
        net.after_forward.append(lambda index: self._stop(self.forward, index))
        net.before_backward.append(self._start)
        net.after_backward.append(lambda index: self._stop(self.backward, index))

    def clear(self) -> None:
        for times in (*self.forward, *self.backward):
            times.clear()
        self.transfers = [0] * len(self.transfers)

    def now(self) -> float:
        self.net.device.synchronize()
        return clock.perf_counter()

    def _count(self) -> int:
        moved = self.net.device.transfers
        return moved.to_host + moved.to_device

    def _start(self, index: int) -> None:
        self._moved = self._count()
        self._began = self.now()

    def _stop(self, times: list[list[float]], index: int) -> None:
        times[index].append(self.now() - self._began)
        self.transfers[index] += self._count() - self._moved


def measure(net: Net, iterations: int) -> dict[str, Any]:
    """What `bicerin time --json` prints of a net."""
    watch = Stopwatch(net)
    for _ in range(_WARM_UP):
        net.forward_backward()
    watch.clear()
    forward, backward = [], []
    for _ in counted(range(iterations), "timing"):
        net.clear_param_diffs()
        forward.append(_milliseconds(watch, net.run_forward))
        backward.append(_milliseconds(watch, net.run_backward))
    rows = [_row(watch, index, iterations) for index in range(len(net.nodes))]
    whole = sum(row["forward_ms"] + row["backward_ms"] for row in rows)
    for row in rows:
        row["share"] = (row["forward_ms"] + row["backward_ms"]) / whole if whole else 0.0
    total = median(f + b for f, b in zip(forward, backward, strict=True))
    return {
        **_about(net, iterations, total),
        "forward_ms": median(forward),
        "backward_ms": median(backward),
        "layers": rows,
    }


def measure_steps(net: Net, iterations: int) -> dict[str, Any]:
    """What `bicerin time --runtime NAME --json` prints of a net."""
    assert net.runtime is not None
    for _ in range(_WARM_UP):
        net.run_forward()
    whole: list[float] = []
    times: list[list[float]] = [[] for _ in net.steps]
    for _ in counted(range(iterations), "timing"):
        with net.lock:
            began = clock.perf_counter()
            for step, own in zip(net.steps, times, strict=True):
                started = clock.perf_counter()
                step.forward()
                own.append(1000 * (clock.perf_counter() - started))
            whole.append(1000 * (clock.perf_counter() - began))
    total = median(whole)
    spent = sum(median(own) for own in times)
    return {
        **_about(net, iterations, total),
        "runtime": net.runtime.name,
        "parts": [
            {
                "runtime": step.runtime,
                "layers": [node.name for node in step.nodes],
                "forward_ms": median(own),
                "share": median(own) / spent if spent else 0.0,
                "reasons": {node.name: net.refusals[node.name] for node in step.nodes if node.name in net.refusals},
            }
            for step, own in zip(net.steps, times, strict=True)
        ],
    }


def _about(net: Net, iterations: int, total: float) -> dict[str, Any]:
    """What is said of each net; `total` is the milliseconds that a pass, or one each way, takes."""
    images = batch_size(net)
    return {
        "net": net.name,
        "phase": net.phase.name,
        "device": repr(net.device),
        "dtype": net.dtype.name,
        "iterations": iterations,
        "batch_size": images,
        "total_ms": total,
        "images_per_second": 1000 * images / total if total else None,
    }


def _milliseconds(watch: Stopwatch, run: Callable[[], Any]) -> float:
    began = watch.now()
    run()
    return 1000 * (watch.now() - began)


def _row(watch: Stopwatch, index: int, iterations: int) -> dict[str, Any]:
    net = watch.net
    node = net.nodes[index]
    algorithm = getattr(node.layer, "algorithm", None)
    return {
        "name": node.name,
        "type": node.type,
        "forward_ms": 1000 * median(watch.forward[index]),
        "backward_ms": 1000 * median(watch.backward[index]) if node.wants_backward else 0.0,
        "shapes": [blob.shape for blob in node.top],
        **({"algorithm": str(algorithm)} if algorithm is not None else {}),
        **({} if net.device.is_host else {"transfers": watch.transfers[index] / iterations}),
    }


def _print(measured: dict[str, Any]) -> None:
    from bicerin.cli.messages import is_verbose

    rows = measured["layers"]
    extra = []
    if is_verbose() and any("algorithm" in row for row in rows):
        extra.append(("Algorithm", lambda row: row.get("algorithm", "")))
    if any("transfers" in row for row in rows):
        extra.append(("Copies", lambda row: f"{row['transfers']:g}"))
    numbers = ("Forward ms", "Backward ms", "Share")
    table = new_table("Layer", "Type", *numbers, "Output", *(name for name, _ in extra), right=(*numbers, "Copies"))
    for row in rows:
        table.add_row(
            row["name"],
            row["type"],
            f"{row['forward_ms']:.3f}",
            f"{row['backward_ms']:.3f}" if row["backward_ms"] else "",
            f"{row['share']:.1%}",
            ", ".join("x".join(map(str, shape)) or "scalar" for shape in row["shapes"]),
            *(show(row) for _, show in extra),
        )
    table.add_section()
    table.add_row("whole net", "", f"{measured['forward_ms']:.3f}", f"{measured['backward_ms']:.3f}", "", "")
    output = console()
    output.print(table)
    if not any(row["backward_ms"] for row in rows):
        output.print("no layer runs backward: nothing in the net leads to a loss")
    pace = f", {measured['images_per_second']:.0f} images/s" if measured["batch_size"] else ""
    output.print(
        f"{measured['total_ms']:.3f} ms per iteration of {measured['batch_size']} image(s){pace} "
        f"({measured['phase']}, {measured['device']}, {measured['dtype']}; medians of {measured['iterations']})"
    )


def _print_steps(measured: dict[str, Any]) -> None:
    table = new_table("Layers", "Run by", "Forward ms", "Share", right=("Forward ms", "Share"))
    for part in measured["parts"]:
        names = part["layers"]
        table.add_row(
            names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} layers)",
            part["runtime"] or "bicerin",
            f"{part['forward_ms']:.3f}",
            f"{part['share']:.1%}",
        )
    table.add_section()
    table.add_row("whole net", "", f"{measured['total_ms']:.3f}", "")
    output = console()
    output.print(table)
    for part in measured["parts"]:
        for name, reason in part["reasons"].items():
            output.print(f'"{name}" does not run in {measured["runtime"]}: {reason}', highlight=False, markup=False)
    pace = f", {measured['images_per_second']:.0f} images/s" if measured["batch_size"] else ""
    output.print(
        f"{measured['total_ms']:.3f} ms forward of {measured['batch_size']} image(s){pace} "
        f"({measured['phase']}, {measured['runtime']}, {measured['dtype']}; medians of {measured['iterations']})"
    )
