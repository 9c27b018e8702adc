"""`caffe.Net`: what pycaffe's has, under the same names."""

from __future__ import annotations

import copy
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import caffe
from caffe._caffe import BlobVec

pytestmark = pytest.mark.usefixtures("on_the_device")

RULES = """
layer { name: "data" type: "DummyData" top: "data" dummy_data_param { shape { dim: 1 dim: 1 dim: 10 dim: 10 } } }
layer { name: "always" type: "InnerProduct" bottom: "data" top: "always" inner_product_param { num_output: 1 } }
layer { name: "level1" type: "InnerProduct" bottom: "data" top: "level1" include { phase: TEST min_level: 1 }
  inner_product_param { num_output: 1 } }
layer { name: "A" type: "InnerProduct" bottom: "data" top: "A" include { stage: "A" }
  inner_product_param { num_output: 1 } }
layer { name: "AandB" type: "InnerProduct" bottom: "data" top: "AandB" include { stage: "A" stage: "B" }
  inner_product_param { num_output: 1 } }
"""


# Call forms


@pytest.mark.parametrize(
    "make",
    [
        lambda net, weights: caffe.Net(net, weights, caffe.TRAIN),
        lambda net, weights: caffe.Net(net, caffe.TRAIN, weights=weights),
        lambda net, weights: caffe.Net(net, caffe.TRAIN, 0, None, weights),
        lambda net, weights: caffe.Net(network_file=net, phase=caffe.TRAIN, level=0, stages=["some"], weights=weights),
        lambda net, weights: caffe.Net(Path(net), Path(weights), 0),
        lambda net, weights: caffe.Net(net.encode(), weights.encode(), caffe.TRAIN),
        lambda net, weights: caffe.Net(net.encode(), caffe.TRAIN, weights=weights.encode()),
    ],
)
def test_every_form_of_the_call_loads_the_weights(make: Any, net: Any, net_file: str, tmp_path: Path) -> None:
    net.save(str(tmp_path / "weights"))
    other = make(net_file, str(tmp_path / "weights"))
    for name in net.params:
        for mine, theirs in zip(net.params[name], other.params[name], strict=True):
            assert (mine.data == theirs.data).all()


def test_without_weights_the_fillers_draw_them(net_file: str) -> None:
    one, two = caffe.Net(net_file, caffe.TEST), caffe.Net(net_file, caffe.TEST)
    assert not (one.params["conv"][0].data == two.params["conv"][0].data).all()


def test_a_call_without_a_phase_is_a_type_error(net_file: str) -> None:
    for arguments in ((net_file,), (net_file, "weights"), ()):
        with pytest.raises(TypeError):
            caffe.Net(*arguments)


@pytest.mark.parametrize("arguments", [("weights",), ("TEST",), (caffe.TEST, "weights")])
def test_a_call_of_another_form_names_both(arguments: tuple, net_file: str) -> None:
    with pytest.raises(TypeError, match=r"Net\(network_file, phase, weights=weights_file\) or, in the older form, Net"):
        caffe.Net(net_file, *arguments)


@pytest.mark.parametrize("phase", ["test", "TEST", 1, np.int64(1)])
def test_the_older_form_is_deprecated_whatever_the_phase(
    phase: Any, net: Any, net_file: str, tmp_path: Path, caplog: Any, capsys: Any
) -> None:
    net.save(str(tmp_path / "weights"))
    caffe.Net(net_file, str(tmp_path / "weights"), phase)
    assert f"Net('{net_file}', 1, weights=" in caplog.text and "Logging error" not in capsys.readouterr().err


def test_the_older_form_is_deprecated(net: Any, net_file: str, tmp_path: Path, caplog: Any) -> None:
    net.save(str(tmp_path / "weights"))
    caffe.Net(net_file, str(tmp_path / "weights"), caffe.TEST)
    assert f"Net('{net_file}', 1, weights='{tmp_path / 'weights'}')" in caplog.text


def test_a_file_that_is_not_there_is_named(net_file: str) -> None:
    with pytest.raises(RuntimeError, match=r"Could not open file missing\.prototxt"):
        caffe.Net("missing.prototxt", caffe.TEST)
    for call in (lambda: caffe.Net(net_file, "missing", caffe.TEST), lambda: caffe.Net(net_file, 0, weights="missing")):
        with pytest.raises(RuntimeError, match="Could not open file missing"):
            call()


