"""Permute: every order of the axes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bicerin.errors import LayerError, ShapeError
from bicerin_ssd.cases import permute


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_order(run_layer, order):
    data = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    run = run_layer(permute(*order), [data])
    run.forward()
    assert np.array_equal(run.top[0].data, np.transpose(data, order))
    run.top[0].diff[...] = run.top[0].data
    run.backward()
    assert np.array_equal(run.bottom[0].diff, data)


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ((0, 2, 2), LayerError, "there are duplicate orders"),
        ((0, 4), ShapeError, "order should be less than the input dimension"),
    ],
)
def test_wrong_orders(run_layer, order, error, message):
    with pytest.raises(error, match=message):
        run_layer(permute(*order), [np.zeros((2, 3, 4, 5))])


def test_a_bottom_with_other_axes(run_layer):
    run = run_layer(permute(2), [np.zeros((2, 3, 4))])
    run.bottom[0].reshape(2, 3)
    with pytest.raises(ShapeError, match="for 2 axes"):
        run.forward()


def test_not_in_place(run_layer):
    with pytest.raises(LayerError, match="Permute Layer does not allow in-place computation"):
        run_layer(permute(0, 2, 3, 1), [np.zeros((2, 3, 4, 5))], in_place=True)
