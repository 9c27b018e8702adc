"""Options, errors and edges of the losses, Softmax and Accuracy."""

from pathlib import Path

import numpy as np
import pytest

import bicerin_proto
from bicerin.errors import BicerinError, BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer
from bicerin_loss import label_kernels, softmax_kernels

RANDOM = np.random.default_rng(11)


def loss(definition: str, *inputs: object, **options: object) -> float:
    return run_layer(definition, [np.array(array) for array in inputs], dtype=np.float64, **options).forward()


class TestSoftmax:
    def test_large_scores(self, device: str) -> None:
        run = run_layer('type: "Softmax"', [np.array([[1e4, 1e4, -1e4], [-1e4, -2e4, -3e4]])], device=device)
        run.forward()
        np.testing.assert_allclose(run.top[0].data, [[0.5, 0.5, 0], [1, 0, 0]])

    def test_in_place(self, device: str) -> None:
        x, y_diff = RANDOM.normal(size=(2, 3, 5)), RANDOM.normal(size=(2, 3, 5))
        runs = [run_layer('type: "Softmax"', [x], in_place=flag, device=device) for flag in (False, True)]
        for run in runs:
            run.forward()
            run.top[0].diff[...] = y_diff
            run.backward()
        np.testing.assert_array_equal(runs[0].top[0].data, runs[1].top[0].data)
        np.testing.assert_allclose(runs[0].bottom[0].diff, runs[1].bottom[0].diff, rtol=1e-5, atol=1e-7)

    def test_nan_spoils_its_own_sum_only(self, device: str) -> None:
        run = run_layer('type: "Softmax"', [np.array([[0, np.nan, 1], [0, 0, 0]])], device=device)
        run.forward()
        assert np.isnan(run.top[0].data).tolist() == [[True] * 3, [False] * 3]

    def test_axis_out_of_range(self, device: str) -> None:
        with pytest.raises(ShapeError, match="axis 2"):
            run_layer('type: "Softmax" softmax_param { axis: 2 }', [np.ones((2, 3))], device=device)

    @pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 3), (2, 3, 0), (2, 3, 600), (3, 40)])
    def test_shapes(self, shape: tuple[int, ...], device: str) -> None:
        run = run_layer('type: "Softmax"', [RANDOM.normal(size=shape)], device=device)
        run.forward()
        run.backward()
        if run.top[0].count:
            np.testing.assert_allclose(run.top[0].data.sum(axis=1), 1, rtol=1e-5)


