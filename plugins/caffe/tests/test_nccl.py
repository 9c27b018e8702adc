"""`caffe.NCCL`: a process for each solver, as in Caffe's own `python/train.py`."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffe
from bicerin.cli.train import train
from bicerin.parallel import Communicator
from bicerin.testing import check_communicator
from bicerin_caffe.command import brew
from bicerin_caffe.local_ranks import LocalRanks
from bicerin_data.datum import array_datum
from bicerin_data.stores import create_store

NET = """
layer { name: "data" type: "Data" top: "data" top: "label" data_param { source: "store" backend: LMDB batch_size: %d } }
layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 3
  weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "ip" top: "ip" }
layer { name: "last" type: "InnerProduct" bottom: "ip" top: "last" inner_product_param { num_output: 2
  weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "last" bottom: "label" top: "loss" }
"""
SOLVER = """net: "%s" base_lr: 0.001 lr_policy: "fixed" momentum: 0.9 weight_decay: 0.01 clip_gradients: 30 iter_size: 2
max_iter: 4 random_seed: 3 snapshot_prefix: "%s" """


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(2)
    with create_store(tmp_path / "store", "lmdb") as store:
        for number in range(24):
            datum = array_datum(random.integers(0, 9, (1, 2, 3), np.uint8))
            datum.label = int(random.integers(2))
            store.put(f"{number:03d}".encode(), datum.SerializeToString())
    for batch, name in ((2, "two"), (4, "one")):
        (tmp_path / f"{name}.prototxt").write_text(NET % batch)
        (tmp_path / f"{name}_solver.prototxt").write_text(SOLVER % (f"{name}.prototxt", name))
    return tmp_path


def solve(proto: str, count: int, uid: str, rank: int, ends: int = -1) -> None:
    """The steps of Caffe's script, in the process of one rank."""
    caffe.set_mode_cpu()
    caffe.set_solver_count(count)
    caffe.set_solver_rank(rank)
    caffe.set_multiprocess(True)
    solver = caffe.SGDSolver(proto)
    if rank:
        solver.net.params["ip"][0].data[...] = 5  # bcast gives it rank 0's
    nccl = caffe.NCCL(solver, uid)
    nccl.bcast()
    solver.add_callback(nccl)
    if solver.param.layer_wise_reduce:
        solver.net.after_backward(nccl)
    if rank == ends:
        os._exit(3)
    solver.step(solver.param.max_iter)
    np.savez(f"rank{rank}.npz", *[blob.data for blobs in solver.net.params.values() for blob in blobs])


def processes(target: Any, count: int, *arguments: Any) -> list[int]:
    """Run it in so many processes, each given the uid and its rank; their exit codes."""
    uid = caffe.NCCL.new_uid()
    context = multiprocessing.get_context("spawn")
    started = [
        context.Process(target=target, args=(*arguments[:2], uid, rank, *arguments[2:]), daemon=True)
        for rank in range(count)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(100)
    return [process.exitcode if process.exitcode is not None else -1 for process in started]


def test_two_solvers_learn_what_one_learns_from_both_batches(folder: Path) -> None:
    assert caffe.has_nccl()
    assert processes(solve, 2, "two_solver.prototxt", 2) == [0, 0]
    solver = caffe.SGDSolver("one_solver.prototxt")
    solver.step(4)
    expected = [blob.data for blobs in solver.net.params.values() for blob in blobs]
    with np.load(folder / "rank0.npz") as first, np.load(folder / "rank1.npz") as second:
        for name, weights in zip(first, expected, strict=True):
            assert np.array_equal(first[name], second[name])
            np.testing.assert_allclose(first[name], weights, rtol=1e-4, atol=1e-6)


def test_the_others_notice_one_that_ends(folder: Path) -> None:
    first, second = processes(solve, 2, "two_solver.prototxt", 2, 1)
    assert first not in (0, -1) and second == 3


def check(first: Any, count: int, uid: str, rank: int) -> None:
    communicator: Communicator = LocalRanks(uid, rank, count)
    check_communicator(communicator)
    communicator.close()


def test_its_communicator_keeps_to_the_contract() -> None:
    assert processes(check, 3, None, 3) == [0, 0, 0]


def test_what_is_no_uid_is_refused(folder: Path) -> None:
    with pytest.raises(RuntimeError, match=r"not one of NCCL\.new_uid"):
        caffe.NCCL(caffe.SGDSolver("one_solver.prototxt"), b"")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="two functions, or an NCCL"):
        caffe.SGDSolver("one_solver.prototxt").add_callback(lambda: None)


def test_several_gpus_are_launched(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are all there; what is launched is a command that `bicerin launch` takes."""
    launched: list[Any] = []

    class LaunchedError(Exception):
        pass

    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        launched.extend([command, environment["CUDA_VISIBLE_DEVICES"]])
        raise LaunchedError

    monkeypatch.setattr(brew, "get_device", lambda name: name)
    monkeypatch.setattr(brew.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(brew.os, "execve", become)
    flags = {**brew._FLAGS, "solver": "two_solver.prototxt", "gpu": "2,5", "weights": "a,b", "stage": "x"}
    with pytest.raises(LaunchedError):
        brew._train(flags)
    command, devices = launched
    assert devices == "2,5" and command[3:7] == ["launch", "-n", "2", "train"]
    given = train.make_context("train", list(command[7:])).params
    assert given["solver"] == "two_solver.prototxt" and given["device"] == "gpu" and given["stages"] == ("x",)
    assert given["weights"] == ("a", "b") and given["sigint_effect"] == "stop" and given["test_on_root"]
