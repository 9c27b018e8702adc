"""A field that parses, since some plugin brings it, and that the layer does not know, is warned of."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import bicerin
from bicerin.cli.command_line import command_line
from bicerin.schema.installed_schema import read_net, read_solver

INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 8 } } } '
IGNORED = "ignored, since what would use it is not installed"


def normalized(name: str, options: str) -> str:
    return (
        f'layer {{ name: "{name}" type: "BatchNorm" bottom: "data" top: "{name}" batch_norm_param {{ {options} }} }} '
    )


@pytest.mark.parametrize(
    ("net", "warning"),
    [
        (
            INPUT + "".join(normalized(f"bn{index}", "scale_bias: true eps: 0.1") for index in range(5)),
            'batch_norm_param.scale_bias (of bicerin-forks) in layers "bn0", "bn1", "bn2" and 2 more',
        ),
        (
            'global_grad_scale: 1000 layer { name: "d" type: "DummyData" top: "d" transform_param { crop_h: 3 } '
            "dummy_data_param { shape { dim: 1 } } }",
            'global_grad_scale (of bicerin-forks); transform_param.crop_h (of bicerin-ssd) in layer "d"',
        ),
    ],
)
def test_nets(net: str, warning: str, caplog: pytest.LogCaptureFixture) -> None:
    bicerin.Net(net)
    assert [record.message for record in caplog.records] == [f"<text>: {IGNORED}: {warning}"]


@pytest.mark.parametrize(
    "net",
    [
        INPUT + normalized("bn", "use_global_stats: true"),
        INPUT + normalized("bn", "scale_bias: false"),  # as if it were not given
        # Each of these fields is brought by the distribution that brings the layer.
        INPUT + 'layer { type: "Permute" bottom: "data" top: "p" permute_param { order: 0 order: 2 } }',
        'layer { type: "AnnotatedData" top: "data" transform_param { crop_h: 3 } annotated_data_param { } }',
        'layer { type: "SoftmaxWithLossOHEM" loss_param { pre_fixed_normalizer: 2 } }',
        'layer { type: "Nobodys" reorg_param { stride: 2 } }',  # it cannot run anyway
    ],
)
def test_fields_that_are_not_ignored(net: str, caplog: pytest.LogCaptureFixture) -> None:
    read_net(net)
    assert not caplog.records


def test_a_plugin_knows_the_fields_of_what_it_requires(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stated = ["bicerin>=0.1", "Bicerin_Forks (>=0.1) ; python_version > '3'"]
    monkeypatch.setattr("importlib_metadata.requires", {"bicerin-normalization": stated}.get)
    from bicerin.schema.ignored_fields import _required

    _required.cache_clear()
    try:
        read_net(INPUT + normalized("bn", "scale_bias: true"))
    finally:
        _required.cache_clear()
    assert not caplog.records


def test_solvers(caplog: pytest.LogCaptureFixture) -> None:
    read_solver('net: "a" base_lr: 1 warmup_iter: 100 plateau_winsize: 5')
    assert [record.message for record in caplog.records] == [f"<text>: {IGNORED}: warmup_iter (of bicerin-forks)"]


def test_check_says_it_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text(INPUT + normalized("bn", "scale_bias: true"))
    result = CliRunner().invoke(command_line, ["check", str(path)])
    assert result.exit_code == 0, result.output
    assert caplog.text.count(IGNORED) == 1  # and not once for each phase
