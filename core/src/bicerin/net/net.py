"""Net: layers and blobs, built from a prototxt and run forward and backward."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

import bicerin_proto
from bicerin.device.device import Device, get_device
from bicerin.discovery.configuration import ignoring_unknown_options, reading_as
from bicerin.errors import NetError
from bicerin.layer.abilities import TakesTurns
from bicerin.layer.blob import Blob
from bicerin.layer.blob_list import BlobList
from bicerin.layer.context import Context
from bicerin.layer.handed_out import handed_out
from bicerin.layer.layer import Layer
from bicerin.layer.phase import Phase
from bicerin.net.builder import Builder
from bicerin.net.by_name import ByName
from bicerin.net.fusion import FusedPass
from bicerin.net.gradients import plan_backward
from bicerin.net.hooks import implemented, plugins, warnings_of
from bicerin.net.net_input import input_array
from bicerin.net.node import Node
from bicerin.net.overwritten import overwritten_tops
from bicerin.net.rules import filter_layers, left_out, net_state
from bicerin.net.runtime import Runtime, get_runtime
from bicerin.net.runtime_pass import RuntimePass, Step
from bicerin.net.shared_memory import SharedMemory, drop_blobs, lasting
from bicerin.net.splits import insert_splits
from bicerin.net.summary import LayerSummary, NetSummary
from bicerin.net.training_pass import TrainingPass
from bicerin.net.weights import LoadReport, load_weights, repeated_names, save_hdf5
from bicerin.schema.installed_schema import read_net
from bicerin_proto.quotation import printable

_log = logging.getLogger("bicerin.net")


def _dtype(dtype: Any) -> np.dtype[Any]:
    with contextlib.suppress(TypeError):
        found = np.dtype(dtype)
        if found in (np.float32, np.float64):
            return found
    raise NetError(f"dtype {dtype!r} is not supported: blobs are float32 or float64.")


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
        schema: the fork whose numbers a binary net has, such as "c3d", or the package that knows them; by default that
            follows from what is in it. Text needs none.
        ignore_unknown_options: compute without options that no installed layer knows, with a warning; by default such
            an option, in a net that is read here, is an error where it would change what is computed.
        skip_bad_records: let data layers replace records that they cannot read.
        rank, replicas: which one this net is of several that train together, each on records of its own.
        root_net: a net of the same layers on the same device. Those whose `share_in_parallel` is true are not made
            anew: this net runs the root's own instances.
        optimize: for nets that only compute their outputs, in phase TEST: blobs that nobody reads share memory, and
            layers write at once what others would make of it. `blobs` then has values for the inputs, the outputs and
            those named in `keep`; to read another's is an error.
        keep: further blobs that are to have values, with `optimize` or `runtime`; without, all have.
        runtime: what computes the layers, as far as it can, for nets that only compute their outputs: "onnxruntime",
            "openvino", or another that is installed; see `bicerin.net.runtime`. Layers that it does not compute run
            here. As with `optimize`, what lies within it has no values to read. Each program is compiled when it is
            first run, with the weights that the net has then; other weights, and inputs of other shapes, compile it
            anew.

    Attributes:
        name, phase, device, dtype, directory: the directory of the prototxt, or None.
        blobs: name -> `Blob`, in the order in which the layers make them.
        nodes: the layers with the inserted Split layers, each with its blobs, in the order in which they run.
        params: layer name -> its learnable blobs, for layers that have some.
        inputs, outputs: the blobs that Input layers make, and those that no layer reads.
        optimized: whether it was built with `optimize` or `runtime`, so that inner blobs have no values to read.
        runtime: the `Runtime`; None where the layers compute all.
        steps: for a net with a runtime, what runs there and what here; else empty.
        refusals: for a net with a runtime, the names of layers that run here -> why.
        lock: held while the net runs, so that threads take turns; hold it to set blobs, run, and read blobs as one.
        before_forward, after_forward, before_backward, after_backward: lists of functions of a layer's index that are
            called around each layer.
        gradients_ready: a list of functions of a layer's index that are called in a backward pass when the gradients of
            its parameters are complete.

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
        schema: str | None = None,
        ignore_unknown_options: bool = False,
        skip_bad_records: bool = False,
        rank: int = 0,
        replicas: int = 1,
        root_net: Net | None = None,
        optimize: bool = False,
        keep: Sequence[str] = (),
        runtime: str | Runtime | None = None,
    ) -> None:
        if isinstance(source, bicerin_proto.Document):
            document = source
        else:
            with reading_as(schema), ignoring_unknown_options(ignore_unknown_options):
                document = read_net(source, layer_providers)
        self.dtype = _dtype(dtype)
        if not 0 <= rank < replicas:
            raise NetError(f"rank {rank} is not one of {replicas} replica(s), which count from 0.")
        self.device = get_device(device)
        self.runtime = get_runtime(runtime) if runtime is not None else None
        self.directory: Path | None = document.path.parent if document.path is not None else None
        self.before_forward: list[Callable[[int], None]] = []
        self.after_forward: list[Callable[[int], None]] = []
        self.before_backward: list[Callable[[int], None]] = []
        self.after_backward: list[Callable[[int], None]] = []
        self.gradients_ready: list[Callable[[int], None]] = []
        self.lock = threading.RLock()

        self.param = document.message
        state = self._state(phase, level, stages)
        self.name: str = self.param.name
        locations = [document.location(index) for index in range(len(self.param.layer))]
        kept = filter_layers(self.param, state, locations)
        definitions, locations = insert_splits(
            [self.param.layer[index] for index in kept],
            [locations[index] for index in kept],
            left_out(self.param, state, locations),
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
        root = {node.name: node for node in root_net.nodes} if root_net is not None else {}
        self._build(Builder(context, layer_providers, root.get), definitions, locations, _seeded(seed))
        keep = (keep,) if isinstance(keep, str) else keep
        for name in keep:  # also where all are kept
            self.blob(name)
        self.optimized = optimize or self.runtime is not None
        dropped = self._drop(keep) if optimize else set()
        self._runtime_pass = self._cut(self.runtime, optimize, keep) if self.runtime is not None else None
        self._fused_pass = FusedPass(self.nodes, dropped, self.dtype)
        if dropped:
            blobs = [blob for node in self.nodes for blob in (*node.bottom, *node.top)]
            lasting_blobs = [blob for blob in blobs if id(blob) not in dropped]
            self._fused_pass.share(SharedMemory(self._fused_pass.nodes, self.nodes, lasting_blobs))
        self._training_pass: TrainingPass | None = None
        self._per_layer_hooks = implemented("bicerin_before_layer") or implemented("bicerin_after_layer")
        if weights is not None:
            for path in [weights] if isinstance(weights, (str, PathLike)) else weights:
                self.load_weights(path)
        for problem in warnings_of([node.param for node in self.nodes]):
            _log.warning("%s", problem)
        plugins().hook.bicerin_net_built(net=self)

    def __repr__(self) -> str:
        def described(names: Sequence[str]) -> str:
            return ", ".join(f"{printable(name)} {self.blobs[name].shape}" for name in names) or "nothing"

        return (
            f"Net({printable(self.name)!r}, {self.phase.name}, {self.device!r}: {len(self.nodes)} layers, "
            f"{described(self.inputs)} -> {described(self.outputs)})"
        )

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def summary(self) -> NetSummary:
        """The layers with their shapes, parameters and costs: `print(net.summary())`."""
        return NetSummary(repr(self), [LayerSummary.of(node, self.owns) for node in self.nodes])

    def _state(self, phase: Any, level: int | None, stages: Sequence[str] | None) -> Any:
        state = net_state(self.param, phase, level, stages)
        self.phase = Phase(state.phase)
        return state

    # Building

    def _build(
        self, builder: Builder, definitions: Sequence[Any], locations: Sequence[str], seed: np.random.SeedSequence
    ) -> None:
        for definition, location, layer_seed in zip(definitions, locations, seed.spawn(len(definitions)), strict=True):
            builder.add(definition, location, np.random.Generator(np.random.PCG64(layer_seed)))
        self.nodes: list[Node] = builder.nodes
        blobs = {name: handed_out(blob) for name, blob in builder.blobs.items()}
        self.blobs: dict[str, Blob] = ByName.of("the net has no blob", blobs)
        params = {node.name: BlobList(handed_out(blob) for blob in node.blobs) for node in self.nodes if node.blobs}
        self.params: dict[str, BlobList] = ByName.of("no layer with weights is named", params)
        for problem in repeated_names(self.nodes):
            _log.warning("%s", problem)
        self._parameters = builder.parameters
        self.inputs: list[str] = [name for node in self.nodes if node.type == "Input" for name in node.top_names]
        unread: set[str] = set()
        for node in self.nodes:
            unread.difference_update(node.bottom_names)
            unread.update(node.top_names)
        self.outputs = sorted(unread)
        plan_backward(self.nodes, self.param.force_backward)
        if self.phase is Phase.TRAIN or self.param.force_backward:
            for problem in overwritten_tops(self.nodes):
                _log.warning("%s", problem)

    def _drop(self, keep: Sequence[str]) -> set[int]:
        """Put a `DroppedBlob` in the place of each blob that nobody reads; the ids of those blobs."""
        if self.phase is not Phase.TEST:
            raise NetError("optimize=True is for nets in phase TEST: a backward pass reads what the forward pass left.")
        kept = [self.blob(name) for name in (*self.inputs, *self.outputs, *keep)] + lasting(self.nodes)
        kept += [blob for blobs in self.params.values() for blob in blobs]
        memories = {id(blob.memory[0]) for blob in kept}
        return drop_blobs(self.blobs, lambda blob: id(blob.memory[0]) not in memories, "optimize=True")

    def _cut(self, runtime: Runtime, optimize: bool, keep: Sequence[str]) -> RuntimePass:
        """Cut the pass, and put a `DroppedBlob` in the place of each blob that a runtime keeps for itself."""
        asked = f'runtime="{runtime.name}"'
        if self.phase is not Phase.TEST:
            raise NetError(f"{asked} is for nets in phase TEST: it has no backward pass.")
        if optimize:
            raise NetError(f"{asked} with optimize=True: give one of them; a runtime has optimizations of its own.")
        if not self.device.is_host or self.dtype != np.float32:
            raise NetError(
                f"{asked} takes and gives arrays of float32 on the host; the net is {self.dtype} on {self.device!r}."
            )
        # Inputs that a layer works on in place are written as anywhere: they are the user's to fill and to read.
        found = RuntimePass(self.nodes, runtime, {*self.inputs, *self.outputs, *keep})
        there = found.values()
        drop_blobs(self.blobs, lambda blob: id(blob) not in there, asked)
        return found

    @property
    def steps(self) -> Sequence[Step]:
        return tuple(self._runtime_pass.steps) if self._runtime_pass is not None else ()

    @property
    def refusals(self) -> Mapping[str, str]:
        return self._runtime_pass.refusals if self._runtime_pass is not None else {}

    # Running

    def forward(
        self,
        blobs: Iterable[str] | Mapping[str, Any] = (),
        start: str | None = None,
        end: str | None = None,
        **inputs: Any,
    ) -> dict[str, np.ndarray]:
        """Set the inputs, run the layers, and return copies of the outputs by name.

        Args:
            blobs: names of further blobs to return; or a mapping of inputs, for names that Python has no keywords for.
            start, end: names of the first and the last layer to run; by default, all.
            inputs: an array for each input blob that is to change, by name. A blob takes the array's shape. With
                `start`, blobs that earlier layers make are inputs too.

        Raises:
            NetError: there is no such blob or layer, or `start` comes after `end`.
            LayerError: a layer cannot run, as when the shapes do not fit.
        """
        if isinstance(blobs, (dict, Mapping)):  # a dict is found at once, a Mapping by its abstract class
            inputs, blobs = {**blobs, **inputs}, ()
        elif isinstance(blobs, str):
            blobs = (blobs,)
        elif not isinstance(blobs, (tuple, list, Iterable)) or isinstance(blobs, np.ndarray):
            raise NetError(f"give arrays by the names of the inputs, as in {self._example()}.")
        with self.lock:
            first = self.layer_index(start) if start is not None else 0
            last = self.layer_index(end) + 1 if end is not None else len(self.nodes)
            if first >= last and self.nodes:
                raise NetError(f'start="{start}" comes after end="{end}": no layer would run.')
            for name, array in inputs.items():
                self._set_input(name, array, first)
            self.run_forward(first, last)
            wanted = list(self.nodes[last - 1].top_names if end is not None else self.outputs)
            return {name: self.blob(name).blob.read_only.data.copy() for name in dict.fromkeys([*wanted, *blobs])}

    def _set_input(self, name: str, value: Any, first: int) -> None:
        """Put an array into a blob that the layers from `first` on read and do not make."""
        if name not in self.blobs:
            raise NetError(f'the net has no blob "{name}"; its inputs: {", ".join(self.inputs) or "none"}.')
        if first or name not in self.inputs:
            maker = next((node for node in self.nodes[first:] if name in node.top_names), None)
            if maker is not None and maker.type != "Input":
                raise NetError(
                    f'"{name}" is not an input: layer "{maker.name}" would write over it. The inputs: '
                    f"{', '.join(self.inputs) or 'none'}; with start= also what the layers before that make."
                )
        blob = self.blobs[name].blob
        array = input_array(name, blob.shape, value)
        if array.shape != blob.shape:
            blob.reshape(*array.shape)
        blob.data[...] = array

    def _example(self) -> str:
        return f"net.forward({self.inputs[0] if self.inputs else 'data'}=array)"

    def backward(
        self, diffs: Iterable[str] = (), start: str | None = None, end: str | None = None, **top_diffs: Any
    ) -> dict[str, np.ndarray]:
        """Set gradients, run the layers backward, and return copies of the inputs' gradients by name.

        Args:
            diffs: names of further blobs whose gradients to return.
            start, end: names of the layers to begin with (the later one) and to end with; by default, all.
            top_diffs: an array for each blob whose gradient is to be set before.

        Raises:
            NetError: there is no such blob or layer, `start` comes before `end`, or a gradient has another shape.
        """
        with self.lock:
            first = self.layer_index(start) if start is not None else len(self.nodes) - 1
            last = self.layer_index(end) if end is not None else 0
            if first < last:
                raise NetError(f'backward from start="{start}", which comes before end="{end}": no layer would run.')
            for name, array in top_diffs.items():
                blob = self.blob(name)
                array = np.asarray(array)
                if array.shape != blob.shape:
                    raise NetError(f'the gradient of "{name}" must have the shape {blob.shape}, not {array.shape}.')
                blob.diff[...] = array
            self.run_backward(first, last)
            wanted = list(self.nodes[last].bottom_names if end is not None else self.inputs)
            return {name: self.blob(name).read_only.diff.copy() for name in dict.fromkeys([*wanted, *diffs])}

    def run_forward(self, start: int = 0, end: int | None = None) -> float:
        """Run layers `start` up to, not including, `end`; returns their weighted loss.

        Infinite values and NaN travel on without a word, here and backward, as in Caffe.
        """
        end = len(self.nodes) if end is None else end
        if self._runtime_pass is not None:
            return self._run_steps(self._runtime_pass, start, end)
        if start and self.optimized:
            raise NetError("a net built with optimize=True runs from its first layer: what lies between is not kept.")
        with self.lock, np.errstate(all="ignore"):
            if self._training_pass is not None:
                self._training_pass.end()
                self._training_pass.ran_last = self._training_pass.ran_last and start > 0
            if self._per_layer_hooks or self.before_forward or self.after_forward:
                return self._run_forward_observed(start, end)
            # Somebody who stops half-way sees each blob as it is there.
            fused = start == 0 and end == len(self.nodes)
            self._fused_pass.begin(fused)
            if fused:
                return self._fused_pass.run()
            return sum(node.forward() for node in self.nodes[start:end])

    def _run_forward_observed(self, start: int, end: int) -> float:
        self._fused_pass.begin(False)
        loss = 0.0
        for index in range(start, end):
            self._before(index)
            loss += self.nodes[index].forward()
            self._after(index)
        return loss

    def _run_steps(self, whole: RuntimePass, start: int, end: int) -> float:
        if start or end < len(self.nodes):
            raise NetError(
                f'a net built with runtime="{whole.runtime.name}" runs from its first layer to its last; blobs between '
                "them have values where they are named in keep=[...]."
            )
        with self.lock:
            if not (self._per_layer_hooks or self.before_forward or self.after_forward):
                return whole.forward()
            return self._run_steps_observed(whole)

    def _run_steps_observed(self, whole: RuntimePass) -> float:
        with np.errstate(all="ignore"):
            places = {id(node): index for index, node in enumerate(self.nodes)}
            loss = 0.0
            for step in whole.steps:
                indices = [places[id(node)] for node in step.nodes]
                groups = [(indices, step.forward)] if step.runtime else [([i], self.nodes[i].forward) for i in indices]
                for group, forward in groups:
                    for index in group:
                        self._before(index)
                    loss += forward()
                    for index in group:
                        self._after(index)
            return loss

    def _before(self, index: int) -> None:
        for callback in self.before_forward:
            callback(index)
        if self._per_layer_hooks:
            plugins().hook.bicerin_before_layer(net=self, index=index, layer=self.nodes[index].layer)

    def _after(self, index: int) -> None:
        if self._per_layer_hooks:
            plugins().hook.bicerin_after_layer(net=self, index=index, layer=self.nodes[index].layer)
        for callback in self.after_forward:
            callback(index)

    def run_backward(self, start: int | None = None, end: int = 0) -> None:
        """Run layers backward from `start` (by default the last) down to and including `end`."""
        start = len(self.nodes) - 1 if start is None else start
        if self.optimized:
            asked = "optimize=True" if self.runtime is None else f'runtime="{self.runtime.name}"'
            raise NetError(f"a net built with {asked} has no backward pass: what it would read is not kept.")
        with self.lock, np.errstate(all="ignore"):
            if self._training_pass is not None and self._training_pass.ran_last:
                raise NetError(
                    "a pass that does not keep gradients, as in a solver's steps, leaves nothing for a backward pass "
                    "by itself: run forward() before."
                )
            for index in range(start, end - 1, -1):
                for callback in self.before_backward:
                    callback(index)
                if self.nodes[index].wants_backward:
                    self.nodes[index].backward()
                for callback in (*self.gradients_ready, *self.after_backward):
                    callback(index)

    def forward_backward(self, *, keep_gradients: bool = True) -> float:
        """One pass each way; returns the weighted loss.

        Args:
            keep_gradients: whether the gradients of blobs are there to read afterwards, as in Caffe. If not, on the
                host and where no function or hook is called around layers, the blobs share memory for them, but for
                those of which somebody holds the array, and layers are put together. Gradients of parameters and
                values of blobs are there in any case. What is computed is the same to rounding.
        """
        with self.lock:
            if keep_gradients or not self._may_train_together():
                loss = self.run_forward()
                self.run_backward()
                return loss
            if self._training_pass is None:
                self._training_pass = TrainingPass(self.nodes, self._fused_pass)
            with np.errstate(all="ignore"):
                return self._training_pass.run(self.gradients_ready)

    def _may_train_together(self) -> bool:
        observers = (self.before_forward, self.after_forward, self.before_backward, self.after_backward)
        return self.device.is_host and not self.optimized and not self._per_layer_hooks and not any(observers)

    def take_turns(self, turns: range, passes: int) -> None:
        """Of the next `passes` passes only those that `turns` has, counted from 0, are forward passes; each other one
        is a call of `pass_by`.
        """
        with self.lock:
            for node in self.nodes:
                if isinstance(node.layer, TakesTurns):
                    node.layer.take_turns(turns, passes)

    def pass_by(self) -> None:
        """Let the layers that make data go on to that of the next pass: those that do not take turns make it."""
        with self.lock, np.errstate(all="ignore"):
            for node in self.nodes:
                if not node.bottom and not isinstance(node.layer, TakesTurns):
                    node.forward()

    def reshape(self) -> None:
        """Carry new shapes of the inputs through all layers, without running them."""
        with self.lock:
            if self._training_pass is not None:
                self._training_pass.end()
            for node in self.nodes:
                node.reshape()

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

    @property
    def layers(self) -> list[Layer]:
        """The layers, in the order in which they run."""
        return [node.layer for node in self.nodes]

    @property
    def layer_names(self) -> list[str]:
        return [node.name for node in self.nodes]

    def layer_index(self, name: str) -> int:
        """The place of the layer of that name among the nodes.

        Raises:
            NetError: there is none.
        """
        for index, node in enumerate(self.nodes):
            if node.name == name:
                return index
        raise NetError(f'the net has no layer "{name}"; it has: {", ".join(self.layer_names)}.')

    def node(self, name: str) -> Node:
        """The layer of that name in its place.

        Raises:
            NetError: there is none.
        """
        return self.nodes[self.layer_index(name)]

    def layer(self, name: str) -> Layer:
        return self.node(name).layer

    def loss_weight(self, blob: str) -> float:
        """The weight of a blob in the net's loss; 0 for one that is not a loss."""
        for node in self.nodes:
            for name, weight in zip(node.top_names, node.loss_weights, strict=False):
                if name == blob and weight:
                    return weight
        return 0.0

    # Learning

    @property
    def learnable_params(self) -> list[Blob]:
        """The learnable blobs, each once: of blobs that share memory, the first."""
        return [handed_out(parameter.blob) for parameter in self._parameters.learnable]

    @property
    def params_lr(self) -> list[float]:
        """The `lr_mult` of each learnable blob; 1 where none is given."""
        return [1.0 if p.lr_mult is None else p.lr_mult for p in self._parameters.learnable]

    @property
    def params_weight_decay(self) -> list[float]:
        """The `decay_mult` of each learnable blob; 1 where none is given."""
        return [1.0 if p.decay_mult is None else p.decay_mult for p in self._parameters.learnable]

    def param_users(self) -> list[list[tuple[int, int]]]:
        """For each learnable blob, who uses it: the index of a node and the blob's place in it, the owner's first."""
        users: dict[int, list[tuple[int, int]]] = {}
        for index, node in enumerate(self.nodes):
            for place, blob in enumerate(node.blobs):
                users.setdefault(id(self._parameters.of_blob[id(blob)]), []).append((index, place))
        return [users[id(parameter)] for parameter in self._parameters.learnable]

    def owns(self, blob: Blob) -> bool:
        """Whether a layer's blob is the first that uses its memory."""
        return self._parameters.of_blob[id(blob.blob)].blob is blob.blob

    def clear_param_diffs(self, *, later: bool = False) -> None:
        """Set the gradients of all learnable blobs to zero, or with `later`, as they are next asked for."""
        for parameter in self._parameters.learnable:
            parameter.blob.clear_diff(later=later)

    def update(self) -> None:
        """Subtract each learnable blob's diff from its data."""
        for parameter in self._parameters.learnable:
            device = parameter.blob.device
            blob = parameter.blob.on(device, writes_diff=False)
            with device.current():
                data = blob.data
                data -= blob.diff

    def share_trained_layers_with(self, other: Net) -> None:
        """Use the other net's weights as this net's own, for layers of the same names.

        Raises:
            WeightsError: a layer's blobs differ in number or shape.
        """
        self._parameters.share(self.params, other._parameters, other.params)

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
            report = load_weights(self.nodes, self.owns, source, ignore_mismatched)
        _log.log(logging.WARNING if report.missing and not report.copied else logging.INFO, "%s", report)
        return report

    def save(self, path: str | PathLike[str], write_diff: bool = False, hdf5: bool | None = None) -> Path:
        """Write the net with its weights, atomically: a `.caffemodel`, or HDF5 if asked for or named `.h5`."""
        path = Path(path)
        if hdf5 if hdf5 is not None else path.suffix == ".h5":
            save_hdf5(self.nodes, self.owns, path, write_diff)
        else:
            bicerin_proto.write_binary(self.to_proto(write_diff), path)
        return path

    def to_proto(self, write_diff: bool = False) -> Any:
        """A NetParameter with every layer that runs and its blobs."""
        message = type(self.param)(name=self.name)
        for node in self.nodes:
            message.layer.add().CopyFrom(node.to_proto(write_diff))
        return message

    def seed(self, seed: int) -> None:
        """Let the random generators of all layers start anew; weights stay as they are."""
        for node, layer_seed in zip(self.nodes, np.random.SeedSequence(seed).spawn(len(self.nodes)), strict=True):
            node.layer.context.random.bit_generator.state = np.random.PCG64(layer_seed).state

    def close(self) -> None:
        """Let go of what the layers hold, such as threads and files. A net that is deleted does so by itself."""
        for node in self.nodes:
            node.layer.close()
        if self._runtime_pass is not None:
            self._runtime_pass.close()

    def __reduce__(self) -> Any:
        raise TypeError("a net cannot be pickled: build it in the process that runs it.")

    def __enter__(self) -> Net:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def state(self) -> dict[str, Any]:
        """What the layers need, besides weights, to go on exactly: JSON values."""
        states = {}
        for index, node in enumerate(self.nodes):
            state = node.layer.state()
            if state is not None:
                states[f"{index}:{node.name}"] = dict(state)
        return states

    def restore_state(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; layers that it does not name stay as they are."""
        for index, node in enumerate(self.nodes):
            found = state.get(f"{index}:{node.name}")
            if found is not None:
                node.layer.restore_state(found)


def _seeded(seed: int | None) -> np.random.SeedSequence:
    try:
        return np.random.SeedSequence(seed)
    except (ValueError, TypeError):
        raise NetError(
            f"seed={seed!r}: a seed is a whole number from 0 on, or None for a different one each time."
        ) from None
