"""What every layer must do, as functions of a case and a device; `CHECKS` names them all.

They need no test runner: `LayerConformance` runs them under pytest, `bicerin plugins check` without.
"""

from __future__ import annotations

from collections.abc import Callable

from bicerin.testing.case import LayerCase
from bicerin.testing.device_checks import check_copies, check_device_parity
from bicerin.testing.gradient_checks import check_gradients, check_propagate_down, check_tops_are_spared
from bicerin.testing.layer_checks import (
    check_blob_counts,
    check_dtypes,
    check_forward,
    check_in_place,
    check_memory,
    check_refusals,
    check_threads,
    check_to_proto,
)
from bicerin.testing.shape_checks import check_batch_sizes, check_reshape_down_and_up, check_reshape_twice, check_rows

#: Every check by the name under which a deviation from it is listed.
CHECKS: dict[str, Callable[[LayerCase, str], None]] = {
    "blob_counts": check_blob_counts,
    "refusals": check_refusals,
    "forward": check_forward,
    "memory": check_memory,
    "reshape_twice": check_reshape_twice,
    "reshape_down_and_up": check_reshape_down_and_up,
    "in_place": check_in_place,
    "propagate_down": check_propagate_down,
    "dtypes": check_dtypes,
    "batch_sizes": check_batch_sizes,
    "rows": check_rows,
    "to_proto": check_to_proto,
    "threads": check_threads,
    "gradients": check_gradients,
    "tops_are_spared": check_tops_are_spared,
    "device_parity": check_device_parity,
    "copies": check_copies,
}
