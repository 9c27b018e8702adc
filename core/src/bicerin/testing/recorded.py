"""Cases whose results were computed elsewhere and written down: one `.npz` file a case.

Keys: `net` (prototxt whose last layer is the one under test), `phase`, `in0`.. (bottoms), `blob0`.. (parameters),
`top0`.. (expected tops), `topdiff0`.. (the gradient that comes from above; absent for a loss, whose own weight is it),
`diff0`.. and `blobdiff0`.. (expected gradients), `after0`.. (parameters after a training forward pass).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bicerin.schema.installed_schema import schema
from bicerin.testing.run import LayerRun, run_layer


def recorded_cases(folder: Path | str) -> list[Path]:
    """The case files in a folder, sorted by name; for `pytest.mark.parametrize`.

    Raises:
        FileNotFoundError: there are none, so that a moved folder cannot pass as a test.
    """
    cases = sorted(Path(folder).glob("*.npz"))
    if not cases:
        raise FileNotFoundError(f"no recorded cases (*.npz) in {folder}")
    return cases


def check_recorded(case: Path | str, *, rtol: float = 1e-4, device: Any = "cpu", dtype: Any = np.float32) -> None:
    """Run a recorded case and compare every result that it holds.

    An element may differ by `rtol` times the larger of its own size and the array's root mean square, so that sums
    which cancel to almost nothing are not held to a precision that their terms do not have.

    Raises:
        AssertionError: a result differs; says which, where and by how much.
    """
    run, values = recorded_run(case, device=device, dtype=dtype)
    run.forward()
    name = Path(case).stem
    for index, expected in enumerate(_numbered(values, "top")):
        assert_close(run.top[index].data, expected, rtol, f"{name}: top {index}")
    for index, expected in enumerate(_numbered(values, "after")):
        assert_close(run.blobs[index].data, expected, rtol, f"{name}: parameter {index} after the forward pass")
    for index, gradient in enumerate(_numbered(values, "topdiff")):
        run.top[index].diff[...] = gradient
    wanted = {key for key in values if key.startswith(("diff", "blobdiff"))}
    if not wanted:
        return
    run.backward([f"diff{index}" in wanted for index in range(len(run.bottom))])
    for key in sorted(wanted):
        blobs = run.bottom if key.startswith("diff") else run.blobs
        index = int(key.removeprefix("blob").removeprefix("diff"))
        assert_close(blobs[index].diff, values[key], rtol, f"{name}: {key}")


def recorded_run(case: Path | str, *, device: Any = "cpu", dtype: Any = np.float32) -> tuple[LayerRun, dict[str, Any]]:
    """The layer of a recorded case, set up with its inputs, and all that the case holds, by key."""
    import bicerin_proto

    with np.load(case) as file:
        values = {key: file[key] for key in file.files}
    net = bicerin_proto.read_net(str(values["net"]), schema()).message
    run = run_layer(
        net.layer[-1],
        _bottoms(net, values),
        parameters=_numbered(values, "blob"),
        phase=str(values["phase"]),
        device=device,
        dtype=dtype,
    )
    return run, values


def assert_close(actual: Any, expected: np.ndarray, rtol: float, what: str) -> None:
    """Assert equal shapes and elements; see `check_recorded` for the measure."""
    actual = np.asarray(actual, np.float64)
    expected = np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if not actual.size:
        return
    assert np.array_equal(np.isnan(actual), np.isnan(expected)), f"{what}: NaN in other places"
    scale = np.sqrt(np.nanmean(np.square(np.where(np.isfinite(expected), expected, 0))))
    with np.errstate(invalid="ignore"):
        error = np.where(actual == expected, 0.0, np.abs(actual - expected))
    error = np.nan_to_num(error, nan=0.0, posinf=np.inf)
    allowed = rtol * np.maximum(np.nan_to_num(np.abs(expected), posinf=0.0), scale) + 1e-30
    worst = np.unravel_index(np.argmax(error / allowed), actual.shape)
    if (error > allowed).any():
        raise AssertionError(
            f"{what}: at {tuple(map(int, worst))} {float(actual[worst])}, expected {float(expected[worst])}; "
            f"{(error > allowed).sum()} of {actual.size} differ by more than {rtol} of their size"
        )


def _bottoms(net: Any, values: dict[str, np.ndarray]) -> list[np.ndarray]:
    """What the layer was given. A Parameter layer puts its own blob, which is zeros, over what was set before."""
    zeros = {layer.top[0] for layer in net.layer[:-1] if layer.type == "Parameter"}
    given = zip(net.layer[-1].bottom, _numbered(values, "in"), strict=True)
    return [np.zeros_like(array) if name in zeros else array for name, array in given]


def _numbered(values: dict[str, np.ndarray], prefix: str) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    while f"{prefix}{len(found)}" in values:
        found.append(values[f"{prefix}{len(found)}"])
    return found
