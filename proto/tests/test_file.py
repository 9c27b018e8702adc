"""Reading files, and paths that lead to none."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from bicerin_proto import (
    ProtoError,
    atomic_write,
    open_file,
    read_file,
    read_net,
    read_solver,
    read_text,
    read_weights,
    write_text,
)
from bicerin_proto import file as reading
from bicerin_proto.atomic import lock, remove_leftovers


def test_contents(tmp_path):
    for data in (b"", b"abc", bytes(3_000_000)):
        (tmp_path / "f").write_bytes(data)
        assert read_file(tmp_path / "f") == data
        assert read_file(str(tmp_path / "f"), most=len(data)) == data


def test_a_file_that_claims_to_be_empty():
    if not os.path.exists("/proc/self/status"):
        pytest.skip("no /proc here")
    assert read_file("/proc/self/status").startswith(b"Name:")


def test_a_pipe_is_read_to_its_end(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=[b'name: "piped"\n' + b"#" * 3_000_000])
    writer.start()
    assert read_net(path).message.name == "piped"
    writer.join()


@pytest.mark.parametrize("read", [read_file, read_net, read_solver, read_weights])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.prototxt", r"missing\.prototxt: no such file \(looked from .*\)"),
        ("folder", "folder: is a folder, expected a file"),
        ("a\0b", r"a\\x00b: cannot be the path of a file: embedded null byte"),
        ("\ud800", r"\\ud800: cannot be the path of a file: .*surrogates not allowed"),
        ("d/" * 3000, r"characters.*: cannot be read: File name too long"),
        ("x" * 5000, r"characters.*: cannot be read: File name too long"),
        ("folder/loop", "folder/loop: cannot be read: Too many levels of symbolic links"),
        ("file/inside", "file/inside: cannot be read: Not a directory"),
        ("/dev/zero", r"/dev/zero: is a device that does not end within \d+ bytes; expected a file"),
    ],
)
def test_paths_that_lead_to_no_file(tmp_path, monkeypatch, read, path, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    monkeypatch.setattr(reading, "_MOST_OF_DEVICE", 1 << 20)
    with pytest.raises(ProtoError, match=message) as error:
        read(path)
    assert len(str(error.value)) < 700


def test_text(tmp_path):
    (tmp_path / "f").write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9\n")
    assert read_text(tmp_path / "f") == "caf\xe9\n"
    (tmp_path / "f").write_bytes(b"caf\xe9\n")
    with pytest.raises(ProtoError, match="f: is not text: byte 3 is not UTF-8"):
        read_text(tmp_path / "f")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "missing: no such file"),
        ("folder", "folder: is a folder, expected a file"),
        ("pipe", "pipe: is a device or a pipe, expected a file"),
        ("/dev/zero", "/dev/zero: is a device or a pipe, expected a file"),
        ("a\0b", "embedded null byte"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_what_cannot_be_read_here_and_there(tmp_path, monkeypatch, path, message):
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    os.mkfifo("pipe")
    with pytest.raises(ProtoError, match=message):
        open_file(path)


def test_a_file_read_here_and_there(tmp_path):
    (tmp_path / "f").write_bytes(b"abcdef")
    with open_file(tmp_path / "f") as file:
        assert os.pread(file.fileno(), 2, 3) == b"de"


def test_permission(tmp_path, monkeypatch):
    def denied(*_: object) -> bytes:  # root may read everything
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "f").touch()
    monkeypatch.setattr(reading, "_contents", denied)
    with pytest.raises(ProtoError, match="f: cannot be read: Permission denied"):
        read_file(tmp_path / "f")


def test_a_working_folder_that_is_gone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkdir("gone")
    monkeypatch.chdir("gone")
    os.rmdir(tmp_path / "gone")
    with pytest.raises(ProtoError, match=r"net: no such file \(looked from a folder that is gone\)"):
        read_file("net")


def test_more_than_a_message_can_have(tmp_path):
    path = tmp_path / "huge"
    with open(path, "wb") as file:
        file.truncate(1 << 40)  # It has holes: nothing of it lies on the disk.
    for read in (read_file, read_net, read_weights):
        with pytest.raises(ProtoError, match="huge: has 1099511627776 bytes, expected at most 2147483647"):
            read(path)
    with pytest.raises(ProtoError, match="huge: has 1099511627776 bytes, expected at most 10"):
        read_file(path, most=10)


def test_memory_ends(tmp_path, monkeypatch):
    def no_memory(*_: object) -> bytes:
        raise MemoryError

    (tmp_path / "f").touch()
    monkeypatch.setattr(reading, "_contents", no_memory)
    with pytest.raises(ProtoError, match="f: does not fit into memory"):
        read_file(tmp_path / "f")


@pytest.mark.parametrize("path", ["a\0b", "\ud800", "d/" * 3000, "x" * 5000, "/", "missing/x"])
def test_paths_that_nothing_can_be_written_to(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ProtoError, match="cannot be") as error:
        write_text(read_net("name: 'n'").message, path)
    assert len(str(error.value)) < 700
    with pytest.raises(ProtoError), atomic_write(path) as file:
        file.write(b"x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("prefix", ["d/" * 3000, r"a\000b"])
def test_a_snapshot_prefix_of_no_path(tmp_path, prefix):
    """That nothing can be written there is for who writes to say."""
    path = tmp_path / "solver.prototxt"
    path.write_text(f'snapshot_prefix: "{prefix}"')
    assert read_solver(path).message.snapshot_prefix == prefix.replace(r"\000", "\0")


def leftovers(folder, *names):
    for name in names:
        (folder / name).write_bytes(b"half")
    return names


def test_what_killed_writers_left(tmp_path):
    gone, alive = 2**22 + 1, os.getpid()  # no system numbers its processes so high
    dead = leftovers(
        tmp_path, f".s_iter_1.caffemodel.{gone}.0123abcd.tmp", f".s_iter_2.solverstate.{gone}.0123abcd.tmp"
    )
    kept = leftovers(
        tmp_path,
        f".s_iter_1.caffemodel.{alive}.0123abcd.tmp",
        f".other_iter_1.caffemodel.{gone}.0123abcd.tmp",
        f"s_iter_1.caffemodel.{gone}.0123abcd.tmp",
        f".s_iter_1.caffemodel.{gone}.tmp",
        ".s_iter_1.caffemodel.tmp",
        "s_iter_1.caffemodel",
    )
    locked = tmp_path / f".s_iter_3.caffemodel.{gone}.0123abcd.tmp"
    with locked.open("wb") as file:  # as by a process of another machine, whose number says nothing here
        assert lock(file)
        assert sorted(path.name for path in remove_leftovers(tmp_path, "s_iter_")) == sorted(dead)
        assert sorted(os.listdir(tmp_path)) == sorted([*kept, locked.name])
    assert remove_leftovers(tmp_path, "s_iter_") == [locked]
    folder = tmp_path / f".store.{gone}.0123abcd.tmp"
    (folder / "within").mkdir(parents=True)
    assert remove_leftovers(tmp_path, "store") == remove_leftovers(tmp_path, "stor", whole=True) == []
    assert remove_leftovers(tmp_path, "store", whole=True) == [folder] and not folder.exists()
    assert remove_leftovers(tmp_path / "missing", "s_iter_") == []


def test_who_writes_holds_a_lock(tmp_path):
    with atomic_write(tmp_path / "f") as file, open(file.name, "rb+") as other:
        assert not lock(other)
