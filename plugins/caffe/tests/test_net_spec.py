"""`caffe.NetSpec`, `layers as L`, `params as P`, `to_proto`."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import text_format

import caffe
from caffe import layers as L
from caffe import params as P
from caffe.net_spec import assign_proto, param_name_dict
from caffe.proto import caffe_pb2


def lenet(batch_size: int) -> caffe.NetSpec:
    n = caffe.NetSpec()
    n.data, n.label = L.DummyData(
        shape=[dict(dim=[batch_size, 1, 28, 28]), dict(dim=[batch_size, 1, 1, 1])],
        transform_param=dict(scale=1.0 / 255),
        ntop=2,
    )
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.pool1 = L.Pooling(n.conv1, kernel_size=2, stride=2, pool=P.Pooling.MAX)
    n.ip1 = L.InnerProduct(n.pool1, num_output=500, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.ip1, in_place=True)
    n.ip2 = L.InnerProduct(n.relu1, num_output=10, weight_filler=dict(type="xavier"))
    n.loss = L.SoftmaxWithLoss(n.ip2, n.label)
    return n


def test_a_net_is_built_and_runs(write: Any) -> None:
    proto = lenet(5).to_proto()
    assert [layer.name for layer in proto.layer] == ["data", "conv1", "pool1", "ip1", "relu1", "ip2", "loss"]
    assert proto.layer[4].bottom == proto.layer[4].top == ["ip1"]
    net = caffe.Net(write("lenet.prototxt", str(proto)), caffe.TEST)
    assert len(net.layers) == 7
    assert net.forward()["loss"] == pytest.approx(2.3025851)


def test_names_are_made_up_where_there_are_none() -> None:
    data, label = L.DummyData(shape=[dict(dim=[2, 3]), dict(dim=[2])], ntop=2)
    one = L.InnerProduct(data, num_output=4)
    two = L.InnerProduct(one, num_output=5)
    proto = caffe.to_proto(L.SoftmaxWithLoss(two, label))
    assert [layer.name for layer in proto.layer] == [
        "DummyData1", "InnerProduct1", "InnerProduct2", "SoftmaxWithLoss1",
    ]  # fmt: skip
    assert list(proto.layer[0].top) == ["DummyData1", "DummyData2"]
    assert two.to_proto().layer[-1].name == "InnerProduct2"


def test_items_are_attributes() -> None:
    n = caffe.NetSpec()
    n["data"] = L.Input(shape=dict(dim=[1, 2]))
    n.relu = L.ReLU(n["data"])
    assert n.relu is n["relu"] and list(n.tops) == ["data", "relu"]
    del n["relu"]
    assert [layer.type for layer in n.to_proto().layer] == ["Input"]
    with pytest.raises(AttributeError, match="relu"):
        n.relu  # noqa: B018
    with pytest.raises(KeyError):
        n["relu"]


def test_layers_without_tops(write: Any) -> None:
    n = caffe.NetSpec()
    n.data, n.data2 = L.DummyData(shape=dict(dim=3), ntop=2)
    n.silence_data = L.Silence(n.data, ntop=0)
    n.silence_data2 = L.Silence(n.data2, ntop=0)
    net = caffe.Net(write("silent.prototxt", str(n.to_proto())), caffe.TEST)
    assert net.forward() == {}
    assert list(net._layer_names) == ["data", "silence_data", "silence_data2"]


def test_an_input_that_is_no_top_is_a_type_error() -> None:
    data = L.DummyData(ntop=2)
    with pytest.raises(TypeError, match=r"^Silence input 0 is not a Top \(type is <class 'tuple'>\)$"):
        L.Silence(data, ntop=0)
    L.Silence(*data, ntop=0)


def test_update_changes_parameters() -> None:
    n = lenet(1)
    n.update("conv1", dict(num_output=7))
    assert n.to_proto().layer[1].convolution_param.num_output == 7


@pytest.mark.parametrize(
    "make",
    [
        lambda data: L.Pooling(data, kernel_size=3, pool=P.Pooling.AVE),
        lambda data: L.Pooling(data, pooling_param=dict(kernel_size=3, pool=P.Pooling.AVE)),
    ],
)
def test_short_and_long_form(make: Any) -> None:
    layer = make(L.Input(shape=dict(dim=[1, 1, 9, 9]))).to_proto().layer[1]
    assert (layer.pooling_param.kernel_size, layer.pooling_param.pool) == (3, 1)


def test_fields_of_the_layer_itself() -> None:
    layer = L.InnerProduct(
        L.Input(),
        num_output=3,
        name="named",
        loss_weight=2,
        param=[dict(lr_mult=1, decay_mult=1), dict(lr_mult=2)],
        include=dict(phase=caffe.TRAIN, stage=["a", "b"]),
        propagate_down=[True],
    ).to_proto().layer[1]  # fmt: skip
    assert layer.name == "named" and list(layer.loss_weight) == [2] and list(layer.propagate_down) == [True]
    assert [param.lr_mult for param in layer.param] == [1, 2]
    assert layer.include[0].phase == caffe.TRAIN and list(layer.include[0].stage) == ["a", "b"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (dict(num_outputs=3), 'there is no parameter "num_outputs". Did you mean "num_output"?'),
        (dict(weight_filler=dict(typ="xavier")), 'has no field "typ". Did you mean "type"?'),
    ],
)
def test_a_wrong_parameter_is_an_attribute_error(params: dict, words: str) -> None:
    with pytest.raises(AttributeError) as caught:
        L.InnerProduct(L.Input(), **params).to_proto()
    assert words in str(caught.value) and 'layer "InnerProduct1" (InnerProduct)' in str(caught.value)


def test_a_parameter_of_a_type_that_nobody_brings() -> None:
    with pytest.raises(AttributeError, match=r'brings the layer type\. Did you mean "Convolution"'):
        L.Convolutoin(L.Input(), kernel_size=2).to_proto()


def test_python_layers_and_param_str() -> None:
    layer = L.Python(module="losses", layer="Loss", param_str=str(dict(a=1)), ntop=1).to_proto().layer[0]
    assert (layer.python_param.module, layer.python_param.param_str) == ("losses", "{'a': 1}")


def test_param_names_are_those_of_the_messages() -> None:
    names = param_name_dict()
    assert names["InnerProduct"] == "inner_product" and names["HDF5Data"] == "hdf5_data" and names["LRN"] == "lrn"


def test_assign_proto_takes_single_values_lists_and_dicts() -> None:
    layer = caffe_pb2.LayerParameter()
    assign_proto(layer, "bottom", "one")
    assign_proto(layer, "param", [dict(lr_mult=1), dict(lr_mult=2)])
    assign_proto(layer, "convolution_param", dict(kernel_size=3, weight_filler=dict(type="msra")))
    expected = caffe_pb2.LayerParameter()
    text_format.Merge(
        'bottom: "one" param { lr_mult: 1 } param { lr_mult: 2 } '
        'convolution_param { kernel_size: 3 weight_filler { type: "msra" } }',
        expected,
    )
    assert layer == expected


def test_enums_by_their_names() -> None:
    assert (P.Pooling.MAX, P.Data.LMDB, P.Eltwise.SUM, P.LRN.WITHIN_CHANNEL) == (0, 1, 1, 1)
    assert P.Loss.VALID == caffe_pb2.LossParameter.VALID
    with pytest.raises(AttributeError):
        P.Pooling.NOPE  # noqa: B018
