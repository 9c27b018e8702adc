"""Solvers: their nets, training, testing, requests, and what is refused."""

from __future__ import annotations

import logging
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_solver import BASE, NET, TESTED, fill, lines, solver, weights

import bicerin
from bicerin.errors import (
    BicerinError,
    DeviceError,
    NetError,
    PluginError,
    SolverError,
    UnknownNameError,
)
from bicerin.net.hooks import hookimpl, plugins
from bicerin.solver.outcome import Mean
from bicerin.solver.solver import Solver


@pytest.fixture(autouse=True)
def _layers(provided, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test here uses the layers of conftest, and works in a folder of its own with net.prototxt."""
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)


class TestNets:
    def test_the_type_chooses_the_class(self) -> None:
        assert type(solver()).__name__ == "SGDSolver"
        assert type(solver('type: "Adam" momentum2: 0.99')).__name__ == "AdamSolver"
        assert type(solver("solver_type: NESTEROV")).__name__ == "NesterovSolver"
        with pytest.raises(UnknownNameError, match=r'<text>: unknown solver type "Adma"\. Did you mean "Adam"'):
            solver('type: "Adma"')

    def test_states(self) -> None:
        rules = "include { stage: 'extra' } "
        net = NET + f'layer {{ name: "s" type: "Square" bottom: "a" top: "s" {rules} }}\n'
        Path("net.prototxt").write_text(net)
        made = solver(
            "train_state { level: 2 stage: 'extra' } test_iter: 1 test_iter: 1 test_interval: 1 "
            "test_state { } test_state { stage: 'extra' }"
        )
        assert "s" in made.net.layer_names
        assert ["s" in test.layer_names for test in made.test_nets] == [False, True]
        assert [made.net.phase, *(test.phase for test in made.test_nets)] == [0, 1, 1]

    def test_the_order_of_test_nets(self) -> None:
        for name in ("one", "two", "generic"):
            Path(f"{name}.prototxt").write_text(NET.replace('"n"', f'"{name}"'))
        inline = NET.replace('"n"', '"inline"')
        made = solver(
            f"test_net_param {{ {inline} }} "
            "test_net: 'one.prototxt' test_net: 'two.prototxt'" + " test_iter: 1" * 5 + " test_interval: 1",
            net="net: 'generic.prototxt'",
        )
        assert made.net.name == "generic"
        assert [net.name for net in made.test_nets] == ["inline", "one", "two", "generic", "generic"]

    @pytest.mark.parametrize("field", ["net_param", "train_net_param"])
    def test_nets_inside_of_the_solver(self, field: str) -> None:
        assert solver(net=f"{field} {{ {NET} }}").net.name == "n"

    def test_files_are_found_beside_the_solver_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = tmp_path / "deep"
        folder.mkdir()
        Path("net.prototxt").rename(folder / "net.prototxt")
        (folder / "solver.prototxt").write_text(BASE + 'net: "net.prototxt"')
        made = bicerin.Solver("deep/solver.prototxt")
        assert made.net.directory == Path("deep")
        assert made.snapshot() == Path("deep/solver_iter_0.solverstate")

    @pytest.mark.parametrize(
        ("more", "net", "message"),
        [
            ("", "", "SolverParameter must specify a train net using one of these fields: net, net_param, train_net"),
            (
                "",
                "net: 'a' train_net: 'b'",
                "SolverParameter must not contain more than one of these fields specifying a train_net",
            ),
            (
                "test_iter: 1 test_interval: 1",
                "train_net: 'net.prototxt'",
                "test_iter must be specified for each test network: it is given 1 time(s) for 0 test net(s)",
            ),
            (
                "test_net: 'net.prototxt'",
                "net: 'net.prototxt'",
                "test_iter must be specified for each test network: it is given 0 time(s) for 1 test net(s)",
            ),
            (
                TESTED + "test_state {} test_state {}",
                "net: 'net.prototxt'",
                "test_state must be unspecified or specified once per test net",
            ),
            ("test_iter: 1", "net: 'net.prototxt'", "test_interval must be greater than 0"),
            ("gamma: nan", "net: 'net.prototxt'", "gamma should be a finite number, not nan"),
            ("weight_decay: inf", "net: 'net.prototxt'", "weight_decay should be a finite number, not inf"),
            ("average_loss: 0", "net: 'net.prototxt'", "average_loss should be at least 1"),
            ("iter_size: 0", "net: 'net.prototxt'", "iter_size should be at least 1"),
            (
                "weight_decay: 1 regularization_type: 'L3'",
                "net: 'net.prototxt'",
                'Unknown regularization type: L3; it is "L1" or "L2"',
            ),
            ("type: 'AdaGrad'", "net: 'net.prototxt'", "Momentum cannot be used with AdaGrad."),
            ("type: 'RMSProp'", "net: 'net.prototxt'", "Momentum cannot be used with RMSProp."),
            ("type: 'Adam' momentum2: 1", "net: 'net.prototxt'", "momentum2 should lie between 0 and 1"),
        ],
    )
    def test_what_does_not_make_sense(self, more: str, net: str, message: str) -> None:
        with pytest.raises(SolverError, match=re.escape(message)) as error:
            solver(more, net)
        assert str(error.value).startswith("<text>: ")

    def test_rms_decay(self) -> None:
        with pytest.raises(SolverError, match="rms_decay should lie between 0 and 1"):
            solver("type: 'RMSProp' rms_decay: 1", base='base_lr: 1 lr_policy: "fixed" ')

    def test_a_net_that_is_missing_is_named(self) -> None:
        with pytest.raises(BicerinError, match=r"nowhere.prototxt: no such file"):
            solver(net="net: 'nowhere.prototxt'")

    def test_weights(self) -> None:
        made = solver()
        made.net.params["a"][0].data[...] = [1, 2, 3]
        made.net.save("a.caffemodel")
        assert weights(solver('weights: " a.caffemodel , a.caffemodel"'))[0] == [1, 2, 3]
        assert weights(solver(weights="a.caffemodel"))[0] == [1, 2, 3]
        assert solver(TESTED, weights="a.caffemodel").test_nets[0].params["a"][0].data.tolist() == [1, 2, 3]

    def test_random_seed(self) -> None:
        assert weights(solver()) == weights(solver())
        assert weights(solver(base=BASE.replace("3", "4"))) != weights(solver())
        unseeded = BASE.replace("random_seed: 3", "")
        assert weights(solver(base=unseeded)) != weights(solver(base=unseeded))

    def test_solver_mode_gpu_without_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is an error before anything is built, and says how to run on the CPU."""
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "cupy", None)
            patch.setattr("bicerin.solver.solver.Net", None)
            with pytest.raises(DeviceError, match=r'solver_mode: GPU: device "gpu".*--device cpu'):
                solver("solver_mode: GPU")
        assert solver("solver_mode: GPU", device="cpu").device.name == "cpu"
        assert solver("solver_mode: CPU").device.name == "cpu"


