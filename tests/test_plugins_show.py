"""`bicerin plugins show`: what is said of every installed layer, and the nets that it shows, which run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.cli.layer_description import LayerDescription, describe_layer
from bicerin.layer.layer import layers
from bicerin.schema.installed_schema import read_net

TYPES = sorted(layers.providers())
#: Layers whose inputs are records of a form, which zeros are not.
RECORDS = {"DetectNetTransformation", "DetectionEvaluate", "MultiBoxLoss"}
#: Layers that read files or arrays of the user's.
READERS = {
    *("AnnotatedData", "BoxData", "Data", "HDF5Data", "ImageData", "MemoryData", "WindowData"),
    *("DenseImageData", "ImageLabelmapData", "ImageSegData", "SegData", "VideoData"),
}


def run(*arguments: str, status: int = 0) -> Result:
    result = CliRunner().invoke(command_line, ["plugins", "show", *arguments])
    assert result.exit_code == status, result.output
    return result


@pytest.mark.parametrize("layer_type", TYPES)
def test_the_example_is_a_net_that_runs(layer_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = describe_layer(layer_type)
    assert found.text and found.blobs and found.example
    if layer_type in READERS:
        reads(found)
        return
    monkeypatch.chdir(tmp_path)
    net = bicerin.Net(found.example, "TRAIN")
    assert layer_type in {node.type for node in net.nodes}
    if layer_type not in RECORDS:
        net.run_forward()
    net.close()


def reads(layer: LayerDescription) -> None:
    """The example gives all that the layer needs but for its files, and no field that it does not know."""
    assert read_net(layer.example).message.layer[-1].type == layer.type
    assert re.search(r'source: "|memory_data_param', layer.example)
    if layer.type == "MemoryData":
        bicerin.Net(layer.example, "TRAIN").close()
        return
    with pytest.raises(bicerin.BicerinError, match=r"does not exist|no such file|cannot be opened"):
        bicerin.Net(layer.example, "TRAIN")


def parameters(layer_type: str) -> dict[str, tuple[str, str, str, tuple[str, ...]]]:
    found: LayerDescription = describe_layer(layer_type)
    return {one.name: (one.type, one.default, one.comment, one.added_by) for one in found.parameters}


def test_parameters_are_those_that_the_layer_honours() -> None:
    pooling = parameters("Pooling")
    assert pooling["pooling_param.stride"][:2] == ("uint32", "1")
    assert (
        pooling["pooling_param.pool"][0].startswith("MAX | AVE | STOCHASTIC")
        and pooling["pooling_param.pool"][1] == "MAX"
    )
    kind, default, comment, added_by = pooling["pooling_param.ceil_mode"]
    assert (kind, default, added_by) == ("bool", "true", ("bicerin-pooling",))
    assert comment.startswith("Whether the last window may reach over the edge")
    assert all(not added or "bicerin-pooling" in added for *_, added in pooling.values()), "fields of other packages"
    assert parameters("Convolution")["convolution_param.kernel_size"][0] == "repeated uint32"
    of_lists = parameters("ImageData")
    assert "image_data_param.source" in of_lists and "data_param.prefetch" in of_lists
    assert "data_param.source" not in of_lists, "what a base reads of another layer's message is all that counts of it"
    convolution = parameters("Convolution")
    rectifying = {"convolution_param.relu", "convolution_param.negative_slope"}
    assert {name for name, (*_, added) in convolution.items() if added} == rectifying, "a Deconvolution refuses them"
    assert parameters("Deconvolution") == {name: one for name, one in convolution.items() if name not in rectifying}
    assert parameters("ROIPooling")["roi_pooling_param.pooled_h"][2] == "Rows and columns of bins."


def test_what_is_printed() -> None:
    said = run("Pooling", "ReLU").stdout
    for text in (
        "Pooling, of bicerin-pooling", "Source: Caffe's PoolingLayer.", "1 to 2", "ONNX", "pooling_param.kernel_size",
        "ReLU, of bicerin-activation", '  type: "ReLU"\n',
    ):  # fmt: skip
        assert text in said
    (found,) = json.loads(run("Pooling", "--json").stdout)
    assert (found["type"], found["bottom"], found["top"]) == ("Pooling", "1", "1 to 2")
    assert {"name", "type", "default", "comment", "added_by"} == found["parameters"][0].keys()


def test_a_type_that_is_not_there() -> None:
    assert 'Did you mean "Pooling"' in run("Poling", status=1).stderr


def test_every_parameter_of_every_layer_says_what_it_means() -> None:
    """A field's comment in the .proto is what people read of it; its type and default stand beside it."""
    silent = [
        f"{name}: {one.name}"
        for name in layers.providers()
        for one in describe_layer(name).parameters
        if not one.comment.strip()
    ]
    assert not silent
