"""Nets that a runtime computes as far as it can: how they are cut, and what they give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import bicerin
from bicerin import Net
from bicerin.errors import BrokenPluginError, NetError, UnknownNameError
from bicerin.layer import Blob
from bicerin.net.runtime import Part, Program, Runtime
from bicerin.net.runtime_pass import MOST_PROGRAMS

DATA = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 3 } } }'
FILLER = 'inner_product_param { weight_filler { type: "gaussian" std: 1 } bias_filler { type: "gaussian" std: 1 } }'


def layer(kind: str, name: str, bottom: str, top: str | None = None) -> str:
    param = FILLER if kind == "Affine" else ""
    return f' layer {{ name: "{name}" type: "{kind}" bottom: "{bottom}" top: "{top or name}" {param} }}'


CHAIN = DATA + layer("Affine", "a", "data") + layer("Square", "s", "a", "a") + layer("Affine", "b", "a")
CUT = (
    DATA
    + layer("Affine", "a", "data")
    + layer("Square", "here", "a", "a")
    + layer("Affine", "b", "a")
    + layer("Affine", "c", "b")
)


class Arithmetic(Runtime):
    """Affine, and those Square layers that are not called "here"."""

    name = "arithmetic"

    def __init__(self) -> None:
        self.compiled: list[tuple[Part, bool]] = []

    def refusal(self, node: Any) -> str | None:
        return None if node.type in ("Affine", "Square") and node.name != "here" else "it is to run here"

    def compile(self, part: Part, any_size: bool) -> Program:
        self.compiled.append((part, any_size))
        return Compiled(part, any_size)


class Compiled(Program):
    def __init__(self, part: Part, any_size: bool) -> None:
        self.part = part
        self.sizes = None if any_size else [part.blob(name).shape for name in part.inputs]
        self.weights = {node.name: [np.array(blob.read_only.data) for blob in node.blobs] for node in part.nodes}

    def fits(self, bottom: Sequence[Blob]) -> bool:
        return self.sizes is None or self.sizes == [blob.shape for blob in bottom]

    def run(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        found = {name: blob.read_only.data for name, blob in zip(self.part.inputs, bottom, strict=True)}
        for node in self.part.nodes:
            x = found[node.bottom_names[0]]
            if node.type == "Affine":
                weight, offset = self.weights[node.name]
                y = x * weight + offset
            else:
                y = x if node.type == "Split" else x**2
            found.update(dict.fromkeys(node.top_names, y))
        for name, blob in zip(self.part.outputs, top, strict=True):
            blob.data[...] = found[name]


@pytest.fixture
def nets(provided: Any) -> Callable[..., tuple[Net, Net, Arithmetic]]:
    def build(text: str, **options: Any) -> tuple[Net, Net, Arithmetic]:
        runtime = Arithmetic()
        plain = Net(text, "TEST", seed=1)
        net = Net(text, "TEST", seed=2, runtime=runtime, **options)
        net.share_trained_layers_with(plain)
        return plain, net, runtime

    return build


def rows(count: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def same(plain: Net, net: Net, x: np.ndarray) -> None:
    expected, found = plain.forward(data=x), net.forward(data=x)
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-5, atol=1e-6)


def run_where(net: Net) -> list[tuple[str | None, list[str]]]:
    return [(step.runtime, [node.name for node in step.nodes if node.type != "Split"]) for step in net.steps]


def test_a_whole_net(nets: Any) -> None:
    plain, net, runtime = nets(CHAIN)
    same(plain, net, rows())
    assert run_where(net) == [(None, ["data"]), ("arithmetic", ["a", "s", "b"])]
    ((part, any_size),) = runtime.compiled
    assert (part.inputs, part.outputs, part.is_whole, any_size) == (("data",), ("b",), True, False)
    assert net.runtime is runtime and net.refusals == {}


def test_a_net_cut_in_three(nets: Any) -> None:
    plain, net, runtime = nets(CUT)
    same(plain, net, rows())
    assert run_where(net) == [
        (None, ["data"]),
        ("arithmetic", ["a"]),
        (None, ["here"]),
        ("arithmetic", ["b", "c"]),
    ]
    assert net.refusals == {"here": "it is to run here"}
    assert [part.is_whole for part, _ in runtime.compiled] == [False, False]
    # "here" works in place on what the first part makes, so that both can be read.
    np.testing.assert_array_equal(net.blobs["a"].data, plain.blobs["a"].data)


def test_a_layer_beside_the_others_does_not_cut_them(nets: Any) -> None:
    text = (
        DATA
        + layer("Affine", "a", "data")
        + layer("Square", "here", "a", "side")
        + layer("Affine", "b", "a")
        + layer("Affine", "c", "b")
    )
    plain, net, _ = nets(text)
    same(plain, net, rows())
    assert run_where(net) == [(None, ["data"]), ("arithmetic", ["a", "b", "c"]), (None, ["here"])]


def test_a_blob_that_a_part_writes_over_is_not_what_was_read(nets: Any) -> None:
    """Its values are those before, where nothing else asks for those after."""
    text = DATA + layer("Square", "here", "data", "a") + layer("Square", "s", "a", "a") + layer("Affine", "b", "a")
    plain, net, _ = nets(text)
    same(plain, net, rows())
    with pytest.raises(NetError, match='the values of blob "a" are not kept'):
        net.forward("a", data=rows())
    with pytest.raises(NetError, match='the values of blob "a" are not kept'):
        _ = net.blobs["a"].data
    plain, net, _ = nets(text, keep=["a"])
    np.testing.assert_allclose(net.forward("a", data=rows())["a"], plain.forward("a", data=rows())["a"], rtol=1e-6)


def test_tops_of_a_split_of_the_file(nets: Any) -> None:
    split = 'layer { name: "split" type: "Split" bottom: "a" top: "u" top: "v" }'
    plain, net, _ = nets(DATA + layer("Affine", "a", "data") + split)
    for count in (4, 7, 2):
        same(plain, net, rows(count))
        np.testing.assert_array_equal(net.blobs["u"].data, net.blobs["v"].data)


def test_losses_run_here_and_count(nets: Any) -> None:
    label = ' layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 4 dim: 3 } } }'
    loss = ' layer { name: "loss" type: "HalfSquareLoss" bottom: "a" bottom: "label" top: "loss" loss_weight: 2 }'
    text = DATA + layer("Affine", "a", "data") + label + loss + layer("Affine", "b", "a")
    plain, net, _ = nets(text)
    for each in (plain, net):
        each.blobs["data"].data[...] = rows()
    assert net.run_forward() == pytest.approx(plain.run_forward(), rel=1e-6)
    assert run_where(net) == [(None, ["data", "label"]), ("arithmetic", ["a", "b"]), (None, ["loss"])]
    assert "loss" in net.refusals["loss"]


def test_other_sizes(nets: Any) -> None:
    plain, net, runtime = nets(CHAIN)
    for count in (4, 7, 4, 1, 9, 7):
        same(plain, net, rows(count))
    # The sizes of the net, and then any.
    assert [any_size for _, any_size in runtime.compiled] == [False, True]
    same(plain, net, rows(4))
    assert [one.any_size for one in net._runtime_pass._parts[0]._programs] == [True, False]


def test_programs_for_many_sizes_are_not_kept_for_ever(nets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Arithmetic, "compile", lambda self, part, any_size: Compiled(part, False))
    plain, net, _ = nets(CHAIN)
    for count in range(1, 2 * MOST_PROGRAMS):
        same(plain, net, rows(count))
        assert len(net._runtime_pass._parts[0]._programs) == min(count, MOST_PROGRAMS)


def test_other_weights(nets: Any) -> None:
    plain, net, runtime = nets(CHAIN)
    same(plain, net, rows())
    same(plain, net, rows())
    assert len(runtime.compiled) == 1
    plain.params["a"][0].data[...] = 3  # of both: they share their weights
    same(plain, net, rows())
    assert len(runtime.compiled) == 2
    kept = net.params["a"][1].data
    same(plain, net, rows())
    assert len(runtime.compiled) == 2, "an array that is only looked at changes nothing"
    kept[...] = 5
    same(plain, net, rows())
    assert len(runtime.compiled) == 3


def test_weights_that_are_loaded(nets: Any) -> None:
    plain, net, _ = nets(CHAIN)
    same(plain, net, rows())
    other = Net(CHAIN, "TEST", seed=7)
    net.load_weights(other.to_proto())
    same(other, net, rows())


def test_weights_that_are_another_nets_from_now_on(nets: Any) -> None:
    net, other = (Net(CHAIN, "TEST", seed=seed, runtime=Arithmetic()) for seed in (2, 3))
    for _ in range(3):
        same(Net(CHAIN, "TEST", seed=2), net, rows())
        same(Net(CHAIN, "TEST", seed=3), other, rows())
    net.share_trained_layers_with(other)
    same(Net(CHAIN, "TEST", seed=3), net, rows())
    other.params["a"][0].data[...] = 3
    np.testing.assert_array_equal(net.forward(data=rows())["b"], other.forward(data=rows())["b"])


def test_inner_blobs_have_no_values(nets: Any) -> None:
    _, net, _ = nets(CHAIN)
    net.forward(data=rows())
    assert net.blobs["a"].shape == (4, 3)
    with pytest.raises(NetError, match=r'the values of blob "a" are not kept: the net was built with runtime="arith'):
        assert net.blobs["a"].data is None
    with pytest.raises(NetError, match=r'keep=\["a"\], or build the net without runtime'):
        net.forward("a", data=rows())


def test_blobs_that_are_kept(nets: Any) -> None:
    plain, net, _ = nets(CUT, keep=["b"])
    same(plain, net, rows())
    np.testing.assert_allclose(net.blobs["b"].data, plain.blobs["b"].data, rtol=1e-6)
    assert nets(CUT, keep="b")[1].blobs["b"].data is not None
    with pytest.raises(NetError, match='no blob "nothing"'):
        nets(CUT, keep=["nothing"])


@pytest.mark.usefixtures("provided")
@pytest.mark.parametrize("options", [{}, {"optimize": True}])
def test_blobs_to_keep_are_the_nets(options: dict[str, Any]) -> None:
    """Where all blobs are kept too, so that a name that is wrong is said before there is a runtime."""
    assert Net(CUT, "TEST", keep=["b"], **options).blobs["b"].data is not None
    with pytest.raises(NetError, match='no blob "nothing"; it has: data, a,'):
        Net(CUT, "TEST", keep=["nothing"], **options)


def test_what_a_net_with_a_runtime_cannot(nets: Any) -> None:
    _, net, _ = nets(CHAIN)
    with pytest.raises(NetError, match=r'runtime="arithmetic" runs from its first layer to its last.*keep='):
        net.forward(end="a")
    with pytest.raises(NetError, match=r'runtime="arithmetic" runs from its first layer'):
        net.forward(start="s")
    with pytest.raises(NetError, match=r'built with runtime="arithmetic" has no backward pass'):
        net.backward()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"phase": "TRAIN"}, "is for nets in phase TEST"),
        ({"phase": "TEST", "optimize": True}, "with optimize=True: give one of them"),
        ({"phase": "TEST", "dtype": np.float64}, "arrays of float32 on the host; the net is float64 on cpu"),
    ],
)
@pytest.mark.usefixtures("provided")
def test_nets_that_no_runtime_computes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NetError, match=message):
        Net(CHAIN, runtime=Arithmetic(), **options)


def test_a_layer_that_becomes_a_loss_later(nets: Any) -> None:
    _, net, _ = nets(CHAIN)
    net.node("b").loss_weights = [1.0]
    with pytest.raises(NetError, match=r'layer "b" became a loss after the net was built.*loss_weight'):
        net.forward(data=rows())


def test_callbacks_are_called_for_every_layer(nets: Any) -> None:
    plain, net, _ = nets(CUT)
    began: list[int] = []
    done: list[int] = []
    net.before_forward.append(began.append)
    net.after_forward.append(done.append)
    same(plain, net, rows())
    assert sorted(began) == sorted(done) == list(range(len(net.nodes)))


def test_a_net_of_which_nothing_runs_there(nets: Any, caplog: pytest.LogCaptureFixture) -> None:
    plain, net, _ = nets(DATA + layer("Square", "here", "data"))
    same(plain, net, rows())
    assert 'no layer of the net runs in arithmetic: all of it runs here. "here": it is to run here' in caplog.text


def test_threads(nets: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting, threads in (("", None), ("3", 3)):
        monkeypatch.setenv("BICERIN_NUM_THREADS", setting)
        _, net, runtime = nets(CHAIN)
        net.forward(data=rows())
        assert runtime.compiled[0][0].threads == threads


def test_a_closed_net_compiles_anew(nets: Any) -> None:
    plain, net, runtime = nets(CHAIN)
    same(plain, net, rows())
    net.close()
    same(plain, net, rows())
    assert len(runtime.compiled) == 2


def test_runtimes_by_name(provided: Any) -> None:
    provided.add("bicerin.runtimes", "arithmetic", f"{__name__}:Arithmetic")
    assert isinstance(Net(CHAIN, "TEST", runtime="arithmetic").runtime, Arithmetic)
    with pytest.raises(
        UnknownNameError,
        match=r'unknown runtime "arithmatic". Did you mean "arithmetic"\? Installed: .*arithmetic \(of',
    ):
        Net(CHAIN, "TEST", runtime="arithmatic")
    provided.add("bicerin.runtimes", "broken", f"{__name__}:Compiled")
    with pytest.raises(
        BrokenPluginError, match=r"test-plugin 1.0 \(.*:Compiled\) is not a bicerin.net.runtime.Runtime"
    ):
        Net(CHAIN, "TEST", runtime="broken")


class Nameless(Arithmetic):
    name = None  # type: ignore[assignment]


class Numbered(Arithmetic):
    name = 3  # type: ignore[assignment]


@pytest.mark.parametrize(("cls", "has"), [(Nameless, "no name"), (Numbered, "the name 3, which is not a text")])
def test_a_runtime_without_a_name(provided: Any, cls: type[Arithmetic], has: str) -> None:
    provided.add("bicerin.runtimes", "mine", f"{__name__}:{cls.__name__}")
    with pytest.raises(BrokenPluginError, match=rf"test-plugin 1.0 \(.*:{cls.__name__}\) has {has}: give its class"):
        Net(CHAIN, "TEST", runtime="mine")
    with pytest.raises(BrokenPluginError, match=rf"the runtime .*\.{cls.__name__} has {has}: give its class"):
        Net(CHAIN, "TEST", runtime=cls())


def test_a_runtime_that_says_nothing_of_its_name() -> None:
    class Silent(Runtime):
        refusal = Arithmetic.refusal
        compile = Arithmetic.compile

    with pytest.raises(BrokenPluginError, match=r"Silent has no name: give its class an attribute such as name = "):
        Net(CHAIN, "TEST", runtime=Silent())


def test_an_unknown_runtime_says_what_to_install(provided: Any) -> None:
    provided.index["bicerin.runtimes"] = {}
    for name in ("openvino", "tensorrt", 3):
        with pytest.raises(
            UnknownNameError, match=r'Installed: none. To have .*"openvino": pip install "bicerin-onnx\[openvino\]"'
        ):
            bicerin.Net(CHAIN, "TEST", runtime=name)  # type: ignore[arg-type]
