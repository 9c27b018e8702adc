"""Nets that ONNX Runtime and OpenVINO compute: the same outputs as the layers', however the nets are cut."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bicerin import Net
from bicerin.cli.command_line import command_line
from bicerin.errors import NetError
from bicerin_onnx.in_onnxruntime import Onnxruntime
from bicerin_onnx.verification import difference

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "bench"), str(Path(__file__).parent)]
import models  # noqa: E402
import onnx_nets  # noqa: E402

RECORDED = ROOT / "tests" / "recorded" / "models"


@pytest.fixture(params=["onnxruntime", "openvino"])
def runtime(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(request.param)
    return str(request.param)


def pair(text: Any, runtime: Any, **options: Any) -> tuple[Net, Net]:
    return Net(text, "TEST", seed=1, **options), Net(text, "TEST", seed=1, runtime=runtime, **options)


def same(plain: Net, net: Net, inputs: dict[str, Any], tolerance: float = 1e-4) -> dict[str, np.ndarray]:
    expected, found = plain.forward(inputs), net.forward(inputs)
    assert list(expected) == list(found)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        assert difference(found[name], array) < tolerance
    return expected


def noise(net: Net, batch: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    shapes = {name: net.blobs[name].shape for name in net.inputs}
    return {name: random.normal(size=(batch or shape[0], *shape[1:])) for name, shape in shapes.items()}


def there(net: Net) -> list[bool]:
    """Of each step after the inputs, whether it runs in the runtime."""
    return [step.runtime is not None for step in net.steps if step.nodes[0].bottom]


@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_trained_nets(name: str, runtime: str) -> None:
    plain, net = pair(RECORDED / f"{name}.prototxt", runtime, weights=RECORDED / f"{name}.caffemodel")
    for batch in (None, 1, 3):
        same(plain, net, noise(plain, batch))
    assert there(net) == [True]


SMALL = {
    "detector": onnx_nets.DETECTOR,
    "unpooling": onnx_nets.SEGNET,
    "fcn": onnx_nets.FCN,
}


@pytest.mark.parametrize("name", SMALL)
def test_small_nets(name: str, runtime: str) -> None:
    plain, net = pair(SMALL[name], runtime)
    for batch in (1, 3, 1):
        same(plain, net, noise(plain, batch))
    assert there(net) == [True]


def test_images_of_other_sizes(runtime: str) -> None:
    plain, net = pair(onnx_nets.FCN, runtime)
    for height, width in ((37, 45), (50, 41), (64, 64), (37, 45)):
        same(plain, net, {"data": np.random.default_rng(height).normal(size=(1, 3, height, width))})


def test_faster_rcnn(runtime: str) -> None:
    # Boxes that are too small have no score at all: the order of equals is each runtime's own.
    plain, net = pair(
        onnx_nets.RCNN.replace("post_nms_topn: 12 min_size: 4", "post_nms_topn: 200 min_size: 0"), runtime
    )
    found = set()
    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(1, 3, 64, 96))
        found.add(len(same(plain, net, {"data": x, "im_info": [[64, 96, 1.5]]})["prob"]))
    assert len(found) > 1, "always as many regions"
    for height, width in ((48, 80), (100, 70)):
        x = np.random.default_rng(height).normal(size=(1, 3, height, width))
        same(plain, net, {"data": x, "im_info": [[height, width, 1.5]]})
    assert len(net._runtime_pass._parts[0]._programs) == 2, "one for the size, one for all others"
    assert there(net) == [True]


def test_sequences_go_on_where_the_last_ended(runtime: str) -> None:
    plain, net = pair(onnx_nets.WORDS, runtime)
    random = np.random.default_rng(0)
    for streams in (2, 2, 3, 3, 2):
        words, cont = random.integers(0, 7, (5, streams)), random.integers(0, 2, (5, streams))
        same(plain, net, {"words": words, "cont": cont}, 1e-5)
    same(plain, net, {"words": words, "cont": np.ones((5, 2))}, 1e-5)
    state = net.state()
    once = net.forward()
    assert np.abs(net.forward()["score"] - once["score"]).max() > 1e-6
    net.restore_state(state)
    np.testing.assert_array_equal(net.forward()["score"], once["score"])


@pytest.mark.parametrize("name", ["googlenet", "resnet50"])
def test_large_nets(name: str, runtime: str) -> None:
    plain, net = pair(models.prototxt(name, 1, False), runtime)
    onnx_nets.give_statistics(plain)
    net.share_trained_layers_with(plain)
    same(plain, net, noise(plain))
    assert there(net) == [True]


PYTHON = """
layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ dim: 2 dim: 3 dim: 8 dim: 10 }} }} }}
layer {{ name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param {{ num_output: 4 kernel_size: 3
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "conv" top: "conv" }}
layer {{ name: "middle" type: "Python" bottom: "conv" top: "{0}" python_param {{ module: "runtime_layers"
  layer: "Twice" }} }}
layer {{ name: "relu2" type: "ReLU" bottom: "{0}" top: "{0}" relu_param {{ negative_slope: 0.5 }} }}
layer {{ name: "score" type: "InnerProduct" bottom: "{0}" top: "score" inner_product_param {{ num_output: 5
  weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "prob" type: "Softmax" bottom: "score" top: "prob" }}
"""


@pytest.fixture
def python_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runtime_layers.py").write_text(
        "class Twice:\n"
        "    def setup(self, bottom, top): pass\n"
        "    def reshape(self, bottom, top): top[0].reshape(*bottom[0].shape)\n"
        "    def forward(self, bottom, top): top[0].data[...] = 2 * bottom[0].data - 0.2\n"
        "    def backward(self, top, propagate_down, bottom): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "net.prototxt").write_text(PYTHON.format("middle"))
    return tmp_path / "net.prototxt"


@pytest.mark.usefixtures("python_layer")
@pytest.mark.parametrize("top", ["middle", "conv"], ids=["apart", "in-place"])
def test_a_python_layer_in_the_middle(runtime: str, top: str) -> None:
    plain, net = pair(PYTHON.format(top), runtime)
    for batch in (2, 5, 2):
        same(plain, net, noise(plain, batch))
    assert there(net) == [True, False, True]
    assert "to_onnx(self, graph)" in net.refusals["middle"]


@pytest.mark.usefixtures("python_layer")
@pytest.mark.parametrize(
    "text",
    [
        'layer { name: "other" type: "Python" bottom: "conv" top: "other" python_param { module: "runtime_layers" '
        'layer: "Twice" } }',
        'layer { name: "sum" type: "Eltwise" bottom: "middle" bottom: "conv" top: "sum" }',
    ],
    ids=["two-readers-here", "one-there"],
)
def test_what_several_read_is_right_at_other_sizes(runtime: str, text: str) -> None:
    """Each reads a blob of its own, which a Split makes share the values of the part's output."""
    plain, net = pair(PYTHON.format("middle") + text, runtime)
    for batch in (2, 5, 5, 3, 2, 7):
        same(plain, net, noise(plain, batch, seed=batch))
    assert there(net)[:2] == [True, False]


@pytest.mark.usefixtures("python_layer")
def test_what_is_cut_apart_is_right_at_other_sizes(runtime: str) -> None:
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 } } }'
        'layer { name: "slice" type: "Slice" bottom: "data" top: "a" top: "b" }'
        'layer { name: "middle" type: "Python" bottom: "a" top: "middle" python_param { module: "runtime_layers" '
        'layer: "Twice" } }'
        'layer { name: "concat" type: "Concat" bottom: "a" bottom: "b" bottom: "middle" top: "concat" }'
    )
    plain, net = pair(text, runtime)
    for batch in (2, 6, 6, 3, 2):
        same(plain, net, noise(plain, batch, seed=batch))
    assert there(net) == [True, False, True]