@pytest.mark.parametrize(("path", "words"), [
    ("", "its name is empty"), (b"", "its name is empty"),
    ('layer { name: "in" type: "Input" top: "x" }\n', r"open file layer \{ .*\\n: that is the text of a prototxt"),
    ("{fold}.prototxt", r"Could not open file \{fold\}\.prototxt \(looked from"),
])  # fmt: skip
def test_what_is_no_name_of_a_file(path: str | bytes, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        caffe.Net(path, caffe.TEST)


def test_what_passes_return_is_in_the_order_of_outputs_and_of_what_is_asked_for(net: Any) -> None:
    assert list(net.forward(["ip", "conv", "data"])) == ["loss", "ip", "conv", "data"]
    assert list(net.backward(["ip", "conv", "data"])) == ["ip", "conv", "data"]


@pytest.mark.parametrize(
    ("text", "weights"), [(None, None), ("layer {", None), ('layer { type: "Nope" name: "x" }', None), ("", "missing")]
)
def test_what_cannot_be_built_is_a_runtime_error(text: str | None, weights: str | None, write: Any) -> None:
    path = write("net.prototxt", text) if text is not None else "missing.prototxt"
    with pytest.raises(RuntimeError):
        caffe.Net(path, caffe.TEST, weights=weights)


@pytest.mark.parametrize(
    ("phase", "state", "names"),
    [
        (caffe.TEST, {}, ["always"]),
        (caffe.TEST, {"level": 1}, ["always", "level1"]),
        (caffe.TRAIN, {"level": 1}, ["always"]),
        (caffe.TEST, {"stages": ["A"]}, ["always", "A"]),
        (caffe.TEST, {"stages": ["B"]}, ["always"]),
        (caffe.TEST, {"stages": ["A", "B"], "level": 3}, ["always", "level1", "A", "AandB"]),
    ],
)
def test_phase_level_and_stages_choose_layers(phase: int, state: dict, names: list[str], write: Any) -> None:
    built = caffe.Net(write("rules.prototxt", RULES), phase, **state)
    assert list(built.params) == names


# What there is


def test_names_and_places(net: Any) -> None:
    assert list(net._layer_names) == ["data", "conv", "ip", "loss"]
    assert list(net._blob_names) == ["data", "label", "conv", "ip", "loss"]
    assert net.inputs == [] and net.outputs == ["loss"]
    assert list(net._inputs) == [] and list(net._outputs) == [4]
    assert list(net._bottom_ids(3)) == [3, 1] and list(net._top_ids(0)) == [0, 1]
    assert net.top_names == OrderedDict(
        [("data", ["data", "label"]), ("conv", ["conv"]), ("ip", ["ip"]), ("loss", ["loss"])]
    )
    assert net.bottom_names == OrderedDict(
        [("data", []), ("conv", ["data"]), ("ip", ["conv"]), ("loss", ["ip", "label"])]
    )
    assert list(net._blob_loss_weights) == [0, 0, 0, 0, 1]
    assert net.blob_loss_weights["loss"] == 1


def test_an_input_layer_makes_inputs(affine: Any) -> None:
    assert affine.inputs == ["data"] and list(affine._inputs) == [0]


def test_a_top_without_a_name_is_automatic(write: Any) -> None:
    text = SIMPLE_WITHOUT_LOSS_TOP
    built = caffe.Net(write("net.prototxt", text), caffe.TRAIN)
    assert list(built._blob_names) == ["data", "loss_input", "(automatic)"] and built.outputs == []


SIMPLE_WITHOUT_LOSS_TOP = """
layer { name: "data" type: "DummyData" top: "data" top: "loss_input"
  dummy_data_param { shape { dim: 2 dim: 3 } shape { dim: 2 dim: 3 } } }
layer { name: "loss" type: "EuclideanLoss" bottom: "data" bottom: "loss_input" }
"""


def test_blobs_params_and_layers_are_ordered_dicts_and_lists(net: Any) -> None:
    assert isinstance(net.blobs, OrderedDict) and list(net.blobs) == list(net._blob_names)
    assert isinstance(net.params, OrderedDict) and list(net.params) == ["conv", "ip"]
    assert isinstance(net.layer_dict, OrderedDict) and net.layer_dict["ip"] is net.layers[2]
    assert type(net.params["conv"]) is caffe._caffe.BlobVec
    assert [blob.data.shape for blob in net.params["conv"]] == [(11, 2, 2, 2), (11,)]
    assert [layer.type for layer in net.layers] == ["DummyData", "Convolution", "InnerProduct", "SoftmaxWithLoss"]
    assert [len(layer.blobs) for layer in net.layers] == [0, 2, 2, 0]
    assert len(net._blobs) == 5 and net._blobs[0] is net.blobs["data"]


def test_a_net_takes_attributes_of_the_script(net: Any) -> None:
    net.name = "mine"
    assert net.name == "mine"


# Running


def test_forward_and_backward_return_outputs_and_inputs_gradients(affine: Any) -> None:
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    weight, bias = (blob.data for blob in affine.params["ip"])
    assert set(affine.forward(data=x)) == {"ip"}
    np.testing.assert_allclose(affine.blobs["ip"].data, x @ weight.T + bias, rtol=1e-5)
    diff = np.ones((4, 2), np.float32)
    diffs = affine.backward(ip=diff)
    np.testing.assert_allclose(diffs["data"], diff @ weight, rtol=1e-5)


def test_forward_gives_further_blobs(net: Any) -> None:
    assert set(net.forward(blobs=["conv", "data"])) == {"loss", "conv", "data"}
    assert set(net.backward(diffs=["conv"])) == {"conv"}


def test_what_forward_returns_is_the_blobs_own(affine: Any) -> None:
    out = affine.forward()["ip"]
    assert np.shares_memory(out, affine.blobs["ip"].data)


def test_forward_from_a_layer_to_a_layer(net: Any) -> None:
    sample = np.random.default_rng(0).random(net.blobs["conv"].data.shape, np.float32)
    net.blobs["conv"].data[...] = sample
    assert set(net.forward(start="ip", end="ip")) == {"ip"}
    weight, bias = (blob.data for blob in net.params["ip"])
    np.testing.assert_allclose(net.blobs["ip"].data, sample.reshape(5, -1) @ weight.T + bias, rtol=1e-3, atol=1e-4)
    net.blobs["ip"].diff[...] = 1
    assert set(net.backward(start="ip", end="ip")) == {"conv"}
    np.testing.assert_allclose(net.blobs["conv"].diff[0].reshape(-1), weight.sum(0), rtol=1e-3, atol=1e-4)


def test_forward_and_backward_by_index(net: Any) -> None:
    net.forward()
    assert net._forward(0, 3) == pytest.approx(float(net.blobs["loss"].data))
    net._backward(3, 0)
    assert np.abs(net.params["conv"][0].diff).max() > 0
    for call in (lambda: net._forward(0, 4), lambda: net._forward(-1, 2), lambda: net._backward(4, 0)):
        with pytest.raises(RuntimeError, match="layers are 0 to 3"):
            call()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda net: net.forward(nope=np.zeros((4, 3))), Exception, "match net inputs. Given: nope; the net's: data."),
        (
            lambda net: net.forward(data=np.zeros((3, 3))),
            Exception,
            r"Input is not batch sized: .*\(4, 3\), .*\(3, 3\)",
        ),
        (lambda net: net.forward(data=1), Exception, r"Input is not batch sized: .*the array \(\)"),
        (lambda net: net.forward(data=np.zeros((4, 2))), ValueError, r'"data" has the shape \(4, 3\), .*\(4, 2\)'),
        (lambda net: net.forward(start="nope"), ValueError, 'no layer "nope"; its layers: '),
        (lambda net: net.forward(end="nope"), ValueError, 'no layer "nope"'),
        (lambda net: net.backward(start="nope"), ValueError, 'no layer "nope"'),
        (lambda net: net.backward(ip=np.zeros((4, 1, 1, 2))), ValueError, r'"ip" has the shape \(4, 2\), .*1, 1'),
        (lambda net: net.forward(blobs=["nope"]), KeyError, "nope"),
        (lambda net: net.backward(nope=np.zeros((4, 2))), Exception, "match net outputs. Given: nope; the net's: ip."),
        (lambda net: net.backward(ip=np.zeros((3, 2))), Exception, "Diff is not batch sized"),
    ],
)
def test_arguments_that_do_not_fit(call: Any, error: type, words: str, affine: Any) -> None:
    with pytest.raises(error, match=words):
        call(affine)


