"""The cases of the layers: those of the installed packages, and those that Caffe computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bicerin.discovery.registry import Registry
from bicerin.layer.phase import Phase
from bicerin.testing.recorded import recorded_run
from bicerin.testing.run import LayerRun

ROOT = Path(__file__).parents[3]
CASES = Registry("bicerin.cases", "table of cases")
#: Of these the phase of a recorded case changes the result.
OF_THE_PHASE = {"Dropout", "BatchNorm", "LabelSpecificAdd", "Pooling", "SPP", "Proposal", "DecodeBBox"}


def layer_type(case: Any) -> str:
    found = re.search(r'type: "(\w+)"', case.definition)
    assert found is not None
    return found[1]


def run_in_test(case: Any) -> LayerRun:
    return replace(case, phase="TEST").run()


def layer_cases(wanted: Callable[[str], bool] = lambda layer_type: True) -> Iterator[Any]:
    """Parameters for a test, each a function that makes a layer and runs it; of packages, those of wanted types."""
    for name in CASES.providers():
        for case in CASES.load(name):
            if wanted(layer_type(case)):
                yield pytest.param(partial(run_in_test, case), id=f"{name}-{layer_type(case)}-{case}")
    for file in sorted(ROOT.glob("plugins/*/tests/recorded/*.npz")):
        yield pytest.param(lambda file=file: recorded_run(file)[0], id=f"{file.parts[-4]}-recorded-{file.stem}")


def is_of_training(run: LayerRun) -> bool:
    """Whether it was recorded in TRAIN, where the layer computes something else than in TEST."""
    return run.layer.phase is Phase.TRAIN and run.layer.type in OF_THE_PHASE