@pytest.mark.usefixtures("python_layer")
def test_what_nobody_reads_is_no_program(runtime: str) -> None:
    """A label that is silenced, in a part by itself, as a net that is cut has it."""
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 4 } } }'
        'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }'
        'layer { name: "middle" type: "Python" bottom: "data" top: "middle" python_param { module: "runtime_layers" '
        'layer: "Twice" } }'
        'layer { name: "silence" type: "Silence" bottom: "label" }'
    )
    plain, net = pair(text, runtime)
    same(plain, net, {"data": np.ones((3, 4)), "label": np.zeros(3)})
    assert not any(there(net))


def test_a_loss_and_accuracy_of_one_blob_at_other_sizes(runtime: str) -> None:
    text = (
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 6 } } }'
        'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 4 '
        'weight_filler { type: "gaussian" std: 1 } } }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "loss" }'
        'layer { name: "accuracy" type: "Accuracy" bottom: "ip" bottom: "label" top: "accuracy" }'
    )
    plain, net = pair(text, runtime)
    random = np.random.default_rng(0)
    for batch in (2, 8, 8, 5):
        inputs = {"data": random.normal(size=(batch, 6)), "label": random.integers(0, 4, batch)}
        same(plain, net, inputs)


@pytest.mark.parametrize("kind", ["LSTM", "RNN"])
@pytest.mark.parametrize("streams", [(2, 1, 3), (2, 1, 2), (3, 1, 2, 4)])
def test_sequences_whose_number_changes(streams: tuple[int, ...], kind: str, runtime: str) -> None:
    text = (
        f"{input_blob('x', 4, 2, 5)} {input_blob('cont', 4, 2)}"
        f'layer {{ name: "y" type: "{kind}" bottom: "x" bottom: "cont" top: "y" recurrent_param {{ num_output: 3 '
        'weight_filler { type: "gaussian" std: 0.5 } } }'
    )
    plain, net = pair(text, runtime)
    random = np.random.default_rng(0)
    for number in streams:
        same(plain, net, {"x": random.normal(size=(4, number, 5)), "cont": np.ones((4, number))}, 1e-5)


