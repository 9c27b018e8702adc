"""LMDB and LevelDB, written and read."""

import os
import shutil
import signal
import subprocess
import sys

import lmdb
import numpy as np
import pytest

from bicerin.errors import DataError
from bicerin_data.stores import create_store, open_store

both = pytest.mark.parametrize("backend", ["lmdb", "leveldb"])


def write(path, backend, records):
    with create_store(path, backend) as writer:
        for key, value in records:
            writer.put(key, value)


@both
@pytest.mark.parametrize("number", [0, 1, 2500])
def test_what_is_written_is_read_in_the_order_of_keys(backend, number, tmp_path):
    records = [(b"%05d" % index, b"value %d" % index) for index in range(number)]
    write(tmp_path / "s", backend, reversed(records))
    assert list(open_store(tmp_path / "s", backend).records()) == records
    assert os.listdir(tmp_path) == ["s"]


@both
@pytest.mark.parametrize(("after", "first"), [(b"b", b"c"), (b"bb", b"c"), (b"", b"a"), (b"c", None), (b"z", None)])
def test_records_after_a_key(backend, after, first, tmp_path):
    write(tmp_path / "s", backend, [(key, b"1") for key in (b"a", b"b", b"c")])
    found = open_store(tmp_path / "s", backend).records(after or None)
    assert next((key for key, _ in found), None) == first


@both
def test_more_than_the_first_map_holds(backend, tmp_path, monkeypatch):
    from bicerin_data.stores import lmdb_store

    monkeypatch.setattr(lmdb_store, "_FIRST_MAP", 1 << 16)
    value = os.urandom(1 << 16)
    write(tmp_path / "s", backend, [(b"%d" % index, value) for index in range(8)])
    assert [found for _, found in open_store(tmp_path / "s", backend).records()] == [value] * 8


@both
def test_readers_see_the_libraries_own_stores(backend, tmp_path):
    if backend == "lmdb":
        with lmdb.open(str(tmp_path / "s")) as environment, environment.begin(write=True) as transaction:
            transaction.put(b"a", b"1")
    else:
        import plyvel

        store = plyvel.DB(str(tmp_path / "s"), create_if_missing=True)
        store.put(b"a", b"1")
        store.close()
    assert list(open_store(tmp_path / "s", backend).records()) == [(b"a", b"1")]


@both
def test_several_readers_and_no_trace_of_them(backend, tmp_path):
    write(tmp_path / "s", backend, [(b"a", b"1"), (b"b", b"2")])
    before = {file.name: file.read_bytes() for file in (tmp_path / "s").iterdir()}
    first, second = open_store(tmp_path / "s", backend), open_store(tmp_path / "s", backend)
    one, two = first.records(), second.records()
    assert next(one) == next(two) == (b"a", b"1")
    assert next(one) == next(two) == (b"b", b"2")
    assert {file.name: file.read_bytes() for file in (tmp_path / "s").iterdir()} == before


