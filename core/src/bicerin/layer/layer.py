"""The contract that every layer implements.

A layer is a class with a `type`, equal to the name of its entry point in the group `bicerin.layers`, and `counts`, the
numbers of blobs that it takes and gives. The net makes one from its `LayerParameter` and then calls, in this order:

1. `set_up(bottom, top)` once. It checks the blob counts, calls `layer_set_up` (read the parameters, declare the
   learnable blobs), `reshape` (give the tops their shapes, allocate buffers), and sets the loss weights.
2. `forward(bottom, top)` any number of times. It calls `reshape` again, since a bottom may have another shape now, then
   `forward_cpu` or `forward_gpu`, and returns the weighted loss.
3. `backward(top, propagate_down, bottom)` after a forward. It calls `backward_cpu` or `backward_gpu`, which write
   `bottom[i].diff` for each i with `propagate_down[i]`, and *add* to `blobs[i].diff` for each i with
   `param_propagate_down(i)`; the solver clears those. (Where `blobs[i].diff_is_clear` a layer may write all of
   `blobs[i].uncleared_diff` instead.)

A subclass implements `reshape`, `forward_cpu` and `backward_cpu`, or, where its arithmetic is whole-array code, is an
`ArrayLayer` and writes it once for every device. It does not override what is marked final.
"""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, final

import numpy as np

from bicerin.device.cuda import CudaSource, Kernels
from bicerin.discovery.registry import Provider, Registry
from bicerin.errors import BicerinError, BrokenPluginError, DeviceError, LayerError, ShapeError
from bicerin.kernels.affine import Finish, Pointwise
from bicerin.layer.blob import Blob, same_shape
from bicerin.layer.context import Context
from bicerin.layer.counts import BlobCounts, Range, any_number, at_least, at_most, between
from bicerin.layer.filler import fill

__all__ = [
    "BlobCounts",
    "Layer",
    "Range",
    "any_number",
    "at_least",
    "at_most",
    "between",
    "layers",
]

_log = logging.getLogger("bicerin.layer")


