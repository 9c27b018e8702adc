"""A layer that is shared between nets: one instance, run by one thread at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bicerin import Blob, BlobCounts, Layer, LayerError, Net
from bicerin.device.device import CpuDevice
from bicerin.errors import NetError
from bicerin.layer import SharesInParallel
from bicerin.net.node import shared_node

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 4 } } }
layer { name: "turn" type: "Turnstile" bottom: "data" top: "turn" loss_weight: 2 }
layer { name: "square" type: "Square" bottom: "data" top: "square" }
layer { name: "quiet" type: "HalfSquareLoss" bottom: "square" bottom: "turn" top: "loss" }
"""


class TurnstileLayer(SharesInParallel, Layer):
    """top = bottom + 1, computed so slowly and in so many steps that two threads at once would be seen."""

    type = "Turnstile"
    counts = BlobCounts(bottom=1, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.set_ups = getattr(self, "set_ups", 0) + 1
        self.inside = self.most_inside = self.passed = 0
        self.buffer = self.new_blob()

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape_like(bottom[0])
        self.buffer.reshape_like(bottom[0])

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._enter()
        self.buffer.data[...] = bottom[0].data
        time.sleep(0.0005)
        top[0].data[...] = self.buffer.data + 1
        self._leave()

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        self._enter()
        time.sleep(0.0005)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff
        self._leave()

    def _enter(self) -> None:
        self.inside += 1
        self.most_inside = max(self.most_inside, self.inside)

    def _leave(self) -> None:
        passed = self.passed
        time.sleep(0.0001)
        self.passed = passed + 1  # lost where another thread was here meanwhile
        self.inside -= 1

    def share_in_parallel(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def turnstile(provided: Any) -> None:
    provided.layer(TurnstileLayer)


def run_in_threads(nets: Sequence[Net], passes: int) -> None:
    failures: list[BaseException] = []

    def work(number: int, net: Net) -> None:
        try:
            for step in range(passes):
                # Batches of other sizes, so that a reshape for one net would break the pass of another.
                rows = 1 + (number + step) % 3
                array = np.full((rows, 4), 10.0 * number + step, np.float32)
                out = net.forward(["turn"], data=array)
                assert np.array_equal(out["turn"], array + 1)
                net.run_backward()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=item) for item in enumerate(nets)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_one_instance_serves_all_nets_one_at_a_time() -> None:
    root = Net(f"force_backward: true {NET}", seed=1)
    nets = [root, *(Net(f"force_backward: true {NET}", seed=1, root_net=root) for _ in range(3))]
    shared: Any = root.layer("turn")
    assert all(net.layer("turn") is shared for net in nets)
    assert len({id(net.layer("square")) for net in nets}) == 4
    assert root.node("turn").is_shared and shared.set_ups == 1
    run_in_threads(nets, 10)
    assert shared.passed == 4 * 10 * 2
    assert shared.most_inside == 1


def test_the_test_would_see_two_threads_at_once() -> None:
    root = Net(f"force_backward: true {NET}")
    nets = [root, *(Net(f"force_backward: true {NET}", root_net=root) for _ in range(3))]
    shared: Any = root.layer("turn")
    for net in nets:
        net.node("turn")._lock = None
    try:
        run_in_threads(nets, 10)
    except AssertionError:
        return
    assert shared.most_inside > 1


def test_a_net_of_its_own_shares_nothing() -> None:
    first, second = Net(NET), Net(NET)
    assert first.layer("turn") is not second.layer("turn")
    assert not first.node("turn").is_shared


def test_loss_weights_hold_in_every_net() -> None:
    root = Net(NET)
    net = Net(NET, root_net=root)
    ones = np.ones((3, 4), np.float32)
    root.forward(data=ones)
    net.forward(data=ones)
    assert net.run_forward() == root.run_forward() > 0


def test_what_does_not_fit_is_refused() -> None:
    root = Net(NET)
    fewer = NET.replace('name: "turn" type: "Turnstile" bottom: "data" top: "turn" loss_weight: 2', "%s")
    with pytest.raises(LayerError, match="takes 1 bottom"):
        Net(fewer % 'name: "turn" type: "Turnstile" bottom: "data" bottom: "data" top: "turn"', root_net=root)
    with pytest.raises(NetError, match='"turn" cannot be shared by nets on cpu and cpu:1'):
        Net(NET, root_net=root, device=CpuDevice(1))
    assert shared_node(root.node("square"), root.node("square").param) is None
