"""What is compared with a net: an ONNX model, or a module of PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Any

import numpy as np

from bicerin_onnx.graph import Dim
from bicerin_onnx.preprocessing import KEY
from bicerin_onnx.pytorch.program import Program
from bicerin_onnx.session import session


@dataclass
class Candidate:
    """What is compared with a net.

    Attributes:
        inputs: by the blob that they stand for: the name, the sizes (a text for one that may change), and whether it
            takes raw images.
        blobs: the names of those that it gives.
        run: from inputs by name to blobs by name.
    """

    inputs: dict[str, Input]
    blobs: Collection[str]
    run: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Input:
    """One of its inputs; see `Candidate.inputs`."""

    name: str
    dims: tuple[Dim, ...]
    is_image: bool = False


def model_candidate(model: Any, names: Collection[str]) -> Candidate:
    """An ONNX model, or the file of one, whose blobs are those of these names, run by ONNX Runtime.

    Raises:
        NetError: onnxruntime is not installed, or refuses the model.
    """
    import onnx

    if isinstance(model, (str, PathLike)):
        model = onnx.load(fspath(model))
    images = {one.value: one.key[len(KEY) :] for one in model.metadata_props if one.key.startswith(KEY)}
    inputs = {
        images.get(info.name, info.name): Input(
            info.name,
            tuple(dim.dim_param or dim.dim_value for dim in info.type.tensor_type.shape.dim),
            info.name in images,
        )
        for info in model.graph.input
    }
    blobs = [info.name for info in (*model.graph.value_info, *model.graph.output) if info.name in names]
    return Candidate(inputs, set(blobs), session(model, list(dict.fromkeys(blobs))))


def program_candidate(program: Program) -> Candidate:
    """A module of PyTorch."""
    inputs = {name: Input(name, dims) for name, dims in program.inputs.items()}
    return Candidate(inputs, set(program.blobs), program.run)
