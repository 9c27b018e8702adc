"""From a solver's enum `solver_type: ADAM` to today's `type: "Adam"`."""

from __future__ import annotations

from typing import Any

from bicerin_proto.errors import ProtoError
from bicerin_proto.layer_types import SOLVER_TYPES


def upgrade(solver: Any) -> list[str]:
    """Upgrade a SolverParameter in place. Return what was done.

    Raises:
        ProtoError: both fields are given; Caffe reads neither then.
    """
    if not solver.HasField("solver_type"):
        return []
    if solver.HasField("type"):
        raise ProtoError("the solver gives both solver_type (old) and type (new); remove solver_type")
    name = type(solver).SolverType.Name(solver.solver_type)
    solver.type = SOLVER_TYPES.get(name, name)
    solver.ClearField("solver_type")
    return [f'solver_type {name} to type "{solver.type}"']
