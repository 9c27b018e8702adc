"""The names that `import bicerin` offers, each loaded when it is first used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import bicerin


@pytest.mark.parametrize("name", sorted(bicerin.__all__))
def test_each_name_is_there(name: str) -> None:
    assert getattr(bicerin, name) is not None


@pytest.mark.parametrize("name", ["errors", "kernels", "layer", "spec", "testing"])
def test_public_modules_are_there(name: str) -> None:
    """In a program that has imported nothing but `bicerin`."""
    program = f"import bicerin; assert {name!r} in dir(bicerin); print(bicerin.{name}.__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == f"bicerin.{name}", done.stderr


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="nope"):
        bicerin.nope  # noqa: B018


def test_the_import_loads_nothing_heavy() -> None:
    program = (
        "import sys, bicerin; print(sorted({'numpy', 'numba', 'cupy', 'google.protobuf', 'click'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
