"""A small solver of the layers of conftest, for tests that train."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin
from bicerin.solver.solver import Solver

NET = """
name: "n"
layer { name: "in" type: "Input" top: "data" top: "label" input_param { shape { dim: 4 dim: 3 } } }
layer { name: "a" type: "Affine" bottom: "data" top: "a" param { lr_mult: 1 } param { lr_mult: 2 decay_mult: 0 }
  inner_product_param { weight_filler { type: "uniform" min: 0.5 max: 1 } } }
layer { name: "noise" type: "Noise" bottom: "label" top: "noisy" }
layer { name: "loss" type: "HalfSquareLoss" bottom: "a" bottom: "noisy" top: "loss" loss_weight: 2 }
"""
BASE = 'base_lr: 0.1 lr_policy: "fixed" momentum: 0.9 max_iter: 6 random_seed: 3\n'
TESTED = "test_iter: 2 test_interval: 2\n"


def solver(more: str = "", net: str = 'net: "net.prototxt"', base: str = BASE, **options) -> Solver:
    return bicerin.Solver(f'{base}{net} snapshot_prefix: "run"\n{more}', **options)


def fill(made: Solver, seed: int = 0) -> Solver:
    """Give the inputs of all nets values."""
    random = np.random.default_rng(seed)
    for net in (made.net, *made.test_nets):
        for name in net.inputs:
            net.blobs[name].data[...] = random.normal(size=net.blobs[name].shape)
    return made


def weights(made: Solver) -> list[list[float]]:
    return [blob.data.tolist() for blob in made.net.learnable_params]


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "bicerin.solver"]
