"""A training step by the engine: the gradients and the weights of the layers' own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin.kernels import choices as kept_choices
from bicerin.kernels import rounding_least
from bicerin_onednn.layout import OneDNNLayout
from bicerin_onednn.trained_convolution import TrainedConvolutionLayer
from bicerin_onednn.trained_layers import TrainedConcatLayer

NORM = """
layer { name: "n_BLOB" type: "BatchNorm" bottom: "BLOB" top: "BLOB" }
layer { name: "s_BLOB" type: "Scale" bottom: "BLOB" top: "BLOB" scale_param { bias_term: true filler { value: 0.8 } } }
"""
RELU = 'layer { name: "r_BLOB" type: "ReLU" bottom: "BLOB" top: "BLOB" }\n'


def conv(name: str, bottom: str, param: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" convolution_param {{ {param} '
        'weight_filler { type: "xavier" } bias_filler { value: 0.1 } } }\n'
    )


def layer(kind: str, name: str, bottoms: str, param: str = "") -> str:
    given = " ".join(f'bottom: "{one}"' for one in bottoms.split())
    return f'layer {{ name: "{name}" type: "{kind}" {given} top: "{name}" {param} }}\n'


#: Every layer that the engine trains, and some between them that it does not.
NET = (
    """
layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 3 dim: 3 dim: 17 dim: 14 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 3 } } }
"""
    + conv("a", "x", "num_output: 16 kernel_size: 3 pad: 1 stride: 2")
    + (NORM + RELU).replace("BLOB", "a")
    + layer("Pooling", "p", "a", "pooling_param { kernel_size: 3 stride: 1 pad: 1 }")
    + conv("b", "p", "num_output: 16 kernel_size: 3 pad: 1 group: 16 bias_term: false")
    + NORM.replace("BLOB", "b")
    + layer("Eltwise", "sum", "a b")
    + RELU.replace("BLOB", "sum")
    + conv("c", "sum", "num_output: 24 kernel_size: 1")
    + RELU.replace("BLOB", "c")
    + conv("d", "sum", "num_output: 8 kernel_size: 3 pad: 2 dilation: 2 group: 4")
    + (NORM + RELU.replace("}\n", " relu_param { negative_slope: 0.1 } }\n")).replace("BLOB", "d")
    + conv("w", "sum", "num_output: 20 kernel_size: 3 pad: 1")
    + RELU.replace("BLOB", "w")
    + layer("Concat", "join", "c d w")
    + layer("LRN", "lrn", "join")
    + layer("Pooling", "mean", "lrn", "pooling_param { pool: AVE kernel_size: 3 stride: 2 }")
    + conv("e", "mean", "num_output: 16 kernel_size: 1 stride: 2")
    + layer("InnerProduct", "score", "e", 'inner_product_param { num_output: 4 weight_filler { type: "xavier" } }')
    + layer("SoftmaxWithLoss", "loss", "score label")
)


def solver(monkeypatch: pytest.MonkeyPatch, path: Path, engine: str, **options: Any) -> bicerin.Solver:
    monkeypatch.setenv("BICERIN_ENGINE", engine)
    file = path / "net.prototxt"
    file.write_text(NET)
    settings = f'net: "{file}" base_lr: 0.02 lr_policy: "fixed" momentum: 0.9 random_seed: 5 display: 0 max_iter: 99'
    made = bicerin.Solver(f'{settings} snapshot_prefix: "{path}/s"', **options)
    random = np.random.default_rng(1)
    made.net.blobs["x"].data[...] = random.normal(size=made.net.blobs["x"].shape)
    made.net.blobs["label"].data[...] = random.integers(0, 4, 3)
    return made


def values(made: bicerin.Solver) -> dict[str, np.ndarray]:
    found = {name: np.array(blob.data) for name, blob in made.net.blobs.items()}
    for name, blobs in made.net.params.items():
        for index, blob in enumerate(blobs):
            found[f"{name} {index}"], found[f"gradient {name} {index}"] = np.array(blob.data), np.array(blob.diff)
    return found


def assert_same(found: dict[str, np.ndarray], wanted: dict[str, np.ndarray]) -> None:
    for name, array in wanted.items():
        size = np.abs(array).max()
        np.testing.assert_allclose(found[name], array, rtol=1e-3, atol=1e-4 * size + 1e-6, err_msg=name)


@pytest.mark.parametrize("keep", [False, True], ids=["a step", "gradients kept"])
def test_a_step_gives_what_the_layers_themselves_give(
    keep: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = solver(monkeypatch, tmp_path, "caffe", keep_gradients=True)
    made = solver(monkeypatch, tmp_path, "onednn", keep_gradients=keep)
    for one in (own, made):
        one.step(2)
    assert "oneDNN" in made.net.layer("c").algorithm
    assert_same(values(made), values(own))
    if keep:
        for name in ("a", "p", "sum", "join", "mean", "e"):
            np.testing.assert_allclose(
                made.net.blobs[name].diff, own.net.blobs[name].diff, rtol=1e-3, atol=1e-5, err_msg=name
            )


def test_a_step_by_our_own_kernels_on_the_librarys_blocks_gives_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = solver(monkeypatch, tmp_path, "caffe", keep_gradients=True)
    monkeypatch.setattr(
        "bicerin_onednn.chosen_ways.choice",
        lambda key, ways, *_: "winograd" if "winograd" in ways else "onednn",
    )
    made = solver(monkeypatch, tmp_path, "")
    for one in (own, made):
        one.step(2)
    products = ("forward", "weight gradient", "data gradient")
    assert made.net.layer("w").algorithm.split(", ") == [f"{name} own blocked Winograd" for name in products]
    assert_same(values(made), values(own))
    with rounding_least():
        made.net.forward()
        assert made.net.layer("w").algorithm.startswith("forward oneDNN")
    made.step(1)
    assert made.net.layer("w").algorithm.split(", ") == [f"{name} own blocked Winograd" for name in products]
    assert {way for key, way in made.net.layer("w")._ways.items() if "rounding" not in key} == {"winograd"}


def test_values_stay_in_the_layouts_from_layer_to_layer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise the test above would show nothing of the layers between."""
    made = solver(monkeypatch, tmp_path, "onednn")
    made.step(2)
    arranged = [node.top[0].name for node in made.net.nodes if isinstance(node.top[0].memory[0].layout, OneDNNLayout)]
    assert {"a", "p", "b", "sum", "c"} <= set(arranged)
    # LRN reads it in rows.
    join = made.net.layer("join")
    assert isinstance(join, TrainedConcatLayer)
    assert join._parts_in is not None


