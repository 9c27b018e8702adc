"""Bicerin runs, trains and saves Caffe networks whose layers are installed as plugins.

    import bicerin

    net = bicerin.Net("deploy.prototxt", weights="net.caffemodel", phase="TEST")
    outputs = net.forward(data=images)

Everything here is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# NumPy's BLAS reads its number of threads when NumPy is first imported, which is after this in most programs.
if os.environ.get("BICERIN_NUM_THREADS", "").isdecimal():
    for _setting in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(_setting, os.environ["BICERIN_NUM_THREADS"])

_HOME = {
    "BicerinError": "errors",
    "Blob": "layer",
    "BlobCounts": "layer",
    "Context": "layer",
    "DataError": "errors",
    "Device": "device",
    "Layer": "layer",
    "LayerError": "errors",
    "LossLayer": "layer",
    "Net": "net",
    "NeuronLayer": "layer",
    "Operations": "layer",
    "Phase": "layer",
    "ShapeError": "errors",
    "Solver": "solver",
    "TEST": "layer",
    "TRAIN": "layer",
    "any_number": "layer",
    "at_least": "layer",
    "at_most": "layer",
    "between": "layer",
    "create_layer": "schema",
    "fill": "layer",
    "get_device": "device",
    "hookimpl": "net.hooks",
    "kernel": "kernels",
    "normalization_mode": "layer",
    "normalizer": "layer",
    "prange": "kernels",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'bicerin' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bicerin.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
