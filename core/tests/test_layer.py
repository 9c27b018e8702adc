"""The layer contract: declarations, counts, parameters, losses, errors."""

import threading
import time
from pathlib import Path

import numpy as np
import pytest

import bicerin
from bicerin.device import Device
from bicerin.errors import BlobCountError, DeviceError, LayerError, ShapeError
from bicerin.layer import (
    Blob,
    BlobCounts,
    Layer,
    Range,
    SharesInParallel,
    any_number,
    at_least,
    at_most,
    between,
    enum_name,
)
from bicerin.layer.layer import layers
from bicerin.net.node import Node
from bicerin.schema import create_layer
from bicerin.schema.installed_schema import schema
from bicerin.testing import check_gradient, check_recorded, recorded_cases, run_layer

AFFINE = 'name: "a" type: "Affine" inner_product_param { weight_filler { type: "constant" value: 2 } }'


@pytest.mark.parametrize(
    ("counts", "bottom", "top", "message"),
    [
        (BlobCounts(bottom=2), 1, 0, r"X Layer takes 2 bottom blob\(s\) as input\."),
        (BlobCounts(bottom=at_least(2)), 1, 0, r"X Layer takes at least 2 bottom blob\(s\) as input\."),
        (BlobCounts(bottom=at_most(2)), 3, 0, r"X Layer takes at most 2 bottom blob\(s\) as input\."),
        (BlobCounts(bottom=between(1, 2)), 3, 0, r"X Layer takes at most 2 bottom"),
        (BlobCounts(top=1), 0, 2, r"X Layer produces 1 top blob\(s\) as output\."),
        (BlobCounts(equal=True), 1, 2, "one top blob as output for each bottom blob input"),
    ],
)
def test_wrong_counts_are_said_in_caffes_words(counts: BlobCounts, bottom: int, top: int, message: str) -> None:
    with pytest.raises(BlobCountError, match=message):
        counts.check("X", bottom, top)


def test_right_counts() -> None:
    BlobCounts(bottom=2, top=between(1, 2)).check("X", 2, 1)
    BlobCounts(bottom=any_number, top=at_least(0), equal=True).check("X", 3, 3)


@pytest.mark.parametrize("rule", [{"bottoms": 1}, {"bottom": -1}, {"top": "2"}, {"bottom": True}])
def test_a_misspelt_rule_is_a_type_error(rule: dict) -> None:
    with pytest.raises(TypeError):
        BlobCounts(**rule)


@pytest.mark.parametrize(
    ("range_", "text"), [(Range(2, 2), "2"), (Range(1), "1+"), (Range(), "any"), (Range(1, 2), "1 to 2")]
)
def test_ranges_read_well(range_: Range, text: str) -> None:
    assert str(range_) == text


def test_a_layer_may_refuse_to_work_in_place(provided: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers.load("Affine"), "allows_in_place", True)
    run_layer(AFFINE, [np.ones((2, 3))], in_place=True)
    monkeypatch.setattr(layers.load("Affine"), "allows_in_place", False)
    run_layer(AFFINE, [np.ones((2, 3))])
    with pytest.raises(LayerError, match="Affine Layer does not allow in-place computation"):
        run_layer(AFFINE, [np.ones((2, 3))], in_place=True)


def test_an_enum_value_that_the_layer_does_not_know_is_an_error() -> None:
    param = schema().FillerParameter(variance_norm=2)
    assert enum_name(param, "variance_norm", ("FAN_IN", "AVERAGE")) == "AVERAGE"
    with pytest.raises(LayerError, match="variance_norm: AVERAGE is not known to this layer") as error:
        enum_name(param, "variance_norm", ("FAN_IN", "FAN_OUT"))
    assert error.value.hint == "It knows FAN_IN, FAN_OUT."


def test_one_way_to_write_a_pass() -> None:
    with pytest.raises(TypeError, match=r"Bad defines both forward and forward_cpu: forward is for every device"):
        type("Bad", (Layer,), {name: lambda self: None for name in ("forward", "forward_cpu")})


def test_a_layer_without_declarations_cannot_be_made(provided) -> None:
    class Nameless(Layer):
        def reshape(self, bottom, top): ...
        def forward(self, bottom, top): ...

    with pytest.raises(TypeError, match="declares no `type`"):
        Nameless(create_layer(AFFINE).param)


def test_create_layer_takes_text_with_and_without_braces(provided) -> None:
    for text in (AFFINE, f"layer {{ {AFFINE} }}"):
        assert create_layer(text, phase="TEST").name == "a"
    assert create_layer(create_layer(AFFINE).param).type == "Affine"


def test_fillers_fill_and_given_blobs_stay(provided) -> None:
    run = run_layer(AFFINE, [np.ones((4, 3))])
    run.forward()
    assert (run.top[0].data == 2).all()
    run.blobs[0].data[...] = 5
    again = run_layer(run.node.to_proto(), [np.ones((4, 3))])
    again.forward()
    assert (again.top[0].data == 5).all()
    with pytest.raises(
        ShapeError, match=r'layer "a" \(Affine\): parameter blob 0 must have the shape \(7,\), not \(3,\)'
    ):
        run_layer(run.node.to_proto(), [np.ones((4, 7))])


