"""Plugins of other people's, written by the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Plugin:
    """A third party's plugin, to be built into a wheel.

    Attributes:
        name: the distribution.
        module: the text of its one module, which is named after it.
        layers: layer type -> class in the module.
        proto: what it adds to the schema.
        api: the layer API that it says it was written for.
    """

    name: str
    module: str
    layers: Mapping[str, str]
    proto: str = ""
    version: str = "1.0"
    api: int = 1
    dependencies: Sequence[str] = ("bicerin",)

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    def write(self, folder: Path) -> None:
        source = folder / self.package
        source.mkdir(parents=True)
        (source / "__init__.py").write_text(self.module)
        entries = "".join(f'{name} = "{self.package}:{cls}"\n' for name, cls in self.layers.items())
        if self.proto:
            (source / "schema.proto").write_text(self.proto)
            entries += f'\n[project.entry-points."bicerin.schemas"]\n{self.name} = "{self.package}:schema.binpb"\n'
        (folder / "pyproject.toml").write_text(
            f'[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n\n'
            f'[project]\nname = "{self.name}"\nversion = "{self.version}"\n'
            f"dependencies = {list(self.dependencies)}\n\n"
            f'[project.entry-points."bicerin.layer_api"]\n{self.api} = "bicerin.layer"\n\n'
            f'[project.entry-points."bicerin.layers"]\n{entries}'
        )
