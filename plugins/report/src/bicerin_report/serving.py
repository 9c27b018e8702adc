"""The page on this machine's own address, made anew when its files change."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from bicerin.errors import BicerinError
from bicerin_proto.quotation import message_text, system_reason
from bicerin_report.contents import Contents
from bicerin_report.page import data_text, page

_log = logging.getLogger("bicerin.report")

#: Only this machine may ask, whatever name a page of elsewhere gives its address.
_ADDRESS = "127.0.0.1"
_NAMES = ("127.0.0.1", "localhost")


#: What is made anew is so after this many times the seconds that it took, at the earliest.
_SHARE = 10


class _Made(NamedTuple):
    """What was made of files that had a stamp, and until when it will do."""

    stamp: Any
    text: bytes
    until: float


class PageServer(ThreadingHTTPServer):
    """Serves `/`, the page; `/runs.json`, what changes of it with every step of a training; and `/files.json`, which
    changes when the rest has been made anew, since its weights, its net or its solver have changed.

    Args:
        port: 0 for any that is free.

    Raises:
        BicerinError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, contents: Contents, port: int = 0) -> None:
        self.contents = contents
        #: What the page was made of, but for logs.
        self._shown: tuple[Any, ...] = ()
        self._lock = threading.RLock()
        self._made: dict[str, _Made] = {}
        try:
            super().__init__((_ADDRESS, port), _Handler)
        except OSError as error:
            raise BicerinError(f"port {port} of {_ADDRESS} cannot be used: {system_reason(error)}") from error

    @property
    def url(self) -> str:
        return f"http://{_ADDRESS}:{self.server_port}/"

    def text(self, path: str) -> bytes | None:
        """What there is at a path, made anew where a file has changed; None for nothing."""
        if path == "/files.json":
            return self._files()
        make = {"/": self._page, "/runs.json": self._runs}.get(path)
        if make is None:
            return None
        with self._lock:
            stamp, began = self.contents.stamp(), time.monotonic()
            made = self._made.get(path)
            if made is None or (made.stamp != stamp and began >= made.until):
                try:
                    text, of = make(), stamp
                except BicerinError as error:
                    # A file may be half written at this moment, and a browser that is given an error asks no more.
                    if made is None:
                        raise
                    _log.warning("%s", error)
                    text, of = made.text, made.stamp
                # A long log takes a while: the training that writes it needs the machine too.
                made = self._made[path] = _Made(of, text, began + _SHARE * (time.monotonic() - began))
            return made.text

    def _page(self) -> bytes:
        shown = self.contents.stamp(logs=False)
        made = {**self.contents.data(), "made_of": _digest(shown)}
        self._shown = shown
        return page(made, live=True).encode("utf-8", "backslashreplace")

    def _files(self) -> bytes:
        """What the page is made of now, which is made anew before where that is due."""
        with self._lock:
            if self._shown != self.contents.stamp(logs=False):
                self.text("/")
            return data_text(_digest(self._shown)).encode()

    def _runs(self) -> bytes:
        return data_text(self.contents.runs()).encode("utf-8", "backslashreplace")


def _digest(stamp: tuple[Any, ...]) -> str:
    return hashlib.sha256(repr(stamp).encode()).hexdigest()[:32]


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    server_version = "bicerin"

    def do_GET(self) -> None:
        host = (self.headers.get("Host") or "").rpartition(":")[0]
        if host not in _NAMES:
            self._answer(HTTPStatus.FORBIDDEN, b"This page is served to its own machine only.\n", "text/plain")
            return
        try:
            text = self.server.text(self.path.partition("?")[0])
        except BicerinError as error:
            # A log or a snapshot may be half written at this moment; who asks again gets it.
            _log.warning("%s", error)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{message_text(str(error))}\n".encode(), "text/plain")
            return
        if text is None:
            self._answer(HTTPStatus.NOT_FOUND, b"There is /, /runs.json and /files.json.\n", "text/plain")
            return
        tag = f'"{hashlib.sha256(text).hexdigest()[:32]}"'
        if self.headers.get("If-None-Match") == tag:
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", tag)
            self.end_headers()
            return
        kind = "application/json" if self.path.partition("?")[0].endswith(".json") else "text/html"
        self._answer(HTTPStatus.OK, text, kind, tag)

    def _answer(self, status: HTTPStatus, text: bytes, kind: str, tag: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-cache")
        if tag is not None:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *arguments: Any) -> None:
        _log.debug(format, *arguments)