def test_gradients(provided) -> None:
    random = np.random.default_rng(3)
    check_gradient(AFFINE, [random.normal(size=(4, 3))])
    check_gradient('type: "Square"', [random.normal(size=(2, 3))])
    check_gradient('type: "HalfSquareLoss" loss_weight: 3', [random.normal(size=(4, 3)), random.normal(size=(4, 3))])


def test_the_gradient_check_finds_a_wrong_gradient(provided, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self, top, propagate_down, bottom):
        if propagate_down[0]:
            bottom[0].diff[...] = self.kept * top[0].diff

    monkeypatch.setattr(layers.load("Square"), "backward", wrong)
    with pytest.raises(AssertionError, match="gradient of bottom 0"):
        check_gradient('type: "Square"', [np.ones((2, 2))])


@pytest.mark.parametrize("case", recorded_cases(Path(__file__).parent / "recorded"), ids=lambda path: path.stem)
def test_split_equals_caffe(case) -> None:
    check_recorded(case)


def test_loss_weights(provided) -> None:
    values = [np.ones((4, 3)), np.zeros((4, 3))]
    assert run_layer('type: "HalfSquareLoss"', values).forward() == pytest.approx(1.5)
    assert run_layer('type: "HalfSquareLoss" loss_weight: 4', values).forward() == pytest.approx(6)
    assert (
        run_layer('type: "Affine" loss_weight: 2', [np.ones((2, 2))], parameters=[np.full(2, 3), np.zeros(2)]).forward()
        == 24
    )
    with pytest.raises(LayerError, match="loss_weight is given 2 time"):
        run_layer('type: "HalfSquareLoss" loss_weight: 1 loss_weight: 1', values)


def test_labels_take_no_gradient(provided) -> None:
    layer = create_layer('type: "HalfSquareLoss"')
    assert layer.allow_force_backward(0)
    assert not layer.allow_force_backward(1)


def test_param_propagate_down(provided) -> None:
    run = run_layer(AFFINE, [np.ones((4, 3))])
    run.layer.set_param_propagate_down(0, False)
    run.forward()
    run.top[0].diff.fill(1)
    run.backward()
    assert not run.blobs[0].diff.any()
    assert (run.blobs[1].diff == 4).all()


def test_errors_say_where(provided) -> None:
    with pytest.raises(ShapeError) as caught:
        run_layer('name: "l" type: "HalfSquareLoss"', [np.ones((4, 3)), np.ones((5, 3))])
    text = str(caught.value)
    assert 'layer "l" (HalfSquareLoss)' in text
    assert "bottom: in0 (4, 3), in1 (5, 3)" in text


def test_a_layer_without_gradient_says_so(provided) -> None:
    run = run_layer('name: "n" type: "Noise"', [np.ones((2, 2))], seed=1)
    run.forward()
    with pytest.raises(LayerError, match=r'layer "n" \(Noise\): this layer has no gradient'):
        run.backward()


def test_the_state_of_the_generator_is_kept(provided) -> None:
    run = run_layer('type: "Noise"', [np.zeros((2, 2))], seed=1)
    assert run.layer.state() is None
    run.forward()
    state = run.layer.state()
    run.forward()
    second = run.top[0].data.copy()
    run.layer.restore_state(state)
    run.forward()
    assert np.array_equal(run.top[0].data, second)


class SlowLayer(SharesInParallel, Layer):
    type = "Slow"
    counts = BlobCounts(bottom=1, top=1)
    running = 0
    most = 0

    def share_in_parallel(self) -> bool:
        return True

    def reshape(self, bottom, top) -> None:
        top[0].reshape_like(bottom[0])

    def forward(self, bottom, top) -> None:
        SlowLayer.running += 1
        SlowLayer.most = max(SlowLayer.most, SlowLayer.running)
        time.sleep(0.01)
        SlowLayer.running -= 1


def test_a_shared_layer_runs_one_at_a_time() -> None:
    root = Node(SlowLayer(bicerin.create_layer('type: "Split"').param), [Blob((1,))], [Blob((1,))])
    root.set_up()
    node = Node(root.layer, [Blob((1,))], [Blob((1,))], shared_with=root)
    assert root.is_shared and node.is_shared
    threads = [threading.Thread(target=either.forward) for either in (root, node) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SlowLayer.most == 1


class Elsewhere(Device):
    name = "elsewhere"
    xp = np  # type: ignore[assignment]

    def _copy_to_host(self, source, target) -> None:
        target[...] = source

    def _copy_from_host(self, source, target) -> None:
        target[...] = source


def test_a_layer_without_device_code_runs_on_the_host_or_is_refused(provided, caplog) -> None:
    run = run_layer('name: "n" type: "HalfSquareLoss"', [np.ones((2, 2)), np.zeros((2, 2))], device=Elsewhere())
    assert "has no implementation" in caplog.text
    assert run.forward() == 1.0
    param, context = run.layer.param, run.layer.context
    strict = type(context)(device=Elsewhere(), strict_device=True)
    with pytest.raises(DeviceError, match="strict_device"):
        type(run.layer)(param, strict)


def test_array_layers_run_on_every_device(provided) -> None:
    device = Elsewhere()
    run = run_layer(AFFINE, [np.ones((2, 2))], device=device)
    run.forward()
    assert device.transfers.to_host == 0
    assert (run.top[0].data == 2).all()
