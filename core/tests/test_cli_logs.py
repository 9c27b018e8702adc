"""What the command line logs: the lines on standard error, the JSON log, and logs read again."""

from __future__ import annotations

import json
import logging
import re
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from bicerin.cli.command_line import command_line
from bicerin.cli.json_log import JsonLog
from bicerin.cli.signals import signals_obeyed
from bicerin.cli.training_log import read_log
from bicerin.errors import BicerinError
from bicerin.log import FirstHandler
from bicerin.net.hooks import plugins
from bicerin.schema.installed_schema import schema


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command_line, list(map(str, arguments)))


class TestMessages:
    @pytest.fixture(autouse=True)
    def talker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def talk() -> None:
            log = logging.getLogger("bicerin.talker")
            log.debug("a detail")
            log.info("Iteration %d, lr = %g", 5, 0.25)
            log.warning("look out")

        monkeypatch.setattr(command_line, "commands", {"talk": click.Command("talk", callback=talk)})

    def test_lines_have_the_prefix_of_caffes_logs(self) -> None:
        info, warning = run("talk").stderr.splitlines()
        assert re.fullmatch(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ test_cli_logs.py:\d+] Iteration 5, lr = 0.25", info)
        assert warning.startswith("W") and warning.endswith("] look out")

    def test_quiet_and_verbose(self) -> None:
        assert run("--quiet", "talk").stderr.count("\n") == 1
        assert "a detail" in run("--verbose", "talk").stderr
        assert "a detail" not in run("talk").stderr, "a level outlives its command"
        assert [type(one) for one in logging.getLogger("bicerin").handlers] == [FirstHandler]


def fake_solver(**values: Any) -> Any:
    data = SimpleNamespace(type="Data", blobs=[], bottom=[], top=[np.empty((8, 3))])
    net = SimpleNamespace(nodes=[data], name="small")
    param = schema().SolverParameter(iter_size=2, max_iter=10)
    return SimpleNamespace(net=net, param=param, iteration=0, parallel=None, learning_rate=0.5, loss=0.0, **values)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestJsonLog:
    def test_an_object_for_each_event(self, tmp_path: Path) -> None:
        path = tmp_path / "log.json"
        solver = fake_solver()
        with JsonLog(str(path)):
            hook = plugins().hook
            hook.bicerin_solver_start(solver=solver)
            hook.bicerin_test_result(
                solver=solver, net_index=1, results={"accuracy": 0.5, "each": np.array([0.25, np.inf])}
            )
            solver.iteration, solver.learning_rate = 1, 0.25
            hook.bicerin_solver_step(solver=solver, loss=2.0)
            assert len(lines(path)) == 3, "a line is there as soon as it is written"
            hook.bicerin_snapshot(solver=solver, path=Path("a.solverstate"))
            hook.bicerin_solver_step(solver=solver, loss=float("nan"))
        start, test, step, snapshot, last = lines(path)
        assert start.pop("time") > 1.7e9
        assert start == {"event": "start", "iteration": 0, "max_iter": 10, "net": "small", "images": 16}
        assert test == {"event": "test", "iteration": 0, "net": 1, "results": {"accuracy": 0.5, "each": [0.25, None]}}
        assert snapshot == {"event": "snapshot", "iteration": 1, "path": "a.solverstate"}
        assert (step["event"], step["iteration"], step["loss"]) == ("step", 1, 2.0)
        assert step["learning_rate"] == 0.5, "the rate that the step was done with, not the next one"
        assert step["images_per_second"] == pytest.approx(8 * 2 / step["seconds"])
        assert last["loss"] is None and last["learning_rate"] == 0.25

    def test_what_is_in_the_file_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "log.json"
        path.write_text('{"event": "step"}\n')
        with JsonLog(str(path)):
            plugins().hook.bicerin_snapshot(solver=fake_solver(), path=Path("b"))
        assert [line["event"] for line in lines(path)] == ["step", "snapshot"]

    def test_a_file_that_cannot_be_written(self, tmp_path: Path) -> None:
        result = run("--log-json", tmp_path / "absent" / "log.json", "info")
        assert result.exit_code == 1
        assert "cannot be written: No such file or directory" in result.stderr

    def test_a_disk_that_is_full(self, caplog: pytest.LogCaptureFixture) -> None:
        """One warning, and the training goes on."""
        with JsonLog("/dev/full"):
            for _ in range(3):
                plugins().hook.bicerin_solver_step(solver=fake_solver(), loss=1.0)
        said = [record.getMessage() for record in caplog.records if "/dev/full" in record.getMessage()]
        assert said == [
            "/dev/full: can no longer be written: No space left on device. Training goes on without this log."
        ]

    def test_it_is_read_again(self, tmp_path: Path) -> None:
        path = tmp_path / "log.json"
        solver = fake_solver()
        with JsonLog(str(path)):
            hook = plugins().hook
            hook.bicerin_solver_start(solver=solver)
            hook.bicerin_test_result(solver=solver, net_index=0, results={"loss": 2.5, "each": np.array([0.25, 0.5])})
            solver.iteration = 1
            hook.bicerin_solver_step(solver=solver, loss=2.0)
            hook.bicerin_snapshot(solver=solver, path=Path("a.solverstate"))
            solver.iteration, solver.learning_rate = 2, 0.25
            hook.bicerin_solver_step(solver=solver, loss=float("nan"))
            hook.bicerin_solver_step(solver=solver, loss=1.0)
        taken = [line["seconds"] for line in lines(path) if line["event"] == "step"]
        with path.open("a") as file:
            file.write('{"event": "st')  # what a kill leaves
        log = read_log(path)
        assert log.test == [
            {"NumIters": 0, "Seconds": 0, "LearningRate": 0.5, "TestNet": 0, "loss": 2.5, "each": 0.25, "each[1]": 0.5}
        ]
        assert [row["NumIters"] for row in log.train] == [0, 1, 1], "as in the other log, before the update"
        assert [row["LearningRate"] for row in log.train] == [0.5, 0.5, 0.25]
        assert [row["loss"] for row in log.train[::2]] == [2.0, 1.0] and np.isnan(log.train[1]["loss"])
        assert log.train[2]["Seconds"] == pytest.approx(sum(taken))
        assert log.columns(log.train) == ["NumIters", "Seconds", "LearningRate", "loss"]
        assert (log.max_iter, log.images, log.snapshots) == (10, 16, [(1, "a.solverstate")])
        assert log.others == []

    def test_what_a_plugin_writes_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "log.json"
        with JsonLog(str(path)) as written:
            plugins().hook.bicerin_solver_step(solver=fake_solver(), loss=1.0)
            written.write(event="weights", iteration=1)
        assert read_log(path).others == [{"event": "weights", "iteration": 1}]

    @pytest.mark.parametrize(
        "line", ["{", "[1]", '{"event": "step"}', '{"event": "test", "iteration": 1, "net": "a", "results": 3}']
    )
    def test_a_line_that_is_none_of_its(self, tmp_path: Path, line: str) -> None:
        (tmp_path / "log.json").write_text(f'{{"event": "snapshot", "iteration": 1, "path": "a"}}\n{line}\n{{}}\n')
        with pytest.raises(BicerinError, match=r"log\.json:2: not a line that --log-json writes"):
            read_log(tmp_path / "log.json")


