"""The weights of a net, whoever wrote them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bicerin_proto import (
    DecodeError,
    ProtoError,
    Schema,
    array_blob,
    blob_array,
    default_schema,
    read_net,
    read_weights,
    write_binary,
    write_text,
)

MODEL = Path(__file__).parent / "data" / "det1.caffemodel"
"""MTCNN's first net, as trained and published (CongWeilin/mtcnn-caffe)."""


def test_a_published_model():
    weights = read_weights(MODEL)
    shapes = {layer.name: [blob_array(blob).shape for blob in layer.blobs] for layer in weights if layer.blobs}
    assert shapes["conv1"] == [(10, 3, 3, 3), (10,)]
    assert shapes["PReLU1"] == [(10,)]
    assert shapes["conv4-2"] == [(4, 32, 1, 1), (4,)]
    assert {layer.name: layer.type for layer in weights}["conv1"] == "Convolution"
    assert weights.path == MODEL
    for layer in weights:
        for blob in layer.blobs:
            assert np.array_equal(blob_array(blob).reshape(-1), list(blob.data))


def net_with_weights(schema):
    net = schema.NetParameter(name="n")
    layer = net.layer.add(name="conv", type="Convolution")
    array_blob(np.arange(6, dtype=np.float32).reshape(2, 3), into=layer.blobs.add())
    return net


@pytest.mark.parametrize("write", [write_binary, write_text])
def test_text_and_binary(tmp_path, write):
    path = tmp_path / "net"
    write(net_with_weights(default_schema()), path)
    (layer,) = read_weights(path)
    assert (layer.name, layer.type) == ("conv", "Convolution")
    assert np.array_equal(blob_array(layer.blobs[0]), np.arange(6).reshape(2, 3))


def test_other_fields_of_any_fork_do_not_matter(fragment):
    # A fork that took a number of Caffe's for another type, another one for text of no encoding.
    body = "message LayerParameter { optional bytes theirs = 5000; optional float other = 5001; }"
    schema = Schema.merged([fragment("fork", body)])
    net = net_with_weights(schema)
    net.layer[0].theirs, net.layer[0].other = b"\xff\xfe", 1.0
    data = net.SerializeToString()
    # Give them the numbers of tile_param (a message) and of phase (an enum).
    for old, new in ((b"\xc2\xb8\x02", b"\xd2\x88\x00"), (b"\xcd\xb8\x02", b"\xd5\x80\x00")):
        assert old in data
        data = data.replace(old, new)
    (layer,) = read_weights(data)
    assert np.array_equal(blob_array(layer.blobs[0]), np.arange(6).reshape(2, 3))


def test_older_formats():
    net = default_schema().NetParameter()
    v1 = net.layers.add(name="ip", type="INNER_PRODUCT")
    v1.blobs.add(num=1, channels=1, height=2, width=3, data=range(6))
    v0 = net.layers.add()
    v0.layer.name, v0.layer.type = "c", "conv"
    v0.layer.blobs.add(num=1, channels=2, height=1, width=1, data=[1, 2])
    weights = read_weights(net)
    assert [(layer.name, layer.type) for layer in weights] == [("ip", "InnerProduct"), ("c", "Convolution")]
    assert [blob_array(layer.blobs[0]).shape for layer in weights] == [(1, 1, 2, 3), (1, 2, 1, 1)]


def test_a_v1_type_that_only_a_fork_has():
    net = b"\x12\x05\x22\x01x\x28\x46"  # layers { name: "x" type: 70 }
    assert [(layer.name, layer.type) for layer in read_weights(net)] == [("x", "70")]


@pytest.mark.parametrize("size", [1, 10, 1000, 20000, -1])
def test_truncated(tmp_path, size):
    path = tmp_path / "cut.caffemodel"
    path.write_bytes(MODEL.read_bytes()[:size])
    with pytest.raises(DecodeError) as error:
        read_weights(path)
    assert str(path) in str(error.value)
    assert "NetParameter" in str(error.value)
    assert f"{path.stat().st_size} bytes" in str(error.value)


def test_a_solver_state(tmp_path):
    path = tmp_path / "lenet_iter_5.solverstate"
    state = default_schema().SolverState(iter=5, learned_net="lenet_iter_5.caffemodel")
    state.history.add(data=[1, 2], shape={"dim": [2]})
    path.write_bytes(state.SerializeToString())
    with pytest.raises(DecodeError, match=f"{path}: a solver state, not the weights of a net"):
        read_weights(path)


def test_what_holds_no_weights(tmp_path):
    with pytest.raises(ProtoError, match="no such file"):
        read_weights(tmp_path / "none.caffemodel")
    with pytest.raises(DecodeError, match="not a single layer in 3 bytes"):
        read_weights(default_schema().NetParameter(name="n").SerializeToString())
    assert len(read_weights(read_net("name: 'n'").message)) == 0
