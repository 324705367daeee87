"""The feed: a folder of weekly files behind http(s):// or file://, and how one is fetched.

A fetch streams into a file that the caller chose, in constant memory, and either delivers the whole
file or raises a `FeedError` that says why. What often passes by itself (cut streams, stalls, 429,
5xx) is tried again with growing, random pauses, from where the stream broke off if the server can.
A fetch that is told to stop leaves what has come, and the next one goes on there, if the server can.
"""

from __future__ import annotations

import email.utils
import hashlib
import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urljoin, urlsplit
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
    Stopped,
    TransientFeedError,
    disk_errors_as,
)
from mta_pipeline.domain.leaving import Late, read_apart
from mta_pipeline.domain.origin import Origin, path_of
from mta_pipeline.domain.settings import without_credentials
from mta_pipeline.domain.weeks import Week

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Hiding(logging.Filter):
    """Hides credentials in what urllib3 logs: it quotes addresses, of answers with broken headers for instance."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_credentials(record.getMessage()), ()
        return True


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Hiding())

BLOCK = 1 << 20
PIECE = 1 << 17  # bytes at most that are handed on at a time: `leaving.AHEAD` of them may wait
MOST_BYTES = 256 << 20  # eight times the largest file ever published
MOST_REDIRECTS = 5
HEADERS = {"Accept-Encoding": "identity", "User-Agent": f"mta-pipeline/{__version__}"}
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Patience:
    """How long a fetch waits, in seconds, and how often it tries."""

    connect: float = 10
    read: float = 60  #: between two pieces of the stream
    attempt: float = 900  #: for one try as a whole, headers and redirects included: a slow drip must end
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

    def url_of(self, week: Week | None) -> str:
        """Where the week's file is, fit for logs: without user, password and query."""
        return without_credentials(self._address(week))

    def fetch(self, week: Week | None, destination: Path, stop: threading.Event | None = None) -> Fetched:
        """Bring the week's file to `destination`, replacing what is there; without a week, what is at the address.

        Raises `NotPublished`, another `FeedError`, or `StagingError` where writing fails; and `Stopped`
        soon after `stop` is set, from whatever it waits for.
        """
        begin = time.monotonic()
        stop = stop or threading.Event()
        fetch = _Fetch(week, self._address(week), self._patience, self._most_bytes, stop)
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(TransientFeedError),
            stop=tenacity.stop_after_attempt(self._patience.tries),
            wait=self._pause,
            # Once it is set the next try ends where it begins.
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=lambda state: log.warning("%s Trying again.", state.outcome and state.outcome.exception()),
            reraise=True,
        )
        read = fetch.read_file if self._url.startswith("file:") else fetch.read_http
        try:
            with disk_errors_as(StagingError, destination, "MTA_STAGING_DIR", week):
                destination.parent.mkdir(parents=True, exist_ok=True)
                with destination.open("a+b") as file:
                    fetch.go_on(file, Origin.of(destination))
                    path_of(destination).unlink(missing_ok=True)
                    try:
                        retrying(read, file)
                    except Stopped:
                        file.flush()
                        fetch.origin().write(destination)
                        raise
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
        asking = _Fetch(week, self._address(week), patience, self._most_bytes, threading.Event())
        try:
            return asking.look_at_file() if self._url.startswith("file:") else asking.look_at_http()
        except NotPublished:
            return None

    def _address(self, week: Week | None) -> str:
        """Where the week's file is: in the folder, under the same query (a token, say)."""
        if week is None:  # the address is a file's
            return self._url
        folder, mark, query = self._url.partition("?")
        return f"{folder.rstrip('/')}/{week.file_name}{mark}{query}"

    def _pause(self, state: tenacity.RetryCallState) -> float:
        """Full jitter (a random part of a doubling bound), or what the server asked for."""
        fault = state.outcome.exception() if state.outcome else None
        if isinstance(fault, TransientFeedError) and fault.retry_after is not None:
            return min(fault.retry_after, self._patience.longest_pause)
        bound = self._patience.first_pause * 2.0 ** (state.attempt_number - 1)
        return random.uniform(0, min(bound, self._patience.longest_pause))  # noqa: S311


