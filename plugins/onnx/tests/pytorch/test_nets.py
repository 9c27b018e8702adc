"""Whole nets as modules of PyTorch: blob by blob, the files that are written, and learning that goes on."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from bicerin import Net, Solver
from bicerin.errors import LayerError, NetError
from bicerin_onnx import VerificationError, pytorch, verify
from bicerin_onnx.command import export as command
from bicerin_onnx.pytorch import source

ROOT = Path(__file__).parents[4]
sys.path.insert(0, str(ROOT / "bench"))
import models  # noqa: E402

RECORDED = ROOT / "tests" / "recorded" / "models"
INPUT = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 2 dim: 3 dim: 8 dim: 10 } } }'
CONVOLUTION = """
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv" convolution_param { num_output: 4 kernel_size: 3
  bias_term: false weight_filler { type: "xavier" } } }
"""
NORM = """
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
"""


def net(text: str, **options: Any) -> Net:
    return Net(INPUT + text, "TEST", seed=3, **options)


def imported(path: Path) -> Any:
    """The file as its user imports it."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fold", [True, False], ids=["folded", "whole"])
@pytest.mark.parametrize("name", ["lenet", "det1", "det2"])
def test_trained_nets(name: str, fold: bool) -> None:
    built = Net(RECORDED / f"{name}.prototxt", "TEST", weights=RECORDED / f"{name}.caffemodel")
    verification = verify(built, pytorch.export(built, fold=fold))
    assert {row.batch for row in verification.rows} == {1, 3}
    assert verification.worst[0].difference < 2e-5
    made = {name for node in built.nodes if node.type not in ("Input", "Split") for name in node.top_names}
    assert made <= {row.blob for row in verification.rows}


@pytest.mark.parametrize("name", ["squeezenet", "googlenet"])
def test_large_nets(name: str) -> None:
    built = Net(models.prototxt(name, 1, False), "TEST", seed=0)
    assert verify(built, pytorch.export(built)).worst[0].difference < 1e-4


def test_a_detector() -> None:
    built = Net(Path(__file__).parents[1].joinpath("detector.prototxt").read_text(encoding="utf-8"), "TEST", seed=1)
    program = pytorch.export(built)
    verify(built, program, batches=(1,))
    assert "detections(" in program.source


def test_the_files_are_what_was_compared(tmp_path: Path) -> None:
    built = Net(RECORDED / "lenet.prototxt", "TEST", weights=RECORDED / "lenet.caffemodel")
    pytorch.export(built, tmp_path / "lenet.py")
    images = np.random.default_rng(0).normal(size=(5, *built.blobs["data"].shape[1:])).astype(np.float32)
    with torch.inference_mode():
        theirs = imported(tmp_path / "lenet.py").load()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(theirs, built.forward(data=images)["prob"], rtol=1e-4, atol=1e-6)
    # Python may have kept the module compiled.
    written = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
    assert written == {"lenet.py", "lenet.safetensors"}


def test_one_line_a_layer_under_the_names_of_the_net() -> None:
    program = pytorch.export(net(CONVOLUTION + NORM))
    body = program.source[program.source.index("super().__init__()\n") : program.source.index("\n\n\ndef load")]
    assert [line.strip() for line in body.splitlines()[1:]] == [
        "self.conv = nn.Conv2d(3, 4, 3, bias=False)",
        "self.bn = nn.BatchNorm2d(4, eps=1e-05, momentum=0.001)",
        "",
        "def forward(self, data: Tensor) -> Tensor:",
        "conv = self.conv(data)",
        "conv = self.bn(conv)",
        "conv = F.relu(conv, inplace=True)",
        "return conv",
    ]
    assert program.inputs == {"data": ("N", 3, "H", "W")}


def test_names_that_python_does_not_allow() -> None:
    text = "".join(
        f'layer {{ name: "{name}" type: "InnerProduct" bottom: "data" top: "{name}" '
        'inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
        for name in ("fc/1", "fc_1", "1x1", "class", "train", "self", "torch", "forward", "__c", "__class__", 'a\\"b')
    )
    built = net(text)
    program = pytorch.export(built)
    assert len(verify(built, program).rows) == 2 * 11
    assert set(program.module()(torch.zeros(1, 3, 8, 10))) >= {"fc/1", "1x1", "class", "self"}


