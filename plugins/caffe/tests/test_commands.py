"""`caffe` and the small tools, as shell files call them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import h5py
import lmdb
import numpy as np
import pytest

import caffe
from bicerin_caffe.command.flags import FlagError, parse
from caffe.proto import caffe_pb2

SCRIPTS = Path(sys.executable).parent
PREFIX = r"^[IWE]\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \S+:\d+\] "

# Flags


@pytest.mark.parametrize(
    ("line", "values", "rest"),
    [
        ("train -solver a.prototxt", {"solver": "a.prototxt"}, ["train"]),
        ("train --solver=a.prototxt", {"solver": "a.prototxt"}, ["train"]),
        ("--solver a.prototxt train", {"solver": "a.prototxt"}, ["train"]),
        ("-solver=a=b", {"solver": "a=b"}, []),
        ("-number -3", {"number": -3}, []),
        ("-gray x y", {"gray": True}, ["x", "y"]),
        ("-nogray", {"gray": False}, []),
        ("--gray=false --gray=t", {"gray": True}, []),
        ("-gray -- -gray", {"gray": True}, ["-gray"]),
        ("-resize-width=3", {"resize_width": 3}, []),
        ("-", {}, ["-"]),
    ],
)
def test_flags_are_read_as_gflags_does(line: str, values: dict, rest: list[str]) -> None:
    defaults: dict[str, Any] = {"solver": "", "number": 1, "gray": False, "resize_width": 0}
    assert parse(line.split(), defaults) == ({**defaults, **values}, rest)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-slover x", "unknown command line flag 'slover'. Did you mean '-solver'"),
        ("-solver", "missing its argument"),
        ("-number x", "illegal value 'x' specified for int flag 'number'"),
        ("-number 2147483648", "illegal value '2147483648' specified for int flag 'number'"),
        ("-gray=perhaps", "illegal value 'perhaps' specified for bool flag"),
    ],
)
def test_flags_that_are_wrong(line: str, words: str) -> None:
    with pytest.raises(FlagError, match=re.escape(words)):
        parse(line.split(), {"solver": "", "number": 1, "gray": False})


# Programs


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess]:
    """Run a script of this distribution in a folder of its own."""

    def done(script: str, *arguments: Any, status: int = 0, **environment: str) -> subprocess.CompletedProcess:
        result = subprocess.run(
            [SCRIPTS / script, *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | environment,
        )
        assert result.returncode == status, result.stdout + result.stderr
        return result

    return done


def lines(result: subprocess.CompletedProcess) -> list[str]:
    """The log lines without their prefix; every line has one."""
    found = result.stderr.splitlines()
    assert all(re.match(PREFIX, line) for line in found), result.stderr
    return [re.sub(PREFIX, "", line) for line in found]


def test_usage_and_mistakes(run: Any) -> None:
    assert "commands:" in run("caffe").stdout
    assert "-solver" in run("caffe", "-help").stdout
    assert run("caffe", "--version").stdout == "caffe version 1.0.0\n"
    assert "Unknown action: trian" in run("caffe", "trian", status=1).stderr
    assert "Need a solver definition to train" in run("caffe", "train", status=1).stderr
    assert "Need a model definition to time" in run("caffe", "time", status=1).stderr
    assert 'phase must be "TRAIN" or "TEST"' in run("caffe", "time", "-model", "x", "-phase", "x", status=1).stderr
    assert "Need model weights to score" in run("caffe", "test", "-model", "x", status=1).stderr
    assert "missing.prototxt" in run("caffe", "train", "-solver", "missing.prototxt", status=1).stderr
    both = run("caffe", "train", "-solver", "x", "-snapshot", "a", "-weights", "b", status=1)
    assert "but not both" in both.stderr
    assert "Invalid signal effect" in run("caffe", "train", "-solver", "x", "-sigint_effect", "no", status=1).stderr
    assert "GPU" in run("caffe", "device_query", "-gpu", "99", status=1).stderr


def test_train_says_what_log_parsers_look_for(run: Any, solver_file: Any) -> None:
    path = solver_file("random_seed: 1")
    Path(path).write_text(Path(path).read_text().replace("display: 100 max_iter: 100", "display: 5 max_iter: 12"))
    done = run("caffe", "train", "--solver", path)
    assert done.stdout == ""
    said = lines(done)
    number = r"[-+]?[\d.]+(e[-+]?\d+)?"
    for pattern in (
        r"Use CPU\.$",
        r"Starting Optimization$",
        r"Solving simple$",
        r"Learning Rate Policy: inv$",
        rf"Iteration 0 \({number} iter/s, {number}s/5 iters\), loss = {number}$",
        rf"Iteration 5 \({number} iter/s, {number}s/5 iters\), loss = {number}$",
        rf"    Train net output #0: loss = {number} \(\* 1 = {number} loss\)$",
        rf"Iteration 5, lr = {number}$",
        r"Iteration 10, Testing net \(#0\)$",
        rf"    Test net output #0: loss = {number} \(\* 1 = {number} loss\)$",
        r"Optimization Done\.$",
    ):
        assert any(re.match(pattern, line) for line in said), (pattern, said)


def test_several_gpus_make_the_updates_that_as_many_batches_make(run: Any, solver_file: Any) -> None:
    path = solver_file("iter_size: 2")
    Path(path).write_text(Path(path).read_text().replace("max_iter: 100", "max_iter: 1"))
    said = lines(run("caffe", "train", "-solver", path, "-gpu", "0,1,2"))
    assert any("one device does the work of 3: iter_size is 6, not 2" in line for line in said)


def test_train_stops_snapshots_and_goes_on(run: Any, solver_file: Any, tmp_path: Path) -> None:
    path = solver_file("snapshot: 4")
    Path(path).write_text(Path(path).read_text().replace("max_iter: 100", "max_iter: 8"))
    run("caffe", "train", "-solver", path)
    assert (tmp_path / "model_iter_8.caffemodel").exists()
    said = lines(run("caffe", "train", "-solver", path, "-snapshot", "model_iter_4.solverstate"))
    assert "Resuming from model_iter_4.solverstate" in said
    said = lines(run("caffe", "train", "-solver", path, "-weights", "model_iter_4.caffemodel,model_iter_8.caffemodel"))
    assert [line for line in said if line.startswith("Finetuning from")] == [
        "Finetuning from model_iter_4.caffemodel",
        "Finetuning from model_iter_8.caffemodel",
    ]


@pytest.mark.parametrize(("effect", "snapshots"), [("stop", False), ("snapshot", True)])
def test_a_signal_has_its_effect(effect: str, snapshots: bool, solver_file: Any, tmp_path: Path) -> None:
    path = solver_file()
    Path(path).write_text(
        Path(path)
        .read_text()
        .replace("display: 100 max_iter: 100", "display: 1 max_iter: 1000000")
        .replace("test_iter: 10 test_interval: 10", "")
    )
    command = [SCRIPTS / "caffe", "train", "-solver", path, "-sighup_effect", effect, "-sigint_effect", "stop"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Iteration 3" in line:
                process.send_signal(signal.SIGHUP)
                break
        if effect == "snapshot":
            for line in process.stderr:
                if "Snapshotting solver state" in line:
                    break
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 0 and "Optimization stopped early." in rest
    assert bool(list(tmp_path.glob("model_iter_*.solverstate"))) == snapshots


def test_level_and_stage_choose_layers(run: Any, write: Any) -> None:
    net = write(
        "net.prototxt",
        """
        layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 2 } } }
        layer { name: "a" type: "Power" bottom: "data" top: "a" include { stage: "A" } }
        layer { name: "b" type: "Power" bottom: "data" top: "b" include { stage: "B" min_level: 2 } }
        """,
    )
    for flags, names in (
        (["-stage", "A"], ["data", "a"]),
        (["-stage", "A,B", "-level", "2"], ["data", "a", "b"]),
        (["-phase", "TEST"], ["data"]),
    ):
        said = lines(run("caffe", "time", "-model", net, "-iterations", "1", *flags))
        timed = [line.split("\t")[0].strip() for line in said if "\tforward: " in line]
        assert [name for name in timed if "split" not in name] == names


def test_test_says_each_batch_and_the_means(run: Any, net: Any, net_file: str, tmp_path: Path) -> None:
    net.save(str(tmp_path / "weights"))
    said = lines(run("caffe", "test", "--model", net_file, "--weights", "weights", "-iterations=2", "-gpu", "0"))
    if not any("GPU with device" in line for line in said):
        assert any("a GPU was asked for, but there is none" in line for line in said)
    assert "Running for 2 iterations." in said
    for pattern in (
        r"Batch 0, loss = [\d.]+$",
        r"Batch 1, loss = [\d.]+$",
        r"Loss: [\d.]+$",
        r"loss = [\d.]+ \(\* 1 = [\d.]+ loss\)$",
    ):
        assert any(re.match(pattern, line) for line in said), (pattern, said)


def test_time_says_the_average_of_every_layer(run: Any, net_file: str) -> None:
    said = lines(run("caffe", "time", "-model", net_file, "-iterations", "2"))
    assert any(re.match(r" *conv\tforward: [\d.e-]+ ms\.$", line) for line in said)
    assert any(re.match(r" *conv\tbackward: [\d.e-]+ ms\.$", line) for line in said)
    assert "Performing Forward" in said and "Performing Backward" in said
    assert any(re.match(r"Initial loss: [\d.]+$", line) for line in said)
    assert any(re.match(r"Iteration: 2 forward-backward time: [\d.e-]+ ms\.$", line) for line in said)
    for words in ("Average Forward pass: ", "Average Backward pass: ", "Average Forward-Backward: ", "Total Time: "):
        assert any(re.match(rf"{words}[\d.e-]+ ms\.$", line) for line in said)


def test_the_log_goes_to_a_folder_too(run: Any, net_file: str, tmp_path: Path) -> None:
    for name, arguments, environment in (
        ("one", ["-log_dir", tmp_path / "one"], {}),
        ("two", [], {"GLOG_log_dir": str(tmp_path / "two")}),
    ):
        (tmp_path / name).mkdir()
        done = run("caffe", "time", "-model", net_file, "-iterations", "1", *arguments, **environment)
        assert (tmp_path / name / "caffe.INFO").read_text() == done.stderr
    assert run("caffe", "time", "-model", net_file, "-iterations", "1", "-minloglevel", "1").stderr == ""


# Tools


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Four pictures, one of each value 10, 20, 30, 40, and the list of them."""
    (tmp_path / "pictures").mkdir()
    for index in range(4):
        cv2.imwrite(str(tmp_path / "pictures" / f"{index}.png"), np.full((6, 8, 3), 10 * (index + 1), np.uint8))
    (tmp_path / "list.txt").write_text("".join(f"{index}.png {index}\n" for index in range(4)))
    return "pictures/"


