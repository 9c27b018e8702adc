"""One peer in a process of its own. It builds the net, then obeys lines on standard input:

run     forward passes or training steps, one of which is not counted; answers the milliseconds of each of the others
peak    answers the peak memory of this process in MB
outputs writes the last scores to the file that is named after it; answers "done"
"""

from __future__ import annotations

import importlib
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import models
import numpy as np

import bicerin_proto


def peak_memory() -> float:
    """The most resident memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it forked
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def turn(step: Callable[[], None], seconds: float = 0.1) -> list[float]:
    """Milliseconds of each step in so many seconds, one at least, after one that is not counted."""
    step()
    times: list[float] = []
    while sum(times) < 1000 * seconds:
        started = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - started))
    return times


def main(peer: str, name: str, batch: int, train: bool, threads: int, weights_file: str) -> None:
    net = bicerin_proto.read_net(models.prototxt(name, batch, train)).message
    weights = {
        layer: [bicerin_proto.blob_array(blob) for blob in blobs]
        for layer, _, blobs in bicerin_proto.read_weights(weights_file)
        if blobs
    }
    random = np.random.default_rng(1)
    inputs = {"data": random.normal(size=(batch, *models.SHAPES[name])).astype(np.float32)}
    if train:
        inputs["label"] = random.integers(0, models.CLASSES[name], batch).astype(np.float32)
    runner = importlib.import_module(f"peers.{peer}").Peer(net, weights, train, threads)
    del weights, net  # the peers have copies of their own
    # What is printed from here on is an answer; libraries that chat do so on standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        command, *argument = line.split()
        if command == "run":
            answer = " ".join(map(str, turn(lambda: runner.run(inputs))))
        elif command == "outputs":
            np.save(argument[0], runner.outputs())
            answer = "done"
        else:
            answer = str(peak_memory())
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    peer, name, batch, train, threads, weights = sys.argv[1:]
    main(peer, name, int(batch), train == "train", int(threads), weights)
