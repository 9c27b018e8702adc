"""`bicerin convert-imageset`, `compute-image-mean` and `extract-features`, run as a user does."""

import json
import sys

import cv2
import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import bicerin
import bicerin_proto
from bicerin.cli.command_line import command_line
from bicerin_data.datum import datum_array, parse_datum
from bicerin_data.stores import open_store


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, status=0):
        result = CliRunner().invoke(command_line, [str(argument) for argument in arguments])
        assert result.exit_code == status, result.output
        return result.output

    return invoke


@pytest.fixture
def pictures(tmp_path, random):
    """Four pictures in the folder `pictures`, the last as JPEG, and the list; returns the pixels (3, H, W)."""
    (tmp_path / "pictures").mkdir()
    images = []
    for index in range(4):
        path = str(tmp_path / "pictures" / f"{index}.{'jpg' if index == 3 else 'png'}")
        cv2.imwrite(path, random.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        images.append(cv2.imread(path).transpose(2, 0, 1))
    (tmp_path / "list.txt").write_text("0.png 7\n1.png 8\n2.png 9\n3.jpg 10\n")
    return images


def stored(path, backend="lmdb"):
    return {key.decode(): parse_datum(value) for key, value in open_store(path, backend).records()}


KEYS = ["00000000_0.png", "00000001_1.png", "00000002_2.png", "00000003_3.jpg"]


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
@pytest.mark.parametrize("root", ["pictures", "pictures/"])
def test_convert_pixels(backend, root, run, pictures, tmp_path):
    assert "db: 4 images" in run("convert-imageset", root, "list.txt", "db", "--backend", backend)
    found = stored(tmp_path / "db", backend)
    assert list(found) == KEYS
    for (key, datum), image, label in zip(found.items(), pictures, range(7, 11), strict=True):
        assert datum.label == label, key
        assert not datum.encoded
        assert np.array_equal(datum_array(datum), image)


def test_convert_and_train_on_it(run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db")
    (tmp_path / "net").write_text(
        'layer { name: "d" type: "Data" top: "data" top: "label" '
        'data_param { source: "db" backend: LMDB batch_size: 4 } }'
    )
    net = bicerin.Net(tmp_path / "net", phase="TRAIN")
    net.forward()
    assert net.blobs["label"].data.tolist() == [7, 8, 9, 10]
    assert np.array_equal(net.blobs["data"].data, pictures)


def test_convert_with_resizing_and_gray(run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db", "--gray", "--resize-height", 3, "--resize-width", 4)
    for (_, datum), name in zip(stored(tmp_path / "db").items(), ("0.png", "1.png", "2.png", "3.jpg"), strict=True):
        gray = cv2.imread(str(tmp_path / "pictures" / name), cv2.IMREAD_GRAYSCALE)
        assert np.array_equal(datum_array(datum)[0], cv2.resize(gray, (4, 3)))


def test_convert_files_as_they_are(run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db", "--encoded")
    for (key, datum), image in zip(stored(tmp_path / "db").items(), pictures, strict=True):
        assert datum.encoded
        assert (datum.channels, datum.height, datum.width) == (3, 5, 6)
        assert datum.data == (tmp_path / "pictures" / key.partition("_")[2]).read_bytes()
        assert np.array_equal(datum_array(datum), image)


@pytest.mark.parametrize(
    ("options", "signature"),
    [(["--encode-type", "jpg"], b"\xff\xd8"), (["--encoded", "--encode-type", "png"], b"\x89PNG")],
)
def test_convert_to_a_file_type(options, signature, run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db", *options)
    assert all(datum.encoded and datum.data.startswith(signature) for datum in stored(tmp_path / "db").values())


def test_gray_files_are_encoded_anew(run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db", "--encoded", "--gray")
    assert all(datum_array(datum).shape == (1, 5, 6) for datum in stored(tmp_path / "db").values())


def test_shuffling(run, pictures, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"0.png {label}\n" for label in range(20)))
    orders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("convert-imageset", "pictures", "list.txt", name, "--shuffle", "--seed", seed)
        orders.append([datum.label for datum in stored(tmp_path / name).values()])
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(20)) != orders[0]


def test_many_images_keep_their_order(run, pictures, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"{label % 3}.png {label}\n" for label in range(300)))
    run("convert-imageset", "pictures", "list.txt", "db")
    found = list(stored(tmp_path / "db").values())
    assert [datum.label for datum in found] == list(range(300))
    assert np.array_equal(datum_array(found[299]), pictures[299 % 3])


@pytest.mark.parametrize(
    ("prepare", "options", "status", "reason"),
    [
        (lambda folder: (folder / "pictures/2.png").unlink(), [], 1, "Could not open or find file pictures/2.png"),
        (lambda folder: (folder / "pictures/2.png").write_bytes(b"x"), [], 1, "Could not load pictures/2.png"),
        (lambda folder: (folder / "list.txt").unlink(), [], 1, "list.txt: no such file"),
        (lambda folder: (folder / "db").mkdir(), [], 1, "db exists already"),
        (lambda folder: None, ["--resize-width", "4"], 2, "--resize-width and --resize-height"),
        (lambda folder: None, ["--encode-type", "docx"], 1, 'an image cannot be encoded as "docx"'),
        (
            lambda folder: cv2.imwrite(str(folder / "pictures/2.png"), np.zeros((2, 2, 3), np.uint8)),
            ["--check-size"],
            1,
            "2.png: Incorrect data field size 12; the first image's is 90",
        ),
    ],
)
def test_convert_errors(prepare, options, status, reason, run, pictures, tmp_path):
    prepare(tmp_path)
    assert reason in " ".join(run("convert-imageset", "pictures", "list.txt", "db", *options, status=status).split())
    assert not (tmp_path / "db" / "data.mdb").exists()
    assert not list(tmp_path.glob(".db*"))


def test_bad_images_are_left_out_if_asked_for(run, pictures, tmp_path):
    (tmp_path / "pictures/1.png").write_bytes(b"x")
    output = run("convert-imageset", "pictures", "list.txt", "db", "--skip-bad-records")
    assert "db: 3 images, 1 skipped" in output
    assert list(stored(tmp_path / "db")) == [KEYS[0], *KEYS[2:]]


@pytest.mark.parametrize("options", [[], ["--encoded"], ["--backend", "leveldb"]])
def test_mean(options, run, pictures, tmp_path):
    run("convert-imageset", "pictures", "list.txt", "db", *options)
    output = run("compute-image-mean", "db", "mean.binaryproto")
    blob = bicerin_proto.BlobProto.FromString((tmp_path / "mean.binaryproto").read_bytes())
    mean = np.mean(pictures, axis=0, dtype=np.float64)
    assert bicerin_proto.blob_shape(blob) == (1, 3, 5, 6)
    np.testing.assert_allclose(bicerin_proto.blob_array(blob)[0], mean, rtol=1e-6)
    for channel in range(3):
        assert f"mean_value channel [{channel}]: {mean[channel].mean():g}" in output
    (tmp_path / "net").write_text(
        f'layer {{ name: "d" type: "Data" top: "data" data_param {{ source: "db" batch_size: 4 '
        f"backend: {'LEVELDB' if 'leveldb' in options else 'LMDB'} }} "
        'transform_param { mean_file: "mean.binaryproto" } }'
    )
    assert abs(bicerin.Net(tmp_path / "net", phase="TEST").forward()["data"].mean()) < 1e-3


def test_mean_of_other_sizes(run, pictures, tmp_path, records):
    records.store([np.zeros((3, 2, 2), np.uint8), np.ones((3, 2, 3), np.uint8)])
    output = run("compute-image-mean", "store", "mean", status=1)
    assert 'record "00000001": Incorrect data field size' in output
    assert not (tmp_path / "mean").exists()
    assert "1, 1 skipped" in run("compute-image-mean", "store", "--skip-bad-records")


@pytest.mark.parametrize(("bad", "reason"), [([0], 'record "00000000": its 14 bytes'), ([], "no records")])
def test_mean_errors(bad, reason, run, records):
    records.store([np.zeros((1, 1, 1), np.uint8)] * len(bad), bad=bad)
    assert reason in run("compute-image-mean", "store", status=1)
    assert "does not exist" in run("compute-image-mean", "nowhere", status=1)


@pytest.fixture
def trained(run, pictures, tmp_path):
    """A net over the pictures, and weights: there is nothing to learn in it."""
    run("convert-imageset", "pictures", "list.txt", "db")
    (tmp_path / "net.prototxt").write_text(
        'name: "n" layer { name: "d" type: "Data" top: "data" top: "label" '
        'data_param { source: "db" backend: LMDB batch_size: 2 } transform_param { scale: 0.5 } }'
    )
    bicerin.Net(tmp_path / "net.prototxt", phase="TEST").save(tmp_path / "w.caffemodel")
    return np.stack(pictures) * np.float32(0.5)


@pytest.mark.parametrize("backend", ["lmdb", "leveldb"])
def test_features_to_a_store(backend, run, trained, tmp_path):
    arguments = ("w.caffemodel", "net.prototxt", "data,label", "f,g", 3, "--backend", backend)
    assert "f: 6 rows of data" in run("extract-features", *arguments)
    features, labels = stored(tmp_path / "f", backend), stored(tmp_path / "g", backend)
    assert list(features) == [f"{index:010d}" for index in range(6)]
    for index, (datum, label) in enumerate(zip(features.values(), labels.values(), strict=True)):
        assert np.array_equal(datum_array(datum), trained[index % 4])
        assert datum_array(label).tolist() == [[[7 + index % 4]]]


def test_features_to_hdf5(run, trained, tmp_path):
    run("extract-features", "w.caffemodel", "net.prototxt", "data,label", "f.h5,g.h5", 2)
    with h5py.File(tmp_path / "f.h5") as features, h5py.File(tmp_path / "g.h5") as labels:
        assert np.array_equal(features["data"], trained)
        assert labels["label"][()].tolist() == [7, 8, 9, 10]


@pytest.mark.parametrize("batch_size", [2, 3])
def test_features_keep_the_keys(batch_size, run, trained, tmp_path):
    net = (tmp_path / "net.prototxt").read_text()
    (tmp_path / "net.prototxt").write_text(net.replace("batch_size: 2", f"batch_size: {batch_size}"))
    arguments = ("extract-features", "w.caffemodel", "net.prototxt", "data")
    assert "f: 4 rows of data" in run(*arguments, "f", "--keep-keys")
    run(*arguments, "f.h5", "--keep-keys")
    features, keys = stored(tmp_path / "f", "lmdb"), list(stored(tmp_path / "db", "lmdb"))
    assert list(features) == keys
    assert np.array_equal([datum_array(datum) for datum in features.values()], trained)
    with h5py.File(tmp_path / "f.h5") as file:
        assert np.array_equal(file["data"], trained) and [key.decode() for key in file["keys"]] == keys
    assert "keys would come twice" in " ".join(run(*arguments, "g", 3, "--keep-keys", status=1).split())


def test_features_of_a_list_have_the_keys_of_convert_imageset(run, trained, tmp_path):
    (tmp_path / "images").write_text(
        'layer { name: "d" type: "ImageData" top: "data" top: "label" '
        'image_data_param { source: "list.txt" root_folder: "pictures/" batch_size: 3 } }'
    )
    run("extract-features", "w.caffemodel", "images", "label,label", "f.h5,f")
    lines = [line.split() for line in (tmp_path / "list.txt").read_text().splitlines()]
    with h5py.File(tmp_path / "f.h5") as file:
        assert [key.decode() for key in file["keys"]] == [f"{at:08d}_{name}" for at, (name, _) in enumerate(lines)]
        assert [key.encode() for key in stored(tmp_path / "f")] == file["keys"][()].tolist()
        assert file["label"][()].tolist() == [int(label) for _, label in lines]
    (tmp_path / "images").write_text((tmp_path / "images").read_text().replace("batch", "shuffle: true batch"))
    assert "another order each time" in run("extract-features", "w.caffemodel", "images", "label", "g", status=1)


def test_features_to_parquet(run, trained, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="it comes with bicerin-data[parquet]")
    run("extract-features", "w.caffemodel", "net.prototxt", "data", "f.parquet")
    table = parquet.read_table(tmp_path / "f.parquet")
    shape = json.loads(table.schema.metadata[b"shape"])
    assert table["key"].to_pylist() == [key.encode() for key in stored(tmp_path / "db")]
    assert np.array_equal(np.array(table["data"].to_pylist(), np.float32).reshape(-1, *shape), trained)


def test_features_to_parquet_need_pyarrow(run, trained, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    said = run("extract-features", "w.caffemodel", "net.prototxt", "data", "f.parquet", 1, status=1)
    assert "pip install 'bicerin-data[parquet]'" in " ".join(said.split())
    assert not (tmp_path / "f.parquet").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("w.caffemodel", "net.prototxt", "fc9", "f", 1), 2, 'Unknown feature blob name "fc9" in the network "n"'),
        (("w.caffemodel", "net.prototxt", "data,label", "f", 1), 2, "must be equal: 2 and 1"),
        (("w.caffemodel", "net.prototxt", "data", "f", 0), 2, "BATCHES"),
        (("missing", "net.prototxt", "data", "f", 1), 1, "missing"),
        (("w.caffemodel", "net.prototxt", "data", "db", 1), 1, "db exists already"),
    ],
)
def test_feature_errors(arguments, status, reason, run, trained, tmp_path):
    assert reason in " ".join(run("extract-features", *arguments, status=status).split())
    assert not (tmp_path / "f").exists()


@pytest.mark.parametrize("command", ["convert-imageset", "compute-image-mean", "extract-features"])
def test_help(command, run):
    assert "Usage:" in run(command, "--help")
    assert f"{command} " in run("--help")
