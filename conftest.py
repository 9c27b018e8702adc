"""The suites ask for the pytest plugin of the test kit: the option `--device`, the fixtures `device`, `run_layer`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

# The environments that test the schema alone, or the wheels, have no Bicerin of their own.
pytest_plugins = ["bicerin.testing.pytest_plugin"] if find_spec("bicerin") is not None else []

# Layers are tested by themselves, whatever engines the environment has; tests of an engine name it.
os.environ.setdefault("BICERIN_ENGINE", "caffe")


class Provided:
    """The index of installed plugins for one test, which may change it: group -> name -> providers."""

    def __init__(self, index: dict[str, dict[str, tuple[Any, ...]]]) -> None:
        self.index = index

    def add(
        self, group: str, name: str, value: str, distribution: str = "test-plugin", version: str = "1.0", api: int = 1
    ) -> Any:
        """A further provider of a name."""
        from bicerin.discovery.registry import Provider

        provider = Provider(group, name, value, distribution, version, api)
        names = self.index.setdefault(group, {})
        names[name] = (*names.get(name, ()), provider)
        return provider

    def layer(self, cls: Any) -> None:
        """Make a class the layer of its type, as if a plugin brought it."""
        from bicerin.layer import layers

        self.index["bicerin.layers"].pop(cls.type, None)
        layers._loaded[self.add("bicerin.layers", cls.type, f"{cls.__module__}:{cls.__name__}")] = cls


@pytest.fixture
def provided(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provided]:
    """The installed plugins, and what the test adds to them."""
    from bicerin.discovery import registry

    registry.forget_plugins()
    index = {group: dict(names) for group, names in registry.plugin_index().items()}
    monkeypatch.setattr(registry, "plugin_index", lambda: index)
    yield Provided(index)
    registry.forget_plugins()
