"""The compiled schema against the facts (data/bvlc_schema.tsv, bvlc_enums.tsv: what Caffe 1.0's own schema says)."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorSet

import bicerin_proto
from bicerin_proto import Schema, default_schema
from bicerin_proto.merge import Merged
from bicerin_proto.schema import own_files

DATA = Path(__file__).parent / "data"


def facts(name: str) -> list[dict[str, str]]:
    with open(DATA / name, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def caffe(files: FileDescriptorSet):
    return next(file for file in files.file if file.package == "caffe")


def described(field: FieldDescriptorProto) -> tuple[object, ...]:
    kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    name = field.type_name.removeprefix(".caffe.")
    kind = {"message": name, "enum": f"enum {name}"}.get(kind, kind)
    default = field.default_value if field.HasField("default_value") else None
    label = FieldDescriptorProto.Label.Name(field.label).removeprefix("LABEL_").lower()
    return field.name, field.number, label, kind, field.options.packed, default


def expected(row: dict[str, str]) -> tuple[object, ...]:
    default = {"True": "true", "False": "false"}.get(row["default"], row["default"]) or None
    return row["field"], int(row["number"]), row["label"], row["type"], row["packed"] == "True", default


def test_every_field_is_as_the_facts_say():
    compiled = {
        (message.name, field.name): described(field)
        for message in caffe(own_files()).message_type
        for field in message.field
    }
    wanted = {(row["message"], row["field"]): expected(row) for row in facts("bvlc_schema.tsv")}
    assert compiled.keys() == wanted.keys()
    for key, field in wanted.items():
        ours, default = compiled[key][:-1], compiled[key][-1]
        assert ours == field[:-1], key
        if field[3] in ("float", "double") and default is not None and field[-1] is not None:
            assert math.isclose(float(default), float(field[-1]), rel_tol=1e-7), key
        else:
            assert default == field[-1], key


def test_every_enum_value_is_as_the_facts_say():
    file = caffe(own_files())
    enums = {enum.name: enum for enum in file.enum_type}
    enums |= {f"{message.name}.{enum.name}": enum for message in file.message_type for enum in message.enum_type}
    compiled = {(name, value.name): value.number for name, enum in enums.items() for value in enum.value}
    assert compiled == {(row["enum"], row["value"]): int(row["number"]) for row in facts("bvlc_enums.tsv")}


def test_messages_and_enums_by_attribute():
    schema = default_schema()
    assert schema.Phase.Value("TRAIN") == 0
    assert schema.PoolingParameter.PoolMethod.Name(1) == "AVE"
    assert schema.PoolingParameter.AVE == 1
    assert schema.LayerParameter(name="a").name == "a"
    assert bicerin_proto.LayerParameter is schema.LayerParameter
    with pytest.raises(AttributeError, match='no message or enum "LayerParam"'):
        schema.LayerParam  # noqa: B018
    with pytest.raises(AttributeError, match="bicerin_proto"):
        bicerin_proto.LayerParam  # noqa: B018


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_is_lazy():
    heavy = run("import sys, bicerin_proto; print([m for m in sys.modules if m.split('.')[0] in ('google', 'numpy')])")
    assert heavy == "[]"


def test_someone_elses_caffe_pb2_lives_in_the_same_process():
    # Another schema of the same names goes into Python's default pool, as every generated module does it.
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe")
net = file.message_type.add(name="NetParameter")
net.field.add(name="other", number=1, type=5, label=1)
import bicerin_proto
bicerin_proto.NetParameter(name="before")
descriptor_pool.Default().AddSerializedFile(file.SerializeToString())
theirs = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter"))
print(theirs(other=3).other, bicerin_proto.NetParameter(name="after").name)
"""
    assert run(code) == "3 after"


def test_a_message_of_another_schema_is_taken_over():
    theirs = Schema(Merged(own_files()))
    net = theirs.NetParameter(name="theirs")
    ours = default_schema().own(net)
    assert ours.name == "theirs"
    assert ours.DESCRIPTOR is default_schema().NetParameter.DESCRIPTOR