class TestLabels:
    X = RANDOM.normal(size=(4, 3))

    @pytest.mark.parametrize("type_name", ["SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss", "Accuracy"])
    @pytest.mark.parametrize(
        ("wrong", "named"), [(3, "label 3"), (-1, "label -1"), (np.nan, "label nan"), (np.inf, "label inf")]
    )
    def test_out_of_range(self, type_name: str, wrong: float, named: str) -> None:
        with pytest.raises(LayerError, match=rf"{named} at \(2,\) is out of range \(1 of 4") as error:
            loss(f'type: "{type_name}"', self.X, [0, 1, wrong, 2])
        assert "0 to 2" in str(error.value)

    @pytest.mark.parametrize("type_name", ["SoftmaxWithLoss", "HingeLoss", "MultinomialLogisticLoss"])
    @pytest.mark.parametrize("wrong", [3, -1, np.nan, np.inf])
    def test_out_of_range_on_every_device(self, type_name: str, wrong: float, device: str) -> None:
        """A device, which cannot raise, computes NaN, and the label is looked for then."""
        with pytest.raises(LayerError, match=rf"label {wrong:g} at \(2,\) is out of range \(1 of 4"):
            loss(f'type: "{type_name}"', self.X, [0, 1, wrong, 2], device=device)

    @pytest.mark.parametrize("ignored", [-1, 0, 255])
    def test_ignored_label_may_be_any(self, ignored: int) -> None:
        options = f"loss_param {{ ignore_label: {ignored} }}"
        total = loss(f'type: "SoftmaxWithLoss" {options}', self.X, [1, ignored, ignored, 2])
        assert total == pytest.approx(loss('type: "SoftmaxWithLoss"', self.X[[0, 3]], [1, 2]))

    def test_another_label_than_the_ignored_is_wrong(self) -> None:
        x, y = np.zeros((2, 3, 1, 2)), np.array([[[255, 0]], [[1, 254]]])
        with pytest.raises(LayerError, match=r"label 254 at \(1, 0, 1\)") as error:
            loss('type: "SoftmaxWithLoss" loss_param { ignore_label: 255 }', x, y)
        assert "ignore_label 255" in str(error.value)

    def test_fraction_is_truncated(self) -> None:
        whole, fraction = (loss('type: "SoftmaxWithLoss"', self.X, y) for y in ([0, 1, 2, 0], [0.9, 1.5, 2.1, -0.9]))
        assert whole == fraction

    @pytest.mark.parametrize(
        ("type_name", "message"),
        [
            ("SoftmaxWithLoss", "SoftmaxWithLoss Layer cannot backpropagate to label inputs."),
            ("HingeLoss", "HingeLoss Layer cannot backpropagate to label inputs."),
            ("MultinomialLogisticLoss", "MultinomialLogisticLoss Layer cannot backpropagate to label inputs."),
        ],
    )
    def test_have_no_gradient(self, type_name: str, message: str, device: str) -> None:
        run = run_layer(f'type: "{type_name}"', [self.X, np.zeros(4)], device=device)
        run.forward()
        assert run.propagate_down == [True, False]
        with pytest.raises(LayerError, match=message):
            run.backward([True, True])

    @pytest.mark.parametrize("type_name", ["HingeLoss", "MultinomialLogisticLoss"])
    def test_one_per_image(self, type_name: str) -> None:
        with pytest.raises(ShapeError, match=r"\(4, 2\)"):
            loss(f'type: "{type_name}"', self.X, np.zeros((4, 2)))

    @pytest.mark.parametrize("type_name", ["SoftmaxWithLoss", "Accuracy"])
    def test_number_must_match(self, type_name: str) -> None:
        with pytest.raises(ShapeError, match="Number of labels must match number of predictions: 4 against 8"):
            loss(f'type: "{type_name}"', np.zeros((4, 3, 2)), np.zeros(4))

    def test_batch_must_match(self) -> None:
        with pytest.raises(ShapeError, match="The data and label should have the same first dimension"):
            loss('type: "SoftmaxWithLoss"', self.X, np.zeros((1, 4)))

    @pytest.mark.parametrize("type_name", ["EuclideanLoss", "SigmoidCrossEntropyLoss", "ContrastiveLoss"])
    def test_a_scalar_has_no_batch(self, type_name: str) -> None:
        with pytest.raises(ShapeError, match=r"A scalar, of shape \(\), has no batch"):
            run_layer(f'type: "{type_name}"', [np.zeros(())] * (3 if type_name == "ContrastiveLoss" else 2))

    @pytest.mark.parametrize("type_name", ["SoftmaxWithLoss", "HingeLoss", "Accuracy"])
    def test_the_top_is_not_the_bottom(self, type_name: str) -> None:
        with pytest.raises(LayerError, match=f"{type_name} Layer does not allow in-place computation"):
            run_layer(f'type: "{type_name}"', [self.X, np.zeros(4)], in_place=True)


