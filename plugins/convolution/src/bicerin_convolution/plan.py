"""Plan: the three products of a convolution at given shapes, each with the algorithm that it runs with.

`BICERIN_CONVOLUTION=gemm` (or `winograd`, `direct`, `reference`) names an algorithm to use wherever it can do the work;
by default each product takes the one that measurements favour, Winograd's not among them where `rounds_least`.
"""

from __future__ import annotations

import os
from functools import cached_property
from math import prod
from typing import Any

from bicerin.errors import BicerinError
from bicerin.kernels import WITH_PANELS, host_operation, rounds_least
from bicerin_convolution import reference
from bicerin_convolution.device_plan import DevicePlan
from bicerin_convolution.problem import Problem
from bicerin_convolution.reference import DataGradient, Forward, WeightGradient

if WITH_PANELS:
    from bicerin_convolution import direct, gemm, winograd

ALGORITHMS = ("gemm", "winograd", "direct", "reference")
PRODUCTS = ("forward", "weight_gradient", "data_gradient")


class Plan:
    """The products of one `Problem`, each prepared when it is first used. `str(plan)` names the algorithms.

    Raises:
        BicerinError: `BICERIN_CONVOLUTION` does not name an algorithm.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self._algorithms = {name: _choose(name, problem) for name in PRODUCTS}

    def __str__(self) -> str:
        names = {name: algorithm.__name__.rpartition(".")[2] for name, algorithm in self._algorithms.items()}
        if len(set(names.values())) == 1:
            return names["forward"]
        return ", ".join(f"{product.replace('_', ' ')} {name}" for product, name in names.items())

    @cached_property
    def forward(self) -> Forward:
        """Writes y = w * x, finished: `(x, w, finish, y, version)`; see `PreparedWeights.of` for the version."""
        return self._algorithms["forward"].forward(self.problem)

    @cached_property
    def weight_gradient(self) -> WeightGradient:
        """Adds to dw: `(x, dy, dw)`."""
        return self._algorithms["weight_gradient"].weight_gradient(self.problem)

    @cached_property
    def data_gradient(self) -> DataGradient:
        """Writes dx, finished as a deconvolution's top is: `(dy, w, finish, dx, version)`."""
        return self._algorithms["data_gradient"].data_gradient(self.problem)


@host_operation(compiled=True)
def prepare(problem: Problem, xp: Any) -> Plan:
    """The three products of a convolution, prepared for its shapes; `xp` is the array module."""
    return Plan(problem)


@prepare.cuda
def prepare_cuda(kernels: Any, problem: Problem, xp: Any) -> DevicePlan:
    return DevicePlan(kernels, problem, xp)


def may_transform() -> bool:
    """Whether Winograd's algorithm may be used where it is the fastest."""
    asked = _asked()
    return asked == "winograd" or (not asked and not rounds_least())


def _asked() -> str:
    """The algorithm that the user names, or nothing."""
    asked = os.environ.get("BICERIN_CONVOLUTION", "")
    if asked not in ("", *ALGORITHMS):
        raise BicerinError(f'BICERIN_CONVOLUTION is "{asked}"; it may be {", ".join(ALGORITHMS)}.')
    return asked


def _choose(product: str, problem: Problem) -> Any:
    """The module whose function of the product's name is to be used."""
    asked = _asked()
    if not WITH_PANELS or asked == "reference":
        return reference
    possible = hasattr(winograd, product) and winograd.applies(problem.geometry)
    if asked == "direct" or (not asked and _is_narrow(product, problem)):
        return direct
    if possible and may_transform() and (asked or _winograd_wins(product, problem)):
        return winograd
    return gemm


def _is_narrow(product: str, problem: Problem) -> bool:
    """Whether the groups have so few channels that a tile of registers would be mostly empty."""
    channels, outputs = problem.x_shape[1] // problem.group, problem.y_shape[1] // problem.group
    most = 4 if product == "weight_gradient" or problem.geometry.size < 9 else 16
    return problem.group > 1 and channels * outputs <= most


def _winograd_wins(product: str, problem: Problem) -> bool:
    """Whether the estimated cycles of Winograd are fewer than those of the plain product.

    The factors were measured: cycles for a multiply-add of a vector of 16, for the way of a kernel, and for that of a
    tile of one channel, through the transforms and the memory.
    """
    images, channels, *inside = problem.x_shape
    outputs, *outside = problem.y_shape[1:]
    if product == "data_gradient":
        channels, outputs, outside = outputs, channels, inside
    kernels = channels * outputs // problem.group
    size = prod(problem.geometry.kernel)
    side = 7 - problem.geometry.kernel[0]
    tiles = images * prod(-(-length // side) for length in outside)
    # The data gradient's plain product is over the fewer positions: see `gemm`.
    positions = images * min(prod(inside), prod(problem.y_shape[2:]))
    plain = kernels * (size * positions / 16 * 0.75 + 25)
    if product == "weight_gradient":
        # Its vectors hold channels, a full one even for a few.
        full = problem.group * (_vectors(channels // problem.group) + _vectors(outputs // problem.group)) * 16
        return kernels * (36 * tiles / 16 * 0.6 + 25) + full * tiles * 35 < plain
    return kernels * (36 * tiles / 16 * 0.55 + 80) + channels * tiles * 60 + outputs * tiles * 10 * side < plain


def _vectors(number: int) -> int:
    return -(-number // 16)
