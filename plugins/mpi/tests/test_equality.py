"""N ranks with a batch of B learn what one process learns with a batch of N x B; and again the same, bit for bit."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest

import bicerin
import bicerin_proto

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = Path(__file__).with_name("train_each_type.py")
BATCH = 4
#: The solver types of Caffe, with what they want besides the common fields.
TYPES = {
    "SGD": "momentum: 0.9",
    "Nesterov": "momentum: 0.9",
    "AdaGrad": "",
    "RMSProp": "rms_decay: 0.9",
    "AdaDelta": "momentum: 0.9 delta: 1e-6",
    "Adam": "momentum: 0.9 momentum2: 0.99",
}
#: The weights "w" are used twice; the first use's backward pass, the later one, completes their gradient.
NET = """
layer {{
  name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "records" backend: LMDB batch_size: {batch} }} transform_param {{ scale: 0.01 }}
}}
layer {{
  name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param {{ num_output: 4 kernel_size: 3 weight_filler {{ type: "xavier" }} }}
}}
layer {{
  name: "one" type: "InnerProduct" bottom: "conv" top: "one" param {{ name: "w" }} param {{ lr_mult: 2 decay_mult: 0 }}
  inner_product_param {{ num_output: 16 weight_filler {{ type: "gaussian" std: 0.2 }} }}
}}
layer {{ name: "tanh" type: "TanH" bottom: "one" top: "one" }}
layer {{
  name: "two" type: "InnerProduct" bottom: "one" top: "two" param {{ name: "w" }}
  inner_product_param {{ num_output: 16 weight_filler {{ type: "gaussian" std: 0.2 }} }}
}}
layer {{
  name: "score" type: "InnerProduct" bottom: "two" top: "score"
  inner_product_param {{ num_output: 3 weight_filler {{ type: "xavier" }} }}
}}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "{net}" type: "{type}" {more} base_lr: 0.05 lr_policy: "inv" gamma: 0.1 power: 0.7 weight_decay: 0.02
clip_gradients: 0.3 iter_size: 2 random_seed: 3 max_iter: 6 average_loss: 1 snapshot_after_train: false
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records, and nothing else."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    with lmdb.open("records", map_size=1 << 20) as store, store.begin(write=True) as transaction:
        for number in range(37):
            image = random.integers(0, 256, (1, 4, 4), np.uint8)
            datum = bicerin_proto.Datum(channels=1, height=4, width=4, data=image.tobytes(), label=number % 3)
            transaction.put(b"%08d" % number, datum.SerializeToString())
    return tmp_path


def write_files(batch: int) -> None:
    Path("net.prototxt").write_text(NET.format(batch=batch))
    for name, more in TYPES.items():
        Path(f"{name}.prototxt").write_text(SOLVER.format(net="net.prototxt", type=name, more=more))


def of_one_process(batch: int) -> dict[str, np.ndarray]:
    write_files(batch)
    weights = {}
    for name in TYPES:
        solver = bicerin.Solver(f"{name}.prototxt", dtype=np.float64)
        solver.step(6)
        for blob in solver.net.learnable_params:
            weights[f"{name} {blob.name}"] = blob.data.copy()
        weights[f"{name} loss"] = np.array(solver.loss)
    return weights


def of_ranks(run: Run, ranks: int, output: str, gradients: str = "float32") -> list[dict[str, np.ndarray]]:
    done = run(ranks, PROGRAM, output, gradients, *TYPES)
    assert done.returncode == 0, done.stderr
    return [dict(np.load(f"{output}{rank}.npz")) for rank in range(ranks)]


@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_ranks_learn_what_one_process_learns(ranks: int, run: Run, folder: Path) -> None:
    expected = of_one_process(ranks * BATCH)
    write_files(BATCH)
    found = of_ranks(run, ranks, "first")
    assert found[0].keys() == expected.keys() and len(expected) == 6 * 8
    for name, value in expected.items():
        np.testing.assert_allclose(found[0][name], value, rtol=1e-7, atol=1e-9, err_msg=name)
        assert all(np.array_equal(other[name], found[0][name]) for other in found), f"{name} differs between ranks"
    again = of_ranks(run, ranks, "again")
    for name, value in found[0].items():
        assert np.array_equal(again[0][name], value), f"{name} is another one in the second run"


def test_gradients_in_half_precision_learn_nearly_the_same(run: Run, folder: Path) -> None:
    write_files(BATCH)
    exact = of_ranks(run, 2, "exact")[0]
    first, second = of_ranks(run, 2, "half", "float16")
    for name, value in exact.items():
        if not name.startswith(("AdaDelta", "Adam", "RMSProp")):  # their updates do not shrink with the gradient
            np.testing.assert_allclose(first[name], value, rtol=1e-2, atol=2e-3, err_msg=name)
        assert np.array_equal(first[name], second[name]), f"{name} differs between ranks"
    assert not np.array_equal(first["SGD score[0]"], exact["SGD score[0]"])
