"""What a layer's author needs to prove a layer.

- `check_recorded`: against results that a reference implementation computed.
- `check_gradient`: against numeric differences, in float64.
"""

from bicerin.testing.gradient import check_gradient
from bicerin.testing.recorded import check_recorded, recorded_cases
from bicerin.testing.run import LayerRun, run_layer

__all__ = ["LayerRun", "check_gradient", "check_recorded", "recorded_cases", "run_layer"]
