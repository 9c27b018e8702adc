"""The schema: each fork's numbers are read, and the text of them all."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

import bicerin_proto
from bicerin.errors import DecodeError
from bicerin.schema.installed_schema import read_net, schema
from bicerin.testing.binary_layer import read_binary_layer
from bicerin_proto.wire import VARINT, delimited, tag

#: Of each fork: the number of video_data_param, then those of some of its fields.
FORKS: dict[str, tuple[int, dict[str, int]]] = {
    "yjxiong": (140, {"batch_size": 4, "new_height": 9, "new_length": 11, "num_segments": 12, "grayscale": 16}),
    "yjxiong-3d": (140, {"batch_size": 4, "new_length": 11, "length_first": 16, "step": 17, "grayscale": 18}),
    "c3d": (6660, {"batch_size": 4, "new_height": 9, "new_length": 13, "is_color": 11, "sampling_rate": 17}),
    "video-caffe": (7777, {"new_length": 9, "new_height": 10, "new_width": 11, "is_color": 12}),
}


def read(fork: str | None, number: int, fields: dict[int, int]) -> Any:
    """The `VideoDataParameter` of a binary file: a source, and these fields of numbers."""
    param = delimited(1, b"list.txt") + b"".join(tag(one, VARINT) + bytes([value]) for one, value in fields.items())
    return read_binary_layer("VideoData", number, param, fork).video_data_param


@pytest.mark.parametrize("fork", FORKS)
def test_the_numbers_of_each_fork(fork: str) -> None:
    number, fields = FORKS[fork]
    param = read(fork, number, dict.fromkeys(fields.values(), 1))
    assert {field.name: value for field, value in param.ListFields()} == {
        "source": "list.txt",
        **dict.fromkeys(fields, 1),
    }


def test_what_only_one_branch_has_tells_it() -> None:
    assert read(None, 140, {12: 3, 4: 2, 15: 1}).num_segments == 3
    assert read(None, 140, {17: 2, 4: 2}).step == 2
    assert read(None, 6660, {13: 16, 15: 1}).use_image
    assert read(None, 7777, {9: 16}).new_length == 16


def test_a_number_that_two_branches_use_differently_is_an_error() -> None:
    with pytest.raises(DecodeError, match="field 16 of a VideoDataParameter means different things"):
        read(None, 140, {16: 1})


def test_a_camera() -> None:
    param = read_binary_layer("VideoData", 207, tag(1, VARINT) + b"\x01" + delimited(3, b"a.avi")).video_data_param
    assert param.video_type == param.VIDEO and param.video_file == "a.avi"


@pytest.mark.parametrize("text", [
    'layer { video_data_param { source: "l" num_segments: 3 modality: RGB name_pattern: "%04d.png" grayscale: true } }',
    'layer { video_data_param { source: "l" use_image: true sampling_rate: 2 use_multiple_label: true } }',
    'layer { video_data_param { video_type: VIDEO video_file: "v" skip_frames: 1 } }',
    'layer { convolution3d_param { kernel_depth: 3 temporal_pad: 1 } pooling3d_param { pool: AVE kernel_depth: 2 } }',
    'layer { convolution_param { kernel_shape { dim: 3 dim: 3 } } pooling_param { stride_shape { dim: 1 dim: 2 } } }',
    'layer { batch_reduction_param { level: 1 pos: true reduction_param { operation: TOPK k: 3 } } }',
    'layers { type: VIDEO_DATA image_data_param { source: "l" new_length: 16 use_image: true mean_value: 9 } }',
])  # fmt: skip
def test_text(text: str) -> None:
    net = bicerin_proto.read_net(text, schema(), upgrade=False).message
    assert type(net).FromString(net.SerializeToString()) == net


def test_the_layers_of_c3d_1_0() -> None:
    net = read_net(
        'layers { type: CONVOLUTION3D name: "c" convolution_param { kernel_depth: 3 } } '
        'layers { type: POOLING3D name: "p" } layers { type: VIDEO_DATA name: "v" }'
    ).message
    assert [layer.type for layer in net.layer] == ["Convolution3D", "Pooling3D", "VideoData"]


def test_the_compiled_schema_is_current() -> None:
    assert bicerin_proto.check_current(files("bicerin_video") / "video.proto")
