"""The feed: a folder of weekly files behind http(s):// or file://, and how one is fetched.

A fetch streams into a file that the caller chose, in constant memory, and either delivers the whole
file or raises a `FeedError` that says why. What often passes by itself (cut streams, stalls, 429,
5xx) is tried again with growing, random pauses, from where the stream broke off if the server can.
"""

from __future__ import annotations

import email.utils
import hashlib
import logging
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit
from urllib.request import url2pathname

import requests
import tenacity
import urllib3.exceptions

from mta_pipeline import __version__
from mta_pipeline.domain.errors import (
    FeedError,
    Finding,
    NotPublished,
    StagingError,
    TransientFeedError,
    disk_errors_as,
)
from mta_pipeline.domain.settings import without_credentials
from mta_pipeline.domain.weeks import Week

log = logging.getLogger(__name__)

BLOCK = 1 << 20
MOST_BYTES = 256 << 20  # eight times the largest file ever published
HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mta-pipeline/{__version__}"}
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long a fetch waits, in seconds, and how often it tries."""

    connect: float = 10
    read: float = 60  #: between two pieces of the stream
    attempt: float = 900  #: for one try as a whole: a slow drip must end
    tries: int = 5
    first_pause: float = 1  #: upper bound of the random pause after the first try; then doubling
    longest_pause: float = 60  #: also when the server asks for more by Retry-After


@dataclass(frozen=True)
class Fetched:
    """A file that has arrived whole."""

    url: str  #: without credentials
    size: int
    sha256: str
    seconds: float
    tries: int
    version: str  #: as `Feed.published` gives it


class Feed:
    """A feed by its address. Safe for use by threads."""

    def __init__(self, url: str, patience: Patience | None = None, most_bytes: int = MOST_BYTES) -> None:
        self._url = url.rstrip("/")
        self._patience = patience or Patience()
        self._most_bytes = most_bytes

    def url_of(self, week: Week) -> str:
        """Where the week's file is, fit for logs: without user and password."""
        return without_credentials(f"{self._url}/{week.file_name}")

    def fetch(self, week: Week, destination: Path) -> Fetched:
        """Bring the week's file to `destination`, replacing what is there.

        Raises `NotPublished`, another `FeedError`, or `StagingError` where writing fails.
        """
        begin = time.monotonic()
        fetch = _Fetch(week, f"{self._url}/{week.file_name}", self._patience, self._most_bytes)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientFeedError),
            stop=tenacity.stop_after_attempt(self._patience.tries),
            wait=self._pause,
            before_sleep=lambda state: log.warning("%s Trying again.", state.outcome and state.outcome.exception()),
            reraise=True,
        )
        read = fetch.read_file if self._url.startswith("file:") else fetch.read_http
        try:
            with disk_errors_as(StagingError, destination, "MTA_STAGING_DIR", week):
                destination.parent.mkdir(parents=True, exist_ok=True)
                with destination.open("wb") as file:
                    retrying(read, file)
        except TransientFeedError as fault:
            times = retrying.statistics["attempt_number"]
            if times == 1:
                raise
            told = replace(fault.finding, found=f"{fault.finding.found}, {times} times")
            raise TransientFeedError(told) from fault
        seconds = time.monotonic() - begin
        tries = retrying.statistics["attempt_number"]
        return Fetched(self.url_of(week), fetch.size, fetch.sha256.hexdigest(), seconds, tries, fetch.version)

    def published(self, week: Week) -> str | None:
        """The version of the week's file that the feed has now; None where it has none.

        The feed is asked once, without a second try, and sends no more than a header (of a server that knows no
        HEAD one byte is wanted). The version is what it says of the file by Last-Modified, or else by ETag: another
        text, another file; blank where it says neither. Raises `FeedError`.
        """
        patience = replace(self._patience, connect=min(self._patience.connect, 5), read=min(self._patience.read, 10))
        asking = _Fetch(week, f"{self._url}/{week.file_name}", patience, self._most_bytes)
        try:
            return asking.look_at_file() if self._url.startswith("file:") else asking.look_at_http()
        except NotPublished:
            return None

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Full jitter (a random part of a doubling bound), or what the server asked for."""
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, TransientFeedError) and fault.retry_after is not None:
            return min(fault.retry_after, self._patience.longest_pause)
        bound = self._patience.first_pause * 2.0 ** (state.attempt_number - 1)
        return random.uniform(0, min(bound, self._patience.longest_pause))  # noqa: S311


class _Fetch:
    """One file on its way: what has arrived, over all tries."""

    def __init__(self, week: Week, url: str, patience: Patience, most_bytes: int) -> None:
        self._week = week
        self._url = url
        self._patience = patience
        self._most_bytes = most_bytes
        self._validator = ""  # proves that a resumed file is still the same file
        self.version = ""
        self.size = 0
        self.sha256 = hashlib.sha256()

    def read_file(self, file: BinaryIO) -> None:
        """Copy from a folder."""
        with self._folder_errors():
            source = self._path.open("rb")
        with source:
            self.version = _file_version(os.fstat(source.fileno()))
            self._take(iter(lambda: source.read(BLOCK), b""), file)

    def look_at_file(self) -> str:
        """The version of the file in a folder."""
        with self._folder_errors():
            return _file_version(self._path.stat())

    @property
    def _path(self) -> Path:
        return Path(url2pathname(urlsplit(self._url).path))

    @contextmanager
    def _folder_errors(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise self.fault(
                NotPublished,
                "no such file",
                "the week's file",
                "Put it there (`mta-pipeline sample` makes one up), or point MTA_FEED_URL at a feed that has it.",
            ) from None
        except OSError as error:
            raise self.fault(
                FeedError, f"{type(error).__name__} ({error.strerror})", "a readable file", "Check its permissions."
            ) from error

    def read_http(self, file: BinaryIO) -> None:
        """Stream from a server; goes on where the try before broke off if the server proves it can."""
        headers = dict(HEADERS)
        if self.size and self._validator:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._validator}
        with self._response("GET", headers) as response:
            self._check_status(response)
            if not (response.status_code == 206 and self._continues(response)):
                self._start_over(file, response)
            self._take(self._pieces(response), file)
            self._check_length(response)

    def look_at_http(self) -> str:
        """The version of the file on a server."""
        with self._response("HEAD", HEADERS) as response:
            if response.status_code not in (405, 501):
                self._check_status(response)
                return _http_version(response)
        with self._response("GET", {**HEADERS, "Range": "bytes=0-0"}) as response:
            self._check_status(response)
            return _http_version(response)

    @contextmanager
    def _response(self, method: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
        """The answer to one request, its body still to be read."""
        timeout = (self._patience.connect, self._patience.read)
        with self._network_errors(), requests.Session() as session:
            session.max_redirects = 5
            with session.request(
                method, self._url, headers=headers, stream=True, timeout=timeout, allow_redirects=True
            ) as response:
                yield response

    def _check_status(self, response: requests.Response) -> None:
        status = f"{response.status_code} {response.reason}"
        if response.status_code in (200, 206):
            return
        if response.status_code in (404, 410):
            raise self.fault(
                NotPublished,
                status,
                "the week's file",
                "The MTA has retired this feed, and a new file may be late: try again later, or point "
                "MTA_FEED_URL at a mirror that has the week.",
            )
        if response.status_code in TRANSIENT_STATUS or response.status_code > 505:
            raise self.fault(
                TransientFeedError,
                status,
                "200 OK",
                "The server is busy or broken: run the week again later.",
                retry_after=_seconds(response.headers.get("Retry-After")),
            )
        if response.status_code == 416:
            # Our resumption was wrong; the next try starts from the beginning.
            self._validator = ""
            raise self.fault(TransientFeedError, status, "the rest of the file", "Run the week again.")
        raise self.fault(
            FeedError, status, "200 OK", "The server will not give this file: check MTA_FEED_URL and your access to it."
        )

    def _continues(self, response: requests.Response) -> bool:
        return response.headers.get("Content-Range", "").startswith(f"bytes {self.size}-")

    def _start_over(self, file: BinaryIO, response: requests.Response) -> None:
        if response.status_code == 206:
            self._validator = ""
            raise self.fault(
                TransientFeedError,
                f"the part {response.headers.get('Content-Range', 'unnamed')!r}",
                f"the part from byte {self.size}",
                "Run the week again.",
            )
        file.seek(0)
        file.truncate()
        self.size, self.sha256 = 0, hashlib.sha256()
        self.version = _http_version(response)
        etag = response.headers.get("ETag", "")
        # Weak validators do not promise the same bytes (RFC 9110, 13.1.5).
        self._validator = etag if not etag.startswith("W/") and "Content-Encoding" not in response.headers else ""

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        """The body as it comes in. `read1` returns what is there, so that a drip meets the deadline."""
        deadline = time.monotonic() + self._patience.attempt
        while piece := response.raw.read1(BLOCK, decode_content=True):
            yield piece
            if time.monotonic() > deadline:
                raise self.fault(
                    TransientFeedError,
                    f"{self.size:,} bytes in {self._patience.attempt:.0f} s",
                    "the whole file in that time",
                    "The line or the server is too slow: run the week again later.",
                )

    def _take(self, pieces: Iterator[bytes], file: BinaryIO) -> None:
        for piece in pieces:
            self.size += len(piece)
            if self.size > self._most_bytes:
                raise self.fault(
                    FeedError,
                    f"more than {self._most_bytes:,} bytes",
                    "a weekly file of some 30 MB",
                    "This is not a weekly file: open the address and look.",
                )
            file.write(piece)
            self.sha256.update(piece)

    def _check_length(self, response: requests.Response) -> None:
        """Hold the body against Content-Length, where there is one (the MTA's server gave none)."""
        if "Content-Encoding" in response.headers:
            return
        promised = response.headers.get("Content-Length", "")
        whole = response.headers.get("Content-Range", "").rpartition("/")[2]
        if response.status_code == 206 and whole.isdecimal():
            expected = int(whole)
        elif response.status_code == 200 and promised.isdecimal():
            expected = int(promised)
        else:
            return
        if self.size != expected:
            raise self._cut(f"{self.size:,} bytes", f"{expected:,} as the server promised")

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        """Tell apart what the network does to us; disk errors pass through."""
        try:
            yield
        except (ValueError, urllib3.exceptions.LocationParseError) as fault:
            # requests' own errors about addresses are ValueErrors too
            raise self._malformed(fault) from fault
        except (requests.exceptions.ContentDecodingError, urllib3.exceptions.DecodeError) as fault:
            raise self.fault(
                FeedError,
                f"what cannot be decoded ({fault.args[0] if fault.args else fault})",
                "the file as it is",
                "The server or a proxy on the way garbles it: point MTA_FEED_URL at another mirror.",
            ) from fault
        except requests.exceptions.TooManyRedirects as fault:
            raise self.fault(FeedError, str(fault), "the file", "Point MTA_FEED_URL at its final address.") from fault
        except requests.exceptions.SSLError as fault:
            raise self.fault(
                FeedError,
                f"a TLS error ({_root(fault)})",
                "a certificate that can be verified",
                "Check the address and this machine's clock and certificates.",
            ) from fault
        except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as fault:
            raise self.fault(
                TransientFeedError,
                f"silence for {self._silence(fault):g} s, after {self.size:,} bytes",
                "the file",
                "The server stalls or cannot be reached: run the week again later.",
            ) from fault
        except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError) as fault:
            raise self._cut(f"a stream cut after {self.size:,} bytes ({_root(fault)})", "the whole file") from fault
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as fault:
            raise self.fault(
                TransientFeedError,
                f"no connection ({_root(fault)})",
                "an answer",
                "Check MTA_FEED_URL and this machine's network, then run the week again.",
            ) from fault

    def _silence(self, fault: Exception) -> float:
        connecting = isinstance(fault, requests.exceptions.ConnectTimeout)
        return self._patience.connect if connecting else self._patience.read

    def _malformed(self, fault: Exception) -> FeedError:
        return self.fault(
            FeedError,
            f"an address that cannot be used ({without_credentials(str(fault))})",
            "http(s)://…",
            "Correct MTA_FEED_URL.",
        )

    def _cut(self, found: str, expected: str) -> FeedError:
        return self.fault(TransientFeedError, found, expected, "The server or the line broke off: run the week again.")

    def fault(
        self,
        kind: type[FeedError],
        found: str,
        expected: str,
        remedy: str,
        retry_after: float | None = None,
    ) -> FeedError:
        """An error about this file."""
        finding = Finding(
            week=self._week, where=without_credentials(self._url), found=found, expected=expected, remedy=remedy
        )
        if issubclass(kind, TransientFeedError):
            return kind(finding, retry_after)
        return kind(finding)


def _http_version(response: requests.Response) -> str:
    # Not ETag first: of a mirror's machines each may make up its own.
    return response.headers.get("Last-Modified") or response.headers.get("ETag", "")


def _file_version(stat: os.stat_result) -> str:
    return f"{stat.st_size} bytes of {stat.st_mtime_ns}"


def _seconds(retry_after: str | None, now: Callable[[], float] = time.time) -> float | None:
    """Retry-After in seconds: a number, or an HTTP date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if re.fullmatch("[0-9]+", retry_after.strip()):
        return float(retry_after)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(retry_after).timestamp() - now())
    except ValueError:
        return None


def _root(fault: BaseException) -> str:
    """The innermost reason of a network error, without the URL and object addresses around it."""
    while True:
        inner = getattr(fault, "reason", None) or next((a for a in fault.args if isinstance(a, BaseException)), None)
        if not isinstance(inner, BaseException):
            break
        fault = inner
    text = getattr(fault, "strerror", None) or str(fault)
    return re.sub(r"^(<.*?>|HTTPS?Connection(Pool)?\(.*?\)): ", "", text) or type(fault).__name__
