"""Bottoms that are written where a Concat would copy them, and tops that stay where a Slice would copy them from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bicerin
from bicerin.errors import LayerError
from bicerin.net import shared_memory

SHAPE = (1, 4, 3, 5)


@pytest.fixture(autouse=True)
def own_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_ENGINE", "caffe")


def layer(kind: str, name: str, bottoms: str | Sequence[str], tops: str | Sequence[str] = "", more: str = "") -> str:
    """A layer whose top has its name, unless another is given."""
    ends = "".join(f'bottom: "{b}" ' for b in ([bottoms] if isinstance(bottoms, str) else bottoms))
    ends += "".join(f'top: "{t}" ' for t in ([tops or name] if isinstance(tops, str) else tops))
    return f'layer {{ name: "{name}" type: "{kind}" {ends}{more} }}\n'


def power(name: str, bottom: str, number: int) -> str:
    """Another function for each number."""
    return layer("Power", name, bottom, more=f"power_param {{ scale: {1 + number / 8} shift: {number} }}")


def concat(name: str, *bottoms: str, axis: int = 1) -> str:
    return layer("Concat", name, bottoms, more=f"concat_param {{ axis: {axis} }}")


def cut(name: str, bottom: str, *tops: str, axis: int = 1) -> str:
    return layer("Slice", name, bottom, tops, f"slice_param {{ axis: {axis} }}")


def square(name: str, bottom: str) -> str:
    """A layer that no other does the work of."""
    return layer("Power", name, bottom, more="power_param { power: 2 shift: 0.5 }")


def relu(name: str, blob: str) -> str:
    return layer("ReLU", name, blob, blob, "relu_param { negative_slope: 0.25 }")


def convolution(name: str, bottom: str, outputs: int) -> str:
    filler = 'weight_filler { type: "gaussian" std: 1 }'
    more = f"convolution_param {{ num_output: {outputs} kernel_size: 3 pad: 1 {filler} }}"
    return layer("Convolution", name, bottom, more=more) + relu(f"{name}_relu", name)


DENSE = (
    square("a", "x")
    + square("b", "a")
    + concat("one", "a", "b")
    + square("c", "one")
    + concat("two", "one", "c")
    + square("d", "two")
    + concat("three", "two", "d")
    + square("end", "three")
)

#: A net, and for its layers that join or cut which of the parts lie in the whole.
NETS: dict[str, tuple[str, dict[str, list[bool]]]] = {
    "dense": (DENSE, {"one": [True, True], "two": [True, True], "three": [True, True]}),
    "fire": (
        convolution("squeeze", "x", 2)
        + convolution("small", "squeeze", 3)
        + convolution("large", "squeeze", 5)
        + concat("fire", "small", "large")
        + square("end", "fire"),
        {"fire": [True, True]},
    ),
    "inception, rectified in place": (
        "".join(convolution(f"c{i}", "x", i + 1) for i in range(3))
        + layer("Pooling", "pool", "x", more="pooling_param { kernel_size: 3 pad: 1 }")
        + concat("join", "c0", "c1", "c2", "pool")
        + relu("r", "join")
        + square("end", "join"),
        {"join": [True] * 4},
    ),
    "one blob twice": (
        square("a", "x") + square("b", "x") + concat("join", "a", "b", "a") + square("end", "join"),
        {"join": [False, True, False]},
    ),
    "one blob in two": (
        square("a", "x")
        + square("b", "x")
        + square("c", "x")
        + concat("first", "a", "b")
        + concat("second", "c", "a")
        + layer("Eltwise", "sum", ["first", "second"])
        + square("end", "sum"),
        {"first": [False, True], "second": [True, True]},
    ),
    "read afterwards": (
        square("a", "x") + square("b", "x") + concat("join", "a", "b") + square("c", "a") + square("end", "join"),
        {"join": [False, True]},
    ),
    "overwritten afterwards": (
        square("a", "x")
        + square("b", "x")
        + concat("join", "a", "b")
        + layer("Flatten", "f", "b")
        + relu("r", "f")
        + square("end", "join"),
        {"join": [True, False]},
    ),
    "an input": (square("a", "x") + concat("join", "x", "a") + square("end", "join"), {"join": [False, True]}),
    "flattened": (
        square("a", "x")
        + layer("Flatten", "f", "a")
        + square("b", "x")
        + layer("Flatten", "g", "b")
        + concat("join", "f", "g")
        + square("end", "join"),
        {"join": [True, True]},
    ),
    "cut": (
        square("a", "x")
        + cut("cut", "a", "s", "t")
        + relu("r", "s")
        + layer("Eltwise", "sum", ["s", "t"])
        + square("end", "sum"),
        {"cut": [True, True]},
    ),
    "cut and read afterwards": (
        square("a", "x")
        + cut("cut", "a", "s", "t")
        + relu("r", "s")
        + layer("Eltwise", "sum", ["s", "t"])
        + square("end", "a"),
        {"cut": [False, False]},
    ),
    "cut and joined": (
        square("a", "x")
        + cut("cut", "a", "s", "t")
        + square("u", "t")
        + concat("join", "s", "u")
        + cut("again", "join", "v", "w")
        + concat("end", "w", "v"),
        {"cut": [True, True], "join": [False, True]},
    ),
    "rows": (
        square("a", "x") + square("b", "x") + concat("join", "a", "b", axis=2) + square("end", "join"),
        {},
    ),
    "images": (
        square("a", "x") + square("b", "x") + concat("join", "a", "b", axis=0) + square("end", "join"),
        {"join": [True, True]},
    ),
}

#: So that what was planned fits, does not fit, and is planned anew.
TWO = (2, *SHAPE[1:])
SHAPES = [SHAPE, (4, 4, 1, 3), TWO, TWO, SHAPE, SHAPE, (1, 4, 6, 4), (1, 4, 1, 2), (1, 4, 1, 2)]


def build(text: str, shape: Sequence[int] = SHAPE, **options: Any) -> bicerin.Net:
    dims = "".join(f"dim: {size} " for size in shape)
    given = f'layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims}}} }} }}\n'
    return bicerin.Net(given + text, "TEST", seed=1, **options)


def compare(plain: bicerin.Net, net: bicerin.Net, shape: Sequence[int], seed: int = 0) -> None:
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    expected, found = plain.forward(x=x), net.forward(x=x)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5, err_msg=name)


def there(net: bicerin.Net, name: str) -> list[bool]:
    """Which of the parts of a layer lie in the whole."""
    node = net.node(name)
    whole, parts = (node.top, node.bottom) if len(node.top) == 1 else (node.bottom, node.top)
    return [np.shares_memory(part.data, whole[0].data) for part in parts]


@pytest.mark.parametrize("name", NETS)
def test_values_are_those_of_copies(name: str) -> None:
    text, expected = NETS[name]
    plain, net = build(text), build(text, optimize=True)
    compare(plain, net, SHAPE)
    assert {one: there(net, one) for one in expected} == expected
    for seed, shape in enumerate(SHAPES):
        compare(plain, net, shape, seed)
    ran: list[int] = []
    net.before_forward.append(ran.append)
    for shape in (SHAPE, (3, *SHAPE[1:])):
        compare(plain, net, shape)
    assert len(ran) == 2 * len(net.nodes)


def test_parts_lie_there_again_when_the_shapes_are_back() -> None:
    plain, net = build(DENSE, (2, 4, 3, 5)), build(DENSE, (2, 4, 3, 5), optimize=True)
    assert there(net, "two") == [False, False]
    for batch, passes in ((1, 1), (2, 2), (1, 2)):
        for _ in range(passes):
            compare(plain, net, (batch, *SHAPE[1:]))
        assert there(net, "two") == [batch == 1] * 2


def test_shapes_that_a_layer_refuses() -> None:
    text = DENSE + cut("cut", "end", "e", "f", axis=2)
    shape = (1, 4, 2, 5)
    plain, net = build(text, shape), build(text, shape, optimize=True)
    compare(plain, net, shape)
    for _ in range(3):
        with pytest.raises(LayerError, match="evenly divide"):
            net.forward(x=np.zeros((1, 4, 3, 5)))
    for seed in range(2):
        compare(plain, net, shape, seed)
    assert there(net, "two") == [True, True]


def test_kept_blobs_have_their_own_memory() -> None:
    plain, net = build(DENSE), build(DENSE, optimize=True, keep=["one", "d"])
    compare(plain, net, SHAPE)
    for name in ("one", "d"):
        np.testing.assert_allclose(net.blobs[name].data, plain.blobs[name].data, rtol=1e-5)
    assert there(net, "two") == [False, True] and there(net, "three") == [True, False]


def test_a_layer_that_joins_in_place_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, net = build(DENSE), build(DENSE, optimize=True)
    ran: list[str] = []
    for node in net.nodes:
        if node.type == "Concat":
            monkeypatch.setattr(node.layer, "forward", lambda *blobs, name=node.name: ran.append(name))
    compare(plain, net, SHAPE)
    assert not ran


def memory(net: bicerin.Net) -> int:
    seen = {id(blob.memory[0]): blob.memory[0] for node in net.nodes for blob in (*node.bottom, *node.top)}
    return sum(one.nbytes for one in seen.values())


#: The first blob is joined last, and would keep the place of all for the others' sake.
LATE = (
    square("a", "x")
    + "".join(square(f"b{i}", f"b{i - 1}" if i else "a") for i in range(3))
    + "".join(layer("Tile", f"t{i}", "b2" if i == 0 else f"t{i - 1}", more="tile_param { tiles: 3 }") for i in range(2))
    + layer("Reduction", "r", "t1", more="reduction_param { axis: 1 }")
    + layer("Tile", "back", "r", more="tile_param { axis: 0 tiles: 60 }")
    + layer("Reshape", "shaped", "back", more="reshape_param { shape { dim: 1 dim: 60 dim: 1 dim: 1 } }")
    + layer("Flatten", "flat", "a")
    + layer("Flatten", "flats", "shaped")
    + concat("join", "flat", "flats")
    + square("end", "join")
)


@pytest.mark.parametrize("text", [DENSE, LATE, *(text for text, _ in NETS.values())])
def test_no_more_memory_than_with_copies(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net = build(text, optimize=True)
    net.forward()
    monkeypatch.setattr(shared_memory, "find_parts", lambda *arguments: {})
    copying = build(text, optimize=True)
    copying.forward()
    assert memory(net) <= memory(copying)
    if text is DENSE:
        assert memory(net) < memory(copying)


KINDS = ["power", "power", "relu", "concat", "concat", "concat", "cut", "add", "flatten"]


@st.composite
def nets(draw: st.DrawFn) -> str:
    """Nets of layers that join, cut, overwrite and share, with any blobs of one or two channels or more."""
    channels = {"x": SHAPE[1]}
    read = {"x"}  # which no layer may overwrite
    text = ""
    for number in range(draw(st.integers(3, 12))):
        name = f"l{number}"
        kind = draw(st.sampled_from(KINDS))
        blob = draw(st.sampled_from(sorted(channels)))
        if kind == "concat" and sum(channels.values()) < 100:
            bottoms = draw(st.lists(st.sampled_from(sorted(channels)), min_size=2, max_size=4))
            text += concat(name, *bottoms)
            channels[name] = sum(channels[bottom] for bottom in bottoms)
            read.update(bottoms)
        elif kind == "cut" and channels[blob] % 2 == 0:
            text += cut(name, blob, f"{name}a", f"{name}b")
            channels[f"{name}a"] = channels[f"{name}b"] = channels[blob] // 2
        elif kind == "add":
            alike = [other for other in sorted(channels) if channels[other] == channels[blob]]
            bottoms = [blob, draw(st.sampled_from(alike))]
            text += layer("Eltwise", name, bottoms, more="eltwise_param { coeff: 1 coeff: -2 }")
            channels[name] = channels[blob]
            read.update(bottoms)
        elif kind == "relu" and blob not in read:
            text += relu(name, blob)
            continue
        elif kind == "flatten":
            text += layer("Flatten", name, blob, more="flatten_param { axis: 2 }")
            text += layer("Reshape", f"{name}r", name, more="reshape_param { axis: 2 shape { dim: 3 dim: -1 } }")
            channels[f"{name}r"] = channels[blob]
        else:
            text += power(name, blob, number)
            channels[name] = channels[blob]
        read.add(blob)
    return text


@settings(max_examples=25, deadline=None)
@given(nets())
def test_any_net(text: str) -> None:
    plain, net = build(text), build(text, optimize=True)
    for seed, batch in enumerate((1, 1, 2, 2, 1)):
        compare(plain, net, (batch, *SHAPE[1:]), seed)
