"""No input raises anything but a BicerinError, hangs, crashes or takes all memory: a short run, the same every time.

A long one is `tox run -e fuzz -- --minutes 60`. What was found before is in found/.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fuzz import attempt
from hypothesis import HealthCheck, Phase, given, settings
from strategies import STRATEGIES, parameters_of
from worker import Worker

from bicerin.layer.layer import layers
from bicerin.schema.installed_schema import schema

HERE = Path(__file__).parent

if sys.platform != "linux":
    pytest.skip("the limits are Linux's", allow_module_level=True)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("target", STRATEGIES)
def test_inputs(target: str, worker: Worker) -> None:
    strategy, examples = STRATEGIES[target]

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
    )
    @given(strategy)
    def run(given: Any) -> None:
        attempt(worker, target, given)

    run()


@pytest.mark.parametrize("path", sorted((HERE / "found").glob("*.json")), ids=lambda path: path.stem)
def test_what_was_found(path: Path, worker: Worker) -> None:
    found = json.loads(path.read_text(encoding="utf-8"))
    attempt(worker, found["target"], found["input"])


def test_all_parameters_are_tried() -> None:
    """Also those of a message that has another name than the type."""
    own = {"ReLU": "relu_param", "DepthwiseConvolution": "convolution_param", "LSTM": "recurrent_param"}
    assert {layer_type: parameters_of(layer_type)[0] for layer_type in own} == own
    # What no parameters are of: these have none, or read them from elsewhere.
    read = {name for layer_type in layers.providers() for name in parameters_of(layer_type)}
    messages = {field.name for field in schema().LayerParameter.DESCRIPTOR.fields if field.message_type is not None}
    assert len(read & messages) > 40


def test_the_worker_tells() -> None:
    worker = Worker(seconds=3)
    told = {
        "raise KeyError('x')": "raw",
        "import numpy; numpy.ones(1 << 40)": "raw",
        "import bicerin; raise bicerin.NetError('no')": "refused",
        "pass": "result",
        "import os; os.kill(os.getpid(), 11)": "crash",
        "while True: pass": "hang",
    }
    try:
        assert {code: worker.run("code", {"code": code}).kind for code in told} == told
        assert worker.run("code", {"code": "pass"}).kind == "result"
    finally:
        worker.close()