def test_a_size_that_may_not_change_is_checked() -> None:
    built = net(
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { kernel_size: 2 stride: 7 } }'
    )
    module = pytorch.export(built).module()
    assert module(torch.zeros(5, 3, 8, 10)).shape == (5, *built.blobs["p"].shape[1:])
    with pytest.raises(ValueError, match=r"data is \(N, 3, 8, 10\), and not \(2, 3, 17, 10\)"):
        module(torch.zeros(2, 3, 17, 10))


def test_no_part_is_named_like_what_modules_have() -> None:
    module = torch.nn.Module()
    public = {name for name in {*dir(module), *vars(module)} if not name.startswith("_")}
    assert public <= set(source._OF_MODULES.split())


def test_an_older_value_of_a_blob_is_kept_apart() -> None:
    """In Caffe, a layer that works in place on a blob that another reads has a copy of its own."""
    text = """
    layer { name: "a" type: "Power" bottom: "data" top: "a" power_param { scale: 2 } }
    layer { name: "b" type: "Power" bottom: "a" top: "b" power_param { shift: 1 } }
    layer { name: "c" type: "ReLU" bottom: "b" top: "b" }
    layer { name: "sum" type: "Eltwise" bottom: "a" bottom: "b" top: "sum" }
    """
    built = net(text)
    assert [row.blob for row in verify(built, pytorch.export(built), batches=(2,)).rows] == ["a", "b/Power", "b", "sum"]


def test_shared_weights_are_one_parameter() -> None:
    text = "".join(
        f'layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}" param {{ name: "w" }} '
        'convolution_param { num_output: 3 kernel_size: 3 pad: 1 bias_term: false weight_filler { type: "xavier" } } }'
        for name, bottom in (("one", "data"), ("two", "one"))
    )
    built = net(text)
    program = pytorch.export(built)
    module = program.module()
    assert len(list(module.parameters())) == 1
    assert module.one.weight is module.two.weight
    verify(built, program)


