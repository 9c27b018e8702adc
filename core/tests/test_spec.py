"""Nets written in Python, without any plugin: what they amount to, and what a wrong parameter says."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import bicerin
import bicerin_proto
from bicerin.errors import BicerinError, SpecError
from bicerin.schema import schema
from bicerin.spec import NetSpec, to_proto
from bicerin.spec import layers as L
from bicerin.spec import params as P
from bicerin.spec.coordinates import coord_map_from_to, crop


def test_a_spec_is_a_net() -> None:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [2, 3]})
    n.one, n.two = L.Split(n.data, ntop=2)
    net = bicerin.Net(n.to_proto())
    out = net.forward(data=np.arange(6).reshape(2, 3))
    assert list(out) == ["one", "two"] and (out["one"] == out["two"]).all()


def test_names_types_and_parameters() -> None:
    n = NetSpec()
    n.data, n.label = L.Data(source="x", backend=P.Data.LMDB, transform_param={"scale": 0.5}, ntop=2)
    n.conv = L.Convolution(n.data, kernel_size=3, weight_filler={"type": "msra"}, param=[{"lr_mult": 2}, {}])
    n.relu = L.ReLU(n.conv, in_place=True)
    n.silence = L.Silence(n.label, ntop=0)
    data, conv, relu, silence = n.to_proto().layer
    assert (data.name, list(data.top), data.data_param.backend) == ("data", ["data", "label"], P.Data.LMDB)
    assert (data.data_param.source, data.transform_param.scale) == ("x", 0.5)
    assert list(conv.convolution_param.kernel_size) == [3] and conv.convolution_param.weight_filler.type == "msra"
    assert [param.lr_mult for param in conv.param] == [2, 1]
    assert (relu.name, list(relu.bottom), list(relu.top)) == ("relu", ["conv"], ["conv"])
    assert (silence.name, list(silence.bottom), list(silence.top)) == ("silence", ["label"], [])


def test_tops_without_a_spec_get_names_of_their_types() -> None:
    data = L.Input(shape={"dim": [1]})
    proto = to_proto(L.ReLU(data), L.ReLU(data))
    assert [(layer.name, list(layer.top)) for layer in proto.layer] == [
        ("Input1", ["Input1"]),
        ("ReLU1", ["ReLU1"]),
        ("ReLU2", ["ReLU2"]),
    ]


def test_a_parameter_that_is_not_there_says_what_is() -> None:
    with pytest.raises(SpecError, match=r'layer "ReLU1".*no parameter "slope"') as caught:
        L.ReLU(L.Input(), slope=1).to_proto()
    assert isinstance(caught.value, BicerinError) and isinstance(caught.value, AttributeError)
    with pytest.raises(SpecError, match="weight_filler: FillerParameter has no field"):
        L.Convolution(L.Input(), weight_filler={"nope": 1}).to_proto()
    with pytest.raises(TypeError, match="ReLU input 0 is not a Top"):
        L.ReLU("data")


def test_a_spec_can_be_copied_and_pickled() -> None:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [1]})
    n.relu = L.ReLU(n.data)
    for twin in (copy.deepcopy(n), pickle.loads(pickle.dumps(n))):
        assert twin.to_proto() == n.to_proto()


def test_a_crop_by_coordinates() -> None:
    data = L.Input(shape={"dim": [1, 1, 9, 9]})
    padded = L.Convolution(data, kernel_size=3, pad=4)
    axis, scale, offset = coord_map_from_to(padded, data)
    assert (axis, scale, offset) == (1, 1, -3)
    assert crop(padded, data).fn.params["crop_param"] == {"axis": 2, "offset": [3]}


def test_tops_are_listed_and_asked_for() -> None:
    n = NetSpec()
    n.data = L.Input(shape={"dim": [2, 3]})
    n.one, n.two = L.Split(n.data, ntop=2)
    assert n.keys() == list(n) == ["data", "one", "two"] and n.vals() == [n.data, n.one, n.two]
    assert "one" in n and "three" not in n and len(n) == 3 and n.keys()[-1] == "two"
    assert bool(NetSpec())


def test_messages_arrays_and_ranges_are_values() -> None:
    shape = schema().BlobShape(dim=[0, -1])
    data = L.Input(shape=[shape, {"dim": range(1, 3)}, {"dim": np.array([4, 5])}], ntop=3)
    filler = bicerin_proto.default_schema().FillerParameter(type="msra")  # of another schema
    net = to_proto(
        L.Reshape(data[0], shape=shape),
        L.Convolution(data[1], kernel_size=(3, 1), weight_filler=filler, bias_filler={}),
    )
    given, reshape, convolution = net.layer
    assert [list(one.dim) for one in given.input_param.shape] == [[0, -1], [1, 2], [4, 5]]
    assert reshape.reshape_param.shape == shape
    assert convolution.convolution_param.weight_filler.type == "msra"
    assert convolution.convolution_param.HasField("bias_filler")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda x: L.InnerProduct(x, num_output=7 / 2),
            "num_output takes a whole number of 0 or more, not 3.5 (float).",
        ),
        (lambda x: L.InnerProduct(x, num_output=8 / 2), "In Python 3, / gives a float and // a whole number."),
        (lambda x: L.InnerProduct(x, num_output=-1), "num_output takes a whole number of 0 or more, not -1 (int)."),
        (lambda x: L.Convolution(x, kernel_size=None), "kernel_size takes a whole number of 0 or more, not None"),
        (lambda x: L.Python(x, param_str={"a": 1}), "param_str takes text, not {'a': 1} (dict). str(...)"),
        (lambda x: L.Pooling(x, pool="MEAN"), "pool takes one of MAX, AVE, STOCHASTIC"),
        (lambda x: L.Reshape(x, shape=[1, 2]), "shape takes a dict, or a BlobShape, not [1, 2] (list)."),
        (lambda x: L.Reshape(x, shape=schema().FillerParameter()), "a dict, or a BlobShape, not a FillerParameter."),
        (lambda x: L.Convolution(x, weight_filler={"std": "x"}), "weight_filler: std takes a number, not 'x' (str)."),
    ],
)
def test_a_wrong_value_says_layer_field_and_what_is_right(make: Any, words: str) -> None:
    with pytest.raises(SpecError) as caught:
        to_proto(make(L.Input()))
    text = str(caught.value)
    assert words in text and text.startswith('layer "') and '1" (' in text
