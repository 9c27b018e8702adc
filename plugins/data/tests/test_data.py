"""Data: order, wrap, sharding, shapes, options, bad records, exact resuming."""

import json
import logging

import lmdb
import numpy as np
import pytest

from bicerin.errors import BlobCountError, DataError

LABELED = 'name: "d" type: "Data" top: "data" top: "label"'


def data(options="", transform="", source="store", backend="LMDB"):
    return (
        f'{LABELED} data_param {{ source: "{source}" backend: {backend} {options} }} transform_param {{ {transform} }}'
    )


def images(random, number=7, shape=(3, 6, 5)):
    return random.integers(0, 256, (number, *shape), dtype=np.uint8)


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("prefetch", [0, 1, 4])
def test_records_come_in_order_and_wrap(backend, dtype, prefetch, records, random, make_layer, batches):
    stored = images(random)
    records.store(stored, backend)
    run = make_layer(data(f"batch_size: 3 prefetch: {prefetch}", backend=backend.upper()), dtype=dtype)
    for number, (pixels, label) in enumerate(batches(run, 5)):
        expected = np.arange(3 * number, 3 * number + 3) % 7
        assert pixels.dtype == dtype
        assert np.array_equal(label, expected)
        assert np.array_equal(pixels, stored[expected])


def test_one_top_has_no_label(records, random, make_layer, batches):
    stored = images(random)
    records.store(stored)
    run = make_layer('type: "Data" top: "data" data_param { source: "store" backend: LMDB batch_size: 7 }')
    assert run.top[0].shape == (7, 3, 6, 5)
    assert np.array_equal(batches(run)[0][0], stored)


@pytest.mark.parametrize("options", ["force_encoded_color: true", "force_encoded_color: false", ""])
def test_a_field_that_caffe_does_not_read_is_said(options, records, random, make_layer, caplog):
    records.store(images(random))
    make_layer(data(f"batch_size: 4 {options}"))
    said = [record.message for record in caplog.records if "force_encoded_color } has no effect" in record.message]
    assert len(said) == options.endswith("true")


def test_shapes_are_known_before_the_first_batch(records, random, make_layer):
    records.store(images(random))
    run = make_layer(data("batch_size: 4", "crop_size: 5"))
    assert [blob.shape for blob in run.top] == [(4, 3, 5, 5), (4,)]


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_solvers_share_the_records(replicas, records, random, make_layer, batches):
    records.store(images(random))
    seen = []
    for rank in range(replicas):
        run = make_layer(data("batch_size: 2"), phase="TRAIN", rank=rank, replicas=replicas)
        mine = np.concatenate([label for _, label in batches(run, 7)])
        assert np.array_equal(mine, (np.arange(14) * replicas + rank) % 7)
        seen += mine.tolist()
    assert set(seen) == set(range(7))


def test_in_test_every_solver_reads_all(records, random, make_layer, batches):
    records.store(images(random))
    run = make_layer(data("batch_size: 7"), rank=1, replicas=2)
    assert np.array_equal(batches(run)[0][1], np.arange(7))


def test_a_rand_skip_of_many_passes_reads_the_store_once(records, make_layer, batches):
    """It begins where reading and passing by all of them would."""
    records.store([np.full((1, 2, 2), number, np.uint8) for number in range(7)])
    text = data("batch_size: 1 prefetch: 0 rand_skip: 4294967295")
    for seed in range(5):
        layer = make_layer(text, seed=seed)
        drawn = int(np.random.default_rng((layer.layer._reader.seed, 1)).integers(2**32 - 1))
        assert batches(layer)[0][1][0] == drawn % 7


def test_rand_skip_begins_elsewhere(records, random, make_layer, batches):
    records.store(images(random))
    starts = {batches(make_layer(data("batch_size: 1 rand_skip: 5"), seed=seed))[0][1][0] for seed in range(30)}
    assert starts == {0, 1, 2, 3, 4}


def test_batches_of_one_may_vary_in_shape(records, random, make_layer, batches):
    stored = [images(random, 1, shape)[0] for shape in ((3, 4, 5), (3, 7, 2), (1, 3, 3))]
    records.store(stored)
    for (pixels, _), expected in zip(batches(make_layer(data("batch_size: 1")), 3), stored, strict=True):
        assert np.array_equal(pixels, expected[None])


