"""`bicerin test` and `bicerin extract-features` by several ranks: what they find is what one process finds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import lmdb
import numpy as np
import pytest
from click.testing import CliRunner, Result
from mpi_runs import PATIENCE, errors

import bicerin
from bicerin.cli.command_line import command_line
from bicerin_data.datum import array_datum
from bicerin_data.stores import create_store

BICERIN = Path(sys.executable).with_name("bicerin")
Run = Callable[..., subprocess.CompletedProcess[str]]
Alone = Callable[..., Result]
RECORDS, BATCH, RANGES = 10_011, 97, 11
NET = f"""
layer {{ name: "data" type: "Data" top: "data" top: "label"
  data_param {{ source: "records" backend: LMDB batch_size: {BATCH} }} transform_param {{ scale: 0.01 }} }}
layer {{ name: "slow" type: "Python" bottom: "data" top: "same" python_param {{ module: "slow" layer: "Slow" }} }}
layer {{ name: "ip" type: "InnerProduct" bottom: "same" top: "ip" inner_product_param {{ num_output: 3
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }}
layer {{ name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }}
"""


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An LMDB, which is only read."""
    path = tmp_path_factory.mktemp("extraction") / "records"
    random = np.random.default_rng(3)
    with create_store(path, "lmdb") as store:
        for number in range(RECORDS):
            datum = array_datum(random.integers(0, 256, (2, 3, 3), np.uint8))
            datum.label = int(random.integers(3))
            store.put(f"{number * 7:06d}/picture".encode(), datum.SerializeToString())
    return path


@pytest.fixture(autouse=True)
def folder(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "records").symlink_to(records)
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    bicerin.Net(tmp_path / "net.prototxt", "TEST").save(tmp_path / "w.caffemodel")
    return tmp_path


@pytest.fixture
def alone(folder: Path) -> Alone:
    def alone(*arguments: object) -> Result:
        """In this process."""
        done = CliRunner().invoke(command_line, [*map(str, arguments)], catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return done

    return alone


def content(path: Path) -> dict[bytes, bytes]:
    """The keys and values of an LMDB, in their order."""
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return dict(transaction.cursor())


def test_features_of_three_ranks_are_those_of_one(run: Run, alone: Alone, folder: Path) -> None:
    features = ("extract-features", "w.caffemodel", "net.prototxt", "ip,label")
    alone(*features, "one_ip,one_label.h5")
    done = run(3, *features, "three_ip,three_label.h5", "--parallel", "mpi")
    assert done.stdout == f"three_ip: {RECORDS} rows of ip\nthree_label.h5: {RECORDS} rows of label\n", done.stderr
    found = content(folder / "three_ip")
    assert found == content(folder / "one_ip")
    assert list(found) == [f"{number * 7:06d}/picture".encode() for number in range(RECORDS)]
    with h5py.File(folder / "one_label.h5") as one, h5py.File(folder / "three_label.h5") as three:
        assert np.array_equal(one["label"], three["label"]) and np.array_equal(one["keys"], three["keys"])
        assert three["keys"][()].tolist() == list(found)
    assert not list(folder.glob("*.parts"))


def test_numbered_rows_go_round_the_records(run: Run, alone: Alone, folder: Path) -> None:
    """As Caffe's tool does, which reads as many batches as it is told, more than once through where need be."""
    batches = RECORDS // BATCH + 30
    features = ("extract-features", "w.caffemodel", "net.prototxt", "ip")
    alone(*features, "one", batches)
    assert run(2, *features, "two", batches, "--parallel", "mpi").returncode == 0
    found = content(folder / "two")
    assert found == content(folder / "one") and len(found) == batches * BATCH


def test_features_go_to_parquet(run: Run, folder: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="it comes with bicerin-data[parquet]")
    features = ("extract-features", "w.caffemodel", "net.prototxt", "ip,ip", "ip.parquet,ip.h5")
    done = run(3, *features, "--parallel", "mpi")
    assert done.returncode == 0, done.stderr
    table = parquet.read_table(folder / "ip.parquet")
    with h5py.File(folder / "ip.h5") as file:
        assert table["key"].to_pylist() == file["keys"][()].tolist()
        assert np.array_equal(np.array(table["ip"].to_pylist(), np.float32), file["ip"])


def test_killed_and_restarted(
    run: Run,
    command: Callable[..., list[str]],
    alone: Alone,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    features = ("extract-features", "w.caffemodel", "net.prototxt", "ip")
    alone(*features, "one.h5")
    parallel = (*features, "three.h5", "--parallel", "mpi")
    process = subprocess.Popen(
        command(3, *parallel), cwd=folder, env={**os.environ, "SLOW": "0.3"}, start_new_session=True
    )
    parts, until = folder / "three.h5.parts", time.monotonic() + PATIENCE
    while not list(parts.glob("*.npy")) and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    there = len(list(parts.glob("*.npy")))
    assert 0 < there < RANGES and not (folder / "three.h5").exists()

    # Another extraction does not go on with what lies there.
    other = run(2, *parallel, "--number-rows")
    assert other.returncode != 0
    assert "three.h5.parts holds the parts of another extraction: whether keys are kept was True there" in other.stderr

    # As one that was killed later, while it wrote the output, leaves it; no system numbers its processes so high.
    leftover = folder / f".three.h5.{2**22 + 1}.0123abcd.tmp"
    leftover.touch()
    done = run(2, *parallel)
    assert done.returncode == 0 and f"{there} of {RANGES} ranges are there already" in done.stderr, done.stderr
    with h5py.File(folder / "one.h5") as one, h5py.File(folder / "three.h5") as three:
        assert np.array_equal(one["ip"], three["ip"]) and np.array_equal(one["keys"], three["keys"])
    assert not parts.exists() and not leftover.exists()


def test_what_cannot_be_divided_is_refused(run: Run, folder: Path) -> None:
    (folder / "net.prototxt").write_text("""
        layer { name: "data" type: "DummyData" top: "data" dummy_data_param {
          shape { dim: 2 dim: 3 } data_filler { type: "gaussian" } } }""")
    done = run(2, "extract-features", "w.caffemodel", "net.prototxt", "data", "f", 3, "--parallel", "mpi")
    assert done.returncode != 0 and len(errors(done)) == 1, done.stderr
    assert 'layer "data" (DummyData) cannot begin at a given record' in done.stderr


def test_a_test_by_ranks_is_that_of_one(run: Run, alone: Alone) -> None:
    arguments = ("test", "net.prototxt", "--weights", "w.caffemodel", "--iterations", 11, "--json")
    expected: dict[str, Any] = json.loads(alone(*arguments).stdout)
    done = run(3, *arguments, "--parallel", "mpi")
    found = json.loads(done.stdout)
    assert found.pop("loss") == pytest.approx(expected.pop("loss"), rel=1e-12), done.stderr
    assert found["outputs"].pop("accuracy") == pytest.approx(expected["outputs"].pop("accuracy"), rel=1e-12)
    assert found["outputs"].pop("loss") == pytest.approx(expected["outputs"].pop("loss"), rel=1e-12)
    assert found == expected


def test_ranks_that_test_something_else_are_named(run: Run, folder: Path) -> None:
    arguments = ("test", "net.prototxt", "--parallel", "mpi", "--weights", "w.caffemodel")
    bicerin.Net(folder / "net.prototxt", "TEST", seed=1).save(folder / "other.caffemodel")
    done = run(1, *arguments, ":", "-n", 1, BICERIN, *arguments, "--weights", "other.caffemodel")
    assert done.returncode != 0 and "rank 1 does not test what rank 0 tests: the weights ip[0]: " in done.stderr


def test_a_test_needs_weights(run: Run) -> None:
    done = run(2, "test", "net.prototxt", "--parallel", "mpi")
    assert done.returncode != 0 and "Give --weights" in done.stderr
