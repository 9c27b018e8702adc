"""Records decoded in several threads: order, randomness, errors and resuming are as with one."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import weakref

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bicerin_proto
from bicerin.errors import DataError, LayerError
from bicerin_data import decoding_threads
from bicerin_data.datum import array_datum, datum_array, parse_datum, read_datum
from bicerin_data.image import encode_image
from bicerin_data.stores import create_store

BAD = (4, 5, 11)


@pytest.fixture
def threads(monkeypatch):
    """Sets the number of threads, for the layers that are made from then on."""
    pools = []

    def use(number):
        monkeypatch.setenv("BICERIN_NUM_THREADS", str(number))
        pools.append(decoding_threads._Threads())
        monkeypatch.setattr(decoding_threads, "_threads", pools[-1])

    yield use
    for pool in pools:
        pool.end()


@pytest.fixture
def folder(tmp_path, random):
    """A store of encoded images of several sizes, some of them garbage; the same as files, with a list and windows."""
    lines, windows = [], []
    with create_store(tmp_path / "store", "lmdb") as writer:
        for index in range(17):
            image = random.integers(0, 256, (3, 8 + index % 3, 9), dtype=np.uint8)
            data = encode_image(image, "png")
            if index in BAD:
                data = b"no image"
            datum = bicerin_proto.Datum(channels=3, height=8, width=9, data=data, label=index, encoded=True)
            writer.put(b"%08d" % index, datum.SerializeToString())
            (tmp_path / f"{index}.png").write_bytes(data)
            lines.append(f"{index}.png {index}\n")
            windows.append(f"# {index}\n{index}.png\n3\n8\n9\n2\n{1 + index} 0.9 1 1 6 7\n0 0.1 0 2 5 6\n")
    (tmp_path / "list").write_text("".join(lines))
    (tmp_path / "windows").write_text("".join(windows))
    return tmp_path


LAYERS = {
    "Data": 'data_param {{ source: "store" backend: LMDB batch_size: 5 rand_skip: 3 prefetch: {prefetch} }}',
    "ImageData": 'image_data_param {{ source: "list" batch_size: 5 shuffle: true rand_skip: 3 }}'
    " data_param {{ prefetch: {prefetch} }}",
    "WindowData": 'window_data_param {{ source: "windows" batch_size: 5 fg_fraction: 0.4 }}'
    " data_param {{ prefetch: {prefetch} }}",
}


def layer_text(kind, prefetch=0):
    return (
        f'name: "d" type: "{kind}" top: "data" top: "label" {LAYERS[kind].format(prefetch=prefetch)} '
        "transform_param { crop_size: 7 mirror: true mean_value: 100 scale: 0.5 }"
    )


@pytest.mark.parametrize("kind", LAYERS)
def test_batches_do_not_depend_on_the_number_of_threads(kind, folder, threads, make_layer, batches, caplog):
    def found(number, prefetch):
        threads(number)
        caplog.clear()
        run = make_layer(layer_text(kind, prefetch), phase="TRAIN", seed=4, skip_bad_records=True)
        got = batches(run, 12)
        run.layer.close()
        messages = [record.message for record in caplog.records][: 2 * len(BAD)]  # more is said of what was read ahead
        return got, json.dumps(run.layer.state()), messages

    with caplog.at_level(logging.WARNING, "bicerin.data"):
        expected, state, messages = found(1, 0)
        assert any("skipped a bad record" in message for message in messages)
        for number, prefetch in ((2, 0), (5, 0), (1, 3), (3, 1), (4, 3)):
            got, its_state, its_messages = found(number, prefetch)
            assert its_state == state
            assert its_messages == messages
            for one, other in zip(expected, got, strict=True):
                assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_what_is_drawn_for_a_batch_does_not_depend_on_bad_records(folder, threads, make_layer, batches):
    """Each batch is what its generator makes of the images that are good, in their order."""
    threads(4)
    run = make_layer(layer_text("Data", 2).replace("rand_skip: 3", ""), phase="TRAIN", skip_bad_records=True)
    reader = run.layer._reader
    good = [
        (decoded, label)
        for label in range(17)
        if label not in BAD
        for decoded in [cv2.imread(str(folder / f"{label}.png")).transpose(2, 0, 1)]
    ]
    for number, (data, label) in enumerate(batches(run, 6)):
        images = [good[index % len(good)] for index in range(5 * number, 5 * number + 5)]
        assert label.tolist() == [label for _, label in images]
        expected = np.empty_like(data)
        reader.transformer([image for image, _ in images], np.random.default_rng((reader.seed, 0, number)), expected)
        assert np.array_equal(data, expected)


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("consumed", [0, 1, 4])
def test_resuming_with_other_threads_is_exact(kind, consumed, folder, threads, make_layer, batches):
    threads(4)
    options = {"phase": "TRAIN", "skip_bad_records": True}
    whole = make_layer(layer_text(kind, 3), seed=2, **options)
    batches(whole, consumed)
    state = json.loads(json.dumps(whole.layer.state()))
    rest = batches(whole, 6)
    threads(2)
    resumed = make_layer(layer_text(kind, 1), seed=9, **options)
    batches(resumed, 3)
    resumed.layer.restore_state(state)
    for expected, found in zip(rest, batches(resumed, 6), strict=True):
        assert all(np.array_equal(*pair) for pair in zip(expected, found, strict=True))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_an_error_comes_after_the_batches_before_it(prefetch, folder, threads, make_layer, batches):
    threads(4)
    text = layer_text("Data", prefetch).replace("rand_skip: 3", "").replace("batch_size: 5", "batch_size: 2")
    run = make_layer(text, phase="TEST")
    assert [label.tolist() for _, label in batches(run, 2)] == [[0, 1], [2, 3]]
    with pytest.raises(DataError, match='record "00000004": Could not decode'):
        run.forward()
    if not prefetch:  # the layer goes on after the bad record
        with pytest.raises(DataError, match='record "00000005"'):
            run.forward()
        assert [label.tolist() for _, label in batches(run, 2)] == [[6, 7], [8, 9]]


@pytest.mark.parametrize("prefetch", [0, 2])
def test_other_exceptions_of_a_thread_come_too(prefetch, folder, threads, make_layer, batches, monkeypatch):
    threads(3)
    run = make_layer(layer_text("Data", prefetch).replace("rand_skip: 3", ""), phase="TEST", skip_bad_records=True)
    decode = run.layer._reader.decode

    def fail(record):
        if record.key == b"00000007":
            raise MemoryError("no memory")
        return decode(record)

    monkeypatch.setattr(run.layer._reader, "decode", fail)
    assert batches(run)[0][1].tolist() == [0, 1, 2, 3, 6]
    with pytest.raises(LayerError, match="no memory"):
        run.forward()


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="this system sends no signals to threads")
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("kind", ["ImageData", "WindowData"])
def test_an_interrupt_does_not_wait_for_a_file_that_hangs(
    kind, number, folder, threads, make_layer, batches, monkeypatch
):
    """The layer goes on with what was not used yet."""
    threads(number)
    for index in BAD:
        (folder / f"{index}.png").write_bytes((folder / "1.png").read_bytes())
    run = make_layer(layer_text(kind), phase="TEST")
    twin = batches(make_layer(layer_text(kind), phase="TEST"), 2)
    reader, hangs, done = run.layer._reader, threading.Event(), threading.Event()
    name = "decode" if kind == "ImageData" else "put"
    real = getattr(reader, name)

    def hang(*args):
        if not done.is_set():
            hangs.set()
            while not done.wait(0.2):  # not for good: an interrupt may have come just before
                pass
        return real(*args)

    monkeypatch.setattr(reader, name, hang)

    def interrupt():
        hangs.wait()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # as the system does at Ctrl-C

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # it is ignored where a shell runs us with &
    interrupter = threading.Thread(target=interrupt)
    try:
        interrupter.start()
        with pytest.raises(KeyboardInterrupt):
            run.forward()
        interrupter.join()
    finally:
        done.set()
        signal.signal(signal.SIGINT, before)
    assert all(np.array_equal(*pair) for pair in zip(batches(run)[0], twin[0], strict=True))


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("at", range(8))
def test_a_batch_begins_anew_after_an_interrupt(at, number, folder, threads, make_layer, batches, monkeypatch):
    """Wherever it comes, no record is left out or comes twice."""
    threads(number)
    text = layer_text("Data").replace("rand_skip: 3", "")
    expected = batches(make_layer(text, phase="TRAIN", seed=3, skip_bad_records=True), 4)
    run = make_layer(text, phase="TRAIN", seed=3, skip_bad_records=True)
    found = batches(run)
    reader, seen = run.layer._reader, []
    for name in ("next_record", "used"):
        real = getattr(reader, name)

        def interrupted(*args, real=real):
            seen.append(None)
            if len(seen) == at:
                raise KeyboardInterrupt
            return real(*args)

        monkeypatch.setattr(reader, name, interrupted)
    while len(found) < 4:
        try:
            found += batches(run)
        except KeyboardInterrupt:
            assert len(seen) == at
    assert len(seen) > at
    for one, other in zip(expected, found, strict=True):
        assert all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", LAYERS)
def test_bad_records_keep_no_memory(kind, folder, threads, make_layer, batches):
    """What is done with goes at once, not when cycles are looked for."""
    threads(3)
    run = make_layer(layer_text(kind, 2), phase="TRAIN", skip_bad_records=True)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        batches(run, 20)
        run.layer.close()
        gc.collect()
        kept = [thing for thing in gc.garbage if isinstance(thing, decoding_threads.Task)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_does_again_what_its_parent_had_begun(folder):
    """After `close`, what was read ahead is still at work in threads, which the child does not have."""
    (folder / "net.prototxt").write_text(f"layer {{ {layer_text('Data', 3)} }}")
    program = """
