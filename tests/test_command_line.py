"""The command line with layers: training and going on, tests, times, drawings, and bad input."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lmdb
import numpy as np
import pytest
from click.testing import CliRunner, Result

import bicerin_proto
from bicerin.cli.command_line import command_line
from bicerin.cli.summary import Summary
from bicerin.kernels import COMPILED

PROGRAM = [sys.executable, "-c", "from bicerin.cli import main; main()"]

#: Random data, dropout and shuffling of nothing: what a resumed run must draw again in the same way.
NET = """
name: "Small"
layer {
  name: "data" type: "DummyData" top: "x" top: "y"
  dummy_data_param {
    shape { dim: 8 dim: 6 } shape { dim: 8 dim: 2 }
    data_filler { type: "gaussian" } data_filler { type: "uniform" }
  }
}
layer {
  name: "hidden" type: "InnerProduct" bottom: "x" top: "hidden"
  inner_product_param { num_output: 5 weight_filler { type: "xavier" } }
}
layer { name: "drop" type: "Dropout" bottom: "hidden" top: "hidden" }
layer {
  name: "out" type: "InnerProduct" bottom: "hidden" top: "out"
  inner_product_param { num_output: 2 weight_filler { type: "xavier" } }
}
layer { name: "loss" type: "EuclideanLoss" bottom: "out" bottom: "y" top: "loss" loss_weight: 2 }
"""
SOLVER = """
net: "net.prototxt" test_iter: 3 test_interval: 4
base_lr: 0.02 lr_policy: "step" gamma: 0.5 stepsize: 5 momentum: 0.9 weight_decay: 0.01
max_iter: 10 display: 2 average_loss: 3 snapshot_prefix: "small" random_seed: 7
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command_line, list(map(str, arguments)))


def run_process(*arguments: object, **keywords: Any) -> subprocess.Popen[str]:
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], stderr=subprocess.PIPE, text=True, **keywords)


def events(file: str, kind: str) -> list[dict[str, Any]]:
    return [event for event in map(json.loads, Path(file).read_text().splitlines()) if event["event"] == kind]


