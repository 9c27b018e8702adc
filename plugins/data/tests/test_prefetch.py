"""The prefetching thread: order, errors, its end, what it reports."""

import gc
import logging
import threading
import time

import numpy as np
import pytest

import bicerin
from bicerin_data import prefetch
from bicerin_data.prefetch import Prefetcher


class Counter:
    def __init__(self, stop=None, pause=0.0):
        self.made, self.stop, self.pause, self.recycled = 0, stop, pause, []

    def __call__(self, recycled):
        time.sleep(self.pause)
        if self.made == self.stop:
            raise ValueError("the end")
        self.recycled.append(recycled)
        self.made += 1
        return [self.made]


def prefetcher(counter, depth=3):
    return Prefetcher(counter, depth, lambda: f"item {counter.made}", "counter")


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_items_come_in_order(depth):
    items = prefetcher(Counter(), depth)
    assert [items.get()[0] for _ in range(20)] == list(range(1, 21))
    items.close()


@pytest.mark.parametrize("depth", [1, 4])
def test_no_more_than_depth_ahead(depth):
    counter = Counter()
    items = prefetcher(counter, depth)
    time.sleep(0.05)
    assert counter.made == 0  # nobody has asked for any
    for taken in (1, 2):
        items.get()
        assert until(lambda taken=taken: counter.made == depth + taken)
        time.sleep(0.05)
        assert counter.made == depth + taken
    items.close()


def test_an_interrupt_at_the_start_leaves_one_thread(monkeypatch):
    """Before the thread runs, or when it does: the next call goes on with it."""
    real = threading.Thread.start

    def interrupted(begins):
        def start(thread):
            monkeypatch.setattr(threading.Thread, "start", real)
            if begins:
                real(thread)
            raise KeyboardInterrupt

        return start

    for begins in (False, True):
        items = prefetcher(Counter(), 3)
        monkeypatch.setattr(threading.Thread, "start", interrupted(begins))
        with pytest.raises(KeyboardInterrupt):
            items.get()
        assert [items.get()[0] for _ in range(10)] == list(range(1, 11))
        assert sum(thread.name == "counter" for thread in threading.enumerate()) == 1
        items.close()
    never = prefetcher(Counter(), 3)
    never.close()


def test_memory_is_used_again():
    counter = Counter()
    items = prefetcher(counter, 1)
    first = items.get()
    items.recycle(first)
    for _ in range(3):
        items.get()
    assert any(recycled is first for recycled in counter.recycled)
    items.close()


def test_errors_reach_who_waits():
    items = prefetcher(Counter(stop=2))
    assert [items.get()[0], items.get()[0]] == [1, 2]
    for _ in range(2):
        with pytest.raises(ValueError, match="the end"):
            items.get()


def test_says_what_it_waits_for(monkeypatch, caplog):
    monkeypatch.setattr(prefetch, "PATIENCE", 0.02)
    with caplog.at_level(logging.WARNING, "bicerin.data"):
        items = prefetcher(Counter(pause=0.1))
        items.get()
    items.close()
    assert "counter: waiting for data since" in caplog.text
    assert "item 0" in caplog.text


def test_says_that_the_net_starves(monkeypatch, caplog):
    monkeypatch.setattr(prefetch, "_REPORT_EVERY", 5)
    with caplog.at_level(logging.INFO, "bicerin.data"):
        items = prefetcher(Counter(pause=0.01))
        for _ in range(7):
            items.get()
    items.close()
    assert "counter: the net waited for data" in caplog.text


def test_does_not_complain_about_a_fast_source(monkeypatch, caplog):
    monkeypatch.setattr(prefetch, "_REPORT_EVERY", 5)
    with caplog.at_level(logging.INFO, "bicerin.data"):
        items = prefetcher(Counter())
        for _ in range(12):
            items.get()
            time.sleep(0.01)
    items.close()
    assert not caplog.records


def test_closing_ends_the_thread():
    items = prefetcher(Counter())
    items.get()
    thread = items._queue.thread
    items.close()
    assert not thread.is_alive()


def test_fifty_nets_leave_no_threads(records):
    records.store(np.ones((5, 1, 2, 2), np.uint8))
    text = f'layer {{ name: "d" type: "Data" top: "d" data_param {{ source: "{records.folder}/store" backend: LMDB '
    text += "batch_size: 2 } }"
    bicerin.Net(text, phase="TEST").forward()  # starts the threads that decode, which all nets share
    assert until(lambda: not prefetch._living)
    before = threading.active_count()
    gc.disable()
    try:
        for _ in range(50):
            net = bicerin.Net(text, phase="TEST")
            net.forward()
            del net
        assert until(lambda: threading.active_count() == before)
    finally:
        gc.enable()


def test_a_net_that_is_never_run_starts_no_thread(records):
    records.store(np.ones((5, 1, 2, 2), np.uint8))
    before = threading.active_count()
    bicerin.Net(
        f'layer {{ name: "d" type: "Data" top: "d" data_param {{ source: "{records.folder}/store" backend: LMDB '
        "batch_size: 2 } }",
        phase="TEST",
    )
    assert threading.active_count() == before
