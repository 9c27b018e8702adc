"""Node: a layer in its place in a net. What the net knows of a layer's place, no layer needs to know.

A node calls its layer, and nobody else does: set-up in its order, the check of counts, reshape before forward, the
weighted loss, the lock of a layer that several nets share, and the place and the blobs in every error.
"""

from __future__ import annotations

import linecache
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np

from bicerin.device.memory import changes
from bicerin.errors import BicerinError, LayerError
from bicerin.layer.abilities import ChecksInputs, Repetition, Replays, SharesInParallel
from bicerin.layer.blob import Blob
from bicerin.layer.blob_list import BlobList
from bicerin.layer.layer import Layer
from bicerin.layer.loss_layer import LossLayer
from bicerin.net.placement import Placement

Method = TypeVar("Method", bound=Callable[..., Any])


def located(method: Method) -> Method:
    """Let every error of a node's method name the layer, its place and its blobs."""

    @wraps(method)
    def run(node: Node, *arguments: Any) -> Any:
        try:
            return method(node, *arguments)
        except Exception as error:
            raise node.located(error) from error.__cause__ if isinstance(error, BicerinError) else error

    return cast(Method, run)


class Node:
    """A layer with its bottoms and tops.

    Args:
        layer: the layer, not yet set up; another net's own for one that is shared.
        bottom, top: its blobs. In place, a top is one of the bottoms.
        bottom_names, top_names: their names in the net; tops that were made automatically have none.
        definition: the `LayerParameter` of this place, where it is not the layer's own.
        shared_with: the node of another net that runs the same layer.

    Attributes:
        name, type, location: the layer's, for short.
        learns: whether a blob of the layer's own is to be learned.
        wants_backward: whether the net's backward pass runs it.
        propagate_down: for each bottom, whether its gradient is computed.
        placement: what does the layer's forward pass where its blobs are parts of others; None for the layer itself.
        loss_weights: for each top, its weight in the net's loss; 0 for one that is not a loss. They may be set at any
            time. Which layers run backward is decided when the net is built, or by `force_backward`.
    """

    def __init__(
        self,
        layer: Layer,
        bottom: Sequence[Blob],
        top: Sequence[Blob],
        bottom_names: Sequence[str] = (),
        top_names: Sequence[str] = (),
        definition: Any = None,
        shared_with: Node | None = None,
    ) -> None:
        self.layer = layer
        self.bottom = list(bottom)
        self.top = list(top)
        self.bottom_names = list(bottom_names)
        self.top_names = list(top_names)
        self.param = definition if definition is not None else layer.param
        self.location = layer.context.location or ""
        self.learns = False
        self.wants_backward = False
        self.propagate_down: list[bool] = [False] * len(self.bottom)
        self.placement: Placement | None = None
        self._weighted: tuple[tuple[int, float], ...] = ()
        #: None for a layer of this node alone.
        self._lock: threading.Lock | None = None
        if shared_with is not None:
            self._lock = shared_with._lock = shared_with._lock or threading.Lock()
        self._views = _Views(layer, self.bottom, self.top)
        side = layer._side
        self._current = nullcontext if side.is_host else side.current

    def __repr__(self) -> str:
        return f"Node({self.name!r}, {self.type}, {self.bottom_names} -> {self.top_names})"

    @property
    def name(self) -> str:
        return self.layer.name

    @property
    def type(self) -> str:
        return self.layer.type

    @property
    def blobs(self) -> list[Blob]:
        """The layer's learnable blobs."""
        return BlobList(blob.blob for blob in self.layer.blobs)

    @property
    def doer(self) -> Any:
        """What computes the tops: the layer, or in a fused pass what does its work and others'."""
        return self.layer

    def counts_as_loss(self) -> bool:
        """Whether what `forward` returns may be another number than 0."""
        return bool(self._weighted)

    def repetition(self) -> Repetition | None:
        """On what the calls of the last forward pass depend, where those were all of it; else None."""
        if self.counts_as_loss():
            return None
        if self.placement is not None and self.placement.ran_last:
            return self.placement.repetition()
        layer = self.doer
        return layer.repetition() if isinstance(layer, Replays) else None

    @property
    def runs_on_device(self) -> bool:
        """Whether the layer runs on a device rather than on the host."""
        return not self.layer._side.is_host

    @property
    def is_shared(self) -> bool:
        """Whether nodes of other nets run the layer too, one at a time."""
        return self._lock is not None

    @property
    def works_in_place(self) -> bool:
        return any(blob is other for blob in self.top for other in self.bottom)

    @property
    def is_loss(self) -> bool:
        """Whether a top counts in the net's loss."""
        return bool(self._weighted)

    @property
    def loss_weights(self) -> list[float]:
        weights = [0.0] * len(self.top)
        for index, weight in self._weighted:
            weights[index] = weight
        return weights

    @loss_weights.setter
    def loss_weights(self, weights: Sequence[float]) -> None:
        given = tuple((index, float(weight)) for index, weight in enumerate(weights) if weight)
        # The gradient of a loss is its weight; of what is a loss no more, nothing.
        for index, weight in (*((index, 0.0) for index, _ in self._weighted), *given):
            self.top[index].diff.fill(weight)
        if given != self._weighted:
            changes.number += 1
        self._weighted = given

    # Running

    @located
    def set_up(self) -> None:
        """Check counts, set the layer up, reshape, and set the loss weights. A shared layer is set up already.

        Raises:
            BlobCountError, ShapeError, LayerError: with the layer, its place and its blobs.
        """
        layer = self.layer
        layer.counts.check(layer.type, len(self.bottom), len(self.top))
        if not layer.allows_in_place and self.works_in_place:
            raise LayerError(
                f"{layer.type} Layer does not allow in-place computation.", "Give its top a name of its own."
            )
        bottom, top = self._views.forward
        with self._lock or nullcontext(), self._current():
            if self._lock is None:
                layer.layer_set_up(bottom, top)
                # The learnable blobs may have been made just now.
            layer.reshape(bottom, top)
        self._set_loss_weights()

    @located
    def reshape(self) -> None:
        """Carry the bottoms' shapes to the tops, without running."""
        with self._lock or nullcontext(), self._current():
            self.layer.reshape(*self._views.forward)

    def forward(self) -> float:
        """Compute the tops; returns the sum of the tops, each times its loss weight."""
        bottom, top = self._views.forward
        layer = self.layer
        forward = layer.forward if self.placement is None else self.placement.forward
        try:
            if self._views.on_host and self._lock is None:
                layer.reshape(bottom, top)
                forward(bottom, top)
            else:
                with self._lock or nullcontext(), self._current():
                    layer.reshape(bottom, top)
                    forward(bottom, top)
            if not self._weighted:
                return 0.0
            return self._loss()
        except Exception as error:
            raise self.located(error) from error.__cause__ if isinstance(error, BicerinError) else error

    def backward(self) -> None:
        """Compute the gradients of the bottoms with `propagate_down`, and add those of the learnable blobs."""
        self.backward_to(self.propagate_down)

    @located
    def backward_to(self, propagate_down: Sequence[bool]) -> None:
        """As `backward`, with flags of the caller's."""
        top, bottom = self._views.backward
        if self._views.on_host and self._lock is None:
            self.layer.backward(top, propagate_down, bottom)
        else:
            with self._lock or nullcontext(), self._current():
                self.layer.backward(top, propagate_down, bottom)

    def writing(self, top: Blob, layer: Any, also: Sequence[Blob] = ()) -> Node:
        """This node with another top, for a forward pass in which its layer does the work of those up to there.

        Args:
            layer: what runs in its place, a `FusedLayer`.
            also: what that reads besides the bottoms.
        """
        return _FusedNode(layer, [*self.bottom, *also], [top], self.bottom_names, self.top_names, self.param)

    def to_proto(self, write_diff: bool = False) -> Any:
        """The `LayerParameter` with the present values of the blobs."""
        message = type(self.param)()
        message.CopyFrom(self.param)
        del message.blobs[:]
        for blob in self.blobs:
            blob.to_proto(write_diff, into=message.blobs.add())
        return message

    # The loss

    def _set_loss_weights(self) -> None:
        weights = list(self.param.loss_weight)
        if not weights and isinstance(self.layer, LossLayer) and self.top:
            weights = [1.0] + [0.0] * (len(self.top) - 1)
        if not weights:
            return
        if len(weights) != len(self.top):
            raise LayerError(
                f"loss_weight is given {len(weights)} time(s) for {len(self.top)} top blob(s).",
                "Give it once for each top, or not at all.",
            )
        self.loss_weights = weights

    def _loss(self) -> float:
        loss = 0.0
        for index, weight in self._weighted:
            loss += self._weighted_sum(self.top[index], weight)
        if loss != loss and not self._views.on_host and isinstance(self.layer, ChecksInputs):
            self.layer.check_inputs([blob.read_only for blob in self.bottom])
        return loss

    def _weighted_sum(self, blob: Blob, weight: float) -> float:
        """A top's part in the loss, computed where the top is; one number is read from a device."""
        if not blob.memory[0].on_device:
            if blob.count == 1:
                return weight * float(blob.data.reshape(-1)[0])
            blob.diff.fill(weight)
            return float(np.dot(blob.data.reshape(-1), blob.diff.reshape(-1)))
        device = blob.device
        with device.current():
            view = blob.on(device, writes_data=False)
            if blob.count == 1:
                return weight * device.read_number(view.data)
            diff = view.diff.reshape(-1)
            diff.fill(weight)
            return device.read_number(device.xp.dot(view.data.reshape(-1), diff))

    # Errors

    def located(self, error: Exception) -> BicerinError:
        """The error with the layer, its place and its blobs; what a layer's code raised by itself becomes a
        `LayerError`, with the original as its cause.
        """
        if isinstance(error, LayerError):
            found = error
        elif isinstance(error, BicerinError):
            found = LayerError(str(error))
        elif isinstance(error, MemoryError):
            found = LayerError(f"there is not enough memory{_detail(error)}.", "Its blobs' shapes are above.")
        else:
            text = f"its code raised {type(error).__name__}{_detail(error)}"
            found = LayerError(text, code_place(error, type(self.layer)))
        found.locate(self.layer, self.bottom, self.top)
        return found