class TestSoftmaxWithLoss:
    def test_loss_of_a_label_without_probability(self) -> None:
        assert loss('type: "SoftmaxWithLoss"', [[0, 1000]], [0]) == pytest.approx(87.3365, rel=1e-5)

    def test_nan_is_a_nan_loss(self, device: str) -> None:
        assert np.isnan(loss('type: "SoftmaxWithLoss"', [[0, np.nan], [0, 0]], [0, 0], device=device))

    def test_nan_of_an_ignored_label_has_no_gradient(self, device: str) -> None:
        run = run_layer(
            'type: "SoftmaxWithLoss" loss_param { ignore_label: 1 }',
            [np.array([[0, np.nan], [1, 0]]), np.array([1, 0])],
            device=device,
        )
        assert np.isfinite(run.forward())
        run.backward()
        assert run.bottom[0].diff[0].tolist() == [0, 0]
        assert np.isfinite(run.bottom[0].diff).all()

    @pytest.mark.parametrize(
        ("options", "divisor"),
        [
            ("", 5),
            ("normalize: true", 5),
            ("normalize: false", 2),
            ("normalize: true normalization: NONE", 1),
            ("normalization: FULL", 6),
            ("normalization: VALID", 5),
            ("normalization: BATCH_SIZE", 2),
            ("normalization: NONE", 1),
        ],
    )
    def test_normalization(self, options: str, divisor: int) -> None:
        labels = [[0, 3, 1], [2, 7, 0]]
        value = loss(f'type: "SoftmaxWithLoss" loss_param {{ ignore_label: 7 {options} }}', np.zeros((2, 4, 3)), labels)
        assert value == pytest.approx(5 * np.log(4) / divisor)

    def test_nothing_but_ignored_labels(self, device: str) -> None:
        run = run_layer(
            'type: "SoftmaxWithLoss" loss_param { ignore_label: 0 }', [np.ones((3, 2)), np.zeros(3)], device=device
        )
        assert run.forward() == 0
        run.backward()
        assert (run.bottom[0].diff == 0).all()

    def test_second_top_is_the_softmax(self, device: str) -> None:
        x = RANDOM.normal(size=(3, 4, 2))
        run = run_layer('type: "SoftmaxWithLoss" top: "loss" top: "p"', [x, np.zeros((3, 2))], device=device)
        softmax = run_layer('type: "Softmax"', [x], device=device)
        run.forward()
        softmax.forward()
        np.testing.assert_array_equal(run.top[1].data, softmax.top[0].data)

    def test_too_many_tops(self, device: str) -> None:
        with pytest.raises(BlobCountError, match="at most 3 top"):
            run_layer('type: "SoftmaxWithLoss"', [np.ones((3, 2)), np.zeros(3)], tops=4, device=device)

    def test_loss_weight_scales_the_gradient(self, device: str) -> None:
        x, y = RANDOM.normal(size=(3, 4)), np.array([0, 3, 1])
        runs = [
            run_layer(f'type: "SoftmaxWithLoss" loss_weight: {weight}', [x, y], device=device) for weight in (1, -2)
        ]
        for run in runs:
            run.forward()
            run.backward()
        np.testing.assert_allclose(runs[1].bottom[0].diff, -2 * runs[0].bottom[0].diff, rtol=1e-6)


@pytest.mark.parametrize(
    ("definition", "shapes"),
    [
        ('type: "SoftmaxWithLoss"', [(3,), ()]),
        ('type: "SoftmaxWithLoss"', [(3, 2), (2,)]),
        ('type: "EuclideanLoss"', [(3, 2), (3, 2)]),
        ('type: "HingeLoss"', [(3,), ()]),
        ('type: "SigmoidCrossEntropyLoss"', [(3, 2), (3, 2)]),
        ('type: "MultinomialLogisticLoss"', [(3,), ()]),
        ('type: "ContrastiveLoss"', [(3,), (3,), ()]),
        ('type: "Accuracy"', [(3,), ()]),
    ],
)
def test_batch_of_none_then_of_one(definition: str, shapes: list[tuple[int, ...]], device: str) -> None:
    run = run_layer(definition, [np.ones((0, *shape)) for shape in shapes], device=device)
    for number in (0, 1, 4, 0):
        for blob, shape in zip(run.bottom, shapes, strict=True):
            blob.reshape(number, *shape)
        run.forward()
        assert run.top[0].shape == ()
        assert np.isfinite(run.top[0].data)
        if "Accuracy" not in definition:
            run.backward()
            assert np.isfinite(run.bottom[0].diff).all()


