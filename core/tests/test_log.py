"""The log, and errors: what stands in names is shown and not obeyed; who sees it where nobody listens."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import bicerin
from bicerin.log import has_listener

CODE = """
import sys
{before}
import bicerin, logging
{after}
logging.getLogger("bicerin.net").info("a net")
logging.getLogger("bicerin.net").warning("a %s", "warning\\nI1129 line\\x1b[2J")
"""

NOTEBOOK = """
import types
sys.modules["IPython"] = types.SimpleNamespace(get_ipython=lambda: object())
"""


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", ["warning: a warning\\nI1129 line\\x1b[2J"]),
        ("sys.ps1 = '>>> '", "", ["a net", "warning: a warning\\nI1129 line\\x1b[2J"]),
        (NOTEBOOK, "", ["a net", "warning: a warning\\nI1129 line\\x1b[2J"]),
        (
            NOTEBOOK,
            "logging.basicConfig(format='mine: %(message)s')",
            ["mine: a net", "mine: a warning\\nI1129 line\\x1b[2J"],
        ),
        (NOTEBOOK, "logging.getLogger('bicerin').setLevel('ERROR')", []),
        ("", "logging.basicConfig(format='mine: %(message)s')", ["mine: a warning\\nI1129 line\\x1b[2J"]),
    ],
)  # fmt: skip
def test_who_sees_what(before: str, after: str, expected: list[str]) -> None:
    code = CODE.format(before=before, after=after)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == expected


def test_a_handler_of_the_programs_own_is_a_listener() -> None:
    logger = logging.getLogger("bicerin")
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        assert has_listener()
    finally:
        logger.removeHandler(handler)


EVIL = r"x\nI1129 02:30:00.000000 1 solver.py:232] Optimization Done.\033]0;owned\007\033[2J"


@pytest.mark.parametrize(
    "text",
    [
        f'layer {{ name: "{EVIL}" type: "Split" top: "y" }}',
        f'layer {{ name: "a" type: "{EVIL}" top: "y" }}',
        f'layer {{ name: "a" type: "Split" bottom: "{EVIL}" top: "y" }}',
        f'layer {{ name: "{EVIL}" type: "Split" bottom: "{EVIL}" top: "y" }}',
        f'layer {{ name: "a" type: "Input" top: "{EVIL}" top: "{EVIL}" }}',
        f'layer {{ name: "a" type: "Split" bottom: "{"b" * 10**6}" top: "y" }}',
    ],
)
def test_names_in_errors(text: str) -> None:
    with pytest.raises(bicerin.BicerinError) as raised:
        bicerin.Net(text)
    _check_text(str(raised.value))


@pytest.mark.parametrize(
    "use",
    [
        lambda net, name: net.forward(**{name: [1]}),
        lambda net, name: net.forward([name]),
        lambda net, name: net.blob(name),
        lambda net, name: net.layer(name),
        lambda net, name: net.load_weights(name),
        lambda net, name: bicerin.get_device(name),
    ],
)
def test_names_that_a_program_gives(use: Callable[[Any, str], Any]) -> None:
    net = bicerin.Net('layer { name: "in" type: "Input" top: "x" }')
    for name in (EVIL.encode().decode("unicode_escape"), "y" * 10**6):
        with pytest.raises(bicerin.BicerinError) as raised:
            use(net, name)
        _check_text(str(raised.value))


def _check_text(text: str) -> None:
    assert "\x1b" not in text and "\x07" not in text
    assert len(text) < 20_000
    assert not any(line.startswith("I1129") for line in text.splitlines())
