"""Blobs that are written where a Concat would copy them, in the library's layouts and in rows."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
from mixed_net import make

import bicerin
from bicerin_onednn.layout import blocked_of, rows_of

HEAD = 'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 16 dim: 9 dim: 10 } } }\n'


def layer(kind: str, name: str, bottoms: Sequence[str], more: str = "", tops: Sequence[str] = ()) -> str:
    ends = "".join(f'bottom: "{b}" ' for b in bottoms) + "".join(f'top: "{t}" ' for t in tops or [name])
    return f'layer {{ name: "{name}" type: "{kind}" {ends}{more} }}\n'


def convolution(name: str, bottom: str, outputs: int, size: int = 3) -> str:
    filler = 'weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'
    more = f"convolution_param {{ num_output: {outputs} kernel_size: {size} pad: {size // 2} {filler} }}"
    return layer("Convolution", name, [bottom], more) + layer("ReLU", f"{name}r", [name], tops=[name])


def dense(growth: int) -> str:
    text, top = "", "x"
    for number in range(3):
        text += layer("BatchNorm", f"n{number}", [top])
        text += layer("Scale", f"s{number}", [f"n{number}"], "scale_param { bias_term: true filler { value: 1.5 } }")
        text += layer("ReLU", f"r{number}", [f"s{number}"], tops=[f"s{number}"])
        text += convolution(f"c{number}", f"s{number}", growth, 1 + 2 * (number % 2))
        text += layer("Concat", f"d{number}", [top, f"c{number}"])
        top = f"d{number}"
    return text + convolution("end", top, 8, 1)


def branches(*outputs: int) -> str:
    text = convolution("c", "x", 16)
    names = [f"b{number}" for number in range(len(outputs))]
    for number, name in enumerate(names):
        text += convolution(name, "c", outputs[number], (1, 3, 5)[number % 3])
    text += layer("Pooling", "p", ["c"], "pooling_param { kernel_size: 3 pad: 1 }")
    text += layer("Concat", "join", [*names, "p"]) + layer("ReLU", "jr", ["join"], tops=["join"])
    return text + convolution("end", "join", 8, 1)


def halves(channels: int) -> str:
    return (
        convolution("c", "x", channels)
        + layer("Slice", "cut", ["c"], tops=["a", "b"])
        + convolution("d", "b", channels // 2)
        + layer("Concat", "join", ["a", "d"])
        + convolution("end", "join", 8, 1)
    )


NETS = {
    "dense": dense(16),
    "dense, blocks that are not full": dense(12),
    "branches": branches(16, 32, 16),
    "branches, blocks that are not full": branches(16, 20, 6),
    "halves": halves(32),
    "halves, blocks that are not full": halves(24),
    "images": (
        convolution("a", "x", 16)
        + convolution("b", "x", 16)
        + layer("Concat", "join", ["a", "b"], "concat_param { axis: 0 }")
        + convolution("end", "join", 8, 1)
    ),
}


def compare(own: bicerin.Net, theirs: bicerin.Net, shape: Sequence[int], seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    expected, found = own.forward(x=x)["end"], theirs.forward(x=x)["end"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", NETS)
def test_values_are_those_of_copies(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = make("caffe", monkeypatch, HEAD + NETS[name])
    theirs = make("onednn", monkeypatch, HEAD + NETS[name], optimize=True)
    shapes = [(1, 16, 9, 10)] * 6 + [(2, 16, 9, 10)] * 3 + [(1, 16, 9, 10)] * 6 + [(1, 16, 6, 5)] * 2
    for seed, shape in enumerate(shapes):
        compare(own, theirs, shape, seed)
        if seed == 5:
            assert theirs._fused_pass._pass._stretches, "it is replayed"
    theirs.before_forward.append(lambda index: None)
    for seed, shape in enumerate([(1, 16, 6, 5), (2, 16, 9, 10)]):
        compare(own, theirs, shape, seed)


def test_any_net(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(4):
        draw = random.Random(seed)
        channels, text = {"x": 16}, ""
        for number in range(8):
            name, blob = f"l{number}", draw.choice(sorted(channels))
            if draw.random() < 0.4:
                text += convolution(name, blob, draw.choice((8, 16, 12)), draw.choice((1, 3)))
                channels[name] = int(text.rpartition("num_output: ")[2].split()[0])
            elif channels[blob] % 2 == 0 and draw.random() < 0.2:
                text += layer("Slice", name, [blob], tops=[f"{name}a", f"{name}b"])
                channels[f"{name}a"] = channels[f"{name}b"] = channels[blob] // 2
            else:
                bottoms = draw.choices(sorted(channels), k=draw.choice((2, 3)))
                text += layer("Concat", name, bottoms)
                channels[name] = sum(channels[bottom] for bottom in bottoms)
        text += layer("Concat", "all", list(channels)) + convolution("end", "all", 8, 1)
        own = make("caffe", monkeypatch, HEAD + text)
        theirs = make("onednn", monkeypatch, HEAD + text, optimize=True)
        for batch in (1, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1):
            compare(own, theirs, (batch, 16, 9, 10), batch)


def test_which_layouts_lie_side_by_side() -> None:
    layout = blocked_of((1, 32, 5, 6))
    assert layout is not None
    shapes = (1, 32, 5, 6), (1, 16, 5, 6)
    found = layout.side_by_side((1, 48, 5, 6), shapes)
    assert found is not None
    assert found[0] is blocked_of((1, 48, 5, 6)) and list(found[1]) == [blocked_of(shape) for shape in shapes]
    assert layout.side_by_side((1, 44, 5, 6), ((1, 32, 5, 6), (1, 12, 5, 6))) is None, "a block is not full"
    assert layout.side_by_side((1, 32, 10, 6), ((1, 32, 5, 6),) * 2) is None, "they lie in stripes"
    assert layout.side_by_side((1, 1920), ((1, 960),) * 2) is None
    assert rows_of((1, 32, 5, 6)).side_by_side((1, 48, 5, 6), shapes) is None
    images = blocked_of((2, 32, 5, 6))
    assert images is not None
    assert images.side_by_side((2, 64, 5, 6), ((2, 32, 5, 6),) * 2) is None, "of each image"
    joined = images.side_by_side((3, 32, 5, 6), ((2, 32, 5, 6), (1, 32, 5, 6)))
    assert joined is not None and joined[1][0] is images
