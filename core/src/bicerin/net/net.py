"""Net: layers and blobs, built from a prototxt and run forward and backward."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import numpy as np

import bicerin_proto
from bicerin.device.device import Device, get_device
from bicerin.errors import BicerinError, NetError, PluginError
from bicerin.layer.blob import Blob
from bicerin.layer.context import Context
from bicerin.layer.layer import Layer
from bicerin.layer.layer import layers as layer_registry
from bicerin.layer.phase import Phase
from bicerin.net.fusion import plan_fusion
from bicerin.net.gradients import plan_backward
from bicerin.net.hooks import implemented, plugins
from bicerin.net.parameters import Parameters
from bicerin.net.rules import check_propagate_down, filter_layers, net_state
from bicerin.net.shared_memory import DroppedBlob, Step, lasting, share_memory
from bicerin.net.splits import insert_splits
from bicerin.net.weights import LoadReport, load_weights, save_weights
from bicerin.schema.installed_schema import read_net

_log = logging.getLogger("bicerin.net")


class Net:
    """A network in one phase, on one device.

    Args:
        source: a path, the text of a prototxt, or a `NetParameter`. Older formats are upgraded. A `Document`, as
            `bicerin_proto.read_net` returns, is taken as it is.
        phase: TRAIN or TEST (a `Phase`, Caffe's number, or the name); by default what the net's `state` says, or TEST.
        weights: a `.caffemodel` or HDF5 file to load, or several.
        device: "cpu", "gpu", "gpu:1", ...
        dtype: of all blobs, float32 or float64.
        level, stages: the rest of the state that `include` and `exclude` rules are compared to.
        seed: of all randomness in the net: fillers, dropout, shuffling. None draws one.
        layer_providers: layer type -> distribution, where several installed ones bring the type.
        strict_device: make it an error that a layer has no implementation for the device.
        skip_bad_records: let data layers replace records that they cannot read.
        rank, replicas: which one this net is of several that train together, each on records of its own.
        root_net: a net of the same layers on the same device. Those whose `share_in_parallel` is true are not made
            anew: this net runs the root's own instances.
        optimize: for nets that only compute their outputs, in phase TEST: blobs that nobody reads share memory, and
            layers write at once what others would make of it. `blobs` then has values for the inputs, the outputs and
            those named in `keep`; to read another's is an error.

    Attributes:
        name, phase, device, dtype, directory: the directory of the prototxt, or None.
        blobs: name -> `Blob`, in the order in which the layers make them.
        layers, layer_names: the layers with the inserted Split layers, in the order in which they run.
        params: layer name -> its learnable blobs, for layers that have some.
        inputs, outputs: the blobs that Input layers make, and those that no layer reads.
        lock: held while the net runs, so that threads take turns; hold it to set blobs, run, and read blobs as one.
        before_forward, after_forward, before_backward, after_backward: lists of functions of a layer's index that are
            called around each layer.

    Raises:
        BicerinError: the net cannot be read or built; says where and why.
    """

    def __init__(
        self,
        source: Any,
        phase: Any = None,
        weights: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
        device: str | Device = "cpu",
        dtype: Any = np.float32,
        level: int | None = None,
        stages: Sequence[str] | None = None,
        *,
        seed: int | None = None,
        layer_providers: Mapping[str, str] | None = None,
        strict_device: bool = False,
        skip_bad_records: bool = False,
        rank: int = 0,
        replicas: int = 1,
        root_net: Net | None = None,
        optimize: bool = False,
        keep: Sequence[str] = (),
    ) -> None:
        if isinstance(source, bicerin_proto.Document):
            document = source
        else:
            document = read_net(source, layer_providers)
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.float32, np.float64):
            raise NetError(f"dtype {self.dtype} is not supported: blobs are float32 or float64.")
        if not 0 <= rank < replicas:
            raise NetError(f"rank {rank} is not one of {replicas} replica(s), which count from 0.")
        self.device = get_device(device)
        self.directory: Path | None = document.path.parent if document.path is not None else None
        self.before_forward: list[Callable[[int], None]] = []
        self.after_forward: list[Callable[[int], None]] = []
        self.before_backward: list[Callable[[int], None]] = []
        self.after_backward: list[Callable[[int], None]] = []
        self._layer_providers = dict(layer_providers or {})
        self._root_net = root_net
        self.lock = threading.RLock()

        self.param = document.message
        state = self._state(phase, level, stages)
        self.name: str = self.param.name
        locations = [document.location(index) for index in range(len(self.param.layer))]
        kept = filter_layers(self.param, state, locations)
        definitions, locations = insert_splits(
            [self.param.layer[index] for index in kept], [locations[index] for index in kept]
        )
        context = Context(
            self.phase,
            self.device,
            self.dtype,
            directory=self.directory,
            net_name=self.name,
            strict_device=strict_device,
            skip_bad_records=skip_bad_records,
            rank=rank,
            replicas=replicas,
        )
        self._build(definitions, locations, context, np.random.SeedSequence(seed))
        self._optimized = optimize
        self._fuse(self._drop(keep) if optimize else ())
        self._per_layer_hooks = implemented("bicerin_before_layer") or implemented("bicerin_after_layer")
        if weights is not None:
            for path in [weights] if isinstance(weights, (str, PathLike)) else weights:
                self.load_weights(path)
        plugins().hook.bicerin_net_built(net=self)

    def _state(self, phase: Any, level: int | None, stages: Sequence[str] | None) -> Any:
        state = net_state(self.param, phase, level, stages)
        self.phase = Phase(state.phase)
        return state

    # Building

    def _build(
        self, definitions: Sequence[Any], locations: Sequence[str], context: Context, seed: np.random.SeedSequence
    ) -> None:
        self.blobs: dict[str, Blob] = {}
        self.layers: list[Layer] = []
        self.layer_names: list[str] = []
        self.params: dict[str, list[Blob]] = {}
        self.inputs: list[str] = []
        self._bottoms: list[list[Blob]] = []
        self._tops: list[list[Blob]] = []
        self.bottom_names: list[list[str]] = []
        self.top_names: list[list[str]] = []
        self._parameters = Parameters()
        unread: set[str] = set()
        learns: list[bool] = []
        for definition, location, layer_seed in zip(definitions, locations, seed.spawn(len(definitions)), strict=True):
            if not definition.HasField("phase"):
                definition.phase = self.phase
            check_propagate_down(definition, location)
            random = np.random.Generator(np.random.PCG64(layer_seed))
            shared = self._shared_layer(definition)
            layer = shared or self._make_layer(
                definition, replace(context, location=location, random=random, phase=Phase(definition.phase))
            )
            bottom = [self.blobs[name] for name in definition.bottom]
            unread.difference_update(definition.bottom)
            top = self._make_tops(layer, definition, bottom, location)
            unread.update(definition.top)
            if shared is not None:
                layer.set_up_shared(bottom, top)
            else:
                layer.set_up(bottom, top)
            self.layers.append(layer)
            self.layer_names.append(layer.name)
            self._bottoms.append(bottom)
            self._tops.append(top)
            self.bottom_names.append(list(definition.bottom))
            self.top_names.append(list(definition.top))
            if layer.type == "Input":
                self.inputs.extend(definition.top)
            learns.append(self._parameters.add_layer(layer, layer.param, location))
            if layer.blobs:
                self.params[layer.name] = layer.blobs
            if any(map(layer.loss, range(len(top)))):
                _log.debug('layer "%s" contributes to the loss', layer.name)
        self.outputs = sorted(unread)
        self._wants_backward, self._propagate_down = plan_backward(
            self.layers, definitions, self.bottom_names, self.top_names, learns, self.param.force_backward
        )

    def _shared_layer(self, definition: Any) -> Layer | None:
        """The root net's layer, if there is one to share."""
        root = self._root_net
        if root is None or definition.name not in root.layer_names:
            return None
        layer = root.layer(definition.name)
        if layer.type != definition.type or not layer.share_in_parallel():
            return None
        if root.device is not self.device:
            raise NetError(f'layer "{layer.name}" cannot be shared by nets on {root.device} and {self.device}.')
        return layer

    def _fuse(self, dropped: Collection[int]) -> None:
        """Plan a whole forward pass, in which layers do the work of others, and dropped blobs share memory."""
        plan = plan_fusion(self.layers, self._bottoms, self._tops, self._wants_backward, dropped)
        self._epilogues = [(self.layers[f.producer], [self.layers[i] for i in f.absorbed]) for f in plan]
        self._fused = False
        self._steps: list[Step] = list(zip(self.layers, self._bottoms, self._tops, strict=True))
        tops = {fusion.producer: [fusion.top] for fusion in plan}
        absorbed = {index for fusion in plan for index in fusion.absorbed}
        self._fused_steps: list[Step] = [
            (layer, bottom, tops.get(index, top))
            for index, (layer, bottom, top) in enumerate(self._steps)
            if index not in absorbed
        ]
        if dropped:
            blobs = [blob for _, bottom, top in self._steps for blob in (*bottom, *top)]
            share_memory(self._fused_steps, [blob for blob in blobs if id(blob) not in dropped])

    def _drop(self, keep: Sequence[str]) -> set[int]:
        """Put a `DroppedBlob` in the place of each blob that nobody reads; the ids of those blobs."""
        if self.phase is not Phase.TEST:
            raise NetError("optimize=True is for nets in phase TEST: a backward pass reads what the forward pass left.")
        steps = zip(self.layers, self._bottoms, self._tops, strict=True)
        kept = [self.blob(name) for name in (*self.inputs, *self.outputs, *keep)] + lasting(steps)
        kept += [blob for blobs in self.params.values() for blob in blobs]
        memories = {id(blob.memory[0]) for blob in kept}
        gone = {name: blob for name, blob in self.blobs.items() if id(blob.memory[0]) not in memories}
        self.blobs.update({name: cast(Blob, DroppedBlob(blob)) for name, blob in gone.items()})
        return {id(blob) for blob in gone.values()}

    def _make_layer(self, definition: Any, context: Context) -> Layer:
        try:
            cls = layer_registry.load(definition.type, self._layer_providers)
        except PluginError as error:
            located = type(error)(f'{context.location}: layer "{definition.name}": {error}')
            raise located from error.__cause__
        try:
            layer: Layer = cls(definition, context)
        except BicerinError as error:
            raise type(error)(f'{context.location}: layer "{definition.name}" ({definition.type}): {error}') from error
        return layer

    def _make_tops(self, layer: Layer, definition: Any, bottom: Sequence[Blob], location: str) -> list[Blob]:
        top = []
        for index, name in enumerate(definition.top):
            if index < len(definition.bottom) and definition.bottom[index] == name:
                top.append(bottom[index])
                continue
            if name in self.blobs:
                raise NetError(
                    f"{location}: Top blob '{name}' produced by multiple sources: layer \"{layer.name}\" and layer "
                    f'"{self._producer(name)}". Only a layer whose bottom and top stand at the same place may work in '
                    "place."
                )
            blob = Blob((), self.dtype, self.device, name)
            self.blobs[name] = blob
            top.append(blob)
        if layer.counts.auto_top:
            while len(top) < layer.counts.top.least:
                top.append(Blob((), self.dtype, self.device, "(automatic)"))
        return top

    def _producer(self, blob: str) -> str:
        return next(name for name, tops in zip(self.layer_names, self.top_names, strict=True) if blob in tops)

    # Running

    def forward(
        self, blobs: Iterable[str] = (), start: str | None = None, end: str | None = None, **inputs: Any
    ) -> dict[str, np.ndarray]:
        """Set the inputs, run the layers, and return copies of the outputs by name.

        Args:
            blobs: names of further blobs to return.
            start, end: names of the first and the last layer to run; by default, all.
            inputs: an array for each input blob that is to change, by name. A blob takes the array's shape.

        Raises:
            NetError: there is no such blob or layer.
            LayerError: a layer cannot run, as when the shapes do not fit.
        """
        with self.lock:
            for name, array in inputs.items():
                if name not in self.blobs:
                    raise NetError(f'the net has no blob "{name}"; its inputs: {", ".join(self.inputs) or "none"}.')
                array = np.asarray(array)
                if array.shape != self.blobs[name].shape:
                    self.blobs[name].reshape(*array.shape)
                self.blobs[name].data[...] = array
            last = self.layer_index(end) + 1 if end is not None else len(self.layers)
            self.run_forward(self.layer_index(start) if start is not None else 0, last)
            wanted = list(self.top_names[last - 1] if end is not None else self.outputs)
            return {name: self.blob(name).cpu_data.copy() for name in dict.fromkeys([*wanted, *blobs])}

    def backward(
        self, diffs: Iterable[str] = (), start: str | None = None, end: str | None = None, **top_diffs: Any
    ) -> dict[str, np.ndarray]:
        """Set gradients, run the layers backward, and return copies of the inputs' gradients by name.

        Args:
            diffs: names of further blobs whose gradients to return.
            start, end: names of the layers to begin with (the later one) and to end with; by default, all.
            top_diffs: an array for each blob whose gradient is to be set before.
        """
        with self.lock:
            for name, array in top_diffs.items():
                blob = self.blob(name)
                array = np.asarray(array)
                if array.shape != blob.shape:
                    raise NetError(f'the gradient of "{name}" must have the shape {blob.shape}, not {array.shape}.')
                blob.diff[...] = array
            first = self.layer_index(start) if start is not None else len(self.layers) - 1
            last = self.layer_index(end) if end is not None else 0
            self.run_backward(first, last)
            wanted = list(self.bottom_names[last] if end is not None else self.inputs)
            return {name: self.blob(name).cpu_diff.copy() for name in dict.fromkeys([*wanted, *diffs])}

    def run_forward(self, start: int = 0, end: int | None = None) -> float:
        """Run layers `start` up to, not including, `end`; returns their weighted loss.

        Infinite values and NaN travel on without a word, here and backward, as in Caffe.
        """
        end = len(self.layers) if end is None else end
        if start and self._optimized:
            raise NetError("a net built with optimize=True runs from its first layer: what lies between is not kept.")
        with self.lock, np.errstate(all="ignore"):
            if self._per_layer_hooks or self.before_forward or self.after_forward:
                return self._run_forward_observed(start, end)
            # Somebody who stops half-way sees each blob as it is there.
            fused = start == 0 and end == len(self.layers)
            self._set_epilogues(fused)
            loss = 0.0
            for layer, bottom, top in self._fused_steps if fused else self._steps[start:end]:
                loss += layer.forward(bottom, top)
            return loss

    def _set_epilogues(self, fused: bool) -> None:
        if fused != self._fused:
            self._fused = fused
            for layer, epilogue in self._epilogues:
                layer.epilogue = epilogue if fused else ()

    def _run_forward_observed(self, start: int, end: int) -> float:
        self._set_epilogues(False)
        loss = 0.0
        hook = plugins().hook
        for index in range(start, end):
            layer = self.layers[index]
            for callback in self.before_forward:
                callback(index)
            if self._per_layer_hooks:
                hook.bicerin_before_layer(net=self, index=index, layer=layer)
            loss += layer.forward(self._bottoms[index], self._tops[index])
            if self._per_layer_hooks:
                hook.bicerin_after_layer(net=self, index=index, layer=layer)
            for callback in self.after_forward:
                callback(index)
        return loss

    def run_backward(self, start: int | None = None, end: int = 0) -> None:
        """Run layers backward from `start` (by default the last) down to and including `end`."""
        start = len(self.layers) - 1 if start is None else start
        if self._optimized:
            raise NetError("a net built with optimize=True has no backward pass: what it would read is not kept.")
        with self.lock, np.errstate(all="ignore"):
            for index in range(start, end - 1, -1):
                for callback in self.before_backward:
                    callback(index)
                if self._wants_backward[index]:
                    self.layers[index].backward(self._tops[index], self._propagate_down[index], self._bottoms[index])
                for callback in self.after_backward:
                    callback(index)

    def forward_backward(self) -> float:
        """One pass each way; returns the weighted loss."""
        with self.lock:
            loss = self.run_forward()
            self.run_backward()
            return loss

    def reshape(self) -> None:
        """Carry new shapes of the inputs through all layers, without running them."""
        with self.lock:
            for layer, bottom, top in zip(self.layers, self._bottoms, self._tops, strict=True):
                layer.carry_shapes(bottom, top)

    # Looking things up

    def blob(self, name: str) -> Blob:
        """The blob of that name.

        Raises:
            NetError: there is none.
        """
        try:
            return self.blobs[name]
        except KeyError:
            raise NetError(f'the net has no blob "{name}"; it has: {", ".join(self.blobs)}.') from None

    def layer_index(self, name: str) -> int:
        """The place of the layer of that name.

        Raises:
            NetError: there is none.
        """
        try:
            return self.layer_names.index(name)
        except ValueError:
            raise NetError(f'the net has no layer "{name}"; it has: {", ".join(self.layer_names)}.') from None

    def layer(self, name: str) -> Layer:
        return self.layers[self.layer_index(name)]

    def bottoms(self, index: int) -> list[Blob]:
        """The blobs that a layer reads."""
        return self._bottoms[index]

    def tops(self, index: int) -> list[Blob]:
        """The blobs that a layer writes, automatic ones included."""
        return self._tops[index]

    def wants_backward(self, index: int) -> bool:
        """Whether `run_backward` runs a layer."""
        return self._wants_backward[index]

    def propagate_down(self, index: int) -> list[bool]:
        """For each bottom of a layer, whether its gradient is computed."""
        return list(self._propagate_down[index])

    def loss_weight(self, blob: str) -> float:
        """The weight of a blob in the net's loss; 0 for one that is no loss."""
        for layer, names in zip(self.layers, self.top_names, strict=True):
            for position, name in enumerate(names):
                if name == blob and layer.loss(position):
                    return layer.loss(position)
        return 0.0

    # Learning

    @property
    def learnable_params(self) -> list[Blob]:
        """The learnable blobs, each once: of blobs that share memory, the first."""
        return [parameter.blob for parameter in self._parameters.learnable]

    @property
    def params_lr(self) -> list[float]:
        """The `lr_mult` of each learnable blob; 1 where none is given."""
        return [1.0 if p.lr_mult is None else p.lr_mult for p in self._parameters.learnable]

    @property
    def params_weight_decay(self) -> list[float]:
        """The `decay_mult` of each learnable blob; 1 where none is given."""
        return [1.0 if p.decay_mult is None else p.decay_mult for p in self._parameters.learnable]

    def owns(self, blob: Blob) -> bool:
        """Whether a layer's blob is the first that uses its memory."""
        return self._parameters.of_blob[id(blob)].blob is blob

    def clear_param_diffs(self, later: bool = False) -> None:
        """Set the gradients of all learnable blobs to zero, or with `later`, as they are next asked for."""
        for parameter in self._parameters.learnable:
            parameter.blob.clear_diff(later)

    def update(self) -> None:
        """Subtract each learnable blob's diff from its data."""
        for parameter in self._parameters.learnable:
            blob = parameter.blob
            if blob.device.is_host:
                np.subtract(blob.data, blob.cpu_diff, out=blob.data)
            else:
                with blob.device.current():
                    data = blob.gpu_data
                    data -= blob.gpu_diff

    def share_trained_layers_with(self, other: Net) -> None:
        """Use the other net's weights as this net's own, for layers of the same names.

        Raises:
            WeightsError: a layer's blobs differ in number or shape.
        """
        from bicerin.errors import WeightsError

        for name, blobs in self.params.items():
            theirs = other.params.get(name)
            if theirs is None:
                continue
            if [blob.shape for blob in blobs] != [blob.shape for blob in theirs]:
                raise WeightsError(
                    f'cannot share the weights of layer "{name}": shapes {[blob.shape for blob in theirs]} there, '
                    f"{[blob.shape for blob in blobs]} here."
                )
            for mine, source in zip(blobs, theirs, strict=True):
                mine.share_data(source)

    # Weights and state

    def load_weights(self, source: Any, ignore_mismatched: bool = False) -> LoadReport:
        """Copy the weights of a file into the layers of the same names; see `LoadReport`.

        Args:
            source: a `.caffemodel` or HDF5 file, bytes, or a NetParameter.
            ignore_mismatched: leave layers whose shapes differ as they are and report them.

        Raises:
            ProtoError: the file is missing or not readable.
            WeightsError: a layer's blobs differ in number or shape; the net is unchanged.
        """
        with self.lock:
            report = load_weights(self, source, ignore_mismatched)
        _log.log(logging.WARNING if report.missing and not report.copied else logging.INFO, "%s", report)
        return report

    def save(self, path: str | PathLike[str], write_diff: bool = False, hdf5: bool | None = None) -> Path:
        """Write the net with its weights, atomically: a `.caffemodel`, or HDF5 if asked for or named `.h5`."""
        return save_weights(self, path, write_diff, hdf5)

    def to_proto(self, write_diff: bool = False) -> Any:
        """A NetParameter with every layer that runs and its blobs."""
        message = type(self.param)(name=self.name)
        for layer in self.layers:
            message.layer.add().CopyFrom(layer.to_proto(write_diff))
        return message

    def seed(self, seed: int) -> None:
        """Let the random generators of all layers start anew; weights stay as they are."""
        for layer, layer_seed in zip(self.layers, np.random.SeedSequence(seed).spawn(len(self.layers)), strict=True):
            layer.context.random.bit_generator.state = np.random.PCG64(layer_seed).state

    def close(self) -> None:
        """Let go of what the layers hold, such as threads and files. A net that is deleted does so by itself."""
        for layer in self.layers:
            layer.close()

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def state(self) -> dict[str, Any]:
        """What the layers need, besides weights, to go on exactly: JSON values."""
        states = {}
        for index, layer in enumerate(self.layers):
            state = layer.state()
            if state is not None:
                states[f"{index}:{layer.name}"] = dict(state)
        return states

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; layers that it does not name stay as they are."""
        for index, layer in enumerate(self.layers):
            found = state.get(f"{index}:{layer.name}")
            if found is not None:
                layer.restore_state(found)
