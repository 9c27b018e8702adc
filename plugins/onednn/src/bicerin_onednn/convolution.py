"""Convolution by oneDNN, forward. Source: oneDNN's convolution primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from bicerin.kernels import Finish, rounds_least
from bicerin.kernels.choices import choice
from bicerin.kernels.recording import recording
from bicerin.layer import AddsAnother, Blob, Repetition, Replays
from bicerin.layer.abilities import affine_steps
from bicerin.layer.engine import is_named
from bicerin_convolution.convolution import ConvolutionLayer
from bicerin_onednn.library import is_forked, library
from bicerin_onednn.product import LIBRARYS, OWN, OwnProduct, Product, products_of
from bicerin_onednn.watch import Watch

#: For how many shapes of a bottom, of one layer, products are kept.
_MOST_PRODUCTS = 8
#: Winograd's transforms fill the caches, and find them full of other layers' data, where a measurement has them alone.
_FACTORS = {OWN: 1.3}


class OneDNNConvolutionLayer(Replays, AddsAnother, ConvolutionLayer):
    """A convolution with 1 to 3 spatial axes of float32, and the sum with another blob after it."""

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        super().layer_set_up(bottom, top)
        if len(self.blobs) > 1:
            self.blobs[1].keep_versions()
        self._watch = Watch(self)
        self._products: dict[Any, Product] = {}

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._ran = None
        if is_forked():
            self._forward(bottom, top)
            return
        changed = self._watch.changed(self.absorbed)
        if changed:
            bias = self.blobs[1].read_only.data if len(self.blobs) > 1 else None
            self._finish = self.finish(bias)
        finish, addend = self._finish, self.addend
        slope = None if addend is None else self._slope_after()
        key = (self.bottom_shape, finish.shift.size > 0, finish.slope, slope, rounds_least())
        product = self._products.get(key)
        if product is None:
            with recording.paused():
                product = self._product(key, finish, slope, bottom, top)
        if product.is_own:
            # Another product is to be prepared anew: this pass may have been the one that saw the weights change.
            self._prepared_for = product
            self._forward(bottom, top)
            return
        if changed or self._prepared_for is not product:
            with recording.paused():
                product.prepare(self.blobs[0].read_only.data, finish)
            self._prepared_for = product
        for x, y in zip(bottom, top, strict=True):
            product.run(x, y, addend)
        self._ran = product

    def repetition(self) -> Repetition | None:
        product = self._prepared_for
        if product is None or self._ran is not product:
            return None
        found = self._watch.repetition(product)
        if found is None:
            return None
        attributes = [*found.attributes, *(layer.affine for layer in self.rectifiers), rounds_least]
        return found._replace(attributes=attributes)

    def _forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """By the layer's own code."""
        super().forward(bottom, top)
        if self.addend is not None:
            y, slope = top[0].data, self._slope_after()
            np.add(y, self.addend.read_only.data, out=y)
            if slope != 1:
                np.multiply(y, self.dtype.type(slope), out=y, where=y < 0)

    def _slope_after(self) -> float:
        """Of the rectifier after the sum; 1 where there is none."""
        return affine_steps(self.rectifiers)[0].negative_slope if self.rectifiers else 1.0

    _finish: Finish
    _prepared_for: Any = None
    #: The product that computed the last forward pass; None where the layer's own code did.
    _ran: Any = None

    @property
    def algorithm(self) -> str:
        """The algorithm of the last forward pass, where it is the library's."""
        product = self._prepared_for
        return super().algorithm if product is None or product.is_own else str(product)

    def _product(
        self, key: Any, finish: Finish, slope: float | None, bottom: Sequence[Blob], top: Sequence[Blob]
    ) -> Product:
        """The product of a kind that is new, with the choice whether the library computes it."""
        if len(self._products) >= _MOST_PRODUCTS:
            self._products.clear()
        if not all(self.bottom_shape) or len(self.bottom_shape) not in (3, 4, 5):
            product: Product = OwnProduct()
        else:
            product = self._fastest(products_of(self, finish, slope), finish, bottom[0], top[0])
        self._products[key] = product
        return product

    def _fastest(self, products: Mapping[str, Product], finish: Finish, bottom: Blob, top: Blob) -> Product:
        """Of the library's products and the layer's own code, that which takes the least time."""
        weights = self.blobs[0].read_only.data
        ways: dict[str, Callable[[], Any]] = {
            name: _trial(product, weights, finish, bottom, top, self.addend) for name, product in products.items()
        }
        besides = {LIBRARYS: products[LIBRARYS].reordering} if len(products) > 1 else {}
        if not is_named("onednn", self.param):
            ways[OWN] = partial(self._forward, [bottom], [top])
            besides[OWN] = products[LIBRARYS].reordering
        kind = f"oneDNN {library().version}, convolution at TEST {self._described()}"
        return products.get(choice(kind, ways, besides, _FACTORS)) or OwnProduct()

    def _described(self) -> str:
        geometry = self.geometry
        return (
            f"{self.bottom_shape} to {self.top_shape}, kernel {geometry.kernel}, stride {geometry.stride}, pad "
            f"{geometry.pad}, dilation {geometry.dilation}, group {self.group}"
        )


def _trial(product: Product, weights: np.ndarray, finish: Finish, *blobs: Any) -> Callable[[], None]:
    """What runs a product, which is prepared when that is first called."""
    prepared = False

    def run() -> None:
        nonlocal prepared
        if not prepared:
            product.prepare(weights, finish)
            prepared = True
        product.run(*blobs)

    return run
