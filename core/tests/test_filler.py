"""Fillers against the moments of their distributions."""

import numpy as np
import pytest

import bicerin_proto
from bicerin.errors import BicerinError, ShapeError, UnknownNameError
from bicerin.layer import Blob, fill

SHAPE = (200, 30, 5, 5)


def filled(shape=SHAPE, **param) -> np.ndarray:
    blob = Blob(shape)
    fill(blob, bicerin_proto.FillerParameter(**param), np.random.default_rng(0))
    return blob.data


def test_constant() -> None:
    assert (filled(type="constant", value=0.25) == 0.25).all()


def test_uniform() -> None:
    values = filled(type="uniform", min=-2, max=1)
    assert -2 <= values.min() < -1.9
    assert 0.9 < values.max() <= 1
    assert values.mean() == pytest.approx(-0.5, abs=0.02)


def test_gaussian() -> None:
    values = filled(type="gaussian", mean=1, std=0.5)
    assert values.mean() == pytest.approx(1, abs=0.01)
    assert values.std() == pytest.approx(0.5, rel=0.01)


def test_sparse_gaussian_keeps_that_many_weights_an_input() -> None:
    values = filled(type="gaussian", std=1, sparse=20)
    assert (values != 0).mean() == pytest.approx(20 / 200, rel=0.05)


def test_positive_unitball() -> None:
    values = filled(type="positive_unitball")
    assert (values >= 0).all()
    assert np.allclose(values.reshape(200, -1).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize(("norm", "n"), [(0, 750), (1, 5000), (2, 2875)])
def test_xavier_and_msra(norm: int, n: int) -> None:
    bound = np.sqrt(3 / n)
    values = filled(type="xavier", variance_norm=norm)
    assert abs(values).max() <= bound * 1.0001
    assert values.std() == pytest.approx(np.sqrt(1 / n), rel=0.01)
    assert filled(type="msra", variance_norm=norm).std() == pytest.approx(np.sqrt(2 / n), rel=0.01)


def test_bilinear_interpolates() -> None:
    kernel = filled((2, 1, 4, 4), type="bilinear")[1, 0]
    assert np.allclose(kernel[0], np.array([1, 3, 3, 1]) / 16)
    # With stride 2 every output gets weights that sum to 1.
    assert np.allclose(kernel[::2, ::2].sum() + 0, 1)
    assert np.allclose(filled((1, 1, 3, 3), type="bilinear")[0, 0], np.outer([0.5, 1, 0.5], [0.5, 1, 0.5]))


def test_bilinear_wants_square_kernels() -> None:
    with pytest.raises(ShapeError, match=r"\(C, M, k, k\), not \(2, 1, 4, 3\)"):
        filled((2, 1, 4, 3), type="bilinear")


def test_the_same_seed_gives_the_same_values() -> None:
    assert np.array_equal(filled(type="xavier"), filled(type="xavier"))


def test_only_gaussian_is_sparse() -> None:
    with pytest.raises(BicerinError, match='"uniform" does not support sparse'):
        filled(type="uniform", sparse=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "uniform", "min": 2.0, "max": 1.0}, '"uniform" needs finite min <= max, not 2 and 1'),
        ({"type": "uniform", "max": np.inf}, "not 0 and inf"),
        ({"type": "gaussian", "std": -1.0}, '"gaussian" needs a std of at least 0, not -1'),
        ({"type": "gaussian", "std": np.nan}, "not nan"),
    ],
)
def test_what_no_generator_can_draw(options: dict, message: str) -> None:
    with pytest.raises(BicerinError, match=message):
        filled(**options)


def test_an_unknown_filler() -> None:
    with pytest.raises(UnknownNameError, match=r'unknown filler type "xaver"\. Did you mean "xavier"'):
        filled(type="xaver")


def test_a_filler_that_knows_numpy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of somebody else's gets the generator itself, and its array of any dtype is taken."""

    def ramp(shape, param, random):
        assert isinstance(random, np.random.Generator)
        return np.arange(np.prod(shape)).reshape(shape) + random.random()

    monkeypatch.setattr("bicerin.layer.filler.fillers.load", lambda name: ramp)
    values = filled((2, 3), type="ramp")
    assert values.dtype == np.float32 and np.allclose(np.diff(values.reshape(-1)), 1)


def test_values_that_are_not_drawn_leave_the_generator_alone() -> None:
    random = np.random.default_rng(0)
    before = random.bit_generator.state
    fill(Blob((3,)), bicerin_proto.FillerParameter(type="constant", value=2), random)
    assert random.bit_generator.state == before
