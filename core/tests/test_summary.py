"""A net's layers as a table."""

from __future__ import annotations

import pytest
from small_solver import NET

import bicerin


@pytest.fixture(autouse=True)
def _layers(provided) -> None:
    """Every test here uses the layers of conftest."""


def test_a_net_as_a_table() -> None:
    net = bicerin.Net(NET.replace('"data"', r'"<b>\033&"'))
    html = net._repr_html_()
    assert html.count("<tr>") == 1 + 4
    assert r"&lt;b&gt;\x1b&amp; 4x3" in html and "<b>" not in html
    summary = net.summary()
    (layer,) = (one for one in summary.layers if one.name == "a")
    assert (layer.type, layer.parameters, layer.parameter_count) == ("Affine", ((3,), (3,)), 6)
    assert summary.parameter_count == 6
    lines = str(summary).splitlines()
    assert lines[0] == repr(net) and lines[-1].startswith("6 parameters, ")
    (row,) = (line.split() for line in lines if line.startswith("a "))
    assert "4x3" in row and row[1] == "Affine" and "6" in row


def test_what_is_shared_is_counted_once() -> None:
    shared = 'layer { name: "NAME" type: "Affine" bottom: "x" top: "NAME" param { name: "w" } param { name: "v" } }'
    net = bicerin.Net(
        'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }'
        + shared.replace("NAME", "a")
        + shared.replace("NAME", "b")
    )
    assert [layer.parameter_count for layer in net.summary().layers if layer.parameters] == [6, 0]
    assert net.summary().parameter_count == sum(blob.count for blob in net.learnable_params)