def losses(file: str) -> list[float]:
    return [event["loss"] for event in events(file, "step")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a small net and its solver."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)
    return tmp_path


class TestTrain:
    def test_trains_tests_snapshots_and_sums_up(self) -> None:
        result = run("train", "solver.prototxt", "--log-json", "log.json")
        assert result.exit_code == 0, result.stderr
        steps = events("log.json", "step")
        assert [step["iteration"] for step in steps] == list(range(1, 11))
        assert [step["learning_rate"] for step in steps] == pytest.approx([0.02] * 5 + [0.01] * 5)
        assert all(step["seconds"] > 0 and step["images_per_second"] > 0 for step in steps)
        assert [test["iteration"] for test in events("log.json", "test")] == [0, 4, 8]
        assert all(test["results"]["loss"] > 0 for test in events("log.json", "test"))
        assert events("log.json", "snapshot") == [
            {"event": "snapshot", "iteration": 10, "path": "small_iter_10.solverstate"}
        ]
        assert Path("small_iter_10.caffemodel").is_file()
        assert "Iteration 8, Testing net (#0)" in result.stderr
        for said in ("10 iteration(s) in", "test net #0 at iteration 8: loss =", "small_iter_10.solverstate"):
            assert said in result.stdout

    def test_a_bar_where_there_is_a_terminal(self) -> None:
        primary, secondary = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
        process = subprocess.Popen(
            [*PROGRAM, "train", "solver.prototxt"], stdout=subprocess.PIPE, stderr=secondary, env=environment
        )
        os.close(secondary)
        shown = b""
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed
            while part := os.read(primary, 4096):
                shown += part
        os.close(primary)
        process.communicate()
        assert process.returncode == 0
        text = shown.decode()
        for expected in ("Small", "10/10", "img/s", "lr 0.0"):
            assert expected in text
        assert "Iteration 8, Testing net (#0)" in text and "solver.py" not in text, "lines have no prefix there"

    def test_quiet(self) -> None:
        result = run("--quiet", "train", "solver.prototxt", "--iterations", 0)
        assert (result.exit_code, result.stderr) == (0, "")
        assert "0 iteration(s)" in result.stdout

    def test_options_stand_in_for_the_solvers(self) -> None:
        for seed in (1, 1, 2):
            assert run("--quiet", "train", "solver.prototxt", "--iterations", 3, "--seed", seed, "--log-json", seed)
        assert len(losses("2")) == 3
        assert losses("1")[:3] == losses("1")[3:] != losses("2")

    def test_weights_to_start_from(self) -> None:
        assert run("train", "solver.prototxt", "--iterations", 1).exit_code == 0
        result = run("train", "solver.prototxt", "--weights", "small_iter_1.caffemodel", "--iterations", 1)
        assert result.exit_code == 0
        assert "small_iter_1.caffemodel: weights of 2 layer(s) copied" in result.stderr
        both = run("train", "solver.prototxt", "--weights", "a.caffemodel", "--resume", "b.solverstate")
        assert both.exit_code == 2 and "not both" in both.stderr

    def test_level_and_stage(self) -> None:
        Path("net.prototxt").write_text(
            NET + 'layer { name: "extra" type: "Silence" bottom: "out" include { stage: "noisy" min_level: 2 } }'
        )
        Path("solver.prototxt").write_text('net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1')
        arguments = ("train", "solver.prototxt", "--iterations", 1, "--stage", "noisy", "--level", 2)
        assert run(*arguments).exit_code == 0
        names = [name for name, *_ in bicerin_proto.read_weights(Path("solver_iter_1.caffemodel"))]
        assert "extra" in names

    def test_a_run_that_diverges_is_said_once(self) -> None:
        Path("solver.prototxt").write_text(SOLVER.replace("base_lr: 0.02", "base_lr: 1e30"))
        result = run("train", "solver.prototxt")
        assert result.exit_code == 0
        assert result.stderr.count("training has diverged") == 1

    def test_a_run_that_diverges_can_be_stopped(self) -> None:
        Path("solver.prototxt").write_text(SOLVER.replace("base_lr: 0.02", "base_lr: 1e30"))
        result = run("train", "solver.prototxt", "--stop-on-nan")
        assert result.exit_code == 1
        (error,) = [line for line in result.stderr.splitlines() if line.startswith("error:")]
        (snapshot,) = Path().glob("small_iter_*.solverstate")
        assert "training has diverged" in error and f"in {snapshot}." in error

    def test_the_pace_is_that_of_the_later_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first steps compile kernels, which is no measure of the others."""
        watch = Summary()
        clock = iter([0.0, *np.cumsum([40.0, 0.5, 0.5, 0.5, 9.0, 0.5]), 51.0])
        monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
        solver = SimpleNamespace(
            iteration=0, loss=1.5, stopped=False, parallel=None, param=SimpleNamespace(iter_size=1, max_iter=6),
            net=SimpleNamespace(nodes=[SimpleNamespace(bottom=[], top=[np.zeros((8, 3))], blobs=[])]),
        )  # fmt: skip
        watch.bicerin_solver_start(solver)
        for solver.iteration in range(1, 7):
            watch.bicerin_solver_step(solver, 1.5)
        watch.bicerin_solver_stop(solver)
        assert list(watch.lines("s.prototxt")) == ["6 iteration(s) in 0:00:51, 16 images/s; loss 1.5"]


class TestGoingOn:
    @pytest.fixture
    def whole(self) -> list[float]:
        """The losses of a run that is not interrupted."""
        assert run("train", "solver.prototxt", "--log-json", "whole.json").exit_code == 0
        return losses("whole.json")

    def test_from_a_snapshot_bit_for_bit(self, whole: list[float]) -> None:
        Path("solver.prototxt").write_text(SOLVER + "snapshot: 3")
        assert run("train", "solver.prototxt").exit_code == 0
        result = run("train", "solver.prototxt", "--resume", "small_iter_6.solverstate", "--log-json", "rest.json")
        assert result.exit_code == 0
        assert losses("rest.json") == whole[6:]

    def interrupted(self, number: signal.Signals, enough: Callable[[], bool], *options: str) -> tuple[int, str]:
        """Start a long run, send a signal when `enough` says so, and return the status and standard error."""
        process = run_process("train", "solver.prototxt", "--log-json", "log.json", *options, stdout=subprocess.PIPE)
        while not enough():
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        return process.returncode, out + err

    @staticmethod
    def steps_done(number: int) -> Callable[[], bool]:
        return lambda: Path("log.json").is_file() and Path("log.json").read_text().count('"step"') >= number

    def test_an_interrupt_snapshots_and_stops(self) -> None:
        Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 10", "max_iter: 1000000"))
        status, said = self.interrupted(signal.SIGINT, self.steps_done(5))
        assert status == 0
        done = losses("log.json")
        assert f"stopped at iteration {len(done)} of 1000000" in said
        state = f"small_iter_{len(done)}.solverstate"
        assert f"go on with: bicerin train solver.prototxt --resume {state}" in said
        more = len(done) + 5
        for name, options in (("rest.json", ["--resume", state]), ("whole.json", [])):
            run("--log-json", name, "train", "solver.prototxt", "--iterations", more, *options)
        assert done + losses("rest.json") == losses("whole.json")

    def test_a_hang_up_snapshots_and_goes_on(self) -> None:
        Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 10", "max_iter: 300"))
        status, said = self.interrupted(signal.SIGHUP, self.steps_done(5))
        assert status == 0
        first, last = events("log.json", "snapshot")
        assert 5 <= first["iteration"] < last["iteration"] == 300, said

    def test_a_kill_leaves_whole_snapshots(self, whole: list[float]) -> None:
        Path("solver.prototxt").write_text(SOLVER.replace("max_iter: 10", "max_iter: 1000000 snapshot: 1"))
        status, _ = self.interrupted(signal.SIGKILL, self.steps_done(12))
        assert status == -signal.SIGKILL
        states = sorted(Path().glob("small_iter_*.solverstate"), key=lambda path: int(path.stem.split("_")[-1]))
        assert len(states) >= 11
        for state in (states[0], states[5], states[-2], states[-1]):
            iteration = int(state.stem.split("_")[-1])
            result = run("train", "solver.prototxt", "--resume", state, "--iterations", iteration + 1)
            assert result.exit_code == 0, result.stderr


class TestTest:
    def test_a_table_of_means(self) -> None:
        assert run("train", "solver.prototxt").exit_code == 0
        result = run("test", "net.prototxt", "--weights", "small_iter_10.caffemodel", "--iterations", 4)
        assert result.exit_code == 0
        rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
        assert rows["loss"][1] == "2"
        assert float(rows["total"][1]) == pytest.approx(2 * float(rows["loss"][0]), rel=1e-5)
        assert "4 iteration(s) of 8 image(s)" in result.stdout

    def test_json(self) -> None:
        Path("net.prototxt").write_text(
            'layer { name: "d" type: "DummyData" top: "x" dummy_data_param { shape { dim: 2 dim: 2 }'
            ' data_filler { value: 0.5 } } } layer { name: "p" type: "Power" bottom: "x" top: "y"'
            " power_param { scale: 3 } }"
        )
        found = json.loads(run("test", "net.prototxt", "--iterations", 2, "--json").stdout)
        assert found == {"net": "net.prototxt", "iterations": 2, "loss": 0, "outputs": {"y": [[1.5, 1.5], [1.5, 1.5]]}}
        assert "y[1, 0]" in run("test", "net.prototxt", "--iterations", 2).stdout

    def test_what_nobody_fills_is_said(self) -> None:
        Path("net.prototxt").write_text(
            'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
            'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 30 } }'
        )
        result = run("test", "net.prototxt", "--iterations", 1)
        assert "nothing sets the inputs x" in result.stderr and "no --weights" in result.stderr
        assert "y (2 x 30)" in result.stdout


class TestTime:
    @pytest.mark.parametrize("source", ["net.prototxt", "solver.prototxt"])
    def test_a_row_a_layer(self, source: str) -> None:
        found = json.loads(run("time", source, "--iterations", 3, "--json").stdout)
        assert [layer["name"] for layer in found["layers"]] == ["data", "hidden", "drop", "out", "loss"]
        assert sum(layer["share"] for layer in found["layers"]) == pytest.approx(1)
        assert (found["phase"], found["device"], found["batch_size"]) == ("TRAIN", "cpu", 8)
        assert found["total_ms"] > 0 and found["images_per_second"] > 0
        by_name = {layer["name"]: layer for layer in found["layers"]}
        assert by_name["hidden"]["backward_ms"] > 0 and by_name["data"]["backward_ms"] == 0
        assert by_name["out"]["shapes"] == [[8, 2]]

    def test_a_table(self) -> None:
        Path("net.prototxt").write_text(
            'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } }'
            'layer { name: "conv" type: "Convolution" bottom: "x" top: "y"'
            " convolution_param { num_output: 2 kernel_size: 3 } }"
        )
        result = run("time", "net.prototxt", "--iterations", 2, "--verbose", "--phase", "test")
        assert result.exit_code == 0
        assert "no layer runs backward" in result.stdout
        assert "2x2x6x6" in result.stdout and "Algorithm" in result.stdout and "TEST" in result.stdout

    def test_the_error_is_of_what_the_file_is(self) -> None:
        Path("solver.prototxt").write_text(SOLVER + "no_such_field: 1")
        assert 'SolverParameter" has no field named "no_such_field"' in run("time", "solver.prototxt").stderr
        Path("net.prototxt").write_text(NET + "no_such_field: 1")
        assert 'NetParameter" has no field named "no_such_field"' in run("time", "net.prototxt").stderr


class TestDraw:
    NET = """
    name: "drawn \\"net\\""
    layer { name: "in" type: "Input" top: "data" include { phase: TEST } }
    layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
      convolution_param { num_output: 7 kernel_h: 3 kernel_w: 5 stride: 2 pad: 1 pad: 2 group: 7 } }
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 2 } }
    layer { name: "of no plugin" type: "NoSuchLayer" bottom: "pool" top: "pool" include { phase: TRAIN } }
    """

    @pytest.fixture(autouse=True)
    def net(self) -> None:
        Path("drawn.prototxt").write_text(self.NET)

    def test_graphviz_text(self) -> None:
        import pydot

        assert run("draw", "drawn.prototxt", "out.dot", "--rankdir", "TB").exit_code == 0
        (graph,) = pydot.graph_from_dot_file("out.dot")
        assert graph.get_rankdir() == "TB"
        labels = [node.get_label() for node in graph.get_nodes()]
        assert '"conv (Convolution) kernel size: 3 x 5 stride: 2 pad: 1 x 2 group: 7"' in labels
        assert '"pool (Pooling AVE) kernel size: 2 stride: 1 pad: 0"' in labels
        assert len(labels) == 4 + 3
        assert [edge.get_label() for edge in graph.get_edges() if edge.get_destination() == '"blob conv"'] == ['"7"']

    def test_one_phase(self) -> None:
        assert run("draw", "drawn.prototxt", "out.dot", "--phase", "TEST").exit_code == 0
        text = Path("out.dot").read_text()
        assert "Input" in text and "NoSuchLayer" not in text

    def test_a_solver(self) -> None:
        assert run("draw", "solver.prototxt", "out.dot").exit_code == 0
        assert "EuclideanLoss" in Path("out.dot").read_text()

    def test_without_the_program(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        result = run("draw", "drawn.prototxt", "out.svg")
        assert result.exit_code == 1
        assert "apt install graphviz" in result.stderr
        assert not Path("out.svg").exists()

    def test_with_the_program(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        program = folder / "dot"
        program.write_text('#!/bin/sh\necho "$1"; cat "$2"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
        result = run("draw", "drawn.prototxt", "out.svg")
        assert result.exit_code == 0, result.stderr
        assert Path("out.svg").read_text().startswith("-Tsvg\ndigraph")

    def test_an_unknown_format(self) -> None:
        result = run("draw", "drawn.prototxt", "out.jpg")
        assert result.exit_code == 1 and ".svg, .png, .pdf, .dot" in result.stderr


class TestLogs:
    @pytest.fixture(autouse=True)
    def log(self) -> None:
        Path("train.log").write_text(run("train", "solver.prototxt").stderr)

    def test_parsed(self) -> None:
        assert run("parse-log", "train.log").exit_code == 0
        train = Path("train.log.train").read_text().splitlines()
        assert train[0] == "NumIters,Seconds,LearningRate,loss,SmoothedLoss"
        assert [row.split(",")[0] for row in train[1:]] == ["0", "2", "4", "6", "8", "10"]
        assert [row.split(",")[2] for row in train[1:5]] == ["0.02", "0.02", "0.02", "0.01"]
        assert [row.split(",")[0] for row in Path("train.log.test").read_text().splitlines()[1:]] == ["0", "4", "8"]

    @pytest.mark.parametrize("options", [[], ["--y", "learning-rate", "--x", "seconds"], ["--log-scale"]])
    def test_plotted(self, options: list[str]) -> None:
        result = run("plot-log", "train.log", "train.log", "out.png", *options)
        assert result.exit_code == 0, result.stderr
        assert Path("out.png").read_bytes().startswith(b"\x89PNG")

    def test_what_is_not_in_the_log(self) -> None:
        result = run("plot-log", "train.log", "out.png", "--y", "accuracy")
        assert result.exit_code == 1
        assert 'nothing in it is named "accuracy"; there is: LearningRate, loss, SmoothedLoss.' in result.stderr
        assert not Path("out.png").exists()


DATA = """layer { name: "d" type: "DummyData" top: "x" top: "y"
  dummy_data_param { shape { dim: 4 dim: 3 dim: 8 dim: 8 } shape { dim: 4 } } }