class _FusedNode(Node):
    """A node whose layer does the work of several nodes, as long as none of those is a loss."""

    @property
    def doer(self) -> Any:
        layer: Any = self.layer
        return layer.doer

    def counts_as_loss(self) -> bool:
        layer: Any = self.layer
        return bool(layer.has_loss)

    def forward(self) -> float:
        layer: Any = self.layer
        # Loss weights may be set at any time.
        return layer.run_one_by_one() if layer.has_loss else super().forward()


class _Views:
    """The blobs as the layer sees them in each pass: on the side that it runs on, read-only where it only reads.

    Where there is no side but the host, they are the blobs themselves.
    """

    def __init__(self, layer: Layer, bottom: list[Blob], top: list[Blob]) -> None:
        self.on_host = layer._side.is_host and layer.context.device.is_host
        if self.on_host:
            self.forward, self.backward = (bottom, top), (top, bottom)
            return
        tops = [blob.on(layer._side, writes_diff=False) for blob in top]
        # In place, bottom and top stay one object.
        bottoms = [
            tops[_place(blob, top)]
            if _place(blob, top) >= 0
            else blob.on(layer._side, writes_data=False, writes_diff=False)
            for blob in bottom
        ]
        self.forward = (bottoms, tops)
        bottoms = [blob.on(layer._side, writes_data=False) for blob in bottom]
        tops = [
            bottoms[_place(blob, bottom)]
            if _place(blob, bottom) >= 0
            else blob.on(layer._side, writes_data=False, writes_diff=False)
            for blob in top
        ]
        self.backward = (tops, bottoms)


def _place(blob: Blob, blobs: Sequence[Blob]) -> int:
    return next((index for index, other in enumerate(blobs) if other is blob), -1)


def _detail(error: Exception) -> str:
    try:
        text = str(error)
    except Exception:  # an exception of the user's, whose text raises in turn
        text = ""
    return f": {text}" if text else ""


def code_place(error: Exception, cls: type[Layer]) -> str | None:
    """Return the innermost line of the layer's own package that an error went through, `at FILE:LINE: TEXT`.

    None where it went through none, such as a layer of the core's in a wrong call by the core.
    """
    packages = {base.__module__.partition(".")[0] for base in cls.__mro__} - {"bicerin", "abc", "builtins"}
    place: tuple[str, int] | None = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] in packages:
            place = frame.f_code.co_filename, line
    if place is None:
        return None
    text = linecache.getline(*place).strip()
    return f"at {place[0]}:{place[1]}" + (f": {text}" if text else "")


def shared_node(root: Node | None, definition: Any) -> Node | None:
    """The node itself, if a further net of this definition may run its layer."""
    if root is None or root.type != definition.type or not isinstance(root.layer, SharesInParallel):
        return None
    return root if root.layer.share_in_parallel() else None
