"""PythonLayer: what a layer that a user writes may define and use, as `caffe.Layer` is in pycaffe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bicerin.layer import Blob, Phase
from bicerin_python.parameter_blobs import ParameterBlobs


class PythonLayer:
    """A layer of the user's. It is made once, set up once, then reshaped before every forward pass.

    Deriving from this class is not needed: any class that has `forward` will do. Only one that does is made with the
    `LayerParameter` as its argument; others are made without arguments.

    Blobs have `data`, `diff`, `shape`, `num`, `channels`, `height`, `width`, `count` and `reshape(*shape)`. Besides
    what is below, a subclass may define `forward_gpu(bottom, top)` and `backward_gpu(top, propagate_down, bottom)`,
    which are called in place of the others on a net that is bound to a device; `data` and `diff` are its arrays there.

    Attributes, which are there from `setup` on:
        param_str (and param_str_, its older name): the text of `python_param { param_str: ... }`, as it stands.
        phase: TRAIN (0) or TEST (1).
        blobs: the learnable blobs; see `ParameterBlobs.add_blob`.
        name: the layer's.
        random: the layer's own generator, seeded by the solver's `random_seed`; a snapshot keeps its state.
        directory: the folder of the prototxt; None for a net from text.
        solver_rank, solver_count: which one of several solvers that train together the layer's net belongs to, from 0,
            and of how many; 0 and 1 for one alone, and in a net that is tested.
    """

    type: ClassVar[str] = "Python"

    param_str: str
    param_str_: str
    phase: Phase
    blobs: ParameterBlobs
    name: str
    random: np.random.Generator
    directory: Path | None
    solver_rank: int
    solver_count: int

    def __init__(self, param: Any) -> None:
        """`param` is the `LayerParameter`."""

    def setup(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read `param_str`, check the bottoms, declare the learnable blobs."""

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give the tops their shapes, unless `setup` did it for good."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write `top[i].data[...]` from `bottom[i].data`."""
        raise NotImplementedError

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Write `bottom[i].diff[...]` where `propagate_down[i]`, and add to the diffs of `blobs`."""
        raise NotImplementedError

    def snapshot_state(self) -> Any:
        """What a snapshot must hold for a run to go on exactly, as JSON values; None for nothing."""
        return None

    def restore_state(self, state: Any) -> None:
        """Go on from what `snapshot_state` returned."""
