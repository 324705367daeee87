"""What every store of the lake promises, and what a folder as a lake promises besides."""

from __future__ import annotations

import gzip
import random
import stat
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import google_crc32c
import pytest
from google.cloud.storage import Client
from google.oauth2.credentials import Credentials

from mta_pipeline.domain.compression import Digest, compress
from mta_pipeline.domain.errors import CorruptObject, LakeError
from mta_pipeline.domain.gcs import GcsStore
from mta_pipeline.domain.lake import Change, LakeStore, LocalStore, rows_of
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests.gcs_server import GcsServer
from mta_pipeline_tests.turnstile_files import valid_file
from mta_pipeline_tests.workbench import LEGACY_WEEK, WEEK

NAME = WEEK.object_name


def bucket_on(server: GcsServer) -> LakeStore:
    """A store in a new bucket."""
    bucket = f"bucket-{uuid.uuid4()}"
    server.recover()
    server.create_bucket(bucket)
    client = Client("tests", Credentials(token="anything"), client_options={"api_endpoint": server.url})
    return GcsStore(client, bucket, "some/prefix")


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LakeStore:
    """Each kind of store, empty. Another kind is another parameter here."""
    stores: dict[str, Callable[[], LakeStore]] = {
        "folder": lambda: LocalStore(tmp_path / "lake"),
        "bucket": lambda: bucket_on(request.getfixturevalue("gcs_server")),
    }
    return stores[request.param]()


@contextmanager
def suppress_message(kind: type[Exception], text: str) -> Iterator[None]:
    """Let pass an error of this kind that says this."""
    try:
        yield
    except kind as fault:
        if text not in str(fault):
            raise


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Where tests put the file to publish."""
    return tmp_path / "to-publish"


def published(store: LakeStore, source: Path, data: bytes, name: str = NAME) -> Change:
    source.write_bytes(data)
    return store.publish(source, name, {"week": WEEK.key}).change


def overtaking(store: LakeStore, theirs: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let another writer publish `data` just after this store has looked at what is there."""
    look = "stat" if isinstance(store, LocalStore) else "_find"
    original = getattr(store, look)

    def looking(name: str) -> object:
        seen = original(name)
        monkeypatch.undo()
        published(store, theirs, data)
        return seen

    monkeypatch.setattr(store, look, looking)


def stored(store: LakeStore, name: str = NAME) -> bytes:
    with store.open(name) as file:
        return file.read()


def packed(raw: bytes, source: Path) -> bytes:
    """`raw` as the pipeline compresses it."""
    source.write_bytes(raw)
    compress(source, source.with_suffix(".gz"))
    return source.with_suffix(".gz").read_bytes()


