"""`caffe.Net`: a `bicerin.Net` with pycaffe's names."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

import bicerin
from bicerin.errors import NetError
from bicerin.layer import Blob, Phase
from bicerin.layer.handed_out import handed_out
from bicerin_caffe import settings
from bicerin_caffe.user_exceptions import user_exceptions
from bicerin_caffe.vectors import BlobVec, DtypeVec, IntVec, LayerVec, NamedBlobs, StringVec
from bicerin_proto import printable

_log = logging.getLogger("bicerin.caffe")

Arrays = dict[str, np.ndarray]

_FORMS = (
    "It is Net(network_file, phase, weights=weights_file) or, in the older form, "
    "Net(network_file, weights_file, phase), with caffe.TRAIN or caffe.TEST as the phase."
)


class Net:
    """A network.

        Net(network_file, phase, level=0, stages=None, weights=None)
        Net(network_file, weights, phase)           the older form

    Arrays that `forward` and `backward` return are the blobs' own, as in pycaffe. Threads that use one net take turns;
    from the second thread on, what it returns are copies, which the other thread's turn does not change.

    Args:
        network_file: a prototxt.
        phase: TRAIN or TEST.
        level, stages: the state that `include` and `exclude` rules are compared to.
        weights: a `.caffemodel` or HDF5 file.

    Raises:
        RuntimeError: a file cannot be opened, or the net cannot be built from it.
    """

    @user_exceptions
    def __init__(
        self,
        network_file: str | os.PathLike[str],
        phase: Any,
        level: Any = None,
        stages: Sequence[str] | None = None,
        weights: str | os.PathLike[str] | None = None,
    ) -> None:
        network_file = os.fsdecode(network_file)
        if isinstance(phase, (str, bytes, os.PathLike)):
            phase = os.fsdecode(phase)
            if level is None:
                raise TypeError(f"Net({str(network_file)!r}, {str(phase)!r}): there is no phase. {_FORMS}")
            _log.warning(
                "DEPRECATION WARNING - deprecated use of Python interface. Use this instead (with the named "
                "\"weights\" parameter): Net('%s', %d, weights='%s')",
                network_file,
                Phase.of(level),
                phase,
            )
            phase, level, weights = level, 0, phase
        elif isinstance(level, (str, bytes, os.PathLike)):
            raise TypeError(f"Net(..., level={os.fsdecode(level)!r}): a level is a number. {_FORMS}")
        weights = None if weights is None else os.fsdecode(weights)
        for path in [network_file] if weights is None else [network_file, weights]:
            if not os.path.exists(path):
                if not os.fspath(path):
                    raise NetError("Could not open file: its name is empty.")
                if re.search(r"\blayers?\s*:?\s*{", name := os.fsdecode(path)):
                    raise NetError(
                        f"Could not open file {printable(name, limit=60)}: that is the text of a prototxt; write it to "
                        "a file, or give it to bicerin.Net, which takes both."
                    )
                raise NetError(f"Could not open file {path} (looked from {os.getcwd()})")
        core = bicerin.Net(
            Path(network_file),
            phase,
            weights,
            settings.device(),
            level=level or 0,
            stages=stages,
            seed=settings.next_seed(),
            **settings.place(),
        )
        self._adopt(core)

    @classmethod
    def _of(cls, core: bicerin.Net) -> Net:
        """The net that a core's net is here."""
        net = object.__new__(cls)
        net._adopt(core)
        return net

    def _adopt(self, core: bicerin.Net) -> None:
        self._core = core
        self._users: set[int] = set()
        self._said: set[str] = set()
        settings.follow_seed(core)

    # What there is

    @cached_property
    def _named_blobs(self) -> list[tuple[str, Blob]]:
        """Every blob once, in the order in which the layers make them; tops that have no name are "(automatic)"."""
        found: dict[int, tuple[str, Blob]] = {}
        for node in self._core.nodes:
            for position, blob in enumerate(node.top):
                name = node.top_names[position] if position < len(node.top_names) else "(automatic)"
                found.setdefault(id(blob), (name, blob))
        return list(found.values())

    @property
    def _blobs(self) -> BlobVec:
        return BlobVec(handed_out(blob) for _, blob in self._named_blobs)

    @property
    def _blob_names(self) -> StringVec:
        return StringVec(name for name, _ in self._named_blobs)

    @property
    def _layer_names(self) -> StringVec:
        return StringVec(self._core.layer_names)

    @property
    def _inputs(self) -> IntVec:
        return self._indices(self._core.inputs)

    @property
    def _outputs(self) -> IntVec:
        return self._indices(self._core.outputs)

    def _indices(self, names: Sequence[str]) -> IntVec:
        places = {name: index for index, (name, _) in enumerate(self._named_blobs)}
        return IntVec(places[name] for name in names)

    def _ids(self, blobs: Sequence[Blob]) -> IntVec:
        places = {id(blob): index for index, (_, blob) in enumerate(self._named_blobs)}
        return IntVec(places[id(blob)] for blob in blobs)

    def _bottom_ids(self, layer_id: int) -> IntVec:
        return self._ids(self._core.nodes[layer_id].bottom)

    def _top_ids(self, layer_id: int) -> IntVec:
        return self._ids(self._core.nodes[layer_id].top)

    @property
    def _blob_loss_weights(self) -> DtypeVec:
        return DtypeVec(self._core.loss_weight(name) for name in self._blob_names)

    @cached_property
    def blobs(self) -> OrderedDict[str, Blob]:
        """The blobs by name, in the order in which the layers make them."""
        return NamedBlobs((name, handed_out(blob)) for name, blob in self._named_blobs)

    @cached_property
    def blob_loss_weights(self) -> OrderedDict[str, float]:
        """The weight of each blob in the loss, by name; 0 for one that is not a loss."""
        return OrderedDict(zip(self._blob_names, self._blob_loss_weights, strict=True))

    @cached_property
    def params(self) -> OrderedDict[str, BlobVec]:
        """The learnable blobs of each layer that has some, by the layer's name."""
        return NamedBlobs((name, BlobVec(blobs)) for name, blobs in self._core.params.items())

    @cached_property
    def layers(self) -> LayerVec:
        """The layers, in the order in which they run; of a Python layer, the user's own object."""
        nodes: list[Any] = self._core.nodes
        # A node's blobs are the host's, as pycaffe's are; a layer's own are those of the side that it runs on.
        return LayerVec(node.layer.user if node.type == "Python" else node for node in nodes)

    @cached_property
    def layer_dict(self) -> OrderedDict[str, Any]:
        """The layers by name."""
        return OrderedDict(zip(self._layer_names, self.layers, strict=True))

    @cached_property
    def inputs(self) -> list[str]:
        """The names of the blobs that Input layers make."""
        return list(self._core.inputs)

    @cached_property
    def outputs(self) -> list[str]:
        """The names of the blobs that no layer reads."""
        return list(self._core.outputs)

    @cached_property
    def top_names(self) -> OrderedDict[str, list[str]]:
        """The names of each layer's tops, by the layer's name."""
        return self._names_of(self._top_ids)

    @cached_property
    def bottom_names(self) -> OrderedDict[str, list[str]]:
        """The names of each layer's bottoms, by the layer's name."""
        return self._names_of(self._bottom_ids)

    def _names_of(self, ids: Callable[[int], IntVec]) -> OrderedDict[str, list[str]]:
        names = self._blob_names
        return OrderedDict((layer, [names[i] for i in ids(index)]) for index, layer in enumerate(self._layer_names))

    # Running

    def forward(
        self, blobs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Set the inputs, run the layers forward, and return the outputs by name.

        Args:
            blobs: names of further blobs to return.
            start, end: names of the first and the last layer to run.
            kwargs: an array for each of the net's inputs, by name, of the blob's shape.

        Raises:
            Exception: the names are not those of the inputs, or an array is not of the batch's size.
            ValueError: there is no such layer, or an array has another shape than the blob.
        """
        names = list(self._layer_names)
        first = _place(names, start) if start is not None else 0
        last = _place(names, end) if end is not None else len(names) - 1
        outputs = [*(self.top_names[end] if end is not None else self.outputs), *(blobs or ())]
        self._users.add(threading.get_ident())
        with self._core.lock:
            if kwargs:
                if set(kwargs) != set(self.inputs):
                    raise Exception(f"Input blob arguments do not match net inputs. {_given(kwargs, self.inputs)}")
                self._set("Input", {name: self.blobs[name].data for name in kwargs}, kwargs)
            self._forward(first, last)
            return self._handed_out({name: self.blobs[name].data for name in outputs})

    def backward(
        self, diffs: Sequence[str] | None = None, start: str | None = None, end: str | None = None, **kwargs: Any
    ) -> Arrays:
        """Set the outputs' gradients, run the layers backward, and return the inputs' gradients by name.

        Args:
            diffs: names of further blobs whose gradients to return.
            start, end: names of the first (the later one) and the last layer to run.
            kwargs: an array for each of the net's outputs, by name, of the blob's shape.

        Raises:
            Exception: the names are not those of the outputs, or an array is not of the batch's size.
            ValueError: there is no such layer, or an array has another shape than the blob.
        """
        names = list(self._layer_names)
        first = _place(names, start) if start is not None else len(names) - 1
        last = _place(names, end) if end is not None else 0
        outputs = [*(self.bottom_names[end] if end is not None else self.inputs), *(diffs or ())]
        self._users.add(threading.get_ident())
        with self._core.lock:
            if kwargs:
                if set(kwargs) != set(self.outputs):
                    raise Exception(f"Top diff arguments do not match net outputs. {_given(kwargs, self.outputs)}")
                self._set("Diff", {name: self.blobs[name].diff for name in kwargs}, kwargs)
                self._warn_of_missing_gradients(outputs)
            self._backward(first, last)
            return self._handed_out({name: self.blobs[name].diff for name in outputs})

    def _warn_of_missing_gradients(self, names: Sequence[str]) -> None:
        """Say of which blobs no layer computes the gradient, which is then zeros; once for each."""
        for name in set(names) - self._said:
            readers = [
                (node, position)
                for node in self._core.nodes
                for position, bottom in enumerate(node.bottom_names)
                if bottom == name and node.layer.allow_force_backward(position)  # not labels
            ]
            if readers and not any(node.wants_backward and node.propagate_down[position] for node, position in readers):
                self._said.add(name)
                _log.warning(
                    'backward: no layer computes the gradient of "%s", so it stays as it is; '
                    "force_backward: true in the net computes it",
                    name,
                )

    @staticmethod
    def _set(what: str, targets: Arrays, arrays: Mapping[str, Any]) -> None:
        for name, target in targets.items():
            array = np.asarray(arrays[name])
            shapes = f'"{name}" has the shape {target.shape}, the array {array.shape}'
            if array.shape[:1] != target.shape[:1]:
                raise Exception(f"{what} is not batch sized: {shapes}")
            try:
                target[...] = array
            except ValueError:
                raise ValueError(f"{what} of another shape: {shapes}") from None

    def _handed_out(self, arrays: Arrays) -> Arrays:
        return {name: array.copy() for name, array in arrays.items()} if len(self._users) > 1 else arrays

    @user_exceptions
    def _forward(self, start: int, end: int) -> float:
        """Run the layers `start` to `end`, both included; returns their loss."""
        self._check_range(start, end)
        return self._core.run_forward(start, end + 1)

    @user_exceptions
    def _backward(self, start: int, end: int) -> None:
        """Run the layers `start` down to `end`, both included, backward."""
        self._check_range(end, start)
        self._core.run_backward(start, end)

    def _check_range(self, first: int, last: int) -> None:
        count = len(self._core.layers)
        if first < 0 or last >= count:
            raise NetError(f"layers {first} to {last}: the net's layers are 0 to {count - 1}.")

    def forward_all(self, blobs: Sequence[str] | None = None, **kwargs: Any) -> Arrays:
        """Run forward batch by batch over inputs of any number; see `forward`. Zeros fill up the last batch."""
        collected: dict[str, list[np.ndarray]] = {name: [] for name in [*self.outputs, *(blobs or ())]}
        for batch in self._batch(kwargs):
            for name, array in self.forward(blobs=blobs, **batch).items():
                collected[name].extend(array.copy())
        return _without_padding(collected, kwargs)

    def forward_backward_all(
        self, blobs: Sequence[str] | None = None, diffs: Sequence[str] | None = None, **kwargs: Any
    ) -> tuple[Arrays, Arrays]:
        """Run forward and backward batch by batch; `kwargs` has arrays for inputs, and for outputs' gradients."""
        data: dict[str, list[np.ndarray]] = {name: [] for name in [*self.outputs, *(blobs or ())]}
        gradients: dict[str, list[np.ndarray]] = {name: [] for name in [*self.inputs, *(diffs or ())]}
        forward_batches = self._batch({name: kwargs[name] for name in self.inputs if name in kwargs})
        backward_batches = self._batch({name: kwargs[name] for name in self.outputs if name in kwargs})
        for inputs, top_diffs in zip_longest(forward_batches, backward_batches):
            for name, array in self.forward(blobs=blobs, **(inputs or {})).items():
                data[name].extend(array.copy())
            for name, array in self.backward(diffs=diffs, **(top_diffs or {})).items():
                gradients[name].extend(array.copy())
        return _without_padding(data, kwargs), _without_padding(gradients, kwargs)

    def _batch(self, blobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Batches of the size of the net's first blob; the last one is filled up with zeros."""
        if not blobs:
            return
        size = next(iter(self.blobs.values())).shape[0]
        for start in range(0, len(next(iter(blobs.values()))), size):
            batch = {name: array[start : start + size] for name, array in blobs.items()}
            missing = size - len(next(iter(batch.values())))
            if missing:
                batch = {
                    name: np.concatenate([rows, np.zeros((missing, *np.shape(rows)[1:]))])
                    for name, rows in batch.items()
                }
            yield batch

    @user_exceptions
    def reshape(self) -> None:
        """Carry new shapes of the inputs through all layers, without running them."""
        self._core.reshape()

    def clear_param_diffs(self) -> None:
        """Set the gradients of all learnable blobs to zero."""
        self._core.clear_param_diffs()

    def set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        """Give the MemoryData layer that is the net's first its arrays, which it uses as they are.

        Raises:
            RuntimeError: the first layer is of another type, or the arrays do not fit it.
        """
        if labels.ndim == 1:
            labels = np.ascontiguousarray(labels[:, np.newaxis, np.newaxis, np.newaxis])
        self._set_input_arrays(data, labels)

    def _set_input_arrays(self, data: np.ndarray, labels: np.ndarray) -> None:
        layer: Any = self._core.layers[0]
        if layer.type != "MemoryData":
            raise NetError("set_input_arrays may only be called if the first layer is a MemoryDataLayer")
        _check_array("data array", data, layer.shape)
        _check_array("labels array", labels, (1, 1, 1))
        if len(data) != len(labels):
            raise NetError("data and labels must have the same first dimension")
        if len(data) % layer.batch_size:
            raise NetError("first dimensions of input arrays must be a multiple of batch size")
        with self._core.lock:
            layer.reset(data, labels)

    # Functions that are called around each layer, with its index

    def before_forward(self, callback: Callable[[int], Any]) -> None:
        self._core.before_forward.append(callback)

    def after_forward(self, callback: Callable[[int], Any]) -> None:
        self._core.after_forward.append(callback)

    def before_backward(self, callback: Callable[[int], Any]) -> None:
        self._core.before_backward.append(callback)

    def after_backward(self, callback: Callable[[int], Any]) -> None:
        self._core.after_backward.append(callback)

    # Weights

    def copy_from(self, filename: str | os.PathLike[str]) -> None:
        """Copy the weights of a file into the layers of the same names."""
        self._core.load_weights(Path(os.fsdecode(filename)))

    load_hdf5 = copy_from

    def share_with(self, other: Net) -> None:
        """Use the other net's weights as this net's own, for layers of the same names."""
        self._core.share_trained_layers_with(other._core)

    def save(self, filename: str | os.PathLike[str]) -> None:
        """Write the net with its weights, as a `.caffemodel` whatever its name is."""
        self._core.save(os.fsdecode(filename), hdf5=False)

    def save_hdf5(self, filename: str | os.PathLike[str]) -> None:
        """Write the weights as HDF5."""
        self._core.save(os.fsdecode(filename), hdf5=True)


def _place(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise ValueError(f'the net has no layer "{name}"; its layers: {", ".join(names)}')
    return names.index(name)


def _given(arrays: Mapping[str, Any], names: Sequence[str]) -> str:
    return f"Given: {', '.join(arrays)}; the net's: {', '.join(names) or 'none'}."


def _without_padding(collected: Mapping[str, list[np.ndarray]], given: Mapping[str, Any]) -> Arrays:
    arrays = {name: np.asarray(rows) for name, rows in collected.items()}
    if not arrays or not given:
        return arrays
    padding = len(next(iter(arrays.values()))) - len(next(iter(given.values())))
    return {name: array[:-padding] for name, array in arrays.items()} if padding else arrays


def _check_array(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if not array.flags.c_contiguous:
        raise NetError(f"{name} must be C contiguous")
    if array.ndim != 4:
        raise NetError(f"{name} must be 4-d")
    if array.dtype != np.float32:
        raise NetError(f"{name} must be float32")
    for axis, what in enumerate(("number of channels", "height", "width")):
        if array.shape[axis + 1] != shape[axis]:
            raise NetError(f"{name} has wrong {what}: {array.shape[axis + 1]}, not {shape[axis]}")
