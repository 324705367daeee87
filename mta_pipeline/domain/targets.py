"""Where alerts go: the addresses of `MTA_ALERT_URLS`, over Apprise.

An address is a secret as a whole (tokens stand in any part of it), so a target is only ever shown by
its place in the list and its kind, and what Apprise says of it loses all that stands in the address.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from mta_pipeline.domain.alerts import SENDER, Message
from mta_pipeline.domain.errors import Finding

#: Seconds for a target to take a message.
PATIENCE = 10.0
SHORTEST_SECRET = 3

_sending = ContextVar("sending", default=False)


def _is_no_alert(_: logging.LogRecord) -> bool:
    """A filter for log records: whether this was logged outside of sending."""
    return not _sending.get()


@dataclass(frozen=True)
class Target:
    """One address. Its name, such as `2 (slack)`, is fit for everybody's eyes."""

    name: str
    url: str = field(repr=False)


def targets_of(urls: Sequence[str]) -> list[Target]:
    """The targets by their place in the setting, from 1 on, and their kind."""
    return [
        Target(f"{place} ({scheme.lower()})" if address else f"{place} (no address)", url)
        for place, url in enumerate(urls, 1)
        for scheme, address, _ in [url.partition("://")]
    ]


def send(message: Message, targets: Sequence[Target], patience: float = PATIENCE) -> dict[str, Finding | None]:
    """Send to all targets at the same time; tells by name what was wrong with each, None where it took the message.

    A target has `patience` seconds. Nothing is raised: whatever is the matter with a target is a finding.
    """
    if not targets:
        return {}
    with ThreadPoolExecutor(len(targets), thread_name_prefix="alert") as pool:
        findings = pool.map(lambda target: _send(message, target, patience), targets)
        return {target.name: finding for target, finding in zip(targets, findings, strict=True)}


def _send(message: Message, target: Target, patience: float) -> Finding | None:
    import apprise

    # Both log addresses, or parts of them. What there is to say, we say.
    logging.getLogger("apprise").propagate = False
    logging.getLogger("urllib3.connectionpool").addFilter(_is_no_alert)
    _sending.set(True)  # in this thread, and in Apprise's threads that come from it
    asset = apprise.AppriseAsset(app_id=SENDER, app_desc=SENDER, service_timeout=patience)
    where = f"alert target {target.name}"
    try:
        service = apprise.Apprise.instantiate(target.url, asset=asset)
        if service is None:
            return Finding(
                where=where,
                found="an address that Apprise cannot use",
                expected="one as slack://…, mailtos://…, jsons://… (https://appriseit.com/services/)",
                remedy="Correct MTA_ALERT_URLS.",
            )
        if "overflow_mode" not in vars(service):  # the address may say otherwise
            service.overflow_mode = apprise.OverflowMode.TRUNCATE
        sender = apprise.Apprise(service, asset=asset)
        result = sender.notify(
            title=message.title,
            body=message.body,
            notify_type=message.kind.value,
            body_format=apprise.NotifyFormat.TEXT,
        )
        if result:
            return None
        if result.timeout_count:
            found = f"no answer within {patience:g} s"
        else:
            found = next((entry.message for entry in result.logs()), "a failure without a reason")
    except Exception as fault:  # noqa: BLE001 - the outermost edge of a plug-in's code, and no alert may break a tick
        found = type(fault).__name__
    return Finding(
        where=where,
        found=_without_secrets(found, target.url),
        expected="that it takes the message",
        remedy="Look whether the service is up, and whether its address in MTA_ALERT_URLS is right.",
    )


def _without_secrets(text: str, url: str) -> str:
    """The text without anything that stands in the address behind its scheme."""
    address = url.partition("://")[2]
    parts = {part for form in (address, unquote_plus(address)) for part in re.split(r"[/:@?&=,;\s]+", form)}
    for part in sorted(parts, key=len, reverse=True):
        if len(part) >= SHORTEST_SECRET:
            text = text.replace(part, "***")
    return " ".join(text.split())
