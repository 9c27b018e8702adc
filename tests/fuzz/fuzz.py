"""Fuzz for as long as one likes: `tox run -e fuzz -- --minutes 60`.

Goes round all strategies, each time from another seed. A failure is shrunk, printed and kept in found/, where
test_fuzz.py tries it again until it is mended. The exit status is 1 where there was one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from strategies import STRATEGIES
from worker import Verdict, Worker

FOUND = Path(__file__).with_name("found")

#: Inputs of a strategy before it is the next one's turn.
ROUND = 150


class Found(AssertionError):
    """An input that fails."""

    def __init__(self, target: str, given: Any, verdict: Verdict) -> None:
        super().__init__(f"{target}: {verdict.kind}\n{json.dumps(given)[:2000]}\n{verdict.text}")
        self.target, self.given, self.verdict = target, given, verdict


def attempt(worker: Worker, target: str, given: Any) -> Verdict:
    """Raise `Found` where an input fails."""
    verdict = worker.run(target, given)
    if verdict.failed:
        raise Found(target, given, verdict)
    return verdict


def keep(found: Found) -> Path:
    """Write an input into found/, under a name that depends on it alone."""
    text = json.dumps({"target": found.target, "was": _line(found.verdict), "input": found.given}, indent=1)
    digest = hashlib.sha256(json.dumps(found.given, sort_keys=True).encode()).hexdigest()[:8]
    path = FOUND / f"{found.target}-{digest}.json"
    FOUND.mkdir(exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def _line(verdict: Verdict) -> str:
    lines = verdict.text.strip().splitlines()
    return f"{verdict.kind}: {verdict.place} {lines[-1][:200] if lines else ''}".strip()


def one_round(worker: Worker, target: str, number: int, end: float, known: set[tuple[str, str, str]]) -> Found | None:
    """Try `ROUND` inputs of a strategy; the smallest that fails in a way that is not known, or None."""
    strategy, _ = STRATEGIES[target]
    smallest: list[Found] = []

    @seed(number)
    @settings(
        max_examples=ROUND,
        deadline=None,
        database=None,
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
    )
    @given(strategy)
    def run(given: Any) -> None:
        if time.monotonic() > end and not smallest:
            return
        verdict = worker.run(target, given)
        counts[target][verdict.kind] += 1
        what = (target, verdict.kind, verdict.place)
        if verdict.failed and what not in known:
            if smallest and what != (target, smallest[0].verdict.kind, smallest[0].verdict.place):
                return  # another fault, which has its turn later
            smallest[:] = [Found(target, given, verdict)]
            raise smallest[0]

    try:
        run()
    except Exception as error:
        if not smallest:
            raise error
    if not smallest:
        return None
    found = smallest[0]
    known.add((target, found.verdict.kind, found.verdict.place))
    return found


counts: dict[str, Counter[str]] = {target: Counter() for target in STRATEGIES}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None, help="of the first round; by default the time")
    parser.add_argument("--only", choices=list(STRATEGIES), action="append", help="these strategies; repeatable")
    parser.add_argument("--seconds", type=float, default=30, help="after which an input is a hang")
    arguments = parser.parse_args()
    first = int(time.time()) if arguments.seed is None else arguments.seed
    end = time.monotonic() + 60 * arguments.minutes
    known: set[tuple[str, str, str]] = set()
    failures = 0
    number = first
    worker = Worker(arguments.seconds)
    print(f"seed {first}", flush=True)
    try:
        while time.monotonic() < end:
            for target in arguments.only or STRATEGIES:
                if time.monotonic() > end:
                    break
                found = one_round(worker, target, number, end, known)
                if found is not None:
                    failures += 1
                    print(f"\n{found}\nkept: {keep(found)}\n", flush=True)
            number += 1
            tried = sum(sum(count.values()) for count in counts.values())
            left = max(end - time.monotonic(), 0) / 60
            print(f"{tried} inputs, {failures} failures, {left:.0f} minutes left", flush=True)
    except KeyboardInterrupt:
        print("interrupted")
    finally:
        worker.close()
    print(f"\n{'target':10} {'inputs':>8} {'results':>8} {'refused':>8} {'raw':>5} {'hangs':>6} {'crashes':>8}")
    for target, count in counts.items():
        kinds = [count[kind] for kind in ("result", "refused", "raw", "hang", "crash")]
        print(f"{target:10} {sum(kinds):8} {kinds[0]:8} {kinds[1]:8} {kinds[2]:5} {kinds[3]:6} {kinds[4]:8}")
    print(f"{sum(sum(count.values()) for count in counts.values())} inputs, {failures} kinds of failure")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
