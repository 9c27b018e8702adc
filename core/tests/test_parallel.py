"""Several solvers that train together, each in a thread of its own, connected by `ThreadCommunicator`."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from thread_communicator import Group, ThreadCommunicator, on_ranks

import bicerin
from bicerin.errors import ParallelError, SnapshotError, SolverError
from bicerin.layer import Blob, BlobCounts, Layer
from bicerin.net.hooks import hookimpl, plugins
from bicerin.parallel import Communicator, DataParallel
from bicerin.parallel.agreement import check_same, check_same_weights
from bicerin.parallel.gradient_average import GradientAverage
from bicerin.parallel.progress import Progress
from bicerin.parallel.statistics import average_statistics
from bicerin.parallel.watchdog import Watchdog
from bicerin.testing import check_communicator

NET = """
name: "n"
layer { name: "in" type: "Input" top: "data" top: "label" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "a" type: "Affine" bottom: "data" top: "a" param { name: "w" } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { weight_filler { type: "uniform" min: 0.5 max: 1 } } }
layer { name: "b" type: "Affine" bottom: "a" top: "b" param { name: "w" }
  inner_product_param { weight_filler { type: "uniform" min: 0.5 max: 1 } } }
layer { name: "noise" type: "Noise" bottom: "label" top: "noisy" }
layer { name: "loss" type: "HalfSquareLoss" bottom: "b" bottom: "noisy" top: "loss" }
"""
SOLVER = """
net: "net.prototxt" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 max_iter: 6 random_seed: 3 weight_decay: 0.01
snapshot_prefix: "run"
"""


@pytest.fixture(autouse=True)
def _layers(provided: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provided.layer(CountsLayer)
    monkeypatch.setenv("BICERIN_NUM_THREADS", "1")
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    plugins()  # before several threads ask for them


def solver(communicator: Communicator, more: str = "", text: str = SOLVER, **options: Any) -> bicerin.Solver:
    """A rank's solver; its inputs are of its own."""
    made = bicerin.Solver(text + more, dtype=np.float64, parallel=DataParallel(communicator, **options))
    for net in (made.net, *made.test_nets):
        random = np.random.default_rng(communicator.rank)
        for name in net.inputs:
            net.blobs[name].data[...] = random.normal(size=net.blobs[name].shape)
    return made


def weights(made: bicerin.Solver) -> list[list[float]]:
    return [blob.data.tolist() for blob in made.net.learnable_params]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_communicator_of_these_tests(size: int) -> None:
    on_ranks(size, check_communicator)


