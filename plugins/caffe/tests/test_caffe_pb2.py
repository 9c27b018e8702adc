"""`caffe.proto.caffe_pb2`: the messages, the enums, and another library's `caffe.proto` beside them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, text_format

import bicerin_proto
import caffe
from caffe.proto import caffe_pb2


def test_enums_are_constants() -> None:
    assert (caffe_pb2.TRAIN, caffe_pb2.TEST, caffe.TRAIN, caffe.TEST) == (0, 1, 0, 1)
    assert caffe_pb2.Phase.Value("TEST") == 1 and caffe_pb2.Phase.Name(0) == "TRAIN"
    assert caffe_pb2.PoolingParameter.MAX == 0 and caffe_pb2.PoolingParameter.PoolMethod.Name(1) == "AVE"
    assert caffe_pb2.SolverParameter.GPU == 1 and caffe_pb2.DataParameter.LMDB == 1


def test_text_and_binary() -> None:
    net = caffe_pb2.NetParameter()
    text_format.Merge('name: "n" layer { name: "c" type: "Convolution" convolution_param { num_output: 3 } }', net)
    assert net.layer[0].convolution_param.num_output == 3
    again = caffe_pb2.NetParameter()
    again.ParseFromString(net.SerializeToString())
    assert again == net
    assert text_format.Parse(text_format.MessageToString(net), caffe_pb2.NetParameter()) == net
    again.Clear()
    again.MergeFromString(net.SerializeToString())
    again.layer.add().CopyFrom(net.layer[0])
    assert len(again.layer) == 2 and again.HasField("name")
    with pytest.raises(text_format.ParseError):
        text_format.Merge("nope: 1", net)


def test_a_script_edits_a_prototxt(net_file: str, tmp_path: Path) -> None:
    net = caffe_pb2.NetParameter()
    with open(net_file) as file:
        text_format.Merge(file.read(), net)
    for layer in net.layer:
        if layer.type == "InnerProduct":
            layer.inner_product_param.num_output = 21
    edited = tmp_path / "edited.prototxt"
    edited.write_text(str(net))
    assert caffe.Net(str(edited), caffe.TEST).blobs["ip"].data.shape == (5, 21)


def test_weights_that_a_net_saved(net: caffe.Net, tmp_path: Path) -> None:
    net.save(str(tmp_path / "weights"))
    message = caffe_pb2.NetParameter.FromString((tmp_path / "weights").read_bytes())
    layer = next(layer for layer in message.layer if layer.name == "conv")
    assert caffe.io.blobproto_to_array(layer.blobs[0]) == pytest.approx(net.params["conv"][0].data)


def test_names_of_a_generated_module() -> None:
    names: dict = {}
    exec("from caffe.proto.caffe_pb2 import *", names)
    assert names["NetParameter"] is caffe_pb2.NetParameter and names["TEST"] == 1 and names["Phase"].Value("TRAIN") == 0
    assert caffe_pb2._NETPARAMETER is caffe_pb2.NetParameter.DESCRIPTOR
    assert caffe_pb2._POOLINGPARAMETER_POOLMETHOD.values_by_name["MAX"].number == 0
    assert caffe_pb2.DESCRIPTOR.package == "caffe" and "LayerParameter" in dir(caffe_pb2)
    assert isinstance(caffe_pb2.Datum(), caffe_pb2.Datum)
    with pytest.raises(AttributeError, match="Nope"):
        caffe_pb2.Nope  # noqa: B018


def test_messages_can_be_pickled() -> None:
    datum = caffe_pb2.Datum(channels=1, data=b"x")
    assert pickle.loads(pickle.dumps(datum)) == datum


def test_fields_of_installed_plugins_are_there() -> None:
    from bicerin.schema.installed_schema import schema

    fields = caffe_pb2.LayerParameter.DESCRIPTOR.fields_by_name
    added = [name for message, name in schema().added if message == "LayerParameter"]
    assert set(added) <= set(fields)


def test_another_caffe_proto_in_the_process(tmp_path: Path) -> None:
    """What protoc would make of someone's caffe.proto, registered in protobuf's own pool before and after ours."""
    files = descriptor_pb2.FileDescriptorSet.FromString(
        (Path(bicerin_proto.__file__).parent / "caffe.binpb").read_bytes()
    )
    theirs = next(file for file in files.file if file.package == "caffe")
    del theirs.dependency[:]
    (tmp_path / "theirs.binpb").write_bytes(theirs.SerializeToString())
    program = """
import sys
from google.protobuf import descriptor_pool, message_factory
def theirs():
    file = descriptor_pool.Default().AddSerializedFile(open(sys.argv[1], "rb").read())
    return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("caffe.NetParameter"))
if sys.argv[2] == "before": Theirs = theirs()
from caffe.proto import caffe_pb2
if sys.argv[2] == "after": Theirs = theirs()
net = caffe_pb2.NetParameter(name="x")
assert Theirs.FromString(net.SerializeToString()).name == "x"
assert Theirs is not caffe_pb2.NetParameter
"""
    for when in ("before", "after"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "theirs.binpb"), when], check=True)
