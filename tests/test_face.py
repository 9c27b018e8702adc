"""A face loss tells handwritten digits apart better than the softmax alone: both are trained, both numbers shown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bicerin

DIGITS = Path(__file__).parents[1] / "examples" / "mnist" / "digits.npz"
BATCH, FEATURES = 64, 8
FILLED = 'weight_filler { type: "xavier" }'

EMBEDDING = f"""
layer {{ name: "hidden" type: "InnerProduct" bottom: "data" top: "hidden"
  inner_product_param {{ num_output: 64 {FILLED} }} }}
layer {{ name: "relu" type: "ReLU" bottom: "hidden" top: "hidden" }}
layer {{ name: "features" type: "InnerProduct" bottom: "hidden" top: "features"
  inner_product_param {{ num_output: {FEATURES} {FILLED} }} }}"""

SOFTMAX = f"""
layer {{ name: "scores" type: "InnerProduct" bottom: "features" top: "scores"
  inner_product_param {{ num_output: 10 {FILLED} }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }}"""

LOSSES = {
    "center loss": SOFTMAX
    + """layer { name: "center" type: "CenterLoss" bottom: "features" bottom: "label" top: "center" loss_weight: 0.05
           param { lr_mult: 10 decay_mult: 0 } center_loss_param { num_output: 10 } }""",
    "SphereFace": f"""
layer {{ name: "scores" type: "MarginInnerProduct" bottom: "features" bottom: "label" top: "scores" top: "lambda"
  margin_inner_product_param {{ num_output: 10 type: QUADRUPLE {FILLED} base: 100 gamma: 0.1 lambda_min: 4 }} }}
layer {{ name: "rest" type: "Silence" bottom: "lambda" }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "scores" bottom: "label" top: "loss" }}""",
}


def net(batch: int, ending: str) -> str:
    return f"""layer {{ name: "data" type: "Input" top: "data" top: "label"
      input_param {{ shape {{ dim: {batch} dim: 784 }} shape {{ dim: {batch} }} }} }} {EMBEDDING} {ending}"""


def separation(ending: str, images: np.ndarray, labels: np.ndarray, cosine: bool) -> float:
    """How often, of digits not trained on, two of one class are nearer than two of different ones."""
    solver = bicerin.Solver(
        f'net_param {{ {net(BATCH, ending)} }} base_lr: 0.05 momentum: 0.9 lr_policy: "fixed" max_iter: 300 display: 0 '
        "weight_decay: 0.0005 random_seed: 3 snapshot_after_train: false"
    )
    random = np.random.default_rng(0)
    for _ in range(300):
        chosen = random.integers(0, 6000, BATCH)
        solver.net.blobs["data"].data[...] = images[chosen]
        solver.net.blobs["label"].data[...] = labels[chosen]
        solver.step(1)
    tested = bicerin.Net(net(1500, ""), phase="TEST")
    tested.share_trained_layers_with(solver.net)
    features = tested.forward(data=images[8500:], label=labels[8500:])["features"].astype(np.float64)
    if cosine:
        features /= np.linalg.norm(features, axis=1, keepdims=True)
    one, other = random.integers(0, 1500, (2, 40_000))
    distance = ((features[one] - features[other]) ** 2).sum(axis=1)
    same = labels[8500:][one] == labels[8500:][other]
    near, far = np.sort(distance[same & (one != other)]), distance[~same]
    return float(np.searchsorted(near, far).mean() / len(near))


@pytest.mark.parametrize(("name", "cosine"), [("center loss", False), ("SphereFace", True)])
def test_it_separates_better_than_softmax_alone(name: str, cosine: bool) -> None:
    with np.load(DIGITS) as digits:
        images, labels = digits["images"].reshape(-1, 784).astype(np.float32) / 256, digits["labels"]
    alone = separation(SOFTMAX, images, labels, cosine)
    with_face = separation(LOSSES[name], images, labels, cosine)
    print(f"of pairs of digits, one class is nearer: {alone:.2%} with softmax alone, {with_face:.2%} with {name}")
    assert 1 - with_face < 0.85 * (1 - alone)
