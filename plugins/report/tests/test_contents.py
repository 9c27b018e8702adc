"""What the page holds, compared with the files that it is made of."""

from __future__ import annotations

import json
import math
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from digits_training import Training, run

import bicerin
from bicerin.errors import BicerinError
from bicerin_report import Contents, Recording, page
from bicerin_report.answers import probabilities
from bicerin_report.picture import shrunk, spaced
from bicerin_report.recording import dead_units
from bicerin_report.runs import run_of, thinned


@pytest.fixture(scope="module")
def data(training: Training) -> dict[str, Any]:
    weights = [str(path) for path in training.weights]
    return Contents([str(training.solver), str(training.record)], weights=weights[::-1], samples=400).data()


class TestNets:
    def test_layers_of_both_phases(self, data: dict[str, Any]) -> None:
        train, test = data["graph"]["nets"]
        assert (train["phase"], test["phase"], train["name"]) == ("TRAIN", "TEST", "digits")
        names = [layer["name"] for layer in test["layers"]]
        assert names == ["digits", "conv1", "relu1", "pool1", "ip1", "relu2", "score", "accuracy", "loss"]
        assert [layer["name"] for layer in train["layers"]] == [name for name in names if name != "accuracy"]
        assert train["parameter_count"] == 12 * 25 + 12 + 432 * 48 + 48 + 480 + 10

    def test_a_layer(self, data: dict[str, Any], training: Training) -> None:
        train, test = data["graph"]["nets"]
        conv = test["layers"][1]
        assert conv["bottom_shapes"] == [(50, 1, 28, 28)] and conv["top_shapes"] == [(50, 12, 12, 12)]
        assert conv["multiply_adds"] == 50 * 12 * 144 * 25
        definition = data["graph"]["definitions"][conv["definition"]]
        lines = (training.folder / "net.prototxt").read_text().splitlines()
        path, _, line = definition["location"].rpartition(":")
        assert path == str(training.folder / "net.prototxt") and '"conv1"' in lines[int(line) - 1]
        assert definition["provider"]["distribution"] == "bicerin-convolution"
        assert definition["provider"]["code"] == "bicerin_convolution.convolution:ConvolutionLayer"
        assert 'weight_filler {\n      type: "xavier"\n    }' in definition["text"]
        assert train["layers"][1]["definition"] == conv["definition"], "it is there once"
        assert train["layers"][0]["definition"] != test["layers"][0]["definition"]

    def test_a_net_alone_without_its_data(self, training: Training, tmp_path: Path) -> None:
        text = (training.folder / "net.prototxt").read_text().replace(str(training.folder), str(tmp_path))
        (tmp_path / "net.prototxt").write_text(text)
        found = Contents([str(tmp_path / "net.prototxt")], given={"data": (7, 1, 28, 28)}).data()
        conv = found["graph"]["nets"][0]["layers"][1]
        assert conv["top_shapes"] == [(7, 12, 12, 12)]

    def test_times(self, training: Training) -> None:
        found = Contents([str(training.solver)], timed=2).data()
        for net in found["graph"]["nets"]:
            assert net["times"]["iterations"] == 2 and net["times"]["batch_size"] in (32, 50)
            assert all(layer["forward_ms"] > 0 for layer in net["layers"])
        assert found["graph"]["nets"][0]["layers"][1]["backward_ms"] > 0


