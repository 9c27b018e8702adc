"""Nets and solvers of the older formats, next to what Caffe makes of them."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from bicerin_proto import ProtoError, default_schema, read_net, read_solver, upgrade_net, write_text
from bicerin_proto.layer_types import V0_TYPES, V1_TYPES

CASES = {
    "V0 with padding": (
        """
        input: "data" input_dim: 1 input_dim: 3 input_dim: 8 input_dim: 8
        layers { layer { name: "pad1" type: "padding" pad: 2 } bottom: "data" top: "pad1" }
        layers { layer { name: "conv1" type: "conv" num_output: 4 biasterm: false kernelsize: 5 stride: 2 group: 1
                         weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 1 }
                         blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0 } bottom: "pad1" top: "conv1" }
        layers { layer { name: "pool1" type: "pool" pool: AVE kernelsize: 3 stride: 2 } bottom: "conv1" top: "pool1" }
        layers { layer { name: "norm1" type: "lrn" local_size: 5 alpha: 0.0001 beta: 0.75 }
                 bottom: "pool1" top: "norm1" }
        layers { layer { name: "drop" type: "dropout" dropout_ratio: 0.3 } bottom: "norm1" top: "norm1" }
        layers { layer { name: "loss" type: "softmax_loss" } bottom: "norm1" bottom: "label" }
        """,
        """
        layer { name: "input" type: "Input" top: "data"
                input_param { shape { dim: 1 dim: 3 dim: 8 dim: 8 } } }
        layer { name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
                param { lr_mult: 1 decay_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
                convolution_param { num_output: 4 bias_term: false pad: 2 kernel_size: 5 stride: 2 group: 1
                    weight_filler { type: "gaussian" std: 0.01 } bias_filler { type: "constant" value: 1 } } }
        layer { name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1"
                pooling_param { pool: AVE kernel_size: 3 stride: 2 } }
        layer { name: "norm1" type: "LRN" bottom: "pool1" top: "norm1"
                lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 } }
        layer { name: "drop" type: "Dropout" bottom: "norm1" top: "norm1" dropout_param { dropout_ratio: 0.3 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "norm1" bottom: "label" }
        """,
    ),
    "V0 data": (
        """
        layers { layer { name: "d" type: "data" source: "db" meanfile: "m" batchsize: 4 cropsize: 5 mirror: true
                         scale: 0.5 rand_skip: 3 } top: "data" }
        layers { layer { name: "i" type: "images" source: "list" batchsize: 4 shuffle_images: true new_height: 6
                         new_width: 7 } top: "i" }
        layers { layer { name: "w" type: "window_data" source: "win" det_fg_threshold: 0.6 det_bg_threshold: 0.3
                         det_fg_fraction: 0.2 det_context_pad: 16 det_crop_mode: "square" } top: "w" }
        layers { layer { name: "c" type: "concat" concat_dim: 0 } bottom: "i" bottom: "w" top: "c" }
        layers { layer { name: "o" type: "hdf5_output" hdf5_output_param { file_name: "f" } } bottom: "c" }
        """,
        """
        layer { name: "d" type: "Data" top: "data" data_param { source: "db" batch_size: 4 rand_skip: 3 }
                transform_param { scale: 0.5 mean_file: "m" crop_size: 5 mirror: true } }
        layer { name: "i" type: "ImageData" top: "i"
                image_data_param { source: "list" batch_size: 4 shuffle: true new_height: 6 new_width: 7 } }
        layer { name: "w" type: "WindowData" top: "w"
                window_data_param { source: "win" fg_threshold: 0.6 bg_threshold: 0.3 fg_fraction: 0.2 context_pad: 16
                                    crop_mode: "square" } }
        layer { name: "c" type: "Concat" bottom: "i" bottom: "w" top: "c" concat_param { concat_dim: 0 } }
        layer { name: "o" type: "HDF5Output" bottom: "c" hdf5_output_param { file_name: "f" } }
        """,
    ),
    "V1": (
        """
        layers { name: "d" type: DATA top: "data" data_param { source: "db" scale: 2 mirror: true crop_size: 3
                 mean_file: "m" batch_size: 1 } include { phase: TRAIN } }
        layers { name: "ip" type: INNER_PRODUCT bottom: "data" top: "ip" param: "w" param: "b"
                 blob_share_mode: PERMISSIVE blobs_lr: 1 blobs_lr: 2 weight_decay: 1 weight_decay: 0
                 inner_product_param { num_output: 3 } loss_weight: 0.5 exclude { stage: "deploy" } }
        """,
        """
        layer { name: "d" type: "Data" top: "data" data_param { source: "db" batch_size: 1 } include { phase: TRAIN }
                transform_param { scale: 2 mirror: true crop_size: 3 mean_file: "m" } }
        layer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip"
                param { name: "w" share_mode: PERMISSIVE lr_mult: 1 decay_mult: 1 }
                param { name: "b" lr_mult: 2 decay_mult: 0 }
                inner_product_param { num_output: 3 } loss_weight: 0.5 exclude { stage: "deploy" } }
        """,
    ),
    "input shapes": (
        'input: "a" input_shape { dim: 2 } input: "b" input_shape { dim: 3 dim: 4 } layer { name: "l" }',
        """layer { name: "input" type: "Input" top: "a" top: "b"
                   input_param { shape { dim: 2 } shape { dim: 3 dim: 4 } } } layer { name: "l" }""",
    ),
    "input without a shape": (
        'input: "a" input: "b" layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 } } }',
        'layer { name: "in" type: "Input" top: "a" input_param { shape { dim: 2 } } }',
    ),
    "shapes without an input": (
        "input_dim: 1 input_dim: 2 input_dim: 3 input_dim: 4 input_shape { dim: 1 } layers { type: RELU }",
        'layer { type: "ReLU" }',
    ),
    "BatchNorm": (
        """layer { type: "BatchNorm" param { lr_mult: 0 } param { lr_mult: 0 } param { lr_mult: 0 } }
           layer { type: "BatchNorm"
                   param { name: "m" } param { name: "v" share_mode: PERMISSIVE } param { name: "f" } }
           layer { type: "BatchNorm" param { lr_mult: 0 } }
           layer { type: "Scale" param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 } }""",
        """layer { type: "BatchNorm" param { lr_mult: 0 decay_mult: 0 } param { lr_mult: 0 decay_mult: 0 }
                   param { lr_mult: 0 decay_mult: 0 } }
           layer { type: "BatchNorm" param { name: "m" lr_mult: 0 decay_mult: 0 }
                   param { name: "v" share_mode: PERMISSIVE lr_mult: 0 decay_mult: 0 }
                   param { name: "f" lr_mult: 0 decay_mult: 0 } }
           layer { type: "BatchNorm" param { lr_mult: 0 } }
           layer { type: "Scale" param { lr_mult: 1 } param { lr_mult: 1 } param { lr_mult: 1 } }""",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_upgrade(name):
    old, new = CASES[name]
    document = read_net(old)
    assert document.message == text_format.Parse(new, default_schema().NetParameter())
    assert document.upgrades
    assert upgrade_net(document.message) == [], "an upgraded net is in today's format"


def test_a_net_of_today_is_left_alone():
    net = read_net('layer { name: "a" type: "ReLU" }').message
    assert upgrade_net(net) == []


@pytest.mark.parametrize(("old", "new"), [(name, name_now) for name, name_now in V1_TYPES.items() if name != "NONE"])
def test_every_v1_type(old, new):
    assert read_net(f"layers {{ type: {old} }}").message.layer[0].type == new


@pytest.mark.parametrize(("old", "v1"), V0_TYPES.items())
def test_every_v0_type(old, v1):
    layer = read_net(f'layers {{ layer {{ type: "{old}" }} }}').message.layer[0]
    assert layer.type == V1_TYPES[v1]


def test_the_tables_cover_the_enum():
    assert set(V1_TYPES) == set(default_schema().V1LayerParameter.LayerType.keys())


def test_places_survive_folding():
    text = """input: "data"
        input_shape { dim: 1 }
        layers { layer { name: "p" type: "padding" pad: 2 } bottom: "data" top: "p" }
        layers { layer { name: "c" type: "conv" } bottom: "p" top: "c" }
        layers { layer { name: "r" type: "relu" } bottom: "c" top: "c" }"""
    document = read_net(text)
    assert [layer.name for layer in document.message.layer] == ["input", "c", "r"]
    assert [document.line(index) for index in range(3)] == [1, 4, 5]


def test_v0_options_of_other_layers_are_named():
    document = read_net('layers { layer { name: "r" type: "relu" kernelsize: 3 } }')
    assert 'kernelsize of layer "r" (relu)' in document.upgrades[1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers { type: RELU } layer { }", "mixes 1 `layers` of the old format with 1 `layer`"),
        ('input: "a" input_dim: 1\n', "1 input .a. but 1 input_dim"),
        ('input: "a" input: "b" input_dim: [1, 2, 3, 4]', "2 input .a, b. but 4 input_dim"),
        ('input: "a" input: "b" input_shape { }', "2 input .a, b. but 1 input_shape"),
        ('input: "a" input_shape { } input_dim: 1', "both input_shape and input_dim"),
        (
            'layers { layer { name: "p" type: "padding" } bottom: "a" top: "b" } '
            'layers { layer { name: "r" type: "relu" } bottom: "b" top: "c" }',
            'padding layer "p" is followed by layer "r" of type "relu"',
        ),
        (
            'layers { layer { name: "p" type: "padding" } bottom: "a" top: "b" } '
            'layers { layer { name: "c" type: "conv" } bottom: "b" bottom: "a" top: "c" }',
            "one bottom and one top each",
        ),
    ],
)
def test_what_cannot_be_upgraded(text, message):
    with pytest.raises(ProtoError, match=message):
        read_net(text)


@pytest.mark.parametrize(
    ("enum", "name"),
    [("SGD", "SGD"), ("NESTEROV", "Nesterov"), ("ADAGRAD", "AdaGrad"), ("RMSPROP", "RMSProp"),
     ("ADADELTA", "AdaDelta"), ("ADAM", "Adam")],
)  # fmt: skip
def test_solver_types(enum, name):
    document = read_solver(f"solver_type: {enum}")
    assert document.message.type == name
    assert not document.message.HasField("solver_type")
    assert document.upgrades == (f'solver_type {enum} to type "{name}"',)


def test_solver_with_both_types_and_with_nets():
    with pytest.raises(ProtoError, match="both solver_type"):
        read_solver('solver_type: SGD type: "SGD"')
    solver = read_solver("net_param { layers { type: RELU } } test_net_param { layers { type: RELU } }").message
    assert solver.net_param.layer[0].type == solver.test_net_param[0].layer[0].type == "ReLU"


def test_shared_statistics_keep_their_names_in_binary_and_when_written(tmp_path):
    layers = "".join(
        f'layer {{ name: "{name}" type: "BatchNorm" bottom: "x" top: "{name}" '
        + "".join(f'param {{ name: "{blob}" lr_mult: 0 }} ' for blob in "mvf")
        + "}"
        for name in ("bn1", "bn2")
    )
    binary = read_net(layers, upgrade=False).message.SerializeToString()
    path = tmp_path / "net.prototxt"
    write_text(read_net(binary).message, path)
    for source in (layers, binary, path):
        for layer in read_net(source).message.layer:
            assert [(spec.name, spec.lr_mult, spec.decay_mult) for spec in layer.param] == [(n, 0, 0) for n in "mvf"]


def test_inputs_that_are_dropped_are_named():
    document = read_net('input: "a" layers { type: RELU }', upgrade=True)
    assert document.upgrades == ("1 V1 layer to V2", "without input fields that have no shape (a)")
    assert [layer.type for layer in document.message.layer] == ["ReLU"]
    assert document.line(0) == 1
