"""Crop layers without parameters: the offsets that FCN's forks gave them, said when a net is built, and written."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.schema import read_net
from bicerin.spec.crop_alignment import aligned_offsets


def windowed(kind: str, name: str, bottom: str, kernel: int, stride: int = 1, pad: int = 0) -> str:
    field = "pooling_param { pool: MAX" if kind == "Pooling" else "convolution_param { num_output: 1 bias_term: false"
    sizes = f"kernel_size: {kernel} stride: {stride} pad: {pad}"
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{name}" {field} {sizes} }} }}\n'


def crop(name: str, bottom: str, reference: str, options: str = "") -> str:
    return f'layer {{ name: "{name}" type: "Crop" bottom: "{bottom}" bottom: "{reference}" top: "{name}" {options} }}\n'


def fcn8s(size: int = 32) -> str:
    """FCN-8s of J. Long et al. with one channel; its file of today has the offsets 5, 9 and 31."""
    text = (
        f'layer {{ name: "in" type: "Input" top: "data" input_param {{ shape {{ dim: [1, 1, {size}, {size}] }} }} }}\n'
    )
    last = "data"
    for stage, convolutions in enumerate((2, 2, 3, 3, 3), 1):
        for index in range(convolutions):
            name = f"conv{stage}_{index + 1}"
            text += windowed("Convolution", name, last, 3, pad=100 if name == "conv1_1" else 1)
            text += f'layer {{ name: "relu{name}" type: "ReLU" bottom: "{name}" top: "{name}" }}\n'
            last = name
        text += windowed("Pooling", f"pool{stage}", last, 2, 2)
        last = f"pool{stage}"
    text += windowed("Convolution", "fc6", last, 7) + windowed("Convolution", "score_fr", "fc6", 1)
    text += windowed("Deconvolution", "upscore2", "score_fr", 4, 2)
    text += windowed("Convolution", "score_pool4", "pool4", 1) + crop("score_pool4c", "score_pool4", "upscore2")
    text += 'layer { name: "fuse_pool4" type: "Eltwise" bottom: "upscore2" bottom: "score_pool4c" top: "fuse_pool4" }\n'
    text += windowed("Deconvolution", "upscore_pool4", "fuse_pool4", 4, 2)
    text += windowed("Convolution", "score_pool3", "pool3", 1) + crop("score_pool3c", "score_pool3", "upscore_pool4")
    text += 'layer { name: "fuse" type: "Eltwise" bottom: "upscore_pool4" bottom: "score_pool3c" top: "fuse_pool3" }\n'
    return text + windowed("Deconvolution", "upscore8", "fuse_pool3", 16, 8) + crop("score", "upscore8", "data")


def offsets(text: str) -> dict[str, list[int]]:
    layers = read_net(text).message.layer
    return {layers[index].name: offset for index, offset in aligned_offsets(layers).items()}


def test_fcn8s_has_its_published_offsets() -> None:
    assert offsets(fcn8s()) == {"score_pool4c": [5], "score_pool3c": [9], "score": [31]}


SIMPLE = 'layer { name: "in" type: "Input" top: "data" input_param { shape { dim: [1, 1, 4, 4] } } }\n'


@pytest.mark.parametrize(
    "text",
    [
        windowed("Convolution", "c", "data", 3, pad=1) + crop("out", "c", "data"),  # alignment is offset 0
        windowed("Convolution", "c", "data", 3, pad=35) + crop("out", "c", "data", "crop_param { offset: 3 }"),
        windowed("Convolution", "c", "data", 3, pad=35) + crop("out", "c", "data", "crop_param { }"),
        windowed("Convolution", "c", "data", 2, pad=5) + crop("out", "c", "data"),  # half a pixel
        windowed("Convolution", "c", "data", 3) + crop("out", "data", "unconnected"),
    ],
)
def test_nothing_to_say(text: str) -> None:
    assert offsets(SIMPLE + text) == {}


def test_sides_of_their_own() -> None:
    size = "kernel_h: 3 kernel_w: 1 pad_h: 4 pad_w: 2"
    text = f'layer {{ name: "c" type: "Convolution" bottom: "data" top: "c" convolution_param {{ {size} }} }}\n'
    assert offsets(SIMPLE + text + crop("out", "c", "data")) == {"out": [3, 2]}


def test_the_net_says_it_and_upgrade_writes_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = SIMPLE + windowed("Convolution", "c", "data", 3, pad=35) + crop("out", "c", "data")
    old, new = tmp_path / "old.prototxt", tmp_path / "new.prototxt"
    old.write_text(text)
    bicerin.Net(old)
    said = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1 and said[0].startswith('layer "out": Crop without crop_param') and "offset: 34 }" in said[0]
    checked = CliRunner().invoke(command_line, ["check", str(old)])
    assert checked.exit_code == 0 and said[0] in checked.output
    result = CliRunner().invoke(command_line, ["upgrade", "net", "--align-crops", str(old), str(new)])
    assert result.exit_code == 0 and 'upgraded layer "out": crop_param { offset: 34 }' in result.output
    caplog.clear()
    net = bicerin.Net(new)
    assert not caplog.records
    weight = net.params["c"][0].data
    weight[...] = 0
    weight[0, 0, 1, 1] = 1
    image = np.arange(16.0).reshape(1, 1, 4, 4)
    assert (net.forward(data=image)["out"] == image).all()
    # Without the option nothing is written that was not there.
    CliRunner().invoke(command_line, ["upgrade", "net", str(old), str(new)])
    assert "crop_param" not in new.read_text()


class TestAutoCrop:
    """The layer of that name aligns by itself."""

    def test_it_cuts_where_alignment_says(self) -> None:
        text = fcn8s()
        net = bicerin.Net(text.replace('"Crop"', '"AutoCrop"'), "TEST", seed=1)
        found = {node.name: node.layer.offsets for node in net.nodes if node.type == "AutoCrop"}
        assert found == {"score_pool4c": [5, 5], "score_pool3c": [9, 9], "score": [31, 31]}
        given = text
        for name, offset in (("score_pool4c", 5), ("score_pool3c", 9), ("score", 31)):
            given = given.replace(f'top: "{name}"  }}', f'top: "{name}" crop_param {{ offset: {offset} }} }}')
        other = bicerin.Net(given, "TEST", seed=1)
        random = np.random.default_rng(0)
        for name in net.params:
            net.params[name][0].data[...] = random.uniform(0, 0.3, net.params[name][0].shape)
            other.params[name][0].data[...] = net.params[name][0].data
        x = random.normal(size=(1, 1, 32, 32)).astype(np.float32)
        np.testing.assert_array_equal(net.forward(data=x)["score"], other.forward(data=x)["score"])

    @pytest.mark.parametrize(
        "text",
        [
            SIMPLE + windowed("Convolution", "c", "data", 2, pad=5) + crop("out", "c", "data"),
            SIMPLE + SIMPLE.replace('"in"', '"in2"').replace("data", "other") + crop("out", "data", "other"),
        ],
        ids=["half a pixel", "two inputs"],
    )
    def test_what_cannot_be_aligned(self, text: str) -> None:
        with pytest.raises(bicerin.BicerinError, match=r"(?s)out.*its bottoms cannot be aligned.*crop_param"):
            bicerin.Net(text.replace('"Crop"', '"AutoCrop"'), "TEST")
        bicerin.Net(
            text.replace('"Crop"', '"AutoCrop"').replace('top: "out"', 'top: "out" crop_param { offset: 0 }'), "TEST"
        )
