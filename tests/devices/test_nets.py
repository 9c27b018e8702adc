"""Whole nets on a device: what is copied, what they learn, what a layer without GPU code costs.

Run on the devices of `--device`, by default `emulated`: `pytest tests/devices --device gpu`.
"""

from __future__ import annotations

import logging
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin.device.device import Transfers, get_device

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import models  # noqa: E402

RECORDED = ROOT / "tests" / "recorded" / "lenet"

LSTM = """
name: "lstm"
layer { name: "in" type: "Input" top: "words" top: "cont" top: "label"
  input_param { shape { dim: 5 dim: 3 } shape { dim: 5 dim: 3 } shape { dim: 5 dim: 3 } } }
layer { name: "embed" type: "Embed" bottom: "words" top: "embed"
  embed_param { input_dim: 11 num_output: 6 weight_filler { type: "xavier" } } }
layer { name: "lstm" type: "LSTM" bottom: "embed" bottom: "cont" top: "lstm"
  recurrent_param { num_output: 7 weight_filler { type: "xavier" } } }
layer { name: "rnn" type: "RNN" bottom: "lstm" bottom: "cont" top: "rnn"
  recurrent_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "score" type: "InnerProduct" bottom: "rnn" top: "score"
  inner_product_param { axis: 2 num_output: 11 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" softmax_param { axis: 2 } }
layer { name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" accuracy_param { axis: 2 } }
"""
SOLVER = 'base_lr: 0.01 lr_policy: "inv" gamma: 0.0001 power: 0.75 momentum: 0.9 weight_decay: 0.0005 random_seed: 1\n'


@pytest.fixture(autouse=True)
def _unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """The suite of layers is run with every access to memory looked at; whole nets would take many minutes."""
    monkeypatch.delenv("BICERIN_EMULATED_CHECK", raising=False)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", metafunc.config.getoption("--device") or ["emulated"])


def net_text(name: str) -> str:
    return LSTM if name == "lstm" else str(models.prototxt(name, 1 if name == "googlenet" else 8, True))


