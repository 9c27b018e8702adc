"""What a user may write, for mypy --strict: nothing here runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_type

import numpy as np

import bicerin
from bicerin_data import Classifier, Prediction, Preprocessor


def use(image: np.ndarray) -> dict[str, np.ndarray]:
    with bicerin.Net(Path("deploy.prototxt"), phase=bicerin.TEST, weights="net.caffemodel", device="cpu") as net:
        report = net.load_weights("more.caffemodel", ignore_mismatched=True)
        assert_type(report, bicerin.LoadReport)
        assert_type(report.missing, list[str])
        assert_type(net.blobs["data"], bicerin.Blob)
        assert_type(net.params["conv1"][0].shape, tuple[int, ...])
        assert_type(net.inputs, list[str])
        assert_type(net.layer("conv1"), bicerin.Layer)
        assert_type(net.summary().parameter_count, int)
        assert_type(net.run_forward(), float)
        net.before_forward.append(lambda index: print(index))
        return net.forward(["conv1"], data=image)


def train() -> float:
    solver = bicerin.Solver("solver.prototxt", weights=["a.caffemodel"], stop_on_nan=True)
    assert_type(solver, bicerin.Solver)
    assert_type(solver.net, bicerin.Net)
    assert_type(solver.test_nets, list[bicerin.Net])
    solver.step(100)
    state: Path | str = solver.snapshot()
    solver.restore(state)
    try:
        solver.solve()
    except (bicerin.SolverError, bicerin.BicerinError) as error:
        print(error)
    return solver.loss


class Doubled(bicerin.Layer):
    """Twice its bottom."""

    type = "Doubled"
    counts = bicerin.BlobCounts(bottom=1, top=1)

    def reshape(self, bottom: Sequence[bicerin.Blob], top: Sequence[bicerin.Blob]) -> None:
        top[0].reshape(*bottom[0].shape)

    def forward(self, bottom: Sequence[bicerin.Blob], top: Sequence[bicerin.Blob]) -> None:
        np.multiply(bottom[0].data, 2, out=top[0].data)

    def backward(
        self, top: Sequence[bicerin.Blob], propagate_down: Sequence[bool], bottom: Sequence[bicerin.Blob]
    ) -> None:
        bottom[0].diff[...] += 2 * top[0].diff


class Losses:
    """A hook."""

    def __init__(self) -> None:
        self.found: list[float] = []

    @bicerin.hookimpl
    def bicerin_solver_step(self, solver: bicerin.Solver, loss: float) -> None:
        self.found.append(loss)


def classify(files: list[Path]) -> list[str]:
    preprocessor = Preprocessor((3, 224, 224), resize=256, mean=[104, 117, 123], scale=1.0)
    assert_type(preprocessor(files[0]), np.ndarray)
    options: dict[str, Any] = {"device": "cpu"}
    classifier = Classifier("deploy.prototxt", "net.caffemodel", preprocessor=preprocessor, **options)
    assert_type(classifier(files[0], top=3), list[Prediction])
    return [predictions[0].label for predictions in classifier.predict(files)]
