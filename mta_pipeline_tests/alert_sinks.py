"""Where a test's alerts arrive: a mail server on this machine, beside pytest-httpserver's webhook."""

from __future__ import annotations

import asyncio
import email
import email.policy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from pytest_httpserver import HTTPServer

#: Stands in addresses, and must be seen nowhere else.
SECRET = "hunter2secret"


@dataclass
class MailSink:
    """A mail server that takes mail only from who knows the password, and keeps it."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:  # noqa: N802
        mail = email.message_from_bytes(cast("bytes", envelope.content), policy=email.policy.default)
        self.mails.append(mail)
        return "250 OK"

    @property
    def url(self) -> str:
        return (
            f"mailto://mta:{SECRET}@127.0.0.1:{self.port}/"
            "?from=mta@example.org&to=ops@example.org&mode=insecure&format=text"
        )


class _AnyPort(Controller):
    """A controller that finds out which port the kernel gave it, and leaves no connection behind."""

    def factory(self) -> SMTP:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Requiring AUTH while not requiring TLS")  # nobody listens here
            connection = cast("SMTP", super().factory())
        self.connections: list[SMTP] = [*getattr(self, "connections", []), connection]
        return connection

    def stop(self, no_assert: bool = False) -> None:
        async def hang_up() -> None:
            for connection in self.connections:
                if connection.transport:
                    connection.transport.close()
            await asyncio.sleep(0)  # close() only asks for it
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(hang_up(), self.loop).result()
        super().stop(no_assert)

    def _trigger_server(self) -> None:
        assert self.server
        self.port = cast("Any", self.server).sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def serving_mail() -> Iterator[MailSink]:
    def authenticate(server: object, session: object, envelope: object, mechanism: str, login: object) -> AuthResult:
        known = isinstance(login, LoginPassword) and login.password == SECRET.encode()
        return AuthResult(success=known, handled=known)

    sink = MailSink()
    server = _AnyPort(sink, "127.0.0.1", 0, authenticator=authenticate, auth_required=True, auth_require_tls=False)
    server.start()
    try:
        sink.port = server.port
        yield sink
    finally:
        server.stop()


@dataclass
class Webhook:
    """A path of the local web server that takes messages, or answers with another status."""

    server: HTTPServer
    status: int = 200
    path: str = f"/{SECRET}"

    def __post_init__(self) -> None:
        self.answer(self.status)

    def answer(self, status: int) -> None:
        """From now on answer with this status."""
        self.status = status
        self.server.clear_all_handlers()
        self.server.expect_request(self.path, method="POST").respond_with_data("", status=status)

    @property
    def url(self) -> str:
        return f"json://mta:{SECRET}@{self.server.host}:{self.server.port}{self.path}"

    @property
    def messages(self) -> list[dict[str, str]]:
        """What was taken, in order."""
        return [request.get_json() for request, response in self.server.log if response.status_code == 200]

    @property
    def titles(self) -> list[str]:
        """The titles, without who sends them."""
        return [message["title"].partition(": ")[2] for message in self.messages]