def inputs(net: Any, seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {name: net.blobs[name].shape for name in net.inputs}
    made = {name: random.normal(size=shape) for name, shape in shapes.items()}
    for name in ("label", "words"):
        if name in made:
            made[name] = random.integers(0, 10, shapes[name])
    if "cont" in made:
        made["cont"] = np.arange(5)[:, None] % 3 != 0
    return made


def moved(transfers: Transfers) -> tuple[int, int]:
    return transfers.to_host, transfers.to_device


def give(net: Any, seed: int) -> None:
    """New values of the inputs, put on the device as a data layer's would be."""
    for blob, values in inputs(net, seed).items():
        net.blobs[blob].data[...] = values
        _ = net.blobs[blob].on(net.device, writes_data=False).data


@pytest.mark.parametrize("model", ["lenet", "googlenet", "lstm"])
def test_training_copies_nothing(name: str, model: str, tmp_path: Path) -> None:
    """After the first iteration only the losses are read: a number each. Weights, history and update stay there."""
    device = get_device(name)
    (tmp_path / "net.prototxt").write_text(net_text(model))
    solver = bicerin.Solver(
        f'net: "{tmp_path}/net.prototxt" clip_gradients: 100 {SOLVER}', device=device, strict_device=True
    )
    losses = sum(node.is_loss for node in solver.net.nodes)
    give(solver.net, 0)
    solver.step(1)
    for iteration in (1, 2):
        give(solver.net, iteration)
        before, numbers = moved(device.transfers), device.transfers.numbers_read
        solver.step(1)
        assert moved(device.transfers) == before
        # One more for the norm that clip_gradients looks at.
        assert device.transfers.numbers_read - numbers == losses + 1


@pytest.mark.parametrize("solver_type", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
def test_solvers_equal_those_of_the_cpu(name: str, solver_type: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(LSTM)
    options = "momentum: 0.9 delta: 0.001" if solver_type not in ("AdaGrad", "RMSProp") else "delta: 0.001"
    text = (
        f'net: "{tmp_path}/net.prototxt" base_lr: 0.05 lr_policy: "fixed" {options} weight_decay: 0.01 random_seed: 3 '
        f'type: "{solver_type}" regularization_type: "{"L1" if solver_type == "SGD" else "L2"}"'
    )
    weights = []
    for device in ("cpu", name):
        solver = bicerin.Solver(text, device=device)
        for iteration in range(5):
            for blob, values in inputs(solver.net, iteration).items():
                solver.net.blobs[blob].data[...] = values
            solver.step(1)
        weights.append([blob.read_only.data for blob in solver.net.learnable_params])
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(theirs, mine, rtol=2e-3, atol=2e-5)


def test_lenet_learns_as_on_the_cpu(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 iterations of the example, from the same weights on the same digits: losses within 0.1 %."""
    example = ROOT / "examples" / "mnist"
    runpy.run_path(str(example / "make_lmdb.py"))["main"](tmp_path)
    for file in example.glob("*.prototxt"):
        (tmp_path / file.name).write_text(file.read_text())
    monkeypatch.chdir(tmp_path)
    losses: dict[str, list[float]] = {}
    for device in ("cpu", name):
        solver = bicerin.Solver("lenet_solver.prototxt", device=device)
        solver.net.load_weights(RECORDED / "init.caffemodel")
        losses[device] = []
        for _ in range(20):
            losses[device].append(solver.net.run_forward())
            solver.net.clear_param_diffs()
            solver.net.run_backward()
            solver.apply_update()
    np.testing.assert_allclose(losses[name], losses["cpu"], rtol=1e-3)
    assert losses["cpu"][-1] < 0.7 * losses["cpu"][0]


PYTHON_LAYER = """
class Half:
    def forward(self, bottom, top):
        top[0].reshape(*bottom[0].shape)
        top[0].data[...] = bottom[0].read_only.data / 2

    def reshape(self, bottom, top):
        top[0].reshape(*bottom[0].shape)

    def backward(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].read_only.diff / 2

class HalfOnTheDevice(Half):
    def forward_gpu(self, bottom, top):
        top[0].data[...] = bottom[0].data / 2

    def backward_gpu(self, top, propagate_down, bottom):
        bottom[0].diff[...] = top[0].diff / 2
"""


@pytest.mark.parametrize(("cls", "copies"), [("Half", (2, 2)), ("HalfOnTheDevice", (0, 0))])
def test_python_layers(
    name: str, cls: str, copies: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One without GPU code costs a copy of its bottom, its top and their gradients; one with it, nothing."""
    (tmp_path / "halves.py").write_text(PYTHON_LAYER)
    monkeypatch.chdir(tmp_path)
    half = f'type: "Python" bottom: "a" top: "b" python_param {{ module: "halves" layer: "{cls}" }}'
    text = f"""
        layer {{ name: "in" type: "Input" top: "x" top: "y" input_param {{ shape {{ dim: 2 dim: 3 }} }} }}
        layer {{ name: "a" type: "InnerProduct" bottom: "x" top: "a"
          inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }} }}
        layer {{ name: "half" {half} }}
        layer {{ name: "loss" type: "EuclideanLoss" bottom: "b" bottom: "y" top: "loss" }}
    """
    device = get_device(name)
    net = bicerin.Net(text, phase="TRAIN", device=device, seed=1)
    on_cpu = bicerin.Net(text, phase="TRAIN", seed=1)
    x = np.ones((2, 3))
    for made in (net, on_cpu):
        made.forward(x=x)
        made.backward()
    before = moved(device.transfers)
    net.run_forward()
    net.run_backward()
    after = moved(device.transfers)
    assert (after[0] - before[0], after[1] - before[1]) == copies
    np.testing.assert_allclose(net.blobs["a"].read_only.diff, on_cpu.blobs["a"].read_only.diff, rtol=1e-5)


def test_arrays_are_shared_without_a_copy(name: str) -> None:
    device = get_device(name)
    net = bicerin.Net(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }', device=device
    )
    blob = net.blobs["x"]
    blob.data[...] = 5
    array = blob.on(blob.device).data
    interface = array.__cuda_array_interface__
    assert interface["data"][0] == blob._gpu_data_ptr == array.data.ptr
    assert blob._gpu_diff_ptr == blob.on(blob.device).diff.data.ptr != blob._gpu_data_ptr
    assert interface["shape"] == (2, 3)
    if name == "emulated":
        np.from_dlpack(array)[...] = 7
    else:
        device.xp.from_dlpack(array)[...] = 7
    assert (blob.data == 7).all()


def test_reading_on_one_side_leaves_the_other_valid(name: str) -> None:
    device = get_device(name)
    blob = bicerin.Blob((2, 3), device=device)
    blob.data[...] = 1
    before = moved(device.transfers)
    for _ in range(3):
        _ = blob.on(blob.device, writes_data=False).data, blob.read_only.data
    assert moved(device.transfers) == (before[0], before[1] + 1)
    blob.on(blob.device).data.fill(2)
    for _ in range(3):
        assert (blob.read_only.data == 2).all()
        _ = blob.on(blob.device, writes_data=False).data
    assert moved(device.transfers) == (before[0] + 1, before[1] + 1)
    twin = bicerin.Blob((2, 3), device=device)
    twin.copy_from(blob)
    assert moved(device.transfers) == (before[0] + 1, before[1] + 1)
    assert (twin.data == 2).all()


def test_a_wrong_label_is_said_as_on_the_cpu(name: str) -> None:
    text = """
        layer { name: "in" type: "Input" top: "x" top: "label"
          input_param { shape { dim: 2 dim: 3 } shape { dim: 2 } } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "x" bottom: "label" top: "loss" }
    """
    net = bicerin.Net(text, phase="TRAIN", device=name)
    with pytest.raises(bicerin.errors.LayerError, match=r"label 3 at \(1,\) is out of range"):
        net.forward(label=np.array([0, 3]))


def test_no_layer_of_these_nets_falls_back(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for model in ("lenet", "googlenet", "lstm"):
            bicerin.Net(net_text(model), phase="TRAIN", device=name)
    assert "runs on the CPU" not in caplog.text
