"""Passes that several ranks divide: each gives what it would alone, and what others use is not decoded."""

import h5py
import numpy as np
import pytest

from bicerin_data.turns import gaps

RECORDS, BATCH = 11, 3
RANKS, PASSES = 3, 7


def store(kind, records, random, tmp_path):
    """Records of a kind, and the layer that reads them."""
    import cv2

    pixels = random.integers(0, 256, (RECORDS, 3, 4, 4), dtype=np.uint8)
    transform = "transform_param { mirror: true }"
    if kind == "hdf5":
        for name, rows in (("a", pixels[:4]), ("b", pixels[4:])):
            with h5py.File(tmp_path / f"{name}.h5", "w") as file:
                file["data"], file["label"] = rows.astype(np.float32), rows[:, 0, 0, 0].astype(np.float32)
        (tmp_path / "list").write_text(f"{tmp_path}/a.h5\n{tmp_path}/b.h5\n")
        return f'type: "HDF5Data" hdf5_data_param {{ source: "list" batch_size: {BATCH} shuffle: true }}'
    if kind == "images":
        for number, image in enumerate(pixels):
            cv2.imwrite(str(tmp_path / f"{number}.png"), image.transpose(1, 2, 0))
        (tmp_path / "list").write_text("".join(f"{number}.png {number}\n" for number in range(RECORDS)))
        return (
            f'type: "ImageData" image_data_param {{ source: "list" root_folder: "{tmp_path}/" batch_size: {BATCH} '
            f"shuffle: true }} {transform}"
        )
    records.store(pixels, kind)
    return (
        f'type: "Data" data_param {{ source: "store" backend: {kind.upper()} batch_size: {BATCH} rand_skip: 5 }} '
        f"{transform}"
    )


def decodings(layer):
    """A list to which each record that the layer decodes from now on adds one."""
    found, decode = [], layer._reader.decode
    layer._reader.decode = lambda record: (found.append(record), decode(record))[1]
    return found


@pytest.mark.parametrize("kind", ["lmdb", "leveldb", "images", "hdf5"])
def test_ranks_divide_what_one_reads(kind, records, random, tmp_path, make_layer, batches):
    text = f'name: "d" {store(kind, records, random, tmp_path)} top: "data" top: "label"'
    alone = make_layer(text)
    expected = [(data.copy(), label.copy()) for data, label in batches(alone, 2 * PASSES + 1)]
    for rank in range(RANKS):
        run = make_layer(text)
        decoded = decodings(run.layer) if kind != "hdf5" else []
        for test in range(2):
            before = run.layer.state()
            turns = range(rank, PASSES, RANKS)
            run.layer.take_turns(turns, PASSES)
            for turn in turns:
                ((data, label),) = batches(run, 1)
                assert np.array_equal(data, expected[test * PASSES + turn][0])
                assert np.array_equal(label, expected[test * PASSES + turn][1])
                if turn != turns[-1]:
                    assert run.layer.state() == before, "turns that are not over begin again"
        assert len(decoded) == (2 * len(turns) * BATCH if kind != "hdf5" else 0)
        ((data, label),) = batches(run, 1)
        assert np.array_equal(data, expected[-1][0]), "and after them all read on together"
        if kind != "hdf5":
            assert run.layer.state() == alone.layer.state()


def test_a_rank_without_turns_goes_on_too(records, random, tmp_path, make_layer, batches):
    text = f'name: "d" {store("lmdb", records, random, tmp_path)} top: "data" top: "label"'
    expected = [label.copy() for _, label in batches(make_layer(text), 3)]
    run = make_layer(text)
    run.layer.take_turns(range(3, 2, 4), 2)
    assert np.array_equal(batches(run, 1)[0][1], expected[2])


def test_turns_that_were_broken_off_begin_again(records, random, tmp_path, make_layer, batches):
    text = f'name: "d" {store("lmdb", records, random, tmp_path)} top: "data" top: "label"'
    expected = [label.copy() for _, label in batches(make_layer(text), 4)]
    run = make_layer(text)
    run.layer.take_turns(range(1, 4, 2), 4)
    assert np.array_equal(batches(run, 1)[0][1], expected[1])
    run.layer.take_turns(range(0, 4, 2), 4)
    found = [label.copy() for _, label in batches(run, 2)]
    assert np.array_equal(found, [expected[0], expected[2]])


def test_bad_records_are_left_out_as_by_one_process(records, random, make_layer, batches):
    """Where they stand is known only from reading, and so the others' batches are read, too."""
    records.store(random.integers(0, 256, (RECORDS, 3, 4, 4), dtype=np.uint8), bad=(1, 5))
    text = f'type: "Data" top: "d" top: "l" data_param {{ source: "store" backend: LMDB batch_size: {BATCH} }}'
    alone = make_layer(text, skip_bad_records=True)
    expected = [label.copy() for _, label in batches(alone, PASSES)]
    run = make_layer(text, skip_bad_records=True)
    run.layer.take_turns(range(1, PASSES, 2), PASSES)
    found = [label.copy() for _, label in batches(run, 3)]
    assert np.array_equal(found, expected[1::2])
    assert run.layer.bad_records == alone.layer.bad_records > 0


def test_gaps():
    assert gaps(range(1, 7, 3), 7) == [1, 2, 2]
    assert gaps(range(0, 6, 2), 6) == [0, 1, 1, 1]
    assert gaps(range(3, 2, 4), 2) == [2]
