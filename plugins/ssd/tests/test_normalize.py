"""Normalize: against the definition, gradients, in place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bicerin.testing
from bicerin.errors import LayerError, ShapeError
from bicerin.net.node import Node
from bicerin.schema import create_layer
from bicerin_ssd.cases import FILLED, PIXEL, normalize


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_definition(run_layer, across, shared):
    data = np.random.default_rng(1).normal(size=(2, 4, 3, 5))
    options = f"across_spatial: {str(across).lower()} channel_shared: {str(shared).lower()} eps: 0.1"
    scale = np.array(3.0) if shared else np.array([1.0, 2.0, 3.0, 4.0])
    run = run_layer(normalize(options), [data], parameters=[scale], dtype=np.float64)
    run.forward()
    for image, plane in np.ndindex(2, 4):
        for pixel in np.ndindex(3, 5):
            summed = (data[image] ** 2).sum() if across else (data[image][:, pixel[0], pixel[1]] ** 2).sum()
            expected = scale.reshape(-1)[0 if shared else plane] * data[(image, plane, *pixel)] / np.sqrt(summed + 0.1)
            assert np.isclose(run.top[0].data[(image, plane, *pixel)], expected, rtol=1e-12)


@pytest.mark.parametrize("options", ["", PIXEL, f"{PIXEL} channel_shared: false"])
def test_in_place_is_the_same(run_layer, options):
    data = np.random.default_rng(1).normal(size=(2, 4, 3, 5))
    seed = np.random.default_rng(2).normal(size=data.shape)
    found = []
    for in_place in (False, True):
        run = run_layer(normalize(f"{options} {FILLED}"), [data], in_place=in_place, dtype=np.float64)
        run.forward()
        run.top[0].diff[...] = seed
        values = run.top[0].data.copy()
        run.backward()
        found.append((values, run.bottom[0].diff.copy(), run.blobs[0].diff.copy()))
    for plain, placed in zip(*found, strict=True):
        assert np.allclose(plain, placed, rtol=1e-12)


def test_one_factor_may_be_stored_with_an_axis(run_layer):
    run = run_layer(normalize(f"{PIXEL} {FILLED}"), [np.ones((1, 2, 1, 1))])
    message = run.node.to_proto()
    del message.blobs[0].shape.dim[:]
    message.blobs[0].shape.dim.append(1)
    layer = create_layer(message, device=run.layer.context.device)
    node = Node(layer, run.bottom, run.top)
    node.set_up()
    assert layer.blobs[0].shape == ()
    assert layer.blobs[0].blob.data == 20


def test_the_scale_is_not_learnt_where_it_is_fixed(run_layer):
    run = run_layer(normalize(), [np.ones((1, 2, 1, 1))])
    run.layer.set_param_propagate_down(0, False)
    run.forward()
    run.top[0].diff.fill(1)
    run.backward()
    assert run.blobs[0].diff == 0


def test_wrong_shapes(run_layer):
    with pytest.raises(ShapeError, match="Number of axes of bottom blob must be >=2, not 1"):
        run_layer(normalize(), [np.zeros(3)])
    run = run_layer(normalize("channel_shared: false"), [np.zeros((1, 3, 2, 2))])
    run.bottom[0].reshape(1, 4, 2, 2)
    with pytest.raises(ShapeError, match="3 factors for 4 channels"):
        run.forward()


@pytest.mark.parametrize(
    ("options", "tops", "shape", "blobs"),
    [
        ("norm_param { }", 1, (1, 2, 2, 2), 1),
        ("norm_param { }", 1, (2, 4), 1),
        ("blobs { shape { } data: 3 }", 1, (1, 2, 2, 2), 1),
        ("normalize_param { }", 1, (1, 2, 2, 2), 0),
        ("", 2, (1, 2, 2, 2), 0),
        ("", 1, (1, 2, 2, 2), 1),
        ("", 1, (2, 4), 0),
        ("", 1, (2, 4, 1, 1), 0),
    ],
)
def test_the_two_layers_of_this_name_are_told_apart(
    options: str, tops: int, shape: tuple[int, ...], blobs: int, caplog: Any, device: str
) -> None:
    x = np.arange(1.0, 9).reshape(shape)
    run = bicerin.testing.run_layer(f'name: "n" type: "Normalize" {options}', [x], tops=tops, device=device)
    run.forward()
    axes = tuple(range(1, x.ndim)) if blobs else (1,)
    scale = 3 if "data" in options else 1
    norm = np.sqrt((x**2).sum(axis=axes, keepdims=True))
    np.testing.assert_allclose(run.top[0].data.reshape(shape), scale * x / norm, rtol=1e-5)
    if tops == 2:
        np.testing.assert_allclose(run.top[1].data, norm, rtol=1e-5)
    assert len(run.blobs) == blobs
    said = "is taken for SSD's" if blobs else "is taken for happynear's"
    assert (said in caplog.text) == (not options and tops == 1)


@pytest.mark.parametrize(
    ("options", "tops", "words"),
    [
        ("norm_param { } normalize_param { }", 1, "another layer"),
        ("norm_param { }", 2, "another layer"),
        ('normalize_param { normalize_type: "L3" }', 1, "L3 is not known"),
        ('softmax_param { normalize_type: "Softmax" }', 1, "Softmax is not known"),
        ('norm_param { } softmax_param { normalize_type: "L2" }', 1, "another layer"),
        ("normalize_param { fix_gradient: true }", 1, "fix_gradient is known to the fork's GPU code alone"),
    ],
)
def test_mixtures_of_both_are_refused(options: str, tops: int, words: str) -> None:
    with pytest.raises(LayerError, match=words):
        bicerin.testing.run_layer(f'type: "Normalize" {options}', [np.ones((1, 2, 2, 2))], tops=tops)
