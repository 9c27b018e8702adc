"""A layer's test cases: what it is given, and what a check may expect of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bicerin.testing.run import LayerRun, run_layer

#: A bottom: an array, a shape to fill with standard normal values, or a function of a generator that makes an array.
Input = Any


@dataclass(frozen=True)
class LayerCase:
    """One configuration of a layer with its inputs; made by `layer_case`."""

    name: str
    definition: str
    inputs: tuple[Input, ...]
    expected: tuple[Any, ...] | None = None
    tops: int | None = None
    phase: str = "TRAIN"
    parameters: tuple[np.ndarray, ...] = ()
    gradient: bool = True
    check_bottom: tuple[int, ...] | None = None
    kink: Callable[[np.ndarray], np.ndarray] | None = None
    batched: tuple[int, ...] | None = None
    random: bool = False
    tolerance: float = 1e-4
    without: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name

    def arrays(self) -> list[np.ndarray]:
        """The inputs as float64 arrays, the same at every call."""
        generator = np.random.default_rng(1701)
        made = []
        for given in self.inputs:
            if callable(given):
                given = given(generator)
            elif isinstance(given, tuple) and all(isinstance(axis, int) for axis in given):
                given = generator.normal(size=given)
            made.append(np.array(given, np.float64))
        return made

    def run(self, arrays: Sequence[np.ndarray] | None = None, definition: Any = None, **options: Any) -> LayerRun:
        """The layer set up on the case's inputs; `options` go to `run_layer`."""
        return run_layer(
            self.definition if definition is None else definition,
            self.arrays() if arrays is None else arrays,
            tops=self.tops,
            parameters=self.parameters if definition is None else (),
            phase=self.phase,
            **options,
        )


def layer_case(
    name: str,
    definition: str,
    inputs: Sequence[Input],
    *,
    expected: Sequence[Any] | None = None,
    tops: int | None = None,
    phase: str = "TRAIN",
    parameters: Sequence[np.ndarray] = (),
    gradient: bool = True,
    check_bottom: Sequence[int] | None = None,
    kink: Callable[[np.ndarray], np.ndarray] | None = None,
    batched: Sequence[int] | None = None,
    random: bool = False,
    tolerance: float = 1e-4,
    without: dict[str, str] | None = None,
) -> LayerCase:
    """A row of a layer's table of cases.

    Args:
        name: what the test is called.
        definition: the text of the layer: `type: "ReLU" relu_param { negative_slope: 0.1 }`.
        inputs: one per bottom: an array, a shape, or a function of a NumPy `Generator` that makes an array.
        expected: the tops' values, where they are known.
        tops: how many tops; by default as many as the definition names, else one or the least that is declared.
        parameters: values of the learnable blobs; by default what the fillers give.
        gradient: whether the layer has a gradient.
        check_bottom: the bottoms that have one; by default those whose gradient may be forced.
        kink: see `check_gradient`.
        batched: the bottoms whose first axis is the batch; by default those with the first bottom's first axis.
        random: whether the layer draws random numbers in forward.
        tolerance: relative, of float32 against float64 and of a device against the CPU.
        without: checks that do not apply to this case, each with the reason: {"batch_sizes": "..."}.
    """
    return LayerCase(
        name,
        definition,
        tuple(inputs),
        None if expected is None else tuple(expected),
        tops,
        phase,
        tuple(parameters),
        gradient,
        None if check_bottom is None else tuple(check_bottom),
        kink,
        None if batched is None else tuple(batched),
        random,
        tolerance,
        dict(without or {}),
    )
