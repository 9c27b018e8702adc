"""What a layer's author needs to prove a layer.

- `layer_case`: a row of a table of cases; `LayerConformance`: a test class that runs every check on them.
- `check_recorded`: against results that a reference implementation computed.
- `check_gradient`: against numeric differences, in float64; `check_device_parity`: a device against the CPU.
- `test_gradient_for_python_layer`: the same for a class of the user's, with the arguments that users of Caffe know.
- `check_communicator`: whether what connects several processes does what it should.
- `run_layer`: one layer alone on given arrays, for tests of one's own.

Everything but `LayerConformance` works without pytest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bicerin.testing.case import LayerCase, layer_case
    from bicerin.testing.checks import CHECKS
    from bicerin.testing.communicator import check_communicator
    from bicerin.testing.conformance import LayerConformance
    from bicerin.testing.device_checks import check_device_parity
    from bicerin.testing.gradient import check_gradient
    from bicerin.testing.python_layer import test_gradient_for_python_layer
    from bicerin.testing.recorded import assert_close, check_recorded, recorded_cases
    from bicerin.testing.run import LayerRun, run_layer

_HOME = {
    "CHECKS": "checks",
    "LayerCase": "case",
    "LayerConformance": "conformance",
    "LayerRun": "run",
    "assert_close": "recorded",
    "check_communicator": "communicator",
    "check_device_parity": "device_checks",
    "check_gradient": "gradient",
    "check_recorded": "recorded",
    "layer_case": "case",
    "recorded_cases": "recorded",
    "run_layer": "run",
    "test_gradient_for_python_layer": "python_layer",
}

__all__ = [
    "CHECKS",
    "LayerCase",
    "LayerConformance",
    "LayerRun",
    "assert_close",
    "check_communicator",
    "check_device_parity",
    "check_gradient",
    "check_recorded",
    "layer_case",
    "recorded_cases",
    "run_layer",
    "test_gradient_for_python_layer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
