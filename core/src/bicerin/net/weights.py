"""Weights in and out of a net: `.caffemodel` (binary NetParameter) and HDF5, Caffe's layouts."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import bicerin_proto
from bicerin.errors import ProtoError, WeightsError
from bicerin.layer.blob import Blob, same_shape
from bicerin.layer.html import html_table
from bicerin_proto import Hdf5Reader, h5py, is_hdf5, printable
from bicerin_proto.hints import blob_count

if TYPE_CHECKING:
    from bicerin.net.node import Node


@dataclass(frozen=True)
class LoadReport:
    """What became of the weights in a file, layer by layer, by layer name.

    Attributes:
        source: the file.
        copied: layers whose blobs were all taken.
        missing: layers of the net that have blobs, and that the file does not name.
        mismatched: layers whose shapes differ, with both; empty unless mismatches were allowed.
        unused: layers of the file that have blobs, and that the net does not name.
    """

    source: str
    copied: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.source}: weights of {len(self.copied)} layer(s) copied"]
        for name in ("missing", "mismatched", "unused"):
            layers = getattr(self, name)
            if layers:
                parts.append(f"{name}: {', '.join(layers)}")
        return "; ".join(parts)

    def _repr_html_(self) -> str:
        rows = ((name, getattr(self, name)) for name in ("copied", "missing", "mismatched", "unused"))
        shown = [(name, str(len(layers)), ", ".join(layers)) for name, layers in rows]
        return html_table(self.source, ("What", "Number", "Layers"), shown)


class _Source(NamedTuple):
    """A blob in a file: its shape, whether it fits a target shape, and how to read it."""

    shape: tuple[int, ...]
    fits: Callable[[tuple[int, ...]], bool]
    read: Callable[[], np.ndarray]


def load_weights(
    nodes: Iterable[Node], owns: Callable[[Blob], bool], source: Any, ignore_mismatched: bool = False
) -> LoadReport:
    """Copy the weights of a file, or of a NetParameter, into the layers of the same names.

    Everything is compared before anything is copied, so that after an error all is as it was.

    Args:
        owns: whether a layer's blob is the first that uses its memory.
        source: a path (HDF5 is told by its first bytes), bytes, or a message.
        ignore_mismatched: leave layers whose shapes differ as they are and report them.

    Raises:
        ProtoError, DecodeError: the file is missing, truncated or no weights.
        WeightsError: the shapes or numbers of blobs differ.
    """
    layers = {node.name: node for node in nodes}
    with _opened(layers, owns, source) as (name, found):
        report, todo, problems = _compare(layers, name, found)
        if problems and not ignore_mismatched:
            raise WeightsError(problems[0])
        if not report.copied and not report.mismatched and report.missing:
            raise WeightsError(_nothing_fits(report))
        arrays = [(blob, _decoded(blob, item, name)) for blob, item in todo]
    for blob, array in arrays:
        blob.data.reshape(-1)[...] = array
    return report


def _decoded(blob: Blob, item: _Source, name: str) -> np.ndarray:
    """The values of a blob in a file, as many as the blob has."""
    try:
        array = np.asarray(item.read()).reshape(-1)
    except (ValueError, TypeError, OSError, RuntimeError, KeyError) as error:
        raise WeightsError(f"{name}: the values of {blob.name or 'a blob'} cannot be read: {error}.") from error
    if array.size != blob.count or array.dtype.kind not in "fiub":
        raise WeightsError(
            f"{name}: {blob.name or 'a blob'} needs {blob.count} numbers of the shape {blob.shape}; the file has "
            f"{array.size} of type {array.dtype}."
        )
    return array


def _nothing_fits(report: LoadReport) -> str:
    if not report.unused:
        return f"{report.source}: there are no weights in this file; a prototxt has none, a .caffemodel has."
    return (
        f"{report.source}: no layer of the net takes weights from this file. Layers with weights in the file: "
        f"{', '.join(report.unused[:8])}; in the net: {', '.join(report.missing[:8])}."
    )


def compare_weights(nodes: Iterable[Node], owns: Callable[[Blob], bool], source: Any) -> tuple[LoadReport, list[str]]:
    """What `load_weights` would do with these layers, and what is wrong with each that does not fit.

    Args:
        owns: whether a layer's blob is the first that uses its memory.
    """
    layers = {node.name: node for node in nodes}
    with _opened(layers, owns, source) as (name, found):
        report, _, problems = _compare(layers, name, found)
    if not report.copied and not report.mismatched and report.missing:
        problems = [*problems, _nothing_fits(report)]
    return report, problems


@contextlib.contextmanager
def _opened(
    layers: Mapping[str, Node], owns: Callable[[Blob], bool], source: Any
) -> Iterator[tuple[str, Iterator[tuple[str, Sequence[_Source | None]]]]]:
    """A source's name and the blobs of each of its layers."""
    if isinstance(source, (str, PathLike)) and is_hdf5(source):
        try:
            with Hdf5Reader(source) as file:
                yield file.name, _from_hdf5(layers, owns, file)
        except ProtoError as error:
            raise WeightsError(str(error)) from error.__cause__
    else:
        weights = bicerin_proto.read_weights(Path(source) if isinstance(source, str) else source)
        yield printable(weights.path) if weights.path is not None else "<weights>", _from_proto(weights)