class _Fetch:
    """One file on its way: what has arrived, over all tries."""

    def __init__(self, week: Week | None, url: str, patience: Patience, most_bytes: int, stop: threading.Event) -> None:
        self._week = week
        self._url = url
        self._patience = patience
        self._most_bytes = most_bytes
        self._stop = stop
        # What the first answer said of the file, which a part of it must not contradict.
        self._validator = ""  # proves that a resumed file is still the same file
        self._last_modified = ""
        self._total: int | None = None
        self.version = ""
        self.size = 0
        self.sha256 = hashlib.sha256()

    def origin(self) -> Origin:
        """What a later fetch must know to go on with what has come."""
        url = without_credentials(self._url)
        return Origin(url, self.sha256.hexdigest(), self._validator, self._last_modified, self._total)

    def go_on(self, file: BinaryIO, origin: Origin | None) -> None:
        """Take over what an earlier fetch left in `file`, if those are the bytes that `origin` tells of."""
        if not (origin and origin.etag and origin.url == without_credentials(self._url)):
            return
        file.seek(0)
        for block in iter(lambda: file.read(BLOCK), b""):
            self.size += len(block)
            self.sha256.update(block)
        if self.sha256.hexdigest() == origin.sha256:
            self._validator, self._last_modified, self._total = origin.etag, origin.last_modified, origin.total
        else:
            self.size, self.sha256 = 0, hashlib.sha256()

    def read_file(self, file: BinaryIO) -> None:
        """Copy from a folder."""
        self._empty(file)
        with closing(self._apart(self._from_folder())) as blocks:
            self._take(blocks, file)

    def _from_folder(self) -> Generator[bytes]:
        with self._folder_errors(), self._path.open("rb") as source:
            self.version = _file_version(os.fstat(source.fileno()))
            while block := source.read(PIECE):
                yield block

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
                FeedError,
                f"{type(error).__name__} ({error.strerror})",
                "a readable file",
                "Check its permissions, and the disk that MTA_FEED_URL points at.",
            ) from error

    def read_http(self, file: BinaryIO) -> None:
        """Stream from a server; goes on where the try before broke off if the server proves it can."""
        headers: dict[str, str] = {}
        if self.size and self._validator:
            headers = {"Range": f"bytes={self.size}-", "If-Range": self._validator}
        with self._network_errors(), closing(self._apart(self._from_server(headers))) as answer:
            response = cast(requests.Response, next(answer))
            self._check_status(response)
            self._check_encoding(response)
            self.version = _http_version(response)
            if response.status_code == 206:
                self._check_part(response)
            else:
                self._start_over(file, response)
            self._take(cast(Iterator[bytes], answer), file)
            self._check_length()
            told = self._total is not None or response.raw.chunked
        if not told:
            self._check_end()

    def _check_end(self) -> None:
        """Ask for what comes after the end, where only the closed connection told that it was the end.

        A stream that breaks at a line's end looks whole otherwise. A server that knows ranges answers in a
        word (RFC 9110, 15.5.17: 416); of another one the file is read again, for its size.
        """
        headers = {"Range": f"bytes={self.size}-"}
        with self._network_errors(), closing(self._apart(self._from_server(headers))) as answer:
            response = cast(requests.Response, next(answer))
            if response.status_code == 416:
                whole = response.headers.get("Content-Range", "").rpartition("/")[2]
                size = int(whole) if whole.isdecimal() else self.size
            else:
                self._check_status(response)
                self._check_encoding(response)
                before = self.size if response.status_code == 206 else 0
                size = before + sum(map(len, cast(Iterator[bytes], answer)))
        if size != self.size:
            raise self._cut(f"a stream that ended after {self.size:,} bytes", f"{size:,}, as another look tells")

    def _from_server(self, headers: dict[str, str], method: str = "GET") -> Generator[requests.Response | bytes]:
        """The answer's head, then its body as it comes in: `read1` returns what is there."""
        headers = {**HEADERS, **headers}
        timeout = (self._patience.connect, self._patience.read)
        with (
            _Session(self) as session,
            session.request(
                method, self._url, headers=headers, stream=True, timeout=timeout, allow_redirects=True
            ) as response,
        ):
            yield response
            while piece := response.raw.read1(PIECE, decode_content=False):
                yield piece

    def look_at_http(self) -> str:
        """The version of the file on a server."""
        for method, headers in (("HEAD", {}), ("GET", {"Range": "bytes=0-0"})):
            with self._network_errors(), closing(self._apart(self._from_server(headers, method))) as answer:
                response = cast(requests.Response, next(answer))
                if method == "HEAD" and response.status_code in (405, 501):
                    continue
                self._check_status(response)
                break
        return _http_version(response)

    def _apart(self, items: Generator[T]) -> Generator[T]:
        """The items, until we are told to stop, or this try has taken too long."""
        try:
            yield from read_apart(items, self._stop, time.monotonic() + self._patience.attempt)
        except Late:
            raise self.fault(
                TransientFeedError,
                f"{self.size:,} bytes in {self._patience.attempt:.0f} s",
                "the whole file in that time",
                "The line or the server is too slow: run the week again later.",
            ) from None

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

    def _check_encoding(self, response: requests.Response) -> None:
        """The file as it is was asked for. Nothing tells whether what is unpacked from a compressed one is whole."""
        encoding = response.headers.get("Content-Encoding", "")
        if encoding.strip().lower() not in ("", "identity"):
            raise self.fault(
                FeedError,
                f"an answer in the encoding {encoding!r}",
                "the file as it is, which is what was asked for",
                "The server, or a proxy on the way, compresses unasked: point MTA_FEED_URL at another mirror.",
            )

    def _check_part(self, response: requests.Response) -> None:
        """Make sure that this is the rest of the very file that has begun to come."""
        claimed = response.headers.get("Content-Range", "")
        match = re.fullmatch(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)", claimed)
        total = int(match[2]) if match and match[2] != "*" else None
        etag = response.headers.get("ETag") or self._validator
        last_modified = response.headers.get("Last-Modified") or self._last_modified
        if not self._validator or not match or int(match[1]) != self.size:
            found, expected = f"the part {claimed or 'unnamed'!r}", f"the part from byte {self.size}"
        elif total is not None and self._total is not None and total != self._total:
            found, expected = f"the rest of a file of {total:,} bytes", f"the rest of one of {self._total:,}"
        elif etag != self._validator:
            found, expected = f"the rest of a file with the ETag {etag}", f"the rest of {self._validator}"
        elif self._last_modified and last_modified != self._last_modified:
            found, expected = f"the rest of a file of {last_modified}", f"the rest of that of {self._last_modified}"
        else:
            self._total = self._total if total is None else total
            return
        # The next try begins at the beginning.
        self._validator = ""
        raise self.fault(TransientFeedError, found, expected, "Run the week again.")

    def _start_over(self, file: BinaryIO, response: requests.Response) -> None:
        self._empty(file)
        etag, length = response.headers.get("ETag", ""), response.headers.get("Content-Length", "")
        # Weak validators do not promise the same bytes (RFC 9110, 13.1.5).
        self._validator = "" if etag.startswith("W/") else etag
        self._last_modified = response.headers.get("Last-Modified", "")
        self._total = int(length) if length.isdecimal() else None

    def _empty(self, file: BinaryIO) -> None:
        if file.seek(0, os.SEEK_END):
            # Not where there is nothing: ext4 writes a file that was made empty to the disk as soon as it is closed.
            file.truncate(0)
        self.size, self.sha256 = 0, hashlib.sha256()

    def _take(self, pieces: Iterable[bytes], file: BinaryIO) -> None:
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

    def _check_length(self) -> None:
        """Hold what has come against what the server promised, where it did (the MTA's server did not)."""
        if self._total is not None and self.size != self._total:
            raise self._cut(f"{self.size:,} bytes", f"{self._total:,} as the server promised")

    @contextmanager
    def _network_errors(self) -> Iterator[None]:
        """Tell apart what the network does to us; disk errors pass through."""
        try:
            yield
        except (ValueError, urllib3.exceptions.LocationParseError) as fault:
            # requests' own errors about addresses are ValueErrors too
            raise self._malformed(fault) from fault
        except requests.exceptions.TooManyRedirects as fault:
            raise self.fault(
                FeedError,
                f"more than {MOST_REDIRECTS} redirects",
                "the file",
                "Point MTA_FEED_URL at its final address.",
            ) from fault
        except requests.exceptions.SSLError as fault:
            raise self.fault(
                FeedError,
                f"a TLS error ({_root(fault)})",
                "a certificate that can be verified",
                "Check the address and this machine's clock and certificates.",
            ) from fault
        except requests.exceptions.ProxyError as fault:
            raise self.fault(
                TransientFeedError,
                f"no way through the proxy ({_root(fault)})",
                "an answer",
                "The environment names a proxy (HTTP_PROXY, HTTPS_PROXY): correct it, or put the feed's host into "
                "NO_PROXY; then run the week again.",
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


class _Session(requests.Session):
    """Follows redirects: a few, to web addresses, and never out of TLS."""

    def __init__(self, fetch: _Fetch) -> None:
        super().__init__()
        self.max_redirects = MOST_REDIRECTS
        self._fetch = fetch

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """See `requests.sessions.SessionRedirectMixin`. Raises `FeedError` for an address that is not followed."""
        target = super().get_redirect_target(resp)
        if target is not None:
            try:
                self._check_redirect(resp.url, target)
            except BaseException:
                resp.close()  # nobody else does it any more
                raise
        return target

    def _check_redirect(self, url: str, target: str) -> None:
        here, there = urlsplit(url).scheme, urlsplit(urljoin(url, target)).scheme
        if there not in ("http", "https") or (here == "https" and there == "http"):
            raise self._fetch.fault(
                FeedError,
                f"a redirect from {here} to {without_credentials(target)}",
                "one to an https:// address" if here == "https" else "one to an http(s):// address",
                "Open the address and look; if that is where the files are now, point MTA_FEED_URL there.",
            )


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
    text = re.sub(r"^(<.*?>|HTTPS?Connection(Pool)?\(.*?\)): ", "", text)
    return without_credentials(text) or type(fault).__name__
