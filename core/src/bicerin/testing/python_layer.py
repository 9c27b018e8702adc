"""The gradient check for Python layers that users of Caffe know: `test_gradient_for_python_layer`.

It is the equivalent of ShaiBagon's helper of that name, with its arguments. It needs bicerin-python.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bicerin.errors import PluginError
from bicerin.testing.gradient import check_gradient


def test_gradient_for_python_layer(
    input_names_and_values: Sequence[tuple[str, Any]],
    output_names: Sequence[str],
    py_module: str,
    py_layer: str,
    param_str: str | None = None,  # noqa: PT028 - not a test of ours
    propagate_down: Sequence[bool] | None = None,  # noqa: PT028
) -> bool:
    """Check the gradients of a Python layer, in float64, against central differences of a random sum of its tops.

        inputs = [("x", np.random.randn(4, 3)), ("label", np.ones(4))]
        test_gradient_for_python_layer(inputs, ["loss"], "focal_loss", "FocalLoss", "{}", [True, False])

    Args:
        input_names_and_values: (name, array) of each bottom.
        output_names: of the tops.
        py_module, py_layer: where the layer's class is, as in `python_param`; found on `sys.path`.
        param_str: the layer's.
        propagate_down: for each bottom, whether it has a gradient to check; by default, all have. The layer's own blobs
            are checked always.

    Returns:
        True.

    Raises:
        AssertionError: says which gradient differs, where, and both values.
        PluginError: bicerin-python is not installed.
        ValueError: there is not one flag for each bottom.
    """
    from bicerin.layer.layer import layers
    from bicerin.schema.installed_schema import schema

    if "Python" not in layers:
        raise PluginError("to test a Python layer, bicerin-python is needed: pip install bicerin-python")
    names = [name for name, _ in input_names_and_values]
    propagate_down = [True] * len(names) if propagate_down is None else propagate_down
    if len(propagate_down) != len(names):
        raise ValueError(f"propagate_down has {len(propagate_down)} flags for {len(names)} inputs")
    definition = schema().LayerParameter(name=py_layer, type="Python", bottom=names, top=output_names)
    definition.python_param.module = py_module
    definition.python_param.layer = py_layer
    definition.python_param.param_str = param_str or ""
    check_gradient(
        definition,
        [np.asarray(value, np.float64) for _, value in input_names_and_values],
        check_bottom=[index for index, flag in enumerate(propagate_down) if flag],
    )
    return True


# Its name is Caffe users' own. Where a test module imports it, pytest shall not take it for a test.
vars(test_gradient_for_python_layer)["__test__"] = False