class TestRuns:
    def test_what_was_recorded(self, data: dict[str, Any], training: Training) -> None:
        (found,) = data["runs"]
        events = [json.loads(line) for line in training.record.read_text().splitlines()]
        losses = [event["loss"] for event in events if event["event"] == "step"]
        assert found["train"]["loss"]["y"] == pytest.approx(losses, rel=1e-5)
        assert found["train"]["loss"]["x"] == list(range(200))
        assert (found["iteration"], found["max_iter"], found["images"]) == (200, 200, 32)
        assert found["test"]["accuracy"]["x"] == [0, 40, 80, 120, 160, 200]
        assert [iteration for iteration, _ in found["snapshots"]] == [100, 200]
        rates = dict(zip(found["learning_rate"]["x"], found["learning_rate"]["y"], strict=True))
        assert (rates[0], rates[80], rates[199]) == (0.05, 0.025, 0.0125)
        seconds = [event["seconds"] for event in events if event["event"] == "step"]
        assert found["seconds"]["y"][-1] == pytest.approx(sum(seconds), rel=1e-4)
        # Every fourth step is drawn: the last of them is that of iteration 196.
        assert found["pace"]["x"] == list(range(4, 200, 4))
        assert np.mean([1 / value for value in found["pace"]["y"]]) == pytest.approx(np.mean(seconds[1:197]), rel=0.001)

    def test_recorded_weights(self, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The norm of an update is how far the weights moved."""
        monkeypatch.chdir(tmp_path)
        made = bicerin.Solver(training.solver, hooks=[Recording("run.jsonl", every=2)])
        made.step(1)
        before = made.net.params["ip1"][0].data.copy()
        made.step(1)
        after = made.net.params["ip1"][0].data
        found = run_of(Path("run.jsonl"))["weights"]["ip1 0"]
        assert found["x"] == [2]
        assert found["norm"] == pytest.approx([np.linalg.norm(after)], rel=1e-5)
        assert found["update"] == pytest.approx([np.linalg.norm(after - before)], rel=1e-3)

    def test_a_run_that_was_resumed(self, tmp_path: Path) -> None:
        """What came after the snapshot counts once, as it came last."""
        step = {"event": "step", "learning_rate": 0.1, "seconds": 1.0, "images_per_second": None}
        lines = [{"event": "start", "iteration": 0, "max_iter": 9, "images": 4, "net": "n", "time": 0}]
        lines += [{**step, "iteration": i, "loss": float(i)} for i in (1, 2, 3, 4)]
        lines += [{**lines[0], "iteration": 2}]
        lines += [{**step, "iteration": i, "loss": 10.0 * i} for i in (3, 4, 5)]
        (tmp_path / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))
        found = run_of(tmp_path / "log")
        assert found["train"]["loss"] == {"x": [0, 1, 2, 3, 4], "y": [1, 2, 30, 40, 50]}
        assert found["iteration"] == 5

    def test_a_log_of_caffe(self, tmp_path: Path) -> None:
        (tmp_path / "caffe.log").write_text(
            "I0101 10:00:00.000000 1 solver.cpp:1] Iteration 0, loss = 2.5\n"
            "I0101 10:00:00.000000 1 solver.cpp:1]     Train net output #0: loss = 2.25 (* 1 = 2.25 loss)\n"
            "I0101 10:00:00.000000 1 sgd_solver.cpp:1] Iteration 0, lr = 0.01\n"
            "I0101 10:00:10.000000 1 solver.cpp:1] Iteration 20, loss = 1.5\n"
            "I0101 10:00:10.000000 1 solver.cpp:1]     Train net output #0: loss = 1.25 (* 1 = 1.25 loss)\n"
            "I0101 10:00:10.000000 1 solver.cpp:1] Snapshotting to binary proto file a_iter_20.caffemodel\n"
        )
        found = run_of(tmp_path / "caffe.log", max_iter=40)
        assert found["train"] == {"loss": {"x": [0, 20], "y": [2.25, 1.25]}}
        assert found["pace"] == {"x": [20], "y": [2.0]}
        assert (found["max_iter"], found["iteration"]) == (40, 20)
        assert found["snapshots"] == [[20, "a_iter_20.caffemodel"]]

    def test_a_log_that_a_crash_has_damaged(self, tmp_path: Path) -> None:
        """Zeros, half lines and numbers that are none are passed by."""
        (tmp_path / "caffe.log").write_bytes(
            b"\0\0\x8c\nI0101 10:00:00.000000 1 solver.cpp:1] Iteration 0, loss = 2.5\n"
            b"I0101 10:00:10.000000 1 solver.cpp:1] Iteration ten, loss = 2\n"
            b"I0101 10:00:xx.000000 1 solver.cpp:1] Iteration 20, loss = 1.5\n"
            b"I0101 10:00:20.000000 1 solver.cpp:1]     Train net output #0: lo\0\0\0"
        )
        (found,) = Contents([str(tmp_path / "caffe.log")]).data()["runs"]
        assert found["train"] == {"loss": {"x": [0, 20], "y": [2.5, 1.5]}}

    def test_long_curves_are_thinned(self) -> None:
        random = np.random.default_rng(0)
        values = random.normal(size=100_000)
        values[[777, 5_000]] = 50, -50
        values[31_234] = math.nan
        kept = thinned(values)
        assert kept.size <= 2_100
        assert {0, 777, 5_000, 31_234, 99_999} <= set(kept.tolist())
        assert thinned(values[:2000]).tolist() == list(range(2000))


class TestWeights:
    def test_they_are_of_the_last_snapshot(self, data: dict[str, Any], training: Training) -> None:
        found = data["weights"]
        assert found["file"] == str(training.weights[1]), "in the order of iterations, not of the arguments"
        net = bicerin.Net(training.folder / "net.prototxt", "TEST", training.weights[1])
        for blob in found["blobs"]:
            array = net.params[blob["layer"]][blob["position"]].data
            assert blob["norm"] == pytest.approx(np.linalg.norm(array), rel=1e-5)
            assert sum(blob["histogram"]["counts"]) == array.size == blob["count"]
            assert blob["histogram"]["from"] == pytest.approx(array.min()) and blob["largest"] == pytest.approx(
                array.max()
            )

    def test_what_changed(self, data: dict[str, Any], training: Training) -> None:
        first, last = (
            bicerin.Net(training.folder / "net.prototxt", "TEST", path).params["score"][0].data.copy()
            for path in training.weights
        )
        found = data["weights"]["over_time"]["score 0"]
        assert found["x"] == [100, 200]
        assert found["update"][0] is None
        assert found["update"][1] == pytest.approx(np.linalg.norm(last - first) / 100, rel=1e-4)

    def test_dead_units(self) -> None:
        weights = np.ones((4, 3, 2, 2))
        weights[1] = weights[3] = 0
        assert dead_units(weights) == 2
        assert dead_units(np.zeros(5)) == 0, "a bias has none"

    def test_weights_that_nobody_takes(self, training: Training, tmp_path: Path) -> None:
        text = (training.folder / "net.prototxt").read_text()
        (tmp_path / "net.prototxt").write_text(text[: text.index('layer { name: "score"')])
        found = Contents([str(tmp_path / "net.prototxt")], weights=[str(training.weights[0])], samples=0).data()
        assert (found["weights"]["unused"], found["weights"]["missing"], found["images"]) == (["score"], [], None)

    def test_weights_of_another_net(self, training: Training, tmp_path: Path) -> None:
        text = (training.folder / "net.prototxt").read_text().replace("num_output: 48", "num_output: 7")
        (tmp_path / "net.prototxt").write_text(text)
        with pytest.raises(BicerinError, match="ip1"):
            Contents([str(tmp_path / "net.prototxt")], weights=[str(training.weights[0])]).data()


class TestImages:
    @pytest.mark.parametrize(("samples", "count", "batch"), [(1000, 400, 64), (70, 70, 64), (1000, 400, 50)])
    def test_each_image_counts_once(
        self, training: Training, tmp_path: Path, samples: int, count: int, batch: int
    ) -> None:
        """Where there are fewer than are asked for, or so many as batches do not have, or whole batches."""
        text = (training.folder / "net.prototxt").read_text().replace("batch_size: 50", f"batch_size: {batch}")
        (tmp_path / "net.prototxt").write_text(text)
        weights = [str(training.weights[1])]
        found = Contents([str(tmp_path / "net.prototxt")], weights=weights, samples=samples).data()["images"]
        assert found["count"] == count == sum(map(sum, found["labelled"]["confusion"]))

    def test_hits_and_mistakes(self, data: dict[str, Any], training: Training) -> None:
        net = bicerin.Net(training.folder / "net.prototxt", "TEST", training.weights[1])
        scores, labels = [], []
        for _ in range(8):
            net.forward()
            scores.append(net.blobs["score"].data.copy())
            labels.append(net.blobs["label"].data.astype(int).copy())
        said, truth = np.concatenate(scores).argmax(1), np.concatenate(labels)
        found = data["images"]["labelled"]
        assert (data["images"]["count"], data["images"]["scores"]) == (400, "score")
        assert found["top1"] == pytest.approx((said == truth).mean())
        assert 0.6 < found["top1"] <= found["top5"]
        assert found["confusion"][3][5] == int(((truth == 3) & (said == 5)).sum())
        assert sum(times for _, _, times in found["pairs"]) == (said != truth).sum()
        for row in found["of_classes"]:
            assert row["hits"] == ((said == truth) & (truth == row["class"])).sum()
            shares = [sample["of_label"] for sample in row["worst"] + row["best"][::-1]]
            assert shares == sorted(shares)
            assert all(sample["label"] == row["class"] for sample in row["worst"])

    def test_silent_channels(self, data: dict[str, Any]) -> None:
        rows = {row["blob"]: row for row in data["images"]["activity"]}
        assert rows["conv1"]["channels"] == 12 and rows["ip1"]["layer"] == "relu2"
        assert "score" not in rows and "data" not in rows

    def test_a_net_that_says_what_it_is_given(self, tmp_path: Path) -> None:
        """Every number is known: the score of a class is the input itself."""
        net = tmp_path / "net.prototxt"
        net.write_text(
            'layer { name: "in" type: "Input" top: "x" top: "label" '
            "input_param { shape { dim: 1 dim: 3 } shape { dim: 1 } } }\n"
            'layer { name: "copy" type: "Power" bottom: "x" top: "copy" }\n'
            'layer { name: "rate" type: "SoftmaxWithLoss" bottom: "copy" bottom: "label" top: "loss" '
            "loss_param { ignore_label: 7 } }\n"
        )
        x = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [0, 0, 9], [9, 0, 0]], np.float32)
        np.savez(tmp_path / "x.npz", x=x, label=np.array([0, 1, 2, 1, 7], np.float32))
        (tmp_path / "names.txt").write_text("ape\nbee\ncat\n")
        contents = Contents([str(net)], inputs=str(tmp_path / "x.npz"), labels=str(tmp_path / "names.txt"))
        found = contents.data()["images"]
        assert found["class_names"] == ["ape", "bee", "cat"]
        labelled = found["labelled"]
        assert (labelled["count"], labelled["left_out"], labelled["top1"], labelled["top5"]) == (4, 1, 0.75, None)
        assert labelled["confusion"] == [[1, 0, 0], [0, 1, 1], [0, 0, 1]]
        assert labelled["pairs"] == [[1, 2, 1]]
        share = 1 / (2 + math.exp(9))
        assert labelled["loss"] == pytest.approx((-3 * math.log(share * math.exp(9)) - math.log(share)) / 4, rel=1e-3)

    def test_image_files(self, training: Training, tmp_path: Path) -> None:
        from PIL import Image

        with np.load(Path(__file__).parents[3] / "examples" / "mnist" / "digits.npz") as file:
            Image.fromarray(file["images"][9000]).save(tmp_path / "digit.png")
            label = int(file["labels"][9000])
        layers = (training.folder / "net.prototxt").read_text()
        read = 'layer { name: "in" type: "Input" top: "data" transform_param { scale: 0.00390625 } '
        read += "input_param { shape { dim: 1 dim: 1 dim: 28 dim: 28 } } }\n"
        head, tail = layers.index('layer { name: "conv1"'), layers.index('layer { name: "accuracy"')
        (tmp_path / "net.prototxt").write_text(read + layers[head:tail])
        contents = Contents(
            [str(tmp_path / "net.prototxt")], weights=[str(training.weights[1])], images=[str(tmp_path / "digit.png")]
        )
        found = contents.data()["images"]
        (sample,) = found["samples"]
        assert (sample["name"], sample["label"], found["count"]) == ("digit.png", None, 1)
        assert sample["top"][0][0] == label and sample["picture"].startswith("data:image/png;base64,")
        assert {row["blob"] for row in found["activations"]} == {"conv1", "pool1"}

    def test_probabilities(self) -> None:
        shares = np.array([[0.25, 0.75], [1, 0]])
        assert probabilities(shares) is shares
        assert probabilities(np.array([[1000.0, 1000.0 - math.log(3)]])).tolist() == [pytest.approx([0.75, 0.25])]


class TestPictures:
    def test_shrunk(self) -> None:
        images = np.arange(2 * 8 * 6, dtype=np.float32).reshape(2, 1, 8, 6)
        small = shrunk(images, 4)
        assert small.shape == (2, 1, 4, 3)
        assert small[0, 0, 0, 0] == images[0, 0, :2, :2].mean()
        assert shrunk(images, 8) is images

    def test_spaced(self) -> None:
        found = spaced(np.full((2, 5, 5, 1), 7, np.uint8), columns=2)
        assert found.shape == (15, 31, 2), "each pixel is three wide"
        assert found[0, 15].tolist() == [0, 0], "nothing between them"
        assert found[0, 0].tolist() == [7, 255]


class TestTrouble:
    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["net.prototxt", "net.prototxt", "-o", "r.html"], "a report is of one net or solver"),
            (["net.prototxt"], "Give --output for a file, or --serve"),
            (["net.prototxt", "-o", "r.html", "--serve"], "Give --output for a file, or --serve"),
            (["absent.prototxt", "-o", "r.html"], "absent.prototxt"),
            (["words.txt", "-o", "r.html"], "words.txt"),
            (["net.prototxt", "empty.log", "-o", "r.html"], "empty.log: the file is empty"),
            (["half.jsonl", "-o", "r.html"], "half.jsonl:1: not a line that --log-json writes"),
            (["a.caffemodel", "-o", "r.html"], "weights are given with --weights"),
            (["run.jsonl", "-w", "a.caffemodel", "-o", "r.html"], "weights and images belong to a net"),
            (["run.jsonl", "--time", "2", "-o", "r.html"], "the layers to measure belong to a net"),
            (["net.prototxt", "--image", "a.png", "--inputs", "x.npz", "-o", "r.html"], "give one of them"),
            (["net.prototxt", "--labels", "names.txt", "-o", "r.html"], "give --weights, --image or --inputs too"),
            (["net.prototxt", "-o", "absent/r.html"], "absent"),
            (["net.prototxt", "--inputs", "words.txt", "-o", "r.html"], "is not an .npz of arrays"),
            (["net.prototxt", "--inputs", "x.npz", "-o", "r.html"], "an array for each of the inputs (data), of one"),
            (["net.prototxt", "--inputs", "y.npz", "--labels", "words.txt", "-o", "r.html"], "1 names of classes"),
            (["net.prototxt", "--inputs", "y.npz", "--scores", "b", "-o", "r.html"], "b"),
        ],
    )
    def test_what_cannot_be_shown(
        self, arguments: list[str], said: str, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("net.prototxt").write_text(
            'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }\n'
            'layer { name: "a" type: "ReLU" bottom: "data" top: "a" }\n'
        )
        Path("words.txt").write_text("some words\n")
        Path("empty.log").write_text("\n")
        Path("half.jsonl").write_text('{"event": "step"}\n')
        Path("a.caffemodel").write_bytes(b"\n\0")
        Path("run.jsonl").write_bytes(training.record.read_bytes())
        np.savez("x.npz", other=np.zeros(3))
        np.savez("y.npz", data=np.zeros((4, 3)))
        result = run("report", *arguments)
        assert result.exit_code in (1, 2)
        assert said in " ".join(result.output.split())
        assert not Path("r.html").exists()

    def test_a_net_whose_data_is_missing(self, training: Training, tmp_path: Path) -> None:
        """The rest is shown, and the page says what is not."""
        text = (training.folder / "net.prototxt").read_text().replace(str(training.folder), "absent")
        (tmp_path / "net.prototxt").write_text(text)
        contents = Contents(
            [str(tmp_path / "net.prototxt")],
            weights=[str(training.weights[1])],
            given={"data": (1, 1, 28, 28), "label": (1,)},
            timed=1,
        )
        found = contents.data()
        assert found["images"] is None and found["weights"]["blobs"][0]["layer"] == "conv1"
        untimed, unseen = found["notes"][0], found["notes"][-1]
        assert "was not timed: " in untimed and "absent" in untimed
        assert unseen.startswith("no images: the net does not run: ")


def test_the_commands_of_the_readme(training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.prototxt").write_bytes((training.folder / "net.prototxt").read_bytes())
    solver = training.solver.read_text().replace("max_iter: 200", "max_iter: 500").replace('"digits"', '"net"')
    Path("solver.prototxt").write_text(solver)
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("    bicerin ")]
    assert [command[1] for command in commands] == ["train", "report", "report"]
    for _, *arguments in commands:
        if "--serve" not in arguments:
            result = run(*arguments)
            assert result.exit_code == 0, result.output
    assert Path("report.html").stat().st_size > 200_000


def test_a_solver_of_another_folder(training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its net is looked for from the folders above it, as `bicerin check` does."""
    (tmp_path / "models" / "a").mkdir(parents=True)
    (tmp_path / "models" / "a" / "net.prototxt").write_bytes((training.folder / "net.prototxt").read_bytes())
    solver = training.solver.read_text().replace('"net.prototxt"', '"models/a/net.prototxt"')
    (tmp_path / "models" / "a" / "solver.prototxt").write_text(solver)
    found = Contents([str(tmp_path / "models" / "a" / "solver.prototxt")]).data()
    assert found["graph"]["nets"][0]["name"] == "digits"


class TestThePage:
    def test_nothing_ends_the_element_of_the_data(self) -> None:
        text = page({**EMPTY, "title": "</script><b>", "notes": ["</SCRIPT>\u2028<!--"]})
        start, end = text.index('id="data">') + len('id="data">'), text.index("</script>", text.index('id="data">'))
        assert json.loads(text[start:end])["notes"] == ["</SCRIPT>\u2028<!--"]
        assert "<b>" not in text and "\u2028" not in text

    def test_libraries_come_with_their_licences(self) -> None:
        text = page(EMPTY)
        assert "Copyright (c) 2012-2014 Chris Pettitt" in text and "Copyright (c) 2022 Leon Sorokin" in text
        assert text.count("Permission is hereby granted") == 2

    def test_it_may_ask_nobody(self) -> None:
        assert "connect-src &#39;none&#39;" in page(EMPTY)
        assert "connect-src &#39;self&#39;" in page(EMPTY, live=True)
        assert "default-src &#39;none&#39;" in page(EMPTY)


EMPTY: dict[str, Any] = {
    "title": "t", "version": "0", "time": 0, "files": [], "graph": None, "solver": None, "runs": [], "weights": None,
    "images": None, "notes": [],
}  # fmt: skip