def test_cropped_records_may_vary_in_shape(records, random, make_layer, batches):
    stored = [images(random, 1, shape)[0] for shape in ((3, 4, 5), (3, 7, 4))]
    records.store(stored)
    pixels = batches(make_layer(data("batch_size: 2", "crop_size: 4")))[0][0]
    assert np.array_equal(pixels[0], stored[0][:, :, :4])
    assert np.array_equal(pixels[1], stored[1][:, 1:5])


def test_other_shape_within_a_batch(records, random, make_layer):
    records.store([images(random, 1, shape)[0] for shape in ((3, 4, 5), (3, 4, 6))])
    run = make_layer(data("batch_size: 2"))
    with pytest.raises(DataError, match=r'record "00000001": its shape is \(3, 4, 6\), but .* \(3, 4, 5\)'):
        run.forward()


def test_two_layers_read_one_store(records, random, make_layer, batches):
    records.store(images(random))
    first, second = make_layer(data("batch_size: 2")), make_layer(data("batch_size: 3"))
    assert batches(first)[0][1].tolist() == [0, 1]
    assert batches(second)[0][1].tolist() == [0, 1, 2]
    assert batches(first)[0][1].tolist() == [2, 3]


def test_same_seed_same_batches(records, random, make_layer, batches):
    records.store(images(random))
    text = data("batch_size: 5 rand_skip: 3", "crop_size: 3 mirror: true")
    first, second, other = (batches(make_layer(text, phase="TRAIN", seed=seed), 4) for seed in (5, 5, 6))
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
@pytest.mark.parametrize("consumed", [0, 1, 2, 5, 9])
@pytest.mark.parametrize("replicas", [1, 2])
def test_resuming_is_exact(backend, consumed, replicas, records, random, make_layer, batches):
    records.store(images(random), backend, bad=[2])
    text = data("batch_size: 3 rand_skip: 4", "crop_size: 4 mirror: true", backend=backend.upper())
    options = {"phase": "TRAIN", "skip_bad_records": True, "rank": replicas - 1, "replicas": replicas}
    whole = make_layer(text, seed=3, **options)
    batches(whole, consumed)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = batches(whole, 6)
    resumed = make_layer(text, seed=99, **options)
    batches(resumed, 2)
    resumed.layer.restore_state(state)
    for expected, found in zip(rest, batches(resumed, 6), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))
    assert resumed.layer.state() == whole.layer.state()


# Bad records


@pytest.mark.parametrize("bad", [[0], [3], [6], [0, 1, 6]])
def test_bad_records_are_replaced_if_asked_for(bad, records, random, make_layer, batches, caplog):
    records.store(images(random), bad=bad)
    run = make_layer(data("batch_size: 7"), skip_bad_records=True)
    with caplog.at_level(logging.WARNING, "bicerin.data"):
        _, label = batches(run)[0]
    good = [index for index in range(7) if index not in bad]
    assert label.tolist() == (good * 3)[:7]
    assert run.layer.bad_records >= len(bad)
    assert f'record "{bad[0]:08d}"' in caplog.text


@pytest.mark.parametrize("bad", [0, 3])
def test_a_bad_record_is_an_error_that_names_it(bad, records, random, make_layer, batches):
    path = records.store(images(random), bad=[bad])
    with pytest.raises(
        DataError, match=rf'source {path}, record "0000000{bad}": its 14 bytes are not a Datum'
    ) as error:
        batches(make_layer(data("batch_size: 7")))
    assert 'layer "d" (Data)' in str(error.value)


def test_the_error_comes_again(records, random, make_layer):
    records.store(images(random), bad=[4])
    run = make_layer(data("batch_size: 3"))
    run.forward()
    for _ in range(3):
        with pytest.raises(DataError, match="00000004"):
            run.forward()


def test_only_bad_records(records, random, make_layer):
    records.store(images(random), bad=range(7))
    with pytest.raises(DataError, match="it holds no good record"):
        make_layer(data("batch_size: 3"), skip_bad_records=True)


