"""A layer that passes its bottom on, until one rank meets, once, with what the environment's TROUBLE says."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any


class TroubleOnce:
    """`TROUBLE`, in the third pass of rank 1: "SIGKILL" kills it; "wait" lets it wait for a file `go`.

    A file `met` says that it has been.
    """

    def setup(self, bottom: Any, top: Any) -> None:
        self.passes = 0

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data
        self.passes += 1
        trouble = os.environ.get("TROUBLE")
        if trouble and self.passes == 3 and os.environ["PMI_RANK"] == "1" and not Path("met").exists():
            Path("met").touch()
            if trouble == "SIGKILL":
                while not Path("run_iter_2.solverstate").exists():  # rank 0 still writes it
                    time.sleep(0.02)
                os.kill(os.getpid(), signal.SIGKILL)
            while not Path("go").exists():
                time.sleep(0.02)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] = top[0].diff