class TestEveryStore:
    def test_an_object_is_created_with_all_its_bytes(self, store: LakeStore, source: Path) -> None:
        data = random.Random(1).randbytes(3_000_000)
        assert published(store, source, data) is Change.CREATED
        assert stored(store) == data

    def test_an_empty_object_is_an_object(self, store: LakeStore, source: Path) -> None:
        assert published(store, source, b"") is Change.CREATED
        assert stored(store) == b""
        assert published(store, source, b"") is Change.UNCHANGED

    @pytest.mark.parametrize("new", [b"longer than the old one", b"!", b"OLD", b""], ids=repr)
    def test_other_bytes_replace_an_object(self, store: LakeStore, source: Path, new: bytes) -> None:
        published(store, source, b"old")
        assert published(store, source, new) is Change.REPLACED
        assert stored(store) == new

    def test_the_same_bytes_are_not_stored_again(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"same")
        assert published(store, source, b"same") is Change.UNCHANGED
        assert stored(store) == b"same"

    def test_publishing_reports_address_size_and_checksum(self, store: LakeStore, source: Path) -> None:
        source.write_bytes(b"some bytes")
        report = store.publish(source, NAME, {})
        assert report.uri == store.uri(NAME)
        assert report.digest == Digest(10, google_crc32c.value(b"some bytes"))
        assert store.publish(source, NAME, {}).digest == report.digest
        assert store.stat(NAME) == report.digest

    def test_publishing_leaves_the_source_where_it_is(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"some bytes")
        assert source.read_bytes() == b"some bytes"

    def test_objects_of_other_names_are_left_alone(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"first", "turnstile/a.gz")
        published(store, source, b"second", "turnstile/a.gz.b")
        published(store, source, b"third", "other/a.gz")
        assert [stored(store, name) for name in ("turnstile/a.gz", "turnstile/a.gz.b", "other/a.gz")] == [
            b"first", b"second", b"third"
        ]  # fmt: skip

    def test_an_object_can_be_read_from_anywhere_in_it(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"0123456789")
        with store.open(NAME) as file:
            assert file.read(2) == b"01"
            file.seek(-3, 2)
            assert file.read() == b"789"
            file.seek(4)
            assert file.read(1) == b"4"

    def test_an_objects_address_lies_in_the_lake_and_ends_in_its_name(self, store: LakeStore) -> None:
        assert store.uri(NAME) == f"{store.url}/{NAME}"

    def test_a_missing_object_is_a_file_not_found_error_that_names_the_address(self, store: LakeStore) -> None:
        with pytest.raises(FileNotFoundError) as caught:
            store.open(NAME)
        assert store.uri(NAME) in str(caught.value)
        assert "materialize lake_object" in str(caught.value)
        assert caught.value.filename == store.uri(NAME)

    def test_a_stored_object_exists(self, store: LakeStore, source: Path) -> None:
        assert not store.exists(NAME)
        published(store, source, b"some bytes")
        assert store.exists(NAME)
        assert store.metadata(NAME) is not None

    def test_a_missing_object_has_neither_digest_nor_metadata_nor_rows(self, store: LakeStore, source: Path) -> None:
        assert store.stat(NAME) is None
        assert store.metadata(NAME) is None
        assert rows_of(store, NAME, 1) is None
        published(store, source, b"x", "turnstile/another")
        assert store.stat(NAME) is None
        assert store.stat("turnstile/another/deeper") is None

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "/", "/etc/passwd", "//etc/passwd", "///etc/passwd", "../outside",
                 "turnstile/../../outside", "turnstile/..", ".hidden", "turnstile/.hidden", "./../outside"],
    )  # fmt: skip
    def test_names_that_leave_the_lake_or_hide_in_it_are_refused(
        self, store: LakeStore, source: Path, name: str
    ) -> None:
        source.write_bytes(b"anything")
        uses = (
            store.uri,
            store.exists,
            store.stat,
            store.metadata,
            store.open,
            partial(store.publish, source, metadata={}),
        )
        for use in uses:
            with pytest.raises(ValueError, match="not the name of an object"):
                use(name)

    def test_an_object_that_cannot_be_published_leaves_the_old_one(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"old")
        with pytest.raises(LakeError) as caught:
            store.publish(source.with_name("nothing"), NAME, {})
        assert "nothing" in str(caught.value)
        assert stored(store) == b"old"

    def test_readers_see_only_whole_objects_while_writers_race(self, store: LakeStore, tmp_path: Path) -> None:
        contents = [bytes([letter]) * 400_000 for letter in b"abc"]
        published(store, tmp_path / "first", contents[0])
        done = threading.Event()

        def write(content: bytes) -> None:
            for _ in range(8):
                # A bucket tells the slower of two writers so.
                with suppress_message(LakeError, "another writer"):
                    published(store, tmp_path / f"source-{content[0]}", content)

        def read() -> set[bytes]:
            seen: set[bytes] = set()
            while not done.is_set():
                # What is replaced under a reader is gone from a bucket without versions: gone, not mixed.
                with suppress_message(FileNotFoundError, "no such object"):
                    seen.add(stored(store))
            return seen

        with ThreadPoolExecutor(4) as pool:
            reader = pool.submit(read)
            try:
                for writer in [pool.submit(write, content) for content in contents]:
                    writer.result()
            finally:
                done.set()
            assert reader.result() <= set(contents)
        assert stored(store) in contents

    @pytest.mark.parametrize("before", [b"", b"old"], ids=["nothing there", "an object there"])
    def test_a_writer_who_is_overtaken_is_told_and_spoils_nothing(
        self, store: LakeStore, source: Path, tmp_path: Path, before: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if before:
            published(store, source, before)
        overtaking(store, tmp_path / "theirs", b"the other's", monkeypatch)
        with pytest.raises(LakeError, match="that another writer left there meanwhile; expected .*Two runs"):
            published(store, source, b"ours")
        assert stored(store) == b"the other's"

    def test_a_writer_who_is_overtaken_by_the_same_bytes_agrees(
        self, store: LakeStore, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        overtaking(store, tmp_path / "theirs", b"the same", monkeypatch)
        published(store, source, b"the same")
        assert stored(store) == b"the same"

    def test_a_reader_that_has_begun_reads_on_in_what_it_began_or_is_told(self, store: LakeStore, source: Path) -> None:
        published(store, source, b"old " * 100_000)
        with store.open(NAME) as file:
            begin = file.read(4)
            published(store, source, b"new " * 100_000)
            with suppress_message(FileNotFoundError, "no such object"):  # a bucket without versions
                assert begin + file.read() == b"old " * 100_000

    @pytest.mark.parametrize(
        ("week", "newline", "rows"),
        [(WEEK, "\r\n", 252), (WEEK, "\n", 252), (LEGACY_WEEK, "\r\n", 36), (LEGACY_WEEK, "\n", 36)],
        ids=["current", "current with LF", "legacy", "legacy with LF"],
    )
    def test_the_rows_of_a_stored_week_are_told_without_its_header(
        self, store: LakeStore, source: Path, week: Week, newline: str, rows: int
    ) -> None:
        raw = valid_file(week, newline=newline)
        published(store, source, packed(raw, source))
        assert rows_of(store, NAME, 1 if week is WEEK else 0) == rows

    @pytest.mark.parametrize(
        "damage",
        [
            pytest.param(lambda data: b"", id="nothing left"),
            pytest.param(lambda data: data[:3], id="three bytes left"),
            pytest.param(lambda data: data[:-3], id="cut by three bytes"),
            pytest.param(lambda data: bytes(len(data)), id="all zeros"),
            pytest.param(lambda data: data[:-100] + bytes(100), id="tail of zeros"),
            pytest.param(lambda data: b"no gzip " * 100, id="no gzip"),
            pytest.param(lambda data: data[:12] + b"\xff" * 60 + data[72:], id="begin overwritten"),
            pytest.param(lambda data: gzip.compress(b""), id="the gzip of nothing"),
            pytest.param(lambda data: gzip.compress(b"a line\nanother line\n"), id="lines of other widths"),
            pytest.param(lambda data: gzip.compress(b"no line at all" * 5)[:-4] + bytes(4), id="no line"),
        ],
    )
    def test_a_damaged_object_is_told_by_its_address_and_how_to_mend_it(
        self, store: LakeStore, source: Path, damage: Callable[[bytes], bytes]
    ) -> None:
        published(store, source, damage(packed(valid_file(WEEK), source)))
        with pytest.raises(CorruptObject) as caught:
            rows_of(store, NAME, 1)
        assert store.uri(NAME) in str(caught.value)
        assert caught.value.finding.found
        assert "lake_object" in caught.value.finding.remedy

    def test_a_damaged_object_is_replaced(self, store: LakeStore, source: Path) -> None:
        whole = packed(valid_file(WEEK), source)
        published(store, source, whole[:-1] + b"\xff")
        assert published(store, source, whole) is Change.REPLACED
        assert stored(store) == whole


class TestFolder:
    def test_addresses_are_paths(self, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "lake")
        assert store.url == str(tmp_path / "lake")
        assert store.uri(NAME) == str(tmp_path / "lake" / NAME)

    def test_nothing_but_objects_is_left_in_the_folder(self, tmp_path: Path, source: Path) -> None:
        store = LocalStore(tmp_path / "lake")
        for data in (b"first", b"second", b"second"):
            published(store, source, data)
        assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == [tmp_path / "lake" / NAME]

    def test_an_unchanged_object_is_not_touched(self, tmp_path: Path, source: Path) -> None:
        store = LocalStore(tmp_path / "lake")
        published(store, source, b"same")
        before = (tmp_path / "lake" / NAME).stat()
        published(store, source, b"same")
        after = (tmp_path / "lake" / NAME).stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)

    def test_others_may_read_an_object(self, tmp_path: Path, source: Path) -> None:
        published(LocalStore(tmp_path), source, b"data")
        assert (tmp_path / NAME).stat().st_mode & stat.S_IRGRP

    def test_a_folder_that_cannot_be_written_is_told_with_its_setting(self, unwritable: Path, source: Path) -> None:
        store = LocalStore(unwritable)
        with pytest.raises(LakeError) as caught:
            published(store, source, b"data")
        assert str(unwritable) in str(caught.value)
        assert "PermissionError" in str(caught.value)
        assert "MTA_LAKE_URL" in caught.value.finding.remedy

    def test_a_file_in_the_folders_place_is_told_with_its_setting(self, tmp_path: Path, source: Path) -> None:
        (tmp_path / "lake").write_bytes(b"a file")
        store = LocalStore(tmp_path / "lake")
        assert store.stat(NAME) is None
        with pytest.raises(LakeError) as caught:
            published(store, source, b"data")
        assert str(tmp_path / "lake") in str(caught.value)
        assert "MTA_LAKE_URL" in caught.value.finding.remedy
        assert (tmp_path / "lake").read_bytes() == b"a file"

    def test_a_folder_in_the_objects_place_is_told_and_left_alone(self, tmp_path: Path, source: Path) -> None:
        (tmp_path / NAME / "inside").mkdir(parents=True)
        with pytest.raises(LakeError) as caught:
            published(LocalStore(tmp_path), source, b"data")
        assert str(tmp_path / NAME) in str(caught.value)
        assert [path.name for path in (tmp_path / "turnstile").iterdir()] == [Path(NAME).name]

    def test_a_full_disk_leaves_the_old_object_and_nothing_half_done(self, small_disk: Path, source: Path) -> None:
        store = LocalStore(small_disk)
        published(store, source, b"old")
        with pytest.raises(LakeError) as caught:
            published(store, source, random.Random(1).randbytes(2_000_000))
        assert "No space left on device" in str(caught.value)
        assert "Free some space" in caught.value.finding.remedy
        assert "MTA_LAKE_URL" in caught.value.finding.remedy
        assert [path for path in small_disk.rglob("*") if path.is_file()] == [small_disk / NAME]
        assert (small_disk / NAME).read_bytes() == b"old"
