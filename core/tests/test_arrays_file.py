"""Files of arrays are read, or refused in a sentence."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest

from bicerin.errors import DataError
from bicerin.net.arrays_file import read_arrays


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "arrays.npz"


def test_arrays_by_their_names(path: Path) -> None:
    np.savez(path, x=np.arange(6.0).reshape(2, 3), label=np.int64(3))
    found = read_arrays(path)
    assert set(found) == {"x", "label"} and found["x"].shape == (2, 3) and found["label"] == 3


def test_no_file(path: Path) -> None:
    with pytest.raises(DataError, match=r"arrays.npz: cannot be read: No such file"):
        read_arrays(path)
    path.mkdir()
    with pytest.raises(DataError, match=r"arrays.npz: cannot be read: Is a directory"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"name: 'net'", b"\x93NUMPY\x01\x00", b"PK\x03\x04 and no more"])
def test_another_file(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"is not an .npz of arrays; numpy.savez writes one"):
        read_arrays(path)


def test_objects_are_not_unpickled(path: Path) -> None:
    np.savez(path, x=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="holds Python objects, not numbers") as caught:
        read_arrays(path)
    assert "allow_pickle" not in str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_is_said_or_read(path: Path, compressed: bool) -> None:
    (np.savez_compressed if compressed else np.savez)(path, x=np.arange(100.0), y=np.ones(7))
    whole = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(100):
        content = bytearray(whole)
        for place in random.integers(0, len(whole), 3):
            content[place] ^= int(random.integers(1, 256))
        path.write_bytes(bytes(content))
        with contextlib.suppress(DataError):
            read_arrays(path)
