"""PriorBoxClustered: PriorBox with boxes whose widths and heights were found by clustering those of the training data.

Source: the `PriorBoxClusteredLayer` of Intel's training_toolbox_caffe, of OpenVINO's detectors. Sizes need not be whole
pixels there.
"""

from __future__ import annotations

from math import isfinite
from typing import Any

import numpy as np

from bicerin.errors import LayerError
from bicerin_ssd.prior_box import PriorBoxLayer


class PriorBoxClusteredLayer(PriorBoxLayer):
    """Bottoms and top as PriorBox has them. A cell's priors are the pairs of `width` and `height`, in pixels."""

    type = "PriorBoxClustered"

    @staticmethod
    def sizes(param: Any) -> np.ndarray:
        pairs = list(zip(param.width, param.height, strict=False))
        if not pairs or len(param.width) != len(param.height):
            raise LayerError(
                f"there are {len(param.width)} width and {len(param.height)} height.",
                "Give one of each for each prior.",
            )
        for name in ("min_size", "max_size", "aspect_ratio"):
            if getattr(param, name):
                raise LayerError(f"{name} is PriorBox's.", "Sizes are given by width and height here.")
        if not all(isfinite(value) and value > 0 for pair in pairs for value in pair):
            raise LayerError("width and height must be positive, finite numbers.")
        return np.array(pairs, np.float32)