def test_records_that_went_bad(records, random, make_layer):
    """The first is good when the layer is set up, but none fits the crop any more when it is read."""
    records.store(images(random))
    run = make_layer(data("batch_size: 3"), skip_bad_records=True)
    run.layer._reader.transformer.crop_size = 50
    with pytest.raises(DataError, match="none of 7 records can be read"):
        run.forward()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"channels": 3, "height": 2, "width": 2, "data": b"12345678901"}, "holds 11 bytes and 0 floats, where 12"),
        ({"channels": 1, "height": 2, "width": 2, "float_data": [1.0]}, "holds 0 bytes and 1 floats, where 4"),
        ({"data": b"123"}, "channels=0, height=0, width=0"),
        ({}, "channels=0"),
        ({"encoded": True, "data": b"no image"}, "its 8 bytes are of no format that OpenCV knows"),
        ({"encoded": True}, "its 0 bytes"),
    ],
)
def test_what_is_wrong_with_a_record(value, reason, tmp_path, make_layer):
    import bicerin_proto
    from bicerin_data.stores import create_store

    with create_store(tmp_path / "store", "lmdb") as writer:
        writer.put(b"k", bicerin_proto.Datum(**value).SerializeToString())
    with pytest.raises(DataError, match=reason):
        make_layer(data("batch_size: 1"))


# Bad stores and parameters


def test_missing_store(make_layer):
    with pytest.raises(DataError, match="source nowhere does not exist"):
        make_layer(data("batch_size: 1", source="nowhere"))


def test_empty_lmdb(tmp_path, make_layer):
    lmdb.open(str(tmp_path / "store")).close()
    with pytest.raises(DataError, match="it holds no records"):
        make_layer(data("batch_size: 1"))


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_empty_store(backend, records, make_layer):
    records.store([], backend)
    with pytest.raises(DataError, match="it holds no records"):
        make_layer(data("batch_size: 1", backend=backend.upper()))


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"garbage" * 3000, "cannot be opened as LMDB"), (b"short", "cannot be opened as LMDB")],
)
def test_garbage_instead_of_an_lmdb(content, reason, tmp_path, make_layer):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "data.mdb").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        make_layer(data("batch_size: 1"))


def test_truncated_lmdb(records, random, make_layer):
    file = records.store(images(random, 200)) / "data.mdb"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(DataError, match="is truncated"):
        make_layer(data("batch_size: 1"))


def test_garbage_instead_of_a_leveldb(records, random, make_layer):
    path = records.store(images(random), "leveldb")
    for file in path.glob("MANIFEST-*"):
        file.write_bytes(b"garbage")
    with pytest.raises(DataError, match=f"source {path} cannot be opened as LevelDB"):
        make_layer(data("batch_size: 1", backend="LEVELDB"))


@pytest.mark.parametrize(("actual", "asked"), [("lmdb", "LEVELDB"), ("leveldb", "LMDB")])
def test_the_other_backend(actual, asked, records, random, make_layer):
    records.store(images(random), actual)
    with pytest.raises(DataError, match=f"Set backend: {actual.upper()}"):
        make_layer(data("batch_size: 1", backend=asked))


def test_a_folder_that_is_no_store(tmp_path, make_layer):
    (tmp_path / "store").mkdir()
    with pytest.raises(DataError, match="neither an LMDB nor a LevelDB"):
        make_layer(data("batch_size: 1"))


@pytest.mark.parametrize("options", ["", "batch_size: 0"])
def test_batch_size(options, records, random, make_layer):
    records.store(images(random))
    with pytest.raises(DataError, match="Positive batch size required"):
        make_layer(data(options))


def test_no_source(make_layer):
    with pytest.raises(DataError, match="names no source"):
        make_layer('type: "Data" top: "data" data_param { batch_size: 1 }')


def test_counts(make_layer):
    with pytest.raises(BlobCountError, match="Data Layer produces at most 2 top blob"):
        make_layer('type: "Data" top: "a" top: "b" top: "c" data_param { source: "x" batch_size: 1 }')


def test_a_store_alone_without_a_folder(tmp_path, random, make_layer, batches):
    """LMDB's MDB_NOSUBDIR: the source is the file."""
    from bicerin_data.datum import array_datum

    with (
        lmdb.open(str(tmp_path / "store"), subdir=False, map_size=1 << 20) as environment,
        environment.begin(write=True) as transaction,
    ):
        transaction.put(b"a", array_datum(np.ones((1, 2, 2), np.uint8), 4).SerializeToString())
    assert batches(make_layer(data("batch_size: 1")))[0][1] == [4]
