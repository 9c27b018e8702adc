"""Every blob of a model beside the net's, on the same inputs, in ONNX Runtime or PyTorch."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import prod
from os import PathLike, fspath
from typing import Any

import numpy as np

from bicerin.errors import BicerinError, LayerError, NetError
from bicerin.kernels import rounding_least
from bicerin.layer import Blob, Chooses
from bicerin.net import Net
from bicerin.net.node import Node
from bicerin_onnx.candidate import Input, model_candidate, program_candidate
from bicerin_onnx.kept import kept
from bicerin_onnx.names import blob_names
from bicerin_onnx.preprocessing import Transformation
from bicerin_onnx.pytorch.program import Program
from bicerin_onnx.samples import read_batch, read_samples

_log = logging.getLogger("bicerin.onnx")


class VerificationError(NetError):
    """A blob of the model differs from the net's."""


@dataclass
class Row:
    """One blob at one batch size.

    Attributes:
        difference: the largest of an element, over the element's own size or the root mean square of the blob,
            whichever is larger. Where a layer chooses elements of its bottom, it is that of what was chosen.
        others: how many elements of its bottom a layer chose, such as the largest of a window, where the model chose
            others.
    """

    blob: str
    layer: str
    type: str
    shape: tuple[int, ...]
    batch: int
    difference: float
    others: int = 0
    #: Whether other values could have been told from these: they are not all zeros, nor all NaN, nor none at all.
    tells: bool = True


@dataclass
class Verification:
    """The blobs in the order in which the layers make them."""

    tolerance: float
    rows: list[Row] = field(default_factory=list)

    @property
    def worst(self) -> list[Row]:
        return sorted(self.rows, key=lambda row: -row.difference)

    @property
    def first_wrong(self) -> Row | None:
        return next((row for row in self.rows if not row.difference <= self.tolerance), None)

    @property
    def unproven(self) -> list[str]:
        """The blobs that were the same as in the net, but of which that proves nothing: see `Row.tells`."""
        told = {row.blob for row in self.rows if row.tells}
        return list(dict.fromkeys(row.blob for row in self.rows if row.blob not in told))

    def __str__(self) -> str:
        lines = [("blob", "layer", "type", "shape", "difference")]
        for row in self.worst[:10]:
            lines.append(
                (row.blob, row.layer, row.type, "x".join(map(str, row.shape)) or "scalar", f"{row.difference:.1e}")
            )
        widths = [max(len(line[i]) for line in lines) for i in range(5)]
        said = [
            "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
        ]
        said += [
            f'"{row.blob}": {row.others} of {prod(row.shape)} choices are others, compared by the values that they pick'
            for row in self.rows
            if row.others
        ]
        return "\n".join(said)


