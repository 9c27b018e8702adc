"""HDF5Data and HDF5Output."""

import gc
import json

import h5py
import numpy as np
import pytest

import bicerin
from bicerin.errors import DataError, LayerError, ShapeError
from bicerin.layer import Blob
from bicerin_data import hdf5_file

TWO_TOPS = 'name: "h" type: "HDF5Data" top: "data" top: "label"'


def hdf5(options, tops=TWO_TOPS, source="list.txt"):
    return f'{tops} hdf5_data_param {{ source: "{source}" {options} }}'


@pytest.fixture
def files(tmp_path):
    """Writes files of the given numbers of rows and lists them; row r of all rows is [r, r + 0.5] with label r."""

    def write(*rows, **storage):
        begin = 0
        for index, number in enumerate(rows):
            values = np.arange(begin, begin + number)
            with h5py.File(tmp_path / f"{index}.h5", "w") as file:
                file.create_dataset("data", data=np.stack([values, values + 0.5], 1), **storage)
                file.create_dataset("label", data=values, dtype="i4")
            begin += number
        (tmp_path / "list.txt").write_text("".join(f"{index}.h5\n" for index in range(len(rows))))
        return tmp_path

    return write


def labels(found):
    assert all(np.array_equal(data, np.stack([label, label + 0.5], 1)) for data, label in found)
    return np.concatenate([label for _, label in found]).astype(int).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("storage", [{}, {"chunks": (3, 1), "maxshape": (None, 2), "compression": "gzip"}])
@pytest.mark.parametrize("rows", [(5, 4, 1), (7,), (1, 1)])
@pytest.mark.parametrize("batch_size", [1, 3, 25])
def test_rows_come_in_order_across_files(dtype, storage, rows, batch_size, files, make_layer, batches):
    files(*rows, **storage)
    run = make_layer(hdf5(f"batch_size: {batch_size}"), dtype=dtype)
    assert [blob.shape for blob in run.top] == [(batch_size, 2), (batch_size,)]
    found = labels(batches(run, 8))
    assert found == (np.arange(8 * batch_size) % sum(rows)).tolist()


