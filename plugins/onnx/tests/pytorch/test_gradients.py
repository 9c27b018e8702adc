"""Layers whose gradient is their own, and not that of what they compute: in PyTorch it is the same."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bicerin.testing import LayerCase
from bicerin.testing.passes import flags_of, seed_top_diffs
from bicerin.testing.run import LayerRun
from bicerin_face.cases import CASES, FIXED
from bicerin_loss.cases import CASES as LOSSES
from bicerin_onnx import pytorch
from bicerin_onnx.hooks import torch_hooks
from bicerin_rcnn.cases import CASES as REGIONS

sys.path.insert(0, str(Path(__file__).parents[1]))
from layer_cases import layer_type

#: Beside those of faces.
OTHERS = {
    "DeformableConvolution",
    "L1Loss",
    "MulticlassCrossEntropyLoss",
    "SoftmaxWithLoss",
    "WeightedSoftmaxWithLoss",
}


def has_form(case: LayerCase) -> bool:
    return layer_type(case) in torch_hooks and case.phase != "TEST" and str(case) not in ("annealed", "bias_fix")


def name_of(case: LayerCase) -> str:
    return f"{layer_type(case)}-{case}"


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if has_form(case)] + [case for case in (*LOSSES, *REGIONS) if layer_type(case) in OTHERS],
    ids=name_of,
)
def test_gradients(case: LayerCase) -> None:
    check(case)


@pytest.mark.parametrize("kind", ["LabeledMatching", "UnlabeledMatching"])
def test_what_is_remembered(kind: str) -> None:
    """Items change it in the backward pass, those of one class one after the other, and not as a gradient would."""
    case = next(case for case in CASES if layer_type(case) == kind)
    learns = replace(
        case,
        definition=case.definition.replace(FIXED, ""),
        inputs=((6, 5), np.array([0, -1, 2, 0, 0, -1])),
    )
    module, run = check(learns)
    buffers = dict(module.named_buffers())
    for (name, kept), ours in zip(buffers.items(), run.layer.blobs, strict=False):
        np.testing.assert_allclose(kept.numpy(), ours.data, rtol=1e-5, atol=1e-6, err_msg=name)
    if kind == "UnlabeledMatching":
        assert int(list(buffers.values())[1]) == int(run.layer.tail) == 2


def check(case: LayerCase) -> tuple[Any, LayerRun]:
    run = case.run()
    arrays = [blob.data.copy() for blob in run.bottom]
    program = pytorch.export_layer(run.node)
    for blob, array in zip(run.bottom, arrays, strict=True):
        blob.data[...] = array  # at the sizes that the export tried it had others
    module = program.module().train()
    inputs = {
        f"in{index}": torch.from_numpy(blob.data.astype(np.float32)).requires_grad_()
        for index, blob in enumerate(run.bottom)
    }
    run.forward()
    seed_top_diffs(run)
    flags = flags_of(case, run)
    run.add_backward(flags)
    results = module(*(inputs[name] for name in program.inputs))
    pairs = list(zip(results.values() if isinstance(results, dict) else [results], run.top, strict=True))
    for found, top in pairs:
        np.testing.assert_allclose(found.detach().numpy(), top.data, rtol=1e-4, atol=1e-5)
    taught = [(found, torch.from_numpy(top.diff.copy())) for found, top in pairs if found.requires_grad]
    torch.autograd.backward(*map(list, zip(*taught, strict=True)))
    for index, wanted in enumerate(flags):
        given = inputs[f"in{index}"].grad
        if wanted and (given is not None or run.bottom[index].diff.any()):
            assert given is not None
            np.testing.assert_allclose(given.numpy(), run.bottom[index].diff, rtol=1e-4, atol=1e-5)
    for ours, theirs in zip(run.layer.blobs, module.parameters(), strict=False):
        assert theirs.grad is not None
        np.testing.assert_allclose(theirs.grad.numpy(), ours.diff, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(theirs.detach().numpy(), ours.data, rtol=1e-4, atol=1e-5)
    return module, run
