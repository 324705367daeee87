"""A static file server that costs as little as possible, so that a benchmark measures its client.

`python -m bench.feed_server FOLDER` prints its address and serves until its standard input closes.
Like the MTA's server it can leave Content-Length out (`--chunked`).
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 16


class Handler(BaseHTTPRequestHandler):
    """Sends files with the kernel's sendfile."""

    protocol_version = "HTTP/1.1"
    folder: Path
    chunked = False

    def do_GET(self) -> None:
        """One file, or 404."""
        path = self.folder / Path(self.path).name
        if not path.is_file():
            self.send_error(404)
            return
        with path.open("rb") as file:
            size = path.stat().st_size
            self.send_response(200)
            self.send_header("Content-Type", "text/plain")
            self.send_header(*(("Transfer-Encoding", "chunked") if self.chunked else ("Content-Length", str(size))))
            self.end_headers()
            self.wfile.flush()
            if not self.chunked:
                self._send(file, 0, size)
                return
            for begin in range(0, size, CHUNK):
                length = min(CHUNK, size - begin)
                self.wfile.write(b"%x\r\n" % length)
                self._send(file, begin, length)
                self.wfile.write(b"\r\n")
            self.wfile.write(b"0\r\n\r\n")

    def _send(self, file: BinaryIO, begin: int, length: int) -> None:
        end = begin + length
        while begin < end:
            sent = os.sendfile(self.connection.fileno(), file.fileno(), begin, end - begin)
            if not sent:
                raise EOFError(f"{file.name} has become shorter than {end} bytes")
            begin += sent

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--chunked", action="store_true")
    arguments = parser.parse_args()
    Handler.folder, Handler.chunked = arguments.folder, arguments.chunked
    serve(Handler)


def serve(handler: type[BaseHTTPRequestHandler]) -> None:
    """Print an address, and answer there until standard input closes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