@pytest.mark.parametrize("held", [1 << 28, 0], ids=["held", "streamed"])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_shuffling(held, batch_size, files, make_layer, batches, monkeypatch):
    monkeypatch.setattr(hdf5_file, "_MOST_BYTES_HELD", held)
    files(5, 4, 6)
    found = labels(batches(make_layer(hdf5(f"batch_size: {batch_size} shuffle: true"), phase="TRAIN"), 45))
    epochs = [found[begin : begin + 15] for begin in range(0, 45 * batch_size, 15)]
    assert all(sorted(epoch) == list(range(15)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)
    file_of = np.repeat([0, 1, 2], [5, 4, 6])
    orders = {tuple(dict.fromkeys(file_of[epoch].tolist())) for epoch in epochs}
    assert len(orders) > 1, "the files are in one order in all epochs"
    assert all(len(np.flatnonzero(np.diff(file_of[epoch]))) == 2 for epoch in epochs), "files are mixed"


def test_held_and_streamed_are_the_same(files, make_layer, batches, monkeypatch):
    files(9, 8)
    text = hdf5("batch_size: 4 shuffle: true")
    held = labels(batches(make_layer(text), 10))
    monkeypatch.setattr(hdf5_file, "_MOST_BYTES_HELD", 0)
    assert labels(batches(make_layer(text), 10)) == held


@pytest.mark.parametrize("replicas", [1, 2, 3])
@pytest.mark.parametrize("rows", [(5, 4), (2, 1, 1)])
def test_solvers_share_the_rows(replicas, rows, files, make_layer, batches):
    files(*rows)
    for rank in range(replicas):
        run = make_layer(hdf5("batch_size: 3"), phase="TRAIN", rank=rank, replicas=replicas)
        assert labels(batches(run, 5)) == ((np.arange(15) * replicas + rank) % sum(rows)).tolist()


@pytest.mark.parametrize("consumed", [0, 1, 4])
@pytest.mark.parametrize("shuffle", ["true", "false"])
def test_resuming_is_exact(consumed, shuffle, files, make_layer, batches):
    files(5, 4, 6)
    text = hdf5(f"batch_size: 4 shuffle: {shuffle}")
    whole = make_layer(text, seed=1)
    batches(whole, consumed)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = labels(batches(whole, 8))
    resumed = make_layer(text, seed=2)
    batches(resumed, 3)
    resumed.layer.restore_state(state)
    assert labels(batches(resumed, 8)) == rest


def test_blanks_in_names_and_several_names_a_line(files, make_layer, batches):
    folder = files(3, 2)
    (folder / "0.h5").rename(folder / "with blank.h5")
    (folder / "list.txt").write_text("with blank.h5\n\n1.h5 1.h5\n")
    assert labels(batches(make_layer(hdf5("batch_size: 7")))) == [0, 1, 2, 3, 4, 3, 4]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "Failed to open source file .*list.txt: no such file"),
        ("", "Must have at least 1 HDF5 filename listed in"),
        ("missing.h5", "HDF5 file missing.h5: no such file"),
        ("list.txt", "HDF5 file .*list.txt cannot be read, .*damaged"),
        ("other.h5", 'other.h5: there is no dataset "label"; there is: data, text'),
        ("0.h5 rows.h5", 'rows.h5: dataset "label" has 2 rows, but "data" has 3'),
        ("0.h5 wide.h5", r'wide.h5: a row of dataset "data" has the shape \(7,\), but \(2,\) in'),
        ("empty.h5", "empty.h5: its datasets have no rows"),
        ("scalar.h5", "Input must have at least 1 axis"),
        ("text.h5", "which are not real numbers"),
        ("truncated.h5", "HDF5 file .*truncated.h5 cannot be read, .*damaged"),
    ],
)
def test_bad_files(content, reason, files, make_layer):
    folder = files(3)
    for name, data, label in (
        ("rows", np.zeros((3, 2)), np.zeros(2)),
        ("wide", np.zeros((3, 7)), np.zeros(3)),
        ("empty", np.zeros((0, 2)), np.zeros(0)),
        ("scalar", 1.0, 2.0),
        ("text", np.zeros(3), [b"a", b"b", b"c"]),
    ):
        with h5py.File(folder / f"{name}.h5", "w") as file:
            file["data"], file["label"] = data, label
    with h5py.File(folder / "other.h5", "w") as file:
        file["data"], file["text"] = [1.0], [1.0]
    (folder / "truncated.h5").write_bytes((folder / "0.h5").read_bytes()[:1000])
    (folder / "list.txt").unlink()
    if content is not None:
        (folder / "list.txt").write_text(content)
    with pytest.raises(DataError, match=reason):
        make_layer(hdf5("batch_size: 2"))


def test_the_source_is_no_hdf5_file(files, make_layer):
    files(3)
    with pytest.raises(DataError, match="it is not an HDF5 file itself"):
        make_layer(hdf5("batch_size: 2", source="0.h5"))


def test_a_file_that_changes_is_noticed_and_nothing_is_skipped(files, make_layer, batches):
    folder = files(3, 2)
    run = make_layer(hdf5("batch_size: 2"))
    batches(run)
    (folder / "1.h5").rename(folder / "away.h5")
    state = run.layer.state()
    with pytest.raises(DataError, match=r"1\.h5: no such file"):
        run.forward()
    assert run.layer.state() == state
    (folder / "away.h5").rename(folder / "1.h5")
    assert labels(batches(run)) == [2, 3]


def spoil(path, *rows):
    """Break rows of the dataset "data", which has a checksum for each."""
    with h5py.File(path) as file:
        places = [file["data"].id.get_chunk_info(row).byte_offset for row in rows]
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            file.write(b"\xaa\x55")


CHECKED = {"chunks": (1, 2), "fletcher32": True}


