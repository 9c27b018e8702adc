"""Nets: rules, splits, shared parameters, the backward plan, partial runs, reshaping."""

from __future__ import annotations

import copy
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_net import INPUT, LABEL, affine, loss, net, square

import bicerin
import bicerin_proto
from bicerin.errors import LayerError, NetError, ParseError, ProtoError, UnknownNameError
from bicerin.layer.layer import layers


@pytest.fixture(autouse=True)
def _layers(provided) -> None:
    """Every test here uses the layers of conftest."""


def test_a_shape_that_a_layer_refuses_is_an_error_that_names_it() -> None:
    built = net(INPUT, LABEL, loss("data"))
    built.blobs["data"].reshape(5, 3)
    with pytest.raises(
        LayerError, match=r'layer "loss" \(HalfSquareLoss\)(?s:.)*same first dimension: \(5,\) against \(4,\)'
    ):
        built.reshape()


def test_values_that_are_not_finite_travel_on_in_silence(recwarn: pytest.WarningsRecorder) -> None:
    built = net(INPUT, LABEL, square("squared", "data"), loss("squared"), head="force_backward: true\n")
    built.blobs["data"].data[...] = [3e38, np.inf, np.nan]
    assert np.isnan(built.forward_backward())
    assert not recwarn.list


class TestRules:
    @pytest.mark.parametrize(
        ("rule", "state", "belongs"),
        [
            ("", {}, True),
            ("include { phase: TRAIN }", {"phase": "TRAIN"}, True),
            ("include { phase: TRAIN }", {"phase": "TEST"}, False),
            ("exclude { phase: TRAIN }", {"phase": "TRAIN"}, False),
            ("include { phase: TRAIN } include { stage: 'a' }", {"phase": "TEST", "stages": ["a"]}, True),
            ("include { min_level: 2 }", {"level": 2}, True),
            ("include { min_level: 2 }", {"level": 1}, False),
            ("include { max_level: 2 }", {"level": 3}, False),
            ("include { stage: 'a' stage: 'b' }", {"stages": ["a"]}, False),
            ("include { stage: 'a' stage: 'b' }", {"stages": ["b", "a", "c"]}, True),
            ("include { not_stage: 'a' }", {"stages": ["a"]}, False),
            ("exclude { stage: 'a' } exclude { level_max: 0 }".replace("level_max", "max_level"), {"level": 1}, True),
        ],
    )
    def test_rules(self, rule: str, state: dict, belongs: bool) -> None:
        built = net(INPUT, square("s", "data", more=rule), **state)
        assert ("s" in built.layer_names) == belongs

    def test_both_kinds_at_once_are_refused(self) -> None:
        with pytest.raises(NetError, match=r'2: layer "s" has both include and exclude rules'):
            net(INPUT, square("s", "data", more="include { } exclude { }"))

    def test_the_state_of_the_file_counts_where_none_is_given(self) -> None:
        built = net(
            INPUT, square("s", "data", more="include { stage: 'x' }"), head='state { phase: TRAIN stage: "x" }\n'
        )
        assert built.phase == bicerin.TRAIN
        assert "s" in built.layer_names

    def test_a_phase_that_is_none(self) -> None:
        with pytest.raises(NetError, match="neither TRAIN"):
            net(INPUT, phase="DEPLOY")


