"""Layers that train together, and gradients that share memory: a step computes what layers by themselves do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin import BlobCounts, Layer
from bicerin.errors import NetError
from bicerin.net import renewal

SCALE = 'scale_param { bias_term: true filler { type: "uniform" min: -2 max: 2 } bias_filler { value: 0.3 } }'
CONVOLUTION = (
    'convolution_param { num_output: 6 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: "xavier" } }'
)
LOSS = """
layer { name: "score" type: "InnerProduct" bottom: "TOP" top: "score"
        inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }
"""
INPUTS = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 3 dim: 2 dim: 5 dim: 7 } } }
layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 3 } } }
"""


def layer(kind: str, name: str, bottom: str, top: str, param: str = "") -> str:
    bottoms = " ".join(f'bottom: "{one}"' for one in bottom.split())
    return f'layer {{ name: "{name}" type: "{kind}" {bottoms} top: "{top}" {param} }}\n'


def net(*kinds: str, in_place: bool = True) -> str:
    """A convolution, and layers after it: in place, or the first of them with a top of its own."""
    text, blob = INPUTS + layer("Convolution", "conv", "data", "a", CONVOLUTION), "a"
    params = {"Scale": SCALE, "Leaky": "relu_param { negative_slope: 0.1 }"}
    for index, kind in enumerate(kinds):
        top = blob if in_place or index else "b"
        text += layer("ReLU" if kind == "Leaky" else kind, f"l{index}", blob, top, params.get(kind, ""))
        blob = top
    return text + LOSS.replace("TOP", blob)


def residual() -> str:
    text = INPUTS + layer("Convolution", "conv", "data", "a", CONVOLUTION)
    text += layer("BatchNorm", "n0", "a", "a") + layer("Scale", "s0", "a", "a", SCALE) + layer("ReLU", "r0", "a", "a")
    text += layer("Convolution", "conv1", "a", "b", CONVOLUTION)
    text += layer("BatchNorm", "n1", "b", "b") + layer("Scale", "s1", "b", "b", SCALE)
    text += layer("Eltwise", "sum", "a b", "c") + layer("ReLU", "r2", "c", "c")
    text += layer("BatchNorm", "n2", "c", "d") + layer("Scale", "s2", "d", "d", SCALE) + layer("ReLU", "r3", "d", "d")
    text += layer("Concat", "join", "c d", "e") + layer("Pooling", "p", "e", "f", "pooling_param { kernel_size: 2 }")
    text += layer("Reshape", "flat", "f", "g", "reshape_param { shape { dim: 0 dim: -1 } }")
    return text + LOSS.replace("TOP", "g")


NETS = {
    "BatchNorm, Scale, ReLU": net("BatchNorm", "Scale", "ReLU"),
    "with a top of their own": net("BatchNorm", "Scale", "ReLU", in_place=False),
    "slope": net("BatchNorm", "Scale", "Leaky"),
    "Scale": net("BatchNorm", "Scale"),
    "Bias": net("BatchNorm", "Bias", "ReLU"),
    "rectified alone": net("BatchNorm", "ReLU", in_place=False),
    "Dropout after": net("BatchNorm", "Scale", "ReLU", "Dropout"),
    "residual": residual(),
}


def solver(text: str, path: Path, dtype: str = "float64", **options: bool) -> bicerin.Solver:
    file = path / "net.prototxt"
    file.write_text(text)
    settings = f'net: "{file}" base_lr: 0.05 lr_policy: "fixed" momentum: 0.9 random_seed: 5 display: 0 max_iter: 100'
    made = bicerin.Solver(settings, dtype=dtype, **options)
    random = np.random.default_rng(2)
    made.net.blobs["data"].data[...] = random.normal(size=made.net.blobs["data"].shape)
    made.net.blobs["label"].data[...] = random.integers(0, 4, 3)
    return made


