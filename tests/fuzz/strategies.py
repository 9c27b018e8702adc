"""Hypothesis strategies: for each target in targets.py, the inputs that it is given, as JSON values.

`STRATEGIES` names them. A strategy either spoils something valid in a few places or builds something from the schema.
"""

from __future__ import annotations

import base64
import inspect
import math
import re
import tempfile
from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

import bicerin
from bicerin.layer.layer import Layer, layers
from bicerin.schema.installed_schema import schema

#: Numbers as a prototxt may have them, some of them where something ends.
NUMBERS = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "0.5",
    "-0.0",
    "nan",
    "inf",
    "-inf",
    "1e-45",
    "1e38",
    "1e400",
    "127",
    "2147483647",
    "-2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551616",
    "0x10",
    "010",
    "1e3",
    "1f",
]

STRINGS = [
    '"data"',
    '"x"',
    '""',
    '"\\000"',
    '"\\377"',
    '"/"',
    '"../x"',
    "'a'",
    '"a b"',
    '"é"',
    '"constant"',
    '"xavier"',
]

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 4 dim: 4 } } }'

#: Valid texts, whose tokens are spoiled.
NETS = [
    INPUT
    + """ layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" param { lr_mult: 1 }
      convolution_param { num_output: 2 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
    layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 2 stride: 2 } }
    layer { name: "loss" type: "Reduction" bottom: "pool" top: "loss" loss_weight: 1 }""",
    """name: "n" input: "data" input_shape { dim: 2 dim: 3 } force_backward: true
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 2 axis: 1 }
      param { name: "w" decay_mult: 0 } include { phase: TRAIN not_stage: "b" } include { phase: TEST min_level: 0 } }
    layer { name: "drop" type: "Dropout" bottom: "fc" top: "fc" dropout_param { dropout_ratio: 0.5 } }
    layer { name: "split" type: "Slice" bottom: "fc" top: "a" top: "b" slice_param { axis: 1 slice_point: 1 } }
    layer { name: "e" type: "Eltwise" bottom: "a" bottom: "b" top: "e" eltwise_param { coeff: 1 coeff: -1 } }""",
    """input: "data" input_dim: 2 input_dim: 3 input_dim: 4 input_dim: 4
    layers { name: "pool" type: POOLING bottom: "data" top: "pool" pooling_param { pool: AVE kernel_size: 2 } }
    layers { name: "ip" type: INNER_PRODUCT bottom: "pool" top: "ip" blobs_lr: 1 blobs_lr: 2 weight_decay: 0
      inner_product_param { num_output: 2 weight_filler { type: "gaussian" std: 0.1 } } }
    layers { name: "prob" type: SOFTMAX bottom: "ip" top: "prob" }""",
    """layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param { shape { dim: 4 dim: 3 } shape { dim: 4 }
      data_filler { type: "uniform" min: -1 max: 1 } data_filler { type: "constant" value: 1 } } }
    layer { name: "s" type: "Scale" bottom: "x" top: "s" scale_param { axis: 1 bias_term: true } }
    layer { name: "bn" type: "BatchNorm" bottom: "s" top: "bn" batch_norm_param { eps: 1e-5 } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "bn" bottom: "t" top: "loss" loss_param { ignore_label: 2 } }
    layer { name: "acc" type: "Accuracy" bottom: "bn" bottom: "t" top: "acc" accuracy_param { top_k: 1 } }""",
]

SOLVER = """net_param { layer { name: "d" type: "DummyData" top: "x" top: "t" dummy_data_param {
      shape { dim: 4 dim: 3 } shape { dim: 4 dim: 2 } data_filler { type: "gaussian" } } }
    layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc" inner_product_param { num_output: 2 } }
    layer { name: "loss" type: "EuclideanLoss" bottom: "fc" bottom: "t" top: "loss" } }
  base_lr: 0.01 lr_policy: "step" gamma: 0.1 stepsize: 2 momentum: 0.9 weight_decay: 0.0005 type: "SGD"
  regularization_type: "L2" clip_gradients: 10 iter_size: 1 average_loss: 2 max_iter: 4 display: 1 random_seed: 1
  snapshot: 2 snapshot_prefix: "s" snapshot_format: BINARYPROTO test_iter: 1 test_interval: 2 debug_info: false"""
