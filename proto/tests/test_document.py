"""Reading nets and solvers from paths, text, bytes and messages."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bicerin_proto import DecodeError, ParseError, ProtoError, default_schema, read_net, read_solver, write_binary
from bicerin_proto.content import read_content

TEXT = 'name: "n"\nlayer { name: "a" type: "ReLU" }\n'


@pytest.mark.parametrize("source", ["name: 'n'", " name:'n'", "layer {}", "a\nb", "a: b", "layer { name: 'models/x' }"])
def test_a_str_that_is_text(source):
    assert read_content(source).text == source


@pytest.mark.parametrize("source", ["net.prototxt", "models/net", "C:\\nets\\net.prototxt", "a b", "models/a:b"])
def test_a_str_that_is_a_path(source):
    with pytest.raises(ProtoError, match="no such file") as error:
        read_content(source)
    assert str(Path(source)) in str(error.value)
    assert str(Path.cwd()) in str(error.value)


def test_text_and_binary_are_told_apart_by_what_is_in_them(tmp_path):
    text, binary = tmp_path / "net.caffemodel", tmp_path / "net.prototxt"
    text.write_text(TEXT)
    message = read_net(TEXT).message
    write_binary(message, binary)
    for path in (text, binary, str(text), str(binary)):
        document = read_net(path)
        assert document.message == message
        assert document.path == Path(path)
    assert read_net(text).location(0) == f"{text}:2"
    assert read_net(binary).line(0) is None
    assert read_net(binary).location(0) == str(binary)
    assert read_net(message.SerializeToString()).message == message
    assert read_net(message.SerializeToString()).name == "<bytes>"


@pytest.mark.parametrize("length", range(1, 40))
def test_a_name_of_any_length_does_not_make_binary_look_like_text(tmp_path, length):
    # The first bytes of a net are the field `name` and its length: "\n" and what may be another harmless character.
    path = tmp_path / "net"
    net = default_schema().NetParameter(name="n" * length)
    net.layer.add(name="l" * length, type="ReLU")
    write_binary(net, path)
    assert read_net(path).message == net


def test_comments_need_not_be_utf8_and_a_byte_order_mark_is_dropped(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_bytes(b"\xef\xbb\xbf# \xe7\xe9\xff comment\n" + TEXT.encode())
    assert read_net(path).message.name == "n"
    path.write_bytes(b'# ok\nname: "\xe7\xe9"\n')
    with pytest.raises(ParseError, match=r":2:7: The string for \"name\" is not UTF-8"):
        read_net(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\n", "Git LFS pointer"),
        (b"<!DOCTYPE html>", "web page"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"\xff\xfen\x00", "UTF-16"),
        (b"\x00\x01\x02garbage", "not a binary NetParameter .*invalid field number 0"),
        (b"\x0a\x05ab", "not a binary NetParameter .4 bytes.: truncated: field 1 at byte 0 needs 3 more bytes"),
    ],
)
def test_files_that_are_no_nets(tmp_path, data, message):
    path = tmp_path / "net"
    path.write_bytes(data)
    with pytest.raises(ProtoError, match=message) as error:
        read_net(path)
    assert str(path) in str(error.value)


def test_empty_and_wrong_sources(tmp_path):
    with pytest.raises(ProtoError, match="empty string"):
        read_net("")
    with pytest.raises(DecodeError, match="empty"):
        read_net(b"")
    with pytest.raises(ProtoError, match="is a folder"):
        read_net(tmp_path)
    with pytest.raises(TypeError, match="got int"):
        read_net(3)
    with pytest.raises(TypeError, match=r"expected a NetParameter, got a caffe\.SolverParameter"):
        read_net(default_schema().SolverParameter())


def test_a_message_is_copied():
    net = default_schema().NetParameter(name="n", input=["data"], input_dim=[1, 2, 3, 4])
    document = read_net(net)
    assert document.message.layer[0].type == "Input"
    assert list(net.input) == ["data"]
    assert (document.name, document.line(0), document.location(0)) == ("<message>", None, "<message>")


def test_one_log_line_says_what_was_upgraded(tmp_path, caplog):
    path = tmp_path / "old.prototxt"
    path.write_text('input: "data"\ninput_dim: 1 input_dim: 1 input_dim: 1 input_dim: 1\nlayers { type: RELU }\n')
    with caplog.at_level(logging.INFO, "bicerin.proto"):
        document = read_net(path)
    assert caplog.messages == [f"{path}: upgraded 1 V1 layer to V2; 1 input field to an Input layer"]
    assert [document.line(index) for index in (0, 1)] == [1, 3]
    assert read_net(path, upgrade=False).message.layers[0].type == 18


def test_old_fields_that_caffe_ignores_are_reported(caplog):
    net = read_net('layer { name: "d" type: "Data" data_param { scale: 2 } }').message
    assert not net.layer[0].HasField("transform_param")
    assert 'data_param.scale of layer "d"' in caplog.text


def test_solver_snapshot_prefix(tmp_path):
    path = tmp_path / "lenet_solver.prototxt"
    for given, expected in [
        ("", tmp_path / "lenet_solver"),
        (f'snapshot_prefix: "{tmp_path}"', tmp_path / "lenet_solver"),
        ('snapshot_prefix: "out/x"', Path("out/x")),
    ]:
        path.write_text(f"base_lr: 1\n{given}\n")
        assert Path(read_solver(path).message.snapshot_prefix) == expected
    assert read_solver("base_lr: 1").message.snapshot_prefix == ""


def test_an_upgrade_that_fails_names_the_file_and_the_line(tmp_path):
    path = tmp_path / "old.prototxt"
    path.write_text('# old\nlayers { layer { name: "a" type: "conf" } }')
    with pytest.raises(ParseError) as error:
        read_net(path)
    assert str(error.value) == f'{path}:2:1: layer "a": unknown V0 layer type "conf". Did you mean "conv"?'
    with pytest.raises(ProtoError, match=r'^<message>: layer "a": unknown V0 layer type'):
        read_net(read_net(path, upgrade=False).message)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b"\x0a\x01\xe9", "name"),
        (b"\x1a\x01a\x1a\x01\xe9", r"input\[1\]"),
        (b"\xa2\x06\x00\xa2\x06\x03\x0a\x01\xe9", r"layer\[1\]\.name"),
        (b"\x12\x03\x22\x01\xe9", r"layers\[0\]\.name"),
    ],
)
def test_strings_in_binary_are_utf8(data, field):
    with pytest.raises(DecodeError, match=rf'^<bytes>: {field} is not UTF-8: "\\xe9"$'):
        read_net(data)
    with pytest.raises(DecodeError, match=f"^<message>: {field} is not UTF-8"):
        read_net(default_schema().NetParameter.FromString(data))
