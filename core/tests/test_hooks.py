"""Hooks of installed plugins: a broken one is logged, and hurts nobody."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
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
