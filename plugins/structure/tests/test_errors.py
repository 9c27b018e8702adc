"""What cannot be is an error that says why, in Caffe's words where it has some."""

import numpy as np
import pytest

from bicerin.errors import BlobCountError, LayerError, ShapeError
from bicerin.testing import run_layer

CASES = [
    ("Concat", "concat_param { axis: 1 concat_dim: 1 }", [(2, 3)], "Either axis or concat_dim .* not both"),
    ("Concat", "concat_param { concat_dim: 2 }", [(2, 3)], "concat_dim out of range: 2"),
    ("Concat", "concat_param { axis: 2 }", [(2, 3)], "axis 2 is out of range"),
    ("Concat", "", [(2, 3), (2, 3, 1)], "same #axes: bottom 0 has 2, bottom 1 has 3"),
    ("Concat", "", [(2, 3), (4, 3)], "except at concat_axis 1: axis 0 of bottom 0 is 2, of bottom 1 4"),
    ("Slice", "slice_param { axis: 1 slice_dim: 1 } top: 'a'", [(2, 3)], "Either axis or slice_dim .* not both"),
    ("Slice", "slice_param { slice_dim: 2 } top: 'a'", [(2, 3)], "slice_dim out of range: 2"),
    ("Slice", "top: 'a' top: 'b'", [(2, 3)], r"Number of top blobs \(2\) should evenly divide input slice axis \(3\)"),
    ("Slice", "slice_param { slice_point: 1 } top: 'a'", [(2, 3)], "1 tops need 0 slice points, not 1"),
    ("Slice", "slice_param { slice_point: 2 slice_point: 1 } top: 'a' top: 'b' top: 'c'", [(2, 3)], "must ascend"),
    ("Slice", "slice_param { slice_point: 0 } top: 'a' top: 'b'", [(2, 3)], r"slice points \[0\] do not cut"),
    ("Slice", "slice_param { slice_point: 4 } top: 'a' top: 'b'", [(2, 3)], "do not cut an axis of 3"),
    ("Slice", "slice_param { slice_point: 1 } top: 'a' top: 'b'", [(2, 1)], "too few for 2 tops"),
    ("Eltwise", "eltwise_param { coeff: 1 }", [(2,), (2,)], "one coefficient per bottom blob: 1 for 2"),
    ("Eltwise", "eltwise_param { operation: PROD coeff: 1 coeff: 1 }", [(2,), (2,)], "only takes coefficients for sum"),
    ("Eltwise", "", [(2, 3), (3, 2)], r"bottom\[0\]: \(2, 3\), bottom\[1\]: \(3, 2\)"),
    ("Flatten", "flatten_param { axis: 3 }", [(2, 3)], "axis 3 is out of range"),
    ("Flatten", "flatten_param { axis: 2 end_axis: 0 }", [(2, 3, 4)], "axis 2 comes after end_axis 0"),
    ("Reshape", "reshape_param { shape { dim: -1 dim: -1 } }", [(2, 3)], "multiple -1 dims"),
    (
        "Reshape",
        "reshape_param { shape { dim: 4 dim: -1 } }",
        [(2, 3)],
        r"bottom count \(6\) must be divisible",
    ),
    ("Reshape", "reshape_param { shape { dim: 4 } }", [(2, 3)], "output count must match input count"),
    ("Reshape", "reshape_param { shape { dim: -2 dim: -3 } }", [(2, 3)], "output count must match input count"),
    ("Reshape", "reshape_param { shape { dim: 2 dim: 3 dim: 0 } }", [(2, 3)], "no corresponding bottom axis to copy"),
    ("Reshape", "reshape_param { axis: 3 }", [(2, 3)], "axis 3 out of range for 2-D input blob"),
    ("Reshape", "reshape_param { axis: -4 }", [(2, 3)], "axis -4 out of range for 2-D input blob"),
    ("Reshape", "reshape_param { num_axes: -2 }", [(2, 3)], "num_axes must be >= 0, or -1 for all"),
    ("Reshape", "reshape_param { axis: 1 num_axes: 2 }", [(2, 3)], r"end_axis = axis \+ num_axes is out of range"),
    ("Crop", "", [(1, 1, 4, 4), (1, 1, 5, 4)], "crop for dimension 2 is out of bounds with size 5 and offset 0"),
    ("Crop", "crop_param { offset: 2 }", [(1, 1, 4, 4), (1, 1, 2, 3)], "dimension 3 .* size 3 and offset 2"),
    ("Crop", "crop_param { offset: 2 offset: 1 offset: 1 }", [(1, 1, 4, 4)] * 2, "number of offset values .* 3 for 2"),
    ("Crop", "crop_param { axis: 4 }", [(1, 1, 4, 4)] * 2, "axis 4 is out of range"),
    ("Crop", "", [(1, 1, 4, 4), (1, 1, 4)], "bottom 1 has 3 axes"),
    ("Tile", "", [(2, 3)], "Number of tiles must be specified"),
    ("Tile", "tile_param { tiles: 0 }", [(2, 3)], "Number of tiles must be positive; it is 0"),
    ("Tile", "tile_param { tiles: 2 axis: 2 }", [(2, 3)], "axis 2 is out of range"),
    ("Reduction", "reduction_param { axis: 2 }", [(2, 3)], "axis 2 is out of range"),
    ("ArgMax", "argmax_param { top_k: 0 }", [(2, 3)], "top k must not be less than 1"),
    ("ArgMax", "argmax_param { top_k: 4 }", [(2, 3)], "flattened bottom blob per instance: 4 of 3"),
    ("ArgMax", "argmax_param { top_k: 3 axis: 0 }", [(2, 3)], "dimension of the axis: 3 of 2"),
    ("ArgMax", "argmax_param { axis: 2 }", [(2, 3)], "axis 2 is out of range"),
    ("Filter", "top: 'a'", [(4, 2), (4, 2)], r"Selector blob dimensions must be singletons .* \(4, 2\)"),
    ("Filter", "top: 'a'", [(3, 2), (4,)], "same 0th dimension"),
    ("Filter", "top: 'a' top: 'b'", [(4, 2), (4,)], r"2 bottoms need 1 top\(s\), not 2"),
    ("BatchReindex", "", [(4, 2), (4, 2)], "indices must be a blob of 1 axis"),
]