@pytest.mark.parametrize("size", [10, 300, 5000])
@pytest.mark.parametrize("number", [1, 7, 3000])
def test_lmdb_of_any_depth(size, number, tmp_path):
    """Small values stand in the leaves, large ones in pages of their own; thousands need several levels."""
    records = [(b"%05d" % index, b"%05d" % index * (size // 5)) for index in range(number)]
    write(tmp_path / "s", "lmdb", records)
    store = open_store(tmp_path / "s", "lmdb")
    assert list(store.records()) == records
    for begin in {0, number // 2, number - 1}:
        assert list(store.records(records[begin][0])) == records[begin + 1 :]


def test_lmdb_with_removed_records(tmp_path):
    with lmdb.open(str(tmp_path / "s"), map_size=1 << 24) as environment:
        for step in (1, 3, 2):
            with environment.begin(write=True) as transaction:
                for index in range(0, 2000, step):
                    (transaction.put if step != 3 else transaction.delete)(b"%05d" % index, b"x" * 50)
    found = [int(key) for key, _ in open_store(tmp_path / "s", "lmdb").records()]
    assert found == [index for index in range(2000) if index % 3 or index % 2 == 0]


@both
@pytest.mark.parametrize("seed", range(12))
def test_damage_is_an_error_and_not_the_end_of_the_process(backend, seed, tmp_path):
    """Any page may be garbage or zeros: what is read is right, or a DataError says that it is not."""
    random = np.random.default_rng(seed)
    records = [(b"%08d" % index, bytes(random.integers(0, 256, 800, dtype=np.uint8))) for index in range(300)]
    write(tmp_path / "s", backend, records)
    file = max((tmp_path / "s").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    page = int(random.integers(2, len(content) // 4096)) * 4096
    content[page : page + 4096] = bytes(4096) if seed % 3 == 0 else bytes(random.integers(0, 256, 4096, dtype=np.uint8))
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"is damaged|cannot be opened"):
        list(open_store(tmp_path / "s", backend).records())


@both
def test_nothing_is_left_of_a_store_that_fails(backend, tmp_path):
    def fail():
        with create_store(tmp_path / "s", backend) as writer:
            writer.put(b"a", b"1")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert os.listdir(tmp_path) == []


@both
def test_a_kill_leaves_no_store_of_that_name(backend, tmp_path):
    program = (
        "import os, signal, pathlib\n"
        "from bicerin_data.stores import create_store\n"
        f"with create_store(pathlib.Path({str(tmp_path / 's')!r}), {backend!r}) as writer:\n"
        "    for index in range(5000): writer.put(b'%05d' % index, b'x' * 100)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert not (tmp_path / "s").exists()


@both
def test_an_existing_store_is_not_overwritten(backend, tmp_path):
    write(tmp_path / "s", backend, [(b"a", b"1")])
    with pytest.raises(DataError, match="exists already"):
        write(tmp_path / "s", backend, [])


@both
def test_a_folder_that_is_missing(backend, tmp_path):
    with pytest.raises(DataError, match="cannot be written: No such file"):
        write(tmp_path / "missing" / "s", backend, [])


def test_a_key_that_lmdb_cannot_hold(tmp_path):
    with pytest.raises(DataError, match=r"cannot be written: .*MDB_BAD_VALSIZE"):
        write(tmp_path / "s", "lmdb", [(b"k" * 600, b"1")])
    assert os.listdir(tmp_path) == []


def test_an_unknown_backend(tmp_path):
    with pytest.raises(DataError, match="unknown backend 'rocksdb'"):
        write(tmp_path / "s", "rocksdb", [])


@both
def test_how_a_record_is_named(backend, tmp_path):
    write(tmp_path / "s", backend, [(b"a", b"1")])
    store = open_store(tmp_path / "s", backend)
    assert store.record_name(b"00_a b.png") == f'source {tmp_path}/s, record "00_a b.png"'
    assert store.record_name(b"\xff\x00") == f"source {tmp_path}/s, record 0xff00"


@pytest.mark.parametrize("module", ["cv2", "plyvel"])
def test_what_to_install(module, tmp_path, monkeypatch):
    from bicerin_data import image
    from bicerin_data.stores import leveldb_store

    importer, hint = {
        "cv2": (image.opencv.__wrapped__, "pip install opencv-python-headless"),
        "plyvel": (leveldb_store.plyvel, "pip install plyvel"),
    }[module]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=hint):
        importer()


def test_a_store_that_is_made_anew_is_read_anew(records):
    """While a reader of the old one lives."""
    folder = records.store([np.full((1, 2, 2), 1, np.uint8)])
    first = open_store(folder, "lmdb")
    before = list(first.records())
    shutil.rmtree(folder)
    records.store([np.full((1, 2, 2), 2, np.uint8)] * 3)
    second = open_store(folder, "lmdb")
    assert len(list(second.records())) == 3
    assert list(first.records()) == before


def test_a_store_that_the_program_has_open(records):
    """py-lmdb opens a file once in a process; a net reads beside it, whoever came first."""
    folder = records.store([np.zeros((1, 2, 2), np.uint8)])
    with lmdb.open(str(folder)):
        assert len(list(open_store(folder, "lmdb").records())) == 1
    store = open_store(folder, "lmdb")
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        assert list(store.records()) == list(transaction.cursor())


@pytest.mark.parametrize("size", [60, 6000])
def test_a_store_that_is_written_while_it_is_read(size, tmp_path):
    """Pages are used again two transactions later; whoever reads on goes on in the newest state."""
    old = {b"%05d" % index: b"old" * (size // 3) for index in range(300)}
    new = {b"%05d+" % index: b"new" * (size // 3) for index in range(0, 300, 2)}
    with lmdb.open(str(tmp_path / "s"), map_size=1 << 26, sync=False) as environment:

        def put(key, value):
            with environment.begin(write=True) as transaction:
                transaction.put(key, value)

        for key, value in old.items():
            put(key, value)
        found = []
        for key, value in open_store(tmp_path / "s", "lmdb").records():
            found.append(key)
            assert value == old.get(key) or value == new.get(key)
            if key in old:  # what was read is written once more, and every other time a record comes after it
                put(key, b"again" * (size // 5))
                if key + b"+" in new:
                    put(key + b"+", new[key + b"+"])
    assert found == sorted(set(found))
    assert [key for key in found if key in old] == sorted(old)


def test_a_store_without_its_last_pages_is_whole_where_they_are_free(tmp_path):
    """As a transaction leaves it that deletes what it has put: the library does not write such pages."""
    with lmdb.open(str(tmp_path / "s"), map_size=1 << 26) as environment:
        for change in (lmdb.Transaction.put, lambda transaction, key, _: transaction.delete(key)):
            with environment.begin(write=True) as transaction:
                for key in range(300):
                    change(transaction, b"%05d" % key, bytes(9000))
    os.truncate(tmp_path / "s" / "data.mdb", 10 * 4096)
    assert list(open_store(tmp_path / "s", "lmdb").records()) == []
    write(tmp_path / "t", "lmdb", [(b"%05d" % key, bytes(9000)) for key in range(300)])
    os.truncate(tmp_path / "t" / "data.mdb", 10 * 4096)
    with pytest.raises(DataError, match="truncated"):
        open_store(tmp_path / "t", "lmdb")


def test_a_store_that_is_truncated_while_it_is_read(tmp_path):
    """The library would end the process with a bus error."""
    records = [(b"%05d" % index, b"x" * 1000) for index in range(500)]
    write(tmp_path / "s", "lmdb", records)
    reading = open_store(tmp_path / "s", "lmdb").records()
    assert [next(reading) for _ in range(20)] == records[:20]
    os.truncate(tmp_path / "s" / "data.mdb", 10 * 4096)
    with pytest.raises(DataError, match=r"s is damaged: page \d+ is missing: the file was truncated"):
        list(reading)


@pytest.mark.parametrize("size", [900, 5000])
def test_a_training_whose_store_is_truncated_saves_what_it_has_learned(size, records, tmp_path, monkeypatch):
    """And a resumed run goes on as one that never stopped."""
    bicerin = pytest.importorskip("bicerin")
    pytest.importorskip("bicerin_inner_product")
    pytest.importorskip("bicerin_loss")
    monkeypatch.chdir(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 1, size), np.uint8)
    store = records.store(images)
    shutil.copytree(store, "whole")
    (tmp_path / "net.prototxt").write_text(
        'layer { name: "d" type: "Data" top: "x" top: "t" data_param { source: "store" batch_size: 2 backend: LMDB '
        'prefetch: 1 } transform_param { scale: 0.001 } } layer { name: "p" type: "InnerProduct" bottom: "x" top: "y" '
        "inner_product_param { num_output: 1 } } "
        'layer { name: "l" type: "EuclideanLoss" bottom: "y" bottom: "t" top: "l" }'
    )
    text = 'net: "net.prototxt" base_lr: 0.001 lr_policy: "fixed" max_iter: 100 snapshot_prefix: "s" random_seed: 1'
    solver = bicerin.Solver(text)
    solver.add_callback(
        lambda: None, lambda: os.truncate(store / "data.mdb", 4 * 4096) if solver.iteration == 3 else None
    )
    with pytest.raises(DataError, match="the file was truncated"):
        solver.solve()
    assert 3 < solver.iteration < 60
    assert sorted(os.listdir()) == sorted(
        ["net.prototxt", "store", "whole", ".s.running"]
        + [f"s_iter_{solver.iteration}.{kind}" for kind in ("caffemodel", "solverstate")]
    )
    shutil.rmtree(store)
    os.rename("whole", store)
    whole, resumed = bicerin.Solver(text), bicerin.Solver(text)
    whole.step(solver.iteration + 2)
    resumed.restore(f"s_iter_{solver.iteration}.solverstate")
    resumed.step(2)
    assert np.array_equal(whole.net.params["p"][0].data, resumed.net.params["p"][0].data)


def test_a_store_that_is_removed_while_it_is_read(tmp_path):
    records = [(b"%05d" % index, b"x" * 1000) for index in range(50)]
    write(tmp_path / "s", "lmdb", records)
    store = open_store(tmp_path / "s", "lmdb")
    shutil.rmtree(tmp_path / "s")
    assert list(store.records()) == records == list(store.records())


def test_a_store_whose_keys_are_of_another_kind(tmp_path):
    """The library sorts them otherwise than bytes, as the flags of its main database say."""
    write(tmp_path / "s", "lmdb", [(b"a", b"1")])
    with open(tmp_path / "s" / "data.mdb", "r+b") as file:
        for meta in (0, 4096):
            file.seek(meta + 16 + 24 + 48 + 4)
            file.write(b"\x02\0")  # reversed keys
    with pytest.raises(DataError, match="cannot be opened as LMDB: its keys are not plain bytes in their order"):
        open_store(tmp_path / "s", "lmdb")


def test_a_store_of_named_databases(tmp_path):
    with lmdb.open(str(tmp_path / "s"), max_dbs=1) as environment:
        inner = environment.open_db(b"inner")
        with environment.begin(write=True, db=inner) as transaction:
            transaction.put(b"a", b"1")
    with pytest.raises(DataError, match="holds a nested database"):
        list(open_store(tmp_path / "s", "lmdb").records())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b", r"a\\x00b cannot be a store: embedded null byte"),
        ("x" * 5000, "cannot be a store: File name too long"),
        ("\ud800", r"\\ud800 cannot be a store: .*surrogates not allowed"),
        ("/dev/zero", "/dev/zero: is a device or a pipe, expected a file"),
        ("pipe", "pipe: is a device or a pipe, expected a file"),
        ("inside", "data.mdb: is a folder, expected a file"),
    ],
)
def test_paths_that_lead_to_no_store(name, message, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "inside" / "data.mdb").mkdir(parents=True)
    with pytest.raises(DataError, match=message):
        open_store(tmp_path / name, "lmdb")
    with pytest.raises(DataError, match=r"cannot be written|exists already"):
        write(tmp_path / name, "lmdb", [])


def test_values_that_follow_each_other_are_read_together(tmp_path, monkeypatch):
    """And a writer's new state is seen by the next pass over the records, as is what became of the file."""
    records = [(b"%05d" % index, bytes([index % 251]) * 5000) for index in range(200)]
    write(tmp_path / "s", "lmdb", records)
    store = open_store(tmp_path / "s", "lmdb")
    reads = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *args: reads.append(args) or pread(*args))
    assert list(store.records()) == records
    assert len(reads) < len(records) / 4
    few = [(b"%05d" % index, bytes([index]) * 5000) for index in range(3)]
    path = tmp_path / "few"
    write(path, "lmdb", few)
    store = open_store(path, "lmdb")
    assert list(store.records()) == few
    environment = lmdb.open(str(path), lock=False)
    with environment, environment.begin(write=True) as transaction:
        transaction.put(b"00001", b"new" * 2000)
    assert list(store.records()) == [few[0], (b"00001", b"new" * 2000), few[2]]
    os.truncate(path / "data.mdb", 3 * 4096)
    with pytest.raises(DataError, match="truncated"):
        list(store.records())
