"""Softmax's kernels, apart from the layers."""

from __future__ import annotations

import numpy as np
import pytest

from bicerin_loss import softmax_kernels


@pytest.mark.parametrize("shape", [(6, 4, 1), (3, 19, 1), (2, 5, 7)])
def test_results_do_not_depend_on_where_the_arrays_lie(shape: tuple[int, ...]) -> None:
    """To the bit: compiled loops have several forms, of which one is chosen by the distance of the arrays."""
    count = int(np.prod(shape))
    memory = np.zeros(8 * count, np.float32)
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x = memory[3 * count : 4 * count].reshape(shape)
    expected = None
    for start in (*range(2 * count + 1), *range(4 * count, 7 * count)):
        x[...] = values
        y = memory[start : start + count].reshape(shape)
        softmax_kernels.softmax(x, y)
        expected = y.copy() if expected is None else expected
        assert np.array_equal(y, expected), start - 3 * count
