"""All settings, read from the environment in this one place."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from mta_pipeline.domain.errors import Finding, SettingsError, WeekError
from mta_pipeline.domain.weeks import FIRST_PUBLISHED, Week

A_YEAR = 8_784  # hours, at most
MTA_FEED = "http://web.mta.info/developers/data/nyct/turnstile"
MTA_BOOTHS = "http://web.mta.info/developers/resources/nyct/turnstile/Remote-Booth-Station.xls"
LOCAL_UI = "http://127.0.0.1:3000"


def _project() -> Path:
    """The clone this code runs from, else (installed as a package) the current folder."""
    clone = Path(__file__).resolve().parents[2]
    return clone if (clone / "workspace.yaml").is_file() else Path.cwd()


PROJECT = _project()


@dataclass(frozen=True)
class Settings:
    """Where the data comes from, where it goes, which weeks there are, and who is told of trouble."""

    feed_url: str
    feed_scale: float
    booths_url: str  #: the MTA's list of booths, .xls or .csv
    lake_url: str
    staging_dir: Path
    first_week: Week
    last_week: Week | None
    overdue_after: timedelta  #: how long after its file was due a week may be missing from the lake
    ui_url: str
    #: Each holds passwords or tokens, so they are never shown.
    alert_urls: tuple[str, ...] = field(repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of `environment` (default: the process's), blank meaning unset.

        Relative folders are relative to the project. Raises `SettingsError`, naming the variable.
        """
        given = {
            name: value.strip()
            for name, value in (os.environ if environment is None else environment).items()
            if name.startswith("MTA_") and value.strip()
        }
        first = _week(given, "MTA_FIRST_WEEK") or FIRST_PUBLISHED
        last = _week(given, "MTA_LAST_WEEK")
        if last and last < first:
            raise _wrong("MTA_LAST_WEEK", last.key, f"no week before MTA_FIRST_WEEK, {first.key}")
        return cls(
            feed_url=usable_url("MTA_FEED_URL", given.get("MTA_FEED_URL", MTA_FEED)),
            booths_url=usable_url("MTA_BOOTHS_URL", given.get("MTA_BOOTHS_URL", MTA_BOOTHS)),
            feed_scale=_scale(given.get("MTA_FEED_SCALE", "1")),
            lake_url=_lake_url(given.get("MTA_LAKE_URL", "data/lake")),
            staging_dir=_folder("MTA_STAGING_DIR", given.get("MTA_STAGING_DIR", "data/staging")),
            first_week=first,
            last_week=last,
            overdue_after=_hours("MTA_OVERDUE_HOURS", given.get("MTA_OVERDUE_HOURS", "48")),
            ui_url=_ui_url(given.get("MTA_UI_URL", LOCAL_UI)),
            alert_urls=_addresses(given.get("MTA_ALERT_URLS", "")),
        )


def _folder(variable: str, text: str) -> Path:
    try:
        return PROJECT / Path(text).expanduser()
    except RuntimeError as fault:  # ~somebody who does not exist
        raise _wrong(variable, text, "a folder") from fault


def usable_url(variable: str, text: str) -> str:
    """An address, its scheme in small letters, without a slash at its end; else `SettingsError` names `variable`."""
    scheme, _, rest = text.partition(":")
    try:
        url = urlsplit(text)
        usable = url.port != 0 and bool(url.hostname if url.scheme in ("http", "https") else url.path.strip("/"))
    except ValueError:  # brackets that do not match, or a port that is no number
        usable = False
    if (
        not usable
        or scheme.lower() not in ("http", "https", "file")
        or (scheme.lower() == "file" and rest[:3] != "///")
    ):
        raise _wrong(variable, without_credentials(text), "an address as http://…, https://… or file:///…")
    folder, mark, query = rest.partition("?")
    return f"{scheme.lower()}:{folder.rstrip('/')}{mark}{query}"


def _lake_url(text: str) -> str:
    """An absolute folder, or the URL of an object store as it was given."""
    if "://" not in text:
        return str(_folder("MTA_LAKE_URL", text))
    if not re.fullmatch(r"gs://[^/]+(/.*)?", text):
        raise _wrong("MTA_LAKE_URL", text, "a folder, or gs://bucket[/prefix]")
    return text.rstrip("/")


def _ui_url(text: str) -> str:
    """The UI's address, without a slash at its end. It is sent around, so a password has no place in it."""
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0 and url.username is None
    except ValueError:
        usable = False
    if not usable or url.query or url.fragment:
        raise _wrong("MTA_UI_URL", without_credentials(text), "an address as http://… or https://…, without a password")
    return text.rstrip("/")


def _addresses(text: str) -> tuple[str, ...]:
    """Apart as Apprise takes them apart: at blanks, commas and semicolons before a `scheme://`."""
    return tuple(re.split(r"[\s,;]+(?=[A-Za-z0-9]+://)", text)) if text else ()


def _scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale <= 10:
        raise _wrong("MTA_FEED_SCALE", text, "a number above 0: 1 for the MTA's files, 0.02 for samples of 5,000 rows")
    return scale


def _hours(variable: str, text: str) -> timedelta:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if not 0 <= hours <= A_YEAR:
        raise _wrong(variable, text, f"a number of hours, from 0 to {A_YEAR:,}")
    return timedelta(hours=hours)


def _week(given: Mapping[str, str], variable: str) -> Week | None:
    try:
        return Week.parse(given[variable]) if variable in given else None
    except WeekError as fault:
        raise _wrong(variable, given[variable], fault.finding.expected) from fault


def without_credentials(text: str) -> str:
    """An address, or a text that quotes some, fit for logs and messages.

    User and password, and the whole query (where tokens and signatures are), are replaced by `***`. It
    rather hides too much: an `@` in a path counts as the end of a password.
    """
    return re.sub(r"[?#]\S+", "?***", re.sub(r"://.*@", "://***@", text, flags=re.DOTALL))


def _wrong(variable: str, found: str, expected: str) -> SettingsError:
    remedy = f"Correct {variable}, or unset it for its default."
    return SettingsError(Finding(where=variable, found=repr(found), expected=expected, remedy=remedy))
