"""A field that parses, since some plugin brings it, and that no layer knows: an error where it would change results."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import bicerin
from bicerin import errors
from bicerin.cli.command_line import command_line
from bicerin.discovery import configuration
from bicerin.schema.installed_schema import read_net, read_solver

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } } '
IGNORED = "ignored, since no installed layer or solver knows it"
UNKNOWN = "no installed layer or solver knows"


def normalized(name: str, options: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "BatchNorm" bottom: "data" top: "{name}" batch_norm_param {{ {options} }} }} '
    )


@pytest.mark.parametrize(
    ("net", "warning"),
    [
        (
            INPUT + "".join(normalized(f"bn{index}", "update_global_stats: true eps: 0.1") for index in range(5)),
            'batch_norm_param.update_global_stats (of bicerin-forks) in layers "bn0", "bn1", "bn2" and 2 more',
        ),
        (
            'layer { name: "d" type: "DummyData" top: "d" transform_param { crop_h: 3 bgr2rgb: true } '
            "dummy_data_param { shape { dim: 1 } } }",
            'transform_param.bgr2rgb (of bicerin-forks) in layer "d"; '
            'transform_param.crop_h (of bicerin-ssd) in layer "d"',
        ),
    ],
)
def test_nets(net: str, warning: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(errors.IgnoredOptionError) as caught:
        bicerin.Net(net)
    assert str(caught.value).startswith(f"<text>: {UNKNOWN} {warning}: ") and not caplog.records
    bicerin.Net(net, ignore_unknown_options=True)
    assert [record.message for record in caplog.records] == [f"<text>: {IGNORED}: {warning}"]


@pytest.mark.parametrize(
    "net",
    [
        INPUT + normalized("bn", "use_global_stats: true"),
        INPUT + normalized("bn", "update_global_stats: false"),  # as if it were not given
        # Each of these fields is brought by the distribution that brings the layer.
        INPUT + 'layer { type: "Permute" bottom: "data" top: "p" permute_param { order: 0 order: 2 } }',
        'layer { type: "AnnotatedData" top: "data" transform_param { crop_h: 3 } annotated_data_param { } }',
        'layer { type: "SoftmaxWithLossOHEM" loss_param { pre_fixed_normalizer: 2 } }',
        'layer { type: "SoftmaxWithLoss" loss_param { label_smoothing: 0.1 } }',
        'layer { type: "DepthwiseConvolution" convolution_param { relu: true } }',
        'layer { type: "Nobodys" reorg_param { stride: 2 } }',  # it cannot run anyway
    ],
)
def test_fields_that_are_not_ignored(net: str, caplog: pytest.LogCaptureFixture) -> None:
    read_net(net)
    assert not caplog.records


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            'type: "EuclideanLoss" loss_param { label_smoothing: 0.1 }',
            "loss_param.label_smoothing (of SoftmaxWithLoss)",
        ),
        ('type: "FocalLoss" loss_param { class_weighting: 1 }', "loss_param.class_weighting (of SoftmaxWithLoss)"),
        ('type: "InfogainLoss" softmax_param { class_weight: 1 }', "softmax_param.class_weight (of SoftmaxWithLoss)"),
        (
            'type: "Im2col" convolution_param { relu: true }',
            "convolution_param.relu (of Convolution, ConvolutionDepthwise, DepthwiseConvolution)",
        ),
        (
            'type: "SmoothL1Loss" loss_param { pre_fixed_normalizer: 2 }',
            "loss_param.pre_fixed_normalizer (of SmoothL1LossOHEM, SoftmaxWithLossOHEM)",
        ),
    ],
)
def test_fields_that_another_layer_of_the_package_honours(layer: str, said: str) -> None:
    with pytest.raises(errors.IgnoredOptionError) as caught:
        read_net(f'layer {{ name: "a" {layer} }}')
    assert f'{UNKNOWN} {said} in layer "a"' in str(caught.value)


def test_a_plugin_knows_the_fields_of_what_it_requires(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stated = ["bicerin>=0.1", "Bicerin_Forks (>=0.1) ; python_version > '3'"]
    monkeypatch.setattr("importlib_metadata.requires", {"bicerin-normalization": stated}.get)
    from bicerin.schema.ignored_fields import _required

    _required.cache_clear()
    try:
        read_net(INPUT + normalized("bn", "update_global_stats: true"))
    finally:
        _required.cache_clear()
    assert not caplog.records


def test_solvers(caplog: pytest.LogCaptureFixture) -> None:
    text = 'net: "a" base_lr: 1 disabled_update: true plateau_winsize: 5 warmup_iter: 4'
    with pytest.raises(errors.IgnoredOptionError, match=rf"^<text>: {UNKNOWN} disabled_update \(of bicerin-forks\): "):
        read_solver(text)
    with configuration.ignoring_unknown_options():
        read_solver(text)
    assert [record.message for record in caplog.records] == [f"<text>: {IGNORED}: disabled_update (of bicerin-forks)"]


def test_the_environment_and_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    net = INPUT + normalized("bn", "update_global_stats: true")
    monkeypatch.setenv("BICERIN_IGNORE_UNKNOWN_OPTIONS", "1")
    bicerin.Net(net)
    monkeypatch.setenv("BICERIN_IGNORE_UNKNOWN_OPTIONS", "0")
    with pytest.raises(errors.IgnoredOptionError):
        bicerin.Net(net)
    file = tmp_path / "config.toml"
    file.write_text("ignore_unknown_options = true\n")
    monkeypatch.setenv("BICERIN_CONFIG", str(file))
    bicerin.Net(net)
    assert caplog.text.count(IGNORED) == 2


def test_options_of_speed_and_precision_are_silent_and_those_of_order_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read_net(
        'default_forward_type: FLOAT16 global_grad_scale: 1000 engine: "MKLDNN" mem_param { optimize_train: true } '
        'layer { name: "c" type: "Convolution" forward_type: FLOAT16 quantization_param { bw_layer_in: 8 } '
        'convolution_param { engine: MKLDNN conv_algos_override: "1,1,1" } } '
        'layer { name: "d" type: "Data" data_param { cache: true '
        "threads: 4 parser_threads: 2 } transform_param { use_gpu_transform: true } }"
    )
    assert not caplog.records
    read_net('layer { name: "d" type: "Data" data_param { shuffle: true } }')
    assert [record.message for record in caplog.records] == [
        f'<text>: {IGNORED}: data_param.shuffle (of bicerin-forks) in layer "d"'
    ]


def test_check_says_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + normalized("bn", "update_global_stats: true"))
    result = CliRunner().invoke(command_line, ["check", str(path)])
    assert result.exit_code == 1 and result.output.count(UNKNOWN) == 1
    result = CliRunner().invoke(command_line, ["check", "--ignore-unknown-options", str(path)])
    assert result.exit_code == 0, result.output
    assert caplog.text.count(IGNORED) == 1  # and not once for each phase


@pytest.mark.parametrize(
    "text",
    [
        "default_forward_type: FLOAT16 " + INPUT,
        INPUT + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" forward_type: FLOAT16 }',
        INPUT + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" compute_data_type: CAFFE_HALF }',
    ],
)
def test_16_bits_are_computed_in_32_and_that_is_said_once(
    text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(text)
    with caplog.at_level("INFO"):
        for _ in range(2):
            read_net(path)
        read_net(INPUT + 'layer { name: "r" type: "ReLU" bottom: "data" top: "r" forward_type: FLOAT }')
    said = [record.message for record in caplog.records if "16 bits" in record.message]
    assert said == [f"{path}: asks for values of 16 bits; everything is computed in float32, or as dtype says"]
