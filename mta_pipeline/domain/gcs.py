"""The lake in a Google Cloud Storage bucket: `LakeStore`'s promises over GCS's own.

Generations make publishing safe against other writers, crc32c against the network; all requests are
about objects, so the rights to objects of this one bucket (roles/storage.objectUser) are enough.
Where the credentials come from is Google's client's business (Application Default Credentials).
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

import google.auth.exceptions
import requests
from google.api_core import exceptions as api
from google.cloud.storage import Blob, Client
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from google.cloud.storage.fileio import BlobReader
from google.cloud.storage.retry import DEFAULT_RETRY

from mta_pipeline.domain.compression import Digest, digest
from mta_pipeline.domain.errors import Finding, LakeError, disk_errors_as
from mta_pipeline.domain.lake import Change, Looked, MissingObject, Published, overtaken, parts_of

if TYPE_CHECKING:
    from google.api_core.retry import Retry

# For the sake of traces newer clients ask for the bucket itself, in the background. That is for rights we do not need.
os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")

#: Bytes in a request of an upload or a read. The client's own defaults are 100 MiB and 40 MiB, held in memory.
CHUNK = 4 << 20
CONTENT_TYPES = {".gz": "application/gzip", ".parquet": "application/vnd.apache.parquet"}
CONNECT_AND_READ = (10.0, 60.0)  # seconds
#: Transient faults are tried again for so many seconds, with growing pauses.
PATIENCE = DEFAULT_RETRY.with_timeout(180.0)
#: Of those who only want to know, and wait for the answer.
IMPATIENCE = DEFAULT_RETRY.with_timeout(15.0)
#: To replace an object is to create one and delete one.
RIGHTS = ("storage.objects.get", "storage.objects.create", "storage.objects.delete")


class GcsStore:
    """Objects under a prefix of a bucket."""

    def __init__(
        self,
        client: Client,
        bucket: str,
        prefix: str = "",
        retry: Retry = PATIENCE,
        timeout: tuple[float, float] = CONNECT_AND_READ,
    ) -> None:
        # Not get_bucket(): that asks for the bucket itself, which takes rights on buckets.
        self._bucket = client.bucket(bucket)
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._retry = retry
        self._timeout = timeout

    @property
    def url(self) -> str:
        return f"gs://{self._bucket.name}/{self._prefix}".rstrip("/")

    def uri(self, name: str) -> str:
        return f"gs://{self._bucket.name}/{self._object(name)}"

    def exists(self, name: str) -> bool:
        return self._find(name) is not None

    def stat(self, name: str) -> Digest | None:
        blob = self._find(name)
        return _digest(blob) if blob else None

    def metadata(self, name: str) -> Mapping[str, str] | None:
        blob = self._find(name)
        return (blob.metadata or {}) if blob else None

    def open(self, name: str) -> BinaryIO:
        blob = self._find(name)
        if blob is None:
            raise MissingObject(self.uri(name))
        # Of one generation, so that what is replaced meanwhile is not read half and half.
        pinned = self._bucket.blob(blob.name, generation=blob.generation)
        reader = _Reader(pinned, chunk_size=CHUNK, retry=self._retry, timeout=self._timeout)
        reader.explaining = partial(self._reading_errors, name)
        return cast(BinaryIO, reader)

    def publish(self, source: Path, name: str, metadata: Mapping[str, str], over: Looked | None = None) -> Published:
        with disk_errors_as(LakeError, source, "MTA_STAGING_DIR"), source.open("rb") as file:
            wanted = digest(file)
        found = self._find(name)
        if found and _digest(found) == wanted:
            return Published(self.uri(name), wanted, Change.UNCHANGED)
        stored = _digest(found) if found else None
        if over and stored != over.digest:
            raise overtaken(self.uri(name), stored, wanted)
        blob = self._blob(name)
        blob.metadata = dict(metadata)
        blob.chunk_size = CHUNK
        with self._errors(name):
            try:
                blob.upload_from_filename(
                    str(source),
                    # No Content-Encoding: transcoding would break ranges and checksums.
                    content_type=CONTENT_TYPES.get(PurePosixPath(name).suffix, "application/octet-stream"),
                    # 0: only if nothing is there; else only over what we have seen.
                    if_generation_match=found.generation if found else 0,
                    checksum="crc32c",
                    timeout=self._timeout,
                    retry=self._retry,
                )
            except (api.PreconditionFailed, InvalidResponse, DataCorruption) as fault:
                # The answer to our own upload may have been lost or garbled, and the client's second try then
                # finds the first one's object in its way. Or another writer was quicker. What is there tells.
                if isinstance(fault, InvalidResponse) and fault.response.status_code != requests.codes.precondition:
                    raise
                blob = self._overtaken(name, wanted, fault)
        # What the answer to an upload says of the object is measured by the store, from what it has stored.
        stored = _digest(blob)
        if stored != wanted:
            stored = self.stat(name) or stored
        return Published(self.uri(name), stored, Change.REPLACED if found else Change.CREATED)

    def missing_rights(self) -> list[str]:
        """Of the rights that the pipeline needs, those that these credentials lack. To ask needs no right itself.

        Raises `LakeError` where there are no credentials, no such bucket, or no answer.
        """
        try:
            held = self._bucket.test_iam_permissions(RIGHTS, timeout=self._timeout, retry=IMPATIENCE)
        except FAULTS as fault:
            if isinstance(fault, api.NotFound) and "bucket does not exist" not in fault.message:
                # A stand-in for GCS that does not know the question: a look at any name must do.
                self._find("turnstile/doctor")
                return []
            raise LakeError(_explained(fault, self.url, f"gs://{self._bucket.name}")) from fault
        return [right for right in RIGHTS if right not in held]

    def _overtaken(self, name: str, wanted: Digest, fault: Exception) -> Blob:
        """The object that is there after a refused upload, if it is the one that was wanted."""
        blob = self._find(name)
        if blob is not None and _digest(blob) == wanted:
            return blob
        raise overtaken(self.uri(name), _digest(blob) if blob else None, wanted) from fault

    def _blob(self, name: str) -> Blob:
        return self._bucket.blob(self._object(name))

    def _object(self, name: str) -> str:
        return self._prefix + "/".join(parts_of(name))

    def _find(self, name: str) -> Blob | None:
        """The object's properties in one request; None where there is none."""
        blob = self._blob(name)
        with self._errors(name):
            try:
                blob.reload(timeout=self._timeout, retry=self._retry)
            except api.NotFound as fault:
                if "bucket does not exist" in fault.message:
                    raise
                return None
            return blob

    @contextmanager
    def _reading_errors(self, name: str) -> Iterator[None]:
        """An object that was there when it was opened may be gone, or of another generation, when it is read."""
        with self._errors(name):
            try:
                yield
            except api.NotFound as fault:
                raise MissingObject(self.uri(name)) from fault

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Say in one sentence what GCS (or the way to it) objects to, and what to do."""
        try:
            yield
        except FAULTS as fault:
            raise LakeError(_explained(fault, self.uri(name), f"gs://{self._bucket.name}")) from fault


class _Reader(BlobReader):
    """Reads ranges of an object, and explains what goes wrong."""

    explaining: Callable[[], AbstractContextManager[None]]

    def read(self, size: int = -1) -> bytes:
        """See `io.BufferedIOBase.read`."""
        with self.explaining():
            return cast(bytes, super().read(size))

    def seek(self, position: int, whence: int = 0) -> int:
        """See `io.IOBase.seek`."""
        with self.explaining():
            return cast(int, super().seek(position, whence))


def connect(url: str, client: Callable[[], Client]) -> GcsStore:
    """The store at `gs://bucket[/prefix]`; `client` makes Google's client, which looks for credentials."""
    bucket, _, prefix = url.removeprefix("gs://").partition("/")
    try:
        return GcsStore(client(), bucket, prefix)
    except FAULTS as fault:
        raise LakeError(_explained(fault, url, f"gs://{bucket}")) from fault


