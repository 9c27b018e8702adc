"""Nets written in Python, without any plugin: what they amount to, and what a wrong parameter says."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import bicerin
from bicerin.errors import BicerinError, SpecError
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
