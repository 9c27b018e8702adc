"""One peer in a process of its own. It reads a case's files, then obeys lines on standard input:

step    one forward pass or training step; answers "done"
run     several, one of which is not counted; answers the milliseconds of each of the others
peak    answers the peak memory of this process in MB
outputs writes the arrays of the last step to the file that is named after it; answers "done"
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import peers


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


def main(peer: str, folder: Path, train: bool, threads: int) -> None:
    # What is printed from here on is an answer; libraries that chat do so on standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with np.load(folder / "inputs.npz") as file:
        inputs = {name: file[name] for name in file.files}
    runner = peers.make(peer, folder, train, threads)
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        command, *argument = line.split()
        answer = "done"
        if command == "run":
            answer = " ".join(map(str, turn(lambda: runner.run(inputs))))
        elif command == "step":
            runner.run(inputs)
        elif command == "outputs":
            np.savez(argument[0], **runner.outputs())
        else:
            answer = str(peak_memory())
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    peer, folder, mode, threads = sys.argv[1:]
    main(peer, Path(folder), mode == "train", int(threads))
