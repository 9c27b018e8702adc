"""Python: runs a class that the user wrote. Source: Caffe's `PythonLayer`."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.errors import DeviceError, LayerError
from bicerin.layer import Blob, BlobCounts, Layer, Phase
from bicerin_python.parameter_blobs import ParameterBlobs
from bicerin_python.python_layer import PythonLayer
from bicerin_python.user_code import find_class, user_code

_log = logging.getLogger("bicerin.python")


class PythonLayerHost(Layer):
    """Makes a `python_param.layer` of `python_param.module` and calls its setup, reshape, forward and backward."""

    type = "Python"
    rewrites_tops = False
    counts = BlobCounts()
    user: Any

    def layer_set_up(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        # Nets are silent about overflow and NaN; a user's own code warns or raises as the user has set NumPy to.
        self._floating_point: Any = np.geterr()
        options = self.param.python_param
        self._class = find_class(options.module, options.layer, self.context.directory)
        self._file = getattr(sys.modules.get(self._class.__module__), "__file__", None)
        self._check_device()
        blobs = ParameterBlobs(self)
        self.blobs = blobs
        with user_code(f"{self._class.__name__}.__init__", self._file):
            self.user = self._class(self.param) if issubclass(self._class, PythonLayer) else self._class()
            self.user.name = self.name
            self.user.phase = self.phase
            self.user.param_str = self.user.param_str_ = options.param_str
            self.user.blobs = blobs
            self.user.random = self.context.random
            self.user.directory = self.context.directory
        if self._defines("setup"):
            self._call("setup", bottom, top)
        if not self._defines("forward"):
            raise LayerError(f"{self._class.__name__} has no method forward(self, bottom, top).")
        blobs.check_given()
        self._warn_of_missing_loss_weight(top)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if not self._defines("reshape"):
            return
        # `bottom[0].data.shape` is often asked for, and asks for data to write, though no layer writes it here.
        read = [memory for blob in bottom for memory in blob.memory if memory.on_device]
        self._call("reshape", bottom, top)
        for memory in read:
            memory.host_was_only_read()

    def forward_cpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._call("forward", bottom, top)

    def backward_cpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._defines("backward"):
            self._call("backward", top, propagate_down, bottom)
        else:
            self._refuse_backward(propagate_down)

    def forward_gpu(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        self._call("forward_gpu" if self._defines("forward_gpu") else "forward", bottom, top)

    def backward_gpu(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._defines("backward_gpu"):
            self._call("backward_gpu", top, propagate_down, bottom)
        else:
            self.backward_cpu(top, propagate_down, bottom)

    def share_in_parallel(self) -> bool:
        shared: bool = self.param.python_param.share_in_parallel
        return shared

    def state(self) -> Mapping[str, Any] | None:
        state = dict(super().state() or {})
        if self._defines("snapshot_state"):
            own = self._call("snapshot_state")
            if own is not None:
                state["layer"] = own
        return state or None

    def restore_state(self, state: Mapping[str, Any]) -> None:
        super().restore_state(state)
        if "layer" in state:
            with user_code(f"{self._class.__name__}.restore_state", self._file):
                self.user.restore_state(state["layer"])

    def _call(self, method: str, *arguments: Sequence[Any]) -> Any:
        with user_code(f"{self._class.__name__}.{method}", self._file), np.errstate(**self._floating_point):
            return getattr(self.user, method)(*map(list, arguments))

    def _defines(self, method: str) -> bool:
        """Whether the user's class has a method of its own."""
        found = getattr(self._class, method, None)
        return found is not None and found is not getattr(PythonLayer, method, None)

    def _check_device(self) -> None:
        if self.device.is_host or self._defines("forward_gpu"):
            return
        reason = f'{self._class.__name__} has no forward_gpu for the device "{self.device}"'
        if self.context.strict_device:
            raise DeviceError(f"{reason}, and strict_device forbids to run it on the CPU.")
        _log.info('layer "%s": %s; it runs on the CPU', self.name, reason)

    def _refuse_backward(self, propagate_down: Sequence[bool]) -> None:
        learns = any(map(self.param_propagate_down, range(len(self.blobs))))
        if any(propagate_down) or learns:
            what = "its blobs" if learns else "one of its bottoms"
            raise LayerError(
                f"{self._class.__name__} has no method backward(self, top, propagate_down, bottom), "
                f"but {what} needs a gradient.",
                "Write one, or say that none is needed: propagate_down: false for each bottom, param { lr_mult: 0 }.",
            )

    def _warn_of_missing_loss_weight(self, top: Sequence[Blob]) -> None:
        looks_like_loss = "loss" in self._class.__name__.lower() or "loss" in self.name.lower()
        if top and looks_like_loss and self.phase == Phase.TRAIN and not self.param.loss_weight:
            _log.warning(
                'layer "%s" (%s.%s) looks like a loss, but has no loss_weight, so that nothing is learned from it; '
                "add loss_weight: 1 if it is one",
                self.name,
                self._class.__module__,
                self._class.__name__,
            )
