"""The server: what it answers, and to whom."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from digits_training import Training, run

import bicerin
from bicerin_report import Contents
from bicerin_report.serving import PageServer


@pytest.fixture
def log(training: Training, tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    path.write_text("".join(training.record.read_text().splitlines(keepends=True)[:20]))
    return path


@pytest.fixture
def server(log: Path) -> Iterator[PageServer]:
    with PageServer(Contents([str(log)])) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def get(server: PageServer, path: str, **headers: str) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.read(), answer.getheader("ETag")


def test_the_page_and_its_runs(server: PageServer, log: Path, training: Training) -> None:
    status, text, _ = get(server, "/")
    assert status == 200 and b'id="data"' in text and b'"live": true' in text
    status, text, tag = get(server, "/runs.json")
    assert status == 200
    (before,) = json.loads(text)
    assert get(server, "/runs.json", If_None_Match=tag or "") == (304, b"", tag)
    log.write_text("".join(training.record.read_text().splitlines(keepends=True)[:60]))
    changed, end = tag, time.monotonic() + 30
    while changed == tag:  # it is not made anew at once
        assert time.monotonic() < end
        status, text, changed = get(server, "/runs.json", If_None_Match=tag or "")
    assert status == 200
    assert json.loads(text)[0]["iteration"] > before["iteration"]


def test_it_binds_to_this_machine_alone(server: PageServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize("host", ["example.org", "example.org:80", "127.0.0.1.example.org:80", ""])
def test_a_page_of_elsewhere_is_refused(server: PageServer, host: str) -> None:
    """Its name may have been given this machine's address."""
    assert get(server, "/runs.json", Host=host)[0] == 403


def test_there_is_nothing_else(server: PageServer) -> None:
    assert get(server, "/../../etc/passwd")[0] == 404
    assert get(server, "/run.jsonl")[0] == 404


def test_a_log_that_cannot_be_read_for_a_moment(server: PageServer, log: Path) -> None:
    text = log.read_text()
    log.write_text("{}\n")
    status, said, _ = get(server, "/runs.json")  # the first time that it is asked for
    assert status == 503 and b"not a line that --log-json writes" in said
    log.write_text(text + text.splitlines()[-1] + "\n")
    assert get(server, "/runs.json")[0] == 200


def test_a_port_that_is_taken(log: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("report", log, "--serve", "--port", taken.getsockname()[1])
    assert result.exit_code == 1
    assert "of 127.0.0.1 cannot be used: Address already in use" in result.stderr


def test_weights_that_change_make_the_page_anew(training: Training, tmp_path: Path) -> None:
    """And nothing does where only a log has grown: the curves are asked for alone."""
    net, weights, log = tmp_path / "net.prototxt", tmp_path / "w.caffemodel", tmp_path / "run.jsonl"
    net.write_text(
        'layer { name: "x" type: "Input" top: "x" input_param { shape { dim: 1 dim: 3 } } } '
        'layer { name: "ip" type: "InnerProduct" bottom: "x" top: "y" '
        'inner_product_param { num_output: 2 weight_filler { type: "xavier" } } }'
    )
    log.write_text("".join(training.record.read_text().splitlines(keepends=True)[:20]))
    bicerin.Net(net, "TEST").save(weights)
    with PageServer(Contents([str(net), str(log)], weights=[str(weights)])) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page, made = get(server, "/")[1], get(server, "/files.json")[1]
        assert b'"made_of": ' + made in page
        log.write_text("".join(training.record.read_text().splitlines(keepends=True)[:60]))
        assert get(server, "/files.json")[1] == made
        bicerin.Net(net, "TEST").save(weights)
        changed, end = made, time.monotonic() + 60
        while changed == made:  # it is not made anew at once
            assert time.monotonic() < end
            changed = get(server, "/files.json")[1]
        again = get(server, "/")[1]
        assert b'"made_of": ' + changed in again and again != page
        server.shutdown()
