"""MemoryData: arrays and records from a program."""

import logging

import numpy as np
import pytest

from bicerin.errors import BlobCountError, DataError, ShapeError
from bicerin_data.datum import array_datum


def memory(batch_size=2, shape=(3, 4, 5), transform="", tops='top: "data" top: "label"'):
    channels, height, width = shape
    return (
        f'name: "m" type: "MemoryData" {tops} memory_data_param {{ batch_size: {batch_size} channels: {channels} '
        f"height: {height} width: {width} }} {transform}"
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batches_of_arrays(dtype, random, make_layer, batches):
    run = make_layer(memory(), dtype=dtype)
    assert [blob.shape for blob in run.top] == [(2, 3, 4, 5), (2,)]
    data, label = random.random((6, 3, 4, 5)).astype(dtype), np.arange(6)
    run.layer.reset(data, label)
    for number, (found, labels) in enumerate(batches(run, 5)):
        rows = slice(2 * number % 6, 2 * number % 6 + 2)
        assert np.array_equal(found, data[rows])
        assert labels.shape == (2, 1, 1, 1)
        assert np.array_equal(labels.reshape(-1), label[rows])


def test_a_reset_begins_anew(random, make_layer, batches):
    run = make_layer(memory())
    run.layer.set_input_arrays(random.random((4, 3, 4, 5)), np.arange(4).reshape(4, 1, 1, 1))
    batches(run)
    run.layer.set_input_arrays(random.random((4, 3, 4, 5)), np.arange(10, 14))
    assert batches(run)[0][1].reshape(-1).tolist() == [10, 11]


def test_arrays_are_not_transformed_and_that_is_said(make_layer, batches, caplog):
    run = make_layer(memory(transform="transform_param { scale: 2 }"))
    with caplog.at_level(logging.WARNING, "bicerin.data"):
        run.layer.reset(np.ones((2, 3, 4, 5)), np.zeros(2))
    assert (batches(run)[0][0] == 1).all()
    assert "MemoryData does not transform array data" in caplog.text


@pytest.mark.parametrize("as_datums", [True, False])
def test_records_are_transformed(as_datums, random, make_layer, batches):
    images = random.integers(0, 256, (4, 3, 6, 9), dtype=np.uint8)
    run = make_layer(memory(shape=(3, 4, 4), transform="transform_param { scale: 0.5 crop_size: 4 mean_value: 7 }"))
    if as_datums:
        run.layer.add_datum_vector([array_datum(image, index) for index, image in enumerate(images)])
    else:
        run.layer.add_mat_vector([image.transpose(1, 2, 0) for image in images], range(4))
    found = batches(run, 2)
    expected = (images[:, :, 1:5, 2:6].astype("f4") - 7) * 0.5
    assert np.array_equal(np.concatenate([data for data, _ in found]), expected)
    assert [label.reshape(-1).tolist() for _, label in found] == [[0, 1], [2, 3]]


def test_records_must_be_consumed_first(random, make_layer, batches):
    datums = [array_datum(np.ones((3, 4, 5), np.uint8), index) for index in range(4)]
    run = make_layer(memory())
    run.layer.add_datum_vector(datums)
    batches(run)
    with pytest.raises(DataError, match="Can't add data until current data has been consumed"):
        run.layer.add_datum_vector(datums)
    with pytest.raises(DataError, match="Can't change batch_size until current data has been consumed"):
        run.layer.set_batch_size(1)
    batches(run)
    run.layer.add_datum_vector(datums)


def test_another_batch_size(make_layer, batches):
    run = make_layer(memory())
    run.layer.set_batch_size(3)
    run.layer.reset(np.ones((6, 3, 4, 5)), np.arange(6))
    assert [label.reshape(-1).tolist() for _, label in batches(run, 2)] == [[0, 1, 2], [3, 4, 5]]
    assert run.top[0].shape == (3, 3, 4, 5)
    run.layer.set_batch_size(4)
    with pytest.raises(DataError, match="n must be a multiple of batch size: 6 rows, 4 a batch"):
        run.forward()


@pytest.mark.parametrize(
    ("data", "labels", "reason"),
    [
        ((3, 3, 4, 5), 3, "n must be a multiple of batch size: 3 rows, 2 a batch"),
        ((0, 3, 4, 5), 0, "n must be a multiple of batch size: 0 rows"),
        ((2, 3, 4, 5), 4, "the same first dimension: 2 and 4"),
        ((2, 3, 5, 4), 2, r"must have the shape \(n, 3, 4, 5\), not \(2, 3, 5, 4\)"),
        ((2, 60), 2, r"must have the shape \(n, 3, 4, 5\), not \(2, 60\)"),
    ],
)
def test_arrays_that_do_not_fit(data, labels, reason, make_layer):
    with pytest.raises(DataError, match=reason):
        make_layer(memory()).layer.reset(np.zeros(data), np.zeros(labels))


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        ([], "There is no datum to add"),
        ([(3, 4, 5)], "must be a multiple of the batch size: 1 records, 2 a batch"),
        ([(3, 4, 5), (3, 5, 5)], r"record 1 has the shape \(3, 5, 5\); memory_data_param says \(3, 4, 5\)"),
    ],
)
def test_records_that_do_not_fit(images, reason, make_layer):
    with pytest.raises(DataError, match=reason):
        make_layer(memory()).layer.add_datum_vector([array_datum(np.zeros(shape, np.uint8), 0) for shape in images])


def test_nothing_was_set(make_layer):
    with pytest.raises(DataError, match="MemoryDataLayer needs to be initialized by calling Reset"):
        make_layer(memory()).forward()


@pytest.mark.parametrize("sizes", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 4, 0)])
def test_sizes_must_be_positive(sizes, make_layer):
    with pytest.raises(ShapeError, match="must be specified and positive in memory_data_param"):
        make_layer(memory(sizes[0], sizes[1:]))


def test_counts(make_layer):
    with pytest.raises(BlobCountError, match="MemoryData Layer produces 2 top blob"):
        make_layer(memory(tops='top: "data"'))