def input_blob(name: str, *shape: int) -> str:
    dims = " ".join(f"dim: {size}" for size in shape)
    return f'layer {{ name: "{name}" type: "Input" top: "{name}" input_param {{ shape {{ {dims} }} }} }}'


@pytest.mark.parametrize(
    "view",
    ['type: "Flatten"', 'type: "Reshape" reshape_param { shape { dim: -1 } }', 'type: "Concat"', 'type: "Slice"'],
)
def test_a_layer_in_place_on_memory_that_another_reads(view: str, runtime: str) -> None:
    text = (
        f"{input_blob('data', 1, 4)}"
        'layer { name: "p" type: "Power" bottom: "data" top: "p" power_param { shift: 0 } }'
        f'layer {{ name: "f" bottom: "p" top: "f" {view} }}'
        'layer { name: "r" type: "ReLU" bottom: "f" top: "f" }'
        'layer { name: "t" type: "Power" bottom: "p" top: "t" power_param { scale: 10 } }'
    )
    plain, net = pair(text, runtime)
    for _ in range(2):
        expected = same(plain, net, {"data": np.array([[-1.0, 2.0, -3.0, 4.0]])})
        assert expected["t"].tolist() == [[0, 20, 0, 40]], "as in Caffe"
    assert net.refusals == {
        "r": 'it works in place on "f", in whose memory "p_p_0_split_1" is too, which "t" reads afterwards'
    }


def test_an_input_that_a_layer_works_on_in_place(runtime: str) -> None:
    text = (
        f"{input_blob('data', 1, 4)}"
        'layer { name: "p" type: "Power" bottom: "data" top: "data" power_param { shift: -1 } }'
        'layer { name: "t" type: "TanH" bottom: "data" top: "t" }'
    )
    plain, net = pair(text, runtime)
    for batch in (1, 3):
        same(plain, net, {"data": np.full((batch, 4), 1.5)})
        np.testing.assert_array_equal(net.blobs["data"].data, plain.blobs["data"].data)
    for one in (plain, net):
        one.blobs["data"].data[...] = 0.5
    assert net.run_forward() == plain.run_forward() == 0
    np.testing.assert_allclose(net.blobs["t"].data, plain.blobs["t"].data, rtol=1e-5)


def test_the_weighted_top_of_an_inner_layer_is_a_loss(runtime: str) -> None:
    text = (
        f"{input_blob('data', 2, 4)}"
        'layer { name: "s" type: "Sigmoid" bottom: "data" top: "s" loss_weight: 2 }'
        'layer { name: "t" type: "TanH" bottom: "s" top: "t" }'
    )
    plain, net = pair(text, runtime)
    same(plain, net, {"data": np.ones((2, 4))})
    assert net.run_forward() == pytest.approx(plain.run_forward(), rel=1e-6) != 0
    assert net.refusals == {"s": "it is a loss, which is summed up here"}