class TestSignals:
    @pytest.mark.parametrize(
        ("effect", "expected"),
        [
            ("snapshot-and-stop", ["snapshot", "stop"]),
            ("snapshot", ["snapshot"]),
            ("stop", ["stop"]),
            ("none", []),
        ],
    )
    @pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
    def test_effects(self, name: str, effect: str, expected: list[str], capfd: pytest.CaptureFixture[str]) -> None:
        asked: list[str] = []
        solver = SimpleNamespace(
            request_snapshot=lambda: asked.append("snapshot"), request_stop=lambda: asked.append("stop")
        )
        before = signal.getsignal(signal.Signals[name])
        effects = {"sigint_effect": "none", "sighup_effect": "none", f"{name.lower()}_effect": effect}
        with signals_obeyed(solver, **effects):
            signal.raise_signal(signal.Signals[name])
        assert asked == expected
        assert capfd.readouterr().err.startswith(f"{name}: {' and '.join(expected) or 'ignored'}")
        assert signal.getsignal(signal.Signals[name]) is before

    def test_sigterm_snapshots_and_stops(self) -> None:
        asked: list[str] = []
        solver = SimpleNamespace(
            request_snapshot=lambda: asked.append("snapshot"), request_stop=lambda: asked.append("stop")
        )
        with signals_obeyed(solver, "none", "none") as came:
            signal.raise_signal(signal.SIGTERM)
        assert (asked, came) == (["snapshot", "stop"], [signal.SIGTERM])

    def test_the_second_interrupt_ends_at_once(self) -> None:
        solver = SimpleNamespace(request_snapshot=lambda: None, request_stop=lambda: None)
        with signals_obeyed(solver, "snapshot-and-stop", "snapshot"):
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