@pytest.mark.parametrize("number", [4, 8, 9, 3, 1])
def test_forward_all_takes_any_number_of_rows(number: int, affine: Any) -> None:
    x = np.random.default_rng(1).random((number, 3), np.float32)
    weight, bias = (blob.data for blob in affine.params["ip"])
    found = affine.forward_all(blobs=["data"], data=x)
    assert set(found) == {"ip", "data"}
    np.testing.assert_allclose(found["ip"], x @ weight.T + bias, rtol=1e-5)
    np.testing.assert_array_equal(found["data"], x)


@pytest.mark.parametrize("number", [8, 6])
def test_forward_backward_all(number: int, affine: Any) -> None:
    random = np.random.default_rng(2)
    x, diff = random.random((number, 3), np.float32), random.random((number, 2), np.float32)
    weight, bias = (blob.data for blob in affine.params["ip"])
    outputs, diffs = affine.forward_backward_all(data=x, ip=diff)
    np.testing.assert_allclose(outputs["ip"], x @ weight.T + bias, rtol=1e-5)
    np.testing.assert_allclose(diffs["data"], diff @ weight, rtol=1e-5)


def test_reshape_reaches_the_outputs_with_and_without_running(affine: Any) -> None:
    affine.blobs["data"].reshape(7, 3)
    affine.reshape()
    assert affine.blobs["ip"].data.shape == (7, 2)
    affine.blobs["data"].reshape(2, 3)
    affine.forward()
    assert affine.blobs["ip"].data.shape == (2, 2)