POLICIES = ["fixed", "exp", "inv", "multistep", "poly", "sigmoid", "plateau", "step"]
SOLVERS = ["SGD", "Nesterov", "AdaGrad", "RMSProp", "AdaDelta", "Adam"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\w.+-]+|\S')

#: What is run as often as it says, so that a large number is no fault.
_LONG = re.compile(r"\b(iter_size|test_iter|average_loss|max_iter)(\s*:\s*)[\w.+-]{4,}")


def _words() -> list[str]:
    messages = ("NetParameter", "LayerParameter", "ParamSpec", "FillerParameter", "BlobShape", "SolverParameter")
    return sorted({field.name for name in messages for field in getattr(schema(), name).DESCRIPTOR.fields})


@st.composite
def spoilt(draw: Any, texts: list[str]) -> str:
    """A valid text with a few of its tokens removed, doubled, moved or replaced."""
    tokens = _TOKEN.findall(draw(st.sampled_from(texts)))
    numbers = st.sampled_from(NUMBERS)
    words = st.sampled_from(_words())
    strings = st.one_of(
        st.sampled_from(STRINGS),
        st.sampled_from([token for token in tokens if token[0] == '"']),
        st.sampled_from(sorted(layers.providers())).map(lambda name: f'"{name}"'),
    )
    marks = st.sampled_from(["{", "}", ":", "<", ">", "[", "]", ",", ";", "#", "true", "TRAIN", "/*", "'"])
    other = st.one_of(numbers, words, strings, marks, st.text(max_size=4))

    def like(token: str) -> Any:
        """Mostly of the token's own kind, so that the text still parses."""
        if draw(st.integers(0, 5)) == 5:
            return other
        if token[:1] == '"':
            return strings
        return numbers if re.fullmatch(r"-?[\d.]+(e-?\d+)?", token) else words if token.islower() else other

    values = [index for index, token in enumerate(tokens) if re.match(r'"|-?\d', token)]
    names = [index for index, token in enumerate(tokens) if token.isidentifier()]
    changeable = values if draw(st.integers(0, 4)) < 4 else names
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3, 5]))):
        if not tokens:
            break
        place = draw(st.integers(0, len(tokens) - 1))
        match draw(
            st.sampled_from(["like"] * 12 + ["line"] * 3 + ["replace", "remove", "double", "insert", "swap", "cut"])
        ):
            case "like":
                place = draw(st.sampled_from(changeable))
                if place < len(tokens):
                    tokens[place] = draw(like(tokens[place]))
            case "line":
                # A field with its value.
                places = [index for index, token in enumerate(tokens) if token == ":"]
                if places:
                    place = draw(st.sampled_from(places))
                    field = tokens[max(place - 1, 0) : place + 2]
                    if draw(st.booleans()):
                        tokens[place + 2 : place + 2] = field
                    else:
                        del tokens[max(place - 1, 0) : place + 2]
            case "replace":
                tokens[place] = draw(other)
            case "remove":
                del tokens[place]
            case "double":
                end = min(len(tokens), place + draw(st.integers(1, 30)))
                tokens[place:place] = tokens[place:end]
            case "insert":
                tokens.insert(place, draw(other))
            case "swap":
                tokens[place], tokens[0] = tokens[0], tokens[place]
            case "cut":
                del tokens[place:]
    return _LONG.sub(r"\1\g<2>3", " ".join(tokens))


def nets() -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries({"text": spoilt(NETS), "phase": st.sampled_from(["TRAIN", "TEST"])})


def solvers() -> st.SearchStrategy[Any]:
    return st.tuples(spoilt([SOLVER]), st.sampled_from(POLICIES), st.sampled_from(SOLVERS)).map(
        lambda made: {"text": made[0].replace('"step"', f'"{made[1]}"').replace("SGD", made[2])}
    )