#: Lines as Caffe 1.0 writes them, here over the turn of a year.
CAFFES_LOG = """\
Log file created at: 2016/12/31 23:59:58
I1231 23:59:58.000000  4242 solver.cpp:279] Solving LeNet
I1231 23:59:58.000000  4242 solver.cpp:280] Learning Rate Policy: step
I1231 23:59:58.500000  4242 solver.cpp:337] Iteration 0, Testing net (#0)
I1231 23:59:58.750000  4242 solver.cpp:404]     Test net output #0: accuracy = 0.125
I1231 23:59:58.750000  4242 solver.cpp:404]     Test net output #1: loss = 2.5 (* 1 = 2.5 loss)
I1231 23:59:59.000000  4242 solver.cpp:228] Iteration 0, loss = 2.40625
I1231 23:59:59.000000  4242 solver.cpp:244]     Train net output #0: loss = 2.375 (* 1 = 2.375 loss)
I1231 23:59:59.000000  4242 sgd_solver.cpp:106] Iteration 0, lr = 0.01
I0101 00:00:01.000000  4242 solver.cpp:228] Iteration 100 (50 iter/s, 2s/100 iters), loss = nan
I0101 00:00:01.000000  4242 solver.cpp:244]     Train net output #0: loss = nan (* 1 = nan loss)
I0101 00:00:01.000000  4242 sgd_solver.cpp:106] Iteration 100, lr = 1e-05
I0101 00:00:02.000000  4242 solver.cpp:454] Snapshotting to binary proto file lenet_iter_200.caffemodel
I0101 00:00:02.000000  4242 solver.cpp:317] Iteration 200, loss = 0.0625
I0101 00:00:02.000000  4242 solver.cpp:337] Iteration 200, Testing net (#0)
I0101 00:00:02.500000  4242 solver.cpp:404]     Test net output #0: accuracy = 0.75
I0101 00:00:02.500000  4242 solver.cpp:404]     Test net output #1: loss = 0.5 (* 1 = 0.5 loss)
I0101 00:00:02.500000  4242 solver.cpp:322] Optimization Done.
"""


class TestParsingLogs:
    def test_snapshots_and_where_it_ends(self, tmp_path: Path) -> None:
        path = tmp_path / "caffe.log"
        path.write_text("I0101 00:00:00.000000  1 caffe.cpp:1] parameters:\nmax_iter: 300\n" + CAFFES_LOG)
        log = read_log(path)
        assert (log.snapshots, log.max_iter, log.images) == ([(200, "lenet_iter_200.caffemodel")], 300, 0)

    @pytest.fixture
    def log(self, tmp_path: Path) -> Path:
        path = tmp_path / "caffe.log"
        path.write_text(CAFFES_LOG)
        return path

    def test_caffes_log(self, log: Path) -> None:
        result = run("parse-log", log, log.parent)
        assert result.exit_code == 0
        assert Path(f"{log}.train").read_text() == (
            "NumIters,Seconds,LearningRate,loss,SmoothedLoss\n"
            "0,1,0.01,2.375,2.40625\n"
            "100,3,1e-05,NaN,NaN\n"
            "200,4,1e-05,,0.0625\n"
        )
        assert Path(f"{log}.test").read_text() == (
            "NumIters,Seconds,LearningRate,accuracy,loss\n0,0.5,0.01,0.125,2.5\n200,4,1e-05,0.75,0.5\n"
        )

    def test_a_log_without_times_and_with_several_nets_and_elements(self, tmp_path: Path) -> None:
        path = tmp_path / "bare.log"
        path.write_text(
            "Iteration 7, Testing net (#0)\n"
            "    Test net output #0: prob = 0.25\n"
            "    Test net output #1: prob = 0.75\n"
            "Iteration 7, Testing net (#1)\n"
            "    Test net output #0: accuracy = 1\n"
        )
        log = read_log(path)
        assert log.columns(log.test) == [
            "NumIters", "Seconds", "LearningRate", "prob", "prob[1]", "accuracy", "TestNet",
        ]  # fmt: skip
        assert [row.get("prob[1]") for row in log.test] == [0.75, None]
        assert np.isnan(log.test[0]["Seconds"])

    def test_what_is_no_log(self, tmp_path: Path) -> None:
        path = tmp_path / "poem.txt"
        path.write_text("Roses are red\n")
        with pytest.raises(BicerinError, match="not a training log"):
            read_log(path)

    def test_the_delimiter(self, log: Path) -> None:
        assert run("parse-log", log, log.parent, "--delimiter", ";").exit_code == 0
        assert Path(f"{log}.test").read_text().startswith("NumIters;Seconds;")
        assert run("parse-log", log, log.parent, "--delimiter", "ab").exit_code == 2


def test_names_do_not_reach_the_terminal_as_commands(tmp_path: Path) -> None:
    name = r"x\nI1129 02:30:00.000000     1 solver.py:232] Optimization Done.\033]0;owned\007\033[2J" + "y" * 10**5
    net = tmp_path / "n.prototxt"
    for layer_type in ("Inptu", "Input"):
        net.write_text(f'layer {{ name: "{name}" type: "{layer_type}" top: "{name}" }}')
        for arguments in (("check", net), ("test", net), ("time", net), ("train", net)):
            result = run(*arguments)
            text = result.stdout + result.stderr
            assert text and "\x1b" not in text and "\x07" not in text
            assert not re.search("^I1129", text, re.MULTILINE)
            assert len(text) < 30_000
