"""What the pages say and no other test runs: examples about layers, and the command that installs a clone."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin.testing import CHECKS, layer_case

ROOT = Path(__file__).parents[1]
PLUGIN_PAGE = (ROOT / "docs" / "write-a-layer-plugin.md").read_text("utf-8")
MORE_PAGE = (ROOT / "docs" / "more-about-layer-plugins.md").read_text("utf-8")


@pytest.fixture
def half_square_loss(provided: Any) -> None:
    (source,) = (text for text in re.findall(r"```python\n(.*?)```", MORE_PAGE, re.S) if "HalfSquareLoss" in text)
    names: dict[str, Any] = {"__name__": __name__}
    exec(source, names)
    provided.layer(names["HalfSquareLossLayer"])


@pytest.mark.usefixtures("half_square_loss")
def test_the_loss_of_the_plugin_page() -> None:
    case = layer_case(
        "page", 'type: "HalfSquareLoss"', [(4, 1), lambda random: random.integers(0, 10, (4, 1))], batched=(0, 1)
    )
    for check in CHECKS.values():
        check(case, "cpu")
    net = bicerin.Net(
        "force_backward: true "
        'layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 2 } shape { dim: 2 } } } '
        'layer { name: "l" type: "HalfSquareLoss" bottom: "x" bottom: "t" top: "l" }',
        "TRAIN",
    )
    net.blobs["x"].data[...] = [3, 5]
    net.blobs["t"].data[...] = [1, 5]
    assert net.forward_backward() == 1
    assert np.array_equal(net.blobs["x"].diff, [1, 0])


def test_the_loop_of_the_plugin_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled and as array code it gives what it is said to."""
    (source,) = (text for text in re.findall(r"```python\n(.*?)```", MORE_PAGE, re.S) if "leak_array" in text)
    (tmp_path / "page_leak_kernels.py").write_text(source, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "page_leak_kernels", raising=False)
    module = importlib.import_module("page_leak_kernels")
    x = np.array([[[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]]])
    for run in (module.leak, lambda *arguments: module.leak.array(np, *arguments)):
        y = np.full_like(x, np.nan)
        run(x, np.array([0.5, 0.1]), y)
        assert np.allclose(y, [[[1, 0.5, 2.25], [3, 0.3, 0.03]]], rtol=1e-12)


def test_the_command_that_installs_a_clone() -> None:
    """tests/wheels runs it."""
    assert "\n    pip install .\n" in (ROOT / "README.md").read_text("utf-8")
    assert "`pip install /path/to/bicerin` comes before them" in PLUGIN_PAGE


PAGES = sorted({*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), *ROOT.glob("plugins/*/*.md"), *ROOT.glob("examples/*/*.md")})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    """To a file of the repository, and to one of its headings."""
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        name, _, heading = link.partition("#")
        target = page.parent / name if name else page
        if ":" not in link and (not target.exists() or (heading and heading not in headings(target))):
            wrong.append(link)
    assert not wrong


def headings(page: Path) -> set[str]:
    """What GitHub calls the headings of a page in links."""
    lines = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
