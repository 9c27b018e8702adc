"""The core's rooms and who imports whom: every import runs downward, those in functions and for type checkers too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import bicerin

CORE = Path(bicerin.__file__).parent

#: From the ground up. A room imports from itself and from those before it; `bicerin` itself has names of all of them.
ROOMS = [
    "errors",
    "log",
    "kernels",
    "discovery",
    "device",
    "layer",
    "schema",
    "net",
    "parallel",
    "solver",
    "spec",
    "testing",
    "cli",
]
#: `import bicerin`: the package hands on names of all rooms but the command line, which alone may import it.
FACE = "bicerin"
#: What a plugin's package is made from is no part of the core.
APART = {"template", "__init__"}


def room_of(path: Path) -> str:
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the room of every import of the core's, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: a relative import"
            # `from bicerin import net` names a room, `from bicerin import Net` what the package hands on.
            names = (
                [f"bicerin.{alias.name}" for alias in node.names] if node.module == "bicerin" else [node.module or ""]
            )
        for name in names:
            parts = name.split(".")
            if parts[0] == "bicerin":
                yield node.lineno, parts[1] if len(parts) > 1 else FACE


def test_there_are_these_rooms_and_no_more() -> None:
    found = {
        path.stem if path.is_file() else path.name
        for path in CORE.iterdir()
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__")
    }
    assert found == {*ROOMS, *APART}


def test_no_import_runs_upward() -> None:
    upward = []
    for path in sorted(CORE.rglob("*.py")):
        room = room_of(path)
        if room in APART:
            continue
        for line, other in imported(path):
            if other == FACE and room == "cli":
                continue
            if other not in ROOMS or ROOMS.index(other) > ROOMS.index(room):
                upward.append(f"{path.relative_to(CORE)}:{line}: {room} imports {other}")
    assert not upward, "\n".join(upward)


def test_kernels_import_nothing_of_ours() -> None:
    for path in (CORE / "kernels").rglob("*.py"):
        assert {room for _, room in imported(path)} <= {"kernels"}, path
