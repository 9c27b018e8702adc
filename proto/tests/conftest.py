from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bicerin_proto import Fragment, compile_proto


@pytest.fixture
def fragment(tmp_path: Path) -> Callable[[str, str], Fragment]:
    """`fragment("bicerin-a", "message LayerParameter { ... }")`: what a plugin with such a .proto ships."""

    def make(distribution: str, body: str) -> Fragment:
        package = distribution.replace("-", "_")
        path = tmp_path / f"{package}.proto"
        head = f'syntax = "proto2"; package {package}; import "caffe.proto"; import "bicerin.proto";\n'
        path.write_text(head + body)
        return Fragment(distribution, compile_proto(path))

    return make
