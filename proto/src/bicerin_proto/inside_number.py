"""Numbers that are given inside: to fields and enum values whose own number is something else's already.

A number depends on the names of message and field alone, so that a file that holds it is understood whatever else is
installed.
"""

from __future__ import annotations

import zlib

FIELD_NUMBERS = (400_000_000, 100_000_000)
VALUE_NUMBERS = (1_000_000_000, 1_000_000_000)
"""First number and count of those that are given inside: to fields, and to enum values."""


def inside_number(name: str, numbers: tuple[int, int], taken: set[int]) -> int:
    """Return the number that is given inside to a field or enum value, such as "LayerParameter.roi_pooling_param".

    Args:
        numbers: `FIELD_NUMBERS` or `VALUE_NUMBERS`.
        taken: numbers that it must not be.
    """
    first, count = numbers
    number = first + zlib.crc32(name.encode()) % count
    while number in taken:
        number = first + (number - first + 1) % count
    return number
