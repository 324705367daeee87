"""A real HTTP server on this machine that answers as a test has scripted, faults included.

A path is given one answer for each request to come; the last answer stays. What was asked is
recorded. Answers are small functions of an `Exchange`, which reaches down to the socket, so that
streams can be cut, reset, stalled or never end.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from mta_pipeline.domain.weeks import Week

Headers = Mapping[str, str]
NO_HEADERS: Headers = {}


@dataclass(frozen=True)
class Request:
    """What a client asked for; header names in lower case."""

    path: str
    headers: Headers = field(repr=False)
    method: str = "GET"


class Exchange:
    """One request on its way to an answer."""

    def __init__(self, request: Request, connection: socket.socket, closing: threading.Event) -> None:
        self.request = request
        self.closing = closing
        self._connection = connection

    def start(self, status: int, headers: Headers = NO_HEADERS, reason: str = "Scripted") -> None:
        """Send the status line and the headers."""
        lines = [f"HTTP/1.1 {status} {reason}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        self._connection.sendall(data)

    def reset(self) -> None:
        """Break the connection off with a reset instead of an orderly end."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


Answer = Callable[[Exchange], None]


class FeedServer:
    """The server; a context manager. It ends all streams when it closes."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self._answers: dict[str, list[Answer]] = {}
        self._faults: list[BaseException] = []
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._http = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def serve(self, week: Week, *answers: Answer) -> None:
        """Script the answers to requests for this week's file."""
        self.serve_path(f"/{week.file_name}", *answers)

    def serve_path(self, path: str, *answers: Answer) -> None:
        """Script the answers to requests for `path`; other paths get a 404."""
        with self._lock:
            self._answers[path] = list(answers)

    def requests_for(self, week: Week) -> list[Request]:
        with self._lock:
            return [request for request in self.requests if request.path == f"/{week.file_name}"]

    def __enter__(self) -> FeedServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        if self._faults and value is None:
            raise self._faults[0]

    def _answer(self, exchange: Exchange) -> None:
        with self._lock:
            self.requests.append(exchange.request)
            answers = self._answers.get(exchange.request.path, [status(404, reason="Not Found")])
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
        try:
            answer(exchange)
        except (ConnectionError, TimeoutError):
            pass  # the client has left: often what a test is about
        except BaseException as fault:
            self._faults.append(fault)
            raise

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 20  # no test may hang for a client that neither reads nor leaves

            def do_GET(self) -> None:
                self.close_connection = True
                headers = {name.lower(): value for name, value in self.headers.items()}
                server._answer(Exchange(Request(self.path, headers, self.command), self.connection, server._closing))

            do_HEAD = do_GET  # a client that wants the headers alone leaves after them

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end, so that no test leaves a stream behind
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # kept and raised by FeedServer

    def shutdown_request(self, request: Any) -> None:
        with contextlib.suppress(OSError):  # closed by `Exchange.reset` already
            super().shutdown_request(request)


def whole(body: bytes, length: bool = True, headers: Headers = NO_HEADERS) -> Answer:
    """The body, with Content-Length or (as the MTA's server does) ended by closing."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {**({"Content-Length": str(len(body))} if length else {}), **headers}, "OK")
        exchange.send(body)

    return answer


def chunked(body: bytes, cut: bool = False, headers: Headers = NO_HEADERS) -> Answer:
    """The body in chunks; with `cut` the end of the stream is missing."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Transfer-Encoding": "chunked", **headers}, "OK")
        for begin in range(0, len(body), 4096):
            piece = body[begin : begin + 4096]
            exchange.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        if not cut:
            exchange.send(b"0\r\n\r\n")

    return answer


def cut(body: bytes, at: int, reset: bool = False, headers: Headers = NO_HEADERS) -> Answer:
    """Content-Length promises the whole body, and the stream ends (or is reset) after `at` bytes."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body)), **headers}, "OK")
        exchange.send(body[:at])
        if reset:
            exchange.reset()

    return answer


def status(code: int, headers: Headers = NO_HEADERS, reason: str = "Scripted", body: bytes = b"no\n") -> Answer:
    """A status with a short text, as servers say no."""

    def answer(exchange: Exchange) -> None:
        exchange.start(code, {"Content-Length": str(len(body)), "Content-Type": "text/plain", **headers}, reason)
        exchange.send(body)

    return answer


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, {"Location": location}, "Found")


def endless(piece: bytes = b"0" * 65_536) -> Answer:
    """A body without Content-Length that goes on for as long as somebody reads."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, reason="OK")
        while not exchange.closing.is_set():
            exchange.send(piece)

    return answer


def stalling(body: bytes, at: int, reached: threading.Event | None = None) -> Answer:
    """Silence after `at` bytes of the promised body, until the client leaves or the server closes."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body))}, "OK")
        exchange.send(body[:at])
        if reached:
            reached.set()
        exchange.closing.wait(20)

    return answer


def silent(exchange: Exchange) -> None:
    """No answer at all, on an open connection."""
    exchange.closing.wait(20)


def drip(body: bytes, pause: float) -> Answer:
    """A byte at a time, each soon enough to be no silence."""

    def answer(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Length": str(len(body))}, "OK")
        for index in range(len(body)):
            exchange.send(body[index : index + 1])
            if exchange.closing.wait(pause):
                return

    return answer


def ranged(body: bytes, etag: str) -> Answer:
    """A server that knows Range and If-Range, as RFC 9110 (13.1.5, 14.2) wants it."""

    def answer(exchange: Exchange) -> None:
        asked = exchange.request.headers.get("range", "")
        same = exchange.request.headers.get("if-range") in (None, etag) and not etag.startswith("W/")
        if not (asked and same):
            whole(body, headers={"ETag": etag})(exchange)
            return
        begin = int(asked.removeprefix("bytes=").rstrip("-"))
        if begin >= len(body):
            exchange.start(416, {"Content-Range": f"bytes */{len(body)}", "Content-Length": "0"}, "Not Satisfiable")
            return
        part(body, begin, etag=etag)(exchange)

    return answer


def part(
    body: bytes, begin: int, end: int | None = None, claimed: str | None = None, etag: str = "", in_chunks: bool = False
) -> Answer:
    """206 with the bytes from `begin` to `end`, under the Content-Range `claimed` (default: the true one)."""
    piece = body[begin:end]

    def answer(exchange: Exchange) -> None:
        true_range = f"bytes {begin}-{begin + len(piece) - 1}/{len(body)}"
        headers = {"Content-Range": claimed or true_range, **({"ETag": etag} if etag else {})}
        if in_chunks:
            exchange.start(206, {**headers, "Transfer-Encoding": "chunked"}, "Partial Content")
            exchange.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n0\r\n\r\n")
        else:
            exchange.start(206, {**headers, "Content-Length": str(len(piece))}, "Partial Content")
            exchange.send(piece)

    return answer


def closed_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
