"""Every layer that the engine has gives what the layer's own code gives, whatever the layout of its bottoms."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from math import prod
from typing import Any

import pytest

from bicerin.device import Memory
from bicerin.schema.installed_schema import read_layer
from bicerin.testing import LayerCase, run_layer
from bicerin.testing.recorded import assert_close
from bicerin_onednn.engine import OneDNN
from bicerin_onednn.layout import OneDNNLayout, address, dims, layout_of, reorder, rows_of
from bicerin_onednn.library import F32, OneDNNError, library

FAMILIES = ("activation", "convolution", "normalization", "pooling", "structure")


def _cases() -> list[LayerCase]:
    cases = [case for family in FAMILIES for case in import_module(f"bicerin_{family}.cases").CASES]
    cases = [case for case in cases if read_layer(case.definition).type in OneDNN.layers]
    # Layouts are for images.
    return [case for case in cases if all(array.ndim == 4 and array.size for array in case.arrays()[:1])]


def channels_last(shape: tuple[int, ...]) -> OneDNNLayout:
    """Rows in which the channels of a pixel lie together."""
    order = (0, *range(2, len(shape)), 1)
    strides = [prod(shape[other] for other in order[order.index(axis) + 1 :]) for axis in range(len(shape))]
    handle = library().make("memory_desc_create_with_strides", len(shape), dims(shape), F32, dims(strides))
    return layout_of(shape, handle)


def in_blocks(shape: tuple[int, ...]) -> OneDNNLayout:
    """Blocks of 16 channels."""
    return layout_of(shape, library().make("memory_desc_create_with_tag", 4, dims(shape), F32, _blocked_tag()))


@cache
def _blocked_tag() -> int:
    for tag in range(2, 400):
        try:
            handle = library().make("memory_desc_create_with_tag", 4, dims((1, 20, 2, 3)), F32, tag)
        except OneDNNError:  # of other numbers of axes
            continue
        if library().order(handle) == "abcd in blocks of 16b":
            return tag
    raise AssertionError("the library has no layout of blocks of 16 channels")


def put(memory: Memory, layout: OneDNNLayout) -> None:
    """Have the memory's values in a layout alone."""
    rows = memory.host_array(write=False).copy()
    reorder(rows_of(layout.shape), layout).run(address(rows), memory.arrange(layout).address)


@pytest.mark.parametrize("layout", [channels_last, in_blocks])
@pytest.mark.parametrize("case", _cases(), ids=str)
def test_the_layers_own_code_gives_the_same(case: LayerCase, layout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BICERIN_ENGINE", "caffe")
    own = _run(case)
    monkeypatch.setenv("BICERIN_ENGINE", "onednn")
    theirs = _run(case)
    assert type(theirs.layer) is not type(own.layer)
    for mine, other in zip(theirs.blobs, own.blobs, strict=True):
        mine.data[...] = other.data
    own.forward()
    for _ in range(2):
        for blob in theirs.bottom:
            if blob.num_axes == 4:
                put(blob.memory[0], layout(blob.shape))
        theirs.forward()
        for index, (mine, other) in enumerate(zip(theirs.top, own.top, strict=True)):
            assert_close(mine.data, other.data, case.tolerance, f"top {index}")


def _run(case: LayerCase) -> Any:
    return run_layer(case.definition, case.arrays(), tops=case.tops, parameters=case.parameters, phase="TEST")
