"""Writing files: whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from bicerin_proto import ProtoError, atomic_write, default_schema, read_net, write_binary, write_text
from bicerin_proto import writer as writing


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "net"
    path.write_bytes(b"old")

    def interrupted():
        with atomic_write(path) as file:
            file.write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with atomic_write(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_mode_and_links_are_kept(tmp_path):
    path, link = tmp_path / "net", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    with atomic_write(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_new_file_has_the_users_mode(tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    with atomic_write(tmp_path / "net") as file:
        file.write(b"new")
    assert (tmp_path / "net").stat().st_mode == plain.stat().st_mode


def test_a_missing_folder(tmp_path):
    with pytest.raises(ProtoError, match=r"none/net: cannot be written: No such file"):
        write_text(default_schema().NetParameter(), tmp_path / "none" / "net")


def test_a_kill_at_any_moment(tmp_path):
    path = tmp_path / "net"
    code = f"""
import itertools
from bicerin_proto import atomic_write
for number in itertools.count():
    with atomic_write({str(path)!r}) as file:
        for _ in range(64):
            file.write(bytes([number % 256]) * 1024)
"""
    for delay in (0.0, 0.003, 0.01, 0.02):
        process = subprocess.Popen([sys.executable, "-c", code])
        while not path.exists():
            time.sleep(0.001)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        data = path.read_bytes()
        assert len(data) == 64 * 1024
        assert len(set(data)) == 1


def test_text_reads_back(tmp_path):
    net = read_net('name: "ü\\"" layer { clip_param { min: -0.1 max: 1e-9 } loss_weight: 0.30000001 }').message
    write_text(net, tmp_path / "net.prototxt")
    assert read_net(tmp_path / "net.prototxt").message == net


def test_incomplete_and_too_large(tmp_path, monkeypatch):
    net = default_schema().NetParameter()
    net.layer.add().clip_param.min = 1
    with pytest.raises(ProtoError, match=r"not written, NetParameter lacks .*clip_param.max"):
        write_binary(net, tmp_path / "net")
    monkeypatch.setattr(writing, "MOST_BYTES", 3)
    with pytest.raises(ProtoError, match="at most 2 GiB; save weights of this size as HDF5"):
        write_binary(default_schema().NetParameter(name="long"), tmp_path / "net")
    assert list(tmp_path.iterdir()) == []


def test_a_pipe_is_written_to_and_stays(tmp_path):
    net, path = default_schema().NetParameter(name="n"), tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_binary(net, path)
        assert os.read(reader, 100) == net.SerializeToString()
    finally:
        os.close(reader)
    assert path.is_fifo() and [one.name for one in tmp_path.iterdir()] == ["pipe"]
