"""Who computes a layer, and that nobody can tell by the blobs."""

from __future__ import annotations

import json
import logging
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixed_net import HEAD, NET, image, make

import bicerin
from bicerin.device.memory import State
from bicerin.kernels import rounding_least
from bicerin_onednn.convolution import OneDNNConvolutionLayer

SOLVER = """test_iter: 1 test_interval: 1 base_lr: 0.1 lr_policy: "fixed" max_iter: 10
random_seed: 3 snapshot_after_train: false"""
TRAINED = """
layer { name: "x" type: "DummyData" top: "x" top: "label" dummy_data_param {
  shape { dim: 4 dim: 3 dim: 9 dim: 9 } shape { dim: 4 }
  data_filler { type: "gaussian" } data_filler { type: "constant" value: 1 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {
  num_output: 16 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "b" type: "BatchNorm" bottom: "c" top: "c" }
layer { name: "s" type: "Scale" bottom: "c" top: "c" scale_param { bias_term: true } }
layer { name: "r" type: "ReLU" bottom: "c" top: "c" }
layer { name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param { pool: AVE global_pooling: true } }
layer { name: "f" type: "InnerProduct" bottom: "p" top: "f" inner_product_param {
  num_output: 3 weight_filler { type: "xavier" } } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "f" bottom: "label" top: "loss" }
"""


def classes(net: bicerin.Net) -> set[str]:
    return {type(node.layer).__module__.partition(".")[0] for node in net.nodes if node.type == "Convolution"}


def choose(choices: Path, way: str) -> None:
    """Have the file say that this is the fastest of the ways, wherever it is one, and elsewhere the library's."""
    from bicerin.kernels import choices as module

    kept = {key: key.split(": ")[-1].split(" or ") for key in json.loads(choices.read_text())}
    choices.write_text(json.dumps({key: way if way in ways else "onednn" for key, ways in kept.items()}))
    module._chosen.clear()


