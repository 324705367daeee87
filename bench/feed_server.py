"""A static file server that costs as little as possible, so that a benchmark measures its client.

`python -m bench.feed_server FOLDER` prints its address and serves until its standard input closes.
Like the MTA's server it can leave Content-Length out (`--no-length`).
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    """Sends files with the kernel's sendfile."""

    folder: Path
    length = True

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
            if self.length:
                self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.flush()
            sent = 0
            while sent < size:
                piece = os.sendfile(self.connection.fileno(), file.fileno(), sent, size - sent)
                if not piece:
                    raise EOFError(f"{path} has become shorter than {size} bytes")
                sent += piece

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--no-length", action="store_true")
    arguments = parser.parse_args()
    Handler.folder, Handler.length = arguments.folder, not arguments.no_length
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()
