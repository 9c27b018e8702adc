"""Nets written in Python.

    from bicerin.spec import NetSpec, layers as L, params as P

    n = NetSpec()
    n.data, n.label = L.Data(source="train_lmdb", backend=P.Data.LMDB, batch_size=64, ntop=2)
    n.conv1 = L.Convolution(n.data, kernel_size=5, num_output=20, weight_filler=dict(type="xavier"))
    n.relu1 = L.ReLU(n.conv1, in_place=True)
    n.loss = L.SoftmaxWithLoss(n.conv1, n.label, include=dict(phase=bicerin.TRAIN))
    net = bicerin.Net(n.to_proto())

Layers are named by their types, those of plugins too. `spec.coordinates` crops one top to the place of another.
"""

from bicerin.spec.net_spec import (
    Function,
    Layers,
    NetSpec,
    Parameters,
    Top,
    assign_proto,
    layers,
    param_name_dict,
    params,
    to_proto,
)

__all__ = [
    "Function",
    "Layers",
    "NetSpec",
    "Parameters",
    "Top",
    "assign_proto",
    "layers",
    "param_name_dict",
    "params",
    "to_proto",
]
