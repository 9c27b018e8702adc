"""Parameter: the top is the blob, and gradients of several passes add up."""

import numpy as np
import pytest

from bicerin.errors import ShapeError
from bicerin.testing import run_layer

DEFINITION = 'name: "p" type: "Parameter" parameter_param { shape { dim: 2 dim: 3 } }'


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_is_the_parameter(dtype, device):
    run = run_layer(DEFINITION, dtype=dtype, parameters=[np.arange(6).reshape(2, 3)], device=device)
    run.forward()
    np.testing.assert_array_equal(run.top[0].data, np.arange(6).reshape(2, 3))
    run.blobs[0].data[...] = 7  # as a solver does
    assert (run.top[0].data == 7).all()


def test_starts_as_zeros_whatever_the_top_held(device):
    run = run_layer(DEFINITION, device=device)
    run.top[0].data[...] = 5
    run.forward()
    assert (run.top[0].data == 0).all()


def test_gradients_of_several_passes_add_up(device):
    run = run_layer(DEFINITION, device=device)
    for gradient in (1, 2, 3):
        run.forward()
        run.top[0].diff[...] = gradient
        run.add_backward([])
    assert (run.blobs[0].diff == 6).all()
    assert (run.top[0].diff == 3).all()


def test_frozen(device):
    run = run_layer(DEFINITION, device=device)
    run.layer.set_param_propagate_down(0, False)
    run.forward()
    run.top[0].diff[...] = 1
    run.add_backward([])
    assert (run.blobs[0].diff == 0).all()


def test_saved_and_loaded(device):
    message = run_layer(DEFINITION, parameters=[np.ones((2, 3))], device=device).node.to_proto()
    run = run_layer(message, device=device)
    run.forward()
    assert (run.top[0].data == 1).all()
    message.parameter_param.shape.dim[1] = 4
    with pytest.raises(ShapeError, match=r"parameter blob 0 must have the shape \(2, 4\), not \(2, 3\)"):
        run_layer(message, device=device)
