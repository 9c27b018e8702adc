"""Bicerin runs, trains and saves Caffe networks whose layers are installed as plugins.

    import bicerin

    net = bicerin.Net("deploy.prototxt", weights="net.caffemodel", phase="TEST")
    outputs = net.forward(data=images)

Everything here is imported when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from bicerin import log

__version__ = "0.1.0"

# NumPy's BLAS reads its number of threads when NumPy is first imported, which is after this in most programs.
if os.environ.get("BICERIN_NUM_THREADS", "").isdecimal():
    for _setting in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        os.environ.setdefault(_setting, os.environ["BICERIN_NUM_THREADS"])

log.set_up()

if TYPE_CHECKING:
    from bicerin import (
        errors as errors,
    )
    from bicerin import (
        kernels as kernels,
    )
    from bicerin import (
        layer as layer,
    )
    from bicerin import (
        spec as spec,
    )
    from bicerin import (
        testing as testing,
    )
    from bicerin.device import (
        Device as Device,
    )
    from bicerin.device import (
        get_device as get_device,
    )
    from bicerin.errors import (
        BicerinError as BicerinError,
    )
    from bicerin.errors import (
        BlobCountError as BlobCountError,
    )
    from bicerin.errors import (
        BrokenPluginError as BrokenPluginError,
    )
    from bicerin.errors import (
        ConflictError as ConflictError,
    )
    from bicerin.errors import (
        DataError as DataError,
    )
    from bicerin.errors import (
        DecodeError as DecodeError,
    )
    from bicerin.errors import (
        DeviceError as DeviceError,
    )
    from bicerin.errors import (
        IncompatiblePluginError as IncompatiblePluginError,
    )
    from bicerin.errors import (
        LayerError as LayerError,
    )
    from bicerin.errors import (
        MissingDataError as MissingDataError,
    )
    from bicerin.errors import (
        MissingFileError as MissingFileError,
    )
    from bicerin.errors import (
        NetError as NetError,
    )
    from bicerin.errors import (
        ParallelError as ParallelError,
    )
    from bicerin.errors import (
        ParseError as ParseError,
    )
    from bicerin.errors import (
        PluginError as PluginError,
    )
    from bicerin.errors import (
        ProtoError as ProtoError,
    )
    from bicerin.errors import (
        ShapeError as ShapeError,
    )
    from bicerin.errors import (
        SnapshotError as SnapshotError,
    )
    from bicerin.errors import (
        SolverError as SolverError,
    )
    from bicerin.errors import (
        SpecError as SpecError,
    )
    from bicerin.errors import (
        UnknownNameError as UnknownNameError,
    )
    from bicerin.errors import (
        UserCodeError as UserCodeError,
    )
    from bicerin.errors import (
        WeightsError as WeightsError,
    )
    from bicerin.kernels import (
        kernel as kernel,
    )
    from bicerin.layer import (
        TEST as TEST,
    )
    from bicerin.layer import (
        TRAIN as TRAIN,
    )
    from bicerin.layer import (
        Blob as Blob,
    )
    from bicerin.layer import (
        BlobCounts as BlobCounts,
    )
    from bicerin.layer import (
        Context as Context,
    )
    from bicerin.layer import (
        Layer as Layer,
    )
    from bicerin.layer import (
        LossLayer as LossLayer,
    )
    from bicerin.layer import (
        NeuronLayer as NeuronLayer,
    )
    from bicerin.layer import (
        Operations as Operations,
    )
    from bicerin.layer import (
        Phase as Phase,
    )
    from bicerin.layer import (
        any_number as any_number,
    )
    from bicerin.layer import (
        at_least as at_least,
    )
    from bicerin.layer import (
        at_most as at_most,
    )
    from bicerin.layer import (
        between as between,
    )
    from bicerin.layer import (
        fill as fill,
    )
    from bicerin.layer import (
        normalization_mode as normalization_mode,
    )
    from bicerin.layer import (
        normalizer as normalizer,
    )
    from bicerin.net import (
        LoadReport as LoadReport,
    )
    from bicerin.net import (
        Net as Net,
    )
    from bicerin.net.hooks import (
        hookimpl as hookimpl,
    )
    from bicerin.schema import (
        create_layer as create_layer,
    )
    from bicerin.solver import (
        Solver as Solver,
    )

_HOME = {
    "BicerinError": "errors",
    "Blob": "layer",
    "BlobCountError": "errors",
    "BlobCounts": "layer",
    "BrokenPluginError": "errors",
    "ConflictError": "errors",
    "Context": "layer",
    "DataError": "errors",
    "DecodeError": "errors",
    "Device": "device",
    "DeviceError": "errors",
    "IncompatiblePluginError": "errors",
    "Layer": "layer",
    "LayerError": "errors",
    "LoadReport": "net",
    "LossLayer": "layer",
    "MissingDataError": "errors",
    "MissingFileError": "errors",
    "Net": "net",
    "NetError": "errors",
    "NeuronLayer": "layer",
    "Operations": "layer",
    "ParallelError": "errors",
    "ParseError": "errors",
    "Phase": "layer",
    "PluginError": "errors",
    "ProtoError": "errors",
    "ShapeError": "errors",
    "SnapshotError": "errors",
    "Solver": "solver",
    "SolverError": "errors",
    "SpecError": "errors",
    "TEST": "layer",
    "TRAIN": "layer",
    "UnknownNameError": "errors",
    "UserCodeError": "errors",
    "WeightsError": "errors",
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
}

#: The modules that are public.
_MODULES = ("errors", "kernels", "layer", "spec", "testing")

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"bicerin.{name}")
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'bicerin' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bicerin.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
