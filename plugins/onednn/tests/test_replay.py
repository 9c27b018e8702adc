"""Passes that are run again as their calls alone: that they are, and that nobody can tell by the blobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mixed_net import NET, image, make

import bicerin
from bicerin.device import Memory
from bicerin.layer import Blob
from bicerin_onednn.convolution import OneDNNConvolutionLayer

#: A whole number of blocks, so that blobs can be joined in any layout.
TEXT = NET.replace("20", "24")


@pytest.fixture(params=[False, True], ids=["default", "optimize"])
def nets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[bicerin.Net, bicerin.Net]:
    """One without oneDNN, and one with it that has run until it is replayed."""
    own, theirs = make("caffe", monkeypatch, TEXT), make("onednn", monkeypatch, TEXT, optimize=request.param)
    for _ in range(4):
        theirs.forward(x=image())
    return own, theirs


@pytest.fixture
def convolutions(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The convolutions that run in Python from now on."""
    ran: list[str] = []
    forward = OneDNNConvolutionLayer.forward

    def counted(self: OneDNNConvolutionLayer, *blobs: Any) -> None:
        ran.append(self.name)
        forward(self, *blobs)

    monkeypatch.setattr(OneDNNConvolutionLayer, "forward", counted)
    return ran


def compare(own: bicerin.Net, theirs: bicerin.Net, seed: int = 0, batch: int = 2) -> None:
    x = np.random.default_rng(seed).normal(size=(batch, 3, 13, 14)).astype(np.float32)
    expected, found = own.forward(x=x)["prob"], theirs.forward(x=x)["prob"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_no_layer_runs_in_python_any_more(nets: tuple[bicerin.Net, bicerin.Net], convolutions: list[str]) -> None:
    for seed in range(3):
        compare(*nets, seed)
    assert not convolutions


def test_every_blob_is_what_it_would_be(monkeypatch: pytest.MonkeyPatch, convolutions: list[str]) -> None:
    own, theirs = make("caffe", monkeypatch, TEXT), make("onednn", monkeypatch, TEXT)
    for seed in range(5):
        convolutions.clear()
        compare(own, theirs, seed)
    assert not convolutions
    for name in own.blobs:
        np.testing.assert_allclose(theirs.blobs[name].data, own.blobs[name].data, rtol=1e-4, atol=1e-5, err_msg=name)


def _weights(net: bicerin.Net) -> None:
    net.params["c2"][0].data[...] *= 2


def _bias(net: bicerin.Net) -> None:
    net.params["s1"][1].data[...] += 1


def _slope(net: bicerin.Net) -> None:
    next(node.layer for node in net.nodes if node.name == "r1").negative_slope = 0.5


def _observed(net: bicerin.Net) -> None:
    net.before_forward.append(lambda index: None)
    net.forward(x=image())
    net.before_forward.clear()


def _end(net: bicerin.Net) -> None:
    net.run_forward(0, 3)


def _larger(net: bicerin.Net) -> None:
    net.forward(x=image(3))


def _statistics(net: bicerin.Net) -> None:
    net.params["b1"][2].data[...] *= 2


@pytest.mark.parametrize(
    "change", [_weights, _bias, _slope, _observed, _end, _larger, _statistics], ids=lambda change: change.__name__[1:]
)
def test_what_changes_between_passes_counts(
    change: Callable[[bicerin.Net], None], nets: tuple[bicerin.Net, bicerin.Net], convolutions: list[str]
) -> None:
    for net in nets:
        change(net)
    for seed in range(5):
        compare(*nets, seed)
    convolutions.clear()
    compare(*nets, seed=9)
    assert not convolutions, "it is recorded anew"


def test_what_changes_before_the_pass_that_is_recorded_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = make("caffe", monkeypatch, TEXT), make("onednn", monkeypatch, TEXT)
    for seed in range(8):
        compare(own, theirs, seed)
        for net in (own, theirs):
            # Each time another product has to be prepared, sooner or later in the pass that would be recorded.
            next(node.layer for node in net.nodes if node.name == "r1").negative_slope = (0.0, 0.0, 0.5)[seed % 3]
            net.forward(x=image())


def test_a_parameter_that_somebody_holds_is_read_in_each_pass(nets: tuple[bicerin.Net, bicerin.Net]) -> None:
    held = [net.params["c2"][0].data for net in nets]
    for seed in range(5):
        for array in held:
            array *= 1.1
        compare(*nets, seed)


def test_an_array_that_somebody_holds_is_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = make("caffe", monkeypatch, TEXT), make("onednn", monkeypatch, TEXT)
    for _ in range(4):
        theirs.forward(x=image())
    held = {name: theirs.blobs[name].data for name in ("s1", "c2", "cat")}
    for seed in range(5):
        compare(own, theirs, seed)
        for name, array in held.items():
            np.testing.assert_allclose(array, own.blobs[name].data, rtol=1e-4, atol=1e-5, err_msg=name)
    held.clear()
    for seed in range(5):
        compare(own, theirs, seed)


def test_shapes_may_go_to_and_fro(nets: tuple[bicerin.Net, bicerin.Net]) -> None:
    for batch in (1, 1, 1, 4, 1, 1, 1, 1, 2, 2, 2, 2, *range(1, 12), 2, 2, 2, 2):
        compare(*nets, seed=batch, batch=batch)


def test_a_blob_that_becomes_a_loss_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    own, theirs = make("caffe", monkeypatch, TEXT), make("onednn", monkeypatch, TEXT)
    for _ in range(4):
        theirs.forward(x=image())
    losses = []
    for net in (own, theirs):
        next(node for node in net.nodes if node.name == "c2").loss_weights = [1.0]
        net.blobs["x"].data[...] = image()
        losses.append([net.run_forward() for _ in range(4)])
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)
    assert losses[0][0]


def test_a_call_that_fails_is_made_by_its_layer(
    nets: tuple[bicerin.Net, bicerin.Net], convolutions: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stretch = nets[1]._fused_pass._pass._stretches[0]
    monkeypatch.setattr(stretch, "_calls", [*stretch._calls[:2], lambda: 5])
    compare(*nets)
    assert convolutions


def _memory(blob: Blob) -> None:
    blob.use_memory(Memory(blob.count, blob.dtype, blob.device))


def _array(blob: Blob) -> None:
    memory = blob.memory[0]
    memory.use_host_array(np.zeros(memory.size, memory.dtype))


def _shape(blob: Blob) -> None:
    blob.reshape(1, 24, 3, 3)


@pytest.mark.parametrize("move", [_memory, _array, _shape], ids=lambda move: move.__name__[1:])
def test_what_moves_between_passes_counts(
    move: Callable[[Blob], None], nets: tuple[bicerin.Net, bicerin.Net], convolutions: list[str]
) -> None:
    compare(*nets)
    assert not convolutions
    move(nets[1].node("dw").top[0])
    compare(*nets, seed=1)
    assert convolutions, "the calls would have been those of before"
    for seed in range(3):
        compare(*nets, seed)