def test_an_input_without_axes(runtime: str) -> None:
    text = (
        f"{input_blob('data', 2, 3)} {input_blob('k')}"
        'layer { name: "s" type: "Scale" bottom: "data" bottom: "k" top: "s" scale_param { axis: 0 num_axes: 0 } }'
    )
    same(*pair(text, runtime), {"data": np.ones((2, 3)), "k": np.array(2.0)})


@pytest.mark.parametrize("layer", ['type: "Flatten"', 'type: "Reshape" reshape_param { shape { dim: 0 dim: -1 } }'])
@pytest.mark.parametrize("batches", [(0, 2, 0), (2, 0, 3)])
def test_a_batch_of_none(batches: tuple[int, ...], layer: str, runtime: str) -> None:
    text = f'{input_blob("data", 2, 3, 4)} layer {{ name: "r" bottom: "data" top: "r" {layer} }}'
    plain, net = pair(text, runtime)
    for batch in batches:
        same(plain, net, {"data": np.ones((batch, 3, 4))})


def test_sizes_that_a_runtime_does_not_compute_while_they_are_open(runtime: str) -> None:
    text = (
        f"{input_blob('data', 2, 4, 9, 11)}"
        'layer { name: "i" type: "Interp" bottom: "data" top: "i" interp_param { zoom_factor: 2 pad_beg: -1 } }'
    )
    plain, net = pair(text, runtime)
    for batch in (2, 1, 3):
        same(plain, net, {"data": np.random.default_rng(batch).normal(size=(batch, 4, 9, 11))})


def test_statistics_that_move_with_every_pass_move_here(runtime: str) -> None:
    text = (
        f"{input_blob('data', 2, 3, 4, 5)}"
        'layer { name: "b" type: "BatchNorm" bottom: "data" top: "b" batch_norm_param { use_global_stats: false } }'
    )
    plain, net = pair(text, runtime)
    same(plain, net, noise(plain))
    for mine, others in zip(net.params["b"], plain.params["b"], strict=True):
        np.testing.assert_array_equal(mine.data, others.data)
    assert "use_global_stats" in net.refusals["b"]


def test_a_refused_option_runs_here(runtime: str) -> None:
    text = onnx_nets.DETECTOR.replace("nms_threshold: 0.45", "nms_threshold: 0.45 eta: 0.9")
    assert text != onnx_nets.DETECTOR
    plain, net = pair(text, runtime)
    for batch in (1, 3):
        same(plain, net, noise(plain, batch))
    assert there(net) == [True, False]
    (reason,) = net.refusals.values()
    assert "eta" in reason


def test_losses_and_accuracy_run_here(runtime: str) -> None:
    text = (
        'layer { name: "data" type: "DummyData" top: "data" top: "label" dummy_data_param { shape { dim: 6 dim: 5 } '
        'shape { dim: 6 } data_filler { type: "uniform" } data_filler { type: "constant" value: 2 } } }'
        'layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" inner_product_param { num_output: 4 '
        'weight_filler { type: "xavier" } } }'
        'layer { name: "early" type: "SoftmaxWithLoss" bottom: "ip" bottom: "label" top: "early" loss_weight: 0.3 }'
        'layer { name: "ip2" type: "InnerProduct" bottom: "ip" top: "ip2" inner_product_param { num_output: 4 '
        'weight_filler { type: "xavier" } } }'
        'layer { name: "accuracy" type: "Accuracy" bottom: "ip2" bottom: "label" top: "accuracy" }'
        'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "ip2" bottom: "label" top: "loss" }'
    )
    plain, net = pair(text, runtime)
    for _ in range(2):
        assert net.run_forward() == pytest.approx(plain.run_forward(), rel=1e-5)
        for name in ("accuracy", "early", "loss"):
            assert net.blobs[name].data == pytest.approx(plain.blobs[name].data, rel=1e-5)
    assert there(net) == [True, False]


def test_other_weights(runtime: str) -> None:
    plain, net = pair(RECORDED / "lenet.prototxt", runtime)
    x = noise(plain, 2)
    same(plain, net, x)
    for each in (plain, net):
        each.load_weights(RECORDED / "lenet.caffemodel")
    same(plain, net, x)