class Layer(ABC):
    """Base of all layers; see the module's text for who calls what.

    Args:
        param: a `LayerParameter`. Blobs in it become the layer's `blobs`.
        context: phase, device, dtype, generator; by default TRAIN on the CPU in float32.

    Attributes:
        param: the message, `name`, `context`, `phase`, `device`, `dtype` for short.
        blobs: the learnable blobs.
    """

    type: ClassVar[str]
    counts: ClassVar[BlobCounts]
    #: The layer's CUDA C, where it has some; see `bicerin.device.cuda`.
    cuda: ClassVar[CudaSource | None] = None
    #: The weight of the first top in the net's loss where the prototxt gives none; a loss layer's is 1.
    default_loss_weight: ClassVar[float] = 0.0
    #: Whether a top may be one of the bottoms, the same `Blob`, which is then overwritten.
    allows_in_place: ClassVar[bool] = True
    #: Whether every forward pass writes the whole of every top; if not, values may stay from one to the next.
    rewrites_tops: ClassVar[bool] = True
    #: The axis of the top's channels, for a layer of one top whose `forward_cpu` ends with `finish`; else None.
    channel_axis: int | None = None
    #: The layers whose work `finish` includes at present; the net sets it, see `bicerin.kernels.affine`.
    epilogue: Sequence[Layer] = ()

    _final = ("set_up", "set_up_shared", "carry_shapes", "forward", "backward")

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.__module__ == __name__:
            return
        for name in Layer._final:
            if name in cls.__dict__:
                raise TypeError(f"{cls.__qualname__}.{name}: Layer.{name} is final; implement {name}_cpu instead.")
        if "counts" in cls.__dict__ and not isinstance(cls.counts, BlobCounts):
            raise TypeError(f"{cls.__qualname__}.counts must be a BlobCounts, not {cls.counts!r}.")

    def __init__(self, param: Any, context: Context | None = None) -> None:
        for name in ("type", "counts"):
            if not hasattr(type(self), name):
                raise TypeError(f"{type(self).__qualname__} declares no `{name}`.")
        self.param = param
        self.context = context if context is not None else Context()
        self.name: str = param.name
        self.phase = self.context.phase
        self.device = self.context.device
        self.dtype = self.context.dtype
        self.blobs: list[Blob] = []
        for proto in param.blobs:
            blob = self.new_blob()
            blob.from_proto(proto)
            self.blobs.append(blob)
        self._loss: list[float] = []
        self._weighted: tuple[tuple[int, float], ...] = ()
        self._param_propagate_down: list[bool] = [True] * len(self.blobs)
        self._shared = False
        self._lock = threading.Lock()
        self._run_forward, self._run_backward = self._implementations()

    # What a layer implements

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read the parameters and declare the learnable blobs (`declare_blobs`). Called once, before `reshape`."""

    @abstractmethod
    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give each top its shape and allocate buffers, from the bottoms' shapes. Called before every forward."""

    @abstractmethod
    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write `top[i].data` from `bottom[i].data`, which are NumPy arrays."""

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Write `bottom[i].diff` where `propagate_down[i]`, and add to the diffs of `blobs`."""
        if any(propagate_down):
            raise LayerError("this layer has no gradient, but one of its bottoms needs one.")

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """As `forward_cpu`, on `gpu_data` and `gpu_diff`. Where not overridden, the CPU's is used."""
        self.forward_cpu(bottom, top)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """As `backward_cpu`, on `gpu_data` and `gpu_diff`. Where not overridden, the CPU's is used."""
        self.backward_cpu(top, propagate_down, bottom)

    def explain_nan(self, bottom: Sequence[Blob]) -> None:
        """Called where a device computed a loss of NaN: raise what the CPU would have raised, such as for a bad label.

        A device cannot raise errors itself, and to look at values before every pass would cost a copy to the host.
        """

    def pointwise(self) -> Pointwise | None:
        """The forward pass as y = f(scale * x + shift) for each channel, where it is no more than that; else None.

        A layer before this one may then do it too, in its own `forward_cpu`, and this one's is not called. So it must
        leave nothing behind that `backward` needs, where there is a scale or a shift and no gradient is asked for.
        """
        return None

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Whether `force_backward` and a loss's gradient may reach this bottom; False for labels."""
        return True

    def share_in_parallel(self) -> bool:
        """Whether one instance serves all nets of a data-parallel run, each from its own thread.

        Its forward and backward are then serialised, with tops and bottoms of another net each time; so it must not
        keep what backward needs from one forward to the next.
        """
        return False

    def multiply_adds(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> int:
        """How many multiplications with an addition a forward pass takes, for `bicerin check`. Called after `set_up`.

        By default 0: what a layer without products of matrices does is little beside what those with some do.
        """
        return 0

    def shapes_without_data(self, tops: int) -> Sequence[Sequence[int | None] | None]:
        """For `bicerin check`: the tops' likely shapes where `set_up` ended with a `MissingDataError`.

        By default none is known. A data layer tells what its parameters say, and may assume the rest; an axis that it
        does not know is None.
        """
        return [None] * tops

    def state(self) -> Mapping[str, Any] | None:
        """What a snapshot must hold, besides `blobs`, for a run to go on exactly: JSON values; None for nothing.

        By default the state of the layer's generator, if the layer has drawn from it.
        """
        state = self.context.random.bit_generator.state
        return None if state == self._initial_random else {"random": state}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned."""
        if "random" in state:
            self.context.random.bit_generator.state = state["random"]

    def close(self) -> None:
        """Let go of threads, stores and files, and finish what is being written; the net calls it."""

    # For the use of layers

    @property
    def kernels(self) -> Kernels:
        """The kernels of `cuda`, for the layer's device and dtype."""
        assert self.cuda is not None, f"{self.type} declares no `cuda`"
        return self.cuda.on(self.device, self.dtype)

    def finish(self, bias: np.ndarray | None) -> Finish:
        """What becomes of each sum before it is written: this layer's bias, then what the `epilogue` does."""
        return Finish.of(bias, [step for layer in self.epilogue if (step := layer.pointwise())], self.dtype)

    def new_blob(self, shape: Sequence[int] = (), name: str = "") -> Blob:
        """A blob of the layer's dtype on its device, for weights and buffers."""
        return Blob(shape, self.dtype, self.device, name)

    def declare_blobs(self, *declared: tuple[Sequence[int], Any]) -> None:
        """The learnable blobs: one (shape, FillerParameter or None for zeros) each.

        Blobs that came with the parameters are kept if their shapes fit; otherwise new ones are made and filled.

        Raises:
            ShapeError: the parameters brought another number of blobs, or other shapes.
        """
        if self.blobs:
            if len(self.blobs) != len(declared):
                raise ShapeError(f"it has {len(declared)} parameter blob(s), but was given {len(self.blobs)}.")
            for index, (blob, (shape, _)) in enumerate(zip(self.blobs, declared, strict=True)):
                shape = tuple(shape)
                if blob.shape != shape:
                    if not same_shape(self.param.blobs[index], shape):
                        raise ShapeError(f"parameter blob {index} must have the shape {shape}, not {blob.shape}.")
                    blob.reshape(*shape)
        else:
            for shape, filler in declared:
                blob = self.new_blob(shape)
                if filler is not None and not self.context.shapes_only:
                    fill(blob, filler, self.context.random)
                self.blobs.append(blob)
        self._param_propagate_down = [True] * len(self.blobs)

    # The rest is final

    @final
    def set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Check counts, set up, reshape, set loss weights.

        Raises:
            BlobCountError, ShapeError, LayerError: with the layer, its place and its blobs.
        """
        try:
            self._initial_random = self.context.random.bit_generator.state
            self.counts.check(self.type, len(bottom), len(top))
            if not self.allows_in_place and any(blob is other for blob in top for other in bottom):
                raise LayerError(
                    f"{self.type} Layer does not allow in-place computation.", "Give its top a name of its own."
                )
            self.layer_set_up(bottom, top)
            self.reshape(bottom, top)
            self._set_loss_weights(top)
        except BicerinError as error:
            raise self._located(error, bottom, top) from error.__cause__

    @final
    def set_up_shared(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """As `set_up`, for a further net that runs an instance which has been set up in another.

        Raises:
            BlobCountError, ShapeError, LayerError: as `set_up`; also where the layer is not to be shared.
        """
        try:
            self.set_shared(True)
            self.counts.check(self.type, len(bottom), len(top))
            with self._lock:
                self.reshape(bottom, top)
                self._set_loss_weights(top)
        except BicerinError as error:
            raise self._located(error, bottom, top) from error.__cause__

    @final
    def carry_shapes(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Reshape, without running; an error names the layer, as those of `forward` do."""
        try:
            self.reshape(bottom, top)
        except BicerinError as error:
            raise self._located(error, bottom, top) from error.__cause__

    @final
    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> float:
        """Compute the tops; returns the sum of this layer's tops, each times its loss weight."""
        try:
            if self._shared:
                with self._lock:
                    self.reshape(bottom, top)
                    self._run_forward(self, bottom, top)
            else:
                self.reshape(bottom, top)
                self._run_forward(self, bottom, top)
            loss = 0.0
            for index, weight in self._weighted:
                loss += self._weighted_sum(top[index], weight)
            if loss != loss and not self.device.is_host:
                self.explain_nan(bottom)
            return loss
        except BicerinError as error:
            raise self._located(error, bottom, top) from error.__cause__

    @final
    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Compute the gradients of the bottoms with `propagate_down`, and add those of the learnable blobs."""
        try:
            if self._shared:
                with self._lock:
                    self._run_backward(self, top, propagate_down, bottom)
            else:
                self._run_backward(self, top, propagate_down, bottom)
        except BicerinError as error:
            raise self._located(error, bottom, top) from error.__cause__

    def _weighted_sum(self, blob: Blob, weight: float) -> float:
        """A top's part in the loss, computed where the top is; one number is read from a device."""
        if not blob.memory[0].on_device:
            if blob.count == 1:
                return weight * float(blob.cpu_data.reshape(-1)[0])
            blob.diff.fill(weight)
            return float(np.dot(blob.cpu_data.reshape(-1), blob.cpu_diff.reshape(-1)))
        with self.device.current():
            if blob.count == 1:
                return weight * self.device.read_number(blob.const_gpu_data)
            diff = blob.gpu_diff.reshape(-1)
            diff.fill(weight)
            return self.device.read_number(self.device.xp.dot(blob.const_gpu_data.reshape(-1), diff))

    def _located(self, error: BicerinError, bottom: Sequence[Blob], top: Sequence[Blob]) -> BicerinError:
        if isinstance(error, LayerError):
            error.locate(self, bottom, top)
            return error
        located = LayerError(str(error))
        located.locate(self, bottom, top)
        located.__cause__ = error
        return located

    @classmethod
    def missing_on_device(cls) -> list[str]:
        """Which of `forward` and `backward` the layer implements for the host alone."""
        missing = []
        if cls.forward_gpu is Layer.forward_gpu:
            missing.append("forward")
        if cls.backward_gpu is Layer.backward_gpu and cls.backward_cpu is not Layer.backward_cpu:
            missing.append("backward")
        return missing

    def _implementations(self) -> tuple[Any, Any]:
        # The class's functions: bound methods would make the layer hold itself, and its threads and files, for longer.
        cls = type(self)
        if self.device.is_host:
            return cls.forward_cpu, cls.backward_cpu
        missing = cls.missing_on_device()
        if missing:
            part = "" if len(missing) == 2 else f" of {missing[0]}"
            reason = f'{cls.type} has no implementation{part} for the device "{self.device}"'
            if self.context.strict_device:
                raise DeviceError(f"{reason}, and strict_device forbids to run it on the CPU.")
            _log.warning('layer "%s": %s; it runs on the CPU, with the copies that this needs.', self.name, reason)
        return _on_device(cls.forward_gpu), _on_device(cls.backward_gpu)

    def loss(self, top_index: int) -> float:
        """The loss weight of a top; 0 for one that is no loss."""
        return self._loss[top_index] if top_index < len(self._loss) else 0.0

    def set_loss(self, top_index: int, value: float) -> None:
        if top_index >= len(self._loss):
            self._loss += [0.0] * (top_index + 1 - len(self._loss))
        self._loss[top_index] = value
        self._weighted = tuple((index, weight) for index, weight in enumerate(self._loss) if weight)

    def param_propagate_down(self, blob_index: int) -> bool:
        """Whether the gradient of a learnable blob is wanted."""
        return blob_index < len(self._param_propagate_down) and self._param_propagate_down[blob_index]

    def set_param_propagate_down(self, blob_index: int, value: bool) -> None:
        if blob_index >= len(self._param_propagate_down):
            self._param_propagate_down += [True] * (blob_index + 1 - len(self._param_propagate_down))
        self._param_propagate_down[blob_index] = value

    @property
    def is_shared(self) -> bool:
        """Whether several nets run this instance; its forward and backward are then serialised."""
        return self._shared

    def set_shared(self, shared: bool) -> None:
        if shared and not self.share_in_parallel():
            raise LayerError(f"{self.type} layers are not shared between nets.")
        self._shared = shared

    def to_proto(self, write_diff: bool = False) -> Any:
        """The `LayerParameter` with the present values of the blobs."""
        message = type(self.param)()
        message.CopyFrom(self.param)
        del message.blobs[:]
        for blob in self.blobs:
            blob.to_proto(write_diff, into=message.blobs.add())
        return message

    def _set_loss_weights(self, top: Sequence[Blob]) -> None:
        weights = list(self.param.loss_weight)
        if not weights and self.default_loss_weight and top:
            weights = [self.default_loss_weight] + [0.0] * (len(top) - 1)
        if not weights:
            return
        if len(weights) != len(top):
            raise LayerError(
                f"loss_weight is given {len(weights)} time(s) for {len(top)} top blob(s).",
                "Give it once for each top, or not at all.",
            )
        for index, weight in enumerate(weights):
            if weight:
                self.set_loss(index, weight)
                top[index].diff.fill(weight)


def _on_device(function: Any) -> Any:
    """A layer's forward or backward pass, with the layer's device as the current one."""

    def run(layer: Layer, *arguments: Any) -> None:
        with layer.device.current():
            function(layer, *arguments)

    return run


def _known_layer(name: str) -> str | None:
    from bicerin_proto.known import layer_distribution

    return layer_distribution(name)


def _check_layer(provider: Provider, cls: Any) -> None:
    if not (isinstance(cls, type) and issubclass(cls, Layer)):
        raise BrokenPluginError(f"{provider} is not a bicerin.Layer.")
    if getattr(cls, "type", None) != provider.name:
        raise BrokenPluginError(
            f'{provider} has the type "{getattr(cls, "type", "")}", but its entry point is named "{provider.name}"; '
            "the two must be the same."
        )
    if not isinstance(getattr(cls, "counts", None), BlobCounts):
        raise BrokenPluginError(f"{provider} declares no counts = BlobCounts(...).")


layers = Registry("bicerin.layers", "layer type", _known_layer, _check_layer)
