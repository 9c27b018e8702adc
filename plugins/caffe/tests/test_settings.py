"""Mode, device, seed, solvers that train together, log, timer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import caffe
from bicerin.errors import DeviceError
from bicerin_caffe import settings


@pytest.fixture
def _on_the_device() -> None:
    """Here the mode itself is tested."""


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_settings", settings._Settings())
    settings._warn_of_missing_gpu.cache_clear()


def test_version() -> None:
    assert caffe.__version__ == caffe._caffe.__version__ == "1.0.0"


def test_layer_types_are_those_that_are_installed() -> None:
    types = caffe.layer_type_list()
    assert {"Data", "Convolution", "InnerProduct", "Python", "Split"} <= set(types) and len(types) > 50


def test_where_there_is_no_gpu_nets_stay_on_the_cpu(affine: Any, monkeypatch: Any, caplog: Any) -> None:
    def no_gpu(spec: str) -> None:
        raise DeviceError("no GPU here")

    monkeypatch.setattr(settings, "get_device", no_gpu)
    caffe.set_device(0)
    caffe.set_mode_gpu()
    assert [settings.device(), settings.device()] == ["cpu", "cpu"]
    assert [record.message for record in caplog.records if "a GPU was asked for" in record.message] == [
        "a GPU was asked for, but there is none: nets run on the CPU. no GPU here"
    ]


def test_the_device_is_the_one_that_was_set(monkeypatch: Any) -> None:
    monkeypatch.setattr(settings, "get_device", lambda spec: spec)
    assert settings.device() == "cpu"
    caffe.set_mode_gpu()
    assert settings.device() == "gpu:0"
    caffe.set_device(2)
    assert settings.device() == "gpu:2"
    caffe.set_mode_cpu()
    assert settings.device() == "cpu"


def test_the_seed_decides_what_fillers_draw(net_file: str) -> None:
    def weights() -> list[np.ndarray]:
        caffe.set_random_seed(7)
        return [caffe.Net(net_file, caffe.TRAIN).params["conv"][0].data for _ in range(2)]

    (first, second), (again, _) = weights(), weights()
    assert (first == again).all() and (first != second).any()


def test_the_seed_decides_what_a_solver_draws(solver_file: Any) -> None:
    def weights(more: str = "") -> np.ndarray:
        caffe.set_random_seed(7)
        return caffe.SGDSolver(solver_file(more)).net.params["conv"][0].data

    assert (weights() == weights()).all()
    assert (weights("random_seed: 3") != weights()).any()


DROPOUT = """
layer { type: "Input" name: "data" top: "data" input_param { shape { dim: 100 } } }
layer { type: "Dropout" name: "drop" bottom: "data" top: "drop" }
"""


def test_a_seed_starts_the_nets_there_are_anew(write: Any) -> None:
    net = caffe.Net(write("dropout.prototxt", DROPOUT), caffe.TRAIN)
    net.blobs["data"].data[...] = 1

    def dropped() -> np.ndarray:
        return net.forward()["drop"].copy()

    caffe.set_random_seed(1)
    first, second = dropped(), dropped()
    caffe.set_random_seed(1)
    assert (first == dropped()).all() and (first != second).any()


def test_solvers_that_train_together() -> None:
    assert (caffe.solver_count(), caffe.solver_rank()) == (1, 0)
    caffe.set_solver_count(4)
    caffe.set_solver_rank(2)
    caffe.set_multiprocess(True)
    assert (caffe.solver_count(), caffe.solver_rank()) == (4, 2)


SHARED = """
layer { type: "HDF5Data" name: "data" top: "data" hdf5_data_param { source: "%s" batch_size: 2 } }
layer { type: "InnerProduct" name: "ip" bottom: "data" top: "ip" inner_product_param { num_output: 1 } }
layer { type: "Reduction" name: "loss" bottom: "ip" top: "loss" loss_weight: 1 }
"""


def test_solvers_that_train_together_share_the_records_and_may_add_up_their_gradients(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As processes do with a library of their own: here they run in turns, and the rest is a callback."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("rows.h5", "w") as file:
        file["data"] = np.arange(8.0).reshape(8, 1)
    net = write("net.prototxt", SHARED % write("list.txt", "rows.h5"))
    common = f'net: "{net}" base_lr: 1 lr_policy: "fixed" snapshot_prefix: "run" max_iter: 1'
    solver_file = write("solver.prototxt", f"{common} test_iter: 1 test_interval: 1 test_initialization: false")
    caffe.set_solver_count(2)
    solvers = []
    for rank in (0, 1):
        caffe.set_solver_rank(rank)
        solvers.append(caffe.SGDSolver(solver_file))
    sums = [np.zeros(()), np.zeros(())]

    def average(rank: int) -> None:
        (gradient, _) = solvers[rank].net.params["ip"]
        sums[rank] = gradient.diff.copy()
        if rank:
            gradient.diff[...] = sum(sums) / 2

    for rank, solver in enumerate(solvers):
        solver.add_callback(lambda: None, lambda rank=rank: average(rank))
        solver.solve()
    assert [solver.net.blobs["data"].data.ravel().tolist() for solver in solvers] == [[0, 2], [1, 3]]
    assert solvers[1].net.params["ip"][0].data.item() == -(0 + 2 + 1 + 3) / 2
    assert [len(solver.test_nets) for solver in solvers] == [1, 0]
    assert sorted(path.name for path in tmp_path.glob("run*")) == ["run_iter_1.caffemodel", "run_iter_1.solverstate"]


def test_timer() -> None:
    timer = caffe.Timer()
    timer.start()
    time.sleep(0.02)
    timer.stop()
    assert 20 <= timer.ms < 2000 and timer.ms == timer.ms


GLOG = r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \S+\.py:\d+\] hello$"


def said(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ | environment
    )
    return done.stderr


def test_log_lines_are_glogs() -> None:
    assert re.match(GLOG, said("import caffe; caffe.log('hello')"))


def test_the_environment_or_init_log_silence_the_log() -> None:
    assert said("import caffe; caffe.log('hello')", GLOG_minloglevel="1") == ""
    assert said("import caffe; caffe.init_log(2); caffe.log('hello')") == ""
    assert re.match(GLOG, said("import caffe; caffe.init_log(); caffe.log('hello')"))
    assert re.match(GLOG, said("import caffe; caffe.init_log(0, True); caffe.log('hello')"))


def test_a_program_that_logs_itself_is_left_alone() -> None:
    program = "import logging; logging.basicConfig(level=20, format='%(message)s'); import caffe; caffe.log('hello')"
    assert said(program) == "hello\n"
