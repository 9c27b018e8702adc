"""Text of the forks, one line for each way in which they add to Caffe's schema."""

from __future__ import annotations

from importlib.resources import files

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

import bicerin_proto
from bicerin.schema.installed_schema import schema
from bicerin.testing.binary_layer import binary_net
from bicerin_proto.wire import VARINT, tag


@pytest.mark.parametrize("text", [
    # NVIDIA
    'default_forward_type: FLOAT16 global_grad_scale: 1000 eltwise_mem_sharing: false',
    'layer { type: "Data" data_param { cache: true shuffle: true parser_threads: 3 } forward_type: FLOAT16 }',
    'layer { batch_norm_param { update_global_stats: true engine: CUDNN } }',
    'layer { convolution_param { conv_algos_override: "1,1,3" cudnn_convolution_algo_seeker: GET } }',
    # intel
    'engine: "MKLDNN" compile_net_state { bn_scale_remove: true kept_bn_layers: "a" }',
    'layer { engine: "MKL2017" convolution_param { engine: MKLDNN conv_algorithm: "a" } }',
    'layer { pooling_param { engine: MKL2017 axis: 1 } }',
    'layer { quantization_param { bw_layer_in: 8 scale_in: 1 scale_in: 2 is_negative_input: true } }',
    'layer { transform_param { flow: true } }',
    'layer { eltwise_param { engine: MKLDNN } inner_product_param { engine: MKLDNN } concat_param { engine: CAFFE } }',
    'multinode { model_parallel { layer_from: "a" layer_to: "b" num_nodes: 2 } }',
    # yjxiong
    'mem_param { optimize_train: true }',
    'layer { transform_param { original_image: true } }',
    'layer { }',
    # happynear
    'layer { convolution_param { weight_filler { type: "msra" alpha: 0.1 } } insanity_param { lb: 3 ub: 8 } }',
    'layers { name: "a" type: BATCH_NORM } layers { name: "b" type: INSANITY }',
    # others
    'layer { roi_warping_param { } mask_resize_param { output_width: 14 } dropout_param { sqrt_scale: true } }',
    'layer { compact_bilinear_param { num_output: 16000 sum_pool: false } noise_param { mu: 1 uniform_range: 2 } }',
    'layer { dropout_param { sqrt_scale: true } transform_param { bgr2rgb: true } }',
    'layer { image_data_param { cache: true precache: true threads: 6 short_side: 256 } }',
    'layer { transform_param { crop_size: 224 pad: 3 bgr2rgb: true aug_way: "table" sigma: 7.5 } }',
    'layer { softmax_param { hard_ratio: .5 cutting_point: 0.1 } }',
    'layer { convolution_param { shape_offset: 1 } }',
    'layer { proposal_target_param { cls_num: 81 } }',
    'layer { box_output_param { field_h: 60 } }',
    'layer { module_param { module: "a.so" type: "A" } }',
    'layer { detection_loss_param { cls_num: 4 lambda: .05 field_xyr: 2 sample_mode: "mixture" objectness: false } }',
    'layer { correlation_param { max_displacement: 20 correlation_type: MULTIPLY } resample_param { type: CUBIC } }',
    'layer { augmentation_param { translate { rand_type: "uniform_bernoulli" spread: .4 } } flow_warp_param { } }',
    'layer { data_param { rand_permute: true encoding: UINT8 encoding: UINT16FLOW } }',
    'layer { lpq_loss_param { p: 2 q: .4 } }',
    'layer { inner_product_blob_param { transpose: false } }',
    'layer { dense_crf_param { pos_xy_std: 3 } domain_transform_param { num_iter: 3 } bias_channel_param { } }',
    'layers { name: "a" type: LOCAL } layers { name: "b" type: ELTWISE_AFFINE }',
])  # fmt: skip
def test_nets(text: str) -> None:
    """They parse, and survive being written and read again."""
    net = bicerin_proto.read_net(text + "\n", schema(), upgrade=False).message
    assert type(net).FromString(net.SerializeToString()) == net


@pytest.mark.parametrize("text", [
    'larc: true larc_policy: "clip" larc_eta: 0.001 min_lr: 1e-5 rampup_interval: 400 momentum_policy: "poly"',
    'solver_data_type: FLOAT16 max_epoch: 90 store_blobs_in_old_format: true solver_type: SAG',
    'warmup_iter: 5 warmup_start_lr: 0.1 local_lr_auto: true local_gw_ratio: 0.001 engine: "MKLDNN" test_offset: 0',
    'stagelr: 0.1 stagelr: 0.01 stageiter: [10, 20] richness: 100 group_id: [0, 0]',
])  # fmt: skip
def test_solvers(text: str) -> None:
    solver = bicerin_proto.read_solver(text, schema(), upgrade=False).message
    assert type(solver).FromString(solver.SerializeToString()) == solver


def test_the_first_of_several_devices_counts() -> None:
    assert bicerin_proto.read_solver("device_id: [2, 0, 1]", schema()).message.device_id == 2


def test_older_layer_types() -> None:
    text = "layers { type: BATCH_NORM } layers { type: LOCAL }"
    net = bicerin_proto.read_net(text, schema())
    assert [layer.type for layer in net.message.layer] == ["BatchNorm", "Local"]


def test_a_plugin_with_the_layer_knows_better() -> None:
    """Fields that are here because nobody brought them give way to whoever does."""
    theirs = FileDescriptorProto(name="mine.proto", package="mine")
    theirs.message_type.add(name="SeLuParameter").field.add(name="blank", number=1, type=5, label=1)
    theirs.message_type.add(name="LayerParameter").field.add(
        name="selu_param", number=149, type=11, label=1, type_name=".mine.SeLuParameter"
    )
    ours = files("bicerin_forks").joinpath("forks.binpb").read_bytes()
    merged = bicerin_proto.Schema.merged([
        bicerin_proto.Fragment("bicerin-forks", ours),
        bicerin_proto.Fragment("mine", FileDescriptorSet(file=[theirs]).SerializeToString()),
    ])  # fmt: skip
    net = bicerin_proto.read_net("layer { selu_param { blank: 3 } }", merged).message
    assert net.layer[0].selu_param.blank == 3
    assert merged.SeLuParameter is type(net.layer[0].selu_param)


@pytest.mark.parametrize(("number", "field"), [
    (160, "scale_param"), (161, "bias_param"), (136, "reshape_param"), (135, "tile_param"),
])  # fmt: skip
def test_numbers_of_caffes_own_fields_in_forks(number: int, field: str) -> None:
    net = binary_net("T", number, tag(1, VARINT) + b"\x03")
    layer = bicerin_proto.read_net(net, schema(), owners={"T": "bicerin-forks"}, upgrade=False).message.layer[0]
    assert layer.HasField(field)