class TestAccuracy:
    def accuracy(self, scores: object, labels: object, options: str = "", tops: int = 1) -> list[np.ndarray]:
        run = run_layer(f'type: "Accuracy" accuracy_param {{ {options} }}', map(np.array, (scores, labels)), tops=tops)
        run.forward()
        return [blob.data for blob in run.top]

    def test_a_tie_counts_against_the_label(self) -> None:
        assert self.accuracy([[1, 1, 0], [0, 2, 1]], [0, 1])[0] == 0.5
        assert self.accuracy([[1, 1, 0], [1, 1, 1]], [0, 1], "top_k: 2")[0] == 0.5

    def test_nan_is_never_right(self) -> None:
        assert self.accuracy([[np.nan, 0], [np.nan, 0]], [0, 1])[0] == 0.5

    def test_each_class(self) -> None:
        total, classes = self.accuracy([[1, 0, 0], [1, 0, 0], [0, 1, 0]], [0, 1, 1], tops=2)
        assert total == pytest.approx(2 / 3)
        assert classes.tolist() == [1, 0.5, 0]

    def test_ignored_labels(self) -> None:
        total, classes = self.accuracy([[1, 0], [1, 0], [0, 1]], [0, 9, 0], "ignore_label: 9", tops=2)
        assert total == 0.5
        assert classes.tolist() == [0.5, 0]
        assert self.accuracy([[1, 0]], [9], "ignore_label: 9")[0] == 0

    def test_axis(self) -> None:
        scores = np.moveaxis(np.eye(4)[[[0, 1, 2], [3, 3, 3]]], 2, 1)
        assert self.accuracy(scores, [[0, 1, 2], [3, 3, 0]])[0] == pytest.approx(5 / 6)
        assert self.accuracy(np.moveaxis(scores, 1, 2), [[0, 1, 2], [3, 3, 0]], "axis: -1")[0] == pytest.approx(5 / 6)

    def test_top_k_is_at_most_the_number_of_classes(self) -> None:
        with pytest.raises(ShapeError, match="top_k must be less than or equal to the number of classes: 4 against 3"):
            self.accuracy([[1, 0, 0]], [0], "top_k: 4")
        assert self.accuracy([[0, 0, 0]], [0], "top_k: 3")[0] == 1

    def test_has_no_gradient(self, device: str) -> None:
        run = run_layer('type: "Accuracy"', [np.ones((2, 2)), np.zeros(2)], device=device)
        run.forward()
        with pytest.raises(LayerError, match="no gradient"):
            run.backward([True, False])


class TestInfogainLoss:
    X, Y = RANDOM.normal(size=(4, 3)), [0, 1, 2, 1]

    def write(self, folder: Path, matrix: np.ndarray) -> Path:
        path = folder / "H.binaryproto"
        path.write_bytes(bicerin_proto.array_blob(matrix).SerializeToString())
        return path

    def test_identity_is_softmax_with_loss(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, np.eye(3, dtype=np.float32))
        value = loss(f'type: "InfogainLoss" infogain_loss_param {{ source: "{path}" }}', self.X, self.Y)
        assert value == pytest.approx(loss('type: "SoftmaxWithLoss"', self.X, self.Y))

    def test_source_equals_third_bottom(self, tmp_path: Path) -> None:
        matrix = RANDOM.uniform(size=(1, 1, 3, 3)).astype(np.float32)
        path = self.write(tmp_path, matrix)
        value = loss(f'type: "InfogainLoss" infogain_loss_param {{ source: "{path}" }}', self.X, self.Y)
        assert value == pytest.approx(loss('type: "InfogainLoss"', self.X, self.Y, matrix))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("", "Infogain matrix source must be specified."),
            ('infogain_loss_param { source: "nowhere" }', "nowhere: no such file"),
            ('infogain_loss_param { source: "nowhere" } loss_param { normalize: true }', "normalize is deprecated"),
        ],
    )
    def test_bad_parameters(self, options: str, message: str) -> None:
        with pytest.raises(LayerError, match=message):
            loss(f'type: "InfogainLoss" {options}', self.X, self.Y)

    def test_garbage_file(self, tmp_path: Path) -> None:
        path = tmp_path / "garbage"
        path.write_bytes(b"\xff" * 7)
        with pytest.raises(LayerError, match=r"the infogain matrix .*garbage: not a binary BlobProto"):
            loss(f'type: "InfogainLoss" infogain_loss_param {{ source: "{path}" }}', self.X, self.Y)

    def test_matrix_of_another_size(self) -> None:
        with pytest.raises(ShapeError, match="H must be 3x3"):
            loss('type: "InfogainLoss"', self.X, self.Y, np.ones((2, 2)))

    @pytest.mark.parametrize(("flags", "kind"), [((0, 1, 0), "label"), ((0, 0, 1), "infogain")])
    def test_no_gradient_of_labels_and_matrix(self, flags: tuple, kind: str, device: str) -> None:
        run = run_layer('type: "InfogainLoss"', [self.X, np.array(self.Y), np.ones((3, 3))], device=device)
        run.forward()
        assert run.propagate_down == [True, False, False]
        with pytest.raises(LayerError, match=f"cannot backpropagate to {kind} inputs"):
            run.backward(flags)


