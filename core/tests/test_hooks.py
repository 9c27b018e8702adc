"""Hooks of installed plugins: a broken one is logged, and hurts nobody."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.cli.train_options import train_options
from bicerin.net.hooks import plugins

NET = 'name: "n" layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 } } }'
HEAD = "from bicerin.net.hooks import hookimpl\nbuilt = []\n"
GOOD = "@hookimpl\ndef bicerin_net_built(net): built.append(net.name)\n"


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    plugins.cache_clear()
    yield
    plugins.cache_clear()


@pytest.mark.parametrize(
    ("source", "warning"),
    [
        ("", None),
        ("raise OSError('no library')\n", "other 1.0 cannot be imported"),
        ("@hookimpl\ndef bicerin_net_built(network): pass\n", r"the hooks of other 1.0 .* are left out: .*'network'"),
        ("@hookimpl\ndef bicerin_net_bulit(net): pass\n", "unknown hook 'bicerin_net_bulit'"),
    ],
)
def test_a_broken_plugin_beside_another(
    source: str,
    warning: str | None,
    provided: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in (("other", source), ("sound", GOOD)):
        module = f"{tmp_path.name}_{name}"
        (tmp_path / f"{module}.py").write_text(HEAD + text)
        provided.add("bicerin.plugins", name, module, name)
    with caplog.at_level(logging.WARNING):
        bicerin.Net(NET)
    assert __import__(module).built == ["n"]
    said = " ".join(record.message for record in caplog.records).replace("\n", " ")
    assert re.search(warning, said) if warning else not said


def test_what_a_plugin_says_of_a_net(
    provided: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = f"{tmp_path.name}_says"
    hook = "@hookimpl\ndef bicerin_net_warnings(layers): return [f'{layer.name} is odd' for layer in layers]\n"
    (tmp_path / f"{module}.py").write_text(HEAD + hook)
    provided.add("bicerin.plugins", "says", module, "says")
    with caplog.at_level(logging.WARNING):
        bicerin.Net(NET)
    assert "data is odd" in [record.getMessage() for record in caplog.records]
    (tmp_path / "net.prototxt").write_text(NET)
    assert "warning: data is odd" in CliRunner().invoke(command_line, ["check", str(tmp_path / "net.prototxt")]).output


class TestTrainOptions:
    """Options of `bicerin train` that plugins add."""

    @pytest.fixture(autouse=True)
    def _option(self, provided: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        self.module = f"{tmp_path.name}_option"
        Path(f"{self.module}.py").write_text(
            '"""Count the steps in a file.\n\nMore."""\n'
            "from pathlib import Path\n"
            "from bicerin.errors import BicerinError\n"
            "from bicerin.net.hooks import hookimpl\n"
            "class Hooks:\n"
            "    def __init__(self, path): self.path = path\n"
            "    @hookimpl\n"
            "    def bicerin_solver_stop(self, solver): Path(self.path).write_text(str(solver.iteration))\n"
            "def hooks(path):\n"
            "    if path == 'no': raise BicerinError('no is no file')\n"
            "    return Hooks(path)\n"
        )
        provided.add("bicerin.train_options", "count-steps", f"{self.module}:hooks", "counter")
        Path("net.prototxt").write_text(NET)
        Path("solver.prototxt").write_text(
            'net: "net.prototxt" base_lr: 0.1 lr_policy: "fixed" max_iter: 3 snapshot_after_train: false'
        )

    @staticmethod
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(command_line, ["train", *arguments])

    def test_it_is_in_the_help_and_not_imported(self) -> None:
        said = " ".join(self.run("--help").output.split())
        assert "--count-steps PATH Count the steps in a file. [counter]" in said
        assert self.module not in sys.modules

    def test_it_makes_hooks_of_the_solver(self) -> None:
        result = self.run("solver.prototxt", "--count-steps", "count.txt")
        assert result.exit_code == 0, result.output
        assert Path("count.txt").read_text() == "3"

    def test_what_it_refuses(self) -> None:
        result = self.run("solver.prototxt", "--count-steps", "no")
        assert result.exit_code == 1
        assert "no is no file" in result.stderr

    def test_two_that_bring_it(self, provided: Any) -> None:
        provided.add("bicerin.train_options", "count-steps", "elsewhere:hooks", "another")
        assert "Several installed distributions bring this option." in " ".join(self.run("--help").output.split())
        result = self.run("solver.prototxt", "--count-steps", "count.txt")
        assert result.exit_code == 1
        assert 'option of bicerin train "count-steps" is provided by 2 installed distributions' in result.stderr

    def test_one_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "No such option '--unheard-of'" in self.run("solver.prototxt", "--unheard-of", "runs").stderr
        monkeypatch.setattr(train_options, "known", {"unheard-of": "bicerin-other"}.get)
        said = self.run("solver.prototxt", "--unheard-of", "runs").stderr
        assert "No such option '--unheard-of'. It comes with bicerin-other: pip install bicerin-other" in said
