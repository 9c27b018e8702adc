"""Files that we write are Caffe's: they parse, whole, with a schema that is made from the recorded facts alone.

`proto/tests/data/bvlc_schema.tsv` and `bvlc_enums.tsv` list every message, field, number, label, type and default, and
every enum value, of Caffe 1.0. Nothing of `bicerin_proto` goes into the schema that is used here.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.unknown_fields import UnknownFieldSet

import bicerin

FACTS = Path(__file__).parent.parent / "proto" / "tests" / "data"
MODELS = Path(__file__).parent / "recorded" / "models"
SOLVERS = Path(__file__).parent / "recorded" / "solvers"
Field = descriptor_pb2.FieldDescriptorProto


def rows(name: str) -> list[dict[str, str]]:
    with (FACTS / name).open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="session")
def caffe() -> Any:
    """A function from a message's name to its class, of a schema built from the facts."""
    file = descriptor_pb2.FileDescriptorProto(name="facts.proto", package="facts", syntax="proto2")
    messages = {row["message"]: None for row in rows("bvlc_schema.tsv")}
    by_name = {name: file.message_type.add(name=name) for name in messages}
    enums: dict[str, Any] = {}
    for row in rows("bvlc_enums.tsv"):
        owner, _, name = row["enum"].rpartition(".")
        if row["enum"] not in enums:
            container = by_name[owner].enum_type if owner else file.enum_type
            enums[row["enum"]] = container.add(name=name)
        enums[row["enum"]].value.add(name=row["value"], number=int(row["number"]))
    for row in rows("bvlc_schema.tsv"):
        field = by_name[row["message"]].field.add(name=row["field"], number=int(row["number"]))
        field.label = getattr(Field, f"LABEL_{row['label'].upper()}")
        kind = row["type"].removeprefix("enum ").removeprefix("message ")
        if f"TYPE_{kind.upper()}" in dict(Field.Type.items()):
            field.type = getattr(Field, f"TYPE_{kind.upper()}")
        else:
            field.type = Field.TYPE_ENUM if kind in enums else Field.TYPE_MESSAGE
            field.type_name = f".facts.{kind}"
        if row["packed"] == "True":
            field.options.packed = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"facts.{name}"))


def unknown(message: Any) -> dict[str, list[int]]:
    """The numbers that the schema does not know, by message name, at any depth."""
    found: dict[str, list[int]] = defaultdict(list)
    numbers = [field.field_number for field in UnknownFieldSet(message)]
    if numbers:
        found[message.DESCRIPTOR.name] += numbers
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if isinstance(value, (list, tuple)) or hasattr(value, "add") else [value]:
                for name, more in unknown(part).items():
                    found[name] += more
    return dict(found)


@pytest.mark.parametrize("name", ["det1", "det2", "lenet"])
def test_weights(caffe: Any, tmp_path: Path, name: str) -> None:
    net = bicerin.Net(MODELS / f"{name}.prototxt", phase="TEST", weights=MODELS / f"{name}.caffemodel")
    written = net.save(tmp_path / "net.caffemodel").read_bytes()
    message = caffe("NetParameter").FromString(written)
    assert not unknown(message)
    assert message.SerializeToString(deterministic=True) == written
    blobs = {layer.name: layer.blobs for layer in message.layer if layer.blobs}
    assert list(blobs) == list(net.params)
    for layer, ours in net.params.items():
        for mine, theirs in zip(ours, blobs[layer], strict=True):
            assert tuple(theirs.shape.dim) == mine.shape
            assert np.array_equal(np.array(theirs.data, np.float32), mine.data.ravel())


@pytest.mark.parametrize("case", sorted(folder.name for folder in SOLVERS.iterdir() if folder.is_dir()))
def test_solver_states(caffe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.prototxt").write_bytes((SOLVERS / "net.prototxt").read_bytes())
    (tmp_path / "solver.prototxt").write_bytes((SOLVERS / case / "solver.prototxt").read_bytes())
    solver = bicerin.Solver(tmp_path / "solver.prototxt")
    solver.step(2)
    path = solver.snapshot()
    message = caffe("SolverState").FromString(path.read_bytes())
    # One field more than Caffe has: what an exact resume needs, which Caffe skips.
    assert unknown(message) == {"SolverState": [8266700]}
    assert message.iter == 2
    assert (tmp_path / message.learned_net).exists()
    shapes = [blob.shape for blob in solver.net.learnable_params]
    assert [tuple(blob.shape.dim) for blob in message.history] == shapes * solver.histories


def test_the_facts_tell_a_foreign_field(caffe: Any) -> None:
    """The check above can fail: a field that Caffe does not have is found."""
    layer = bicerin.create_layer('type: "Split"').param
    data = layer.SerializeToString() + b"\xfa\xff\x7f\x01x"
    assert unknown(caffe("LayerParameter").FromString(data))
