"""Weights: those of a file into a net, and back."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from small_net import INPUT, affine, net, square

import bicerin
from bicerin.errors import DecodeError, WeightsError
from bicerin.net.weights import check_hdf5_names


@pytest.fixture(autouse=True)
def _layers(provided) -> None:
    """Every test here uses the layers of conftest."""


class TestWeights:
    @pytest.fixture
    def trained(self) -> bicerin.Net:
        built = net(INPUT, affine("a", "data"), affine("b/c", "a", "b"))
        for index, blobs in enumerate(built.params.values()):
            for blob in blobs:
                blob.data[...] = np.arange(3) + index
                blob.diff[...] = 1
        return built

    @pytest.mark.parametrize("name", ["net.caffemodel", "net.caffemodel.h5"])
    def test_there_and_back(self, trained: bicerin.Net, tmp_path: Path, name: str) -> None:
        path = trained.save(tmp_path / name, write_diff=True)
        fresh = net(INPUT, affine("a", "data"), affine("b/c", "a", "b"), affine("d", "b"))
        report = fresh.load_weights(path)
        assert report.copied == ["a", "b/c"]
        assert report.missing == ["d"]
        assert not report.unused
        for layer in ("a", "b/c"):
            for mine, theirs in zip(fresh.params[layer], trained.params[layer], strict=True):
                assert np.array_equal(mine.data, theirs.data)
        assert not [file.name for file in tmp_path.iterdir() if file.name != name]

    @pytest.mark.parametrize("name", ["net.caffemodel", "net.caffemodel.h5"])
    def test_what_does_not_fit(self, trained: bicerin.Net, tmp_path: Path, name: str) -> None:
        path = trained.save(tmp_path / name)
        wide = 'layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 4 dim: 5 } } }\n'
        other = net(wide, affine("a", "data"), affine("z", "a"))
        with pytest.raises(
            WeightsError,
            match=r"layer 'a'; shape mismatch\. Source param shape is \(3,\); target param shape is \(5,\)",
        ):
            other.load_weights(path)
        assert (other.params["a"][0].data == 2).all()
        report = other.load_weights(path, ignore_mismatched=True)
        assert (report.copied, report.missing, report.mismatched, report.unused) == ([], ["z"], ["a"], ["b/c"])
        assert "mismatched: a" in str(report)

    def test_weights_of_another_net(
        self, trained: bicerin.Net, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        path = trained.save(tmp_path / "net.caffemodel")
        trained.load_weights(path)
        net(INPUT, affine("p", "data"), affine("a", "p")).load_weights(path)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        with pytest.raises(WeightsError, match=r"no layer of the net takes weights.*file: a, b/c; in the net: p, q"):
            net(INPUT, affine("p", "data"), affine("q", "p")).load_weights(path)

    def test_a_file_without_weights_is_an_error(self, trained: bicerin.Net, tmp_path: Path) -> None:
        (tmp_path / "net.prototxt").write_text(INPUT + affine("a", "data"))
        with pytest.raises(bicerin.BicerinError, match=r"net\.prototxt"):
            trained.load_weights(tmp_path / "net.prototxt")

    def test_a_blob_that_is_short_changes_nothing(self, trained: bicerin.Net, tmp_path: Path) -> None:
        message = trained.to_proto()
        del message.layer[-1].blobs[-1].data[-1]
        before = [blob.data.copy() for blob in trained.learnable_params]
        for blob in trained.learnable_params:
            blob.data[...] += 1
        with pytest.raises(bicerin.BicerinError):
            trained.load_weights(message.SerializeToString())
        for blob, values in zip(trained.learnable_params, before, strict=True):
            assert (blob.data == values + 1).all()

    def test_layers_of_one_name_are_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        net(INPUT, affine("a", "data", top="x"), affine("a", "x", top="y"))
        assert "is used by 2 layers with weights" in caplog.text

    @pytest.mark.parametrize(
        "names",
        [
            ("/conv1",),
            ("fc", "fc/0"),
            ("fc/0/1", "fc"),
            ("a/b/1/c", "a/b"),
            ("fc", "fc"),
            ("a//b",),
            ("./a",),
            ("a/",),
            ("",),
        ],
    )
    def test_names_that_hdf5_takes_for_paths(self, names: tuple[str, ...]) -> None:
        with pytest.raises(WeightsError, match="HDF5"):
            check_hdf5_names(names)
        check_hdf5_names(("conv1", "conv1/bn", "a/b"))

    def test_a_layer_that_has_no_weights_here_takes_none(self, trained: bicerin.Net, tmp_path: Path) -> None:
        path = trained.save(tmp_path / "net.caffemodel")
        other = net(INPUT, square("a", "data"), affine("b/c", "a"))
        with pytest.raises(WeightsError, match=r"number of blobs for layer a: the file has 2, the net's layer 0\."):
            other.load_weights(path)
        assert other.load_weights(path, ignore_mismatched=True).mismatched == ["a"]

    def test_layers_of_one_name_are_not_saved_as_hdf5(self, tmp_path: Path) -> None:
        twins = net(INPUT, affine("a", "data", top="x"), affine("a", "x", top="y"))
        with pytest.raises(WeightsError, match='two layers with the name "a" cannot both be stored as HDF5'):
            twins.save(tmp_path / "w.h5")
        assert not list(tmp_path.iterdir())

    def test_a_layer_of_the_test_net_alone_follows_its_shared_parameter(self) -> None:
        named = 'param { name: "w" } param { name: "b" }'
        train = net(INPUT, affine("a", "data", more=named))
        test = net(INPUT, affine("a2", "data", more=named), affine("a", "a2", more=named))
        alone = net(INPUT, affine("other", "data", more=named))
        train.params["a"][0].data[...] = [4, 5, 6]
        for built in (test, alone):
            built.share_trained_layers_with(train)
            assert all((blobs[0].data == [4, 5, 6]).all() for blobs in built.params.values())

    def test_shared_blobs_are_written_once_to_hdf5(self, tmp_path: Path) -> None:
        import h5py

        named = 'param { name: "w" } param { name: "b" }'
        built = net(INPUT, affine("a", "data", more=named), affine("b", "a", more=named))
        built.params["a"][0].data[...] = [4, 5, 6]
        path = built.save(tmp_path / "shared.h5")
        with h5py.File(path) as file:
            assert sorted(file["data/a"]) == ["0", "1"]
            assert sorted(file["data/b"]) == []
        fresh = net(INPUT, affine("a", "data", more=named), affine("b", "a", more=named), weights=path)
        assert list(fresh.params["b"][0].data) == [4, 5, 6]

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            (np.zeros(3, np.complex64), 'dataset "data/b/c/0" holds complex64, which are not real numbers'),
            (np.full(3, b"1"), r'dataset "data/b/c/0" holds \|S1, which are not real numbers'),
            (np.zeros(3, [("a", "i4")]), 'dataset "data/b/c/0" holds .*, which are not real numbers'),
            (None, "Incompatible number of blobs for layer b/c: blob 0 is missing"),
            (np.zeros((3, 2)), r"shape mismatch. Source param shape is \(3, 2\)"),
        ],
    )
    def test_hdf5_that_holds_something_else(
        self, trained: bicerin.Net, tmp_path: Path, value: np.ndarray | None, reason: str
    ) -> None:
        h5py = pytest.importorskip("h5py")
        path = trained.save(tmp_path / "w.h5")
        with h5py.File(path, "r+") as file:
            del file["data/b/c/0"]
            if value is not None:
                file["data/b/c/0"] = value
        fresh = net(INPUT, affine("a", "data"), affine("b/c", "a", "b"))
        before = [blob.data.copy() for blobs in fresh.params.values() for blob in blobs]
        with pytest.raises(WeightsError, match=reason) as error:
            fresh.load_weights(path)
        assert str(error.value).count("w.h5") == 1
        after = [blob.data for blobs in fresh.params.values() for blob in blobs]
        assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))

    @pytest.mark.parametrize(("name", "hdf5"), [("any.name", True), ("net.h5", False)])
    def test_the_format_may_be_told(self, trained: bicerin.Net, tmp_path: Path, name: str, hdf5: bool) -> None:
        path = trained.save(tmp_path / name, hdf5=hdf5)
        assert path.read_bytes().startswith(b"\x89HDF") == hdf5
        assert trained.load_weights(path).copied

    def test_a_truncated_file_changes_nothing(self, trained: bicerin.Net, tmp_path: Path) -> None:
        path = trained.save(tmp_path / "net.caffemodel")
        path.write_bytes(path.read_bytes()[:-5])
        fresh = net(INPUT, affine("a", "data"))
        with pytest.raises(DecodeError, match=r"net\.caffemodel"):
            fresh.load_weights(path)
        assert (fresh.params["a"][0].data == 2).all()

    def test_weights_in_the_constructor(self, trained: bicerin.Net, tmp_path: Path) -> None:
        path = trained.save(tmp_path / "net.caffemodel")
        assert list(net(INPUT, affine("a", "data"), weights=str(path)).params["a"][0].data) == [0, 1, 2]
        assert list(net(INPUT, affine("a", "data"), weights=[path]).params["a"][0].data) == [0, 1, 2]
