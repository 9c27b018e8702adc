"""The base of Exp and Log."""

from math import inf, log

from bicerin.errors import LayerError


def natural_logarithm(base: float) -> float:
    """log(base), 1 for the base -1, which stands for e.

    Raises:
        LayerError: the base has no finite logarithm.
    """
    if base == -1:
        return 1.0
    if not 0 < base < inf:
        raise LayerError(f"base must be strictly positive, and finite; it is {base:g}.", "Or -1, the default, for e.")
    return log(base)