class TestOtherLosses:
    def test_euclidean_needs_equal_sizes(self) -> None:
        with pytest.raises(ShapeError, match="Inputs must have the same dimension: 3 against 4"):
            loss('type: "EuclideanLoss"', np.ones((2, 3)), np.ones((2, 4)))

    def test_euclidean(self) -> None:
        assert loss('type: "EuclideanLoss"', [[1, 2], [3, 4.0]], [[1, 0], [0, 4.0]]) == (4 + 9) / 4

    def test_sigmoid_cross_entropy_needs_equal_counts(self) -> None:
        with pytest.raises(ShapeError, match="must have the same count: 6 against 8"):
            loss('type: "SigmoidCrossEntropyLoss"', np.ones((2, 3)), np.ones((2, 4)))

    def test_sigmoid_cross_entropy_of_large_scores(self) -> None:
        value = loss('type: "SigmoidCrossEntropyLoss"', [[1000, -1000, 1000.0]], [[1, 0, 0.5]])
        assert value == pytest.approx(500)

    def test_sigmoid_cross_entropy_refuses_label_gradient(self, device: str) -> None:
        run = run_layer('type: "SigmoidCrossEntropyLoss"', [np.ones((2, 3)), np.ones((2, 3))], device=device)
        run.forward()
        with pytest.raises(LayerError, match="Layer cannot backpropagate to label inputs"):
            run.backward([False, True])

    def test_multinomial_logistic_of_no_probability(self) -> None:
        assert loss('type: "MultinomialLogisticLoss"', [[1.0, 0]], [1]) == pytest.approx(-np.log(1e-20))

    def test_contrastive(self) -> None:
        a, b = [[0, 0], [0, 0], [0, 0.0]], [[3, 4], [3, 4], [0.3, 0.4]]
        assert loss('type: "ContrastiveLoss"', a, b, [1, 0, 0]) == pytest.approx((25 + 0 + 0.25) / 6)
        legacy = 'type: "ContrastiveLoss" contrastive_loss_param { legacy_version: true }'
        assert loss(legacy, a, b, [1, 0, 0]) == pytest.approx((25 + 0 + 0.75) / 6)

    @pytest.mark.parametrize("shapes", [[(2, 3), (2, 4), (2,)], [(2, 3, 2), (2, 3, 2), (2,)], [(2, 3), (2, 3), (3,)]])
    def test_contrastive_needs_pairs_of_vectors(self, shapes: list[tuple[int, ...]]) -> None:
        with pytest.raises(ShapeError):
            loss('type: "ContrastiveLoss"', *[np.ones(shape) for shape in shapes])

    def test_contrastive_refuses_label_gradient(self, device: str) -> None:
        run = run_layer('type: "ContrastiveLoss"', [np.ones((2, 3)), np.ones((2, 3)), np.ones(2)], device=device)
        run.forward()
        assert run.propagate_down == [True, True, False]
        with pytest.raises(LayerError, match="cannot backpropagate to label inputs"):
            run.backward([True, True, True])