def test_learning_goes_on_as_in_the_net() -> None:
    """A step of SGD with momentum, and the averages of BatchNorm, with the same numbers in both."""
    text = (
        'layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }'
        + CONVOLUTION
        + NORM
        + """
    layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool" pooling_param { kernel_size: 3 stride: 2 pad: 1 } }
    layer { name: "norm" type: "LRN" bottom: "pool" top: "norm" lrn_param { local_size: 3 alpha: 0.1 } }
    layer { name: "fc" type: "InnerProduct" bottom: "norm" top: "fc" inner_product_param { num_output: 5
      weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" }
    """
    )
    solver = Solver(f"base_lr: 0.1 lr_policy: 'fixed' momentum: 0.9 random_seed: 1 net_param {{ {INPUT + text} }}")
    built = Net(INPUT + text, "TEST")
    built.share_trained_layers_with(solver.net)
    program = pytorch.export(built, keep_losses=True)
    assert program.loss_weights == {"loss": 1.0}
    module = program.module().train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    generator = np.random.default_rng(5)
    for _ in range(3):
        images = generator.normal(size=(2, 3, 8, 10)).astype(np.float32)
        labels = np.array([1, 4], np.float32)
        solver.net.blobs["data"].data[...] = images
        solver.net.blobs["label"].data[...] = labels
        solver.step(1)
        optimizer.zero_grad()
        loss = module(torch.from_numpy(images), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()
        np.testing.assert_allclose(loss.item(), solver.net.blobs["loss"].data, rtol=1e-4)
    after = pytorch.export(built, keep_losses=True).tensors
    state = module.state_dict()
    assert set(after) == set(state)
    for name in set(after) - {"bn.num_batches_tracked", "bn.running_mean", "bn.running_var"}:
        np.testing.assert_allclose(state[name].numpy(), after[name], rtol=1e-3, atol=1e-5, err_msg=name)


def test_losses_are_weighted_and_left_out_by_default() -> None:
    text = """
    layer { name: "label" type: "Input" top: "label" input_param { shape { dim: 2 } } }
    layer { name: "fc" type: "InnerProduct" bottom: "data" top: "fc" inner_product_param { num_output: 5
      weight_filler { type: "xavier" } } }
    layer { name: "loss" type: "SoftmaxWithLoss" bottom: "fc" bottom: "label" top: "loss" loss_weight: 0.5 }
    layer { name: "accuracy" type: "Accuracy" bottom: "fc" bottom: "label" top: "accuracy" }
    """
    built = net(text)
    assert list(pytorch.export(built).inputs) == ["data"]
    program = pytorch.export(built, keep_losses=True)
    assert 'LOSS_WEIGHTS = {"loss": 0.5}' in program.source
    labels = {"data": np.ones((2, 3, 8, 10)), "label": np.array([0, 3])}
    assert {row.blob for row in verify(built, program, labels).rows} == {"data", "label", "fc", "loss", "accuracy"} - {
        "data",
        "label",
    }


def test_a_module_that_differs_is_found() -> None:
    built = net(CONVOLUTION + NORM)
    program = pytorch.export(built)
    program.tensors["bn.running_mean"] = program.tensors["bn.running_mean"] + 1
    with pytest.raises(VerificationError, match='first in layer "scale"'):
        verify(built, program)


def test_a_layer_without_a_form_is_named() -> None:
    text = """
    layer { name: "rois" type: "Input" top: "rois" input_param { shape { dim: 3 dim: 5 } } }
    layer { name: "pool5" type: "ROIPooling" bottom: "data" bottom: "rois" top: "pool5" roi_pooling_param {
      pooled_h: 2 pooled_w: 2 } }
    """
    with pytest.raises(NetError, match=r'layer "pool5" \(type "ROIPooling", of bicerin-rcnn\) cannot be exported'):
        pytorch.export(net(text))


def test_an_option_without_a_form_is_named() -> None:
    text = (
        'layer { name: "p" type: "Pooling" bottom: "data" top: "p" pooling_param { pool: STOCHASTIC kernel_size: 2 } }'
    )
    with pytest.raises(LayerError, match="no stochastic pooling"):
        pytorch.export(net(text))


def run(tmp_path: Path, *arguments: str) -> Any:
    return CliRunner().invoke(command, [str(RECORDED / "lenet.prototxt"), *arguments])


def test_on_the_command_line(tmp_path: Path) -> None:
    weights = str(RECORDED / "lenet.caffemodel")
    done = run(tmp_path, "--weights", weights, "--to", "torch", "-o", str(tmp_path / "net.py"))
    assert done.exit_code == 0, done.output
    assert "difference" in done.output and "net.safetensors" in done.output
    assert imported(tmp_path / "net.py").load()(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "net.onnx"], "a name that ends with .py"),
        (["-o", "net.py", "--opset", "18"], "--opset is for ONNX models"),
        (["-o", "net.py", "--preprocess"], "--preprocess is for ONNX models"),
        (["-o", "nowhere/net.py"], "there is no folder"),
    ],
)
def test_what_cannot_be(arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run(tmp_path, "--to", "torch", *arguments)
    assert done.exit_code != 0
    assert said in str(done.exception) + done.output
    assert not list(tmp_path.iterdir())


def test_what_pytorch_cannot_run_is_an_error_of_the_net() -> None:
    """PyTorch refuses the statistics of one number, which Caffe takes to be that number and 0."""
    text = """
    layer { name: "rows" type: "InnerProduct" bottom: "data" top: "rows" inner_product_param { num_output: 3 } }
    layer { name: "bn" type: "BatchNorm" bottom: "rows" top: "rows" batch_norm_param { use_global_stats: false } }
    """
    built = net(text)
    with pytest.raises(NetError, match=r"PyTorch cannot run the module: Expected more than 1 value per channel"):
        verify(built, pytorch.export(built))
    verify(built, pytorch.export(built), batches=(2, 5))