class TestSplits:
    def test_names_are_caffes(self) -> None:
        built = net(INPUT, square("a", "data"), square("b", "data"))
        assert built.layer_names == ["data", "data_data_0_split", "a", "b"]
        assert list(built.blobs) == ["data", "data_data_0_split_0", "data_data_0_split_1", "a", "b"]
        assert built.outputs == ["a", "b"]

    def test_gradients_of_all_readers_are_added(self) -> None:
        built = net(INPUT, square("a", "data"), affine("b", "data"), head="force_backward: true\n")
        built.forward(data=np.full((4, 3), 5.0))
        built.backward(a=np.ones((4, 3)), b=np.ones((4, 3)))
        assert (built.blobs["data"].diff == 2 * 5 + 2).all()

    def test_an_in_place_layer_makes_a_new_version_of_its_blob(self) -> None:
        built = net(INPUT, affine("a", "data", "x"), square("s", "x", "x"), square("b", "x"), square("c", "x"))
        assert built.layer_names == ["data", "a", "s", "x_s_0_split", "b", "c"]

    def test_a_loss_that_is_read_keeps_its_weight(self) -> None:
        built = net(INPUT, affine("a", "data", more="loss_weight: 3"), square("b", "a"))
        assert built.layer_names == ["data", "a", "a_a_0_split", "b"]
        assert built.nodes[3].bottom_names == ["a_a_0_split_1"]
        built.forward(data=np.ones((4, 3)))
        assert built.run_forward() == pytest.approx(3 * 2 * 12)

    def test_a_loss_weight_that_is_set_later_counts_backward_too(self) -> None:
        built = net("force_backward: true\n", INPUT, affine("a", "data"), phase="TRAIN")
        built.forward(data=np.ones((4, 3)))
        for weight in (3.0, 0.5, 0.0):
            built.nodes[-1].loss_weights = [weight]
            assert built.forward_backward() == pytest.approx(weight * 2 * 12)
            assert (built.blobs["data"].diff == weight * 2).all()

    def test_a_bottom_of_a_layer_that_is_left_out(self) -> None:
        left_out = affine("a", "data", more='include { stage: "s0" }')
        with pytest.raises(NetError) as caught:
            net(INPUT, left_out, square("s", "a"), stages=["deploy", "x"], phase="TEST")
        assert 'Layer "a" (<text>:2) makes it, and is left out of the net with phase TEST, stage "deploy", "x".' in str(
            caught.value
        )

    def test_a_bottom_that_nobody_produces(self) -> None:
        with pytest.raises(
            NetError, match=r"2: Unknown bottom blob 'dta' \(layer 's', bottom index 0\)\. Did you mean \"data\""
        ):
            net(INPUT, square("s", "dta"))
        with pytest.raises(NetError, match='Layer "t" produces it, but comes later'):
            net(INPUT, square("s", "t"), square("t", "data"))

    def test_a_top_that_is_produced_twice(self) -> None:
        with pytest.raises(NetError, match="Top blob 'a' produced by multiple sources"):
            net(INPUT, square("a", "data"), square("b", "data", "a"))


class TestSharedParameters:
    NAMED = 'param { name: "w" %s } param { name: "b" }'

    def test_blobs_share_memory_and_gradients(self) -> None:
        built = net(
            INPUT,
            LABEL,
            affine("a", "data", more=self.NAMED % ""),
            affine("b", "a", more=self.NAMED % ""),
            loss("b"),
            phase="TRAIN",
        )
        assert len(built.learnable_params) == 2
        built.params["a"][0].data[...] = 3
        assert (built.params["b"][0].data == 3).all()
        built.forward(data=np.ones((4, 3)), label=np.zeros((4, 3)))
        built.clear_param_diffs()
        built.run_backward()
        # loss = w^4 / 2 for each column and its mean over the batch, so d loss / d w = 2 w^3.
        assert np.allclose(built.learnable_params[0].diff, 2 * 3**3)

    def test_multipliers(self) -> None:
        built = net(INPUT, affine("a", "data", more="param { lr_mult: 2 } param { decay_mult: 0 }"))
        assert built.params_lr == [2, 1]
        assert built.params_weight_decay == [1, 0]

    def test_a_multiplier_given_by_a_later_sharer_counts(self) -> None:
        built = net(INPUT, affine("a", "data", more=self.NAMED % ""), affine("b", "a", more=self.NAMED % "lr_mult: 5"))
        assert built.params_lr == [5, 1]

    def test_mismatched_multipliers(self) -> None:
        with pytest.raises(NetError, match="Shared param 'w' has mismatched lr_mult"):
            net(
                INPUT,
                affine("a", "data", more=self.NAMED % "lr_mult: 1"),
                affine("b", "a", more=self.NAMED % "lr_mult: 2"),
            )

    @pytest.mark.parametrize(("mode", "message"), [("STRICT", "shape mismatch"), ("PERMISSIVE", "count mismatch")])
    def test_shapes_must_fit(self, mode: str, message: str) -> None:
        other = 'layer { name: "other" type: "Input" top: "other" input_param { shape { dim: 4 dim: 5 } } }\n'
        spec = f'param {{ name: "w" share_mode: {mode} }}'
        with pytest.raises(NetError, match=rf"Cannot share param 'w' owned by layer 'a' with layer 'b'; {message}"):
            net(INPUT, other, affine("a", "data", more=spec), affine("b", "other", more=spec))

    def test_too_many_params(self) -> None:
        with pytest.raises(NetError, match="Too many params specified for layer"):
            net(INPUT, square("s", "data", more="param { }"))