@pytest.mark.parametrize("shape", [(5, 40, 1), (2, 3, 700), (1, 17, 1), (3, 1, 5)])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 2e-6), (np.float64, 1e-12)])
class TestKernels:
    """Each kernel against its formula."""

    def arrays(self, shape: tuple[int, int, int], dtype: type) -> tuple[np.ndarray, ...]:
        outer, classes, inner = shape
        x = RANDOM.normal(scale=3, size=shape).astype(dtype)
        labels = RANDOM.integers(-1, classes, (outer, inner)).astype(np.int32)
        return x, labels, np.empty_like(x), np.empty_like(x)

    def test_softmax(self, shape: tuple[int, int, int], dtype: type, rtol: float) -> None:
        x, _, ours, theirs = self.arrays(shape, dtype)
        softmax_kernels.softmax(x, ours)
        softmax_kernels.softmax_array(np, x, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol)
        y, y_diff = theirs.copy(), x
        softmax_kernels.softmax_backward(y, y_diff, ours)
        softmax_kernels.softmax_backward_array(np, y, y_diff, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)

    def test_loss(self, shape: tuple[int, int, int], dtype: type, rtol: float) -> None:
        x, labels, ours, theirs = self.arrays(shape, dtype)
        softmax_kernels.softmax_array(np, x, x)
        totals = [
            softmax_kernels.logarithm_loss(x, labels, 1e-30),
            softmax_kernels.logarithm_loss_array(np, x, labels, 1e-30),
        ]
        assert totals[0] == pytest.approx(totals[1], rel=rtol)
        softmax_kernels.logarithm_loss_backward(x, labels, 0.3, ours)
        softmax_kernels.logarithm_loss_backward_array(np, x, labels, 0.3, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)

    def test_labels(self, shape: tuple[int, int, int], dtype: type, rtol: float) -> None:
        x, labels, _, _ = self.arrays(shape, dtype)
        right = np.empty((2, *labels.shape), bool)
        label_kernels.right_labels(x, labels, 2, right[0])
        label_kernels.right_labels_array(np, x, labels, 2, right[1])
        assert np.array_equal(*right)
        values = np.append(labels.reshape(-1), [0.5, -0.5, 1e9, -1e30, np.nan, np.inf]).astype(dtype)
        read = np.empty((2, values.size), np.int32)
        for ignores, ignored in ((False, 0), (True, -1), (True, 0)):
            ours = label_kernels.read_labels(values, shape[1], ignores, ignored, read[0])
            theirs = label_kernels.read_labels_array(np, values, shape[1], ignores, ignored, read[1])
            assert tuple(map(int, ours)) == tuple(map(int, theirs))
            assert np.array_equal(*read)


@pytest.mark.parametrize("weights", ["", "class_weighting: 1", "class_weighting: [1, 2, 3, 4]"])
def test_a_class_weight_is_needed_for_each_class(weights: str) -> None:
    with pytest.raises(ShapeError, match=r"a class_weighting for each of the 3 classes; there are [014]"):
        loss(f'type: "SoftmaxWithLoss" loss_param {{ weight_by_label_freqs: true {weights} }}', np.ones((2, 3)), [0, 1])


def test_class_weights_multiply_the_terms_and_not_their_number(device: str) -> None:
    scores, label = np.array([[1.0, 2, 0.5], [0, 1, 3]]), [2, 1]
    terms = np.log(np.exp(scores).sum(axis=1)) - scores[[0, 1], label]
    weighted = 'type: "SoftmaxWithLoss" loss_param { weight_by_label_freqs: true class_weighting: [9, 0.25, 4] }'
    assert loss(weighted, scores, label, device=device) == pytest.approx((4 * terms[0] + 0.25 * terms[1]) / 2)
    # SegNet's fork reads them only where weight_by_label_freqs says so.
    unweighted = weighted.replace("true", "false")
    assert loss(unweighted, scores, label, device=device) == pytest.approx(terms.mean())


