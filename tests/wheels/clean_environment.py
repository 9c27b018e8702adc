"""Virtual environments to install real wheels in, as a user would."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]


def packages() -> list[Path]:
    """The folder of every distribution of this repository."""
    return [ROOT / "proto", ROOT / "core", *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def uv(*arguments: str | Path, cwd: Path | None = None) -> None:
    command = [sys.executable, "-m", "uv", "--quiet", "--no-config", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


@dataclass
class Environment:
    """A virtual environment of its own, whose installers know this repository's wheels."""

    folder: Path
    wheelhouse: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def install(self, *requirements: str | Path) -> None:
        uv("pip", "install", "--python", self.python, "--find-links", self.wheelhouse, *requirements)

    def uninstall(self, *names: str) -> None:
        uv("pip", "uninstall", "--python", self.python, *names)

    def run(
        self, *command: str | Path, cwd: Path | None = None, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, which must end with `status`."""
        # TOX_*: a tox that is run in here must not work in the environments of the one that runs these tests.
        foreign = ("PYTHON", "BICERIN", "TOX", "PYTEST")
        surroundings = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        configuration = self.folder / "config.toml"
        configuration.touch()  # of nobody's wishes: not that of whoever runs these tests
        surroundings |= {
            "PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "VIRTUAL_ENV": str(self.folder),
            "PIP_FIND_LINKS": f"{self.wheelhouse} {os.environ.get('PIP_FIND_LINKS', '')}".strip(),
            "UV_FIND_LINKS": str(self.wheelhouse),
            "PIP_NO_COMPILE": "1",  # what is run once is compiled when it is run
            "BICERIN_CONFIG": str(configuration),
            **self.variables,
            **variables,
        }
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.folder,
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        shown = f"{' '.join(map(str, command))}\nstatus {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == status, shown
        return done

    def bicerin(
        self, *arguments: str | Path, cwd: Path | None = None, status: int = 0, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        return self.run(self.folder / "bin" / "bicerin", *arguments, cwd=cwd, status=status, **variables)

    def script(self, text: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
        return self.run(self.python, "-c", text, cwd=cwd, **variables)