class TestBackwardPlan:
    def plan(self, built: bicerin.Net) -> dict[str, tuple[bool, list[bool]]]:
        return {
            name: (built.node(name).wants_backward, built.node(name).propagate_down)
            for index, name in enumerate(built.layer_names)
        }

    def test_nothing_below_the_first_learner_gets_a_gradient(self) -> None:
        plan = self.plan(
            net(INPUT, LABEL, square("s", "data"), affine("a", "s"), affine("b", "a"), loss("b"), phase="TRAIN")
        )
        assert plan["s"] == (False, [False])
        assert plan["a"] == (True, [False])
        assert plan["b"] == (True, [True])
        assert plan["loss"] == (True, [True, False])

    def test_nothing_that_no_loss_reads_runs_backward(self) -> None:
        plan = self.plan(
            net(INPUT, LABEL, affine("a", "data"), affine("off", "a"), affine("b", "a"), loss("b"), phase="TRAIN")
        )
        assert plan["off"] == (False, [False])
        assert plan["a"][0]

    def test_propagate_down_false_stops_there(self) -> None:
        plan = self.plan(
            net(
                INPUT,
                LABEL,
                affine("a", "data"),
                affine("b", "a", more="propagate_down: false"),
                loss("b"),
                phase="TRAIN",
            )
        )
        assert plan["b"] == (True, [False])
        assert plan["a"] == (False, [False])

    def test_lr_mult_zero_freezes(self) -> None:
        frozen = "param { lr_mult: 0 } param { lr_mult: 0 }"
        built = net(INPUT, LABEL, affine("a", "data", more=frozen), affine("b", "a"), loss("b"), phase="TRAIN")
        assert self.plan(built)["a"] == (False, [False])
        assert not built.layer("a").param_propagate_down(0)

    def test_force_backward(self) -> None:
        built = net(INPUT, LABEL, square("s", "data"), loss("s"), head="force_backward: true\n", phase="TRAIN")
        assert self.plan(built)["loss"] == (True, [True, False])
        built.forward(data=np.full((4, 3), 2.0), label=np.zeros((4, 3)))
        assert np.allclose(built.backward()["data"], 4 * 2 * 2 / 4)

    def test_propagate_down_must_match_the_bottoms(self) -> None:
        with pytest.raises(NetError, match="propagate_down param must be specified either 0 or bottom_size times"):
            net(INPUT, square("s", "data", more="propagate_down: true propagate_down: true"))


