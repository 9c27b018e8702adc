"""What every layer must do on a device."""

from __future__ import annotations

from collections.abc import Callable

from bicerin.device.device import Device
from bicerin.testing.case import LayerCase
from bicerin.testing.passes import both, flags_of, run_pass, seed_top_diffs, spoil_tops
from bicerin.testing.recorded import assert_close


def check_device_parity(case: LayerCase, device: str = "cpu") -> None:
    """A device gives what the CPU gives, forward and backward. On the CPU there is nothing to compare."""
    if device == "cpu" or case.random:
        return
    host, other = case.run(), case.run(device=device)
    for mine, theirs in zip(other.blobs, host.blobs, strict=True):
        mine.data[...] = theirs.read_only.data
    for run in (host, other):
        spoil_tops(run)
        run_pass(run, case)
    pairs = [(f"top {i}", one.data, two.data) for i, one, two in both(other.top, host.top)]
    if case.gradient:
        flags = flags_of(case, host)
        bottoms = [blobs for blobs in both(other.bottom, host.bottom) if flags[blobs[0]]]
        pairs += [(f"gradient of bottom {i}", one.diff, two.diff) for i, one, two in bottoms]
        pairs += [(f"gradient of parameter {i}", one.diff, two.diff) for i, one, two in both(other.blobs, host.blobs)]
    for name, actual, expected in pairs:
        assert_close(actual, expected, case.tolerance, f"{device}: {name}")


def check_copies(case: LayerCase, device: str = "cpu") -> None:
    """A layer with code for a device copies nothing to or from the host once it is running; a loss it may read.

    On a real GPU those are counted that a layer asks for; on the emulated one, those that CuPy makes unasked too.
    """
    run = case.run(device=device)
    if run.layer.context.device.is_host or not run.node.runs_on_device:
        return

    def pass_through() -> None:
        run.forward()
        if case.gradient:
            run.add_backward(flags)

    flags = flags_of(case, run)
    if case.gradient:
        seed_top_diffs(run)
    require_no_copies(run.layer.context.device, pass_through)


def require_no_copies(device: Device, run: Callable[[], object]) -> None:
    """A function that has run once copies nothing to or from the host when it runs again."""
    run()
    transfers = device.transfers
    before = transfers.to_host, transfers.to_device
    run()
    after = transfers.to_host, transfers.to_device
    assert after == before, f"{after[0] - before[0]} copies to the host, {after[1] - before[1]} to the device"
