"""Layers that do the work of others, and nets whose blobs share memory: the same numbers, or an error that says why."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin
from bicerin.errors import NetError

SHAPE = (3, 4, 9, 7)
DIMS = " ".join(f"dim: {size}" for size in SHAPE)
INPUT = f'layer {{ name: "data" type: "Input" top: "data" input_param {{ shape {{ {DIMS} }} }} }}\n'
XAVIER = 'weight_filler { type: "xavier" } bias_filler { type: "uniform" min: -1 max: 1 }'
CONVOLUTION = f"num_output: 10 {XAVIER} kernel_size"


def layer(kind: str, name: str, bottom: str, top: str, param: str = "") -> str:
    return f'layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top}" {param} }}\n'


def chain(first: str, *kinds: str, in_place: bool = True) -> str:
    """A layer, and element-wise ones after it, each in place or with a top of its own."""
    param = {
        "ReLU": "",
        "Leaky": "relu_param { negative_slope: 0.1 }",
        "BatchNorm": "",
        "Dropout": "",
        "Scale": 'scale_param { bias_term: true filler { type: "uniform" min: -2 max: 2 } '
        'bias_filler { type: "uniform" min: -1 max: 1 } }',
        "Bias": 'bias_param { filler { type: "uniform" min: -1 max: 1 } }',
    }
    text, blob = INPUT + first, "y"
    for index, kind in enumerate(kinds):
        top = blob if in_place else f"y{index}"
        text += layer("ReLU" if kind == "Leaky" else kind, f"l{index}", blob, top, param[kind])
        blob = top
    return text + layer("Power", "end", blob, "end", "power_param { scale: 2 }")


FIRST = {
    "gemm": layer("Convolution", "c", "data", "y", f"convolution_param {{ {CONVOLUTION}: 3 stride: 2 }}"),
    "pointwise": layer("Convolution", "c", "data", "y", f"convolution_param {{ {CONVOLUTION}: 1 bias_term: false }}"),
    "winograd": layer("Convolution", "c", "data", "y", f"convolution_param {{ {CONVOLUTION}: 3 pad: 1 }}"),
    "depthwise": layer(
        "Convolution", "c", "data", "y", f"convolution_param {{ num_output: 4 group: 4 kernel_size: 3 {XAVIER} }}"
    ),
    "inner product": layer("InnerProduct", "c", "data", "y", f"inner_product_param {{ num_output: 6 {XAVIER} }}"),
    "scale": layer("Scale", "c", "data", "y", 'scale_param { bias_term: true filler { type: "xavier" } }'),
    "batch norm": layer("BatchNorm", "c", "data", "y"),
    "transposed": layer(
        "InnerProduct", "c", "data", "y", f"inner_product_param {{ num_output: 40 transpose: true {XAVIER} }}"
    ),
}
CHAINS = [
    ("ReLU",),
    ("Leaky",),
    ("Dropout", "ReLU"),
    ("BatchNorm", "Scale", "ReLU"),
    ("Scale", "Bias", "Leaky"),
    ("BatchNorm", "Scale"),
]


def build(text: str, dtype: str = "float64", phase: str = "TEST", **options) -> bicerin.Net:
    net = bicerin.Net(text, phase, dtype=dtype, seed=3, **options)
    random = np.random.default_rng(4)
    for name, blobs in net.params.items():
        if net.layer(name).type == "BatchNorm":
            for blob in blobs:
                blob.data[...] = random.uniform(0.5, 2, blob.shape)
    return net


def forward(net: bicerin.Net, fused: bool = True) -> dict[str, np.ndarray]:
    """All blobs after a pass; a callback keeps layers from being fused."""
    if not fused:
        net.before_forward.append(lambda index: None)
    net.forward(data=np.random.default_rng(5).normal(size=SHAPE))
    return {name: blob.data.copy() for name, blob in net.blobs.items()}


def fused(net: bicerin.Net) -> list[str]:
    """The layers whose work others do in a whole pass, unless the last pass was without."""
    run = {node.name for node in net._fused_pass.nodes}
    return [node.name for node in net.nodes if node.name not in run] if net._fused_pass._begun else []


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kinds", CHAINS, ids="-".join)
@pytest.mark.parametrize("first", FIRST)
def test_blobs_are_the_same(first: str, kinds: tuple[str, ...], dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if first == "winograd":
        monkeypatch.setenv("BICERIN_CONVOLUTION", "winograd")
    text = chain(FIRST[first], *kinds)
    plain, net = forward(build(text, dtype), fused=False), build(text, dtype)
    found = forward(net)
    assert len(fused(net)) == len(kinds)
    for name, wanted in plain.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-5, err_msg=name)


def test_nothing_is_done_with_a_convolution_that_rectifies() -> None:
    """Its own work ends with what a scale cannot come before."""
    text = chain(
        layer("Convolution", "c", "data", "y", f"convolution_param {{ {CONVOLUTION}: 3 relu: true }}"), "Scale"
    )
    plain, net = forward(build(text), fused=False), build(text)
    found = forward(net)
    assert not fused(net)
    np.testing.assert_array_equal(found["end"], plain["end"])


@pytest.mark.parametrize("kinds", CHAINS, ids="-".join)
@pytest.mark.parametrize("in_place", [True, False])
def test_optimized_nets_give_the_same(kinds: tuple[str, ...], in_place: bool) -> None:
    text = chain(FIRST["gemm"], *kinds, in_place=in_place)
    plain, net = forward(build(text), fused=False), build(text, optimize=True)
    found = net.forward(data=np.random.default_rng(5).normal(size=SHAPE))
    assert len(fused(net)) == len(kinds)
    np.testing.assert_allclose(found["end"], plain["end"], rtol=1e-9)
    with pytest.raises(NetError, match=r'the values of blob "y" are not kept.*keep=\["y"\]'):
        net.blobs["y"].data  # noqa: B018
    assert net.blobs["y"].shape == plain["y"].shape


def test_new_statistics_are_seen() -> None:
    net = build(chain(FIRST["gemm"], "BatchNorm", "Scale", "ReLU"))
    before = forward(net)["end"]
    net.params["l1"][0].data[...] *= 2
    net.params["c"][0].data[...] *= 3
    after = forward(net)
    assert not np.allclose(after["end"], before)
    np.testing.assert_allclose(after["end"], forward(net, fused=False)["end"], rtol=1e-9)


def test_a_run_that_ends_half_way_sees_what_is_there() -> None:
    net = build(chain(FIRST["gemm"], "ReLU"))
    assert forward(net)["y"].min() == 0
    assert net.forward(end="c")["y"].min() < 0
    net.forward(start="l0")
    assert net.blobs["y"].data.min() == 0


LOSS = layer("Reduction", "loss", "end", "loss", "loss_weight: 1")


def trained(text: str, fuse: bool) -> bicerin.Net:
    """A net in TRAIN after one pass in both directions."""
    net = build(text, phase="TRAIN")
    if not fuse:
        net.before_forward.append(lambda index: None)
    net.blobs["data"].data[...] = np.random.default_rng(5).normal(size=SHAPE)
    net.forward_backward()
    return net


def assert_same_gradients(*nets: bicerin.Net) -> None:
    for found, wanted in zip(*([blob for blobs in net.params.values() for blob in blobs] for net in nets), strict=True):
        np.testing.assert_allclose(found.diff, wanted.diff)


def test_what_a_gradient_needs_is_left() -> None:
    """A scale's own gradient is from its bottom, which is overwritten; a rectifier's from its top."""
    nets = [trained(chain(FIRST["gemm"], "Scale", "ReLU") + LOSS, fuse) for fuse in (True, False)]
    assert [fused(net) for net in nets] == [[], []]
    assert_same_gradients(*nets)


def test_training_is_fused_where_the_gradient_is_from_the_top() -> None:
    nets = [trained(chain(FIRST["gemm"], "ReLU") + LOSS, fuse) for fuse in (True, False)]
    assert [bool(fused(net)) for net in nets] == [True, False]
    assert_same_gradients(*nets)


@pytest.mark.parametrize(
    "between",
    [
        layer("Power", "other", "y", "other"),
        layer("Power", "other", "y", "y"),
        layer("Scale", "other", "y", "y", "scale_param { axis: 2 }"),
    ],
    ids=["two readers", "something else in place", "another axis"],
)
def test_not_fused(between: str) -> None:
    text = INPUT + FIRST["gemm"] + between + layer("ReLU", "relu", "y", "z")
    net = build(text)
    plain, found = forward(build(text), fused=False), forward(net)
    assert fused(net) == []
    for name, wanted in plain.items():
        np.testing.assert_allclose(found[name], wanted, rtol=1e-9)


BRANCHES = (
    INPUT
    + FIRST["winograd"]
    + "".join(
        layer("Convolution", f"c{i}", "y", f"b{i}", f"convolution_param {{ {CONVOLUTION}: 3 pad: 1 }}")
        + layer("ReLU", f"r{i}", f"b{i}", f"b{i}")
        for i in range(3)
    )
    + 'layer { name: "join" type: "Concat" bottom: "b0" bottom: "b1" bottom: "b2" top: "join" }\n'
    + "".join(
        layer(
            "Convolution",
            f"d{i}",
            "join" if i == 0 else f"d{i - 1}",
            f"d{i}",
            f"convolution_param {{ {CONVOLUTION}: 1 }}",
        )
        for i in range(6)
    )
    + layer("Flatten", "flat", "d5", "flat")
    + layer("Reshape", "back", "flat", "back", "reshape_param { shape { dim: 0 dim: 10 dim: -1 } }")
    + layer("Power", "end", "back", "end")
)


def memory(net: bicerin.Net) -> int:
    seen = {id(blob.memory[0]): blob.memory[0] for node in net.nodes for blob in (*node.bottom, *node.top)}
    return sum(one.nbytes for one in seen.values())


def test_memory_is_shared() -> None:
    plain, net = build(BRANCHES), build(BRANCHES, optimize=True)
    wanted = forward(plain, fused=False)["end"]
    x = np.random.default_rng(5).normal(size=SHAPE)
    for _ in range(2):
        np.testing.assert_allclose(net.forward(data=x)["end"], wanted, rtol=1e-9)
    assert memory(net) < 0.6 * memory(plain)
    np.testing.assert_allclose(net.forward(data=x[:1])["end"], wanted[:1], rtol=1e-9)
    np.testing.assert_allclose(net.forward(data=np.concatenate([x, x, x]))["end"][3:6], wanted, rtol=1e-9)


def test_kept_blobs_hold_their_values() -> None:
    wanted = forward(build(BRANCHES), fused=False)
    net = build(BRANCHES, optimize=True, keep=["b1", "d2"])
    net.forward(data=np.random.default_rng(5).normal(size=SHAPE))
    for name in ("data", "b1", "d2", "end"):
        np.testing.assert_allclose(net.blobs[name].data, wanted[name], rtol=1e-9)
    for name in ("y", "b0", "join", "d5"):
        with pytest.raises(NetError, match="not kept"):
            net.blobs[name].data  # noqa: B018


def test_callbacks_of_an_optimized_net() -> None:
    net = build(chain(FIRST["gemm"], "BatchNorm", "ReLU", in_place=False), optimize=True)
    wanted = net.forward(data=np.random.default_rng(5).normal(size=SHAPE))["end"]
    ran = []
    net.after_forward.append(ran.append)
    np.testing.assert_allclose(net.forward()["end"], wanted, rtol=1e-9)
    assert ran == list(range(len(net.layers)))


def test_constants_stay() -> None:
    text = (
        'layer { name: "one" type: "DummyData" top: "one" '
        "dummy_data_param { shape { dim: 3 } data_filler { value: 1 } } }"
        + layer("Power", "a", "one", "a", "power_param { shift: 1 }")
        + layer("Power", "b", "a", "b", "power_param { shift: 1 }")
        + layer("Power", "c", "b", "c", "power_param { shift: 1 }")
    )
    net = bicerin.Net(text, "TEST", optimize=True)
    for _ in range(3):
        assert net.forward()["c"].tolist() == [4, 4, 4]


def test_what_an_optimized_net_cannot() -> None:
    net = build(BRANCHES, optimize=True)
    with pytest.raises(NetError, match="runs from its first layer"):
        net.forward(start="join")
    with pytest.raises(NetError, match="no backward pass"):
        net.backward()
    with pytest.raises(NetError, match='no blob "nothing"'):
        build(BRANCHES, optimize=True, keep=["nothing"])
    with pytest.raises(NetError, match="phase TEST"):
        build(BRANCHES, phase="TRAIN", optimize=True)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("first", ["scale", "inner product"])
def test_channels_counted_from_the_last_axis(first: str, optimize: bool) -> None:
    """Another number of axes than when the net was built: the channels lie elsewhere."""
    text = {
        "scale": layer("Scale", "c", "data", "y", 'scale_param { axis: -1 filler { type: "gaussian" } }'),
        "inner product": layer("InnerProduct", "c", "data", "y", "inner_product_param { num_output: 4 axis: -1 }"),
    }[first]
    top = "z" if optimize else "y"
    text = INPUT.replace(DIMS, "dim: 2 dim: 4 dim: 4") + text
    text += layer("Bias", "bias", "y", top, 'bias_param { axis: 2 filler { type: "gaussian" } }')
    text += layer("ReLU", "relu", top, top)
    net, plain = build(text, optimize=optimize), build(text)
    plain.before_forward.append(lambda index: None)
    assert len(net._fused_pass.nodes) < len(net.nodes)
    for shape in [(2, 4, 4), (2, 4, 4, 4), (1, 2, 4, 3, 4), (2, 5, 4)]:
        results = []
        for each in (net, plain):
            each.blobs["data"].reshape(*shape)
            each.blobs["data"].data[...] = np.random.default_rng(4).normal(size=shape)
            results.append(each.forward()[top])
        np.testing.assert_allclose(*results, rtol=1e-9)


def test_a_batch_norm_of_one_axis() -> None:
    net = build(INPUT.replace(DIMS, "dim: 4") + layer("BatchNorm", "bn", "data", "y") + layer("ReLU", "r", "y", "y"))
    once = net.forward(data=np.arange(-2, 2))["y"]
    net.before_forward.append(lambda index: None)
    np.testing.assert_array_equal(net.forward()["y"], once)
    assert once[3] > 0


def test_dropped_blobs_have_the_shapes_of_the_last_pass() -> None:
    text = chain(FIRST["gemm"], "BatchNorm", "ReLU", in_place=False)
    net = build(text, optimize=True)
    net.forward(data=np.ones((5, 4, 11, 6)))
    assert [net.blobs[name].shape for name in ("y", "y0", "y1")] == [(5, 10, 5, 2)] * 3


def test_a_layer_that_was_changed_is_not_left_out() -> None:
    net = build(INPUT + FIRST["gemm"] + layer("Dropout", "drop", "y", "y"))
    net.layer("drop").drops = True
    with pytest.raises(bicerin.LayerError, match="changed after the net was built"):
        net.forward()
    net.before_forward.append(lambda index: None)
    net.forward()


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("first", ["gemm", "scale"])
@pytest.mark.parametrize("index", [1, 2, 3])
def test_a_layer_that_becomes_a_loss_later_counts(index: int, first: str, optimize: bool) -> None:
    text = chain(FIRST[first], "BatchNorm", "Leaky", in_place=False)
    net, expected = build(text, optimize=optimize), build(text)
    expected.before_forward.append(lambda index: None)
    losses = []
    for each in (net, expected):
        each.nodes[index].loss_weights = [0.5]
        each.blobs["data"].data[...] = np.random.default_rng(5).normal(size=SHAPE)
        losses.append(each.run_forward())
        each.nodes[index].loss_weights = [0]
        losses.append(each.run_forward())
    assert losses[0] == pytest.approx(losses[2]) != 0
    assert losses[1] == losses[3] == 0
    assert np.allclose(net.blobs["end"].data, expected.blobs["end"].data)
