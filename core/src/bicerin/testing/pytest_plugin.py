"""The pytest plugin that comes with Bicerin: the option `--device` and fixtures for layer tests.

It does nothing until a project asks for it, in its `pyproject.toml`, as what `bicerin plugins new` writes does,

    [tool.pytest.ini_options]
    addopts = "-p bicerin.testing.pytest_plugin"

or in the `conftest.py` beside that file: `pytest_plugins = ["bicerin.testing.pytest_plugin"]`. Other people's projects
may have an option and a fixture of these names.

A test that takes `device` runs once for each device that was asked for: `pytest --device cpu --device gpu`. Where a
device that was asked for cannot be used, no test is run, and one line says why; one that was not is not mentioned.
Those tests have the mark `device`: `pytest --device gpu -m device` leaves out the rest, which no device changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("bicerin").addoption(
        "--device",
        action="append",
        default=[],
        metavar="NAME",
        help="run layer tests on this device (cpu, gpu, gpu:1, emulated); may be given several times; default: cpu",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "device: a test that runs once for each --device")
    from bicerin.device.device import get_device
    from bicerin.errors import BicerinError

    for name in config.getoption("--device"):
        try:
            get_device(name)
        except BicerinError as error:
            raise pytest.UsageError(f"--device {name}: {' '.join(str(error).split())}") from None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        metafunc.parametrize("device", metafunc.config.getoption("--device") or ["cpu"])


@pytest.hookimpl(tryfirst=True)  # Before `-m` chooses.
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "device" in getattr(item, "fixturenames", ()):
            item.add_marker("device")


@pytest.fixture
def run_layer(device: str) -> Callable[..., Any]:
    """`bicerin.testing.run_layer` on the device under test."""
    from functools import partial

    from bicerin.testing import run_layer as run

    return partial(run, device=device)
