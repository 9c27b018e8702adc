"""Python: runs a class that the user wrote.

Source: Caffe's `PythonLayer`.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bicerin.errors import DeviceError, LayerError
from bicerin.layer import Blob, BlobCounts, KeepsTops, Layer, Phase, SharesInParallel
from bicerin.layer.blob_list import BlobList
from bicerin.layer.handed_out import handed_out
from bicerin_python.parameter_blobs import ParameterBlobs
from bicerin_python.python_layer import PythonLayer
from bicerin_python.user_code import UserCode, find_class

_log = logging.getLogger("bicerin.python")


class PythonLayerHost(SharesInParallel, KeepsTops, Layer):
    """Makes a `python_param.layer` of `python_param.module` and calls its setup, reshape, forward and backward.

    The user's code gets NumPy's arrays, writable, as `data` and `diff` of its blobs; a `forward_gpu` or `backward_gpu`
    gets the device's in the same names.
    """

    type = "Python"
    runs_on = "host"
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
        with UserCode(f"{self._class.__name__}.__init__", self._file):
            self.user = self._class(self.param) if issubclass(self._class, PythonLayer) else self._class()
            self.user.name = self.name
            self.user.phase = self.phase
            self.user.param_str = self.user.param_str_ = options.param_str
            self.user.blobs = blobs
            self.user.random = self.context.random
            self.user.directory = self.context.directory
            self.user.solver_rank, self.user.solver_count = self.context.rank, self.context.replicas
        if self._defines("setup"):
            self._call("setup", _whole(bottom), _whole(top))
        if not self._defines("forward"):
            raise LayerError(f"{self._class.__name__} has no method forward(self, bottom, top).")
        blobs.check_given()
        self._warn_of_missing_loss_weight(top)

    def reshape(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._defines("reshape"):
            # `bottom[0].data.shape` is often asked for, and no layer writes to its bottom here.
            given = _whole(bottom) if self.context.device.is_host else _read_only(bottom)
            self._call("reshape", given, _whole(top))

    def forward(self, bottom: Sequence[Blob], top: Sequence[Blob]) -> None:
        if self._runs_on_device("forward_gpu"):
            self._call_on_device("forward_gpu", "data", bottom, top)
        else:
            self._call("forward", _whole(bottom), _whole(top))

    def backward(self, top: Sequence[Blob], propagate_down: Sequence[bool], bottom: Sequence[Blob]) -> None:
        if self._runs_on_device("backward_gpu"):
            self._call_on_device("backward_gpu", "diff", top, bottom, propagate_down)
        elif self._defines("backward"):
            self._call("backward", _whole(top), propagate_down, _whole(bottom))
        else:
            self._refuse_backward(propagate_down)

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
            with UserCode(f"{self._class.__name__}.restore_state", self._file):
                self.user.restore_state(state["layer"])

    def _call(self, method: str, *arguments: Sequence[Any]) -> Any:
        with UserCode(f"{self._class.__name__}.{method}", self._file), np.errstate(**self._floating_point):
            return getattr(self.user, method)(
                *(each if isinstance(each, BlobList) else list(each) for each in arguments)
            )

    def _call_on_device(
        self, method: str, writes: str, read: Sequence[Blob], written: Sequence[Blob], *flags: Any
    ) -> None:
        """With the blobs as the device sees them, the learnable ones too.

        Args:
            writes: which array of the `written` blobs the method writes, "data" or "diff"; of others it writes none.
        """
        device = self.context.device
        only = {"writes_data": writes == "data", "writes_diff": writes == "diff"}
        views = {id(blob.blob): blob.blob.on(device, writes_data=False, writes_diff=False) for blob in read}
        # In place, bottom and top stay one object.
        views |= {id(blob.blob): blob.blob.on(device, **only) for blob in written}
        first, second = (BlobList(views[id(blob.blob)] for blob in blobs) for blobs in (read, written))
        blobs = self.user.blobs
        self.user.blobs = [blob.blob.on(device) for blob in self.blobs]
        try:
            with device.current():
                self._call(method, first, *flags, second)
        finally:
            self.user.blobs = blobs

    def _runs_on_device(self, method: str) -> bool:
        return not self.context.device.is_host and self._defines(method)

    def _defines(self, method: str) -> bool:
        """Whether the user's class has a method of its own."""
        found = getattr(self._class, method, None)
        return found is not None and found is not getattr(PythonLayer, method, None)

    def _check_device(self) -> None:
        if self.context.device.is_host or self._defines("forward_gpu"):
            return
        reason = f'{self._class.__name__} has no forward_gpu for the device "{self.context.device}"'
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


def _read_only(blobs: Sequence[Blob]) -> list[Blob]:
    views: list[Any] = [blob.blob.read_only for blob in blobs]
    return BlobList(views)


def _whole(blobs: Sequence[Blob]) -> list[Blob]:
    """The blobs for the user's code, which may write to any of their arrays, and gets arrays of its own."""
    return BlobList(handed_out(blob.blob) for blob in blobs)
