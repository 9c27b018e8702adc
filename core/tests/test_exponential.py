"""exp inside kernels."""

import numpy as np
import pytest

from bicerin.kernels import kernel
from bicerin.kernels.exp import exponential


def reference(x: np.ndarray, y: np.ndarray) -> None:
    np.exp(x, out=y)


@kernel(reference=reference, fastmath={"contract"})
def exponentials(x: np.ndarray, y: np.ndarray) -> None:
    for i in range(x.size):
        y[i] = exponential(x[i])


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 2.4e-7), (np.float64, 1e-15)])
def test_close_to_exp_over_the_whole_range(dtype: type, tolerance: float) -> None:
    x = np.concatenate([np.linspace(-87, 88.7, 100_001), np.linspace(-1, 1, 10_001)]).astype(dtype)
    y = np.empty_like(x)
    exponentials(x, y)
    expected = np.exp(x.astype(np.longdouble))
    assert np.abs(y / expected - 1).max() < tolerance


def test_ends_of_the_range() -> None:
    x = np.array([-np.inf, -200, -104, -95, -0.0, 0, 88.9, 200, np.inf, np.nan], np.float32)
    y = np.empty_like(x)
    exponentials(x, y)
    np.testing.assert_allclose(y, [0, 0, 0, np.exp(-95.0), 1, 1, np.inf, np.inf, np.inf, np.nan], atol=2e-45)
