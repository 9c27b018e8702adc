"""A user's program passes mypy --strict, and what it does wrong is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy import api

PROGRAM = Path(__file__).parent / "users_program.py"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"--cache-dir={tmp_path_factory.mktemp('cache')}"


def strictly(path: Path, cache: str) -> tuple[str, int]:
    report, errors, status = api.run(["--strict", "--config-file=", cache, "--no-error-summary", str(path)])
    return report + errors, status


def test_a_program_as_it_should_be(tmp_path: Path, cache: str) -> None:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM.read_text("utf-8"), "utf-8")
    assert strictly(path, cache) == ("", 0)


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("return solver.loss", "return solver.losses", 'has no attribute "losses"'),
        ("solver.step(100)", 'solver.step("100")', 'incompatible type "str"'),
        ("stop_on_nan=True", "stop_on_nans=True", "stop_on_nans"),
        ("top=3", 'top="3"', 'incompatible type "str"'),
    ],
)
def test_mistakes_are_found(right: str, wrong: str, said: str, tmp_path: Path, cache: str) -> None:
    text = PROGRAM.read_text("utf-8")
    assert text.count(right) == 1
    path = tmp_path / "program.py"
    path.write_text(text.replace(right, wrong), "utf-8")
    report, status = strictly(path, cache)
    assert status == 1 and said in report