def test_a_value_that_somebody_holds_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    own, made = solver(monkeypatch, tmp_path, "caffe"), solver(monkeypatch, tmp_path, "onednn")
    held, gradient = made.net.blobs["sum"].data, made.net.blobs["join"].diff
    kept = own.net.blobs["join"].diff
    for one in (own, made):
        one.step(2)
    np.testing.assert_allclose(held, own.net.blobs["sum"].data, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(gradient, kept, rtol=1e-3, atol=1e-6)


def test_a_resumed_run_computes_as_its_snapshot_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, choices: Path
) -> None:
    """Another processor, or another measurement, may favour the other way, whose last bits differ."""
    # Ways in turn: some products are the library's, and some the layer's own.
    turn = iter(range(1000))
    monkeypatch.setattr("bicerin_onednn.chosen_ways.choice", lambda key, ways, *_: sorted(ways)[next(turn) % 2])
    made = solver(monkeypatch, tmp_path, "")
    made.step(3)
    made.snapshot()
    made.step(3)
    wanted = values(made)
    monkeypatch.setattr("bicerin_onednn.chosen_ways.choice", lambda key, ways, *_: "own")
    resumed = solver(monkeypatch, tmp_path, "")
    resumed.restore(tmp_path / "s_iter_3.solverstate")
    resumed.step(3)
    for name, array in wanted.items():
        np.testing.assert_array_equal(values(resumed)[name], array, err_msg=name)
    ways = resumed.net.layer("c").state()
    assert ways is not None
    assert set(ways["ways"].values()) == {"own", "onednn"}


def test_each_product_is_measured_by_itself_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, choices: Path
) -> None:
    made = solver(monkeypatch, tmp_path, "")
    made.step(1)
    layer = made.net.layer("c")
    assert isinstance(layer, TrainedConvolutionLayer)
    assert {key.partition(" of ")[0] for key in layer._ways} == {"forward", "data gradient", "weight gradient"}
    before = choices.read_text()
    kept_choices._chosen.clear()
    solver(monkeypatch, tmp_path, "").step(1)
    assert choices.read_text() == before


def test_the_library_trains_with_fast_code_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of LeNet's first convolution, the library has a gradient in its own choice of layouts only."""
    monkeypatch.setenv("BICERIN_ENGINE", "onednn")
    text = """
layer { name: "x" type: "DummyData" top: "x" dummy_data_param { shape { dim: 4 dim: 1 dim: 28 dim: 28 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param { num_output: 20 kernel_size: 5 } }
layer { name: "d" type: "Convolution" bottom: "c" top: "d" convolution_param { num_output: 50 kernel_size: 5 } }
"""
    net = bicerin.Net("force_backward: true" + text, "TRAIN")
    net.forward()
    net.backward()
    for layer in net.layers[1:]:
        (products,) = layer._products.values()
        codes = {name: getattr(products, f"{name}_code") for name in ("forward", "data", "weight")}
        ways = {key.partition(" of ")[0].removesuffix(" gradient"): way for key, way in layer._ways.items()}
        assert ways and all(way == "own" or not codes[name].startswith("ref") for name, way in ways.items()), codes


@pytest.mark.parametrize("transpose", ["false", "true"])
def test_gradients_of_an_inner_product(transpose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = layer("InnerProduct", "y", "x", f"inner_product_param {{ num_output: 130 transpose: {transpose} }}")
    found = []
    for engine in ("caffe", "onednn"):
        monkeypatch.setenv("BICERIN_ENGINE", engine)
        given = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 70 dim: 21 dim: 25 } } }'
        net = bicerin.Net("force_backward: true " + given + text, "TRAIN")
        random = np.random.default_rng(8)
        for blob in (*net.params["y"], net.blobs["x"]):
            blob.data[...] = random.normal(size=blob.shape)
        net.forward()
        net.clear_param_diffs(later=True)
        for _ in range(2):  # the second is added
            x_diff = net.backward(y=random.normal(size=(70, 130)))["x"]
        found.append([x_diff, *(np.array(blob.diff) for blob in net.params["y"])])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)
    assert net.layer("y").algorithm == "weight gradient oneDNN, data gradient oneDNN"
