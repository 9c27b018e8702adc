"""Write `cupy_names.json`: what the real CuPy wheel has, for the device to have no more. Needs the wheel, but no GPU.

python record_cupy_names.py > src/bicerin_emulated/cupy_names.json
"""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import cupy
import cupyx


def keywords(function: Any) -> str | None:
    """The names of a function's parameters, in one string, `*` before one that takes any number of arguments; None
    where CuPy does not tell them, or takes any."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return compiled_keywords(function)
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return None
    stars = {inspect.Parameter.VAR_POSITIONAL: "*"}
    return " ".join(stars.get(parameter.kind, "") + parameter.name for parameter in parameters)


def compiled_keywords(function: Any) -> str | None:
    """As `keywords`, for a method that Cython compiled: its text starts with `type.name(self, int axis=-1) -> type`."""
    found = re.match(r"\w+\.\w+\(self(?:, (.*?))?\)( -> .*)?$", (function.__doc__ or "").partition("\n")[0])
    if found is None or "**" in found[0]:
        return None
    declared = [part.partition("=")[0].split() for part in (found[1] or "").split(", ")]
    return " ".join(words[-1] for words in declared if words)


def names(owner: Any) -> dict[str, str | None]:
    return {name: keywords(getattr(owner, name)) for name in sorted(dir(owner)) if not name.startswith("_")}


recorded = {
    "version": cupy.__version__,
    "cupy": names(cupy),
    "ufuncs": [name for name in sorted(dir(cupy)) if isinstance(getattr(cupy, name), cupy.ufunc)],
    "ndarray": names(cupy.ndarray),
    "linalg": names(cupy.linalg),
    "cupyx": names(cupyx),
}
print(json.dumps(recorded, indent=1))
