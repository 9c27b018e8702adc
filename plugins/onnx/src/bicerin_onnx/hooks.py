"""The functions that say what a layer is in ONNX: entry points of the group `bicerin.onnx`."""

from __future__ import annotations

from typing import Any

from bicerin.discovery.registry import Provider, Registry
from bicerin.errors import BrokenPluginError, NetError
from bicerin.layer.layer import Layer, layers

GROUP = "bicerin.onnx"


def _check(provider: Provider, target: Any) -> None:
    if not callable(target):
        raise BrokenPluginError(f'{provider} brings "{provider.name}" in the group {GROUP}, which is no function.')


hooks = Registry(GROUP, "ONNX function of layer type", check=_check)


def hook_of(layer: Layer) -> Any:
    """The function for a layer; None where nobody brings one.

    Where several distributions bring layers of one type, a layer's function is that of its own, or of one that brings
    functions alone; that of another's layer would be wrong for it.
    """
    found = hooks.providers().get(layer.type, ())
    brought = layers.providers().get(layer.type, ())
    others = {one.distribution for one in brought}
    own = {one.distribution for one in brought if len(brought) == 1 or layers.loaded(one) is type(layer)}
    fitting = [one for one in found if one.distribution in own] or [
        one for one in found if one.distribution not in others
    ]
    if not fitting:
        return None
    return hooks.load(layer.type, {layer.type: fitting[0].distribution} if len(fitting) == 1 else None)


def no_hook(name: str, layer_type: str, location: str) -> NetError:
    """The error for a layer that nobody can export."""
    providers = layers.providers().get(layer_type, ())
    brought = f", of {' or '.join(one.distribution for one in providers)}" if providers else ""
    place = f"{location}: " if location else ""
    return NetError(
        f'{place}layer "{name}" (type "{layer_type}"{brought}) cannot be exported: no installed distribution says what '
        f'it is in ONNX. A package does so with a function, an entry point "{layer_type}" of the group {GROUP}. With '
        'custom_domain=True, or --custom-domain, it becomes a node of the domain "caffe", which a runtime must be '
        "taught."
    )