# Bytes


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def spoil(draw: Any, data: bytes) -> bytes:
    """A few bytes changed, removed or put in between; sometimes none."""
    spoiled = bytearray(data)
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 4]))):
        place = draw(st.integers(0, max(len(spoiled) - 1, 0)))
        match draw(st.sampled_from(["flip", "set", "cut", "remove", "insert", "long"])):
            case "flip" if spoiled:
                spoiled[place] ^= 1 << draw(st.integers(0, 7))
            case "set" if spoiled:
                spoiled[place] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
            case "cut":
                del spoiled[place:]
            case "remove":
                del spoiled[place : place + draw(st.integers(1, 8))]
            case "insert":
                spoiled[place:place] = draw(st.binary(max_size=8))
            case "long":
                # A varint of a huge number, such as a length or a dimension.
                spoiled[place : place + 1] = b"\xff\xff\xff\xff\xff\xff\xff\x7f"[draw(st.integers(0, 7)) :]
    return bytes(spoiled)


@cache
def valid_files() -> dict[str, list[bytes]]:
    """Files of each kind, as Bicerin writes them."""
    import targets

    found: dict[str, list[bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        solver = bicerin.Solver(targets.SOLVER.replace('snapshot_prefix: "s"', f'snapshot_prefix: "{folder}/s"'))
        solver.step(2)
        state = solver.snapshot()
        found["solverstate"] = [state.read_bytes()]
        found["caffemodel"] = [state.with_name(state.name.replace("solverstate", "caffemodel")).read_bytes()]
    binary = [bicerin.Net(text, "TRAIN").to_proto().SerializeToString() for text in NETS[:2]]
    found["net"] = [*binary, *found["caffemodel"]]
    blob = schema().BlobProto(num=1, channels=3, height=4, width=4, data=[1.0] * 48)
    shaped = schema().BlobProto(data=[1.0] * 3)
    shaped.shape.dim.extend([1, 3, 1, 1])
    found["mean"] = [blob.SerializeToString(), shaped.SerializeToString()]
    return found


@st.composite
def wires(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(["caffemodel", "solverstate", "net", "mean"]))
    data = draw(st.binary(max_size=60)) if draw(st.integers(0, 9)) == 9 else draw(st.sampled_from(valid_files()[kind]))
    return {"kind": kind, "bytes": encoded(spoil(draw, data))}


@st.composite
def hdf5s(draw: Any) -> dict[str, Any]:
    fraction = st.floats(0, 1)
    change = st.one_of(
        st.fixed_dictionaries({"op": st.just("cut"), "at": fraction}),
        st.fixed_dictionaries({"op": st.just("flip"), "at": fraction, "bits": st.integers(1, 255)}),
        st.fixed_dictionaries({"op": st.sampled_from(["remove", "link"]), "which": st.integers(0, 40)}),
        st.fixed_dictionaries(
            {
                "op": st.just("dataset"),
                "which": st.integers(0, 40),
                "dtype": st.sampled_from(["f4", "f8", "i8", "u1", "c8", "?", "text", "compound", "group"]),
                "shape": st.lists(st.integers(0, 4), max_size=4),
            }
        ),
    )
    return {
        "kind": draw(st.sampled_from(["weights", "state", "data"])),
        "changes": draw(st.lists(change, min_size=1, max_size=3)),
    }


@cache
def images() -> list[bytes]:
    import cv2

    picture = np.random.default_rng(0).integers(0, 255, (9, 7, 3)).astype(np.uint8)
    made = [cv2.imencode(f".{kind}", picture)[1].tobytes() for kind in ("png", "jpg", "bmp", "tiff", "ppm")]
    return [
        *made,
        cv2.imencode(".png", picture[..., 0])[1].tobytes(),
        cv2.imencode(".png", picture[:1, :1])[1].tobytes(),
    ]


SIZE = st.sampled_from([0, 1, 2, 2, 5, 5, 5, 7, 7, 8, 9, 300, 65536, 2147483647, 4294967295])


@st.composite
def transforms(draw: Any) -> str:
    """A transform_param of a few fields."""
    given = []
    for name, values in {
        "crop_size": SIZE,
        "scale": st.sampled_from(["0", "1", "0.00390625", "nan", "-1e38"]),
        "mirror": st.sampled_from(["true", "false"]),
        "mean_value": st.sampled_from(["0", "128", "nan"]),
        "force_color": st.sampled_from(["true", "false"]),
        "force_gray": st.sampled_from(["true", "false"]),
    }.items():
        for _ in range(
            draw(st.sampled_from([0, 0, 0, 1, 1, 2])) if name == "mean_value" else draw(st.sampled_from([0, 0, 0, 1]))
        ):
            given.append(f"{name}: {draw(values)}")
    return f"transform_param {{ {' '.join(given)} }}"


@st.composite
def records(draw: Any) -> dict[str, Any]:
    annotated = "AnnotatedData" in layers and draw(st.booleans())

    def datum_of() -> Any:
        datum = schema().Datum()
        size = [draw(st.integers(0, 4)) for _ in range(3)] if draw(st.integers(0, 4)) == 4 else [3, 9, 7]
        datum.channels, datum.height, datum.width = size
        if draw(st.integers(0, 9)) == 9:
            setattr(
                datum, draw(st.sampled_from(["channels", "height", "width"])), draw(st.sampled_from([-1, 2**31 - 1]))
            )
        count = math.prod(size)
        match draw(st.sampled_from(["bytes", "bytes", "floats", "image", "image", "short", "none"])):
            case "bytes":
                datum.data = bytes(index % 256 for index in range(count))
            case "floats":
                datum.float_data.extend([0.5] * count)
            case "short":
                datum.data = b"ab"
            case "image":
                datum.encoded = True
                datum.data = spoil(draw, draw(st.sampled_from(images())))
        datum.label = draw(st.sampled_from([0, 1, -1, 2147483647]))
        return datum

    def record() -> bytes:
        message = datum_of()
        if annotated and draw(st.integers(0, 9)) < 9:
            record = schema().AnnotatedDatum()
            record.datum.CopyFrom(message)
            fill_message(draw, record)
            message = record
        data: bytes = message.SerializeToString()
        return spoil(draw, data) if draw(st.integers(0, 3)) == 3 else data

    return {
        "type": "AnnotatedData" if annotated else "Data",
        "records": [encoded(record()) for _ in range(draw(st.sampled_from([0, 1, 2, 2, 3])))],
        "options": draw(transforms()),
        "phase": draw(st.sampled_from(["TRAIN", "TEST"])),
    }


@st.composite
def pictures(draw: Any) -> dict[str, Any]:
    fields = {
        "new_height": SIZE,
        "new_width": SIZE,
        "is_color": st.sampled_from(["true", "false"]),
        "shuffle": st.sampled_from(["true", "false"]),
        "rand_skip": st.sampled_from([0, 1, 5]),
        "root_folder": st.sampled_from(['""', '"./"', '"\\000"', '"nowhere/"']),
    }
    options = [f"{name}: {draw(values)}" for name, values in fields.items() if not draw(st.integers(0, 3))]
    if draw(st.integers(0, 5)) < 5:
        options = [option for option in options if not option.startswith("new_")]
        if draw(st.booleans()):
            options += [f"new_height: {draw(SIZE)} new_width: {draw(SIZE)}"]
    line = st.one_of(
        st.sampled_from(
            [
                "a.img 0",
                "a.img 1",
                "a.img",
                "a.img x",
                "",
                " ",
                "nowhere.png 0",
                "a.img 99999999999999999999",
                "a.img -1",
                "a.img 0.5",
                ". 0",
                "a b.img 0",
                "\ufeffa.img 0",
                "a.img\t3",
            ]
        ),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    )
    lines = draw(st.lists(line, max_size=3)) if draw(st.integers(0, 3)) == 3 else ["a.img 0", "a.img 1"]
    return {
        "bytes": encoded(spoil(draw, draw(st.sampled_from(images())))),
        "list": draw(st.sampled_from(["\n", "\r\n"])).join(lines),
        "options": " ".join(options),
        "transform": draw(transforms()),
        "phase": draw(st.sampled_from(["TRAIN", "TEST"])),
    }


# Layers


@cache
def parameters_of(layer_type: str) -> tuple[str, ...]:
    """The fields of LayerParameter that hold a type's parameters: by its name, and those that its code names."""
    plain = layer_type.lower().removesuffix("withloss")
    code = "".join(
        inspect.getsource(cls)
        for cls in layers.load(layer_type).__mro__
        if cls.__module__.startswith("bicerin") and cls is not Layer
    )
    named = set(re.findall(r"\b\w+_param\b", code)) - set(SHARED)
    own = []
    for field in schema().LayerParameter.DESCRIPTOR.fields:
        name = field.name.removesuffix("_param").replace("_", "")
        by_name = field.name.endswith("_param") and name in (plain, layer_type.lower())
        if field.message_type is not None and (by_name or field.name in named):
            own.append(field.name)
    return tuple(own)


#: What layers of many types have.
SHARED = ["loss_param", "transform_param", "propagate_down", "loss_weight"]

_INTEGERS = st.one_of(
    st.integers(0, 5), st.sampled_from([-1, -2, 7, 100, 32767, 2147483647, -2147483648, 4294967295, 2**63 - 1])
)
_FLOATS = st.sampled_from([0.0, 1.0, 0.5, -1.0, 2.0, math.nan, math.inf, -math.inf, 1e-45, 1e38, -0.0])
_TEXTS = st.sampled_from(
    ["", "constant", "xavier", "gaussian", "bilinear", "x", "a,b", "\0", "é", "../x", "[0.1]", "5"]
)


def fill_message(draw: Any, message: Any, depth: int = 0) -> None:
    """Give a few fields of a message values, all of which its types allow."""
    fields = message.DESCRIPTOR.fields
    for field in draw(st.lists(st.sampled_from(list(fields)), max_size=4, unique=True)) if fields else ():
        repeated = field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED
        for _ in range(draw(st.integers(1, 3)) if repeated else 1):
            if field.message_type is not None:
                if depth < 2:
                    part = getattr(message, field.name)
                    fill_message(draw, part.add() if repeated else part, depth + 1)
                    if not repeated:
                        part.SetInParent()
                continue
            value = draw(_value(field))
            try:
                if repeated:
                    getattr(message, field.name).append(value)
                else:
                    setattr(message, field.name, value)
            except (ValueError, TypeError):
                continue  # not of the field's range


def _value(field: Any) -> st.SearchStrategy[Any]:
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    kind = field.cpp_type
    if kind in (field.CPPTYPE_FLOAT, field.CPPTYPE_DOUBLE):
        return _FLOATS
    if kind == field.CPPTYPE_BOOL:
        return st.booleans()
    if kind == field.CPPTYPE_STRING:
        return _TEXTS if field.type != field.TYPE_BYTES else st.binary(max_size=4)
    return _INTEGERS


#: These run the user's code, or read files, for which there are targets of their own.
_LEFT_OUT = {
    "Python",
    "HDF5Output",
    "DetectionEvaluate",
    "Data",
    "AnnotatedData",
    "ImageData",
    "WindowData",
    "HDF5Data",
}


@st.composite
def layer_calls(draw: Any) -> dict[str, Any]:
    from google.protobuf import text_format

    layer_type = draw(st.sampled_from([name for name in sorted(layers.providers()) if name not in _LEFT_OUT]))
    message = schema().LayerParameter(name="l", type=layer_type)
    own = list(parameters_of(layer_type))
    for name in own + [draw(st.sampled_from(SHARED))] * draw(st.sampled_from([0, 0, 1])):
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.message_type is None:
            getattr(message, name).append(draw(_value(field)))
        else:
            fill_message(draw, getattr(message, name))
    counts = layers.load(layer_type).counts
    least = counts.bottom.least
    number = least if draw(st.integers(0, 9)) else draw(st.integers(0, 4))
    if draw(st.integers(0, 15)) == 15:
        number += 1
    tops = counts.top.least if draw(st.integers(0, 4)) else draw(st.integers(0, 3))
    message.top.extend(f"t{index}" for index in range(tops))
    axes = draw(st.sampled_from([4, 4, 4, 2, 2, 3, 1, 0, 5]))
    shape = [draw(st.sampled_from([2, 3, 4, 8, 1, 1, 0])) for _ in range(axes)]
    bottoms = []
    for index in range(number):
        own_shape = shape if index == 0 or draw(st.booleans()) else draw(st.lists(st.integers(0, 4), max_size=4))
        if index and draw(st.booleans()):
            own_shape = shape[:1]
        kinds = ["normal", "normal", "labels", "labels", "outside", "not finite", "huge"]
        bottoms.append([own_shape, draw(st.sampled_from(kinds if index else ["normal", "normal", *kinds]))])
    return {
        "definition": text_format.MessageToString(message, as_one_line=True),
        "bottoms": bottoms,
        "phase": draw(st.sampled_from(["TRAIN", "TEST"])),
        "backward": draw(st.booleans()),
    }


# Command lines

FILES = [
    "net.prototxt",
    "solver.prototxt",
    "w.caffemodel",
    "text.txt",
    "bytes.bin",
    "empty",
    "folder",
    "nowhere",
    "",
    "-",
    "out.png",
    "out.svg",
    "out",
    "folder/x",
    "a" * 300,
]
COMMANDS = [
    "check",
    "test",
    "time",
    "train",
    "upgrade",
    "draw",
    "parse-log",
    "info",
    "plugins",
    "compute-image-mean",
    "convert-imageset",
    "extract-features",
    "plot-log",
    "nothing",
]
OPTIONS = [
    "--iterations",
    "2",
    "0",
    "-1",
    "x",
    "--phase",
    "train",
    "test",
    "-w",
    "--weights",
    "--json",
    "--quiet",
    "--debug",
    "--verbose",
    "--level",
    "99999999999999999999",
    "--stage",
    "é",
    "--provider",
    "ReLU=x",
    "=",
    "--device",
    "gpu",
    "cpu",
    "cpu:9",
    "--input",
    "data=1,2",
    "data=-1",
    "data=a",
    "data=2,3",
    "data=99999999999,3",
    "--summary",
    "--seed",
    "--resume",
    "--skip-bad-records",
    "--rankdir",
    "LR",
    "net",
    "solver",
    "--binary",
    "--text",
    "list",
    "check",
    "new",
    "bicerin-loss",
    "--log-json",
    "--help",
    "--backend",
    "lmdb",
    "--y",
    "loss",
    "--log-scale",
    "fc",
    "--delimiter",
    "\t",
]


@st.composite
def commands(draw: Any) -> dict[str, Any]:
    arguments = [draw(st.sampled_from(COMMANDS))]
    for _ in range(draw(st.integers(0, 6))):
        word = st.one_of(
            st.sampled_from(FILES),
            st.sampled_from(FILES[:6]),
            st.sampled_from(OPTIONS),
            st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3),
        )
        arguments.append(draw(word))
    if arguments[0] == "plugins":
        # A check of a plugin runs all its cases.
        arguments = [word for word in arguments if word != "check"]
    if arguments[0] in ("test", "time", "train") and "--iterations" not in arguments:
        arguments += ["--iterations", "2"]
    return {"arguments": arguments}


#: Command lines that work, whose words are spoilt: those that make or read more than the random ones get to.
LINES = [
    [
        *("predict", "images.prototxt", "pictures/a/0.png", "-w", "images.caffemodel", "--top", "2", "--mean", "1,2,3"),
        *("--scale", "0.5", "--resize", "8", "--labels", "text.txt", "--json"),
    ],
    ["init", "pictures", "made", "--size", "8", "--part", "0.5", "--seed", "3"],
    [
        *("report", "net.prototxt", "-w", "w.caffemodel", "--inputs", "arrays.npz", "--samples", "1", "--time", "1"),
        *("-o", "out.html"),
    ],
    ["report", "solver.prototxt", "text.txt", "-o", "out.html", "--input", "data=2,3"],
    ["report", "images.prototxt", "-w", "images.caffemodel", "--image", "pictures/a/0.png", "-o", "out.html"],
    ["export", "net.prototxt", "-o", "out.onnx", "-w", "w.caffemodel", "--inputs", "arrays.npz", "--no-verify"],
    ["export", "images.prototxt", "-o", "out.onnx", "-w", "images.caffemodel", "--int8", "arrays.npz"],
    ["test", "net.prototxt", "-w", "w.caffemodel", "--iterations", "2", "--parallel", "nothing"],
    ["train", "solver.prototxt", "--weights", "w.caffemodel", "--parallel", "nothing", "--record", "run.json"],
    ["compile", "net.prototxt", "solver.prototxt"],
    ["list-images", "pictures", "train.txt", "val.txt"],
    ["launch", "-n", "2", "--restarts", "1", "bicerin", "info"],
]


@st.composite
def spoilt_lines(draw: Any) -> dict[str, Any]:
    """A command line that works, with a few of its words removed, doubled, moved or replaced; sometimes none."""
    command, *words = draw(st.sampled_from([line for line in LINES if line[0] in cli_commands()]))
    other = st.one_of(
        st.sampled_from([*FILES, "arrays.npz", "pictures", "pictures/a/0.png", "images.prototxt", "images.caffemodel"]),
        st.sampled_from(OPTIONS),
        st.sampled_from(["1e38", "nan", "-1", "0", "1,2", "1,2,x", "8x8", "0x0", "99999x99999", "2147483647"]),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=3),
    )
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        place = draw(st.integers(0, max(len(words) - 1, 0)))
        match draw(st.sampled_from(["replace", "replace", "remove", "double", "insert", "swap"])):
            case "replace" if words:
                words[place] = draw(other)
            case "remove":
                del words[place : place + 1]
            case "double":
                words[place:place] = words[place : place + 2]
            case "insert":
                words.insert(place, draw(other))
            case "swap" if words:
                words[place], words[0] = words[0], words[place]
    # Nothing is started: there is no such mpiexec.
    return {"arguments": [command, *(["--mpiexec", "empty"] if command == "launch" else []), *words]}


