"""What SSD's solver does with detections: it tests with their mean average precision.

Where the plugin is installed, this module is imported for every net; the work is elsewhere.
"""

from __future__ import annotations

from typing import Any

from bicerin.net.hooks import hookimpl


@hookimpl
def bicerin_solver_start(solver: Any) -> None:
    from bicerin_ssd.average_precision import check_solver

    check_solver(solver.param)


@hookimpl
def bicerin_test_output(net: Any, name: str, param: Any) -> Any:
    """The output of a DetectionEvaluate layer, whatever the solver's `eval_type`: the mean of such a table is none."""
    producers = [node.type for node in net.nodes if name in node.top_names]
    if producers[-1:] != ["DetectionEvaluate"]:
        return None
    from bicerin_ssd.average_precision import MeanAveragePrecision

    return MeanAveragePrecision(param)
