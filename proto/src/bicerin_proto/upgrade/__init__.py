"""Upgrade nets and solvers of Caffe's older formats to today's, as Caffe does when it reads them.

The order matters: V0 becomes V1, whose data layers are then brought up to date, before V1 becomes today's format.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from bicerin_proto.places import NetPlaces
from bicerin_proto.upgrade import batch_norm, net_input, solver, stats_batch_size, transformation, v0, v1


def upgrade_net(net: Message, places: NetPlaces | None = None) -> list[str]:
    """Upgrade a NetParameter in place.

    Args:
        places: where its layers stood; kept parallel to them.

    Returns:
        What was done, such as "5 V1 layers to V2"; empty for a net that is in today's format.

    Raises:
        ProtoError: the net cannot be upgraded; the message names the layer and why.
    """
    places = places or NetPlaces.unknown(net)
    done: list[str] = []
    if v0.needs_upgrade(net):
        done += v0.upgrade(net, places)
    if transformation.needs_upgrade(net):
        done += transformation.upgrade(net)
    if v1.needs_upgrade(net):
        done += v1.upgrade(net, places)
    if net_input.needs_upgrade(net):
        done += net_input.upgrade(net, places)
    if batch_norm.needs_upgrade(net):
        done += batch_norm.upgrade(net)
    if stats_batch_size.needs_upgrade(net):
        done += stats_batch_size.upgrade(net)
    return done


def upgrade_solver(message: Message) -> list[str]:
    """Upgrade a SolverParameter, and the nets written inside it, in place.

    Returns:
        What was done, as from `upgrade_net`.

    Raises:
        ProtoError: it cannot be upgraded.
    """
    param: Any = message
    done = solver.upgrade(param)
    for name in ("net_param", "train_net_param"):
        if param.HasField(name):
            done += upgrade_net(getattr(param, name))
    for net in param.test_net_param:
        done += upgrade_net(net)
    return done