import os, time, bicerin
net = bicerin.Net("net.prototxt", "TRAIN", skip_bad_records=True)
layer = net.nodes[0].layer
decode = layer._reader.decode
layer._reader.decode = lambda record: (time.sleep(0.05), decode(record))[1]
net.forward()
layer.close()
child = os.fork()
labels = net.forward()["label"].tolist() + net.forward()["label"].tolist()
os.write(1, f"{labels}\\n".encode())
layer.close()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    env = {**os.environ, "BICERIN_NUM_THREADS": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_decodes_with_threads_of_its_own(folder):
    (folder / "net.prototxt").write_text(f"layer {{ {layer_text('Data')} }}")
    program = """
import os, bicerin
net = bicerin.Net("net.prototxt", "TRAIN", skip_bad_records=True)
net.forward()
child = os.fork()
labels = net.forward()["label"].tolist() + net.forward()["label"].tolist()
os.write(1, f"{labels}\\n".encode())
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    env = {**os.environ, "BICERIN_NUM_THREADS": "3"}
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == second


@pytest.mark.parametrize("prefetch", [0, 3])
def test_an_array_that_is_held_shows_the_present_batch(prefetch, folder, threads, make_layer):
    threads(2)
    run = make_layer(layer_text("Data", prefetch), phase="TRAIN", skip_bad_records=True)
    from bicerin.layer.handed_out import handed_out

    held = handed_out(run.top[0]).data
    for _ in range(8):
        run.forward()
        assert np.array_equal(held, run.top[0].data)


def test_an_array_to_read_is_not_written_to_by_what_is_read_ahead(folder, threads, make_layer):
    threads(2)
    run = make_layer(layer_text("Data", 2), phase="TRAIN", skip_bad_records=True)
    run.forward()
    held = np.asarray(run.top[0])
    before = held.copy()
    for _ in range(8):
        run.forward()
    assert np.array_equal(held, before)


def test_memory_goes_round(records, make_layer):
    """Batches are made in a few arrays, that come to the net and back."""
    records.store(np.ones((9, 1, 20, 20), np.uint8))
    text = 'name: "d" type: "Data" top: "d" data_param { source: "store" backend: LMDB batch_size: 32 prefetch: 2 }'
    run = make_layer(text)
    seen = []  # weakly, since an array that somebody has is not used again
    for _ in range(40):
        run.forward()
        seen.append(weakref.ref(run.top[0].memory[0].host_array(write=False)))
    assert len({id(array) for array in seen}) < 12


@settings(max_examples=300, deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "channels": st.integers(-1, 3),
            "height": st.integers(0, 4),
            "width": st.sampled_from([0, 1, 3, 2**31 - 1]),
            "data": st.binary(max_size=12),
            "label": st.sampled_from([0, 1, 300, -1, 2**31 - 1]),
            "encoded": st.just(False),
            "float_data": st.lists(st.just(0.5), max_size=4),
        },
    ),
    fits=st.booleans(),
    spoiled=st.lists(st.tuples(st.integers(0, 40), st.sampled_from([None, 0, 1, 0x28, 0x38, 0x80, 0xFF])), max_size=2),
)
def test_a_datum_is_read_as_protobuf_does(fields, fits, spoiled):
    if fits:
        fields["data"] = bytes(range(min(200, max(0, int(np.prod([fields.get(axis, 0) for axis in SHAPE]))))))
    value = bytearray(bicerin_proto.Datum(**fields).SerializeToString())
    for at, byte in spoiled:
        value[at : at + (byte is None)] = b"" if byte is None else bytes([byte])

    def result(read):
        try:
            array, label = read(bytes(value))
        except DataError as error:
            return str(error)
        return array.dtype, array.shape, array.tobytes(), label

    def by_protobuf(data):
        datum = parse_datum(data)
        return datum_array(datum), datum.label

    assert result(read_datum) == result(by_protobuf)


SHAPE = ("channels", "height", "width")


@pytest.mark.parametrize("label", [None, 0, 7, 2**31 - 1, -5])
def test_the_usual_datum_is_not_copied(label):
    image = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    value = array_datum(image, label).SerializeToString()
    found, its_label = read_datum(value)
    assert np.array_equal(found, image)
    assert its_label == (label or 0)
    is_view = np.shares_memory(found, np.frombuffer(value, np.uint8))
    assert is_view == (label is None or label >= 0)  # a negative number takes ten bytes
