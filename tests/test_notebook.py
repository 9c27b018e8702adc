"""examples/digits/digits.ipynb is run from its first cell to its last, and shows what it is there to show."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("examples")
    for name in ("digits", "mnist"):
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("*_lmdb", "*.solverstate"))
    notebook = nbformat.read(folder / "digits" / "digits.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without what was shown once"
    client = NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder / "digits")}})
    executed: list[Any] = client.execute().cells
    return executed


def shown(cells: list[Any], source: str, kind: str) -> str:
    """What a cell, found by a part of its source, shows in one form."""
    (cell,) = (cell for cell in cells if cell.cell_type == "code" and source in cell.source)
    found = [output["data"][kind] for output in cell.outputs if kind in output.get("data", {})]
    found += [output["text"] for output in cell.outputs if kind == output.get("name")]
    return "".join(found)


def test_the_net_is_a_table(cells: list[Any]) -> None:
    table = shown(cells, "net = bicerin.Net", "text/html")
    assert table.count("<tr>") == 1 + 11 and "20,522 parameters" in table and "conv2 1x16x8x8" in table
    assert "16x8x5x5" in table


def test_the_prediction(cells: list[Any]) -> None:
    assert "Prediction(label='9'" in shown(cells, "Classifier(net)", "text/plain")


@pytest.mark.parametrize("source", ['net.blobs["conv2"].data', 'net.params["conv1"]', "plt.plot"])
def test_activations_weights_and_the_training_curve_are_pictures(source: str, cells: list[Any]) -> None:
    assert len(shown(cells, source, "image/png")) > 1000


def test_the_training_learns(cells: list[Any]) -> None:
    assert "iteration 100 of 1700" in shown(cells, "bicerin.Solver", "text/html")
    said = shown(cells, "test_net", "stdout")
    assert float(said.rsplit(" ", 1)[1]) > 0.7, said