def records(path: Path) -> list[Any]:
    with lmdb.open(str(path), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return [caffe_pb2.Datum.FromString(value) for _, value in transaction.cursor()]


def test_convert_imageset_and_compute_image_mean(run: Any, pictures: str, tmp_path: Path) -> None:
    run("convert_imageset", "--resize_height=3", "--resize_width", "4", "-gray", pictures, "list.txt", "store")
    found = records(tmp_path / "store")
    assert [(datum.channels, datum.height, datum.width, datum.label) for datum in found] == [
        (1, 3, 4, label) for label in range(4)
    ]
    said = lines(run("compute_image_mean", "-backend=lmdb", "store", "mean.binaryproto"))
    assert said[-2:] == ["Number of channels: 1", "mean_value channel [0]: 25"]
    mean = caffe.io.blobproto_to_array(caffe_pb2.BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes()))
    assert mean.shape == (1, 1, 3, 4) and (mean == 25).all()


def test_convert_imageset_shuffles_and_encodes(run: Any, pictures: str, tmp_path: Path) -> None:
    run("convert_imageset", pictures, "list.txt", "store", "-shuffle", "-encoded", "-encode_type", "png", "-check_size")
    assert sorted(datum.label for datum in records(tmp_path / "store")) == [0, 1, 2, 3]
    assert all(datum.encoded for datum in records(tmp_path / "store"))


