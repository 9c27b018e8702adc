"""Products in training, each by the library or by the layer's own code.

Which it is, is measured when one of its shape first runs. What was chosen is part of a snapshot, since the two differ
in the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from bicerin.kernels.choices import choice
from bicerin.layer import Context, Layer
from bicerin.layer.engine import is_named
from bicerin_onednn.library import is_slow, library
from bicerin_onednn.trained_exchange import release

#: The library; Winograd's algorithm by our own kernels, on the library's layouts; the layer's own code.
ENGINE, WINOGRAD, OWN = "onednn", "winograd", "own"

_SAID = {ENGINE: "oneDNN", WINOGRAD: "own blocked Winograd", OWN: "own"}


class ChoosesWays(Layer):
    """A layer whose products may be computed in two ways; to be put before the class that it speeds up."""

    #: What the layer is called where choices are kept.
    kind: ClassVar[str]

    def __init__(self, param: Any, context: Context | None = None) -> None:
        super().__init__(param, context)
        #: Of each product, where a snapshot or a measurement has decided: description -> way.
        self._ways: dict[str, str] = {}
        self._algorithms: dict[str, str] = {}

    def state(self) -> Mapping[str, Any] | None:
        state = super().state()
        return {**(state or {}), "ways": dict(self._ways)} if self._ways else state

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        ways = state.get("ways")
        if isinstance(ways, Mapping):
            self._ways.update({str(key): str(way) for key, way in ways.items() if way in (ENGINE, WINOGRAD, OWN)})

    def way(
        self,
        product: str,
        described: str,
        ways: Mapping[str, Callable[[], Any]],
        besides: Callable[[], float] | None = None,
        implementation: Callable[[], str] = str,
    ) -> str:
        """How a product is computed: as a snapshot says, or as measured.

        Args:
            described: its shapes, and whatever else its speed depends on.
            ways: way -> computes it that way, ENGINE and OWN among them; only called where nothing is known yet.
            besides: measures what the library's way costs elsewhere.
            implementation: names the library's code.
        """
        key = f"{product} of {described}"
        way = self._ways.get(key, "")
        if way not in ways:
            if is_named(ENGINE, self.param):
                way = OWN if is_slow(implementation()) else ENGINE
            else:
                kind = f"oneDNN {library().version}, training {self.kind}, {key}"
                way = choice(kind, ways, {} if besides is None else {ENGINE: besides})
                # What the others needed would stay for as long as the process runs.
                release()
            self._ways[key] = way
        self._algorithms[product] = _SAID[way]
        return way

    @property
    def algorithm(self) -> str:
        """The ways of the products that have run, and the algorithms of the layer's own."""
        own = getattr(super(), "algorithm", "")
        if not {ENGINE, WINOGRAD} & set(self._ways.values()):
            return own
        said = ", ".join(f"{product} {way}" for product, way in self._algorithms.items())
        return f"{said}; own: {own}" if own and OWN in self._ways.values() else said