def test_clear_param_diffs(net: Any) -> None:
    net.forward()
    net.backward()
    assert np.abs(net.params["conv"][0].diff).max() > 0
    net.clear_param_diffs()
    assert (net.params["conv"][0].diff == 0).all()


def test_callbacks_get_the_index_of_the_layer(net: Any) -> None:
    calls: list[tuple[str, int]] = []
    for name in ("before_forward", "after_forward", "before_backward", "after_backward"):
        getattr(net, name)(lambda index, name=name: calls.append((name, index)))
    net.forward(end="conv")
    net.backward(start="ip", end="conv")
    assert calls == [
        ("before_forward", 0), ("after_forward", 0), ("before_forward", 1), ("after_forward", 1),
        ("before_backward", 2), ("after_backward", 2), ("before_backward", 1), ("after_backward", 1),
    ]  # fmt: skip


# Weights


def test_save_and_copy_from_whatever_the_name(net: Any, net_file: str, tmp_path: Path) -> None:
    for name, save in (("a.h5", net.save), ("b", net.save_hdf5)):
        save(str(tmp_path / name))
        other = caffe.Net(net_file, caffe.TRAIN)
        other.copy_from(str(tmp_path / name))
        assert (other.params["ip"][0].data == net.params["ip"][0].data).all()
    assert (tmp_path / "b").read_bytes().startswith(b"\x89HDF")
    assert not (tmp_path / "a.h5").read_bytes().startswith(b"\x89HDF")
    other = caffe.Net(net_file, caffe.TRAIN)
    other.load_hdf5(str(tmp_path / "b"))
    assert (other.params["conv"][1].data == net.params["conv"][1].data).all()


def test_weights_of_another_shape_are_refused_and_leave_the_net(net: Any, net_file: str, tmp_path: Path) -> None:
    net.save(str(tmp_path / "weights"))
    Path(net_file).write_text(Path(net_file).read_text().replace("num_output: 13", "num_output: 14"))
    other = caffe.Net(net_file, caffe.TRAIN)
    before = other.params["conv"][0].data.copy()
    with pytest.raises(RuntimeError, match="ip"):
        other.copy_from(str(tmp_path / "weights"))
    assert (other.params["conv"][0].data == before).all()


def test_share_with(net: Any, net_file: str) -> None:
    other = caffe.Net(net_file, caffe.TEST)
    other.share_with(net)
    net.params["conv"][0].data[...] = 5
    assert (other.params["conv"][0].data == 5).all()


# MemoryData

MEMORY = """
layer { name: "data" type: "MemoryData" top: "data" top: "label"
  memory_data_param { batch_size: 2 channels: 3 height: 4 width: 5 } }
layer { name: "silence" type: "Silence" bottom: "label" }
"""


