"""The contract that every layer implements: this page is all that an author needs to know.

A layer is a class with a `type`, equal to the name of its entry point in the group `bicerin.layers`, and `counts`, the
numbers of blobs that it takes and gives. Nothing in it knows nets: its place in one is a `Node`, which calls, in this
order:

1. `layer_set_up(bottom, top)` once: read `self.param`, declare the learnable blobs, make buffers (`new_blob`).
2. `reshape(bottom, top)` after it, and before every forward pass, since a bottom may have another shape now: give the
   tops and the buffers their shapes.
3. `forward(bottom, top)` any number of times: write `top[i].data` from `bottom[i].data`.
4. `backward(top, propagate_down, bottom)` after a forward pass: write `bottom[i].diff` for each i with
   `propagate_down[i]`, and *add* to `self.blobs[i].diff` for each i with `param_propagate_down(i)`.

A blob has two arrays, `data` and `diff`, both of the side that the layer runs on: NumPy's on the host, CuPy's on a GPU.
`self.xp` is that side's array module. What a layer reads by its contract (`bottom[i].data` in both passes,
`top[i].data` and `top[i].diff` in backward, the data of learned blobs) it must not write. In place, a top is one of the
bottoms.

Arithmetic that deserves a kernel is an operation: `operations` names the module of them, `self.ops` has them for the
layer's device (see `bicerin.layer.operations`). The rest is array code with `self.xp`. A layer whose code for the host
and for a device truly differs defines `forward_cpu`/`backward_cpu` and `forward_gpu`/`backward_gpu` in place of
`forward` and `backward`; without the second pair it runs on the host, with the copies that this needs.

A few layers can do more than a layer must. What the core looks for is in `bicerin.layer.abilities`.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from bicerin.device.device import CPU, Device
from bicerin.discovery.registry import Provider, Registry, require_class
from bicerin.errors import BrokenPluginError, DeviceError, LayerError, ShapeError
from bicerin.layer.blob import Blob, same_shape
from bicerin.layer.context import Context
from bicerin.layer.counts import BlobCounts
from bicerin.layer.filler import fill
from bicerin.layer.operations import Operations
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.layer")


class Layer(ABC):
    """Base of all layers; see the module's text for who calls what.

    Args:
        param: a `LayerParameter`. Blobs in it become the layer's `blobs`.
        context: phase, device, dtype, generator; by default TRAIN on the CPU in float32.

    Attributes:
        param: the message.
        context: what the layer knows of the world; its `name`, `phase` and `dtype` for short.
        xp: the array module of the side that the layer runs on: NumPy or CuPy.
        ops: the operations of `operations`, for that side.
        blobs: the learnable blobs.
    """

    type: ClassVar[str]
    counts: ClassVar[BlobCounts]
    #: The operations that the layer calls as `self.ops.NAME(...)`.
    operations: ClassVar[Operations] = Operations()
    #: Whether a top may be one of the bottoms, the same blob, which is then overwritten.
    allows_in_place: ClassVar[bool] = True
    #: Where the layer runs in a net on a device: "device", or "host" for one that reads files or calls the user's code.
    runs_on: str = "device"

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "counts" in cls.__dict__ and not isinstance(cls.counts, BlobCounts):
            raise TypeError(f"{cls.__qualname__}.counts must be a BlobCounts, not {cls.counts!r}.")
        for direction in ("forward", "backward"):
            pair = [name for name in (f"{direction}_cpu", f"{direction}_gpu") if name in cls.__dict__]
            if pair and direction in cls.__dict__:
                raise TypeError(
                    f"{cls.__qualname__} defines both {direction} and {pair[0]}: {direction} is for every device; a "
                    "layer whose code for the host differs defines the pair instead."
                )

    def __init__(self, param: Any, context: Context | None = None) -> None:
        cls = type(self)
        for name in ("type", "counts"):
            if not hasattr(cls, name):
                raise TypeError(f"{cls.__qualname__} declares no `{name}`.")
        if cls.forward is Layer.forward and not hasattr(cls, "forward_cpu"):
            raise TypeError(f"{cls.__qualname__} has no `forward`.")
        self.param = param
        self.context = context if context is not None else Context()
        self.name: str = param.name
        self.phase = self.context.phase
        self.dtype = self.context.dtype
        self._side = self._choose_side()
        self.xp: Any = self._side.xp
        self.ops: Any = self.operations.on(self._side, self.dtype, self.context.strict_device)
        self.blobs: list[Any] = []
        for proto in param.blobs:
            blob = self.new_blob()
            blob.from_proto(proto)
            self.blobs.append(blob)
        self._param_propagate_down: list[bool] = [True] * len(self.blobs)
        self._initial_random = self.context.random.bit_generator.state

    # What a layer implements

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Read the parameters and declare the learnable blobs (`declare_blobs`). Called once, before `reshape`."""

    @abstractmethod
    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Give each top its shape and allocate buffers, from the bottoms' shapes. Called before every forward pass."""

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        """Write `top[i].data` from `bottom[i].data`."""
        getattr(self, "forward_cpu" if self._side.is_host else "forward_gpu")(bottom, top)

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        """Write `bottom[i].diff` where `propagate_down[i]`, and add to the diffs of `blobs`."""
        run = getattr(self, "backward_cpu" if self._side.is_host else "backward_gpu", None)
        if run is not None:
            run(top, propagate_down, bottom)
        elif any(propagate_down):
            raise LayerError("this layer has no gradient, but one of its bottoms needs one.")

    def allow_force_backward(self, bottom_index: int) -> bool:
        """Whether `force_backward` and a loss's gradient may reach this bottom; False for labels."""
        return True

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

    def __repr__(self) -> str:
        shapes = ", ".join(str(blob.shape) for blob in self.blobs)
        return f"{type(self).__name__}({printable(self.name)!r}{f', blobs: {shapes}' if shapes else ''})"

    # For the use of layers

    def new_blob(self, shape: Sequence[int] = (), name: str = "", dtype: Any = None) -> Any:
        """A blob on the side that the layer runs on, for weights and buffers; by default of the layer's dtype."""
        blob = Blob(shape, self.dtype if dtype is None else dtype, self.context.device, name)
        return blob.on(self._side)

    def declare_blobs(self, *declared: tuple[Sequence[int], Any], learned: bool = True) -> None:
        """The learnable blobs: one (shape, FillerParameter or None for zeros) each.

        Blobs that came with the parameters are kept if their shapes fit; otherwise new ones are made and filled.

        Args:
            learned: False for blobs that the layer itself writes, such as running means: the solver leaves them alone.

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
                    fill(blob.blob, filler, self.context.random)
                self.blobs.append(blob)
        # On a device, what is only read leaves the host's copy valid.
        self.blobs = [blob.blob.on(self._side, writes_data=not learned) for blob in self.blobs]
        self._param_propagate_down = [learned] * len(self.blobs)

    def param_propagate_down(self, blob_index: int) -> bool:
        """Whether the gradient of a learnable blob is wanted, which it is until someone says otherwise."""
        flags = self._param_propagate_down
        return flags[blob_index] if blob_index < len(flags) else blob_index < len(self.blobs)

    def set_param_propagate_down(self, blob_index: int, value: bool) -> None:
        if blob_index >= len(self._param_propagate_down):
            self._param_propagate_down += [True] * (blob_index + 1 - len(self._param_propagate_down))
        self._param_propagate_down[blob_index] = value

    def add_gradient(self, blob_index: int, operation: Callable[..., None], *arguments: Any) -> None:
        """Add to the gradient of a learnable blob, if it is wanted: what `operation` computes from the arguments.

        It is called as `operation(*arguments, gradient, add)`, an array of the blob's shape and whether to add to it.
        Where the gradient is known to be all zeros `add` is False: it may then be written without being read.
        """
        if not self.param_propagate_down(blob_index):
            return
        view = self.blobs[blob_index]
        gradient = view.blob.cleared_diff() if self._side.is_host else None
        if gradient is None:
            operation(*arguments, view.diff, True)
        else:
            operation(*arguments, gradient, False)

    # What the layer's place asks

    def _choose_side(self) -> Device:
        """The side that the layer runs on: the net's device, or the host."""
        device = self.context.device
        cls = type(self)
        if device.is_host or self.runs_on == "host":
            return CPU
        if not runs_on_device(cls):
            reason = f'{cls.type} has no implementation for the device "{device}"'
            if self.context.strict_device:
                raise DeviceError(f"{reason}, and strict_device forbids to run it on the CPU.")
            _log.warning('layer "%s": %s; it runs on the CPU, with the copies that this needs.', self.name, reason)
            return CPU
        return device


def runs_on_device(cls: type[Layer]) -> bool:
    """Whether a layer has code for devices: not a `forward_cpu` or `backward_cpu` without its twin."""
    return cls.runs_on == "device" and not any(
        getattr(cls, direction) is getattr(Layer, direction)
        and hasattr(cls, f"{direction}_cpu")
        and not hasattr(cls, f"{direction}_gpu")
        for direction in ("forward", "backward")
    )


def _known_layer(name: str) -> str | None:
    from bicerin_proto.distribution import layer_distribution

    return layer_distribution(name)


def _check_layer(provider: Provider, cls: Any) -> None:
    require_class(provider, cls, Layer, "bicerin.Layer", "type")
    if not isinstance(getattr(cls, "counts", None), BlobCounts):
        raise BrokenPluginError(f"{provider} declares no counts = BlobCounts(...).")
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    if missing:
        raise BrokenPluginError(f"{provider} does not implement {' and '.join(missing)}.")


layers = Registry("bicerin.layers", "layer type", _known_layer, _check_layer)