class TestRunning:
    def test_forward_returns_copies_of_the_outputs(self) -> None:
        built = net(INPUT, square("s", "data"))
        first = built.forward(data=np.full((4, 3), 3.0))["s"]
        built.forward(data=np.full((4, 3), 4.0))
        assert (first == 9).all()

    def test_an_input_takes_the_shape_of_its_array(self) -> None:
        built = net(INPUT, affine("a", "data"), square("s", "a"))
        for batch in (4, 9, 0, 1, 4):
            assert built.forward(data=np.ones((batch, 3)))["s"].shape == (batch, 3)

    def test_parts_of_a_net(self) -> None:
        built = net(INPUT, affine("a", "data"), square("s", "a"), square("t", "s"))
        built.forward(data=np.ones((4, 3)))
        built.blobs["a"].data.fill(3)
        assert set(built.forward(start="s", end="s", blobs=["a"])) == {"s", "a"}
        assert (built.blobs["s"].data == 9).all()
        assert (built.blobs["t"].data == 16).all()

    def test_a_name_that_is_not_there(self) -> None:
        built = net(INPUT, affine("conv1", "data"), square("square", "conv1"))
        for look_up, said in {
            lambda: built.blobs["conv2"]: 'the net has no blob "conv2". Did you mean "conv1"?',
            lambda: built.blobs["fc7"]: 'the net has no blob "fc7". There are: data, conv1, square.',
            lambda: built.params["square"]: 'no layer with weights is named "square". There are: conv1.',
        }.items():
            with pytest.raises(KeyError) as error:
                look_up()
            assert error.value.args == (said,)
        assert "conv2" not in built.blobs
        assert built.blobs.get("conv2") is None

    def test_parts_of_a_net_backward(self) -> None:
        built = net(INPUT, affine("a", "data"), square("s", "a"), square("t", "s"), head="force_backward: true\n")
        built.forward(data=np.ones((4, 3)))
        diffs = built.backward(start="s", end="s", s=np.ones((4, 3)))
        assert list(diffs) == ["a"]
        assert (diffs["a"] == 4).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_dtype(self, dtype: type) -> None:
        assert net(INPUT, square("s", "data"), dtype=dtype).forward()["s"].dtype == dtype

    def test_other_dtypes_are_refused(self) -> None:
        with pytest.raises(NetError, match="float32 or float64"):
            net(INPUT, dtype=np.float16)

    def test_the_same_seed_gives_the_same_run(self) -> None:
        noise = 'layer { name: "n" type: "Noise" bottom: "data" top: "n" }'
        one, two, other = (net(INPUT, noise, seed=seed).forward()["n"] for seed in (1, 1, 2))
        assert np.array_equal(one, two)
        assert not np.array_equal(one, other)

    def test_a_new_seed_starts_every_generator_anew(self) -> None:
        built = net(INPUT, square("s", "data"), seed=1)

        def drawn(seed: int) -> list[float]:
            built.seed(seed)
            return [layer.context.random.random() for layer in built.layers]

        assert drawn(3) == drawn(3) != drawn(4)
        assert len(set(drawn(3))) == len(built.layers)

    def test_threads_take_turns(self) -> None:
        built = net(INPUT, square("s", "data"))
        running: list[int] = []
        built.before_forward.append(lambda index: running.append(index))

        def run(number: float) -> bool:
            results = [built.forward(data=np.full((4, 3), number))["s"] for _ in range(50)]
            return all((result == number**2).all() for result in results)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(run, range(4)))
        assert running == [0, 1] * 200

    def test_callbacks_see_every_layer(self) -> None:
        built = net(INPUT, affine("a", "data"), head="force_backward: true\n")
        seen: list[tuple[str, int]] = []
        for name in ("before_forward", "after_forward", "before_backward", "after_backward"):
            getattr(built, name).append(lambda index, name=name: seen.append((name, index)))
        built.forward()
        built.backward()
        assert seen == [
            ("before_forward", 0), ("after_forward", 0), ("before_forward", 1), ("after_forward", 1),
            ("before_backward", 1), ("after_backward", 1), ("before_backward", 0), ("after_backward", 0),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda n: n.forward(nothing=1), 'no blob "nothing"; its inputs: data'),
            (lambda n: n.forward(start="z"), 'no layer "z"; it has: data, s'),
            (lambda n: n.backward(s=np.ones(3)), r"must have the shape \(4, 3\), not \(3,\)"),
            (lambda n: n.blob("q"), 'no blob "q"'),
            (lambda n: n.forward(start="s", end="data"), 'start="s" comes after end="data": no layer would run'),
            (lambda n: n.backward(start="data", end="s"), 'start="data", which comes before end="s": no layer'),
        ],
    )
    def test_wrong_names_and_shapes(self, call, message: str) -> None:
        with pytest.raises(NetError, match=message):
            call(net(INPUT, square("s", "data")))

    def test_update_subtracts_the_gradient(self) -> None:
        built = net(INPUT, affine("a", "data"))
        built.params["a"][0].diff.fill(0.5)
        built.update()
        assert (built.params["a"][0].data == 1.5).all()

    def test_trained_layers_are_shared(self) -> None:
        one, other = (net(INPUT, affine("a", "data")) for _ in range(2))
        other.share_trained_layers_with(one)
        one.params["a"][0].data.fill(7)
        assert (other.params["a"][0].data == 7).all()


