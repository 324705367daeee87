"""The catalogue: everything that goes wrong in a campaign, as data, by the place where it goes wrong.

How each strikes is in `strikes`; how a round goes, in `rounds`.
"""

from __future__ import annotations

import gzip
import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from chaos.rounds import World
from chaos.strikes import (
    HTML,
    always,
    another_writer,
    at_first,
    broken_server,
    bucket,
    busy,
    clock_goes_back,
    cut_at_line_ends,
    cut_without_length,
    disk_fills,
    due_meanwhile,
    ended_by,
    gives,
    hour_twice,
    in_gzip,
    just_due,
    left_behind,
    letters,
    no_way,
    not_due_yet,
    odd_week,
    one_machine_behind,
    other_week,
    range_ignored,
    read_only,
    replaced_between_tries,
    small_disk,
    staged_file_cut,
    two_runs,
    wrong_length,
    wrong_part,
    zeroed,
)
from mta_pipeline.domain.weeks import Week
from mta_pipeline_tests import feed_server

Expected = Literal["survived", "healed", "either"]  #: how a week is expected to come through
Place = Literal["feed", "bucket", "disk", "process", "staging", "clock"]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong."""

    name: str
    place: Place
    what: str
    expected: Expected
    strike: Callable[[World], None]
    lake: Literal["folder", "bucket"] = "folder"
    prepare: Callable[[World], None] | None = None  #: before the round begins, e.g. to mount a small disk
    last_week: Callable[[random.Random], Week] | None = None  #: chosen where the round's weeks matter


def _feed(name: str, expected: Expected, what: str, strike: Callable[[World], None]) -> Fault:
    return Fault(name, "feed", what, expected, strike)


def _in_bucket(name: str, expected: Expected, what: str, strike: Callable[[World], None]) -> Fault:
    return Fault(name, "bucket", what, expected, strike, lake="bucket")


FAULTS: tuple[Fault, ...] = (
    _feed("cut", "survived", "the stream ends before the promised length",
          at_first(lambda r: feed_server.cut(r.body, r.within()))),
    _feed("cut-at-line-end", "survived", "the stream ends before the promised length, exactly at a line's end",
          at_first(lambda r: feed_server.cut(r.body, r.line_end(0.05, 0.95)))),
    _feed("cut-in-chunks", "survived", "a chunked stream without its last chunk",
          at_first(lambda r: feed_server.chunked(r.body[:r.within()], cut=True))),
    _feed("cut-no-length", "healed", "the stream ends inside a line, and no length was promised",
          always(lambda r: cut_without_length(r, r.within()))),
    _feed("cut-at-line-end-no-length", "survived",
          "no length is promised, and the stream ends at a line's end, each time at another", cut_at_line_ends),
    _feed("reset", "survived", "the connection is reset in the middle",
          at_first(lambda r: feed_server.cut(r.body, r.within(), reset=True))),
    _feed("stall", "survived", "silence in the middle",
          at_first(lambda r: feed_server.stalling(r.body, r.within()), tries=1)),
    _feed("no-answer", "survived", "silence from the beginning", at_first(lambda _: feed_server.silent, tries=1)),
    _feed("slow-drip", "survived", "a byte at a time, for longer than a try may take",
          at_first(lambda r: feed_server.drip(r.body, 0.02), tries=1)),
    _feed("too-many-requests", "survived", "429 with Retry-After: seconds, a date, nonsense", at_first(busy)),
    _feed("5xx-burst", "survived", "500, 502, 503, 504, up to four times in a row", at_first(broken_server)),
    _feed("5xx-outage", "healed", "500, 502, 503, 504 for the whole run", always(broken_server)),
    _feed("length-too-long", "healed", "a wrong Content-Length, more than there is", always(wrong_length(7))),
    _feed("length-too-short", "healed", "a wrong Content-Length, less than there is", always(wrong_length(-7))),
    _feed("html", "healed", "a page that says sorry, with status 200", always(gives(lambda _: HTML))),
    _feed("empty", "healed", "an empty file", always(gives(lambda _: b""))),
    _feed("letters", "healed", "letters in counters", always(gives(letters))),
    _feed("zero-bytes", "healed", "a block of zero bytes", always(gives(zeroed))),
    _feed("truncated-at-source", "healed", "a file that was cut before it was served, inside a line",
          always(gives(lambda r: r.body[:r.within()]))),
    _feed("half-a-file", "healed", "less than half of the lines, whole ones",
          always(gives(lambda r: r.body[:r.line_end(0.1, 0.5)]))),
    _feed("doubled", "healed", "the file twice over", always(gives(lambda r: r.body + r.body))),
    _feed("other-week", "healed", "another week's file under this name", always(gives(other_week))),
    _feed("gzip-undeclared", "healed", "the file gzipped, and nothing says so",
          always(gives(lambda r: gzip.compress(r.body, mtime=0)))),
    _feed("gzip-declared", "either", "the file gzipped though nobody asked for it, properly declared",
          at_first(lambda r: in_gzip(r, cut=False), tries=1)),
    _feed("gzip-cut", "either", "the file gzipped and declared so, and the stream ends too early",
          at_first(lambda r: in_gzip(r, cut=True))),
    _feed("range-ignored", "survived", "a stream that breaks, and a server that then begins anew",
          at_first(range_ignored)),
    _feed("wrong-range", "either", "a stream that breaks, and a server that goes on from another place",
          at_first(wrong_part)),
    _feed("replaced-between-tries", "survived", "a stream that breaks, and the publisher has a new file",
          replaced_between_tries),
    _feed("late-file", "healed", "404, and the file comes later", always(lambda _: feed_server.status(404))),
    _feed("forbidden", "healed", "403 for everything", always(lambda _: feed_server.status(403))),
    _feed("redirect-loop", "healed", "redirects in a circle",
          always(lambda r: feed_server.redirect(f"/{r.week.file_name}"))),
    _feed("refused", "healed", "nothing listens at the feed's address",
          no_way(lambda: f"http://127.0.0.1:{feed_server.closed_port()}")),
    _feed("unknown-host", "healed", "the feed's name cannot be resolved", no_way(lambda: "http://feed.invalid")),

    _in_bucket("bucket-503", "survived", "half of all requests meet 503", bucket("fail", 0.5, 503, reads=True)),
    _in_bucket("bucket-429", "survived", "half of all uploads meet 429", bucket("fail", 0.5, 429)),
    _in_bucket("bucket-outage", "healed", "all uploads meet 503", bucket("fail", 1, 503)),
    _in_bucket("bucket-forbidden", "healed", "all uploads meet 403", bucket("fail", 1, 403)),
    _in_bucket("bucket-unauthorized", "healed", "all requests meet 401", bucket("fail", 1, 401, reads=True)),
    _in_bucket("bucket-reset", "survived", "half of all uploads are reset in the middle", bucket("reset", 0.5)),
    _in_bucket("bucket-stall", "survived", "a fifth of all uploads get no answer, and are not carried out",
               bucket("stall", 0.2)),
    _in_bucket("bucket-late", "either", "a fifth of all uploads are carried out when the client has given them up",
               bucket("late", 0.2)),
    _in_bucket("bucket-answer-lost", "survived", "half of all uploads are carried out, and the answer is lost",
               bucket("lose", 0.5)),
    _in_bucket("bucket-wrong-checksum", "survived", "half of all answers to uploads name a wrong crc32c",
               bucket("garble", 0.5)),
    _in_bucket("bucket-another-writer", "healed", "between look and write another writer puts the newer file there",
               another_writer),
    Fault("bucket-sigkill", "process", "SIGKILL at random moments, over a bucket", "healed",
          ended_by(signal.SIGKILL, 3), lake="bucket"),
    Fault("bucket-two-machines", "process", "two runs at once with a staging folder each, over a bucket", "survived",
          two_runs(machines=True), lake="bucket"),

    Fault("sigkill", "process", "SIGKILL at random moments", "healed", ended_by(signal.SIGKILL, 4)),
    Fault("sigterm", "process", "SIGTERM at random moments", "healed", ended_by(signal.SIGTERM, 3)),
    Fault("sigint", "process", "SIGINT (Ctrl-C) at random moments", "healed", ended_by(signal.SIGINT, 3)),
    Fault("two-runs", "process", "two runs at once on the same weeks", "survived", two_runs()),
    Fault("two-machines", "process", "two runs at once with a staging folder each", "survived",
          two_runs(machines=True)),
    Fault("one-machine-behind", "process", "of two machines one gets old files, the other those that replace them",
          "either", one_machine_behind),
    Fault("bucket-one-machine-behind", "process", "of two machines one gets old files, over a bucket",
          "either", one_machine_behind, lake="bucket"),
    Fault("one-of-two-killed", "process", "two runs at once, and SIGKILL for one of them", "either",
          two_runs(kill=True)),

    Fault("lake-full", "disk", "the lake's disk fills up", "either", disk_fills(0, 0.03),
          prepare=small_disk("lake")),
    Fault("staging-full", "disk", "staging's disk fills up", "either", disk_fills(0.05, 0.4),
          prepare=small_disk("staging")),
    Fault("all-full", "disk", "one disk for lake, staging and Dagster's record fills up", "either",
          disk_fills(1, 4), prepare=small_disk("lake", "staging", "home")),
    Fault("lake-read-only", "disk", "the lake can only be read", "healed", read_only, prepare=small_disk("lake")),
    Fault("staging-read-only", "disk", "staging can only be read", "healed", read_only,
          prepare=small_disk("staging")),

    Fault("staged-file-cut", "staging", "staged files are cut before lake_object is made of them", "either",
          staged_file_cut),
    Fault("left-behind", "staging", "half-done files and locks of killed runs lie about", "survived", left_behind),

    Fault("not-due-yet", "clock", "seconds before a week's file is due", "survived", not_due_yet,
          last_week=odd_week),
    Fault("just-due", "clock", "the second in which it is due", "survived", just_due, last_week=odd_week),
    Fault("due-meanwhile", "clock", "it becomes due during a run", "either", due_meanwhile, last_week=odd_week),
    Fault("hour-twice", "clock", "the hour that New York's clocks have twice", "survived", hour_twice,
          last_week=odd_week),
    Fault("clock-set-back", "clock", "the clock goes back an hour between runs, and files are replaced", "survived",
          clock_goes_back, last_week=odd_week),
)  # fmt: skip
