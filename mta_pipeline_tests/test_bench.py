"""What the benchmark rests on."""

from __future__ import annotations

import os
import threading
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from bench.feed_server import Handler
from bench.ingest import clean_environment, fresh_environment


def test_settings_of_the_shell_have_no_influence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bench.ingest.WORK", tmp_path)
    for name in ("MTA_FEED_SCALE", "MTA_FIRST_WEEK", "MTA_LAST_WEEK", "MTA_LAKE_URL"):
        monkeypatch.setenv(name, "something")
    assert not [name for name in clean_environment() if name.startswith("MTA_")]
    environment = fresh_environment("http://127.0.0.1:1")
    assert {name for name in environment if name.startswith("MTA_")} == {
        "MTA_FEED_URL", "MTA_LAKE_URL", "MTA_STAGING_DIR"
    }  # fmt: skip
    assert environment["MTA_LAKE_URL"] == str(tmp_path / "lake")
    assert environment["PATH"] == os.environ["PATH"]


def test_a_file_that_becomes_shorter_while_it_is_sent_ends_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"0" * 100)
    monkeypatch.setattr(Handler, "folder", tmp_path, raising=False)
    monkeypatch.setattr(os, "sendfile", lambda *_: 0)
    monkeypatch.setenv("NO_PROXY", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(requests.RequestException):
                requests.get(f"http://127.0.0.1:{server.server_port}/file", timeout=10)
        finally:
            server.shutdown()
            thread.join()