class TestReading:
    def test_errors_name_file_line_layer_and_the_distribution(self, tmp_path: Path, provided) -> None:
        provided.index["bicerin.layers"].pop("Convolution", None)
        path = tmp_path / "net.prototxt"
        path.write_text(INPUT + '\nlayer { name: "conv1" type: "Convolution" bottom: "data" top: "c" }\n')
        with pytest.raises(UnknownNameError) as caught:
            bicerin.Net(path)
        assert f'{path}:3: layer "conv1": unknown layer type' in str(caught.value)
        assert "pip install bicerin-convolution" in str(caught.value)

    def test_syntax_errors_have_line_and_column(self, tmp_path: Path) -> None:
        path = tmp_path / "net.prototxt"
        path.write_text(INPUT + "layer {\n  nme: 3\n}\n")
        with pytest.raises(ParseError, match=r"net\.prototxt:3:3: .*nme"):
            bicerin.Net(path)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(ProtoError, match=r"nowhere\.prototxt"):
            bicerin.Net(tmp_path / "nowhere.prototxt")

    def test_a_message_is_not_changed(self) -> None:
        message = bicerin_proto.read_net(INPUT + square("s", "data") + square("t", "data")).message
        before = message.SerializeToString(deterministic=True)
        bicerin.Net(message)
        assert message.SerializeToString(deterministic=True) == before

    def test_input_fields_of_old_nets(self) -> None:
        old = 'input: "data" input_dim: 4 input_dim: 3 input_dim: 1 input_dim: 1\n' + square("s", "data")
        built = bicerin.Net(old)
        assert built.inputs == ["data"]
        assert built.blobs["s"].shape == (4, 3, 1, 1)


class TestWhatALayersCodeRaises:
    """Whatever it is, and wherever: an error that says where, with the original as its cause."""

    @pytest.mark.parametrize("method", ["__init__", "layer_set_up", "reshape", "forward", "backward"])
    @pytest.mark.parametrize(
        ("raised", "said"),
        [
            (MemoryError("12 GiB"), "12 GiB"),
            (RecursionError("too deep"), "its code raised RecursionError: too deep"),
            (ZeroDivisionError("x"), "its code raised ZeroDivisionError: x"),
            (StopIteration(), "its code raised StopIteration"),
        ],
    )
    def test_it_is_located(
        self, method: str, raised: Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        layer: Any = layers.load("Square")
        original = getattr(layer, method)
        armed: list[bool] = []

        def fails(self: Any, *arguments: Any, **keywords: Any) -> Any:
            if armed:
                raise raised
            return original(self, *arguments, **keywords)

        monkeypatch.setattr(layer, method, fails)
        path = tmp_path / "net.prototxt"
        path.write_text("force_backward: true\n" + INPUT + square("s", "data"))
        if method in ("forward", "backward"):
            built = bicerin.Net(path)
            built.run_forward()
        armed.append(True)

        def act() -> None:
            if method == "forward":
                built.run_forward()
            elif method == "backward":
                built.run_backward()
            else:
                bicerin.Net(path)

        with pytest.raises(LayerError) as error:
            act()
        assert re.search(r'net\.prototxt:\d+: layer "s" \(Square\): ', str(error.value))
        assert said in str(error.value)
        assert error.value.__cause__ is raised

    def test_the_line_of_its_code_is_named(self, provided: Any) -> None:
        """The innermost line of the layer's package; not NumPy's, nor that of the core which called it."""

        square_layer: Any = layers.load("Square")

        class DividesLayer(square_layer):  # type: ignore[misc]
            type = "Divides"

            def forward(self, bottom: Any, top: Any) -> None:
                np.broadcast_to(bottom[0].data, (1, 2, 3))  # the line

        DividesLayer.__module__ = __name__
        provided.layer(DividesLayer)
        built = bicerin.Net(INPUT + square("s", "data").replace("Square", "Divides"))
        with pytest.raises(LayerError, match="its code raised ValueError") as error:
            built.run_forward()
        *_, last = str(error.value).splitlines()
        assert re.fullmatch(r"  at .*test_net\.py:\d+: np\.broadcast_to\(.*# the line", last), error.value


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"level": 2**40}, "level=1099511627776: a level is a whole number of 32 bits"),
        ({"level": "high"}, "level='high'"),
        ({"seed": -1}, "seed=-1: a seed is a whole number from 0 on"),
        ({"seed": "x"}, "seed='x'"),
    ],
)
def test_numbers_that_are_none(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(NetError, match=reason):
        bicerin.Net(INPUT, **options)


def test_a_net_closes_its_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []
    with net(INPUT, square("s", "data")) as built:
        for layer in built.layers:
            monkeypatch.setattr(layer, "close", lambda name=layer.name: closed.append(name))
    assert closed == ["data", "s"]


class TestInputs:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda built: built.forward(a=np.ones((2, 3))), r'"a" is not an input: layer "a" would write over it'),
            (lambda built: built.forward(np.ones((2, 3))), r"by the names of the inputs, as in net\.forward\(data="),
            (lambda built: built.forward(data=None), r"got None\. Was the image read\?"),
            (lambda built: built.forward(data="text"), "not an array of numbers"),
            (lambda built: built.forward(data=[[1, 2], [3]]), "not an array of numbers"),
            (lambda built: built.forward(data=np.ones(3)), r'input "data" is \(4, 3\); got an array of shape \(3,\)'),
            (lambda built: built.forward(nope=1), 'no blob "nope"; its inputs: data'),
        ],
    )
    def test_what_is_no_input_is_refused(self, call: Any, message: str) -> None:
        built = net(INPUT, affine("a", "data"))
        with pytest.raises(NetError, match=message):
            call(built)

    def test_an_input_of_two_axes_has_no_channels_that_come_last(self) -> None:
        with pytest.raises(NetError, match=r"got an array of shape \(4, 3, 1\)\.$"):
            net(INPUT, affine("a", "data")).forward(data=np.ones((4, 3, 1)))

    def test_channels_that_come_last_are_named(self) -> None:
        size = "shape { dim: 1 dim: 3 dim: 8 dim: 9 }"
        built = net(f'layer {{ name: "d" type: "Input" top: "data" input_param {{ {size} }} }}')
        with pytest.raises(NetError, match=r"N C H W; got an array of shape \(1, 8, 9, 3\)\. Its channels come last"):
            built.forward(data=np.ones((1, 8, 9, 3)))

    def test_a_mapping_is_inputs_and_a_string_a_name(self) -> None:
        built = net(INPUT, affine("a", "data"))
        by_name = built.forward(data=np.ones((4, 3)))
        assert (built.forward({"data": np.ones((4, 3))})["a"] == by_name["a"]).all()
        assert set(built.forward("data")) == {"a", "data"}

    def test_a_net_is_not_pickled_and_a_blob_is_an_array(self) -> None:
        built = net(INPUT, affine("a", "data"))
        with pytest.raises(TypeError, match="a net cannot be pickled"):
            pickle.dumps(built)
        blob = built.blobs["data"]
        assert np.asarray(blob).shape == (4, 3)
        for function in (pickle.dumps, copy.copy):
            with pytest.raises(TypeError, match="a blob cannot be pickled or copied: take its array"):
                function(blob)
        with pytest.raises(AttributeError, match='a blob has no attribute "values"; its arrays on the host are data'):
            print(blob.values)


