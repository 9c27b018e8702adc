"""Which nets a solver trains and tests: `net`, `train_net`, `test_net` and the like, and the state of each.

Source: Caffe's `Solver::InitTrainNet` and `Solver::InitTestNets`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import bicerin_proto
from bicerin.errors import SolverError
from bicerin.layer.phase import Phase

_TRAIN_FIELDS = ("net", "net_param", "train_net", "train_net_param")


class NetSources:
    """The nets that a solver names, read once each.

    Args:
        solver: the solver's document.
        resolve: from a path in it to the file.
        read: from a file or a message to a net's document.
    """

    def __init__(
        self,
        solver: bicerin_proto.Document,
        resolve: Callable[[str], Path],
        read: Callable[[Any], bicerin_proto.Document],
    ) -> None:
        self._solver = solver
        self._param = solver.message
        self._resolve = resolve
        self._read = read
        self._files: dict[str, bicerin_proto.Document] = {}

    def train_net(self) -> bicerin_proto.Document:
        """The net to train, its `state` set: phase TRAIN, then what the net says, then `train_state`.

        Raises:
            SolverError: none of the fields that name it is given, or several are.
        """
        given = [field for field in _TRAIN_FIELDS if self._param.HasField(field)]
        names = ", ".join(_TRAIN_FIELDS)
        if not given:
            raise SolverError(f"SolverParameter must specify a train net using one of these fields: {names}.")
        if len(given) > 1:
            raise SolverError(
                "SolverParameter must not contain more than one of these fields specifying a train_net: "
                f"{names}. It has {' and '.join(given)}."
            )
        return self._with_state(self._document(given[0]), Phase.TRAIN, self._param.train_state)

    def test_nets(self) -> list[bicerin_proto.Document]:
        """The nets to test: those of `test_net_param`, then of `test_net`, then `net` for each `test_iter` left.

        The state of each: phase TEST, then what the net says, then its `test_state`.

        Raises:
            SolverError: the numbers of `test_iter` and `test_state` do not fit, or there is no `test_interval`.
        """
        param = self._param
        documents = [self._inline(net, f"test_net_param {index}") for index, net in enumerate(param.test_net_param)] + [
            self._file(path) for path in param.test_net
        ]
        generic = "net_param" if param.HasField("net_param") else "net" if param.HasField("net") else None
        iterations = len(param.test_iter)
        if iterations < len(documents) or (generic is None and iterations != len(documents)):
            raise SolverError(
                "test_iter must be specified for each test network: "
                f"it is given {iterations} time(s) for {len(documents)} test net(s)."
            )
        if generic is not None:
            documents += [self._document(generic) for _ in range(iterations - len(documents))]
        states = list(param.test_state)
        if states and len(states) != len(documents):
            raise SolverError(
                "test_state must be unspecified or specified once per test net: "
                f"it is given {len(states)} time(s) for {len(documents)} test net(s)."
            )
        if documents and param.test_interval <= 0:
            raise SolverError(
                f"test_interval must be greater than 0 for a solver with test nets, not {param.test_interval}."
            )
        return [
            self._with_state(document, Phase.TEST, states[index] if states else None)
            for index, document in enumerate(documents)
        ]

    def files(self) -> list[Path]:
        """The files that are named, whether they are there or not."""
        return [self._resolve(path) for path in (self._param.net, self._param.train_net, *self._param.test_net) if path]

    def _document(self, field: str) -> bicerin_proto.Document:
        value = getattr(self._param, field)
        return self._file(value) if isinstance(value, str) else self._inline(value, field)

    def _file(self, path: str) -> bicerin_proto.Document:
        if path not in self._files:
            self._files[path] = self._read(self._resolve(path))
        return self._files[path]

    def _inline(self, net: Any, field: str) -> bicerin_proto.Document:
        # Such a net has no file of its own; what it names is looked for beside the solver's.
        document = self._read(net)
        return replace(document, path=self._solver.path, name=f"{self._solver.name}, {field}")

    @staticmethod
    def _with_state(document: bicerin_proto.Document, phase: Phase, extra: Any) -> bicerin_proto.Document:
        message = type(document.message)()
        message.CopyFrom(document.message)
        state = message.state
        if not state.HasField("phase"):
            state.phase = phase
        if extra is not None:
            state.MergeFrom(extra)
        return replace(document, message=message)
