"""How YOLO's detections are judged: a test sums up what EvalDetection gives by the mean average precision.

Where the plugin is installed, this module is imported for every net; the work is elsewhere.
"""

from __future__ import annotations

from typing import Any

from bicerin.net.hooks import hookimpl


@hookimpl
def bicerin_test_output(net: Any, name: str, param: Any) -> Any:
    """The output of an EvalDetection layer: the mean of such tables is none."""
    producers = [node for node in net.nodes if name in node.top_names]
    if not producers or producers[-1].type != "EvalDetection":
        return None
    from bicerin_yolo.mean_average_precision import MeanAveragePrecision

    return MeanAveragePrecision(producers[-1].layer.grid.classes)