def test_a_blob_cannot_be_replaced_in_silence() -> None:
    built = bicerin.Net(
        'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 } } }'
        'layer { name: "affine" type: "Affine" bottom: "data" top: "y" }'
    )
    with pytest.raises(TypeError, match=r"to \['data'\]: write its values, \['data'\]\.data\[\.\.\.\] = array"):
        built.blobs["data"] = np.ones((2, 3))
    with pytest.raises(TypeError, match=r"write its values, \[0\]\.data\[\.\.\.\] = array"):
        built.params["affine"][0] = np.ones(3)
    with pytest.raises(TypeError, match=r"write its values, \['affine'\]\[0\]\.data"):
        built.params["affine"] = [np.ones(3)]
    for copied in (copy.deepcopy(built.params), copy.copy(built.params), built.params.copy()):
        copied["affine"] = []
    assert built.params["affine"]


def test_a_net_without_layers_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert bicerin.Net('name: "n"').forward() == {}
    assert "the net has no layers" in caplog.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"phase": "net.caffemodel"}, "phase 'net.caffemodel' .* Weights are given by name: weights='net.caffemodel'"),
        ({"phase": 2}, "phase 2 is neither TRAIN"),
        ({"device": 1}, 'device 1: .* the GPU of number 1 is "gpu:1"'),
        ({"device": None}, "device None: devices are named by texts"),
        ({"dtype": "int8"}, "dtype 'int8' is not supported: blobs are float32 or float64"),
        ({"dtype": "nonsense"}, "dtype 'nonsense' is not supported"),
    ],
)
def test_options_that_are_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(bicerin.BicerinError, match=said):
        bicerin.Net('layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 } } }', **options)
