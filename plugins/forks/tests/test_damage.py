"""Damaged nets of the forks, read with the fields of all that is installed, give a message or a ProtoError."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import bicerin_proto
from bicerin.schema import layer_owners, schema

TEXT = """
name: "n" default_forward_type: FLOAT16 mem_param { optimize_train: true }
layer { name: "a" type: "Data" transform_param { original_image: true crop_size_x: 368 }
        data_param { encoding: UINT8 } }
layer { name: "b" type: "Hotspot" hotspot_param { gaussian_std: 2 mean_removed: true } quantization_param { } }
layer { name: "c" type: "Correlation" correlation_param { max_displacement: 20 correlation_type: SUBTRACT } }
layer { name: "d" type: "Softmax" softmax_param { hard_ratio: .5 } batch_norm_param { engine: CUDNN } }
"""


def whole() -> bytes:
    net: bytes = bicerin_proto.read_net(TEXT, schema(), upgrade=False).message.SerializeToString()
    return net


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    at=st.integers(0, len(whole()) - 1),
    damage=st.binary(max_size=6),
    length=st.integers(0, 6),
    cut=st.one_of(st.none(), st.integers(0, len(whole()))),
)
def test_bytes(at: int, damage: bytes, length: int, cut: int | None) -> None:
    data = (whole()[:at] + damage + whole()[at + length :])[:cut]
    try:
        bicerin_proto.read_net(data, schema(), owners=layer_owners())
    except bicerin_proto.ProtoError as error:
        message = str(error)
    else:
        return
    assert message.isprintable()
    assert len(message) < 3000