FAULTS = (
    api.GoogleAPIError,
    google.auth.exceptions.GoogleAuthError,
    requests.RequestException,
    InvalidResponse,
    DataCorruption,
)


def _explained(fault: Exception, where: str, bucket: str) -> Finding:
    """What a fault means for the user."""
    if isinstance(fault, api.RetryError) and fault.cause:
        fault = fault.cause  # patience has ended; what it met with is the news
    said = " ".join(str(getattr(fault, "message", "") or fault).split())[:300]
    status = fault.response.status_code if isinstance(fault, InvalidResponse) else getattr(fault, "code", None)
    if isinstance(fault, google.auth.exceptions.DefaultCredentialsError):
        found, expected = "no Google credentials", "Application Default Credentials"
        remedy = "On a laptop run `gcloud auth application-default login`; on Google Cloud attach a service account."
    elif isinstance(fault, google.auth.exceptions.RefreshError) or status == requests.codes.unauthorized:
        found, expected = f"credentials that are expired or revoked ({said})", "valid credentials"
        remedy = "Run `gcloud auth application-default login` again, or attach the service account anew."
    elif status == requests.codes.forbidden and "use project" in said:
        found, expected = f"a project that these credentials may not use ({said})", "a project of yours"
        remedy = "Run `gcloud auth application-default set-quota-project PROJECT`."
    elif status == requests.codes.forbidden:
        found, expected = f"permission denied ({said})", "the right to read and write objects"
        remedy = f"Grant roles/storage.objectUser on {bucket} to the account that runs the pipeline."
    elif status == requests.codes.not_found:
        found, expected = f"no such bucket ({said})", "a bucket"
        remedy = f"Create {bucket}, or correct MTA_LAKE_URL."
    else:
        found, expected = f"{type(fault).__name__} ({said})", "an answer from Google Cloud Storage"
        remedy = "If the network or the service was down, run the week again later."
    return Finding(where=where, found=found, expected=expected, remedy=remedy)


def _digest(blob: Blob) -> Digest:
    """Size and crc32c as the store measured them (base64 of four big-endian bytes)."""
    return Digest(int(blob.size), int.from_bytes(base64.b64decode(blob.crc32c), "big"))