class TestTraining:
    def test_sgd_by_hand(self) -> None:
        """Two updates of momentum SGD, with decay, from gradients that are set by hand."""
        made = solver("weight_decay: 0.5")
        weight, offset = made.net.learnable_params
        weight.data[...] = 1
        for gradient in (2, 4):
            weight.diff[...] = offset.diff[...] = gradient
            made.apply_update()
        # weight: h = 0.1 (2 + 0.5), w = 1 - h; then h = 0.9 h + 0.1 (4 + 0.5 w). offset: twice the rate, no decay.
        first = 0.1 * 2.5
        second = 0.9 * first + 0.1 * (4 + 0.5 * (1 - first))
        assert weight.data == pytest.approx([1 - first - second] * 3)
        assert weight.diff == pytest.approx([second] * 3)
        assert offset.data == pytest.approx([-0.4 - (0.36 + 0.8)] * 3)
        assert made.iteration == 2

    @pytest.mark.parametrize("name", ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_every_rule_lowers_the_loss(self, name: str, dtype: type) -> None:
        momentum = "" if name in ("AdaGrad", "RMSProp") else "momentum: 0.9"
        rate = 1 if name == "AdaDelta" else 0.05
        base = f'type: "{name}" base_lr: {rate} lr_policy: "fixed" {momentum} delta: 1e-4 random_seed: 3 max_iter: 1\n'
        quiet = NET.replace('bottom: "noisy"', 'bottom: "label"')
        made = fill(solver(net=f"net_param {{ {quiet} }}", base=base, dtype=dtype))
        made.step(1)
        first = made.loss
        made.step(60)
        assert made.loss < 0.9 * first
        assert made.net.learnable_params[0].data.dtype == dtype

    @pytest.mark.parametrize("number", [-1, 1.5, float("nan"), "1", None])
    def test_a_number_of_steps_that_is_none(self, number: Any) -> None:
        made = fill(solver())
        with pytest.raises(SolverError, match=r"step\(.*\): the number of iterations is a whole number from 0 on"):
            made.step(number)
        made.step(2.0)  # type: ignore[arg-type]  # a script's division gives it
        assert made.iteration == 2

    def test_an_infinite_weight_without_decay_makes_no_nan(self) -> None:
        made = solver()
        made.net.learnable_params[0].data[...] = np.inf
        made.apply_update()
        assert made.net.learnable_params[0].data.tolist() == [np.inf] * 3

    def test_iter_size_is_the_mean_of_its_passes(self) -> None:
        net = NET.replace('bottom: "noisy"', 'bottom: "label"')
        once, thrice = (fill(solver(more, net=f"net_param {{ {net} }}")) for more in ("", "iter_size: 3"))
        for made in (once, thrice):
            made.step(3)
        assert thrice.loss == pytest.approx(once.loss, rel=1e-6)
        assert np.allclose(weights(thrice), weights(once), rtol=1e-6)

    def test_average_loss(self) -> None:
        made = fill(solver("average_loss: 2"))
        single = fill(solver())
        losses = []
        for _ in range(3):
            made.step(1)
            single.step(1)
            losses.append(single.loss)
        assert made.loss == pytest.approx((losses[1] + losses[2]) / 2)

    def test_callbacks_and_hooks(self) -> None:
        calls: list[str] = []

        class Plugin:
            @hookimpl
            def bicerin_solver_start(self, solver):
                calls.append("begin")

            @hookimpl
            def bicerin_solver_step(self, solver, loss):
                calls.append(f"step {solver.iteration} {loss == solver.loss}")

            @hookimpl
            def bicerin_solver_stop(self, solver):
                calls.append("end")

            @hookimpl
            def bicerin_test_result(self, solver, net_index, results):
                calls.append(f"test {net_index} {sorted(results)}")

            @hookimpl
            def bicerin_snapshot(self, solver, path):
                calls.append(path.name)

        plugin = Plugin()
        plugins().register(plugin)
        try:
            made = fill(solver("test_iter: 1 test_interval: 2 snapshot: 2 test_initialization: false"))
            made.add_callback(lambda: calls.append("start"), lambda: calls.append("gradients"))
            made.step(3)
        finally:
            plugins().unregister(plugin)
        assert calls == [
            *("begin", "start", "gradients", "step 1 True"),
            *("start", "gradients", "step 2 True", "run_iter_2.solverstate"),
            *("test 0 ['loss']", "start", "gradients", "step 3 True", "end"),
        ]

    def test_hooks_of_one_solver(self) -> None:
        """They hear of their solver alone."""

        class Watcher:
            def __init__(self) -> None:
                self.heard: list[str] = []

            @hookimpl
            def bicerin_solver_step(self, solver, loss):
                self.heard.append(f"{solver.iteration} {loss == solver.loss}")

            @hookimpl
            def bicerin_solver_stop(self):
                self.heard.append("stop")

        watcher, other = Watcher(), Watcher()
        made = fill(solver(hooks=[watcher]))
        fill(solver(hooks=[other])).step(1)
        made.step(2)
        assert (watcher.heard, other.heard) == (["1 True", "2 True", "stop"], ["1 True", "stop"])

    @pytest.mark.parametrize(
        ("name", "arguments", "said"),
        [
            ("step", "self", "Watcher has no method that is marked"),
            ("bicerin_solver_setp", "self", "there is no hook bicerin_solver_setp; there are: bicerin_solver_start, "),
            ("bicerin_solver_step", "self, losses", "losses"),
            ("bicerin_before_layer", "self, net", "which is not called for one solver"),
        ],
    )
    def test_hooks_that_no_solver_calls(self, name: str, arguments: str, said: str) -> None:
        scope: dict[str, Any] = {}
        exec(f"def {name}({arguments}): pass", scope)
        function = scope[name] if name == "step" else hookimpl(scope[name])
        with pytest.raises(PluginError, match=said):
            solver(hooks=[type("Watcher", (), {name: function})()])

    def test_share_weights(self) -> None:
        made = fill(solver())
        other = bicerin.Net("net.prototxt", phase="TEST")
        made.share_weights(other)
        made.step(1)
        assert [blob.data.tolist() for blob in other.learnable_params] == weights(made)

    @pytest.mark.parametrize("more", ["", "clip_gradients: 1", "regularization_type: 'L1' weight_decay: 1"])
    def test_a_run_that_diverges_is_told_by_its_numbers_alone(
        self, more: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
    ) -> None:
        made = fill(solver(f"{TESTED} debug_info: true display: 1 {more}"))
        for net in (made.net, *made.test_nets):
            net.blobs["data"].data[...] = 3e38
        with caplog.at_level(logging.INFO):
            made.solve()
        assert any(re.search("loss = (nan|inf)", line) for line in lines(caplog))
        assert not recwarn.list

    def test_of_several_solvers_one_tests_snapshots_and_speaks(self, caplog: pytest.LogCaptureFixture) -> None:
        text = TESTED + "display: 2 snapshot: 2"
        root, other = (fill(solver(text, rank=rank, replicas=2)) for rank in (0, 1))
        assert (root.is_root, other.is_root) == (True, False)
        assert [layer.context.rank for layer in (root.net.layers[0], other.net.layers[0])] == [0, 1]
        assert (len(root.test_nets), len(other.test_nets)) == (1, 0)
        assert weights(root) != weights(other), "each draws from a seed of its own"
        with caplog.at_level(logging.INFO):
            other.solve()
        assert not any("Iteration" in line for line in lines(caplog)) and not list(Path().glob("run*"))
        with pytest.raises(NetError, match=r"rank 2 is not one of 2 replica\(s\)"):
            solver(rank=2, replicas=2)


class TestLog:
    def test_the_lines_are_caffes(self, caplog: pytest.LogCaptureFixture) -> None:
        made = fill(solver(TESTED + "display: 2 average_loss: 2 test_compute_loss: true"))
        with caplog.at_level(logging.INFO):
            made.solve()
        number = r"[-+.e\d]+"
        expected = [
            "Solving n",
            "Learning Rate Policy: fixed",
            r"Iteration 0, Testing net \(#0\)",
            f"Test loss: {number}",
            rf"    Test net output #0: loss = {number} \(\* 2 = {number} loss\)",
            rf"Iteration 0 \(0 iter/s, {number}s/2 iters\), loss = {number}",
            rf"    Train net output #0: loss = {number} \(\* 2 = {number} loss\)",
            r"Iteration 0, lr = 0.1",
            r"Iteration 2, Testing net \(#0\)",
        ]
        found = lines(caplog)
        for line, pattern in zip(found, expected, strict=False):
            assert re.fullmatch(pattern, line), line
        ends = [
            "Iteration 6, loss = ",
            "Iteration 6, Testing net (#0)",
            "Test loss",
            "    Test net",
            "Optimization Done.",
        ]
        assert all(line.startswith(end) for line, end in zip(found[-5:], ends, strict=True)), found[-5:]

    def test_debug_info(self, caplog: pytest.LogCaptureFixture) -> None:
        made = fill(solver("debug_info: true display: 2"))
        with caplog.at_level(logging.INFO):
            made.step(2)
        found = [re.sub(r"[-+.e\d]+$", "N", line) for line in lines(caplog) if line.startswith("    [")]
        assert "    [Forward] Layer a, top blob a data: N" in found
        assert "    [Backward] Layer loss, bottom blob a diff: N" in found
        assert "    [Backward] Layer a, param blob 1 diff: N" in found
        assert any(line.startswith("    [Backward] All net params (data, diff): L1 norm = (") for line in found)
        assert any(re.match(r"    \[Update\] Layer a, param 0 data: .*; diff: ", line) for line in found)
        assert found.count("    [Forward] Layer a, top blob a data: N") == 1, "only iterations that are displayed"

    def test_clipping(self, caplog: pytest.LogCaptureFixture) -> None:
        made = solver("clip_gradients: 1")
        for blob in made.net.learnable_params:
            blob.diff[...] = 4
        with caplog.at_level(logging.INFO):
            made.apply_update()
        norm = np.sqrt(6 * 16)
        assert f"Gradient clipping: scaling down gradients (L2 norm {norm:g} > 1)" in caplog.text
        assert made.net.learnable_params[0].data == pytest.approx(
            np.array(weights(solver())[0]) - 0.1 * 4 / norm, rel=1e-6
        )


class TestTesting:
    def test_results_are_means(self) -> None:
        made = fill(solver(TESTED))
        once = fill(solver(TESTED))
        (result,) = made.test_all()
        passes = []
        once.test_nets[0].share_trained_layers_with(once.net)
        for _ in range(2):
            once.test_nets[0].run_forward()
            passes.append(float(once.test_nets[0].blobs["loss"].data))
        assert result == {"loss": pytest.approx(np.mean(passes), rel=1e-6)}

    def test_outputs_of_several_numbers(self) -> None:
        loss = 'type: "HalfSquareLoss" bottom: "a" bottom: "noisy" top: "loss" loss_weight: 2'
        net = NET.replace(loss, 'type: "Square" bottom: "a" top: "square"')
        made = fill(solver(TESTED, net=f"net_param {{ {net} }}"))
        result = made.test()
        assert result is not None
        assert result["square"].shape == (4, 3)

    def test_a_plugin_sums_an_output_up(self, caplog: pytest.LogCaptureFixture) -> None:
        made = fill(solver(TESTED))
        asked = []

        class Largest:
            def __init__(self) -> None:
                self.seen: list[float] = []

            def add(self, values: np.ndarray) -> None:
                self.seen.append(float(values))

            def result(self) -> float:
                return max(self.seen) + 100

        class Plugin:
            @hookimpl
            def bicerin_test_output(self, net, name, param):
                asked.append((net is made.test_nets[0], name, param is made.param))
                return Largest()

        plugin = Plugin()
        plugins().register(plugin)
        try:
            with caplog.at_level(logging.INFO):
                result = made.test()
        finally:
            plugins().unregister(plugin)
        assert asked == [(True, "loss", True)]
        assert result is not None and result["loss"] > 100
        assert f"Test net output #0: loss = {result['loss']:g}" in caplog.text

    def test_an_output_of_another_shape_each_time_has_no_mean(self) -> None:
        mean = Mean("found")
        mean.add(np.ones((1, 3)))
        with pytest.raises(NetError, match=r'"found" has no mean: its shape is \(2, 3\) in pass 2 .* was \(1, 3\)'):
            mean.add(np.ones((2, 3)))

    def test_the_weights_are_the_trained_ones(self) -> None:
        made = fill(solver(TESTED + "test_initialization: false"))
        made.step(2)
        made.test()
        assert [blob.data.tolist() for blob in made.test_nets[0].learnable_params] == weights(made)


class TestRequests:
    def test_stop_ends_after_the_iteration_and_snapshots(self) -> None:
        made = fill(solver())
        made.add_callback(lambda: made.request_stop() if made.iteration == 2 else None, lambda: None)
        made.solve()
        assert (made.iteration, made.stopped) == (3, True)
        assert Path("run_iter_3.solverstate").is_file()
        made.solve()
        assert (made.iteration, made.stopped) == (6, False)

    def test_snapshot_on_request(self) -> None:
        made = fill(solver("snapshot_after_train: false"))
        made.request_snapshot()
        made.solve()
        assert [path.name for path in Path().glob("*.solverstate")] == ["run_iter_1.solverstate"]

    def test_a_test_that_was_stopped_is_repeated_from_its_start(self) -> None:
        """Also the test nets' random numbers are those of a run that was not stopped."""
        text = "test_iter: 3 test_interval: 2 test_initialization: false"
        expected = record_tests(fill(solver(text)))
        made = fill(solver(text))
        passes = 0

        def stop(index: int) -> None:
            nonlocal passes
            passes += index == 0
            if passes == 2:
                made.request_stop()

        made.test_nets[0].before_forward.append(stop)
        made.solve()
        assert made.iteration == 2
        resumed = fill(solver(text))
        resumed.restore("run_iter_2.solverstate")
        assert record_tests(resumed) == expected


def record_tests(made: Solver) -> list[dict]:
    """Solve, and return the results of all tests."""
    found = []

    class Plugin:
        @hookimpl
        def bicerin_test_result(self, results):
            found.append(results)

    plugin = Plugin()
    plugins().register(plugin)
    try:
        made.solve()
    finally:
        plugins().unregister(plugin)
    return found


class TestALossThatIsNotFinite:
    @staticmethod
    def diverging(**options: Any) -> Solver:
        made = fill(solver(**options))
        made.step(2)
        made.net.blobs["label"].data[...] = np.inf
        return made

    def test_is_said_once_a_run(self, caplog: pytest.LogCaptureFixture) -> None:
        made = self.diverging()
        made.step(3)
        (said,) = [record.message for record in caplog.records if "diverged" in record.message]
        assert said.startswith("the loss of iteration 2 is ")
        assert made.iteration == 5
        made.step(1)
        assert len([record for record in caplog.records if "diverged" in record.message]) == 2

    def test_ends_the_training_where_that_is_wanted(self) -> None:
        made = self.diverging(stop_on_nan=True)
        before = [blob.data.copy() for blob in made.net.learnable_params]
        with pytest.raises(SolverError, match=r"iteration 2 is .*diverged.* in run_iter_2\.solverstate\."):
            made.step(3)
        assert made.iteration == 2
        again = solver()
        again.restore("run_iter_2.solverstate")
        for blob, data in zip(again.net.learnable_params, before, strict=True):
            assert np.isfinite(data).all()
            assert np.array_equal(blob.data, data)


def test_what_is_shown_of_it() -> None:
    made = fill(solver())
    assert repr(made) == "SGDSolver('n', cpu: iteration 0 of 6)"
    made.step(2)
    assert re.fullmatch(r"SGDSolver\('n', cpu: iteration 2 of 6, loss [-\d.e]+\)", repr(made))
    assert repr(made.net) == "Net('n', TRAIN, cpu: 4 layers, data (4, 3), label (4, 3) -> loss ())"
    assert repr(made.net.layer("a")) == "AffineLayer('a', blobs: (3,), (3,))"
    assert repr(made.net.layer("in")) == "InputLayer('in')"


def test_what_notebooks_show() -> None:
    made = fill(solver())
    assert "0 of 6" in made._repr_html_()
    made.step(2)
    assert all(text in made._repr_html_() for text in ("2 of 6", f"{made.loss:.6g}", f"{made.learning_rate:g}"))
    blob = made.net.blobs["data"]
    blob.data[...] = np.arange(12).reshape(4, 3)
    blob.data[0, 0] = np.nan
    html = blob._repr_html_()
    assert all(f'<td style="text-align: left">{text}</td>' in html for text in ("12", "1", "6", "11", "not finite"))
    report = made.net.load_weights(made.net.to_proto())
    assert "copied" in report._repr_html_() and "missing" in report._repr_html_()
