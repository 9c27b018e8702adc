"""Whatever stands in a file, reading it gives a message or a ProtoError that can be shown to a person."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bicerin_proto import ProtoError, Schema, blob_array, default_schema, read_net, read_solver, read_weights
from bicerin_proto.wire import delimited

MOST_EXAMPLES = 400
LONGEST_MESSAGE = 6000
MODEL = Path(__file__).parent / "data" / "det1.caffemodel"

NETS = [
    """name: "n" # a comment
    input: "data" input_dim: [1, 3, 8, 8] state { phase: TEST stage: "s" } force_backward: true
    layer { name: "c" type: "Convolution" bottom: "data" top: "c" param { name: "w" lr_mult: 1 decay_mult: 1e-3 }
            convolution_param { num_output: 4 pad: 1 pad: 2 kernel_size: 3 weight_filler { type: "gaussian" std: .1 }
                                engine: CUDNN } include { phase: TRAIN not_stage: 'x' } loss_weight: -1.5f }
    layer < name: "b" type: "BatchNorm" bottom: "c" top: "b" param { } param { } param { } >
    layer { type: "Clip" clip_param { min: -1 max: 0x10 } blobs { shape { dim: 2 } data: [1, 2.5] } }""",
    """input: "data" input_shape { dim: 1 dim: 010 }
    layers { name: "d" type: DATA top: "d" data_param { source: "\\xe5\\215\\267" scale: 0.5 batch_size: 1 } }
    layers { name: "ip" type: INNER_PRODUCT bottom: "d" top: "ip" param: "w" blob_share_mode: STRICT blobs_lr: 1
             weight_decay: 1 inner_product_param { num_output: 3 } }""",
    """layers { layer { name: "p" type: "padding" pad: 2 } bottom: "data" top: "p" }
    layers { layer { name: "c" type: "conv" num_output: 4 kernelsize: 5 biasterm: false blobs_lr: 1
                     weight_filler { type: "xavier" } } bottom: "p" top: "c" }
    layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }""",
]
SOLVERS = [
    """net: "n.prototxt" base_lr: 0.01 lr_policy: "step" gamma: 1e-1 stepsize: 100 max_iter: 1000 solver_type: ADAM
    snapshot_prefix: "out/x" test_iter: [1, 2] random_seed: -9223372036854775808 solver_mode: GPU
    train_net_param { layer { name: "a" type: "ReLU" } } test_net_param { input: "x" input_dim: 1 }""",
]
PIECES = re.compile(r'"[^"]*"|\'[^\']*\'|[A-Za-z_0-9.]+|\S')
ODD = [
    '"', "'", '"\\', "'\\777'", '"\\ud800"', "\udcff", "\ud800", "\0", "\x1b[2J", "\u202e", "\xa0", "#", "9" * 5000,
    "0x" + "f" * 5000, "1e400", "-", "nan", "inf", "09", "1.5", "-9223372036854775809", "{" * 150, "}", "<", ">", "[",
    "]", ":", ",", ";", "x" * 5000, "layer", "layers", "layer {", "type:", "param {", "input_dim", "include", "blobs {",
    "true", "TRAIN", '"' + "b" * 5000 + '"', '"\\033]0;owned\\007"', "\n", "roi_pooling_param {", "[ [ [",
]  # fmt: skip


@st.composite
def damaged_text(draw: st.DrawFn, texts: list[str]) -> str:
    """One of the texts with tokens that are missing, doubled, exchanged or replaced by odd ones."""
    pieces = PIECES.findall(draw(st.sampled_from(texts)))
    for _ in range(draw(st.integers(1, 4))):
        at, other = (draw(st.integers(0, len(pieces) - 1)) for _ in range(2))
        odd = draw(st.one_of(st.sampled_from(ODD), st.text(max_size=20)))
        what = draw(st.sampled_from(["drop", "double", "exchange", "replace", "insert", "cut"]))
        if what == "drop" and len(pieces) > 1:
            del pieces[at]
        elif what == "double":
            pieces.insert(at, pieces[at])
        elif what == "exchange":
            pieces[at], pieces[other] = pieces[other], pieces[at]
        elif what == "replace":
            pieces[at] = odd
        elif what == "insert":
            pieces.insert(at, odd)
        elif at:
            pieces = pieces[:at]
    return " ".join(pieces) + "\n"


@st.composite
def damaged_bytes(draw: st.DrawFn, binaries: list[bytes]) -> bytes:
    """One of the binaries, cut, or with bytes that are changed, missing or too many."""
    data = bytearray(draw(st.sampled_from(binaries)))
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, max(len(data) - 1, 0))), draw(st.integers(1, 8))
        what = draw(st.sampled_from(["flip", "replace", "insert", "drop", "repeat", "cut"]))
        if what == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif what == "replace":
            data[at : at + length] = draw(st.binary(min_size=length, max_size=length))
        elif what == "insert":
            data[at:at] = draw(st.one_of(st.binary(max_size=12), st.sampled_from([b"\xff" * 10, b"\xa2\x06", b"\x08"])))
        elif what == "drop":
            del data[at : at + length]
        elif what == "repeat":
            data[at:at] = data[at : at + 40]
        elif what == "cut":
            del data[at:]
    return bytes(data)


def check(read, source, *more) -> object:
    """Read it. An error must be one of ours, and fit for a terminal."""
    try:
        return read(source, *more)
    except ProtoError as error:
        message = str(error)
    assert message.isprintable(), ascii(message)
    assert len(message) < LONGEST_MESSAGE
    return None


many = settings(max_examples=MOST_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def serialized(texts: list[str]) -> list[bytes]:
    return [read_net(text, upgrade=False).message.SerializePartialToString() for text in texts]


@pytest.fixture(scope="module")
def recursive(tmp_path_factory) -> Schema:
    """A schema with all that makes reading harder: messages in themselves, renumbered fields, a conflict."""
    from bicerin_proto import Fragment, compile_proto

    bodies = {
        "bicerin-a": """message Tree { repeated Tree child = 1; optional Kind kind = 2; enum Kind { A = 0; B = 1; } }
        message LayerParameter { optional Tree tree_param = 106; optional int32 x_param = 107; optional Tree leaf = 501;
        }
        message PoolingParameter { enum PoolMethod { MIN = 1; } }""",
        "bicerin-b": """message LayerParameter { optional float x_param = 107; optional string text = 106; }
        message ConvolutionParameter { repeated float pad_more = 3; }""",
    }
    folder, fragments = tmp_path_factory.mktemp("schema"), []
    for distribution, body in bodies.items():
        path = folder / f"{distribution}.proto"
        package = distribution.replace("-", "_")
        path.write_text(f'syntax = "proto2"; package {package}; import "caffe.proto"; {body}')
        fragments.append(Fragment(distribution, compile_proto(path)))
    return Schema.merged(fragments)


@many
@given(text=damaged_text(NETS))
def test_nets_in_text(text):
    check(read_net, text, None, True, {"Convolution": "bicerin-convolution"})
    check(read_weights, text)


@many
@given(text=damaged_text(SOLVERS))
def test_solvers_in_text(text):
    check(read_solver, text)


@many
@given(text=st.text(st.sampled_from(list("{}<>[]:,;\"'\\ \n#-.0189aexlnrypt\0\x1b\udcff\ud800é")), min_size=1))
def test_any_text(text):
    check(read_net, text + "\n")


@many
@given(data=damaged_bytes(serialized(NETS)))
def test_nets_in_binary(recursive, data):
    for schema in (None, recursive):
        check(read_net, data, schema, True, {"Convolution": "bicerin-a", "BatchNorm": "bicerin-b"})


@many
@given(data=damaged_bytes([read_solver(SOLVERS[0], upgrade=False).message.SerializeToString()]))
def test_solvers_in_binary(data):
    check(read_solver, data)


@many
@given(data=damaged_bytes([MODEL.read_bytes()[:3000], *serialized(NETS)]))
def test_weights_in_binary(data):
    for layer in check(read_weights, data) or []:
        for blob in layer.blobs:
            check(blob_array, blob)
            check(blob_array, blob, True)


@many
@given(data=damaged_bytes([text.encode() for text in NETS]))
def test_files(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(data)
    check(read_net, path)
    check(read_solver, path)
    check(read_weights, path)


@pytest.mark.parametrize("deep", [90, 150, 5000, 100_000])
def test_messages_in_messages(recursive, deep):
    tree = b""
    for _ in range(min(deep, 500)):
        tree = delimited(1, tree)
    check(read_net, delimited(100, delimited(106, tree)), recursive)
    check(read_net, "layer { tree_param { " + "child { " * deep + "} " * deep + "} }", recursive)
    check(read_net, "layer { nothing " + "{ a " * deep + "}" * deep, recursive)
    check(read_weights, "layer { nothing " + "{ a " * deep + "}" * deep)
    check(read_weights, "layer { nothing: " + "[" * deep)
    assert default_schema() is not recursive