def values(made: bicerin.Solver) -> Iterator[tuple[str, np.ndarray]]:
    for name, blobs in made.net.params.items():
        for index, blob in enumerate(blobs):
            yield f"{name} {index}", np.array(blob.data)
            yield f"gradient of {name} {index}", np.array(blob.diff)
    for name, blob in made.net.blobs.items():
        yield name, np.array(blob.data)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_a_step_is_that_of_each_layer_by_itself(name: str, dtype: str, tmp_path: Path) -> None:
    kept, shared = (solver(NETS[name], tmp_path, dtype, keep_gradients=keep) for keep in (True, False))
    for made in (kept, shared):
        made.step(4)
    tolerance = 1e-9 if dtype == "float64" else 2e-3
    for (what, wanted), (_, found) in zip(values(kept), values(shared), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance, err_msg=what)


def test_layers_are_put_together(tmp_path: Path) -> None:
    """Otherwise the test above would compare a thing with itself."""
    made = solver(NETS["residual"], tmp_path)
    made.step(1)
    ran = [node.name for node in made.net._training_pass._forward]
    assert not {"s0", "r0", "s1", "s2", "r3"} & set(ran)
    assert {"n0", "n1", "n2", "sum"} <= set(ran)


def test_gradients_take_turns(tmp_path: Path) -> None:
    made = solver(NETS["residual"], tmp_path)
    made.step(1)
    memories = {id(blob.blob.memory[1]) for blob in made.net.blobs.values()}
    made.net.forward()
    assert len(memories) < len({id(blob.blob.memory[1]) for blob in made.net.blobs.values()})


def test_a_gradient_that_is_not_kept_is_refused(tmp_path: Path) -> None:
    made = solver(NETS["residual"], tmp_path)
    made.step(1)
    with pytest.raises(NetError, match=r'the gradient of blob "a" is not kept.*keep_gradients=True'):
        made.net.blobs["a"].diff  # noqa: B018
    with pytest.raises(NetError, match="is not kept"):
        made.net.blobs["a"].read_only.diff  # noqa: B018
    with pytest.raises(NetError, match=r"run forward\(\) before"):
        made.net.backward()
    assert np.isfinite(made.net.params["conv"][0].diff).all()
    assert made.net.blobs["loss"].diff == 1


def test_a_gradient_that_somebody_holds_is_kept(tmp_path: Path) -> None:
    """The bottom of a convolution, whose gradient is the same however the step runs."""
    kept, shared = (solver(NETS["residual"], tmp_path, keep_gradients=keep) for keep in (True, False))
    kept.net.blobs["a"].diff[...] = 3
    held = shared.net.blobs["f"].diff
    for made in (kept, shared):
        made.step(3)
    np.testing.assert_allclose(held, kept.net.blobs["f"].diff, rtol=1e-9, atol=1e-12)
    assert held.any()


def test_values_that_somebody_holds_are_written(tmp_path: Path) -> None:
    made, other = solver(NETS["residual"], tmp_path), solver(NETS["residual"], tmp_path)
    held = made.net.blobs["a"].data
    for one in (made, other):
        one.step(2)
    np.testing.assert_array_equal(held, other.net.blobs["a"].data)
    np.testing.assert_array_equal(made.net.params["conv"][0].data, other.net.params["conv"][0].data)


def test_passes_by_hand_keep_all(tmp_path: Path) -> None:
    made = solver(NETS["residual"], tmp_path)
    made.step(2)
    made.net.clear_param_diffs()
    made.net.forward()
    made.net.backward()
    plain = solver(NETS["residual"], tmp_path, keep_gradients=True)
    plain.step(2)
    plain.net.clear_param_diffs()
    plain.net.forward_backward()
    for name, blob in plain.net.blobs.items():
        np.testing.assert_allclose(made.net.blobs[name].diff, blob.diff, rtol=1e-6, atol=1e-9, err_msg=name)
    made.step(1)
    assert np.isfinite(made.loss)


