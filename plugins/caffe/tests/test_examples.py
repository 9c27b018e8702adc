"""The sessions in `examples/pycaffe` run and come out right."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "pycaffe"


def said(folder: Path, script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, EXAMPLES / script, *arguments], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def lenet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which LeNet was learned, and what was said meanwhile."""
    folder = tmp_path_factory.mktemp("lenet")
    return folder, said(folder, "learning_lenet.py", "--iterations", "101")


def numbers(pattern: str, text: str) -> list[float]:
    return [float(found) for found in re.findall(pattern, text)]


def test_lenet_is_learned_with_a_net_spec_and_steps(lenet: tuple[Path, str]) -> None:
    _, text = lenet
    assert "score    (64, 10)" in text
    losses, accuracies = numbers(r"loss ([\d.]+)", text), numbers(r"test accuracy ([\d.]+)", text)
    assert losses[1] < losses[0] < 1 and accuracies[1] > 0.85


def test_digits_are_classified(lenet: tuple[Path, str]) -> None:
    folder, _ = lenet
    text = said(folder, "classification.py")
    assert numbers(r"accuracy on 500 digits: ([\d.]+)", text)[0] > 0.85
    assert "conv1    (20, 1, 5, 5) (20,)" in text


def test_surgery_makes_the_net_fully_convolutional(lenet: tuple[Path, str]) -> None:
    folder, _ = lenet
    text = said(folder, "net_surgery.py")  # which compares the numbers itself
    assert "fc1 (500, 800) -> fc1_conv (500, 50, 4, 4)" in text and "(1, 10, 1, 15)" in text
    assert (folder / "lenet_full_conv.caffemodel").exists()


def test_logistic_regression_from_hdf5(tmp_path: Path) -> None:
    text = said(tmp_path, "logistic_regression.py")
    linear, hidden = numbers(r": ([\d.]+)", text)
    assert 0.9 < linear < hidden