@cache
def cli_commands() -> frozenset[str]:
    from bicerin.cli.command_line import command_line

    return frozenset(command_line.list_commands(None))  # type: ignore[arg-type]


@cache
def other_files() -> dict[str, list[bytes]]:
    """Arrays, choices, logs and names of classes."""
    import io

    packed = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, data=np.ones((2, 3), np.float32), label=np.arange(2))
        packed.append(file.getvalue())
    events = '{"event": "train", "iteration": 0, "loss": 1.5, "outputs": {"loss": 1.5}, "learning_rate": 0.1}'
    return {
        "arrays": packed,
        "choices": [b'{"cpu, 1 threads: k": "a"}', b"{}", b"[" * 3000],
        "log": [f"{events}\n{events}\n".encode(), b"I0101 00:00:00.1 1 solver.cpp:1] Iteration 0, loss = 1\n" * 2],
        "labels": [b"cat\ndog\n", "\ufeffn01 é\r\nb\n".encode()],
    }


@st.composite
def files(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(sorted(other_files())))
    data = draw(st.binary(max_size=60)) if draw(st.integers(0, 9)) == 9 else draw(st.sampled_from(other_files()[kind]))
    return {"kind": kind, "bytes": encoded(spoil(draw, data))}


#: By the name of the target: the strategy, and how many inputs the run in the default tests tries.
STRATEGIES: dict[str, tuple[st.SearchStrategy[Any], int]] = {
    "net": (nets(), 250),
    "solver": (solvers(), 100),
    "wire": (wires(), 200),
    "hdf5": (hdf5s(), 80),
    "records": (records(), 100),
    "image": (pictures(), 150),
    "layer": (layer_calls(), 400),
    "command": (st.one_of(commands(), spoilt_lines()), 120),
    "file": (files(), 80),
}