def test_a_loss_weight_that_is_set_later_counts(tmp_path: Path) -> None:
    kept, shared = (solver(NETS["residual"], tmp_path, keep_gradients=keep) for keep in (True, False))
    for made in (kept, shared):
        made.step(1)
        made.net.node("s1").loss_weights = [0.01]
        made.step(1)
    for (what, wanted), (_, found) in zip(values(kept), values(shared), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8, err_msg=what)


def test_another_shape(tmp_path: Path) -> None:
    kept, shared = (solver(NETS["residual"], tmp_path, keep_gradients=k) for k in (True, False))
    for images in (2, 5, 1):
        data = np.random.default_rng(images).normal(size=(images, 2, 5, 7))
        for made in (kept, shared):
            made.net.blobs["data"].reshape(*data.shape)
            made.net.blobs["label"].reshape(images)
            made.net.blobs["data"].data[...] = data
            made.net.blobs["label"].data[...] = 1
            made.step(1)
    for (what, wanted), (_, found) in zip(values(kept), values(shared), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8, err_msg=what)


def test_values_that_can_be_computed_again_take_turns(tmp_path: Path) -> None:
    made = solver(NETS["residual"], tmp_path)
    made.step(1)
    for name in "abd":
        assert made.net.blobs[name].blob.memory[0].passes, name
    assert not made.net.blobs["c"].blob.memory[0].passes
    wide = solver(net("BatchNorm", "Scale", "ReLU"), tmp_path)
    wide.step(1)
    assert wide.net.blobs["a"].blob.memory[0].passes


def test_large_values_are_kept_where_the_backward_pass_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "LARGEST", 0)
    made = solver(NETS["residual"], tmp_path)
    made.step(1)
    passing = {name for name, blob in made.net.blobs.items() if blob.blob.memory[0].passes}
    assert passing == {"b", "d"}, "an Eltwise sum and a Concat read them, and conv1 reads a"


@pytest.mark.parametrize("name", ["residual", "slope", "with a top of their own"])
def test_who_looks_changes_nothing(name: str, tmp_path: Path) -> None:
    looked_at, other = (solver(NETS[name], tmp_path, "float32") for _ in range(2))
    seen = []
    for _ in range(3):
        for made in (looked_at, other):
            made.step(1)
        seen.append([(name, np.array(blob.read_only.data)) for name, blob in looked_at.net.blobs.items()])
    for name, array in seen[-1]:
        np.testing.assert_array_equal(other.net.blobs[name].data, array, err_msg=name)
    for (what, wanted), (_, found) in zip(values(looked_at), values(other), strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=what)


class KeepsItsBottom(Layer):
    """The square of its bottom, whose array it keeps from one pass to the other, as layers may."""

    type = "KeepsItsBottom"
    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom: Any, top: Any) -> None:
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Any, top: Any) -> None:
        self.x = bottom[0].data
        top[0].data[...] = self.x**2

    def backward(self, top: Any, propagate_down: Any, bottom: Any) -> None:
        bottom[0].diff[...] = 2 * self.x * top[0].diff


def test_a_layer_that_keeps_an_array_has_its_values(tmp_path: Path, provided: Any) -> None:
    provided.layer(KeepsItsBottom)
    text = net("BatchNorm", "Scale", "ReLU").replace(LOSS.replace("TOP", "a"), "")
    text += layer("KeepsItsBottom", "square", "a", "b") + layer("Convolution", "last", "b", "c", CONVOLUTION)
    text += layer("BatchNorm", "n", "c", "c") + layer("ReLU", "r", "c", "c") + LOSS.replace("TOP", "c")
    kept, shared = (solver(text, tmp_path, keep_gradients=keep) for keep in (True, False))
    for made in (kept, shared):
        made.step(3)
    assert not shared.net.blobs["a"].blob.memory[0].passes
    assert shared.net.blobs["c"].blob.memory[0].passes
    for (what, wanted), (_, found) in zip(values(kept), values(shared), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9, err_msg=what)
