"""The tests name the engine themselves, and keep their choices apart from the user's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file of choices."""
    from bicerin.kernels import choices

    path = tmp_path / "choices.json"
    monkeypatch.setenv("BICERIN_CHOICES", str(path))
    monkeypatch.setattr(choices, "_chosen", {})
    monkeypatch.setenv("BICERIN_ENGINE", "onednn")
    return path
