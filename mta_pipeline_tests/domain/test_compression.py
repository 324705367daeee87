"""Gzip that is the same on every day, and measures of what it holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import tempfile
from pathlib import Path

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta_pipeline.domain.compression import compress, content, digest, open_gzip, sha256_of, uncompressed_size
from mta_pipeline_tests.turnstile_files import valid_file
from mta_pipeline_tests.workbench import WEEK


def compressed(raw: bytes, name: str = "raw", mtime: float | None = None) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source, destination = Path(folder) / name, Path(folder) / f"{name}.gz"
        source.write_bytes(raw)
        if mtime is not None:
            os.utime(source, (mtime, mtime))
        compress(source, destination)
        return destination.read_bytes()


@given(st.binary(max_size=5_000))
def test_pythons_own_gzip_reads_back_what_was_compressed(raw: bytes) -> None:
    assert gzip.decompress(compressed(raw)) == raw


@given(st.binary(max_size=5_000))
def test_content_measures_what_is_inside(raw: bytes) -> None:
    held = content(io.BytesIO(compressed(raw)))
    assert (held.size, held.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())


@given(st.binary(max_size=2_000))
def test_digest_and_sha256_measure_the_bytes_themselves(raw: bytes) -> None:
    assert digest(io.BytesIO(raw)).size == len(raw)
    assert digest(io.BytesIO(raw)).crc32c == google_crc32c.value(raw)
    assert sha256_of(io.BytesIO(raw)) == hashlib.sha256(raw).hexdigest()


def test_more_than_one_block_is_read_back_and_measured_whole() -> None:
    raw = random.Random(1).randbytes(2_500_000) + b"\n" * 700_000
    stored = compressed(raw)
    assert gzip.decompress(stored) == raw
    held = content(io.BytesIO(stored))
    assert (held.size, held.sha256) == (len(raw), hashlib.sha256(raw).hexdigest())
    assert digest(io.BytesIO(raw)).crc32c == google_crc32c.value(raw)
    assert sha256_of(io.BytesIO(raw)) == hashlib.sha256(raw).hexdigest()


@given(st.binary(max_size=2_000), st.floats(0, 2e9), st.floats(0, 2e9))
def test_the_same_bytes_give_the_same_object_under_any_name_on_any_day(raw: bytes, one: float, other: float) -> None:
    assert compressed(raw, "one", one) == compressed(raw, "another-name.txt.part", other)


def test_the_gzip_header_tells_neither_name_nor_time() -> None:
    header = compressed(valid_file(WEEK))[:10]
    assert header[:3] == b"\x1f\x8b\x08"
    assert header[3] == 0, "flags: a name or a comment is in it"
    assert header[4:8] == bytes(4), "a time is in it"


@given(st.binary(max_size=2_000))
def test_the_last_four_bytes_tell_the_uncompressed_size(raw: bytes) -> None:
    stored = compressed(raw)
    assert uncompressed_size(stored[-4:]) == len(raw)


def test_an_existing_file_is_written_over_wholly(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"short")
    (tmp_path / "gz").write_bytes(b"longer than the new one " * 100)
    compress(tmp_path / "raw", tmp_path / "gz")
    assert gzip.decompress((tmp_path / "gz").read_bytes()) == b"short"


def test_a_missing_source_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        compress(tmp_path / "nothing", tmp_path / "gz")


def test_closing_a_reader_leaves_the_stream_below_open() -> None:
    stream = io.BytesIO(compressed(b"a line\n"))
    with open_gzip(stream) as file:
        assert file.readline() == b"a line\n"
    assert not stream.closed
    stream.seek(0)


def test_weekly_files_shrink_to_less_than_a_sixth() -> None:
    raw = valid_file(WEEK, turnstiles=100)
    assert len(compressed(raw)) < len(raw) / 6


STORED = compressed(valid_file(WEEK))
MIDDLE = len(STORED) // 2


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(STORED[:MIDDLE], id="cut in the middle"),
        pytest.param(STORED[:-1], id="cut by one byte"),
        pytest.param(STORED[:5], id="cut inside the header"),
        pytest.param(b"no gzip at all " * 10, id="no gzip"),
        pytest.param(STORED[:-8] + bytes(8), id="end zeroed"),
        pytest.param(STORED[:12] + b"\xff" * 30 + STORED[42:], id="begin overwritten"),
        pytest.param(STORED[:MIDDLE] + b"\xff" * 64 + STORED[MIDDLE + 64 :], id="middle overwritten"),
        pytest.param(STORED[:MIDDLE] + bytes([STORED[MIDDLE] ^ 1]) + STORED[MIDDLE + 1 :], id="one bit flipped"),
        pytest.param(STORED + b"more", id="something behind the end"),
    ],
)
def test_content_of_a_damaged_stream_raises_what_it_says_it_raises(damaged: bytes) -> None:
    with pytest.raises((OSError, EOFError)):
        content(io.BytesIO(damaged))
