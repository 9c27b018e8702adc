"""Weights and dummy data are filled where they are wanted, with the values of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import bicerin
from bicerin.device import RandomStream, get_device
from bicerin.layer import fill
from bicerin.schema.installed_schema import schema

FILLERS = {
    "constant": {"value": 3},
    "uniform": {"min": -1, "max": 4},
    "gaussian": {"mean": 2, "std": 0.5},
    "sparse": {"type": "gaussian", "sparse": 3},
    **{name: {} for name in ("positive_unitball", "xavier", "msra", "bilinear")},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("name", metafunc.config.getoption("--device") or ["emulated"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("filler", FILLERS)
@pytest.mark.parametrize("shape", [(7, 3, 5, 5), (0, 3, 5, 5)])
def test_a_blob_is_filled_as_on_the_cpu(name: str, shape: tuple[int, ...], filler: str, dtype: type) -> None:
    param = schema().FillerParameter(**{"type": filler, **FILLERS[filler]})
    blobs = [bicerin.Blob(shape, dtype, get_device(device)) for device in ("cpu", name)]
    transfers = blobs[1].device.transfers
    before = transfers.to_device, transfers.to_host
    for blob in blobs:
        fill(blob, param, np.random.default_rng(8))
    assert (transfers.to_device, transfers.to_host) == before
    np.testing.assert_allclose(blobs[1].read_only.data, blobs[0].read_only.data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [(), (3,), 17, (70_000,)])
def test_calls_follow_each_other_as_on_the_cpu(name: str, size: object) -> None:
    device = get_device(name)
    host, other = (RandomStream(np.random.default_rng(2), where) for where in (get_device("cpu"), device))
    for _ in range(2):
        assert np.array_equal(host.uniform(-1, 3, size), device.xp.asnumpy(other.uniform(-1, 3, size)))
        np.testing.assert_allclose(host.normal(1, 2, size), device.xp.asnumpy(other.normal(1, 2, size)), atol=1e-5)


def test_dummy_data_is_drawn_on_the_device(name: str) -> None:
    text = """
        layer { name: "data" type: "DummyData" top: "x" top: "zeros"
          dummy_data_param {
            shape { dim: 4 dim: 9 } data_filler { type: "gaussian" } data_filler { type: "constant" } } }
        layer { name: "score" type: "InnerProduct" bottom: "x" top: "score"
          inner_product_param { num_output: 3 weight_filler { type: "xavier" } } }
    """
    device = get_device(name)
    net, on_cpu = (
        bicerin.Net(text, phase="TRAIN", device=where, seed=3, strict_device=True) for where in (device, "cpu")
    )
    transfers, passes = device.transfers, []
    for _ in range(3):
        before = transfers.to_device, transfers.to_host
        net.run_forward()
        assert (transfers.to_device, transfers.to_host) == before
        on_cpu.run_forward()
        np.testing.assert_allclose(
            net.blobs["score"].read_only.data, on_cpu.blobs["score"].read_only.data, rtol=1e-4, atol=1e-5
        )
        passes.append(net.blobs["x"].read_only.data.copy())
    assert not np.array_equal(passes[0], passes[1])