def test_convert_imageset_leaves_out_what_it_cannot_read(run: Any, pictures: str, tmp_path: Path) -> None:
    with (tmp_path / "list.txt").open("a") as file:
        file.write("missing.png 4\n0.png 5\n")
    done = run("convert_imageset", pictures, "list.txt", "store", "-resize_width=3")
    assert "missing.png" in done.stderr
    found = records(tmp_path / "store")
    assert [datum.label for datum in found] == [0, 1, 2, 3, 5]
    assert found[0].width == 8  # one size alone does nothing


def test_extract_features(run: Any, pictures: str, write: Any, tmp_path: Path, monkeypatch: Any) -> None:
    run("convert_imageset", pictures, "list.txt", "store")
    net = write(
        "features.prototxt",
        """
        layer { name: "data" type: "Data" top: "data" data_param { source: "store" backend: LMDB batch_size: 2 } }
        layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
          pooling_param { pool: AVE global_pooling: true } }
        layer { name: "ip" type: "InnerProduct" bottom: "pool" top: "ip" inner_product_param { num_output: 1 } }
        """,
    )
    monkeypatch.chdir(tmp_path)
    caffe.Net(net, caffe.TEST).save("weights")
    run("extract_features", "weights", net, "pool,ip", "pool_store,ip_store", "2", "lmdb", "CPU", "DEVICE_ID=0")
    assert [datum.float_data[0] for datum in records(tmp_path / "pool_store")] == pytest.approx([10, 20, 30, 40])
    run("extract_features", "weights", net, "pool", "pool.h5", "1", "hdf5")
    with h5py.File(tmp_path / "pool.h5") as file:
        assert file["pool"].shape == (2, 3, 1, 1)


