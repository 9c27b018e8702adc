"""`caffe.draw`: a net as a graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

import caffe.draw
from caffe.proto import caffe_pb2

NET = """
name: "drawn"
layer { name: "data" type: "Data" top: "data" top: "label" include { phase: TRAIN }
  data_param { batch_size: 64 } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 3 }
  convolution_param { num_output: 7 kernel_size: 5 stride: 2 } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { pool: AVE kernel_size: 2 } }
layer { name: "acc" type: "Accuracy" bottom: "pool" bottom: "label" top: "acc" include { phase: TEST } }
"""


@pytest.fixture
def net() -> Any:
    return text_format.Parse(NET, caffe_pb2.NetParameter())


@pytest.mark.parametrize(
    ("phase", "names"), [(None, "data conv relu pool acc"), (0, "data conv relu pool"), (1, "acc")]
)
def test_the_graph_has_the_layers_of_the_phase(phase: int | None, names: str, net: Any) -> None:
    text = caffe.draw.get_pydot_graph(net, "LR", phase=phase).to_string()
    assert all(f'"{name}\\n(' in text for name in names.split())
    assert phase != caffe.TEST or '"data\\n(' not in text


def test_labels(net: Any) -> None:
    layers = {layer.name: layer for layer in net.layer}
    assert caffe.draw.get_layer_label(layers["conv"], "LR") == (
        '"conv\\n(Convolution)\\nkernel size: 5\\nstride: 2\\npad: 0"'
    )
    assert caffe.draw.get_layer_label(layers["pool"], "TB") == '"pool (Pooling AVE) kernel size: 2 stride: 1 pad: 0"'
    assert "lr mult: 3.0" in caffe.draw.get_layer_label(layers["conv"], "LR", display_lrm=True)
    edges = {name: caffe.draw.get_edge_label(layer) for name, layer in layers.items()}
    assert edges == {"data": "Batch 64", "conv": "7", "relu": '""', "pool": '""', "acc": '""'}
    assert caffe.draw.get_pooling_types_dict()[1] == "AVE"
    assert caffe.draw.choose_color_by_layertype("Pooling") == "#FF9900"


def test_multipliers_of_the_learning_rate(net: Any) -> None:
    layers = {layer.name: layer for layer in net.layer}
    assert caffe.draw.get_layer_lr_mult(layers["conv"]) == (3, 1)
    with pytest.raises(ValueError, match="ReLU layers do not have a learning rate multiplier"):
        caffe.draw.get_layer_lr_mult(layers["relu"])
    layers["conv"].param.add(), layers["conv"].param.add()
    with pytest.raises(ValueError, match="Could not parse"):
        caffe.draw.get_layer_lr_mult(layers["conv"])


def test_a_graph_that_grows_downwards_has_boxes_of_one_line(net: Any) -> None:
    assert "conv (Convolution) kernel size: 5" in caffe.draw.get_pydot_graph(net, "TB").to_string()


def test_edges_say_how_many_outputs(net: Any) -> None:
    assert "label=7" in caffe.draw.get_pydot_graph(net, "LR").to_string().replace('"', "")
    assert "label=7" not in caffe.draw.get_pydot_graph(net, "LR", label_edges=False).to_string().replace('"', "")


def test_draw_net_to_file_as_text(net: Any, tmp_path: Path) -> None:
    caffe.draw.draw_net_to_file(net, str(tmp_path / "net.raw"))
    text = (tmp_path / "net.raw").read_text()
    assert text.startswith("digraph") and caffe.draw.draw_net(net, "LR", ext="raw").decode() == text


def test_a_picture_is_drawn_by_graphviz(net: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program `dot` is stood in for: what is asked of it is the format and the graph."""
    program = tmp_path / "dot"
    program.write_text('#!/bin/sh\necho "$1"; cat "$2" 2>/dev/null; exit 0\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert caffe.draw.draw_net(net, "LR").startswith(b"-Tpng")


def test_without_graphviz_the_error_says_where_to_get_it(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match="Install Graphviz"):
        caffe.draw.draw_net(net, "LR")


def test_nets_of_older_formats_are_drawn() -> None:
    old = 'layers { name: "conv" type: CONVOLUTION bottom: "x" top: "y" convolution_param { num_output: 7 } }'
    net = text_format.Parse(old, caffe_pb2.NetParameter())
    text = caffe.draw.get_pydot_graph(net, "LR").to_string()
    assert '"conv\\n(Convolution)' in text and "layers" in str(net)
