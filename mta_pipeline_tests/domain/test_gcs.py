"""What the lake promises when Google Cloud Storage, or the way to it, misbehaves."""

from __future__ import annotations

import tracemalloc
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import google.auth.exceptions
import pytest
from google.api_core import exceptions as api
from google.cloud.storage import Client
from google.cloud.storage.retry import DEFAULT_RETRY
from google.oauth2.credentials import Credentials

from mta_pipeline.domain.compression import digest
from mta_pipeline.domain.errors import LakeError
from mta_pipeline.domain.gcs import GcsStore, connect
from mta_pipeline.domain.lake import Change
from mta_pipeline_tests.gcs_server import GcsServer

NAME = "turnstile/turnstile_240113.csv.gz"
OTHER = "turnstile/turnstile_240120.csv.gz"
PATIENCE = DEFAULT_RETRY.with_delay(initial=0.01, maximum=0.05).with_timeout(3.0)


@pytest.fixture
def gcs(gcs_server: GcsServer) -> GcsServer:
    """The emulator, with nothing going wrong."""
    gcs_server.recover()
    gcs_server.requests.clear()
    return gcs_server


def client_of(gcs: GcsServer) -> Client:
    return Client("tests", Credentials(token="anything"), client_options={"api_endpoint": gcs.url})