def _compare(
    by_name: Mapping[str, Node], name: str, layers: Iterator[tuple[str, Sequence[_Source | None]]]
) -> tuple[LoadReport, list[tuple[Blob, _Source]], list[str]]:
    report = LoadReport(name)
    todo: list[tuple[Blob, _Source]] = []
    problems: list[str] = []
    for layer_name, sources in layers:
        layer = by_name.get(layer_name)
        if layer is None:
            if sources:
                report.unused.append(layer_name)
            continue
        if not sources:
            continue
        problem = _mismatch(layer, sources)
        if problem is None:
            todo += [(blob, found) for blob, found in zip(layer.blobs, sources, strict=True) if found is not None]
            report.copied.append(layer_name)
        else:
            report.mismatched.append(layer_name)
            problems.append(
                f"{name}: {problem} To learn this layer's parameters from scratch rather than copying from a saved "
                "net, rename the layer."
            )
    named = {*report.copied, *report.mismatched}
    report.missing.extend(
        layer_name for layer_name, layer in by_name.items() if layer.blobs and layer_name not in named
    )
    return report, todo, problems


def _mismatch(layer: Node, sources: Sequence[_Source | None]) -> str | None:
    layer_name, blobs = layer.name, layer.blobs
    if len(blobs) != len(sources):
        hint = blob_count(layer.type, len(blobs), len(sources))
        return (
            f"Incompatible number of blobs for layer {layer_name}: the file has {len(sources)}, "
            f"the net's layer {len(blobs)}.{' ' if hint else ''}{hint}"
        )
    for index, (blob, source) in enumerate(zip(blobs, sources, strict=True)):
        if source is not None and not source.fits(blob.shape):
            return (
                f"Cannot copy param {index} weights from layer '{layer_name}'; shape mismatch. "
                f"Source param shape is {source.shape}; target param shape is {blob.shape}."
            )
    return None


def _from_proto(weights: Any) -> Iterator[tuple[str, Sequence[_Source | None]]]:
    for name, _, blobs in weights:
        yield name, [_proto_source(proto) for proto in blobs]


def _proto_source(proto: Any) -> _Source:
    return _Source(
        bicerin_proto.blob_shape(proto),
        lambda shape: same_shape(proto, shape),
        lambda: bicerin_proto.blob_array(proto),
    )


def _from_hdf5(
    layers: Mapping[str, Node], owns: Callable[[Blob], bool], file: Hdf5Reader
) -> Iterator[tuple[str, Sequence[_Source | None]]]:
    """Caffe's layout: a dataset `data/<layer>/<index>` for each blob that is not shared with an earlier layer."""
    if not file.is_group("data"):
        raise WeightsError(f'{file.name}: an HDF5 file without the group "data" holds no weights of a net.')
    for layer_name, datasets in _hdf5_layers(file):
        layer = layers.get(layer_name)
        if layer is None:
            yield layer_name, [_hdf5_source(file, dataset) for dataset in datasets.values()]
            continue
        sources: list[_Source | None] = []
        for index, blob in enumerate(layer.blobs):
            if index in datasets:
                sources.append(_hdf5_source(file, datasets.pop(index)))
            elif owns(blob):
                raise WeightsError(
                    f"{file.name}: Incompatible number of blobs for layer {layer_name}: blob {index} is missing."
                )
            else:
                sources.append(None)
        yield layer_name, sources + [_hdf5_source(file, dataset) for dataset in datasets.values()]


