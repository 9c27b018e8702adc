"""`caffe.Timer`: a stopwatch."""

from __future__ import annotations

import time


class Timer:
    """Measures the time between `start` and `stop`."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._seconds = 0.0

    def start(self) -> None:
        self._began = time.perf_counter()

    def stop(self) -> None:
        if self._began is not None:
            self._seconds = time.perf_counter() - self._began
            self._began = None

    @property
    def ms(self) -> float:
        """Milliseconds; while it runs, those up to now, and it stops."""
        self.stop()
        return 1000 * self._seconds