class TestGradients:
    @pytest.mark.parametrize("bucket_bytes", [1, 60, 1 << 20])
    def test_they_are_the_average(self, bucket_bytes: int) -> None:
        def run(communicator: Communicator) -> tuple[list[np.ndarray], list[np.ndarray], int]:
            made = solver(communicator)
            average = GradientAverage(made.net, DataParallel(communicator, bucket_bytes=bucket_bytes))
            made.net.clear_param_diffs()
            made.net.forward_backward()
            own = [blob.diff.copy() for blob in made.net.learnable_params]
            made.net.clear_param_diffs()
            with average.of_pass():
                made.net.run_backward()
            average.finish()
            return own, [blob.diff.copy() for blob in made.net.learnable_params], len(average.buckets)

        first, second = on_ranks(2, run)
        for index, (one, other) in enumerate(zip(first[0], second[0], strict=True)):
            assert np.allclose(first[1][index], (one + other) / 2) and not np.allclose(one, other)
            assert np.array_equal(first[1][index], second[1][index])
        # Three parameters of 24 bytes, of which the shared one is ready when its first layer's turn is over.
        assert first[2] == {1: 3, 60: 2, 1 << 20: 1}[bucket_bytes]

    def test_sums_begin_while_the_pass_goes_on(self) -> None:
        def run(communicator: Communicator) -> list[int]:
            made = solver(communicator)
            average = GradientAverage(made.net, DataParallel(communicator, bucket_bytes=1))
            begun = []
            with average.of_pass():
                made.net.after_backward.append(lambda index: begun.append(average._next))
                made.net.forward_backward()
            average.finish()
            return begun

        # loss, noise: none. b: its own offset. a: its offset, and the weights that both use.
        assert on_ranks(2, run) == [[0, 0, 1, 3, 3]] * 2

    def test_half_precision(self) -> None:
        def run(communicator: Communicator) -> list[np.ndarray]:
            made = solver(communicator)
            average = GradientAverage(made.net, DataParallel(communicator, gradients="float16"))
            found = []
            # Neither fits into half precision as it is, nor with the scale of the other.
            for size in (1e-9, 1e9, 1e9, 1e-9, 1e-9):
                for index, blob in enumerate(made.net.learnable_params):
                    blob.diff[...] = size * (1 + communicator.rank + index)
                average.finish()
                found.append(np.concatenate([blob.diff for blob in made.net.learnable_params]) / size)
            return found

        expected = np.repeat([1.5, 2.5, 3.5], 3)
        first, second = on_ranks(2, run)
        for mine, theirs in zip(first, second, strict=True):
            assert np.array_equal(mine, theirs) and np.allclose(mine, expected, rtol=2e-3)
        assert np.array_equal(first[0], expected) and not np.array_equal(first[2], expected), "the third is rounded"

    def test_statistics_are_averaged_and_frozen_weights_are_not(self) -> None:
        net = NET.replace('param { name: "w" } param { lr_mult: 2 decay_mult: 0 }', "param { lr_mult: 0 }" * 2)

        def run(communicator: Communicator) -> list[list[float]]:
            made = bicerin.Net(net.replace('param { name: "w" }', ""), phase="TRAIN", seed=1)
            weight, offset = made.params["a"]
            weight.data[...] = 0.1  # whose sum over three ranks, divided by three, is another float32
            offset.data[...] = communicator.rank
            made.params["b"][0].data[...] = communicator.rank
            average_statistics(communicator, made)
            return [weight.data.tolist(), offset.data.tolist(), made.params["b"][0].data.tolist()]

        for rank, (frozen, kept, learned) in enumerate(on_ranks(3, run)):
            assert frozen == [np.float32(0.1)] * 3 and kept == [1.0] * 3 and learned == [rank] * 3


class TestAgreement:
    def test_all_take_the_weights_of_rank_0(self) -> None:
        def run(communicator: Communicator) -> tuple[list[list[float]], list[list[float]]]:
            made = solver(communicator)
            before = weights(made)
            made.step(0)
            return before, weights(made)

        first, second = on_ranks(2, run)
        assert first[0] != second[0] and first[0] == first[1] == second[1]

    @pytest.mark.parametrize(
        ("old", "new", "options", "said"),
        [
            ("base_lr: 0.05", "base_lr: 0.1", {}, r'the solver\'s base_lr: "0\.05" on rank 0, "0\.1" on rank 1'),
            (
                "mom",
                "clip_gradients: 3 mom",
                {},
                r'the solver\'s clip_gradients is "3" on rank 1, and nothing on rank 0',
            ),
            (
                'min: 0.5 max: 1 } } }\nlayer { name: "b"',
                'min: 0.5 max: 2 } } }\nlayer { name: "b"',
                {},
                r'layer "a": "max: 1\.0" on rank 0, "max: 2\.0" on rank 1',
            ),
            ('"noise"', '"other"', {}, r'the layers: "noise" on rank 0, "other" on rank 1'),
            ("", "", {"gradients": "float16"}, r'the option gradients: "float32" on rank 0, "float16" on rank 1'),
        ],
    )
    def test_what_differs_is_said(self, old: str, new: str, options: dict[str, Any], said: str) -> None:
        Path("other.prototxt").write_text(NET.replace(old, new))
        text = SOLVER.replace(old, new).replace("net.prototxt", "other.prototxt")

        def run(communicator: Communicator) -> None:
            made = solver(communicator, text=text, **options) if communicator.rank else solver(communicator)
            with pytest.raises(ParallelError, match="rank 1 does not train what rank 0 trains: " + said):
                made.step(1)

        on_ranks(2, run)

    def test_other_test_nets_are_other_nets(self) -> None:
        """Their passes are divided, and their results brought together."""
        Path("other.prototxt").write_text(NET.replace("dim: 4", "dim: 5"))
        tests = 'test_iter: 2 test_interval: 2 test_net: "{}.prototxt"'

        def run(communicator: Communicator) -> None:
            made = solver(communicator, tests.format("other" if communicator.rank else "net"))
            with pytest.raises(ParallelError, match=r'layer "in" of test net #0: "dim: 4" on rank 0, "dim: 5" on rank'):
                made.step(1)

        on_ranks(2, run)

    def test_weights_that_drift_apart_are_found_at_a_snapshot(self) -> None:
        def run(communicator: Communicator) -> None:
            made = solver(communicator)
            made.step(2)
            if communicator.rank == 1:
                made.net.params["a"][1].data[1] += 1
            with pytest.raises(ParallelError, match=r"the weights a\[1\] of rank 1 are no longer those of rank 0"):
                made.snapshot()

        on_ranks(2, run)

    def test_the_same_is_the_same(self) -> None:
        def run(communicator: Communicator) -> None:
            check_same(communicator, {"a": "b"})
            check_same_weights(communicator, bicerin.Net(NET, phase="TRAIN", seed=1))

        on_ranks(3, run)