class TestANet:
    def test_every_blob_is_what_the_layers_themselves_compute(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own, theirs = make("caffe", monkeypatch), make("onednn", monkeypatch)
        for batch in (2, 1, 3):
            names = list(own.blobs)
            expected, found = own.forward(names, x=image(batch)), theirs.forward(names, x=image(batch))
            for name in names:
                assert found[name].shape == expected[name].shape
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)

    def test_so_it_is_where_inner_blobs_are_not_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own, theirs = make("caffe", monkeypatch), make("onednn", monkeypatch, optimize=True)
        for batch in (2, 1, 2):
            expected, found = own.forward(x=image(batch)), theirs.forward(x=image(batch))
            np.testing.assert_allclose(found["prob"], expected["prob"], rtol=1e-4)

    def test_layers_hand_their_layouts_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # A whole number of blocks, so that blobs can be joined in any layout.
        net = make("onednn", monkeypatch, NET.replace("20", "24"))
        net.forward(x=image())
        states = {name: net.blobs[name].memory[0].state for name in ("p1", "e", "dw", "cat")}
        assert set(states.values()) == {State.ARRANGED}, states

    def test_an_array_that_somebody_holds_is_always_up_to_date(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own, theirs = make("caffe", monkeypatch), make("onednn", monkeypatch)
        views = {name: theirs.blobs[name].data for name in ("c1", "s1", "p1", "e", "cat", "n")}
        own.forward(x=image())
        for _ in range(2):
            theirs.forward(x=image())
            for name, view in views.items():
                np.testing.assert_allclose(view, own.blobs[name].data, rtol=1e-4, atol=1e-5, err_msg=name)

    def test_what_is_written_into_a_blob_between_layers_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        values = np.random.default_rng(6).normal(size=(2, 20, 6, 7)).astype(np.float32)
        found = []
        for engine in ("caffe", "onednn"):
            net = make(engine, monkeypatch)
            net.forward(x=image())
            net.blobs["p1"].data[...] = values
            found.append(net.forward(start="c2")["prob"])
            held = net.blobs["e"].data
            net.forward(x=image(), end="e")
            held[...] = 0.25
            del held
            found.append(net.forward(start="dw")["prob"])
        np.testing.assert_allclose(found[0], found[2], rtol=1e-4)
        np.testing.assert_allclose(found[1], found[3], rtol=1e-4)

    @pytest.mark.parametrize("layer", ["c1", "b1", "s1", "dw"])
    def test_new_weights_count_in_the_next_pass(self, layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
        own, theirs = make("caffe", monkeypatch, optimize=True), make("onednn", monkeypatch, optimize=True)
        held = theirs.params[layer][0].data
        for step in range(3):
            for net in (own, theirs):
                net.params[layer][0].data[...] *= 1.5
            if step == 1:
                held[...] *= 0.5
                own.params[layer][0].data[...] *= 0.5
                del held
            np.testing.assert_allclose(
                theirs.forward(x=image())["prob"], own.forward(x=image())["prob"], rtol=1e-4, err_msg=str(step)
            )

    @pytest.mark.parametrize("affine", ["Scale", "Bias", "BatchNorm"])
    def test_channels_that_fill_the_last_block_stay_zeros(self, affine: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of 20 channels: the next convolution multiplies what is there with zeros, and 0 * nan is nan."""
        text = f"""{HEAD} {CONVOLUTION}
        layer {{ name: "p" type: "Pooling" bottom: "c" top: "p" pooling_param {{ kernel_size: 2 }} }}
        layer {{ name: "a" type: "{affine}" bottom: "p" top: "a" }}
        {CONVOLUTION.replace('"c"', '"d"').replace('"x"', '"a"')}""".replace("dim: 3", "dim: 16")
        own = make("caffe", monkeypatch, text)
        monkeypatch.setattr("bicerin_onednn.convolution.choice", lambda key, ways, *rest: "winograd")
        theirs = make("", monkeypatch, text)
        x = np.random.default_rng(0).normal(size=(2, 16, 13, 14))
        names = ["a", "d"]
        expected, found = own.forward(names, x=x), theirs.forward(names, x=x)
        for name in names:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)

    def test_the_gradient_at_test_is_the_layers_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "force_backward: true\n" + NET
        found = []
        for engine in ("caffe", "onednn"):
            net = make(engine, monkeypatch, text)
            net.forward(x=image())
            net.blobs["prob"].diff[...] = np.arange(10).reshape(2, 5)
            net.backward()
            found.append(net.blobs["x"].diff.copy())
        assert abs(found[0]).max() > 1e-4
        np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-6)

    @pytest.mark.parametrize("shape", [(2, 3, 17), (1, 4, 5, 6, 7)])
    def test_convolutions_of_one_and_three_axes(self, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
        dims = " ".join(f"dim: {length}" for length in shape)
        text = f"""layer {{ name: "x" type: "Input" top: "x" input_param {{ shape {{ {dims} }} }} }}
        layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ num_output: 6 kernel_size: 3
          stride: 2 pad: 1 weight_filler {{ type: "xavier" }} }} }}"""
        x = np.random.default_rng(7).normal(size=shape).astype(np.float32)
        own, theirs = make("caffe", monkeypatch, text), make("onednn", monkeypatch, text)
        np.testing.assert_allclose(theirs.forward(x=x)["c"], own.forward(x=x)["c"], rtol=1e-4, atol=1e-5)

    def test_a_bottom_without_elements(self, monkeypatch: pytest.MonkeyPatch) -> None:
        net = make("onednn", monkeypatch)
        assert net.forward(x=np.zeros((0, 3, 13, 14), np.float32))["prob"].shape == (0, 5)
        assert net.forward(x=image())["prob"].shape == (2, 5)

    def test_a_net_that_shares_the_weights_of_a_training(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = []
        for engine in ("caffe", "onednn"):
            monkeypatch.setenv("BICERIN_ENGINE", engine)
            solver = bicerin.Solver(f"net_param {{ {TRAINED} }} {SOLVER}")
            losses = []
            for _ in range(4):
                solver.step(1)
                losses.append(float(solver.test_nets[0].forward()["loss"]))
            found.append(losses)
        assert len(set(found[0])) == 4
        np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def residual(order: str = 'bottom: "c1" bottom: "c3"', coeff: str = "", rectifier: str = "") -> str:
    """A block whose last convolution may add the shortcut."""
    return f"""{HEAD}
    layer {{ name: "c1" type: "Convolution" bottom: "x" top: "c1" convolution_param {{ {KERNEL} }} }}
    layer {{ name: "c2" type: "Convolution" bottom: "c1" top: "c2" convolution_param {{ {KERNEL} }} }}
    layer {{ name: "r2" type: "ReLU" bottom: "c2" top: "c2" }}
    layer {{ name: "c3" type: "Convolution" bottom: "c2" top: "c3" convolution_param {{ {KERNEL} }} }}
    layer {{ name: "s3" type: "Scale" bottom: "c3" top: "c3"
      scale_param {{ bias_term: true filler {{ value: 0.5 }} }} }}
    layer {{ name: "sum" type: "Eltwise" {order} top: "sum" eltwise_param {{ operation: SUM {coeff} }} }}
    {rectifier}
    layer {{ name: "fc" type: "InnerProduct" bottom: "sum" top: "fc" inner_product_param {{
      num_output: 5 weight_filler {{ type: "xavier" }} }} }}"""


KERNEL = 'num_output: 20 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } bias_filler { type: "gaussian" }'
CONVOLUTION = f'layer {{ name: "c" type: "Convolution" bottom: "x" top: "c" convolution_param {{ {KERNEL} }} }}'
RELU = 'layer { name: "r" type: "ReLU" bottom: "sum" top: "sum" relu_param { negative_slope: %s } }'


class TestSums:
    @pytest.mark.parametrize("way", ["onednn", "winograd", "pointwise", "own"])
    @pytest.mark.parametrize("rectifier", ["", RELU % 0, RELU % 0.2])
    @pytest.mark.parametrize("order", ['bottom: "c1" bottom: "c3"', 'bottom: "c3" bottom: "c1"'])
    def test_a_convolution_adds_the_shortcut(
        self, order: str, rectifier: str, way: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = residual(order=order, rectifier=rectifier)
        if way == "pointwise":
            text = text.replace("kernel_size: 3 pad: 1", "kernel_size: 1")
        own = make("caffe", monkeypatch, text)
        monkeypatch.setattr(
            "bicerin_onednn.convolution.choice", lambda key, ways, *rest: way if way in ways else "onednn"
        )
        theirs = make("", monkeypatch, text, optimize=True)
        assert [node.name for node in theirs._fused_pass.nodes][-2:] == ["c3", "fc"]
        for batch in (2, 1, 2):
            expected, found = own.forward(x=image(batch))["fc"], theirs.forward(x=image(batch))["fc"]
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        for net in (own, theirs):
            net.params["s3"][0].data[...] = 2
        np.testing.assert_allclose(theirs.forward(x=image())["fc"], own.forward(x=image())["fc"], rtol=1e-4, atol=1e-4)

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"coeff": "coeff: 1 coeff: -1"}, "another sum"),
            ({"order": 'bottom: "c3" bottom: "c3"'}, "twice the same"),
            ({"rectifier": 'layer { name: "s" type: "Silence" bottom: "c3" }'}, "somebody else reads what is added to"),
        ],
    )
    def test_other_sums_are_the_layers_own(
        self, change: dict[str, str], reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        text = residual(**change)
        own, theirs = make("caffe", monkeypatch, text), make("onednn", monkeypatch, text, optimize=True)
        assert "sum" in [node.name for node in theirs._fused_pass.nodes], reason
        np.testing.assert_allclose(theirs.forward(x=image())["fc"], own.forward(x=image())["fc"], rtol=1e-4, atol=1e-4)

    def test_each_layer_by_itself_gives_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = residual(rectifier=RELU % 0)
        net = make("onednn", monkeypatch, text, optimize=True)
        expected = net.forward(x=image())["fc"]
        seen: list[int] = []
        net.before_forward.append(seen.append)
        np.testing.assert_allclose(net.forward(x=image())["fc"], expected, rtol=1e-4, atol=1e-4)
        assert len(seen) == len(net.nodes)
        net.before_forward.clear()
        np.testing.assert_array_equal(net.forward(x=image())["fc"], expected)


class TestTheChoice:
    def test_it_is_made_by_time_once(self, monkeypatch: pytest.MonkeyPatch, choices: Path) -> None:
        net = make("", monkeypatch)
        net.forward(x=image())
        assert classes(net) == {"bicerin_onednn"}
        assert choices.read_text().count("convolution") == 3
        choose(choices, "own")
        again = make("", monkeypatch)
        again.forward(x=image())
        algorithms = [node.layer.algorithm for node in again.nodes if node.type == "Convolution"]
        assert not any("oneDNN" in algorithm for algorithm in algorithms), algorithms
        assert list(json.loads(choices.read_text()).values()) == ["own"] * 3

    @pytest.mark.parametrize("way", ["onednn", "blocked", "winograd", "pointwise", "grouped", "depthwise"])
    def test_every_way_gives_the_same(self, way: str, monkeypatch: pytest.MonkeyPatch, choices: Path) -> None:
        text = NET.replace("20", "24")
        if way == "winograd":
            text = text.replace("num_output: 24 kernel_size: 1", "num_output: 24 kernel_size: 3 pad: 1")
        if way == "grouped":
            text = text.replace("group: 24", "group: 12")
        if way == "depthwise":
            text = text.replace("dilation: 2 pad: 2", "pad: 1")
        make("", monkeypatch, text).forward(x=image())
        choose(choices, way)
        own, theirs = make("caffe", monkeypatch, text), make("", monkeypatch, text)
        found, expected = theirs.forward(list(own.blobs), x=image()), own.forward(list(own.blobs), x=image())
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name)
        if way != "onednn":
            blob = theirs.blobs["dw" if way in ("grouped", "depthwise") else "c2"]
            assert "in blocks of" in repr(blob.memory[0].layout)
        algorithms = [node.layer.algorithm for node in theirs.nodes if node.type == "Convolution"]
        said = {
            "winograd": "own blocked Winograd",
            "pointwise": "own blocked product",
            "grouped": "own blocked groups",
            "depthwise": "own blocked depthwise",
        }
        assert [name for name in algorithms if name.startswith("own")] == ([said[way]] if way in said else [])

    @pytest.mark.parametrize("way", ["onednn", "winograd"])
    def test_ways_may_alternate(self, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Weights that change before a pass of the layer's own code count in the next one of another way too."""
        text = f"{HEAD} {CONVOLUTION}".replace("dim: 3", "dim: 16").replace(
            "kernel_size", "bias_term: false kernel_size"
        )
        own = make("caffe", monkeypatch, text)
        monkeypatch.setattr("bicerin_onednn.convolution.choice", lambda key, *rest: "own" if "TEST (1," in key else way)
        theirs = make("", monkeypatch, text)
        for batch, factor, said in ((2, 1, True), (1, 1, False), (2, 1, True), (1, 2, False), (2, 1, True)):
            x = np.random.default_rng(batch).normal(size=(batch, 16, 13, 14))
            for net in (own, theirs):
                net.params["c"][0].data[...] *= factor
            np.testing.assert_allclose(theirs.forward(x=x)["c"], own.forward(x=x)["c"], rtol=1e-4, atol=1e-4)
            assert (theirs.layer("c").algorithm != own.layer("c").algorithm) == said

    @pytest.mark.parametrize("optimize", [False, True])
    def test_where_rounding_counts_most_no_sum_is_transformed(
        self, optimize: bool, monkeypatch: pytest.MonkeyPatch, choices: Path
    ) -> None:
        text = NET.replace("20", "24").replace("num_output: 24 kernel_size: 1", "num_output: 24 kernel_size: 3 pad: 1")
        make("", monkeypatch, text).forward(x=image())
        choose(choices, "winograd")
        net = make("", monkeypatch, text, optimize=optimize)
        for _ in range(5):
            net.forward(x=image())
        assert net.layer("c2").algorithm == "own blocked Winograd"
        with rounding_least():
            least = {name: array.copy() for name, array in net.forward(x=image()).items()}
            assert "Winograd" not in net.layer("c2").algorithm
        for name, array in net.forward(x=image()).items():
            np.testing.assert_allclose(array, least[name], rtol=1e-4, atol=1e-5)
        assert net.layer("c2").algorithm == "own blocked Winograd"

    @pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
    @pytest.mark.parametrize("named", ["", "winograd", "gemm", "reference"])
    def test_who_names_another_algorithm_gets_no_winograd(
        self, named: str, phase: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offered: list[str] = []

        def choice(key: str, ways: dict[str, Any], *rest: Any) -> str:
            offered.extend(ways)
            return "onednn"

        for place in ("convolution", "chosen_ways"):
            monkeypatch.setattr(f"bicerin_onednn.{place}.choice", choice)
        monkeypatch.setenv("BICERIN_CONVOLUTION", named)
        monkeypatch.setenv("BICERIN_ENGINE", "")
        net = bicerin.Net(f"{HEAD} {CONVOLUTION}".replace("dim: 3", "dim: 16"), phase)
        net.forward()
        assert ("winograd" in offered) == (named in ("", "winograd")) and "own" in offered

    @pytest.mark.parametrize("text", ["", "[1, 2]", "{", '{"a": 3}', "\0"])
    def test_a_file_that_is_broken_is_none(self, text: str, monkeypatch: pytest.MonkeyPatch, choices: Path) -> None:
        choices.write_text(text)
        make("", monkeypatch).forward(x=image())
        assert choices.read_text().count("convolution") == 3

    def test_a_file_that_cannot_be_written_is_said(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("")
        monkeypatch.setenv("BICERIN_CHOICES", str(tmp_path / "file" / "choices.json"))
        with caplog.at_level(logging.INFO, "bicerin.kernels"):
            make("", monkeypatch).forward(x=image())
        assert "cannot be kept on disk" in caplog.text

    @pytest.mark.parametrize(("engine", "owner"), [("CAFFE", "bicerin_convolution"), ("MKLDNN", "bicerin_onednn")])
    def test_the_layer_itself_may_say(self, engine: str, owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
        net = make("", monkeypatch, NET.replace("num_output: 20", f"engine: {engine} num_output: 20"))
        assert classes(net) == {owner}
        net.forward(x=image())
        layer = next(node.layer for node in net.nodes if node.name == "c1")
        if isinstance(layer, OneDNNConvolutionLayer):
            assert "oneDNN" in layer.algorithm

    def test_the_environment_says_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert classes(make("caffe", monkeypatch)) == {"bicerin_convolution"}

    def test_float64_is_the_layers_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert classes(make("onednn", monkeypatch, dtype=np.float64)) == {"bicerin_convolution"}

    def test_an_engine_that_is_not_installed_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(bicerin.BicerinError, match=r'BICERIN_ENGINE is "cudnn".*caffe, onednn'):
            make("cudnn", monkeypatch)

    @pytest.mark.parametrize(("engine", "level"), [("", logging.DEBUG), ("onednn", logging.INFO)])
    def test_a_library_that_is_not_there_leaves_the_layers_own_code(
        self, engine: str, level: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
    ) -> None:
        """The log says so in each run where the engine was asked for, and otherwise only to who wants to know all."""
        from bicerin.discovery.registry import forget_plugins
        from bicerin_onednn.library import library

        monkeypatch.setenv("BICERIN_ONEDNN", str(tmp_path / "libdnnl.so.3"))
        library.cache_clear()
        forget_plugins()
        try:
            with caplog.at_level(logging.DEBUG, "bicerin.layer"):
                net = make(engine, monkeypatch)
        finally:
            library.cache_clear()
            forget_plugins()
        assert classes(net) == {"bicerin_convolution"}
        (said,) = (record for record in caplog.records if "the engine onednn is not used" in record.message)
        assert "cannot be loaded" in said.message and said.levelno == level


def test_a_forked_process_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    net = make("onednn", monkeypatch)
    expected = net.forward(x=image())["prob"]
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child() -> None:
        queue.put(net.forward(x=image())["prob"])

    process = context.Process(target=child)
    process.start()
    process.join(60)
    process.kill()
    assert process.exitcode == 0, "it hangs, or ends badly"
    np.testing.assert_allclose(queue.get(), expected, rtol=1e-5)