@pytest.mark.parametrize(("kind", "options", "shapes", "message"), CASES)
def test_set_up(kind, options, shapes, message):
    with pytest.raises(LayerError, match=message) as raised:
        run_layer(f'name: "t" type: "{kind}" {options}', [np.ones(shape) for shape in shapes])
    assert f'layer "t" ({kind})' in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "bottoms", "message"),
    [
        ("Concat", 0, "Concat Layer takes at least 1 bottom"),
        ("Slice", 2, "Slice Layer takes 1 bottom"),
        ("Eltwise", 1, "Eltwise Layer takes at least 2 bottom"),
        ("Flatten", 2, "Flatten Layer takes 1 bottom"),
        ("Reshape", 2, "Reshape Layer takes 1 bottom"),
        ("Crop", 1, "Crop Layer takes 2 bottom"),
        ("Tile", 2, "Tile Layer takes 1 bottom"),
        ("Reduction", 2, "Reduction Layer takes 1 bottom"),
        ("ArgMax", 2, "ArgMax Layer takes 1 bottom"),
        ("Filter", 1, "Filter Layer takes at least 2 bottom"),
        ("BatchReindex", 1, "BatchReindex Layer takes 2 bottom"),
        ("Silence", 0, "Silence Layer takes at least 1 bottom"),
        ("Parameter", 1, "Parameter Layer takes 0 bottom"),
    ],
)
def test_blob_counts(kind, bottoms, message):
    with pytest.raises(BlobCountError, match=message):
        run_layer(f'name: "t" type: "{kind}"', [np.zeros((2, 3))] * bottoms)


@pytest.mark.parametrize(
    ("kind", "bottoms"),
    [
        ("ArgMax", 1),
        ("BatchReindex", 2),
        ("Concat", 2),
        ("Crop", 2),
        ("Eltwise", 2),
        ("Filter", 2),
        ("Flatten", 1),
        ("Reduction", 1),
        ("Reshape", 1),
        ("Slice", 1),
        ("Tile", 1),
    ],
)
def test_not_in_place(kind, bottoms):
    with pytest.raises(LayerError, match=f"{kind} Layer does not allow in-place computation"):
        run_layer(f'name: "t" type: "{kind}"', [np.zeros((2, 3))] * bottoms, in_place=True)


@pytest.mark.parametrize(
    ("index", "message"),
    [(-1, "was negative: -1 at 1"), (3, "greater than batch size: 3 at 1"), (np.nan, "nan at 1")],
)
def test_batch_reindex_outside_the_batch(index, message):
    run = run_layer('name: "b" type: "BatchReindex"', [np.zeros((3, 2)), [0, index]])
    with pytest.raises(ShapeError, match=message):
        run.forward()


@pytest.mark.parametrize(
    ("kind", "shapes", "flags", "message"),
    [
        ("Filter", [(3, 2), (3,)], [True, True], "cannot backpropagate to filter index inputs"),
        ("BatchReindex", [(3, 2), (3,)], [True, True], "Cannot backprop to index"),
        ("ArgMax", [(3, 2)], [True], "has no gradient"),
    ],
)
def test_no_gradient(kind, shapes, flags, message):
    run = run_layer(f'name: "t" type: "{kind}"', [np.ones(shape) for shape in shapes])
    run.forward()
    assert run.propagate_down != flags, "and nobody asks for it"
    with pytest.raises(LayerError, match=message):
        run.backward(flags)