class TestTraining:
    def test_one_line_says_how_many_images(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            on_ranks(2, lambda communicator: solver(communicator, "iter_size: 3").step(1))
        said = [record.getMessage() for record in caplog.records if "images a step" in record.getMessage()]
        assert {line.partition(";")[0] for line in said} == {"2 ranks x batch 4 x iter_size 3 = 24 images a step"}

    def test_the_loss_is_the_mean_and_a_request_of_one_stops_all(self) -> None:
        def run(communicator: Communicator) -> tuple[float, int, bool, float]:
            made = solver(communicator)
            own = []
            made.net.after_forward.append(lambda index: own.append(float(made.net.blobs["loss"].data)))
            made.step(1)
            first = made.loss
            if communicator.rank == 1:
                made.request_stop()
            made.step(5)
            return own[len(made.net.nodes) - 1], made.iteration, made.stopped, first

        (one, *counted), (other, *_) = on_ranks(2, run)
        assert counted == [2, True, pytest.approx((one + other) / 2)]

    def test_only_rank_0_speaks(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO):
            on_ranks(2, lambda communicator: solver(communicator, "display: 1").step(2))
        said = [record.getMessage() for record in caplog.records]
        assert sum("Iteration 1, lr" in line for line in said) == 1
        assert sum("computing" in line and "waiting" in line for line in said) == 2

    def test_what_a_rank_waited_is_a_part_of_the_time_in_which_it_was_measured(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = threading.local()  # each rank's own
        monkeypatch.setattr("bicerin.parallel.training.time", SimpleNamespace(perf_counter=lambda: clock.now))

        def run(communicator: Communicator) -> None:
            clock.now = 100.0
            made = solver(communicator)
            team = made._team
            assert team is not None
            team.agree((), 0)
            team.progress.waited += 1 + 2 * communicator.rank
            clock.now = 110.0
            made.net.forward_backward()
            team.finish_step(0.0, False, False)
            # A test, which is not in the numbers of this step.
            team.progress.waited += 40
            clock.now = 150.0
            team.say_waits(communicator.rank == 0)

        with caplog.at_level(logging.INFO):
            on_ranks(2, run)
        assert "Rank 0: 90% computing, 10% waiting for others; rank 1: 70% computing, 30% waiting" in caplog.text

    def test_threads_that_are_too_many_are_warned_of(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("BICERIN_NUM_THREADS", "3")
        monkeypatch.setattr("os.cpu_count", lambda: 4)
        on_ranks(2, lambda communicator: solver(communicator).step(1))
        assert "2 ranks with 3 threads each share the 4 processors of here: set BICERIN_NUM_THREADS to 2" in caplog.text

    @pytest.mark.parametrize("more", ["", "snapshot: 4", "snapshot: 3", "test_compute_loss: true"])
    def test_all_do_the_same_up_to_the_end(self, more: str, caplog: pytest.LogCaptureFixture) -> None:
        def run(communicator: Communicator) -> tuple[float, list[list[float]]]:
            made = solver(communicator, "display: 3 test_iter: 3 test_interval: 2 " + more)
            made.solve()
            return made.loss, weights(made)

        with caplog.at_level(logging.INFO):
            first, *others = on_ranks(3, run)
        assert others == [first] * 2
        assert Path("run_iter_6.solverstate").exists() and Path("run_iter_6.caffemodel").exists()
        said = [record.getMessage() for record in caplog.records]
        assert said.count(f"Iteration 6, loss = {first[0]:g}") == 1

    def test_a_loss_that_is_not_finite_on_one_rank_ends_all(self) -> None:
        def run(communicator: Communicator) -> None:
            made = solver(communicator)
            made.stop_on_nan = True
            made.step(2)
            if communicator.rank == 1:
                made.net.blobs["data"].data[...] = np.inf
            with pytest.raises(SolverError, match=r"the loss of iteration 2 is (nan|inf).*run_iter_2"):
                made.step(2)

        on_ranks(2, run)
        assert Path("run_iter_2.solverstate").exists()

    def test_a_global_batch(self) -> None:
        def run(communicator: Communicator) -> tuple[int, ...]:
            return solver(communicator, global_batch=True).net.blobs["data"].shape

        assert on_ranks(2, run) == [(2, 3)] * 2
        with pytest.raises(ParallelError, match=r'layer "in" \(Input\): a batch of 4 cannot be divided among 3 ranks'):
            on_ranks(3, run)

    @pytest.mark.parametrize(
        ("options", "said"),
        [({"gradients": "int8"}, "float32 or float16"), ({"patience": -1}, "seconds"), ({"bucket_bytes": 0}, "byte")],
    )
    def test_options_that_make_no_sense(self, options: dict[str, Any], said: str) -> None:
        with pytest.raises(ParallelError, match=said):
            DataParallel(ThreadCommunicator(Group(1), 0), **options)


class Sum:
    """An output that a plugin sums up: all its values, in the order of passes."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def add(self, values: np.ndarray) -> None:
        self.values.append(float(values.reshape(-1)[0]))

    def result(self) -> Any:
        return np.array(self.values)


class SumsUp:
    @hookimpl
    def bicerin_test_output(self, net: Any, name: str, param: Any) -> Any:
        return Sum() if name == "square" else None


class CountsLayer(Layer):
    """A source of data: 1, 2, 3, ..."""

    type = "Counts"
    counts = BlobCounts(bottom=0, top=1)

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.number = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        top[0].reshape()

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.number += 1
        top[0].data[...] = self.number

    def state(self) -> Mapping[str, Any]:
        return {"number": self.number}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.number = state["number"]


class HangsLayer(Layer):
    """Waits in its pass number `at` until `hold` is set."""

    type = "Hangs"
    counts = BlobCounts(bottom=1, top=0)
    at = 0
    hold: threading.Event

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.number = 0

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        pass

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self.number += 1
        if self.number == self.at:
            self.hold.wait(30)


TESTED = (
    NET
    + """
layer { name: "counts" type: "Counts" top: "count" include { phase: TEST } }
layer { name: "square" type: "Square" bottom: "count" top: "square" loss_weight: 1 include { phase: TEST } }
"""
)


class TestTests:
    def run(self, communicator: Communicator, more: str, **options: Any) -> list[dict[str, Any]]:
        made = solver(communicator, more, **options)
        made.step(0)
        return made.test_all()

    def test_a_test_before_the_first_step_is_of_the_weights_of_rank_0(self) -> None:
        Path("net.prototxt").write_text(NET)

        def run(communicator: Communicator) -> tuple[list[dict[str, Any]], list[list[float]]]:
            made = solver(communicator, "test_iter: 4 test_interval: 1")
            return made.test_all(), weights(made)

        first, second = on_ranks(2, run)
        assert first == second

    @pytest.mark.parametrize("size", [1, 2, 3])
    def test_passes_are_divided_and_brought_together(self, size: int) -> None:
        Path("net.prototxt").write_text(TESTED)
        hooks = SumsUp()
        plugins().register(hooks)
        try:
            found = on_ranks(size, lambda one: self.run(one, "test_iter: 5 test_interval: 1"))
        finally:
            plugins().unregister(hooks)
        assert [one[0]["square"].tolist() for one in found] == [[1, 4, 9, 16, 25]] * size
        assert len({one[0]["loss"] for one in found}) == 1, "all ranks have all results"

    def test_the_mean_is_that_of_all_passes(self, caplog: pytest.LogCaptureFixture) -> None:
        Path("net.prototxt").write_text(TESTED.replace(', "square"', ""))
        with caplog.at_level(logging.INFO):
            found = on_ranks(2, lambda one: self.run(one, "test_iter: 5 test_interval: 1"))
        assert [one[0]["square"] for one in found] == [11.0] * 2
        assert sum("Test net output #1: square = 11" in record.getMessage() for record in caplog.records) == 1

    def test_a_request_of_one_rank_interrupts_the_test_of_all(self) -> None:
        Path("net.prototxt").write_text(TESTED)

        def run(communicator: Communicator) -> tuple[bool, Any, float]:
            made = solver(communicator, "test_iter: 5 test_interval: 1")
            made.step(1)
            if communicator.rank == 1:
                made.test_nets[0].after_forward.append(lambda index: made.request_stop())
            found = made.test_all()
            path = made.snapshot()
            resumed = solver(communicator, "test_iter: 5 test_interval: 1")
            resumed.restore(path)
            resumed.step(0)
            return made.stopped, found, resumed.test_all()[0]["square"]

        # Each rank has run a pass. The resumed test begins from its own beginning: with the sixth number.
        assert on_ranks(2, run) == [(True, [], np.mean([36, 49, 64, 81, 100]))] * 2

    def test_the_data_of_a_test_are_the_same_on_all_ranks(self) -> None:
        Path("net.prototxt").write_text(NET)
        text = SOLVER.replace("random_seed: 3", "") + "test_iter: 1 test_interval: 1"

        def run(communicator: Communicator) -> tuple[float, float]:
            made = solver(communicator, text=text)
            draws = [net.layer("noise").context.random.random() for net in (made.net, *made.test_nets)]
            return draws[0], draws[1]

        (train, test), (other_train, other_test) = on_ranks(2, run)
        assert train != other_train and test == other_test

    def test_on_root(self) -> None:
        Path("net.prototxt").write_text(TESTED)
        root, other = on_ranks(2, lambda one: self.run(one, "test_iter: 5 test_interval: 1", test_on_root=True))
        assert len(root) == 1 and other == []


class TestSnapshots:
    def losses(self, made: bicerin.Solver, number: int) -> list[float]:
        found = []
        for _ in range(number):
            made.step(1)
            found.append(made.loss)
        return found

    @pytest.mark.parametrize(("format", "wire"), [("", "float32"), ("snapshot_format: HDF5", "float16")])
    def test_as_many_ranks_go_on_exactly(self, format: str, wire: str) -> None:
        def run(communicator: Communicator) -> tuple[list[float], list[list[float]], Path]:
            made = solver(communicator, format, gradients=wire)
            made.step(3)
            path = made.snapshot()
            return self.losses(made, 3), weights(made), path

        def resume(communicator: Communicator) -> tuple[list[float], list[list[float]]]:
            made = solver(communicator, format, gradients=wire)
            made.restore(path)
            return self.losses(made, 3), weights(made)

        unbroken = on_ranks(2, run)
        path = unbroken[0][2]
        assert on_ranks(2, resume) == [one[:2] for one in unbroken]

    @pytest.mark.parametrize(("before", "after"), [(2, 3), (2, 1), (1, 2)])
    def test_another_number_goes_on_with_other_data(
        self, before: int, after: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        def run(communicator: Communicator) -> tuple[list[list[float]], Path]:
            made = solver(communicator)
            made.step(3)
            path = made.snapshot()
            return weights(made), path

        def resume(communicator: Communicator) -> tuple[int, list[list[float]]]:
            made = solver(communicator)
            made.restore(path)
            made.step(0)
            return made.iteration, weights(made)

        (learned, path), *_ = on_ranks(before, run)
        with caplog.at_level(logging.WARNING):
            assert on_ranks(after, resume) == [(3, learned)] * after
        said = [record.getMessage() for record in caplog.records]
        assert len(said) == 1 and said[0].endswith("the order of the data is new")
        assert f"written by {before} rank" in said[0]

    def test_one_process_goes_on(self, caplog: pytest.LogCaptureFixture) -> None:
        def run(communicator: Communicator) -> Path:
            made = solver(communicator)
            made.step(3)
            return made.snapshot()

        path = on_ranks(2, run)[0]
        alone = bicerin.Solver(SOLVER, dtype=np.float64)
        with caplog.at_level(logging.WARNING):
            alone.restore(path)
        assert alone.iteration == 3 and "written by 2 ranks" in caplog.text

    def test_a_damaged_state(self) -> None:
        def run(communicator: Communicator) -> Path:
            made = solver(communicator)
            made.step(1)
            return made.snapshot()

        path = on_ranks(2, run)[0]
        path.write_bytes(path.read_bytes().replace(b'"ranks": [{"net"', b'"ranks": [{"ten"'))
        with pytest.raises(SnapshotError, match="the state of a layer on rank 1 is damaged"):
            on_ranks(2, lambda communicator: solver(communicator).restore(path))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
class TestWatchdog:
    def test_a_rank_that_does_not_come_is_named(self, caplog: pytest.LogCaptureFixture) -> None:
        hold = threading.Event()

        def run(communicator: Communicator) -> None:
            progress = Progress()
            with Watchdog(communicator, progress, 0.5, [("here", 0), ("there", 1), ("elsewhere", 2)]):
                if communicator.rank == 2:
                    hold.wait(30)
                with progress.waiting('the gradient of "a"'):
                    communicator.all_reduce(np.zeros(1))

        try:
            with caplog.at_level(logging.INFO):
                threads = threading.Thread(target=on_ranks, args=(3, run))
                threads.start()
                deadline = time.monotonic() + 20
                while "has not reached" not in caplog.text and time.monotonic() < deadline:
                    time.sleep(0.05)
        finally:
            hold.set()
            threads.join()
        said = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
        assert said == [
            'rank 2, process 2 on elsewhere, has not reached the gradient of "a" for 0.5 s: it is between two layers.'
        ]

    @pytest.mark.parametrize(
        ("phase", "passes", "what", "seconds"),
        [
            ("TRAIN", 1, 'the gradient of "a"', "2.5"),
            ("TRAIN", 2, 'the gradient of "a"', "2.5"),
            ("TRAIN", 3, 'the gradient of "a"', "0.5"),
            ("TEST", 1, "the ranks' results", "2.5"),
            ("TEST", 2, "the ranks' results", "0.5"),
        ],
    )
    def test_the_first_passes_may_take_longer(
        self, phase: str, passes: int, what: str, seconds: str, provided: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        provided.layer(HangsLayer)
        Path("net.prototxt").write_text(
            NET + f'layer {{ name: "hangs" type: "Hangs" bottom: "label" include {{ phase: {phase} }} }}'
        )
        hold = threading.Event()

        def run(communicator: Communicator) -> None:
            try:
                # Tested after three steps, and after six.
                made = solver(communicator, "test_iter: 2 test_interval: 3 test_initialization: false", patience=0.5)
                if communicator.rank == 1:
                    net = made.net if phase == "TRAIN" else made.test_nets[0]
                    layer: Any = net.layer("hangs")
                    layer.at, layer.hold = passes, hold
                made.solve()
            finally:
                hold.set()  # the watchdog has ended this rank; the other is to end too

        with caplog.at_level(logging.INFO):
            on_ranks(2, run)
        (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
        where = 'it runs the forward pass of "hangs".'
        assert said.startswith("rank 1, process ") and said.endswith(f"has not reached {what} for {seconds} s: {where}")
