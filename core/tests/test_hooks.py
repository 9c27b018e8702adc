"""Hooks of installed plugins: a broken one is logged, and hurts nobody."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import bicerin
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
