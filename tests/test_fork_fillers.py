"""What forks added to fillers."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 1 dim: 500 } } } '
INNER_PRODUCT = (
    'layer {{ name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
    "inner_product_param {{ num_output: 400 weight_filler {{ {} }} }} }}"
)


@pytest.mark.parametrize("slope", [0, 0.25, 1])
def test_msra_for_leaky_rectifiers(slope: float) -> None:
    """He et al., 2015, equation 15: n (1 + a²) var = 2."""
    net = bicerin.Net(INPUT + INNER_PRODUCT.format(f'type: "msra" alpha: {slope}'), seed=1)
    weights = net.params["ip"][0].data
    assert weights.std() == pytest.approx(np.sqrt(2 / (500 * (1 + slope**2))), rel=0.01)


def test_no_other_filler_has_a_slope() -> None:
    bicerin.Net(INPUT + INNER_PRODUCT.format('type: "xavier" alpha: 0'))
    with pytest.raises(bicerin.BicerinError, match='the filler "xavier" has no alpha; only "msra" does'):
        bicerin.Net(INPUT + INNER_PRODUCT.format('type: "xavier" alpha: 0.1'))
