"""The server: what it answers, and to whom."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
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


@pytest.fixture
def solver_alone(training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The solver and its net in a folder without snapshots, which programs run in."""
    monkeypatch.chdir(tmp_path)
    for name in ("solver.prototxt", "net.prototxt"):
        (tmp_path / name).write_text((training.folder / name).read_text())
    return tmp_path / "solver.prototxt"


def shown(server: PageServer) -> Any:
    """The data of the page as it is now; whoever has it open is told that it is another one."""
    server.text("/files.json")
    found = re.search(r'<script[^>]*id="data"[^>]*>(.*?)</script>', (server.text("/") or b"").decode(), re.S)
    assert found is not None
    data = json.loads(found[1])
    assert json.loads(server.text("/files.json") or b"") == data["made_of"]
    return data


def test_the_newest_snapshot_is_shown(solver_alone: Path, training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a training that begins after the server; one that cannot be read takes nothing away from the page."""
    monkeypatch.setattr("bicerin_report.serving._SHARE", 0)
    with PageServer(Contents(["solver.prototxt"], follow=True, samples=50)) as server:
        before = shown(server)
        assert before["weights"] is None and before["images"] is None
        solver = bicerin.Solver(solver_alone)
        for iteration in (1, 2):
            solver.step(1)
            solver.snapshot()
            data = shown(server)
            assert data["weights"]["file"] == f"digits_iter_{iteration}.caffemodel" == data["files"][-1]
            assert data["images"]["count"] == 50
            norms = {f"{blob['layer']} {blob['position']}": blob["norm"] for blob in data["weights"]["blobs"]}
            assert norms["ip1 0"] == pytest.approx(np.linalg.norm(solver.net.params["ip1"][0].data), rel=1e-5)
        # A training that began anew counts less, and is later.
        Path("digits_iter_1.caffemodel").write_bytes(training.weights[0].read_bytes())
        os.utime("digits_iter_1.caffemodel", ns=(2**62, 2**62))
        assert shown(server)["weights"]["file"] == "digits_iter_1.caffemodel"
        Path("digits_iter_3.caffemodel").write_bytes(b"half")
        os.utime("digits_iter_3.caffemodel", ns=(2**62 + 1, 2**62 + 1))
        data = shown(server)
        assert data["weights"] is None and "digits_iter_3.caffemodel" in data["notes"][0]
        server.contents.weights = ["digits_iter_2.caffemodel"]
        assert shown(server)["weights"]["file"] == "digits_iter_2.caffemodel"


def test_a_net_that_cannot_be_read_for_a_moment(solver_alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reloads the page gets the one before; a net that the solver names is looked at."""
    monkeypatch.setattr("bicerin_report.serving._SHARE", 0)
    net = solver_alone.with_name("net.prototxt")
    with PageServer(Contents(["solver.prototxt"])) as server:
        text, before = net.read_text(), server.text("/")
        net.write_text(text[:-10])
        assert server.text("/") == before
        net.write_text(text.replace('"digits"', '"numbers"'))
        assert shown(server)["title"] == "numbers"


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
