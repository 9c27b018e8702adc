"""`share_in_parallel`: one instance of a user's class serves several nets, one thread at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from bicerin import Net

MODULE = """
import time
from bicerin_python import PythonLayer

class Counter(PythonLayer):
    setups = 0

    def setup(self, bottom, top):
        Counter.setups += 1
        self.count = 0

    def reshape(self, bottom, top):
        top[0].reshape(1)

    def forward(self, bottom, top):
        count = self.count
        time.sleep(0.0005)
        self.count = count + 1  # lost where another thread was here meanwhile
        top[0].data[...] = self.count

    def backward(self, top, propagate_down, bottom):
        pass
"""

NET = """
layer {{ name: "count" type: "Python" top: "count"
         python_param {{ module: "shared_counter" layer: "Counter" share_in_parallel: {shared} }} }}
"""


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[Net]:
    (tmp_path / "shared_counter.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    text = NET.format(shared=request.param)
    root = Net(text)
    return [root, *(Net(text, root_net=root) for _ in range(3))]


def run(nets: list[Net], passes: int) -> list[float]:
    seen: list[float] = []

    def work(net: Net) -> None:
        for _ in range(passes):
            seen.append(float(net.forward()["count"][0]))
            time.sleep(0)

    threads = [threading.Thread(target=work, args=(net,)) for net in nets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(seen)


@pytest.mark.parametrize("nets", ["true"], indirect=True)
def test_every_pass_of_every_net_is_counted_once(nets: list[Net]) -> None:
    assert len({id(net.layer("count")) for net in nets}) == 1
    assert nets[0].node("count").is_shared
    assert run(nets, 25) == list(np.arange(1.0, 101.0))


@pytest.mark.parametrize("nets", ["false"], indirect=True)
def test_each_net_counts_for_itself(nets: list[Net]) -> None:
    assert len({id(net.layer("count")) for net in nets}) == 4
    assert run(nets, 5) == sorted([1.0, 2.0, 3.0, 4.0, 5.0] * 4)
