"""Weights are packed once where nothing can have changed them, and anew where something may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin import Blob, BlobCounts, Layer
from bicerin.kernels import WITH_PANELS
from bicerin_convolution.prepared_weights import PreparedWeights

NET = """
layer {{ name: "in" type: "Input" top: "x" input_param {{ shape {{ dim: 2 dim: 16 dim: 9 dim: 9 }} }} }}
layer {{ name: "conv" type: "{type}" bottom: "x" top: "y" convolution_param {{
    num_output: 32 kernel_size: {size} {more} weight_filler {{ type: "gaussian" std: 0.1 }} }} }}
"""
ROUNDED = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each preparation is of weights to be kept."""
    calls = []
    of = PreparedWeights.of

    def counted(self: Any, w: np.ndarray, version: int | None) -> np.ndarray:
        prepare, called = self._prepare, []
        self._prepare = lambda *arguments: (called.append(True), prepare(*arguments))
        try:
            return of(self, w, version)
        finally:
            self._prepare = prepare
            calls.append(bool(called))

    monkeypatch.setattr(PreparedWeights, "of", counted)
    return calls


def net(size: int = 3, kind: str = "Convolution", more: str = "") -> bicerin.Net:
    made = bicerin.Net(NET.format(type=kind, size=size, more=more), phase="TEST", seed=1)
    made.blobs["x"].data[...] = np.random.default_rng(2).normal(size=made.blobs["x"].shape)
    return made


def output(made: bicerin.Net) -> np.ndarray:
    made.run_forward()
    return np.array(made.blobs["y"].data)


@pytest.mark.skipif(not WITH_PANELS, reason="needs kernels that pack weights")
@pytest.mark.parametrize("size", [1, 3])
def test_twice_and_then_no_more(prepared: list[bool], size: int) -> None:
    made = net(size)
    expected = output(made)
    for _ in range(3):
        np.testing.assert_array_equal(output(made), expected)
    assert prepared == [True, True, False, False]


@pytest.mark.parametrize(("kind", "size", "more"), [
    ("Convolution", 1, ""),
    ("Convolution", 3, "pad: 1"),
    ("Convolution", 3, "stride: 2 group: 2"),
    ("Convolution", 3, "group: 16"),
    ("Deconvolution", 4, "stride: 2"),
    ("Deconvolution", 3, ""),
])  # fmt: skip
def test_every_write_is_seen_by_the_next_pass(kind: str, size: int, more: str) -> None:
    made = net(size, kind, more)
    for _ in range(4):
        once = output(made)
    weights = made.params["conv"][0].data
    weights *= 2
    twice = output(made)
    np.testing.assert_allclose(twice, 2 * once, **ROUNDED)

    for _ in range(4):
        output(made)
    # Through a view that was handed out long ago, and a view of that.
    corner = weights[:, :1].T
    corner *= 0
    reference = net(size, kind, more)
    reference.params["conv"][0].data[...] = weights
    np.testing.assert_allclose(output(made), output(reference), **ROUNDED)

    del weights
    corner += 1
    reference.params["conv"][0].data[...] = made.params["conv"][0].data
    np.testing.assert_allclose(output(made), output(reference), **ROUNDED)

    del corner
    for _ in range(4):
        output(made)
    made.params["conv"][0].data[...] = 0
    assert not output(made).any()


HOLDERS: dict[str, Callable[[bicerin.Net], np.ndarray]] = {
    "params": lambda made: made.params["conv"][0].data,
    "learnable_params": lambda made: made.learnable_params[0].data.T,
    "layer": lambda made: made.layer("conv").blobs[0].data,
    "layers": lambda made: made.layers[1].blobs[0].data[..., ::-1],
    "node": lambda made: made.node("conv").blobs[0].data,
    "on": lambda made: made.node("conv").blobs[0].on(made.device).data,
    "memoryview": lambda made: np.asarray(memoryview(made.layer("conv").blobs[0].data)),
}


@pytest.mark.parametrize("kind", ["Convolution", "Deconvolution"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_whoever_keeps_an_array_may_write_to_it(kind: str, holder: str) -> None:
    made = net(3, kind)
    array = HOLDERS[holder](made)
    for _ in range(4):
        once = output(made)
    array *= 2
    np.testing.assert_allclose(output(made), 2 * once, **ROUNDED)


class DoublesLayer(Layer):
    """Doubles weights, by an array that it asks for once."""

    type = "Doubles"
    counts = BlobCounts(bottom=1, top=0)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.declare_blobs(((32, 16, 3, 3), None))
        self.array: Any = None

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None: ...

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self.array is None:
            self.array = self.blobs[0].data
        self.array *= 2

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None: ...


@pytest.mark.parametrize("first", [False, True])
def test_a_layer_may_keep_the_array_of_weights_that_it_shares(provided: Any, first: bool) -> None:
    provided.layer(DoublesLayer)
    shared = 'param { name: "w" }'
    doubles = f'layer {{ name: "doubles" type: "Doubles" bottom: "x" {shared} }}'
    text = NET.format(type="Convolution", size=3, more="bias_term: false").replace('top: "y"', f'top: "y" {shared}')
    text = text.replace('layer { name: "conv"', f'{doubles} layer {{ name: "conv"') if first else text + doubles
    made = bicerin.Net(text, phase="TEST", seed=1)
    made.learnable_params[0].data[...] = 0.5
    made.blobs["x"].data[...] = 1
    outputs = [output(made) for _ in range(5)]
    for before, after in pairwise(outputs):
        np.testing.assert_allclose(after, 2 * before, **ROUNDED)


def test_other_ways_to_other_weights() -> None:
    made, other = net(), net()
    other.params["conv"][0].data[...] = 1
    for _ in range(4):
        output(made)
    made.load_weights(other.to_proto())
    np.testing.assert_allclose(output(made), output(other), **ROUNDED)
    third = net()
    for _ in range(4):
        output(third)
    third.share_trained_layers_with(other)
    np.testing.assert_allclose(output(third), output(other), **ROUNDED)
    other.params["conv"][0].data[...] = 0
    assert not output(third).any()


def test_a_solver_s_step() -> None:
    text = NET.format(type="Convolution", size=3, more="").replace('top: "y"', 'top: "y" loss_weight: 1')
    solver = bicerin.Solver(f"net_param {{ {text} }} base_lr: 0.001 lr_policy: 'fixed' max_iter: 9 random_seed: 1")
    solver.net.blobs["x"].data[...] = 1
    losses = []
    for _ in range(4):
        solver.step(1)
        losses.append(float(solver.net.blobs["y"].data.sum()))
    steps = np.diff(losses)
    assert (steps < 0).all()
    np.testing.assert_allclose(steps, steps[0], rtol=0.1)  # the loss is linear in the weights
