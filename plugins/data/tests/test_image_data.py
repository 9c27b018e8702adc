"""ImageData: the list, order, shuffling, sizes, bad images, exact resuming."""

import json

import cv2
import numpy as np
import pytest

from bicerin.errors import DataError, MissingDataError
from bicerin_data.image_list import read_image_list


def image_data(options="batch_size: 2", transform="", source="list.txt", label='top: "label"'):
    return (
        f'name: "i" type: "ImageData" top: "data" {label} '
        f'image_data_param {{ source: "{source}" {options} }} transform_param {{ {transform} }}'
    )


@pytest.fixture
def pictures(tmp_path, random):
    """Writes PNG files 0.png.. of the given sizes with labels 10.. and lists them; returns the pixels (H, W, 3)."""

    def write(*sizes):
        images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
        for index, image in enumerate(images):
            cv2.imwrite(str(tmp_path / f"{index}.png"), image)
        (tmp_path / "list.txt").write_text("".join(f"{index}.png {index + 10}\n" for index in range(len(images))))
        return images

    return write


def test_images_come_in_order_blue_first(pictures, make_layer, batches):
    images = pictures(*[(4, 5)] * 5)
    run = make_layer(image_data())
    assert [blob.shape for blob in run.top] == [(2, 3, 4, 5), (2,)]
    for number, (data, label) in enumerate(batches(run, 5)):
        for row in range(2):
            index = (2 * number + row) % 5
            assert label[row] == index + 10
            assert np.array_equal(data[row], images[index].transpose(2, 0, 1))


def test_the_label_may_be_left_out(pictures, make_layer, batches):
    pictures((4, 5))
    assert len(batches(make_layer(image_data("batch_size: 1", label="")))[0]) == 1


def test_the_batch_size_is_1_unless_given(pictures, make_layer):
    pictures((4, 5))
    assert make_layer(image_data("")).top[0].shape == (1, 3, 4, 5)


def test_gray(pictures, make_layer, batches):
    (image,) = pictures((4, 5))
    data, _ = batches(make_layer(image_data("batch_size: 1 is_color: false")))[0]
    assert data.shape == (1, 1, 4, 5)
    assert np.abs(data[0, 0] - cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)).max() <= 1


def test_resizing(pictures, make_layer, batches):
    image, _ = pictures((4, 5), (9, 3))
    data, _ = batches(make_layer(image_data("batch_size: 2 new_height: 6 new_width: 8")))[0]
    assert np.array_equal(data[0], cv2.resize(image, (8, 6)).transpose(2, 0, 1))


def test_sizes_vary_in_batches_of_one(pictures, make_layer, batches):
    pictures((4, 5), (6, 3))
    assert [data.shape for data, _ in batches(make_layer(image_data("batch_size: 1")), 3)] == [
        (1, 3, 4, 5), (1, 3, 6, 3), (1, 3, 4, 5),
    ]  # fmt: skip


def test_sizes_vary_where_cropped(pictures, make_layer, batches):
    pictures((4, 5), (6, 3))
    assert batches(make_layer(image_data("batch_size: 2", "crop_size: 3")))[0][0].shape == (2, 3, 3, 3)


def test_sizes_do_not_vary_otherwise(pictures, make_layer):
    pictures((4, 5), (6, 3))
    with pytest.raises(DataError, match=r'image "1.png": its shape is \(3, 6, 3\), but that of the batch'):
        make_layer(image_data("batch_size: 2")).forward()


def test_shuffling(pictures, make_layer, batches):
    pictures(*[(2, 2)] * 8)
    found = np.concatenate([label for _, label in batches(make_layer(image_data("batch_size: 3 shuffle: true")), 16)])
    epochs = found.reshape(6, 8)
    assert (np.sort(epochs) == np.arange(10, 18)).all()
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 6


@pytest.mark.parametrize("replicas", [2, 3, 9])
def test_solvers_share_the_images(replicas, pictures, make_layer, batches):
    pictures(*[(2, 2)] * 8)
    for rank in range(replicas):
        run = make_layer(image_data("batch_size: 3"), phase="TRAIN", rank=rank, replicas=replicas)
        found = [label for _, label in batches(run, 4)]
        assert np.array_equal(np.concatenate(found), (np.arange(12) * replicas + rank) % 8 + 10)
        run.layer.restore_state(json.loads(json.dumps(run.layer.state())))
        ((_, label),) = batches(run, 1)
        assert np.array_equal(label, (np.arange(12, 15) * replicas + rank) % 8 + 10)
        run.layer.close()


def test_a_solver_that_is_given_the_place_of_another_keeps_to_its_own_images(pictures, make_layer, batches):
    """As by the script of Caffe's, whose processes all restore the snapshot of the first."""
    pictures(*[(2, 2)] * 8)
    first, second = (
        make_layer(image_data("batch_size: 2"), phase="TRAIN", rank=rank, replicas=2).layer for rank in (0, 1)
    )
    first.restore_state({**first.state(), "line": 4})
    second.restore_state(first.state())
    assert second.state()["line"] == 5


def test_a_random_order_is_not_shared(pictures, make_layer, batches):
    pictures(*[(2, 2)] * 8)
    run = make_layer(image_data("batch_size: 8 shuffle: true"), phase="TRAIN", rank=1, replicas=2)
    assert sorted(batches(run, 1)[0][1]) == [*range(10, 18)]


def test_rand_skip(pictures, make_layer, batches):
    pictures(*[(2, 2)] * 8)
    text = image_data("batch_size: 1 rand_skip: 3")
    assert {batches(make_layer(text, seed=seed))[0][1][0] for seed in range(20)} == {10, 11, 12}