def verify(
    net: Net,
    model: Any,
    inputs: Mapping[str, Any] | str | PathLike[str] | None = None,
    batches: Sequence[int] = (1, 3),
    *,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> Verification:
    """Run the net and the model on the same inputs and compare every blob that both have.

    The net computes here in the way that rounds least: convolutions are sums of products, without Winograd's algorithm.

    Args:
        net: what was exported. Its blobs have their shapes and values again afterwards.
        model: a ModelProto or a file of one, run by ONNX Runtime, or a `pytorch.Program`, run by PyTorch.
        inputs: arrays by name, compared as they are; or the file of an `.npz`, or of an image. What is not there is,
            for inputs that a data layer makes, what it reads next, and else noise of a fixed seed, both at each of
            `batches`, as far as the model's batch size is a variable.
        tolerance: relative, of an element or the root mean square of its blob, whichever is larger.

    Raises:
        VerificationError: a blob differs; names the first layer, and has the table of the worst.
        NetError: onnxruntime or torch is not installed, or cannot run the model; an array does not fit; noise, in place
            of an array, is nothing that the net runs on.
    """
    if net.optimized:
        raise NetError(
            "a net built with optimize=True or runtime= has no inner blobs: build it without, to compare it."
        )
    names = blob_names(net.nodes)
    candidate = program_candidate(model) if isinstance(model, Program) else model_candidate(model, set(names.values()))
    compared = {place: name for place, name in names.items() if name in candidate.blobs}
    result = Verification(tolerance)
    generator = np.random.default_rng(seed)
    taken = candidate.inputs
    if isinstance(inputs, (str, PathLike)):
        inputs = read_samples(fspath(inputs), net, taken)
    arrays = _given(net, taken, inputs or {})
    with net.lock, kept(net.nodes, values=True):
        before = {name: net.blobs[name].shape for name in taken}
        read = read_batch(net, taken, arrays)
        noisy = [one.name for one in taken.values() if one.name not in arrays and one.name not in read]
        try:
            for sizes in _sizes(taken, arrays, batches):
                arrays = {**arrays, **_parts(taken, read, sizes)}
                given, fed = {}, {}
                for name, one in taken.items():
                    shape = _shape(one, before[name], sizes)
                    if one.is_image:
                        noise = generator.integers(0, 256, shape)
                        fed[one.name] = arrays.get(one.name, noise).astype(np.uint8)
                        given[name] = Transformation(_maker(net, name))(fed[one.name])
                        continue
                    given[name] = np.asarray(arrays.get(name, generator.normal(size=shape)), np.float32)
                    fed[name] = given[name]
                try:
                    with rounding_least():
                        _compare(net, candidate.run(fed), given, compared, _batch(sizes, fed.values()), result)
                except (LayerError, NetError) as error:
                    if not noisy or isinstance(error.__cause__, ImportError):
                        raise
                    listed = ", ".join(f'"{name}"' for name in noisy)
                    raise NetError(
                        f"the net does not run on noise for {listed}, to be compared: give arrays with --inputs, or "
                        f"--no-verify. {error}"
                    ) from error
        finally:
            for name, shape in before.items():
                net.blobs[name].reshape(*shape)
            _reshape(net, taken)
    wrong = result.first_wrong
    if wrong is not None:
        raise VerificationError(
            f'the model differs from the net first in layer "{wrong.layer}" (type "{wrong.type}"): blob "{wrong.blob}" '
            f"by {wrong.difference:.1e} of its size, and {tolerance:g} is allowed. The worst:\n{result}"
        )
    if unproven := result.unproven:
        _log.warning(
            'the comparison proves nothing of %d of %d blobs, the first "%s": they are all zeros, all NaN or empty',
            len(unproven),
            len({row.blob for row in result.rows}),
            unproven[0],
        )
    return result


def _parts(
    taken: Mapping[str, Input], read: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> dict[str, np.ndarray]:
    """Of a batch that was read, as many as the model is to take; over again where there are not so many."""
    found = {}
    for one in taken.values():
        if one.name in read:
            array = read[one.name]
            number = sizes.get(str(one.dims[0]), len(array)) if one.dims else 0
            found[one.name] = np.resize(array, (number, *array.shape[1:])) if one.dims else array
    return found


def _maker(net: Net, blob: str) -> Node:
    """The data layer of an input."""
    return next(node for node in net.nodes if blob in node.top_names)


def _compare(
    net: Net,
    theirs: Mapping[str, np.ndarray],
    given: Mapping[str, np.ndarray],
    compared: Mapping[Any, str],
    batch: int,
    result: Verification,
) -> None:
    _forget(net)
    for place, blob in _blobs(net, given, set(compared)):
        node, name = net.nodes[place[0]], compared[place]
        row = Row(name, node.name, node.type, blob.shape, batch, 0.0)
        _judge(row, node, place[1], theirs[name], blob, result.tolerance)
        result.rows.append(row)


def _judge(row: Row, node: Node, index: int, actual: np.ndarray, blob: Any, tolerance: float) -> None:
    """How far the model is off. Where it chose others of equal elements, the net goes on with the model's choices."""
    expected = np.array(blob.read_only.data, np.float32)
    row.difference = difference(actual, expected)
    row.tells = bool(np.any(expected)) and not np.all(np.isnan(expected))
    if row.difference <= tolerance or not isinstance(node.layer, Chooses) or actual.shape != expected.shape:
        return
    theirs, ours = (node.layer.chosen(node.bottom, index, choices) for choices in (actual, expected))
    if theirs is None or ours is None:
        return
    row.difference = difference(theirs, ours)
    row.others = int(np.count_nonzero(actual != expected))
    blob.data[...] = actual


def _blobs(
    net: Net, given: Mapping[str, np.ndarray], places: set[tuple[int, int]]
) -> Iterator[tuple[tuple[int, int], Blob]]:
    """The net's blobs, each as soon as its layer has made it."""
    for name, array in given.items():
        blob = net.blobs[name]
        if blob.shape != array.shape:
            blob.reshape(*array.shape)
        blob.data[...] = array
    for i in _needed(net, places):
        node = net.nodes[i]
        if not _is_source(node, given):
            net.run_forward(i, i + 1)  # as it is without the layers whose work it may do in a whole pass
        for j, blob in enumerate(node.top):
            if (i, j) in places:
                yield (i, j), blob


def _forget(net: Net) -> None:
    """Let hidden states begin with 0, as in a model, which has no memory from one run to the next."""
    for node in net.nodes:
        state = node.layer.state() or {}
        if "hidden" in state:
            zeros = {name: np.zeros_like(values).tolist() for name, values in state["hidden"].items()}
            node.layer.restore_state({**state, "hidden": zeros})


def _needed(net: Net, places: set[tuple[int, int]]) -> list[int]:
    """The layers that lead to these tops."""
    found = []
    ends = {i for i, _ in places}
    wanted: set[str] = set()
    for i in reversed(range(len(net.nodes))):
        node = net.nodes[i]
        if i in ends or wanted.intersection(node.top_names):
            found.append(i)
            wanted.difference_update(node.top_names)
            wanted.update(node.bottom_names)
    return found[::-1]


def _is_source(node: Node, given: Mapping[str, Any]) -> bool:
    """Whether a layer makes inputs of the model, or what only layers read that are not in it."""
    return not node.bottom and (node.type == "Input" or any(name in given for name in node.top_names))


def _reshape(net: Net, taken: Mapping[str, Any]) -> None:
    for node in net.nodes:
        if not _is_source(node, taken):
            with suppress(BicerinError):  # a loss, beside labels that were not given
                node.reshape()


def _given(net: Net, taken: Mapping[str, Input], inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays for inputs of the model, checked against what it takes."""
    known = [one.name for one in taken.values()]
    for name in inputs:
        if name not in known and name not in net.blobs:
            raise NetError(
                f'there is an array for "{name}", which is no blob of the net; the inputs of the model: '
                f"{', '.join(known) or 'none'}."
            )
    sizes: dict[str, int] = {}
    found: dict[str, np.ndarray] = {}
    for one in taken.values():
        if one.name not in inputs:
            continue
        array = found[one.name] = np.asarray(inputs[one.name])
        if array.dtype.kind not in "fiub":
            raise NetError(f'the array for the input "{one.name}" is of {array.dtype}, not of numbers.')
        fits = array.ndim == len(one.dims) and all(
            size == (sizes.setdefault(dim, size) if isinstance(dim, str) else dim)
            for dim, size in zip(one.dims, array.shape, strict=True)
        )
        if not fits:
            named = [f"{dim} is {sizes[dim]}" for dim in one.dims if isinstance(dim, str) and dim in sizes]
            raise NetError(
                f'the array for the input "{one.name}" has the shape {array.shape}; the model takes '
                f"({', '.join(map(str, one.dims))}){', where ' if named else ''}{' and '.join(named)}."
            )
    return found


def _sizes(
    taken: Mapping[str, Input], arrays: Mapping[str, np.ndarray], batches: Sequence[int]
) -> list[dict[str, int]]:
    """The sizes that may change, for each run: those of the arrays, and the batch sizes where no array has one."""
    found = {
        dim: size
        for one in taken.values()
        if one.name in arrays
        for dim, size in zip(one.dims, arrays[one.name].shape, strict=True)
        if isinstance(dim, str)
    }
    if "N" in found or not any("N" in one.dims for one in taken.values()):
        return [found]
    return [{**found, "N": batch} for batch in batches]


def _batch(sizes: Mapping[str, int], fed: Iterable[np.ndarray]) -> int:
    """The batch size of a run: the first input's first axis where it does not change."""
    first = next(iter(fed), None)
    return sizes.get("N", first.shape[0] if first is not None and first.ndim else int(first is not None))


def _shape(one: Input, shape: tuple[int, ...], sizes: Mapping[str, int]) -> tuple[int, ...]:
    # An image that is cropped may be larger.
    return tuple(
        sizes.get(dim, size + 5 * dim.startswith(("H_", "W_"))) if isinstance(dim, str) else dim
        for dim, size in zip(one.dims, shape, strict=True)
    )


def difference(actual: Any, expected: Any) -> float:
    """The largest difference of two arrays, over the larger of the element's size and the root mean square."""
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    if actual.shape != expected.shape:
        return float("inf")
    if not actual.size:
        return 0.0
    if not np.array_equal(np.isnan(actual), np.isnan(expected)):
        return float("inf")
    finite = np.where(np.isfinite(expected), expected, 0)
    scale = np.sqrt(np.mean(np.square(finite)))
    with np.errstate(invalid="ignore", over="ignore"):
        error = np.where((actual == expected) | np.isnan(expected), 0, np.abs(actual - expected))
    allowed = np.maximum(np.abs(finite), scale) + 1e-30
    return float(np.max(error / allowed))
