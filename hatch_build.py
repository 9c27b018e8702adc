"""What the distribution of this folder depends on: every distribution of the repository, from its own folder."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class Everything(MetadataHookInterface):
    """Fills in `project.dependencies` as "NAME @ file:///.../FOLDER"."""

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root).resolve()
        plugins = sorted(path.parent for path in root.glob("plugins/*/pyproject.toml"))
        folders = [root / "proto", root / "core", *plugins]
        metadata["dependencies"] = [f"{_name(folder)} @ {folder.as_uri()}" for folder in folders]


def _name(folder: Path) -> str:
    project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]
    name: str = project["name"]
    return name