"""
STORE = (
    'layer { name: "data" type: "Data" top: "x" top: "y" data_param { source: "store" batch_size: 2 backend: LMDB } }'
)
PYTHON = 'layer { name: "py" type: "Python" bottom: "x" top: "z" python_param { module: "my_layer" layer: "My" } }'
KERNEL = "num_output: 1 kernel_size: 9"


def layer(text: str) -> str:
    return f"{DATA}layer {{ {text} }}"


class TestBadInput:
    """Each is one clear error, exit status 1, and no traceback of ours."""

    @staticmethod
    def error(*arguments: str) -> str:
        result = run("--quiet", *(arguments or ("test", "bad.prototxt", "--iterations", "1")))
        assert result.exit_code == 1, result.stderr
        assert isinstance(result.exception, SystemExit)
        assert result.stdout == ""
        assert result.stderr.startswith("error: ")
        assert "Traceback" not in result.stderr
        return result.stderr

    @pytest.mark.parametrize(
        ("net", "expected"),
        [
            (layer('name: "a" type: "ReLU" bottom: "x" top "z"'), ['bad.prototxt:3:48: Expected ":", got: "z".']),
            (f'{DATA}layer {{ name: "a" ', ["bad.prototxt:3:7:", "never closed"]),
            (
                layer('name: "a" type: "ReLU" bottom: "x" top: "z" relu_parm { }'),
                ["bad.prototxt:3:", 'no field named "relu_parm". Did you mean "relu_param"?'],
            ),
            (
                layer('name: "a" type: "Relu" bottom: "x" top: "z"'),
                ['bad.prototxt:3: layer "a": unknown layer type "Relu". Did you mean "ReLU"?'],
            ),
            (
                layer('name: "a" type: "SoftmaxWithLoss" bottom: "x" top: "z"'),
                [
                    'bad.prototxt:3: layer "a" (SoftmaxWithLoss): '
                    "SoftmaxWithLoss Layer takes at least 2 bottom blob(s) as input.",
                    "bottom: x (4, 3, 8, 8)",
                ],
            ),
            (
                layer('name: "a" type: "EuclideanLoss" bottom: "x" bottom: "y" top: "z"'),
                ['layer "a" (EuclideanLoss): Inputs must have the same dimension', "x (4, 3, 8, 8), y (4,)"],
            ),
            (
                layer(f'name: "a" type: "Convolution" bottom: "x" top: "z" convolution_param {{ {KERNEL} }}'),
                ['layer "a" (Convolution)', "9x9", "8x8"],
            ),
            (
                layer('name: "a" type: "ReLU" bottom: "w" top: "z"'),
                ["bad.prototxt:3: Unknown bottom blob 'w' (layer 'a', bottom index 0)"],
            ),
            (DATA + PYTHON, ['bad.prototxt:3: layer "py" (Python)', 'no module "my_layer"', "beside the prototxt"]),
            (STORE, ['layer "data" (Data)', "store does not exist"]),
        ],
    )  # fmt: skip
    def test_a_net(self, net: str, expected: list[str]) -> None:
        Path("bad.prototxt").write_text(net)
        said = self.error()
        for text in expected:
            assert text in said

    def test_a_layer_whose_plugin_is_not_installed(self) -> None:
        Path("bad.prototxt").write_text(layer('name: "conv1" type: "Convolution" bottom: "x" top: "z"'))
        hidden = {**os.environ, "BICERIN_DISABLE_PLUGINS": "bicerin-convolution"}
        process = run_process("test", "bad.prototxt", env=hidden)
        _, said = process.communicate()
        assert process.returncode == 1
        assert 'error: bad.prototxt:3: layer "conv1": unknown layer type "Convolution"' in said
        assert "pip install bicerin-convolution" in said

    def test_missing_files(self) -> None:
        Path("solver.prototxt").write_text('net: "absent.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 1')
        for arguments in (
            ("train", "absent.prototxt"),
            ("train", "solver.prototxt"),
            ("test", "absent.prototxt"),
            ("test", "net.prototxt", "--weights", "absent.caffemodel"),
        ):
            said = self.error(*arguments)
            assert "absent." in said and "no such file" in said
        Path("solver.prototxt").write_text(SOLVER)
        assert "absent.solverstate" in self.error("train", "solver.prototxt", "--resume", "absent.solverstate")

    def test_an_unknown_solver_type(self) -> None:
        Path("solver.prototxt").write_text(SOLVER + 'type: "Adams"')
        assert 'unknown solver type "Adams". Did you mean "Adam"?' in self.error("train", "solver.prototxt")

    def test_an_unknown_device(self) -> None:
        assert 'unknown device "tpu"' in self.error("test", "net.prototxt", "--device", "tpu")

    @pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
    def test_truncated_weights(self, keep: float) -> None:
        assert run("train", "solver.prototxt", "--iterations", "1").exit_code == 0
        whole = Path("small_iter_1.caffemodel").read_bytes()
        Path("cut.caffemodel").write_bytes(whole[: int(keep * len(whole))])
        assert "cut.caffemodel" in self.error("test", "net.prototxt", "--weights", "cut.caffemodel")

    def test_weights_of_another_net(self) -> None:
        assert run("train", "solver.prototxt", "--iterations", "1").exit_code == 0
        Path("other.prototxt").write_text(NET.replace("num_output: 5", "num_output: 6"))
        said = self.error("test", "other.prototxt", "--weights", "small_iter_1.caffemodel")
        assert "Source param shape is (5, 6); target param shape is (6, 6)." in said

    def test_an_empty_store(self) -> None:
        lmdb.open("store").close()
        Path("bad.prototxt").write_text(STORE)
        assert "source store: it holds no records" in self.error()

    def test_a_record_that_is_garbage(self) -> None:
        with lmdb.open("store") as environment, environment.begin(write=True) as transaction:
            transaction.put(b"00000042", b"\xff\xffnot a datum")
        Path("bad.prototxt").write_text(STORE)
        assert 'source store, record "00000042"' in self.error()

    def test_a_store_that_is_garbage(self) -> None:
        Path("store").mkdir()
        Path("store/data.mdb").write_bytes(np.random.default_rng(0).bytes(20_000))
        Path("bad.prototxt").write_text(STORE)
        assert "cannot be opened as LMDB" in self.error()

    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            ("import absent_module", "ModuleNotFoundError: No module named 'absent_module'"),
            ("class My:\n    def forward(self, bottom, top):\n        1 / 0", "ZeroDivisionError: division by zero"),
        ],
    )
    def test_a_python_layer_that_raises(self, body: str, expected: str, folder: Path) -> None:
        (folder / "my_layer.py").write_text(body)
        Path("bad.prototxt").write_text(DATA + PYTHON)
        try:
            said = self.error()
        finally:
            sys.modules.pop("my_layer", None)
        assert said.startswith('error: bad.prototxt:3: layer "py" (Python)')
        assert said.splitlines()[-1] == expected
        assert f'File "{folder / "my_layer.py"}", line {len(body.splitlines())}' in said
        assert "bicerin" not in said.partition("File ")[2].replace(str(folder), "")


def test_what_is_compiled_ahead_is_not_compiled_again(tmp_path: Path) -> None:
    """Of a net with one kernel, in a folder of its own."""
    if not COMPILED:
        pytest.skip("nothing is compiled here")
    Path("small.prototxt").write_text(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } } '
        'layer { name: "r" type: "ReLU" bottom: "x" top: "y" }'
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kernels")}
    first = run_process("compile", "small.prototxt", env=environment, stdout=subprocess.PIPE)
    out, err = first.communicate(timeout=300)
    assert (out, first.returncode) == ("small.prototxt: ready in phase TEST\n", 0)
    assert "compiling forward" in err
    code = (
        "import bicerin, logging; logging.basicConfig(level='INFO'); bicerin.Net('small.prototxt').forward(x=[[-1, 2]])"
    )
    then = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "compiling" not in then.stderr


def test_a_solver_is_compiled_without_a_trace() -> None:
    before = set(Path().iterdir())
    result = run("compile", "solver.prototxt")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "solver.prototxt: ready to train\n"
    assert set(Path().iterdir()) == before