@pytest.mark.parametrize("shape", [(4,), (4, 1, 1, 1)])
def test_set_input_arrays(shape: tuple[int, ...], write: Any) -> None:
    built = caffe.Net(write("memory.prototxt", MEMORY), caffe.TEST)
    data = np.random.default_rng(3).random((4, 3, 4, 5), np.float32)
    built.set_input_arrays(data, np.arange(4, dtype=np.float32).reshape(shape))
    for rows in (slice(0, 2), slice(2, 4), slice(0, 2)):
        np.testing.assert_array_equal(built.forward()["data"], data[rows])


@pytest.mark.parametrize(
    ("data", "labels", "words"),
    [
        (np.zeros((4, 3, 5, 4), "f4").swapaxes(2, 3), np.zeros(4, "f4"), "data array must be C contiguous"),
        (np.zeros((3, 4, 5), "f4"), np.zeros(3, "f4"), "data array must be 4-d"),
        (np.zeros((4, 3, 4, 5)), np.zeros(4, "f4"), "data array must be float32"),
        (np.zeros((4, 3, 4, 5), "f4"), np.zeros(4), "labels array must be float32"),
        (np.zeros((4, 1, 4, 5), "f4"), np.zeros(4, "f4"), "wrong number of channels"),
        (np.zeros((4, 3, 3, 5), "f4"), np.zeros(4, "f4"), "wrong height"),
        (np.zeros((4, 3, 4, 6), "f4"), np.zeros(4, "f4"), "wrong width"),
        (np.zeros((4, 3, 4, 5), "f4"), np.zeros(2, "f4"), "same first dimension"),
        (np.zeros((3, 3, 4, 5), "f4"), np.zeros(3, "f4"), "multiple of batch size"),
    ],
)
def test_input_arrays_that_do_not_fit(data: np.ndarray, labels: np.ndarray, words: str, write: Any) -> None:
    built = caffe.Net(write("memory.prototxt", MEMORY), caffe.TEST)
    with pytest.raises(RuntimeError, match=words):
        built.set_input_arrays(data, labels)


def test_set_input_arrays_needs_a_memory_data_layer(affine: Any) -> None:
    with pytest.raises(RuntimeError, match="first layer is a MemoryDataLayer"):
        affine.set_input_arrays(np.zeros((4, 3, 1, 1), "f4"), np.zeros(4, "f4"))


def test_a_relative_path_is_from_the_working_directory(net_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(os.path.dirname(net_file))
    assert caffe.Net("net.prototxt", caffe.TEST).outputs == ["loss"]


def test_blob_vec_adds_blobs() -> None:
    blobs = BlobVec()
    blobs.add_blob(2, 3)
    assert blobs[0].data.shape == (2, 3)


def test_gradients_that_no_layer_computes_are_said_once(write: Any, caplog: Any) -> None:
    text = """
    layer { name: "in" type: "Input" top: "x" top: "t" input_param { shape { dim: 1 dim: 3 } shape { dim: 1 } } }
    layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 2 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "y" bottom: "t" top: "loss" }
    """
    quiet = caffe.Net(write("quiet.prototxt", "force_backward: true " + text), caffe.TEST)
    quiet.forward()
    quiet.backward()
    assert "no layer computes" not in caplog.text
    ends_open = text.replace("SoftmaxWithLoss", "Softmax").replace(' bottom: "t" top: "loss"', ' top: "prob"')
    net = caffe.Net(
        write("net.prototxt", ends_open.replace(' top: "t"', "").replace(" shape { dim: 1 }", "")), caffe.TEST
    )
    net.forward()
    for _ in range(2):
        assert (net.backward(prob=np.ones((1, 2)))["x"] == 0).all()
    said = [record.message for record in caplog.records if "no layer computes" in record.message]
    assert len(said) == 1 and '"x"' in said[0] and "force_backward: true" in said[0]


def test_a_blob_cannot_be_replaced_in_silence(net: Any) -> None:
    for replace in (
        lambda: net.blobs.__setitem__("data", np.ones(3)),
        lambda: net.params.__setitem__("conv", [np.ones(3)]),
        lambda: net.params["conv"].__setitem__(0, np.ones(3)),
        lambda: net.layers[1].blobs.__setitem__(0, np.ones(3)),
    ):
        with pytest.raises(TypeError, match=r"write its values, .*\.data\[\.\.\.\] = array"):
            replace()
    for copied in (copy.deepcopy(net.params), copy.copy(net.params), net.params.copy()):
        assert isinstance(copied, OrderedDict)
        copied["conv"] = []
    assert len(net.params["conv"]) == 2