@pytest.mark.parametrize("shuffle", ["", "shuffle: true"])
def test_a_row_that_cannot_be_read_is_an_error_when_it_is_its_turn(shuffle, files, make_layer, batches):
    spoil(files(6, **CHECKED) / "0.h5", 3)
    run = make_layer(hdf5(f"batch_size: 1 {shuffle}"))
    with pytest.raises(DataError, match=r"0\.h5: rows 3 to 3 cannot be read"):
        batches(run, 6)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 9])
def test_rows_that_cannot_be_read_are_replaced_if_asked_for(batch_size, files, make_layer, batches, caplog):
    folder = files(4, 5, **CHECKED)
    spoil(folder / "0.h5", 2)
    spoil(folder / "1.h5", 0, 4)
    run = make_layer(hdf5(f"batch_size: {batch_size}"), skip_bad_records=True)
    assert labels(batches(run, 36 // batch_size)) == [0, 1, 1, 3, 3, 5, 6, 7, 7] * (36 // batch_size * batch_size // 9)
    assert run.layer.bad_records == 12
    assert f"skipped a bad record: {folder / '0.h5'}: row 2: " in caplog.text
    again = make_layer(hdf5("batch_size: 1"), skip_bad_records=True)
    again.layer.restore_state(json.loads(json.dumps(run.layer.state())))
    assert again.layer.bad_records == 12


def test_bad_rows_before_the_first_good_one_are_replaced_by_it(files, make_layer, batches):
    spoil(files(4, **CHECKED) / "0.h5", 0, 1)
    run = make_layer(hdf5("batch_size: 4"), skip_bad_records=True)
    assert labels(batches(run, 1)) == [2, 2, 2, 3]
    run = make_layer(hdf5("batch_size: 2"), skip_bad_records=True)
    with pytest.raises(DataError, match="none of the 2 rows of a batch can be read, nor any before"):
        run.forward()


@pytest.mark.parametrize("held", [1 << 28, 0], ids=["held", "streamed"])
def test_bad_rows_in_random_order(held, files, make_layer, batches, monkeypatch):
    monkeypatch.setattr(hdf5_file, "_MOST_BYTES_HELD", held)
    spoil(files(9, **CHECKED) / "0.h5", 4)
    found = labels(batches(make_layer(hdf5("batch_size: 3 shuffle: true"), skip_bad_records=True), 3))
    assert len(set(found)) == 8 and 4 not in found


def test_only_bad_rows(files, make_layer):
    spoil(files(3, **CHECKED) / "0.h5", 0, 1, 2)
    with pytest.raises(DataError, match="none of 3 records can be read"):
        make_layer(hdf5("batch_size: 3"), skip_bad_records=True).forward()


def test_refuses_transformations(files, make_layer):
    files(3)
    with pytest.raises(LayerError, match="HDF5Data does not transform data"):
        make_layer(hdf5("batch_size: 2") + " transform_param { scale: 2 }")


def test_batch_size(files, make_layer):
    files(3)
    with pytest.raises(DataError, match="Positive batch size required"):
        make_layer(hdf5(""))


# HDF5Output


def output(path):
    return f'name: "o" type: "HDF5Output" bottom: "data" bottom: "label" hdf5_output_param {{ file_name: "{path}" }}'


def blobs(data, label):
    made = []
    for array in (data, label):
        blob = Blob(array.shape)
        blob.data[...] = array
        made.append(blob)
    return made


@pytest.mark.parametrize("passes", [1, 3])
def test_writes_four_axes(passes, tmp_path, random, make_layer):
    data, label = random.random((4, 3, 2)).astype("f4"), np.arange(4, dtype="f4")
    run = make_layer(output(tmp_path / "o.h5"), bottoms=blobs(data, label))
    for _ in range(passes):
        run.forward()
    assert not (tmp_path / "o.h5").exists()
    run.layer.close()
    with h5py.File(tmp_path / "o.h5") as file:
        assert sorted(file) == ["data", "label"]
        assert np.array_equal(file["data"], np.concatenate([data[..., None]] * passes))
        assert np.array_equal(file["label"], np.concatenate([label[:, None, None, None]] * passes))
    assert [path.name for path in tmp_path.iterdir()] == ["o.h5"]


def test_what_is_written_can_be_read(tmp_path, files, make_layer, batches):
    folder = files(5)
    (folder / "net").write_text(
        f"layer {{ {hdf5('batch_size: 5')} }} layer {{ {output(folder / '0.out.h5')} }}", encoding="utf-8"
    )
    net = bicerin.Net(folder / "net", phase="TEST")
    net.forward()
    del net
    (folder / "list.txt").write_text("0.out.h5")
    (data, label) = batches(make_layer(hdf5("batch_size: 5")))[0]
    assert np.array_equal(data.reshape(5, 2)[:, 0], np.arange(5))
    assert np.array_equal(label.reshape(5), np.arange(5))


def test_the_file_is_complete_when_the_net_is_gone(tmp_path, make_layer):
    text = (
        f'layer {{ name: "d" type: "DummyData" top: "data" top: "label" dummy_data_param {{ shape {{ dim: 2 }} }} }}'
        f"layer {{ {output(tmp_path / 'o.h5')} }}"
    )
    net = bicerin.Net(text, phase="TEST")
    net.forward()
    del net
    gc.collect()
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["data"].shape == (2, 1, 1, 1)


def test_a_net_that_is_closed_has_written_its_file(tmp_path, caplog):
    layer = f"layer {{ {output(tmp_path / 'o.h5')} }}"
    inputs = 'layer { name: "i" type: "Input" top: "data" top: "label" input_param { shape { dim: 2 } } }'
    with caplog.at_level("INFO", "bicerin.data"):
        net = bicerin.Net(inputs + layer)
    assert "o.h5 gets its name when it is complete: with net.close()" in caplog.text
    net.run_forward()
    assert not (tmp_path / "o.h5").exists()
    net.close()
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["data"].shape[0] == 2


def test_an_older_file_stays_until_the_new_one_is_complete(tmp_path, make_layer):
    (tmp_path / "o.h5").write_text("old")
    run = make_layer(output(tmp_path / "o.h5"), bottoms=blobs(np.zeros((2, 3)), np.zeros(2)))
    run.forward()
    assert (tmp_path / "o.h5").read_text() == "old"
    run.layer.close()
    assert h5py.is_hdf5(tmp_path / "o.h5")


def test_a_batch_may_be_empty_or_of_another_size_but_not_of_another_shape(tmp_path, make_layer):
    data, label = blobs(np.zeros((0, 3)), np.zeros(0))
    run = make_layer(output(tmp_path / "o.h5"), bottoms=[data, label])
    run.forward()
    data.reshape(5, 3)
    label.reshape(5)
    run.forward()
    data.reshape(5, 4)
    with pytest.raises(ShapeError, match=r'a row of "data" has the shape \(4, 1, 1\), but those before it \(3, 1, 1\)'):
        run.forward()
    run.layer.close()
    with h5py.File(tmp_path / "o.h5") as file:
        assert file["data"].shape == (5, 3, 1, 1)


@pytest.mark.parametrize(
    ("data", "label", "reason"),
    [((2, 3), (3,), "the same first dimension"), ((2, 1, 1, 1, 1), (2,), "up to 4 axes")],
)
def test_shapes_that_do_not_fit(data, label, reason, tmp_path, make_layer):
    with pytest.raises(ShapeError, match=reason):
        make_layer(output(tmp_path / "o.h5"), bottoms=blobs(np.zeros(data), np.zeros(label)))


def test_a_folder_that_is_missing(tmp_path, make_layer):
    with pytest.raises(DataError, match=r"Failed to open HDF5 file .*o\.h5 to write it"):
        make_layer(output(tmp_path / "missing" / "o.h5"), bottoms=blobs(np.zeros(2), np.zeros(2)))


def test_no_name(make_layer):
    with pytest.raises(DataError, match="gives no file_name"):
        make_layer('type: "HDF5Output" bottom: "a" bottom: "b"', bottoms=blobs(np.zeros(2), np.zeros(2)))