@pytest.fixture
def store(gcs: GcsServer) -> GcsStore:
    """A store in a bucket of the test's own."""
    bucket = f"bucket-{uuid.uuid4()}"
    gcs.create_bucket(bucket)
    return GcsStore(client_of(gcs), bucket, "lake", PATIENCE, timeout=(1.0, 1.0))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An object that goes in one request."""
    path = tmp_path / "small.gz"
    path.write_bytes(b"small" * 20_000)
    return path


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """An object of 12 MB, which goes in several."""
    path = tmp_path / "large.gz"
    path.write_bytes(bytes(range(256)) * 48_000)
    return path


def read(store: GcsStore, name: str = NAME) -> bytes:
    with store.open(name) as file:
        return file.read()


def test_a_week_takes_a_look_and_one_upload_and_no_request_about_the_bucket(
    store: GcsStore, gcs: GcsServer, small: Path
) -> None:
    store.publish(small, NAME, {"rows": "3"})
    assert [asked.method for asked in gcs.requests] == ["GET", "POST"]
    assert all("/o" in asked.path for asked in gcs.requests)
    assert gcs.requests[1].query["ifGenerationMatch"] == "0"


def test_metadata_comes_with_the_object_in_the_same_request(store: GcsStore, small: Path) -> None:
    metadata = {"week": "2024-01-06", "rows": "253022", "sha256": "ab", "source": "http://feed", "pipeline": "0.1"}
    store.publish(small, NAME, metadata)
    assert store.metadata(NAME) == metadata


def test_an_unchanged_object_is_looked_at_and_not_uploaded(store: GcsStore, gcs: GcsServer, small: Path) -> None:
    store.publish(small, NAME, {})
    gcs.requests.clear()
    assert store.publish(small, NAME, {}).change is Change.UNCHANGED
    assert [asked.method for asked in gcs.requests] == ["GET"]


FAULTS: dict[str, Callable[[GcsServer], object]] = {
    "three-times-503": lambda gcs: gcs.fail(503, 3),
    "three-times-429": lambda gcs: gcs.fail(429, 3),
    "two-resets": lambda gcs: gcs.reset(2),
    "a-stall": lambda gcs: gcs.stall(1),
    "a-lost-answer": lambda gcs: gcs.lose_answers(1),
    "a-wrong-checksum-in-the-answer": lambda gcs: gcs.garble_checksums(1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("before", ["nothing", "an-older-object"])
def test_an_upload_survives(
    store: GcsStore,
    gcs: GcsServer,
    tmp_path: Path,
    fault: Callable[[GcsServer], object],
    size: str,
    before: str,
    request: pytest.FixtureRequest,
) -> None:
    source: Path = request.getfixturevalue(size)
    if before == "an-older-object":
        older = tmp_path / "older.gz"
        older.write_bytes(b"older")
        store.publish(older, NAME, {})
    released = fault(gcs)
    published = store.publish(source, NAME, {})
    if released:
        released.set()  # type: ignore[attr-defined]
    with source.open("rb") as file:
        assert published.digest == digest(file)
    assert published.change is (Change.CREATED if before == "nothing" else Change.REPLACED)
    assert read(store) == source.read_bytes()


@pytest.mark.parametrize("status", [503, 429])
def test_a_service_that_stays_down_ends_in_a_sentence_and_leaves_the_older_object(
    store: GcsStore, gcs: GcsServer, tmp_path: Path, small: Path, status: int
) -> None:
    older = tmp_path / "older.gz"
    older.write_bytes(b"older")
    store.publish(older, NAME, {})
    gcs.fail(status, 1_000)
    with pytest.raises(LakeError, match="run the week again later") as raised:
        store.publish(small, NAME, {})
    gcs.recover()
    assert store.uri(NAME) in str(raised.value)
    assert read(store) == b"older"


def test_another_writer_with_the_same_bytes_is_agreed_with(store: GcsStore, gcs: GcsServer, small: Path) -> None:
    rival = GcsStore(client_of(gcs), store.url.split("/")[2], "lake", PATIENCE)
    gcs.meanwhile = lambda: rival.publish(small, NAME, {})
    with small.open("rb") as file:
        assert store.publish(small, NAME, {}).digest == digest(file)


@pytest.mark.parametrize("size", ["small", "large"])
def test_another_writer_with_other_bytes_wins_and_is_told_of(
    store: GcsStore, gcs: GcsServer, tmp_path: Path, size: str, request: pytest.FixtureRequest
) -> None:
    rival = GcsStore(client_of(gcs), store.url.split("/")[2], "lake", PATIENCE)
    theirs = tmp_path / "theirs.gz"
    theirs.write_bytes(b"theirs")
    gcs.meanwhile = lambda: rival.publish(theirs, NAME, {})
    with pytest.raises(LakeError, match="another writer left there meanwhile"):
        store.publish(request.getfixturevalue(size), NAME, {})
    assert read(store) == b"theirs"


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (401, "Invalid Credentials", "expired or revoked (.*application-default login"),
        (403, "robot@p does not have storage.objects.create access", "permission denied .*roles/storage.objectUser"),
        (403, "Caller does not have required permission to use project p", "may not use .*set-quota-project"),
        (404, "The specified bucket does not exist.", "no such bucket .*Create gs://"),
    ],
    ids=["credentials", "permission", "project", "bucket"],
)
@pytest.mark.parametrize("uploads", [True, False], ids=["on-upload", "on-look"])
def test_what_only_people_can_mend_is_not_tried_again_and_told_in_a_sentence(
    store: GcsStore, gcs: GcsServer, small: Path, status: int, message: str, sentence: str, uploads: bool
) -> None:
    gcs.fail(status, 1, message, uploads)
    with pytest.raises(LakeError, match=sentence.replace("(.*", r"\(.*")) as raised:
        store.publish(small, NAME, {})
    assert "\n" not in str(raised.value)
    assert len(gcs.requests) == 1 + uploads


def test_a_bucket_that_does_not_exist_is_told_in_a_sentence(gcs: GcsServer, small: Path) -> None:
    nowhere = GcsStore(client_of(gcs), "no-such-bucket", "", PATIENCE)
    with pytest.raises(LakeError, match="no such bucket .*Create gs://no-such-bucket, or correct MTA_LAKE_URL"):
        nowhere.publish(small, NAME, {})


def test_no_credentials_are_told_in_a_sentence() -> None:
    def client() -> Client:
        raise google.auth.exceptions.DefaultCredentialsError("File not found.")

    with pytest.raises(LakeError, match="no Google credentials; .*gcloud auth application-default login"):
        connect("gs://lake", client)


def test_credentials_that_have_expired_are_told_in_a_sentence(store: GcsStore) -> None:
    def expired(*_: object, **__: object) -> None:
        raise google.auth.exceptions.RefreshError("Reauthentication is needed.")

    store._bucket.client._connection.api_request = expired
    with pytest.raises(LakeError, match="expired or revoked .*application-default login"):
        store.stat(NAME)


def test_an_unreachable_service_is_told_in_a_sentence(small: Path) -> None:
    client = client_of(SimpleNamespace(url="http://127.0.0.1:9"))  # type: ignore[arg-type]
    store = GcsStore(client, "lake", "", PATIENCE)
    with pytest.raises(LakeError, match="If the network or the service was down"):
        store.publish(small, NAME, {})


def test_a_reader_stays_with_the_generation_that_it_opened(store: GcsStore, large: Path, small: Path) -> None:
    store.publish(large, NAME, {})
    with store.open(NAME) as file:
        first = file.read(100)
        store.publish(small, NAME, {})
        # The emulator keeps no old generations in an unversioned bucket, as GCS doesn't: an error, never a mixture.
        with pytest.raises(FileNotFoundError, match=NAME):
            file.seek(8 << 20)
    assert first == large.read_bytes()[:100]


def test_memory_stays_flat_however_large_the_object(store: GcsStore, tmp_path: Path) -> None:
    source = tmp_path / "huge.gz"
    with source.open("wb") as file:
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    try:
        store.publish(source, NAME, {})
        with store.open(NAME) as stream:
            assert digest(stream).size == 64 << 20
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 48 << 20  # the proxy, which holds whole requests of 4 MiB, is in this process too


def test_objects_are_kept_under_the_prefix(store: GcsStore, gcs: GcsServer, small: Path) -> None:
    assert store.publish(small, NAME, {}).uri.endswith(f"/lake/{NAME}")
    assert [blob.name for blob in client_of(gcs).list_blobs(store.url.split("/")[2])] == [f"lake/{NAME}"]


def test_an_address_is_a_bucket_and_perhaps_a_prefix(gcs: GcsServer) -> None:
    for address in ("gs://bucket", "gs://bucket/prefix", "gs://bucket/a/b"):
        assert connect(address, lambda: client_of(gcs)).url == address


def test_faults_that_nobody_knows_go_on_as_they_are(store: GcsStore) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a bug")

    store._bucket.client._connection.api_request = broken
    with pytest.raises(RuntimeError, match="a bug"):
        store.stat(NAME)
    assert not issubclass(RuntimeError, api.GoogleAPIError)