def test_rand_skip_of_more_than_there_are(pictures, make_layer):
    pictures((2, 2))
    with pytest.raises(DataError, match="Not enough points to skip"):
        make_layer(image_data("batch_size: 1 rand_skip: 1000"))


@pytest.mark.parametrize("root", ["pictures/", "{folder}/pictures/", "pictures/a_"])
def test_root_folder_is_a_prefix(root, tmp_path, make_layer, batches):
    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a_b.png"), np.zeros((2, 2, 3), np.uint8))
    (tmp_path / "list.txt").write_text("b.png 1\n" if root.endswith("a_") else "a_b.png 1\n")
    root = root.format(folder=tmp_path)
    assert batches(make_layer(image_data(f'batch_size: 1 root_folder: "{root}"')))[0][1] == [1]


@pytest.mark.parametrize("shuffle", ["true", "false"])
@pytest.mark.parametrize("consumed", [0, 1, 3, 6])
def test_resuming_is_exact(shuffle, consumed, pictures, make_layer, batches):
    pictures(*[(5, 5)] * 7)
    text = image_data(f"batch_size: 3 rand_skip: 4 shuffle: {shuffle}", "crop_size: 3 mirror: true")
    whole = make_layer(text, phase="TRAIN", seed=1)
    batches(whole, consumed)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = batches(whole, 6)
    resumed = make_layer(text, phase="TRAIN", seed=2)
    batches(resumed, 2)
    resumed.layer.restore_state(state)
    for expected, found in zip(rest, batches(resumed, 6), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))


# Bad input


def test_a_bad_image_names_its_file(pictures, tmp_path, make_layer):
    pictures(*[(2, 2)] * 4)
    (tmp_path / "2.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=f'image "2.png": Could not load {tmp_path}/2.png: .* its 8 bytes are of no'):
        make_layer(image_data("batch_size: 4")).forward()


@pytest.mark.parametrize("bad", [[0], [1, 3]])
def test_bad_images_are_replaced_if_asked_for(bad, pictures, tmp_path, make_layer, batches):
    pictures(*[(2, 2)] * 4)
    for index in bad:
        (tmp_path / f"{index}.png").unlink()
    run = make_layer(image_data("batch_size: 4"), skip_bad_records=True)
    good = [index + 10 for index in range(4) if index not in bad]
    assert batches(run)[0][1].tolist() == (good * 2)[:4]
    assert run.layer.bad_records >= len(bad)


def test_no_good_image(pictures, tmp_path, make_layer):
    pictures((2, 2), (2, 2))
    for index in range(2):
        (tmp_path / f"{index}.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 2 images can be read"):
        make_layer(image_data("batch_size: 1"), skip_bad_records=True)


def test_images_that_all_vanish(pictures, tmp_path, make_layer):
    pictures((2, 2), (2, 2))
    run = make_layer(image_data("batch_size: 1"), skip_bad_records=True)
    for index in range(2):
        (tmp_path / f"{index}.png").unlink()
    with pytest.raises(DataError, match="none of 2 records can be read"):
        run.forward()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("batch_size: 0", "Positive batch size required"),
        ("new_height: 3", "new_height and new_width to be set at the same time: they are 3 and 0"),
    ],
)
def test_parameters(options, reason, pictures, make_layer):
    pictures((2, 2))
    with pytest.raises(DataError, match=reason):
        make_layer(image_data(options))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a.png 3\n", [("a.png", 3)]),
        ("with blank.png 3\r\nb -2", [("with blank.png", 3), ("b", -2)]),
        ("\na.png 3 \n\n", [("a.png", 3)]),
        ("a.png\t3\nb.png  4", [("a.png", 3), ("b.png", 4)]),
        ("\ufeffa.png 3", [("a.png", 3)]),
    ],
)
def test_lines(text, lines, tmp_path):
    (tmp_path / "list").write_text(text, "utf-8")
    assert read_image_list(tmp_path / "list") == lines


@pytest.mark.parametrize("line", ["a.png", "7.png", "a.png 3x", "a.png disk", "a.png 0.8563"])
def test_a_line_without_a_label_is_named(line, tmp_path):
    (tmp_path / "list").write_text(f"a.png 1\n\n{line}\n")
    with pytest.raises(DataError, match=f"line 3: '{line}' does not end with a label"):
        read_image_list(tmp_path / "list")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"\n", "File is empty"), (b"\x89\xff\xfe", "is not text")],
)
def test_bad_lists(content, reason, tmp_path):
    if content is not None:
        (tmp_path / "list").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_image_list(tmp_path / "list")


def test_sixteen_bits(tmp_path, make_layer):
    """A Datum keeps what its image has, and 16 bits are refused; ImageData converts."""
    from bicerin_data.image import decode_image

    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2), 1000, np.uint16))
    with pytest.raises(DataError, match="Image data type must be unsigned byte, not uint16"):
        decode_image((tmp_path / "a.png").read_bytes())
    (tmp_path / "list.txt").write_text("a.png 0")
    assert make_layer(image_data("batch_size: 1")).top[0].shape == (1, 3, 2, 2)


@pytest.mark.parametrize("line", ["nobody's.png 1", "a.png 1 2"])
def test_a_missing_image_names_the_list_at_the_set_up_too(line, tmp_path, make_layer):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((2, 2, 3), np.uint8))
    (tmp_path / "list.txt").write_text(line)
    path = line.rpartition(" ")[0]
    with pytest.raises(MissingDataError, match=f'source .*list.txt, image "{path}": Could not open or find file'):
        make_layer(image_data("batch_size: 1"))
