"""A layer that passes its bottom on, until one rank meets with what the environment's TROUBLE says."""

from __future__ import annotations

import os
import signal
import time
from typing import Any


class Trouble:
    """`TROUBLE`: what happens on rank 1, in the forward pass number 3, or number `TROUBLE_AT`, or in its "setup"."""

    def setup(self, bottom: Any, top: Any) -> None:
        self.passes = 0
        if os.environ.get("TROUBLE_AT") == "setup" and os.environ["PMI_RANK"] == "1":
            self.meet(os.environ["TROUBLE"])

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data
        self.passes += 1
        if str(self.passes) == os.environ.get("TROUBLE_AT", "3") and os.environ["PMI_RANK"] == "1":
            self.meet(os.environ.get("TROUBLE", ""))

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] = top[0].diff

    @staticmethod
    def meet(what: str) -> None:
        if what == "raise":
            raise ValueError("no more of this")
        if what == "sleep":
            time.sleep(60)
        if what in ("SIGKILL", "SIGSTOP", "SIGTERM", "SIGSEGV"):
            os.kill(os.getpid(), getattr(signal, what))
