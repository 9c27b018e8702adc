"""Compiling .proto files."""

from __future__ import annotations

from pathlib import Path

import pytest

import bicerin_proto
from bicerin_proto import SchemaError, check_current, compile_proto
from bicerin_proto.compile import descriptor_path, main

OWN = Path(bicerin_proto.__file__).parent / "caffe.proto"
GOOD = 'syntax = "proto2"; package p; message LayerParameter { optional int32 x = 500; }'


def test_the_shipped_descriptor_is_current():
    assert check_current(OWN)
    assert main(["--check"]) == 0


def test_a_plugins_proto(tmp_path, capsys):
    path = tmp_path / "p.proto"
    path.write_text(GOOD)
    assert not check_current(path)
    assert main(["--check", str(path)]) == 1
    assert "run: python -m bicerin_proto.compile" in capsys.readouterr().out
    assert main([str(path)]) == 0
    assert descriptor_path(path).read_bytes() == compile_proto(path)
    assert check_current(path)
    path.write_text(GOOD.replace("500", "501"))
    assert not check_current(path)


def test_imports_beside_the_file_are_shipped_and_caffes_are_not(tmp_path):
    (tmp_path / "other.proto").write_text('syntax = "proto2"; package p; message Other { optional int32 x = 1; }')
    path = tmp_path / "p.proto"
    path.write_text(
        'syntax = "proto2"; package p; import "other.proto"; import "caffe.proto"; import "bicerin.proto"; '
        "message LayerParameter { optional Other o = 500 [(bicerin.also_known_as) = 501]; "
        "optional caffe.BlobShape s = 502; }"
    )
    schema = bicerin_proto.Schema.merged([bicerin_proto.Fragment("p", compile_proto(path))])
    assert schema.LayerParameter(o={"x": 1}).o.x == 1
    assert b"SolverParameter" not in compile_proto(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such .proto file"),
        ("message", r"protoc rejects .*p\.proto:\n"),
        ('syntax = "proto2"; message M { optional Nope x = 1; }', '"Nope" is not defined'),
    ],
)
def test_what_does_not_compile(tmp_path, text, message):
    path = tmp_path / "p.proto"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SchemaError, match=message):
        compile_proto(path)
    assert main([str(path)]) == 1


def test_proto3_is_refused(tmp_path):
    path = tmp_path / "p.proto"
    path.write_text(GOOD.replace("proto2", "proto3").replace("optional ", ""))
    with pytest.raises(SchemaError, match=r'p\.proto is proto3, expected syntax = "proto2"'):
        bicerin_proto.Schema.check(bicerin_proto.Fragment("p", compile_proto(path)))
