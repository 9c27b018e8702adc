"""What a `.solverstate` file holds, and how it is written and read: as Caffe does, in binary or HDF5.

| Caffe's `SolverState` | HDF5 | |
| --- | --- | --- |
| `iter` | `iter` | the number of updates done |
| `learned_net` | `learned_net` | the path of the weights |
| `current_step` | `current_step` | of the learning-rate policy |
| `history` | `history/0`, `history/1`, ... | the solver's history blobs |
| field 8266700 | `bicerin` | what Caffe's format has no room for, as JSON; Caffe skips it |

The JSON holds the solver's type and what is needed to go on bit for bit: the states of the nets' layers (random
generators, positions in the data) and the losses that are averaged for display. Of several ranks that train together,
`ranks` holds the nets' states of all but the first, and `scales` what gradients in half precision are multiplied with
on the way.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import bicerin_proto
from bicerin.errors import DecodeError, ProtoError, SnapshotError
from bicerin.layer.blob import Blob
from bicerin_proto import wire
from bicerin_proto.decode import decode
from bicerin_proto.writer import encode

_log = logging.getLogger("bicerin.solver")

#: What each rank has of its own.
OF_EACH_RANK = ("net", "test_nets")

_EXTRA_FIELD = 8266700
_EXTRA_NAME = "bicerin"


@dataclass
class SolverState:
    """The content of a `.solverstate`.

    Attributes:
        iteration: the number of updates done.
        learned_net: the path of the weights as it stands in the file; None for none.
        current_step: of the learning-rate policy.
        history: the solver's history, in Caffe's order.
        extra: what Caffe's format has no room for; None in a file that Caffe wrote.
    """

    iteration: int
    learned_net: str | None = None
    current_step: int = 0
    history: list[np.ndarray] = field(default_factory=list)
    extra: dict[str, Any] | None = None


def write_state(state: SolverState, path: Path) -> None:
    """Write a state, atomically: HDF5 where the name ends in `.h5`, else binary.

    Raises:
        ProtoError: the file cannot be written.
    """
    extra = json.dumps(state.extra, default=plain_value).encode()
    if path.suffix == ".h5":
        _write_hdf5(state, extra, path)
        return
    message = bicerin_proto.SolverState(iter=state.iteration, current_step=state.current_step)
    if state.learned_net is not None:
        message.learned_net = state.learned_net
    for array in state.history:
        bicerin_proto.array_blob(array, into=message.history.add())
    with bicerin_proto.atomic_write(path) as file:
        file.write(encode(message, path))
        file.write(wire.delimited(_EXTRA_FIELD, extra))


def read_state(path: Path) -> SolverState:
    """Read a state that this program or Caffe wrote.

    Raises:
        SnapshotError: there is no such file, or it is something else.
        DecodeError: it is truncated or garbage.
    """
    if bicerin_proto.is_hdf5(path):
        return _read_hdf5(path)
    try:
        data = bicerin_proto.read_file(path)
    except DecodeError:
        raise
    except ProtoError as error:
        raise SnapshotError(f"the solver state cannot be read: {error}") from error
    message = bicerin_proto.SolverState()
    decode(data, message, str(path), "SolverState")
    if not message.HasField("iter"):
        raise SnapshotError(f"{path}: not a solver state. Resuming takes a .solverstate file, not the weights.")
    return SolverState(
        message.iter,
        message.learned_net if message.HasField("learned_net") else None,
        message.current_step,
        [bicerin_proto.blob_array(blob) for blob in message.history],
        _extra(data, path),
    )


def check_state(
    state: SolverState, path: Path, solver_type: str, layer_names: Sequence[str], history: Sequence[Blob]
) -> None:
    """Refuse a state that does not belong to a solver.

    Args:
        path: where the state was read from.
        solver_type, history: the solver's own.
        layer_names: those of the solver's net, in their order.

    Raises:
        SnapshotError: says what differs.
    """
    if state.iteration < 0 or state.current_step < 0:
        raise SnapshotError(f"{path}: iteration {state.iteration}, step {state.current_step}: neither can be negative.")
    extra = state.extra or {}
    known = {f"{index}:{name}" for index, name in enumerate(layer_names)}
    stated = extra.get("net", {})
    if not isinstance(stated, dict):
        raise SnapshotError(
            f"{path}: the state of the net's layers is damaged: a {type(stated).__name__}, not a state for each layer."
        )
    if not known.issuperset(stated):
        layers = ", ".join(sorted(set(stated) - known))
        raise SnapshotError(f"{path}: it has the state of layers that the net does not have: {layers}.")
    their_type = extra.get("type", solver_type)
    if their_type != solver_type:
        raise SnapshotError(f"{path}: a snapshot of the solver {their_type}, and this one is {solver_type}.")
    if len(state.history) != len(history):
        raise SnapshotError(
            f"{path}: Incorrect length of history blobs: it holds {len(state.history)}, and the solver {solver_type} "
            f"keeps {len(history)} for this net. It belongs to another solver type or another net."
        )
    for blob, array in zip(history, state.history, strict=True):
        # Old files state four axes for every blob.
        if array.shape != blob.shape and array.shape != (1,) * (4 - len(blob.shape)) + blob.shape:
            raise SnapshotError(
                f"{path}: {blob.name} has the shape {array.shape} there and {blob.shape} here. It belongs to another "
                "net."
            )


def state_of_rank(extra: Mapping[str, Any], rank: int, size: int) -> dict[str, Any]:
    """What a state says of one of so many ranks.

    Where as many ranks did not write it, each reads its data anew; all had the same test data.
    """
    if not extra:
        return {}
    own, others = dict(extra), extra.get("ranks", [])
    written_by = 1 + len(others)
    if written_by != size:
        if rank == 0:
            _log.warning(
                "the snapshot was written by %d rank%s, and this run has %d: the order of the data is new",
                written_by, "" if written_by == 1 else "s", size,
            )  # fmt: skip
        own["net"] = {}
    elif rank:
        own.update({name: others[rank - 1][name] for name in OF_EACH_RANK})
    return own


def _extra(data: bytes, path: Path) -> dict[str, Any] | None:
    found = [entry for entry in wire.fields(data) if entry.number == _EXTRA_FIELD]
    return _parsed(data[found[-1].begin : found[-1].end], path) if found else None


def _parsed(text: bytes, path: Path) -> dict[str, Any]:
    try:
        extra = json.loads(text)
    except ValueError as error:
        raise SnapshotError(f"{path}: the solver state is damaged: {error}.") from error
    if not isinstance(extra, dict):
        raise SnapshotError(f"{path}: the solver state is damaged: not a JSON object.")
    return extra


def plain_value(value: Any) -> Any:
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} in a layer's state is not a JSON value")


def _write_hdf5(state: SolverState, extra: bytes, path: Path) -> None:
    with bicerin_proto.atomic_write(path) as stream, bicerin_proto.h5py().File(stream, "w") as file:
        file.create_dataset("iter", data=np.array([state.iteration], np.int32))
        if state.learned_net is not None:
            _write_string(file, "learned_net", state.learned_net.encode())
        file.create_dataset("current_step", data=np.array([state.current_step], np.int32))
        history = file.create_group("history")
        for index, array in enumerate(state.history):
            history.create_dataset(str(index), data=array)
        _write_string(file, _EXTRA_NAME, extra)


def _write_string(file: Any, name: str, text: bytes) -> None:
    # One byte more, since Caffe reads up to a zero byte.
    file.create_dataset(name, data=np.array(text, f"S{len(text) + 1}"))


def _read_hdf5(path: Path) -> SolverState:
    try:
        with bicerin_proto.Hdf5Reader(path) as file:
            learned_net, extra = file.text("learned_net"), file.text(_EXTRA_NAME)
            return SolverState(
                file.number("iter"),
                os.fsdecode(learned_net) if learned_net is not None else None,
                file.number("current_step"),
                [file.read(f"history/{index}") for index in range(len(file.names("history")))],
                _parsed(extra, path) if extra is not None else None,
            )
    except ProtoError as error:
        raise SnapshotError(f"not a solver state, or a damaged one: {error}.") from error.__cause__