def _hdf5_layers(file: Hdf5Reader) -> Iterator[tuple[str, dict[int, str]]]:
    """Each layer's datasets by index. A layer's name may hold slashes, which HDF5 takes for groups in groups."""
    groups: list[str] = []
    with file.faults():
        file.file["data"].visit(groups.append)
    for name in groups:
        group = f"data/{name}"
        if file.is_group(group):
            names = file.names(group)
            datasets = {
                int(key): f"{group}/{key}" for key in names if key.isdecimal() and not file.is_group(f"{group}/{key}")
            }
            if datasets or not names:
                yield name, dict(sorted(datasets.items()))


def _hdf5_source(file: Hdf5Reader, name: str) -> _Source:
    shape = tuple(file.numbers(name).shape)
    return _Source(shape, lambda wanted: shape == tuple(wanted), lambda: file.read(name))


def repeated_names(nodes: Iterable[Node]) -> list[str]:
    """What to say of layers with weights that have one name: nothing that goes by name can tell them apart."""
    found = Counter(node.name for node in nodes if node.blobs)
    return [
        f'the layer name "{printable(name)}" is used by {number} layers with weights: weight files and test nets go by '
        "name and take those of only one; give each layer its own name"
        for name, number in found.items()
        if number > 1
    ]


def check_hdf5_names(names: Iterable[str]) -> None:
    """Refuse layer names that HDF5, which takes them for paths, would store elsewhere or twice.

    Raises:
        WeightsError: says which names.
    """
    stored: set[str] = set()
    for name in names:
        if any(part in ("", ".") for part in name.split("/")):
            raise _not_for_hdf5(
                f'the layer name "{printable(name)}" cannot be stored as HDF5, which takes it for a path'
            )
        if name in stored:
            raise _not_for_hdf5(
                f'two layers with the name "{printable(name)}" cannot both be stored as HDF5: it has one group a name'
            )
        stored.add(name)
    for name in stored:
        # Any number of levels above: the blob "fc/0" is no group, so that there is no "fc/0/bn" either.
        parts = name.split("/")
        for end in range(1, len(parts)):
            head = "/".join(parts[:end])
            if head in stored and parts[end].isdecimal():
                raise _not_for_hdf5(
                    f'the layers "{printable(head)}" and "{printable(name)}" cannot both be stored as HDF5: the second '
                    "would take the place of a blob of the first"
                )


def _not_for_hdf5(why: str) -> WeightsError:
    return WeightsError(f"{why}; rename the layer, or save a .caffemodel (snapshot_format: BINARYPROTO).")


def save_hdf5(nodes: Sequence[Node], owns: Callable[[Blob], bool], path: Path, write_diff: bool = False) -> None:
    """Write the layers' weights as HDF5, atomically, as Caffe does: a group a layer, a dataset a blob.

    Args:
        owns: as of `load_weights`; what another blob owns is written once.

    Raises:
        WeightsError: layers' names cannot be stored.
    """
    learning = [node for node in nodes if node.blobs]
    check_hdf5_names(node.name for node in learning)
    with bicerin_proto.atomic_write(path) as stream, h5py().File(stream, "w") as file:
        data = file.create_group("data")
        diff = file.create_group("diff") if write_diff else None
        for node in learning:
            data_group = data.require_group(node.name)
            diff_group = diff.require_group(node.name) if diff is not None else None
            for index, blob in enumerate(node.blobs):
                if owns(blob):
                    data_group.create_dataset(str(index), data=blob.read_only.data)
                if diff_group is not None:
                    diff_group.create_dataset(str(index), data=blob.read_only.diff)
