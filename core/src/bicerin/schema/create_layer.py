"""A layer on its own, without a net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bicerin.device.device import get_device
from bicerin.layer.context import Context
from bicerin.layer.engine import engine_class
from bicerin.layer.layer import Layer, layers
from bicerin.layer.phase import Phase
from bicerin.schema.installed_schema import read_layer


def create_layer(
    definition: Any,
    *,
    phase: Any = "TRAIN",
    device: Any = "cpu",
    dtype: Any = np.float32,
    seed: int | None = None,
    layer_providers: Mapping[str, str] | None = None,
) -> Layer:
    """One layer on its own, from the text of a `layer { ... }` block (with or without the braces) or a message.

    Raises:
        ParseError: the text is not a layer.
        PluginError: nobody brings the type, or who does is broken.
    """
    param = read_layer(definition, layer_providers)
    context = Context(Phase.of(phase), get_device(device), np.dtype(dtype), np.random.default_rng(seed))
    return engine_class(layers.load(param.type, layer_providers), param, context)(param, context)
