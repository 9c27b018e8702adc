"""The learning-rate policy "plateau": when it steps, and that a run resumes exactly."""

from __future__ import annotations

import logging

import pytest

import bicerin
from bicerin.errors import SolverError

NET = """net_param {
  layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 } } }
  layer { name: "loss" type: "Permute" bottom: "x" top: "loss" loss_weight: 1 }
}
"""
SOLVER = 'base_lr: 8 lr_policy: "plateau" gamma: 0.5 plateau_winsize: 2 plateau_winsize: 3 snapshot_prefix: "run"\n'


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def solver(losses, options=""):
    """One whose losses are given."""
    made = bicerin.Solver(SOLVER + NET + options)

    def give():
        made.net.blobs["x"].data[...] = losses[made.iteration]

    made.add_callback(give, lambda: None)
    return made


def rates(made, iterations):
    """The rate of each iteration's update."""
    found = []
    for _ in range(iterations):
        made.step(1)
        found.append(made.learning_rate)
    return found


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        # Two iterations after the least loss the first step, three later the second, and then none.
        ([5.0] * 10, [8, 8, 4, 4, 4, 2, 2, 2, 2, 2]),
        # Each new least loss puts it off.
        ([5, 5, 4, 4, 3, 3, 3, 3, 3, 3], [8, 8, 8, 8, 8, 8, 4, 4, 4, 2]),
        ([5, 4, 3, 2, 1, 0.5], [8] * 6),
    ],
)
def test_steps(losses, expected):
    assert rates(solver(losses), len(losses)) == expected


def test_the_loss_is_the_mean_of_several(caplog):
    """5, 4.5, 4, 4: the mean still falls in the iteration after the least loss."""
    made = solver([5, 4, 4, 4, 4, 4], "average_loss: 2 display: 1")
    with caplog.at_level(logging.INFO):
        assert rates(made, 6) == [8, 8, 8, 8, 4, 4]
    assert "Plateau Status: Iteration 4, step = 1" in caplog.text
    assert "Plateau Status: Iteration 2, current minimum_loss = 4" in caplog.text


def test_resuming_is_exact():
    losses = [5, 4, 6, 6, 6, 6, 6, 3, 3, 3, 3, 3]
    expected = rates(solver(losses), 12)
    assert len(set(expected)) == 3
    for stop in (3, 6):
        first = solver(losses)
        first.step(stop)
        path = first.snapshot()
        resumed = solver(losses)
        resumed.restore(path)
        assert rates(resumed, 12 - stop) == expected[stop:]


def test_without_windows_the_rate_stays(caplog):
    text = SOLVER.replace("plateau_winsize: 2 plateau_winsize: 3", "")
    made = bicerin.Solver(text + NET)
    assert "gives no plateau_winsize" in caplog.text
    made.step(5)
    assert made.learning_rate == 8


def test_gamma():
    with pytest.raises(SolverError, match=r'lr_policy "plateau": gamma must be at least 0, not -0\.5'):
        bicerin.Solver(SOLVER.replace("0.5", "-0.5") + NET)
