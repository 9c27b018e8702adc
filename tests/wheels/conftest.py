"""Real wheels of every package, and clean environments to install them in.

Nothing here imports Bicerin: what is tested is what an environment without this checkout makes of the wheels.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the modules beside the tests; --import-mode=importlib adds nothing

from clean_environment import Environment, packages, uv
from third_party import Plugin


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every package of this repository."""
    folder = tmp_path_factory.mktemp("wheels")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda package: uv("build", "--wheel", "--out-dir", folder, package), packages()))
    return folder


@pytest.fixture(scope="session")
def new_environment(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """A function that makes an environment with what is asked for."""

    def make(*requirements: str) -> Environment:
        folder = tmp_path_factory.mktemp("environment")
        uv("venv", "--python", sys.executable, "--allow-existing", folder)
        environment = Environment(folder, wheelhouse)
        if requirements:
            environment.install(*requirements)
        return environment

    return make


@pytest.fixture(scope="session")
def core_alone(new_environment: Callable[..., Environment]) -> Environment:
    return new_environment("bicerin")


@pytest.fixture(scope="session")
def author(new_environment: Callable[..., Environment]) -> Environment:
    """What the author of a plugin installs."""
    return new_environment("bicerin[testing]", "bicerin-proto[compile]")


@pytest.fixture(scope="session")
def everything(new_environment: Callable[..., Environment], wheelhouse: Path) -> Environment:
    """Every wheel of this repository."""
    return new_environment("bicerin-proto[compile]", *map(str, sorted(wheelhouse.glob("*.whl"))))


@pytest.fixture(scope="session")
def build(everything: Environment, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Plugin], Path]:
    """A function that makes a plugin's wheel, its schema compiled by the command for it."""

    def make(plugin: Plugin) -> Path:
        folder = tmp_path_factory.mktemp(plugin.package)
        plugin.write(folder)
        if plugin.proto:
            everything.bicerin("plugins", "proto", folder / plugin.package / "schema.proto")
        uv("build", "--wheel", "--out-dir", folder / "dist", folder)
        (wheel,) = (folder / "dist").glob("*.whl")
        return wheel

    return make


@pytest.fixture
def installed(everything: Environment, build: Callable[[Plugin], Path]) -> Iterator[Callable[..., Environment]]:
    """A function that installs plugins beside everything else, for one test."""
    names: list[str] = []

    def install(*plugins: Plugin) -> Environment:
        names.extend(plugin.name for plugin in plugins)
        everything.install(*map(build, plugins))
        return everything

    yield install
    if names:
        everything.uninstall(*names)
