"""The functions that say what a layer is elsewhere: entry points of the groups `bicerin.onnx` and `bicerin.torch`."""

from __future__ import annotations

from typing import Any

from bicerin.discovery.registry import Provider, Registry
from bicerin.errors import BrokenPluginError, NetError
from bicerin.layer.layer import Layer, layers


class Hooks(Registry):
    """The functions of one group, by layer type.

    Args:
        group: of the entry points.
        language: what they write, as errors call it.
    """

    def __init__(self, group: str, language: str) -> None:
        super().__init__(group, f"{language} function of layer type", check=self._check)
        self.group = group
        self.language = language

    def _check(self, provider: Provider, target: Any) -> None:
        if not callable(target):
            raise BrokenPluginError(
                f'{provider} brings "{provider.name}" in the group {self.group}, which is no function.'
            )

    def of(self, layer: Layer) -> Any:
        """The function for a layer; None where nobody brings one.

        Where several distributions bring layers of one type, a layer's function is that of its own, or of one that
        brings functions alone; that of another's layer would be wrong for it.
        """
        fitting = self._fitting(layer)
        if not fitting:
            return None
        return self.load(layer.type, {layer.type: fitting[0].distribution} if len(fitting) == 1 else None)

    def _fitting(self, layer: Layer) -> list[Provider]:
        found = self.providers().get(layer.type, ())
        brought = layers.providers().get(layer.type, ())
        others = {one.distribution for one in brought}
        own = {one.distribution for one in brought if len(brought) == 1 or layers.loaded(one) is type(layer)}
        return [one for one in found if one.distribution in own] or [
            one for one in found if one.distribution not in others
        ]

    def described(self, layer: Any) -> str:
        """The function of a layer with who brings it, for errors about what it made."""
        brought = " or ".join(map(str, self._fitting(layer)))
        user = getattr(layer, "user", None)
        if user is not None:  # a Python layer, whose class says it
            brought = f"{type(user).__module__}.{type(user).__name__}"
        return f'the {self.language} function of layer "{layer.name}" (type "{layer.type}"), of {brought},'

    def missing(self, name: str, layer_type: str, location: str, otherwise: str) -> NetError:
        """The error for a layer that nobody can export; `otherwise` is what the user can do."""
        providers = layers.providers().get(layer_type, ())
        brought = f", of {' or '.join(one.distribution for one in providers)}" if providers else ""
        place = f"{location}: " if location else ""
        return NetError(
            f'{place}layer "{name}" (type "{layer_type}"{brought}) cannot be exported: no installed distribution says '
            f'what it is in {self.language}. A package does so with a function, an entry point "{layer_type}" of the '
            f"group {self.group}. {otherwise}"
        )


#: What layers are in ONNX.
hooks = Hooks("bicerin.onnx", "ONNX")
#: What layers are in PyTorch.
torch_hooks = Hooks("bicerin.torch", "PyTorch")
