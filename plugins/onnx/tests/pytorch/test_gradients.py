"""Layers whose gradient is their own, and not that of what they compute: in PyTorch it is the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bicerin.testing import LayerCase
from bicerin.testing.passes import flags_of, seed_top_diffs
from bicerin_face.cases import CASES
from bicerin_onnx import pytorch
from bicerin_onnx.hooks import torch_hooks

sys.path.insert(0, str(Path(__file__).parents[1]))
from layer_cases import layer_type


def has_form(case: LayerCase) -> bool:
    return layer_type(case) in torch_hooks and case.phase != "TEST" and str(case) != "annealed"


@pytest.mark.parametrize("case", [case for case in CASES if has_form(case)], ids=lambda case: case.definition[7:60])
def test_gradients_of_faces(case: LayerCase) -> None:
    run = case.run()
    program = pytorch.export_layer(run.node)
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
