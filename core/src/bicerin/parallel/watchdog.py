"""The watchdog: a rank that does not come any more is named, and all are ended.

Each rank has one, a thread. While its own rank waits, it asks the others where they are, and each answers for its
rank. A rank that has ended, that does not answer, or that has stood still as long as the others' patience lasts is
accused. One that waits in turn, or does something that may take as long as it likes, is not.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bicerin.parallel.communicator import Communicator
from bicerin.parallel.progress import Progress
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.parallel")

#: How often at most a thread looks, in seconds, and how long a rank lets those before it speak first.
_TICK, _TURN = 1.0, 1.5
_ASK = b"?"
#: For what part of the patience a rank may leave all questions without an answer: a machine may have much else to do.
_SILENCE = 0.8


@dataclass
class _Answer:
    """What a rank said last: when, where it was, for how many seconds already, and whether that is its right."""

    heard: float
    place: str
    still: float
    excused: bool


class Watchdog:
    """Watches while it is entered as a context.

    Args:
        communicator: the ranks.
        progress: of this one.
        patience: seconds that a rank may stand still while others wait, times what `progress` says of `leniency`; 0
            for ever.
        processes: of each rank, its machine and the number of its process, where that is known.
    """

    def __init__(
        self, communicator: Communicator, progress: Progress, patience: float, processes: Sequence[tuple[str, int]] = ()
    ) -> None:
        self._communicator = communicator
        self._progress = progress
        self._usual = patience
        self._processes = processes
        self._tick = min(_TICK, max(patience / 10, 0.02)) if patience else _TICK
        self._answers: dict[int, _Answer] = {}
        self._asked = self._asking_since = 0.0
        self._moved, self._seen = time.monotonic(), (-1, "")
        self._excuse_said = ""
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Watchdog:
        self._over.clear()
        self._thread = threading.Thread(target=self._watch, name="bicerin watchdog", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        assert self._thread is not None
        self._thread.join()

    @property
    def _patience(self) -> float:
        return self._usual * self._progress.leniency

    def _watch(self) -> None:
        while not self._over.wait(self._tick):
            now = time.monotonic()
            self._notice_own_moves(now)
            if self._communicator.can_message:
                self._read_messages(now)
            since, what = self._progress.since, self._progress.waiting_for
            if what is None:
                self._asking_since, self._excuse_said = 0.0, ""
                continue
            dead = self._dead()
            if dead:
                self._end(f"{self._named(dead)} has ended; the others cannot go on without it.", dead)
            elif self._patience and now - since >= self._patience / 8:
                self._ask_and_judge(now, since, what)

    def _notice_own_moves(self, now: float) -> None:
        seen = self._progress.moves, self._progress.place()
        if seen != self._seen:
            self._seen, self._moved = seen, now

    # Questions and answers

    def _read_messages(self, now: float) -> None:
        while (message := self._communicator.receive()) is not None:
            rank, data = message
            if data == _ASK:
                progress = self._progress
                excused = progress.waiting_for is not None or progress.busy is not None
                answer = {"place": self._seen[1], "still": now - self._moved, "excused": excused}
                self._communicator.send(rank, json.dumps(answer).encode())
            else:
                self._answers[rank] = _Answer(now, **json.loads(data))

    def _ask_and_judge(self, now: float, since: float, what: str) -> None:
        if not self._communicator.can_message:
            if now - since >= self._patience and not self._progress.patient:
                self._end(f"{what} has not come from another rank for {self._patience:g} s.", [])
            return
        if self._asking_since < since:
            self._asking_since, self._asked = now, 0.0
            self._answers.clear()
        if now - self._asked >= self._patience / 8:
            self._asked = now
            for rank in range(self._communicator.size):
                if rank != self._communicator.rank:
                    self._communicator.send(rank, _ASK)
        if now - since >= self._patience:
            self._judge(now, what)

    def _judge(self, now: float, what: str) -> None:
        others = [rank for rank in range(self._communicator.size) if rank != self._communicator.rank]
        silent_after = max(self._asking_since, now - _SILENCE * self._patience)
        accused, told = [], ""
        for rank in others:
            answer = self._answers.get(rank)
            if answer is None or answer.heard < silent_after:
                if now - self._asking_since >= _SILENCE * self._patience:
                    accused.append(rank)
                    told = "it does not answer"
            elif not answer.excused and answer.still >= 0.7 * self._patience:
                accused.append(rank)
                told = f"it {answer.place}"
        if accused:
            self._end(f"{self._named(accused)} has not reached {what} for {self._patience:g} s: {told}.", accused)
            return
        answers = [self._answers[rank] for rank in others if rank in self._answers]
        waiting = [answer for answer in answers if answer.place.startswith("waits for")]
        if len(waiting) == len(others) and min(answer.still for answer in waiting) >= self._patience:
            places = "; ".join(f"rank {rank} {self._answers[rank].place}" for rank in others[:4])
            self._end(f"all ranks wait: rank {self._communicator.rank} waits for {what}; {places}.", [])
        busy = next((rank for rank in others if rank in self._answers and self._answers[rank] not in waiting), None)
        if busy is not None and self._answers[busy].place != self._excuse_said:
            self._excuse_said = self._answers[busy].place
            if self._communicator.rank == min(set(range(self._communicator.size)) - {busy}):
                _log.info("waiting for rank %d, which %s", busy, self._excuse_said)

    # The dead

    def _dead(self) -> list[int]:
        """The ranks on this machine whose processes have ended."""
        if not self._processes:
            return []
        own = self._processes[self._communicator.rank][0]
        return [
            rank
            for rank, (machine, process) in enumerate(self._processes)
            if machine == own and rank != self._communicator.rank and _has_ended(process)
        ]

    # The end

    def _named(self, ranks: list[int]) -> str:
        more = f" (and {len(ranks) - 1} more)" if len(ranks) > 1 else ""
        if not self._processes:
            return f"rank {ranks[0]}{more}"
        machine, process = self._processes[ranks[0]]
        return f"rank {ranks[0]}{more}, process {process} on {printable(machine)},"

    def _end(self, text: str, accused: list[int]) -> None:
        """Say why and end all ranks: the lowest rank that can speaks, and the next ones only if it does not."""
        before_me = [rank for rank in range(self._communicator.rank) if rank not in accused]
        if self._over.wait(min(len(before_me), 3) * _TURN):
            return
        _log.critical("%s", text)
        self._communicator.abort()


def _has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    with contextlib.suppress(OSError, IndexError), open(f"/proc/{process}/stat", encoding="latin-1") as file:
        # Ended, and whoever started it has not looked yet.
        return file.read().rpartition(")")[2].split()[0] == "Z"
    return False


def processes_of(communicator: Communicator) -> list[tuple[str, int]]:
    """Of each rank, its machine and the number of its process."""
    own: Any = json.dumps([communicator.machine, os.getpid()]).encode()
    return [(str(machine), int(process)) for machine, process in map(json.loads, communicator.all_gather(own))]
