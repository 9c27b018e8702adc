"""Whether all ranks are about to train the same: the net, the solver, the versions of what runs them.

A difference would end in a rank that waits for ever, or in weights that drift apart without a word.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import text_format
from importlib_metadata import version

from bicerin.discovery.registry import Registry
from bicerin.errors import ParallelError
from bicerin.layer.layer import layers
from bicerin.net import Net
from bicerin.parallel.communicator import Communicator
from bicerin_proto.quotation import printable

#: Fields of a solver that may differ: where nets lie, and what only one rank uses.
_MAY_DIFFER = {
    "device_id", "net", "net_param", "snapshot_prefix", "test_net", "test_net_param", "train_net", "train_net_param",
    "weights",
}  # fmt: skip


def facts(nets: Sequence[Net], param: Any, options: Mapping[str, Any], versions: Mapping[str, str]) -> dict[str, str]:
    """What has to be equal: a name for each thing, and its text.

    Args:
        nets: the net that is trained, and those that ranks test together.
        param: the SolverParameter; None where nothing is trained.
        options: of the run, as JSON values.
        versions: of the distributions that bring something else than layers.
    """
    first = nets[0]
    found = {"the version of bicerin": version("bicerin"), "the dtype": first.dtype.name}
    found["the device"] = first.device.name
    for field, value in param.ListFields() if param is not None else ():
        if field.name not in _MAY_DIFFER:
            found[f"the solver's {field.name}"] = f"{value:g}" if isinstance(value, float) else str(value)
    for name, value in options.items():
        found[f"the option {name}"] = str(value)
    found |= {f"the version of {distribution}": number for distribution, number in versions.items()}
    for index, net in enumerate(nets):
        found.update(_of_net(net, f" of test net #{index - 1}" if index else ""))
    return found


def _of_net(net: Net, which: str) -> Iterator[tuple[str, str]]:
    providers = layers.providers()
    yield f"the layers{which}", "\n".join(net.layer_names)
    for node in net.nodes:
        definition = type(node.param)()
        definition.CopyFrom(node.param)
        del definition.blobs[:]
        name = f'layer "{printable(node.name)}"{which}'
        yield name, text_format.MessageToString(definition)
        yield f"the parameters of {name}", "\n".join(str(blob.shape) for blob in node.blobs)
        for provider in providers.get(node.type, ()):
            yield f"the version of {provider.distribution}", provider.version


def weights_facts(net: Net) -> dict[str, str]:
    """As `facts`, of a net's weights."""
    return {f"the weights {printable(blob.name)}": f"{_sum(blob.read_only.data):x}" for blob in net.learnable_params}


def versions_of(registry: Registry, name: str) -> dict[str, str]:
    """Distribution -> version, of those that bring a name."""
    return {provider.distribution: provider.version for provider in registry.providers().get(name, ())}


def check_same(communicator: Communicator, found: Mapping[str, str], does: str = "train") -> None:
    """Raise the same error on all ranks where one has other facts than rank 0.

    Args:
        found: the facts.
        does: what the ranks do together.

    Raises:
        ParallelError: says which rank, and what differs.
    """
    text = json.dumps(found).encode()
    digest = hashlib.sha256(text).digest()
    if len(set(communicator.all_gather(digest))) == 1:
        return
    everyones = [json.loads(one) for one in communicator.all_gather(text)]
    for rank, theirs in enumerate(everyones):
        if theirs != everyones[0]:
            raise ParallelError(
                f"rank {rank} does not {does} what rank 0 {does}s: {_difference(everyones[0], theirs, rank)} All ranks "
                f"have to be given the same {'solver, ' if does == 'train' else ''}net and options, and the same "
                "versions of all packages."
            )


def _difference(first: Mapping[str, str], other: Mapping[str, str], rank: int) -> str:
    for name in dict.fromkeys([*first, *other]):
        mine, theirs = first.get(name), other.get(name)
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            has, lacks = (0, rank) if theirs is None else (rank, 0)
            text = mine if mine is not None else theirs
            return (
                f'{name} is "{printable(" ".join(str(text).split()), 100)}" on rank {has}, and nothing on rank {lacks}.'
            )
        here, there = _first_difference(mine, theirs)
        return f'{name}: "{printable(here, 100)}" on rank 0, "{printable(there, 100)}" on rank {rank}.'
    return "the order of its facts differs."


def _first_difference(one: str, other: str) -> tuple[str, str]:
    """The first lines that differ."""
    lines, others = one.splitlines(), other.splitlines()
    for here, there in zip(lines, others, strict=False):
        if here != there:
            return here.strip(), there.strip()
    shorter = min(len(lines), len(others))
    return (lines[shorter].strip() if len(lines) > shorter else "nothing more"), (
        others[shorter].strip() if len(others) > shorter else "nothing more"
    )


def check_same_weights(communicator: Communicator, net: Net) -> None:
    """Raise the same error on all ranks where one has other weights than rank 0.

    Raises:
        ParallelError: says which rank, and of which layer.
    """
    names = [blob.name for blob in net.learnable_params]
    sums = np.array([_sum(blob.read_only.data) for blob in net.learnable_params], np.uint64)
    everyones = communicator.all_gather(sums.tobytes())
    for rank, theirs in enumerate(everyones):
        if theirs != everyones[0]:
            other, first = (np.frombuffer(one, np.uint64) for one in (theirs, everyones[0]))
            name = names[int(np.argmax(other != first))]
            raise ParallelError(
                f"the weights {printable(name)} of rank {rank} are no longer those of rank 0: something changes them "
                "besides the solver, on one rank only, or in another way on each."
            )


def _sum(array: np.ndarray) -> int:
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(array).data, digest_size=8).digest(), "little")
