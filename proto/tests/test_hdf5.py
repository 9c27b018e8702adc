"""HDF5 files that are damaged, or hold something other than numbers."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bicerin_proto import Hdf5Reader, MissingFileError, ProtoError, is_hdf5
from bicerin_proto import hdf5 as reading

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "f.h5"
    with h5py.File(path, "w") as made:
        made["numbers"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        made["group/inner"] = np.arange(3)
        made["truth"] = np.array([True, False])
        made["complex"] = np.zeros(3, np.complex64)
        made["text"] = "words"
        made["letters"] = np.array([b"1", b"2"])
        made["records"] = np.zeros(3, [("a", "i4")])
        made["nothing"] = h5py.Empty("f4")
        made["none"] = np.zeros(0)
        made["nan"] = np.array([np.nan])
        made["away"] = h5py.SoftLink("/nowhere")
        made["loop"] = h5py.SoftLink("/loop")
        made["elsewhere"] = h5py.ExternalLink("missing.h5", "/x")
        made.create_dataset("huge", (2**40, 2**10), "f8", chunks=(1, 2**10))
    return path


def test_what_is_there(file: Path) -> None:
    with Hdf5Reader(file) as found:
        assert found.read("numbers").tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found.read("truth").tolist() == [True, False]
        assert found.numbers("numbers").shape == (2, 3)
        assert found.names("group") == ["inner"]
        assert found.names("missing") == []
        assert found.is_group("group") and not found.is_group("numbers") and not found.is_group("missing")
        assert found.number("group/inner") == 0
        assert found.text("text") == b"words"
        assert found.text("missing") is None


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing", 'there is no dataset "missing"; there is: away, complex, elsewhere, group, huge, letters'),
        ("group/missing", 'there is no dataset "group/missing"; there is: inner'),
        ("group", '"group" is a group, expected a dataset'),
        ("complex", 'dataset "complex" holds complex64, which are not real numbers'),
        ("text", 'dataset "text" holds object, which are not real numbers'),
        ("letters", r'dataset "letters" holds \|S1, which are not real numbers'),
        ("records", 'dataset "records" holds .*, which are not real numbers'),
        ("nothing", 'dataset "nothing" is empty, without a shape'),
        ("away", 'there is no dataset "away"'),
        ("loop", '"loop" cannot be read, the HDF5 file is damaged: .*too many links'),
        ("huge", r'"huge" has the shape \(1099511627776, 1024\), 9007199254740992 bytes; this machine has'),
    ],
)
def test_what_is_no_array_of_numbers(file: Path, name: str, reason: str) -> None:
    with Hdf5Reader(file) as found, pytest.raises(ProtoError, match=rf"f\.h5: .*{reason}"):
        found.read(name)


@pytest.mark.parametrize("name", ["none", "nan"])
def test_no_number(file: Path, name: str) -> None:
    with Hdf5Reader(file) as found, pytest.raises(ProtoError, match=f'dataset "{name}" holds no number'):
        found.number(name)


def test_no_text(file: Path) -> None:
    with Hdf5Reader(file) as found, pytest.raises(ProtoError, match='dataset "numbers" is not a text'):
        found.text("numbers")


def zeros(start: int, stop: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:start] + bytes(stop - start) + data[stop:]


@pytest.mark.parametrize("damage", [zeros(*span) for span in ((8, 40), (40, 96), (96, 700), (500, 3000))])
def test_damage(file: Path, damage: Callable[[bytes], bytes]) -> None:
    """Whatever h5py raises, it becomes one error that names the file; what can be read is right."""
    file.write_bytes(damage(file.read_bytes()))
    error = ""
    try:
        with Hdf5Reader(file) as found:
            for name in ("numbers", "group/inner"):
                found.read(name)
    except ProtoError as raised:
        error = str(raised)
    assert not error or "f.h5" in error


@pytest.mark.parametrize("size", [1, 8, 100, 1000])
def test_truncated(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])
    assert is_hdf5(file) == (size >= 8)
    with pytest.raises(ProtoError, match=r"f\.h5 cannot be read, the HDF5 file is damaged"):
        Hdf5Reader(file)


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="absent: no such file"):
        Hdf5Reader(tmp_path / "absent")
    for path, reason in ((tmp_path, "is a folder"), ("/dev/zero", "is a device"), ("a\0b", "embedded null byte")):
        assert not is_hdf5(path)
        with pytest.raises(ProtoError, match=reason):
            Hdf5Reader(path)


def test_memory_that_ends(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hdf5Reader(file) as found:
        monkeypatch.setattr(reading, "machine_memory", lambda: 20)
        with pytest.raises(ProtoError, match=r'"numbers" has the shape \(2, 3\), 24 bytes; this machine has 20'):
            found.read("numbers")

        def ends() -> Any:
            raise MemoryError

        with pytest.raises(ProtoError, match='dataset "numbers" does not fit into memory'), found.faults("numbers"):
            ends()


def test_without_h5py(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ProtoError, match="pip install h5py"):
        Hdf5Reader(file)
