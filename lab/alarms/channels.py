"""The ways out: e-mail, a webhook, a command. Each sends one message or says why it could not."""

from __future__ import annotations

import http.client
import json
import logging
import smtplib
import ssl
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final, Protocol

from hotswap.errors import HotswapError
from lab.alarms.settings import Alarms, Command, Email, Webhook

TRIES: Final = 3
_PATIENCE_SECONDS: Final = 10.0
_COMMAND_SECONDS: Final = 30.0
_LONGEST_REASON: Final = 200

log = logging.getLogger(__name__)


class ChannelError(HotswapError):
    """A message could not be sent; no secret is in the sentence."""


@dataclass(frozen=True)
class Message:
    """``id`` is the same when it is sent again, so that a mail server can tell."""

    id: str
    title: str
    body: str


class Channel(Protocol):
    """One way out."""

    def send(self, message: Message) -> None:
        """Send it, or raise ChannelError."""


def channels_of(settings: Alarms, *, simulation: bool) -> dict[str, Channel]:
    """The ways out that are set up, by name; none from a simulated laboratory, unless that is wanted."""
    if simulation and not settings.in_simulation:
        return {}
    found: dict[str, Channel] = {}
    if settings.email is not None:
        found["email"] = _Email(settings.email)
    if settings.webhook is not None:
        found["webhook"] = _Webhook(settings.webhook)
    if settings.command is not None:
        found["command"] = _Command(settings.command)
    return found


def tell_now(
    channels: dict[str, Channel], message: Message, pause: Callable[[float], object], tries: int = TRIES
) -> dict[str, str | None]:
    """Send a message by every channel, at once and in turn; each with why it failed at last, None if it did not.

    ``pause`` waits for so many seconds before another of the ``tries``.
    """
    return {name: _persist(channel, message, pause, tries) for name, channel in channels.items()}


def _persist(channel: Channel, message: Message, pause: Callable[[float], object], tries: int) -> str | None:
    failure = None
    for attempt in range(tries):
        if attempt:
            pause(2.0**attempt)
        try:
            channel.send(message)
        except ChannelError as error:
            failure = str(error)
            log.warning("%s", failure)
        else:
            return None
    return failure


class _Email:
    def __init__(self, settings: Email) -> None:
        self._settings = settings

    def send(self, message: Message) -> None:
        settings = self._settings
        try:
            with self._connect() as server:
                if settings.user is not None:
                    server.login(settings.user, settings.password or "")
                server.send_message(self._written(message))
        except (OSError, smtplib.SMTPException) as error:
            raise ChannelError(
                f"The e-mail was not sent by {settings.host}:{settings.port} ({_brief(error)})."
            ) from None

    def _connect(self) -> smtplib.SMTP:
        host, port, tls = self._settings.host, self._settings.port, self._settings.tls
        if tls == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=_PATIENCE_SECONDS, context=ssl.create_default_context())
        server = smtplib.SMTP(host, port, timeout=_PATIENCE_SECONDS)
        if tls == "starttls":
            try:
                server.starttls(context=ssl.create_default_context())
            except BaseException:  # whatever it is, the connection is not left open
                server.close()
                raise
        return server

    def _written(self, message: Message) -> EmailMessage:
        written = EmailMessage()
        written["Subject"] = " ".join(message.title.split())
        written["From"] = self._settings.sender
        written["To"] = ", ".join(self._settings.receivers)
        written["Message-ID"] = f"<{message.id}@{self._settings.sender.rpartition('@')[2]}>"
        written.set_content(message.body)
        return written


class _Webhook:
    def __init__(self, settings: Webhook) -> None:
        self._url = settings.url or ""

    def send(self, message: Message) -> None:
        data = json.dumps({"text": f"*{message.title}*\n{message.body}"}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self._url, data, headers, method="POST")  # noqa: S310 - see `Webhook`
            with urllib.request.urlopen(request, timeout=_PATIENCE_SECONDS) as response:  # noqa: S310 - as above
                response.read(1024)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ChannelError(f"The webhook did not take the message ({self._told(error)}).") from None

    def _told(self, error: Exception) -> str:
        """Why, without the address, which some errors quote."""
        if isinstance(error, urllib.error.HTTPError):
            error.close()
            return f"HTTP status {error.code}"
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return type(error).__name__ if self._url in str(reason) or not isinstance(error, OSError) else _brief(reason)


class _Command:
    def __init__(self, settings: Command) -> None:
        self._run = settings.run

    def send(self, message: Message) -> None:
        name = self._run[0]
        with tempfile.TemporaryFile() as said:  # no pipe: a child of the command could keep that open
            try:
                ran = subprocess.run(
                    self._run,
                    input=f"{message.title}\n\n{message.body}\n".encode(),
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    timeout=_COMMAND_SECONDS,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise ChannelError(f"The command {name} did not end within {_COMMAND_SECONDS:.0f} s.") from None
            except OSError as error:
                raise ChannelError(f"The command {name} did not start ({error.strerror}).") from None
            if ran.returncode:
                said.seek(0)
                lines: Sequence[str] = said.read(4096).decode(errors="replace").strip().splitlines()
                last = f": {lines[-1][:_LONGEST_REASON]}" if lines else ""
                raise ChannelError(f"The command {name} ended with exit code {ran.returncode}{last}.")


def _brief(error: object) -> str:
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
