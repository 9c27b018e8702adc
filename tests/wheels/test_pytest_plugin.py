"""The pytest plugin of the test kit: nothing where nobody asks, an option and fixtures where a project does."""

from __future__ import annotations

from pathlib import Path

from clean_environment import Environment

#: Somebody's project with an option and a fixture that are named like ours, and mean something else.
CONFTEST = """
import pytest


def pytest_addoption(parser):
    parser.addoption("--device", default="thermometer", help="the instrument on the desk")


@pytest.fixture
def device(request):
    return {"name": request.config.getoption("--device")}
"""
TEST = """
def test_the_instrument(device, request):
    assert device == {"name": request.config.getoption("--device")}
    print("measured with", device["name"])
"""

ASKING = """
def test_the_layers(device, run_layer):
    print("on", run_layer('type: "Split"', [(2, 3)]).layer.context.device, device)
"""
ADDOPTS = '[tool.pytest.ini_options]\naddopts = "-p bicerin.testing.pytest_plugin"\n'


def test_a_project_with_its_own_option_and_fixture(author: Environment, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_instrument.py").write_text(TEST)
    tested = author.run(author.python, "-m", "pytest", "-s", cwd=tmp_path).stdout
    assert "measured with thermometer\n" in tested
    assert "1 passed" in tested
    tested = author.run(author.python, "-m", "pytest", "-s", "--device", "balance", cwd=tmp_path).stdout
    assert "measured with balance\n" in tested
    told = author.run(author.python, "-m", "pytest", "--help", cwd=tmp_path).stdout
    assert "the instrument on the desk" in told
    assert "layer tests" not in told


def test_a_project_without(author: Environment, tmp_path: Path) -> None:
    (tmp_path / "test_layers.py").write_text(ASKING)
    tested = author.run(author.python, "-m", "pytest", cwd=tmp_path, status=1).stdout
    assert "fixture 'device' not found" in tested
    refused = author.run(author.python, "-m", "pytest", "--device", "cpu", cwd=tmp_path, status=4).stderr
    assert "unrecognized arguments: --device" in refused


def test_a_project_that_asks(author: Environment, tmp_path: Path) -> None:
    (tmp_path / "test_layers.py").write_text(ASKING)
    (tmp_path / "pyproject.toml").write_text(ADDOPTS)
    tested = author.run(author.python, "-m", "pytest", "-s", "--device", "cpu", cwd=tmp_path).stdout
    assert "on cpu cpu\n" in tested
    (tmp_path / "pyproject.toml").unlink()
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["bicerin.testing.pytest_plugin"]\n')
    tested = author.run(author.python, "-m", "pytest", "-s", "--device", "cpu", cwd=tmp_path).stdout
    assert "on cpu cpu\n" in tested
