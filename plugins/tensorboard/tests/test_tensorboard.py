"""What TensorBoard's own reader finds of a training."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.errors import BicerinError
from bicerin_tensorboard import TensorBoard

NET = """
name: "small"
layer { name: "in" type: "Input" top: "data" top: "label"
  input_param { shape { dim: 4 dim: 3 dim: 6 dim: 5 } shape { dim: 4 } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 5 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "score" type: "InnerProduct" bottom: "conv" top: "score"
  inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
layer { name: "probabilities" type: "Softmax" bottom: "score" top: "probabilities" include { phase: TEST } }
"""
SOLVER = """
net: "net.prototxt" test_iter: 1 test_interval: 5 test_initialization: false base_lr: 0.1 lr_policy: "step" gamma: 0.5
stepsize: 4 max_iter: 10 display: 2 snapshot: 5 snapshot_prefix: "small" random_seed: 1
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_text(NET)
    Path("solver.prototxt").write_text(SOLVER)


def solver(*hooks: object) -> Any:
    made = bicerin.Solver("solver.prototxt", hooks=hooks)
    random = np.random.default_rng(0)
    for net in (made.net, *made.test_nets):
        net.blobs["data"].data[...] = random.normal(size=(4, 3, 6, 5))
        net.blobs["label"].data[...] = [0, 1, 2, 1]
    return made


def written(folder: str = "runs") -> EventAccumulator:
    found = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0, "histograms": 0, "tensors": 0})
    return found.Reload()


def scalars(found: EventAccumulator, tag: str) -> dict[int, float]:
    return {event.step: event.value for event in found.Scalars(tag)}


class TestWhatIsWritten:
    def test_scalars(self) -> None:
        losses = {}
        made = solver(TensorBoard("runs"))
        while made.iteration < 10:
            made.step(1)
            losses[made.iteration] = made.loss
        found = written()
        assert scalars(found, "train/loss") == pytest.approx({i: losses[i] for i in (2, 4, 6, 8, 10)})
        assert scalars(found, "train/learning_rate") == pytest.approx({2: 0.1, 4: 0.1, 6: 0.05, 8: 0.05, 10: 0.025})
        assert all(value > 0 for value in scalars(found, "train/images_per_second").values())

    def test_tests_and_snapshots(self) -> None:
        made = solver(TensorBoard("runs"))
        made.solve()
        found = written()
        assert list(scalars(found, "test/loss")) == [5, 10]
        assert scalars(found, "test/loss")[10] == pytest.approx(made.test_nets[0].blobs["loss"].data.item())
        mean = made.test_nets[0].blobs["probabilities"].data.reshape(-1)
        assert scalars(found, "test/probabilities/7")[10] == pytest.approx(mean[7])
        (first, last) = (event.tensor_proto.string_val[0].decode() for event in found.Tensors("snapshot/text_summary"))
        assert (first, last) == ("small_iter_5.solverstate", "small_iter_10.solverstate")

    def test_histograms_and_images(self) -> None:
        made = solver(TensorBoard("runs", histograms=4))
        made.step(8)
        found = written()
        weights = made.net.params["conv"][0]
        for tag, array in (("weights/conv/0", weights.data), ("updates/conv/0", weights.diff)):
            last = found.Histograms(tag)[-1]
            value = last.histogram_value
            assert last.step == 8 and value.num == array.size
            assert (value.min, value.max) == pytest.approx((array.min(), array.max()))
        picture = np.asarray(Image.open(io.BytesIO(found.Images("first_filters")[-1].encoded_image_string)))
        assert picture.shape == (2 * 4 - 1, 3 * 4 - 1, 3), "five filters of 3 x 3 in two rows"
        first = weights.data[0, ::-1, 0, 0]
        grey = (first / np.abs(weights.data[0]).max() + 1) / 2 * 255
        assert picture[0, 0].tolist() == pytest.approx(grey.tolist(), abs=1)
        assert [event.step for event in found.Images("batch/data")] == [4, 8]

    def test_the_graph(self) -> None:
        solver(TensorBoard("runs")).step(1)
        nodes = {node.name: node for node in written().Graph().node}
        assert {name: (node.op, list(node.input)) for name, node in nodes.items()} == {
            "in": ("Input", []),
            "conv": ("Convolution", ["in"]),
            "relu": ("ReLU", ["conv"]),
            "score": ("InnerProduct", ["relu"]),
            "loss": ("SoftmaxWithLoss", ["score", "in:1"]),
        }
        (shape,) = nodes["conv"].attr["_output_shapes"].list.shape
        assert [dim.size for dim in shape.dim] == [4, 5, 4, 3]

    def test_nothing_for_no_histograms(self) -> None:
        solver(TensorBoard("runs", histograms=0)).solve()
        assert written().Tags()["histograms"] == []

    def test_weights_that_diverged(self) -> None:
        made = solver(TensorBoard("runs", scalars=1, histograms=1))
        made.net.params["conv"][0].data[...] = np.nan
        made.step(1)
        found = written()
        assert "weights/conv/0" not in found.Tags()["histograms"]
        assert np.isnan(scalars(found, "train/loss")[1])


class TestResuming:
    def test_what_came_after_the_snapshot_is_replaced(self) -> None:
        """Events of the first run from beyond the snapshot are not shown."""
        made = solver(TensorBoard("runs"))
        made.step(10)
        again = solver(TensorBoard("runs"))
        again.restore("small_iter_5.solverstate")
        again.step(1)
        assert list(scalars(written(), "train/loss")) == [2, 4, 6]

    def test_files_are_read_in_the_order_in_which_they_were_begun(self) -> None:
        """Several of one second, too."""
        for _ in range(5):
            solver(TensorBoard("runs")).step(1)
        files = sorted(Path("runs").iterdir())
        assert len(files) == 5
        times = [file.stat().st_mtime_ns for file in files]
        assert times == sorted(times)


class TestTrouble:
    def test_a_folder_that_cannot_be_made(self) -> None:
        Path("file").touch()
        with pytest.raises(BicerinError, match="file/runs: cannot be written: Not a directory"):
            TensorBoard("file/runs")

    def test_a_full_disk(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        """One warning, and the training goes on."""
        board = TensorBoard("runs", scalars=1)
        made = solver(board)
        made.step(1)

        def write(event: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(board._writer, "write_event", write)
        with caplog.at_level(logging.WARNING):
            made.step(5)
        assert made.iteration == 6
        said = [record.getMessage() for record in caplog.records if "TensorBoard" in record.getMessage()]
        assert said == [
            "runs: can no longer be written: No space left on device. Training goes on without TensorBoard."
        ]


def test_the_command_line() -> None:
    result = CliRunner().invoke(command_line, ["train", "solver.prototxt", "--tensorboard", "runs"])
    assert result.exit_code == 0, result.output
    assert list(scalars(written(), "train/loss")) == [2, 4, 6, 8, 10]
    shown = CliRunner().invoke(command_line, ["train", "--help"]).output
    assert "Write scalars, histograms, images and the graph to a folder" in " ".join(shown.split())
