"""A net that learns real digits, and what was recorded of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from click.testing import CliRunner, Result

from bicerin.cli.command_line import command_line

DIGITS = Path(__file__).parents[3] / "examples" / "mnist" / "digits.npz"

NET = """
name: "digits"
layer {{ name: "digits" type: "HDF5Data" top: "data" top: "label" include {{ phase: TRAIN }}
  hdf5_data_param {{ source: "{folder}/train.txt" batch_size: 32 }} }}
layer {{ name: "digits" type: "HDF5Data" top: "data" top: "label" include {{ phase: TEST }}
  hdf5_data_param {{ source: "{folder}/test.txt" batch_size: 50 }} }}
layer {{ name: "conv1" type: "Convolution" bottom: "data" top: "conv1"
  convolution_param {{ num_output: 12 kernel_size: 5 stride: 2 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu1" type: "ReLU" bottom: "conv1" top: "conv1" }}
layer {{ name: "pool1" type: "Pooling" bottom: "conv1" top: "pool1" pooling_param {{ kernel_size: 2 stride: 2 }} }}
layer {{ name: "ip1" type: "InnerProduct" bottom: "pool1" top: "ip1"
  inner_product_param {{ num_output: 48 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "relu2" type: "ReLU" bottom: "ip1" top: "ip1" }}
layer {{ name: "score" type: "InnerProduct" bottom: "ip1" top: "score"
  inner_product_param {{ num_output: 10 weight_filler {{ type: "xavier" }} }} }}
layer {{ name: "accuracy" type: "Accuracy" bottom: "score" bottom: "label" top: "accuracy" include {{ phase: TEST }} }}
layer {{ name: "loss" type: "SoftmaxWithLoss" bottom: "score" bottom: "label" top: "loss" }}
"""
SOLVER = """
net: "net.prototxt" test_iter: 8 test_interval: 40 base_lr: 0.05 momentum: 0.9 lr_policy: "step" gamma: 0.5 stepsize: 80
max_iter: 200 display: 20 snapshot: 100 snapshot_prefix: "digits" random_seed: 1
"""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(command_line, ["--quiet", *map(str, arguments)])


@dataclass
class Training:
    """A folder with a net, its solver, snapshots of iterations 100 and 200, and what was recorded."""

    folder: Path

    @property
    def solver(self) -> Path:
        return self.folder / "solver.prototxt"

    @property
    def record(self) -> Path:
        return self.folder / "run.jsonl"

    @property
    def weights(self) -> list[Path]:
        return [self.folder / f"digits_iter_{iteration}.caffemodel" for iteration in (100, 200)]


def train(folder: Path) -> Training:
    """A few seconds of training, in a folder."""
    with np.load(DIGITS) as file:
        images, labels = file["images"][:, None].astype(np.float32) / 255, file["labels"].astype(np.float32)
    for name, part in (("train", slice(0, 3000)), ("test", slice(8500, 8900))):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"], file["label"] = images[part], labels[part]
        (folder / f"{name}.txt").write_text(f"{folder}/{name}.h5\n")
    (folder / "net.prototxt").write_text(NET.format(folder=folder))
    made = Training(folder)
    made.solver.write_text(SOLVER)
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = run("train", "solver.prototxt", "--record", "run.jsonl")
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.output
    return made