def test_inner_blobs(runtime: str) -> None:
    plain, net = pair(RECORDED / "lenet.prototxt", runtime, weights=RECORDED / "lenet.caffemodel")
    net.forward(noise(net, 2))
    with pytest.raises(NetError, match=f'blob "pool1" are not kept: the net was built with runtime="{runtime}"'):
        net.forward("pool1")
    net = Net(
        RECORDED / "lenet.prototxt",
        "TEST",
        weights=RECORDED / "lenet.caffemodel",
        runtime=runtime,
        keep=["pool1", "ip1"],
    )
    x = noise(plain, 2)
    expected, found = plain.forward(x), net.forward(x)
    for name in ("pool1", "ip1", *expected):
        assert difference(net.blobs[name].data, plain.blobs[name].data) < 1e-5
    assert list(expected) == list(found)


def test_threads(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_NUM_THREADS", "1")
    net = Net(RECORDED / "lenet.prototxt", "TEST", runtime=runtime)
    net.forward(noise(net, 2))
    program: Any = net._runtime_pass._parts[0]._programs[0].program
    if runtime == "onnxruntime":
        assert program._session.get_session_options().intra_op_num_threads == 1
    else:
        assert program._request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == 1


def test_an_object_with_settings() -> None:
    pytest.importorskip("onnxruntime")
    runtime = Onnxruntime({"session.intra_op.allow_spinning": "0", "session.inter_op.allow_spinning": 0})
    same(*pair(RECORDED / "lenet.prototxt", runtime), noise(Net(RECORDED / "lenet.prototxt", "TEST"), 2))


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_library_that_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(NetError, match=rf"cannot be imported: pip install 'bicerin-onnx\[{name}\]'"):
        Net(RECORDED / "lenet.prototxt", "TEST", runtime=name)


def test_what_a_runtime_refuses(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the library's names the layers."""
    net = Net(RECORDED / "lenet.prototxt", "TEST", runtime=runtime)

    def refuse(*arguments: Any) -> None:
        raise RuntimeError("an operation that it lacks")

    monkeypatch.setattr(type(net.runtime), "load", refuse)
    with pytest.raises(NetError, match=r'refuses the layers "conv1" to "prob": an operation that it lacks'):
        net.forward(noise(net, 2))


# On the command line


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: Any, status: int = 0) -> str:
        result = CliRunner().invoke(command_line, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result.output if status else result.stdout

    return invoke


def test_time(runtime: str, python_layer: Path, run: Any) -> None:
    found = json.loads(run("--quiet", "time", python_layer, "--runtime", runtime, "--iterations", 2, "--json"))
    assert (found["runtime"], found["phase"]) == (runtime, "TEST")
    assert [(part["runtime"], part["layers"]) for part in found["parts"]] == [
        (None, ["data"]),
        (runtime, ["conv", "relu"]),
        (None, ["middle"]),
        (runtime, ["relu2", "score", "prob"]),
    ]
    table = run("time", python_layer, "--runtime", runtime, "--iterations", 2)
    assert "relu2 to prob (3 layers)" in table
    assert f'"middle" does not run in {runtime}: Twice does not say what it is' in table
    assert "is for nets in phase TEST" in run("time", python_layer, "--runtime", runtime, "--phase", "TRAIN", status=1)


def test_test(runtime: str, run: Any) -> None:
    arguments = ("test", RECORDED / "lenet.prototxt", "-w", RECORDED / "lenet.caffemodel", "--iterations", 1, "--json")
    expected = json.loads(run("--quiet", *arguments))
    found = json.loads(run("--quiet", *arguments, "--runtime", runtime))
    np.testing.assert_allclose(found["outputs"]["prob"], expected["outputs"]["prob"], rtol=1e-4, atol=1e-6)
    assert 'error: unknown runtime "onyx"' in run(*arguments, "--runtime", "onyx", status=1)


def test_extract_features(runtime: str, run: Any, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    weights, net = RECORDED / "lenet.caffemodel", RECORDED / "lenet.prototxt"
    run("extract-features", weights, net, "pool2,prob", "a.h5,b.h5", 1, "--runtime", runtime)
    run("extract-features", weights, net, "pool2,prob", "c.h5,d.h5", 1)
    for one, other, name in (("a", "c", "pool2"), ("b", "d", "prob")):
        with h5py.File(tmp_path / f"{one}.h5") as found, h5py.File(tmp_path / f"{other}.h5") as expected:
            assert difference(found[name][()], expected[name][()]) < 1e-5
