"""A layer that passes its bottom on, after as many seconds as the environment's SLOW says."""

from __future__ import annotations

import os
import time
from typing import Any


class Slow:
    def setup(self, bottom: Any, top: Any) -> None:
        self.seconds = float(os.environ.get("SLOW", "0"))

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Any, top: Any) -> None:
        top[0].data[...] = bottom[0].data
        if self.seconds:
            time.sleep(self.seconds)

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] = top[0].diff
