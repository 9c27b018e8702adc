"""The measured nets as ONNX graphs, for the runtimes that read those."""

from __future__ import annotations

from typing import Any

import numpy as np


def onnx_model(net: Any, weights: dict[str, list[np.ndarray]]) -> bytes:
    """A serialized ONNX model (opset 17) of a net for inference; input `data`, output `prob`."""
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants = [], []
    current: dict[str, str] = {"data": "data"}  # blob -> the latest value of that name
    for index, layer in enumerate(net.layer):
        if layer.type == "Input":
            shape = list(layer.input_param.shape[0].dim)
            continue
        inputs = [current[bottom] for bottom in layer.bottom]
        output = f"{layer.top[0]}_{index}" if layer.top[0] != "prob" else "prob"
        names = []
        for number, array in enumerate(weights.get(layer.name, ())):
            names.append(f"{layer.name}/weight_{number}")
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array), names[-1]))
        if layer.type == "Convolution":
            p = layer.convolution_param
            pad, stride = (p.pad or [0])[0], (p.stride or [1])[0]
            nodes.append(
                helper.make_node(
                    "Conv", [*inputs, *names], [output], pads=[pad] * 4, strides=[stride] * 2, group=p.group
                )
            )
        elif layer.type == "InnerProduct":
            nodes.append(helper.make_node("Flatten", inputs, [f"{output}_flat"]))
            nodes.append(helper.make_node("Gemm", [f"{output}_flat", *names], [output], transB=1))
        elif layer.type == "Pooling":
            p = layer.pooling_param
            options = {"kernel_shape": [p.kernel_size] * 2, "strides": [p.stride] * 2, "pads": [p.pad] * 4}
            kind = "MaxPool" if p.pool == 0 else "AveragePool"
            nodes.append(helper.make_node(kind, inputs, [output], ceil_mode=1, **options))
        elif layer.type == "LRN":
            p = layer.lrn_param
            nodes.append(
                helper.make_node("LRN", inputs, [output], size=p.local_size, alpha=p.alpha, beta=p.beta, bias=p.k)
            )
        elif layer.type in ("ReLU", "Dropout"):
            nodes.append(helper.make_node("Relu" if layer.type == "ReLU" else "Identity", inputs, [output]))
        elif layer.type in ("Concat", "Softmax"):
            nodes.append(helper.make_node(layer.type, inputs, [output], axis=1))
        else:
            raise ValueError(layer.type)
        current[layer.top[0]] = output
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, shape)
    prob = helper.make_tensor_value_info("prob", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, net.name, [data], [prob], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
