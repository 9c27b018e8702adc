"""Layers with one planted fault each, beside the honest ones that they were made of.

Each mutant is an honest layer with a method or two replaced. `found_by` names the check of `bicerin.testing.CHECKS`
that must fail; the table in docs/conformance-kit.md is made of this list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bicerin.errors import ShapeError
from bicerin.layer import Blob, BlobCounts, Layer, LossLayer, NeuronLayer
from bicerin.testing import LayerCase, layer_case

Blobs = Sequence[Blob]


# Honest layers


def require_rows(bottom: Blob) -> None:
    if len(bottom.shape) != 2:
        raise ShapeError(f"its bottom must be (rows, columns), not {bottom.shape}.")


class Square(NeuronLayer):
    """y = x², in place too."""

    type = "Square"
    keeps_bottom = True

    def activate(self, x: Any, y: Any) -> None:
        y[...] = x * x

    def gradient(self, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
        x_diff[...] = 2 * x * y_diff


class Weighted(Layer):
    """y = x * weight + offset by channel; x is (N, C)."""

    type = "Weighted"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def layer_set_up(self, bottom: Blobs, top: Blobs) -> None:
        require_rows(bottom[0])
        self.declare_blobs(((bottom[0].shape[1],), None), ((bottom[0].shape[1],), None))

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        require_rows(bottom[0])
        if bottom[0].shape[1] != self.blobs[0].count:
            raise ShapeError(f"it has {self.blobs[0].count} weights, but its bottom {bottom[0].shape[1]} channels.")
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].data[...] = bottom[0].data * self.blobs[0].data + self.blobs[1].data

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if self.param_propagate_down(0):
            self.blobs[0].diff[...] += (bottom[0].data * top[0].diff).sum(0)
        if self.param_propagate_down(1):
            self.blobs[1].diff[...] += top[0].diff.sum(0)
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff * self.blobs[0].data


class HalfSquare(LossLayer):
    """Half the mean squared distance of two bottoms."""

    type = "HalfSquare"

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        super().reshape(bottom, top)
        if bottom[0].shape != bottom[1].shape:
            raise ShapeError(f"its bottoms must have one shape, not {bottom[0].shape} and {bottom[1].shape}.")

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self.distance = bottom[0].data - bottom[1].data
        top[0].data[...] = (self.distance**2).sum() / (2 * max(len(self.distance), 1))

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = self.distance * (self.loss_gradient(top) / max(len(self.distance), 1))


class Times(Layer):
    """The product of two bottoms of one shape."""

    type = "Times"
    counts = BlobCounts(bottom=2, top=1)
    allows_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        if bottom[0].shape != bottom[1].shape:
            raise ShapeError(f"its bottoms must have one shape, not {bottom[0].shape} and {bottom[1].shape}.")
        top[0].reshape_like(bottom[0])

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].data[...] = bottom[0].data * bottom[1].data

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        for index in (0, 1):
            if propagate_down[index]:
                bottom[index].diff[...] = top[0].diff * bottom[1 - index].data


class Smooth(Layer):
    """y[c] = x[c - 1] + x[c] + x[c + 1] along the last axis with zeros around it, by way of a padded buffer."""

    type = "Smooth"
    counts = BlobCounts(bottom=1, top=1)
    allows_in_place = False

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        require_rows(bottom[0])
        top[0].reshape_like(bottom[0])
        rows, columns = bottom[0].shape
        self.padded = np.empty((rows, columns + 2), self.dtype)
        self.padded[:, 0] = self.padded[:, -1] = 0

    def smooth(self, x: Any, y: Any) -> None:
        self.padded[:, 1:-1] = x
        y[...] = self.padded[:, :-2] + self.padded[:, 1:-1] + self.padded[:, 2:]

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        self.smooth(bottom[0].data, top[0].data)

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            self.smooth(top[0].diff, bottom[0].diff)


class Alike(Layer):
    """One top, of the shape of the one bottom."""

    counts = BlobCounts(bottom=1, top=1)

    def reshape(self, bottom: Blobs, top: Blobs) -> None:
        top[0].reshape_like(bottom[0])


class Round(Alike):
    """y = x rounded, which has no gradient: only values tell."""

    type = "Round"

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].data[...] = np.round(bottom[0].data * 4) / 3


class Noise(Alike):
    """y = x plus standard normal noise from the layer's generator."""

    type = "Noise"

    def forward(self, bottom: Blobs, top: Blobs) -> None:
        top[0].data[...] = bottom[0].data + self.context.random.normal(size=bottom[0].shape)

    def backward(self, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
        if propagate_down[0]:
            bottom[0].diff[...] = top[0].diff


HONEST: tuple[type[Layer], ...] = (Square, Weighted, HalfSquare, Times, Smooth, Round, Noise)

#: A case of each; of none is the result given, so that what is found is found without it.
CASES: dict[str, LayerCase] = {
    "Square": layer_case("square", 'type: "Square"', [(4, 3)]),
    "Weighted": layer_case(
        "weighted", 'type: "Weighted"', [(4, 3)], parameters=[np.array([2.0, -1.0, 0.5]), np.array([0.25, 3.0, -2.0])]
    ),
    "HalfSquare": layer_case("half square", 'type: "HalfSquare"', [(4, 3), (4, 3)]),
    "Times": layer_case("times", 'type: "Times"', [(4, 3), (4, 3)]),
    "Smooth": layer_case("smooth", 'type: "Smooth"', [(4, 3)]),
    "Round": layer_case("round", 'type: "Round"', [(4, 3)], gradient=False),
    "Noise": layer_case("noise", 'type: "Noise"', [(4, 3)], random=True),
}


@dataclass(frozen=True)
class Mutant:
    """A fault: of which layer, in which of its methods, which check must find it."""

    fault: str
    layer: type[Layer]
    methods: dict[str, Any]
    found_by: str

    def made(self) -> type[Layer]:
        return type(f"Mutant{self.layer.type}", (self.layer,), dict(self.methods))


MUTANTS: list[Mutant] = []


def mutant(fault: str, layer: type[Layer], found_by: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Plant a method of the name of the decorated function."""

    def plant(function: Callable[..., Any]) -> Callable[..., Any]:
        name = function.__name__
        MUTANTS.append(Mutant(fault, layer, {name: function}, found_by))
        return function

    return plant


# Forward


@mutant("forward adds to a top instead of writing it", Round, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:
    top[0].data[...] += np.round(bottom[0].data * 4) / 3


@mutant("forward forgets the last row", Round, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data[:-1] = np.round(bottom[0].data[:-1] * 4) / 3


@mutant("forward forgets a row in the middle", Square, "forward")
def activate(self: Any, x: Any, y: Any) -> None:
    y[:1], y[2:] = x[:1] ** 2, x[2:] ** 2


@mutant("forward forgets the last element", Times, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data.reshape(-1)[:-1] = (bottom[0].data * bottom[1].data).reshape(-1)[:-1]


@mutant("forward writes to its bottom", Round, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    bottom[0].data[...] *= 4
    top[0].data[...] = np.round(bottom[0].data) / 3


@mutant("forward changes a learned parameter", Weighted, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    self.blobs[0].data[...] = np.abs(self.blobs[0].data)
    top[0].data[...] = bottom[0].data * self.blobs[0].data + self.blobs[1].data


@mutant("forward overwrites the top's diff, which holds the loss's weight", HalfSquare, "forward")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    HalfSquare.forward(self, bottom, top)
    top[0].diff[...] = 0


@mutant("the first row of a batch is computed differently", Round, "rows")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    Round.forward(self, bottom, top)
    top[0].data[:1] += 1


@mutant("a row takes something of the row before", Round, "rows")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    Round.forward(self, bottom, top)
    top[0].data[1:] += top[0].data[:-1]


@mutant("an empty batch is not provided for", Round, "batch_sizes")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    bottom[0].data.max()
    Round.forward(self, bottom, top)


@mutant("a batch of one loses its axis", Round, "batch_sizes")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    values = np.round(bottom[0].data * 4).squeeze() / 3
    top[0].data[...] = values if values.ndim == 2 else values[:, None]


# State


@mutant("a forward pass counts those before", Round, "reshape_twice")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    self.passes = getattr(self, "passes", 0) + 1
    top[0].data[...] = np.round(bottom[0].data * 4) / 3 * self.passes


@mutant("the values of the first pass are kept for later ones", Round, "reshape_down_and_up")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    kept = vars(self).setdefault("kept", {})
    values = kept.setdefault(bottom[0].shape, np.round(bottom[0].data * 4) / 3)
    top[0].data[...] = values


@mutant("backward adds to a sum that is never cleared", Times, "reshape_twice")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:
    self.sum = getattr(self, "sum", 0) + top[0].diff
    for index in (0, 1):
        if propagate_down[index]:
            bottom[index].diff[...] = self.sum * bottom[1 - index].data


@mutant("numbers come from NumPy's own generator, not from the layer's", Noise, "reshape_twice")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data[...] = bottom[0].data + np.random.normal(size=bottom[0].shape)


@mutant("the result changes from pass to pass in its last digits", Round, "reshape_twice")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data[...] = np.round(bottom[0].data * 4) / 3 * (1 + np.random.choice([-2e-7, 2e-7], bottom[0].shape))


@mutant("one buffer serves all layers of a class", Square, "threads")
def activate(self: Any, x: Any, y: Any) -> None:  # noqa: F811
    import time

    _BUFFER[0] = x * x
    time.sleep(0.002)
    y[...] = _BUFFER[0]


_BUFFER: list[Any] = [None]


# Memory


@mutant("the padding is never cleared", Smooth, "memory")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:
    top[0].reshape_like(bottom[0])
    self.padded = np.empty((bottom[0].shape[0], bottom[0].shape[1] + 2), self.dtype)


@mutant("a sum starts from memory that was not cleared", Round, "memory")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    total = np.empty_like(bottom[0].data)
    total += np.round(bottom[0].data * 4) / 3
    top[0].data[...] = total


# Shapes


@mutant("buffers have the size of the first batch", Smooth, "reshape_down_and_up")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    if not hasattr(self, "padded"):
        Smooth.reshape(self, bottom, top)
    top[0].reshape_like(bottom[0])


@mutant("what grew is not cut again: a mean is over the largest batch so far", HalfSquare, "reshape_down_and_up")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    self.most = max(getattr(self, "most", 1), bottom[0].shape[0])
    self.distance = bottom[0].data - bottom[1].data
    top[0].data[...] = (self.distance**2).sum() / (2 * self.most)


@mutant("tops get their shapes only at set-up", Round, "reshape_down_and_up")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    if not top[0].count:
        top[0].reshape_like(bottom[0])
        self.rows = bottom[0].shape[0]
    elif bottom[0].shape[0] > self.rows:
        top[0].reshape_like(bottom[0])


@mutant("a second reshape gives another shape", Times, "reshape_twice")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    self.calls = getattr(self, "calls", 0) + 1
    top[0].reshape(*bottom[0].shape, *([1] * (self.calls > 1)))


# In place


@mutant("in place, the gradient is computed from what was overwritten", Square, "in_place")
def gradient(self: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:
    x_diff[...] = 2 * (y if self.in_place else x) * y_diff


@mutant("in place, forward reads what it has written", Round, "in_place")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data[...] = 0
    top[0].data[...] += np.round(bottom[0].data * 4) / 3


@mutant("a layer that cannot work in place does not refuse it", Weighted, "in_place")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Weighted.backward(self, top, propagate_down, bottom)


MUTANTS[-1].methods["allows_in_place"] = True


# Backward


@mutant("backward adds to a bottom's diff instead of writing it", Times, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    for index in (0, 1):
        if propagate_down[index]:
            bottom[index].diff[...] += top[0].diff * bottom[1 - index].data


@mutant("backward forgets the last row", Times, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    for index in (0, 1):
        if propagate_down[index]:
            bottom[index].diff[:-1] = (top[0].diff * bottom[1 - index].data)[:-1]


@mutant("backward has no gradient where one is wanted", Times, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * bottom[1].data


@mutant("the gradient is wrong by a factor", Square, "gradients")
def gradient(self: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:  # noqa: F811
    x_diff[...] = x * y_diff


@mutant("backward ignores the gradient from above", Square, "gradients")
def gradient(self: Any, x: Any, y: Any, y_diff: Any, x_diff: Any) -> None:  # noqa: F811
    x_diff[...] = 2 * x


@mutant("a loss ignores its weight", HalfSquare, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    if propagate_down[0]:
        bottom[0].diff[...] = self.distance / max(len(self.distance), 1)


@mutant("backward changes the top's diff", Weighted, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Weighted.backward(self, top, propagate_down, bottom)
    top[0].diff[...] *= self.blobs[0].data


@mutant("backward changes the top's data", Weighted, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Weighted.backward(self, top, propagate_down, bottom)
    top[0].data[...] = 0


@mutant("backward changes its bottom's data", Times, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Times.backward(self, top, propagate_down, bottom)
    bottom[0].data[...] = 0


@mutant("backward changes a parameter", Weighted, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Weighted.backward(self, top, propagate_down, bottom)
    self.blobs[0].data[...] += 0.125


@mutant("backward reads the top's data, which a later layer may have overwritten", Weighted, "tops_are_spared")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    if self.param_propagate_down(0):
        x = (top[0].data - self.blobs[1].data) / self.blobs[0].data
        self.blobs[0].diff[...] += (x * top[0].diff).sum(0)
    if self.param_propagate_down(1):
        self.blobs[1].diff[...] += top[0].diff.sum(0)
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * self.blobs[0].data


@mutant("a parameter's gradient is written where it must be added", Weighted, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    Weighted.backward(self, top, [False], bottom)
    self.blobs[0].diff[...] = (bottom[0].data * top[0].diff).sum(0)
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * self.blobs[0].data


@mutant("a parameter's gradient leaves out the first row", Weighted, "gradients")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    self.blobs[0].diff[...] += (bottom[0].data * top[0].diff)[1:].sum(0)
    self.blobs[1].diff[...] += top[0].diff.sum(0)
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * self.blobs[0].data


# Which gradients are wanted


@mutant("a bottom with propagate_down False is written", Times, "propagate_down")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    for index in (0, 1):
        bottom[index].diff[...] = top[0].diff * bottom[1 - index].data


@mutant("where the first bottom's gradient is not wanted, the second's is wrong", Times, "propagate_down")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    if propagate_down[0]:
        Times.backward(self, top, propagate_down, bottom)
    elif propagate_down[1]:
        bottom[1].diff[...] = top[0].diff


@mutant("where no bottom's gradient is wanted, the parameters' are left out", Weighted, "propagate_down")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    if propagate_down[0]:
        Weighted.backward(self, top, propagate_down, bottom)


@mutant("a parameter that is not to learn is given a gradient", Weighted, "propagate_down")
def backward(self: Any, top: Blobs, propagate_down: Sequence[bool], bottom: Blobs) -> None:  # noqa: F811
    self.blobs[0].diff[...] += (bottom[0].data * top[0].diff).sum(0)
    self.blobs[1].diff[...] += top[0].diff.sum(0)
    if propagate_down[0]:
        bottom[0].diff[...] = top[0].diff * self.blobs[0].data


# Precision


@mutant("a buffer of float64 in a layer of float32", Smooth, "dtypes")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].reshape_like(bottom[0])
    self.padded = np.zeros((bottom[0].shape[0], bottom[0].shape[1] + 2))


@mutant("parameters of float64 in a layer of float32", Weighted, "dtypes")
def layer_set_up(self: Any, bottom: Blobs, top: Blobs) -> None:
    self.blobs = [self.new_blob((bottom[0].shape[1],), dtype=np.float64) for _ in range(2)]


@mutant("float32 in a layer of float64", Round, "dtypes")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].data[...] = np.round(bottom[0].data * 4).astype(np.float32) / np.float32(3)


@mutant("half precision on the way", Square, "dtypes")
def activate(self: Any, x: Any, y: Any) -> None:  # noqa: F811
    y[...] = (x * x).astype(np.float16) if self.dtype == np.float32 else x * x


# Counts, shapes, weights


@mutant("a wrong number of bottoms is not refused", Times, "blob_counts")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    Times.forward(self, bottom, top)


class _Unchecked(BlobCounts):
    def check(self, *_: Any, **__: Any) -> None:
        """Takes anything."""


MUTANTS[-1].methods.update(
    counts=_Unchecked(bottom=2, top=1), reshape=lambda self, bottom, top: top[0].reshape(4, 3) if top else None
)


@mutant("bottoms that do not fit together are not refused", Times, "refusals")
def reshape(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    top[0].reshape_like(bottom[0])


@mutant("what weights were loaded is forgotten", Weighted, "to_proto")
def layer_set_up(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    self.blobs = []
    Weighted.layer_set_up(self, bottom, top)


@mutant("a learned number is kept beside the blobs", Weighted, "to_proto")
def forward(self: Any, bottom: Blobs, top: Blobs) -> None:  # noqa: F811
    if not self.param.blobs:
        Weighted.forward(self, bottom, top)
    else:
        top[0].data[...] = bottom[0].data * self.blobs[0].data
