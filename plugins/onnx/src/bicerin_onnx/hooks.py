"""The functions that say what a layer is in ONNX: entry points of the group `bicerin.onnx`."""

from __future__ import annotations

from typing import Any

from bicerin.discovery.registry import Provider, Registry
from bicerin.errors import BrokenPluginError, NetError
from bicerin.layer.layer import layers

GROUP = "bicerin.onnx"


def _check(provider: Provider, target: Any) -> None:
    if not callable(target):
        raise BrokenPluginError(f'{provider} brings "{provider.name}" in the group {GROUP}, which is no function.')


hooks = Registry(GROUP, "ONNX function of layer type", check=_check)


def hook_of(layer_type: str) -> Any:
    """The function of a layer type; None where nobody brings one.

    Of several distributions with layers of one type, each is asked for its own.
    """
    if layer_type not in hooks:
        return None
    chosen = {}
    if len(hooks.providers()[layer_type]) > 1:
        chosen[layer_type] = layers.provider(layer_type).distribution
    return hooks.load(layer_type, chosen)


def no_hook(name: str, layer_type: str, location: str) -> NetError:
    """The error for a layer that nobody can export."""
    brought = f", of {layers.provider(layer_type).distribution}" if layer_type in layers else ""
    place = f"{location}: " if location else ""
    return NetError(
        f'{place}layer "{name}" (type "{layer_type}"{brought}) cannot be exported: no installed distribution says what '
        f'it is in ONNX. A package does so with a function, an entry point "{layer_type}" of the group {GROUP}. With '
        'custom_domain=True, or --custom-domain, it becomes a node of the domain "caffe", which a runtime must be '
        "taught."
    )