def test_label_smoothing_is_in_the_gradient_alone(device: str) -> None:
    """With ε = 0.2 and 4 classes the targets are 0.8 and 0.05; the loss is that of SoftmaxWithLoss, as in Intel's."""
    scores = np.random.default_rng(3).normal(size=(3, 4)).astype(np.float32)
    labels = np.array([1, 3, 2])
    smooth = run_layer(
        'type: "SoftmaxWithLoss" loss_param { label_smoothing: 0.2 ignore_label: 3 }', [scores, labels], device=device
    )
    plain = run_layer('type: "SoftmaxWithLoss" loss_param { ignore_label: 3 }', [scores, labels], device=device)
    assert smooth.forward() == pytest.approx(plain.forward())
    smooth.backward([True, False])
    probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = np.full((3, 4), 0.05)
    targets[[0, 1, 2], labels] = 0.8
    expected = (probability * targets.sum(axis=1, keepdims=True) - targets) / 2
    expected[1] = 0
    np.testing.assert_allclose(smooth.bottom[0].diff, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("definition", "bottoms", "words"),
    [
        ("loss_param { label_smoothing: 1 }", 2, "at least 0 and less than 1"),
        ("softmax_param { class_weight: [1, 2, 3] }", 2, "class_weight needs a third bottom"),
        ("softmax_param { class_weight: [1, 2] }", 3, "for each of the 3 classes; there are 2"),
        ('softmax_param { normalize_type: "L2" }', 2, 'normalize_type: "L2" is not known to this layer, "Softmax" is'),
        ("softmax_param { scaling_temperature: 2 }", 2, "known to Softmax, not to this loss"),
    ],
)
def test_options_of_forks_that_cannot_be(definition: str, bottoms: int, words: str) -> None:
    arrays = [np.zeros((2, 3)), np.zeros(2), np.ones(2)][:bottoms]
    with pytest.raises(BicerinError, match=words):
        run_layer(f'type: "SoftmaxWithLoss" {definition}', arrays)


def test_three_tops_as_in_r_fcn(device: str) -> None:
    """The last is each label's loss; without loss weight and gradient."""
    scores = np.random.default_rng(4).normal(size=(4, 3)).astype(np.float32)
    run = run_layer(
        'type: "SoftmaxWithLoss" top: "loss" top: "probability" top: "each" loss_weight: [0, 0, 0] '
        "propagate_down: [false, false] loss_param { ignore_label: 2 }",
        [scores, np.array([0, 1, 2, 0])],
        device=device,
    )
    run.forward()
    losses = -np.log(np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True))[range(4), [0, 1, 2, 0]]
    losses[2] = 0
    np.testing.assert_allclose(run.top[2].data, losses, rtol=1e-5)
    assert float(run.top[0].data) == pytest.approx(losses.sum() / 3, rel=1e-5)


def test_weighted_softmax_with_loss_divides_by_the_number_of_weighted_labels(device: str) -> None:
    x = np.array([[1.0, 2.0, 0.0], [0.5, 0.0, 1.0], [3.0, 1.0, 1.0]])
    label, weight = np.array([1, 2, 0]), np.array([0.5, 0.0, 2.0])
    run = run_layer('type: "WeightedSoftmaxWithLoss"', [x, label, weight], dtype=np.float64, device=device)
    run.forward()
    p = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
    own = p[np.arange(3), label]
    assert np.isclose(float(run.top[0].data), -(weight * np.log(own)).sum() / 2)
    run.backward([True, False, False])
    assert np.allclose(run.bottom[0].diff, (p - np.eye(3)[label]) * weight[:, None] / 2)


def test_multiclass_cross_entropy_loss(device: str) -> None:
    p, target = np.array([[0.25, 0.9], [0.5, 0.0]]), np.array([[1.0, 0.0], [0.0, 1.0]])
    run = run_layer('type: "MulticlassCrossEntropyLoss"', [p, target], dtype=np.float64, device=device)
    run.forward()
    loss = -np.log([0.25, 0.1, 0.5, 1e-7]).sum() / 2
    assert np.isclose(float(run.top[0].data), loss)
    run.backward([True, False])
    expected = np.array([[-1 / 0.25, 1 / 0.1], [1 / 0.5, (1e-7 - 1) / 1e-7]]) / (2 * 2)
    assert np.allclose(run.bottom[0].diff, expected, rtol=1e-6)