V1 = 'layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" inner_product_param { num_output: 2 } }'


def test_upgrade_net_and_solver(run: Any, write: Any, tmp_path: Path) -> None:
    write("old.prototxt", f'input: "data" input_dim: 1 input_dim: 3 input_dim: 1 input_dim: 1 {V1}')
    said = lines(run("upgrade_net_proto_text", "old.prototxt", "new.prototxt"))
    assert said[-1] == "Wrote upgraded NetParameter text proto to new.prototxt"
    assert 'type: "InnerProduct"' in (tmp_path / "new.prototxt").read_text()
    run("upgrade_net_proto_binary", "old.prototxt", "new.binary")
    assert caffe_pb2.NetParameter.FromString((tmp_path / "new.binary").read_bytes()).layer[-1].type == "InnerProduct"
    write("old_solver.prototxt", 'net: "x" solver_type: ADAM')
    run("upgrade_solver_proto_text", "old_solver.prototxt", "new_solver.prototxt")
    assert 'type: "Adam"' in (tmp_path / "new_solver.prototxt").read_text()


@pytest.mark.parametrize(
    "script",
    [
        "convert_imageset", "compute_image_mean", "extract_features", "upgrade_net_proto_text",
        "upgrade_net_proto_binary", "upgrade_solver_proto_text",
    ],
)  # fmt: skip
def test_a_tool_without_arguments_says_how_it_is_used(script: str, run: Any) -> None:
    assert run(script, status=1).stderr.startswith(f"Usage: {script} ")
    assert "unknown command line flag 'nope'" in run(script, "-nope", status=1).stderr
