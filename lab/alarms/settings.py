"""``[alarms]`` of ``lab.toml``: who is told, by which way, how often."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from lab.settings.section import ConfigError, Section, is_loopback, revealed

Address = Annotated[str, StringConstraints(pattern=r"^[^\s@<>]+@[^\s@<>]+$")]


class Email(Section):
    """``[alarms.email]``. A password is sent to another machine over TLS only."""

    host: str = Field(min_length=1)
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["starttls", "tls", "none"] = "starttls"
    user: str | None = None
    password: str | None = Field(default=None, repr=False)
    password_env: str | None = None
    password_file: Path | None = None
    sender: Address
    receivers: tuple[Address, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _keep_the_password(self) -> Email:
        if self.user is not None and self.tls == "none" and not is_loopback(self.host):
            raise ValueError(f'a password is not sent to {self.host} in the clear: use tls = "starttls" or "tls"')
        if (self.user is None) != (self.password is None and self.password_env is None and self.password_file is None):
            raise ValueError("user and its password go together: give both, as password_env or password_file, or none")
        return self

    def revealed(self, environ: Mapping[str, str]) -> Email:
        given = revealed("alarms.email.password", self.password, self.password_env, self.password_file, environ)
        return self.model_copy(update=given)


class Webhook(Section):
    """``[alarms.webhook]``: takes ``{"text": ...}``, as Slack and many others do. Its address is a secret."""

    url: str | None = Field(default=None, repr=False)
    url_env: str | None = None
    url_file: Path | None = None

    @model_validator(mode="after")
    def _be_named(self) -> Webhook:
        if self.url is None and self.url_env is None and self.url_file is None:
            raise ValueError("its address is not given: say url_env or url_file")
        return self

    def revealed(self, environ: Mapping[str, str]) -> Webhook:
        given = revealed("alarms.webhook.url", self.url, self.url_env, self.url_file, environ)
        if not str(given["url"]).startswith(("https://", "http://")):
            raise ConfigError("alarms.webhook.url is not an address that begins with https://: correct it")
        return self.model_copy(update=given)


class Command(Section):
    """``[alarms.command]``: a program and its arguments; it gets the message on its standard input."""

    run: tuple[str, ...] = Field(min_length=1)


class Alarms(Section):
    """``[alarms]``: ``interval`` is how many seconds one subject is told of at most once in.

    ``mute`` names kinds of events that raise none. Nothing leaves a simulated laboratory, unless ``in_simulation``.
    """

    email: Email | None = None
    webhook: Webhook | None = None
    command: Command | None = None
    interval: float = Field(default=900.0, gt=0)
    prompt_minutes: float = Field(default=30.0, gt=0)
    disk_free_mb: int = Field(default=1024, ge=0)
    mute: tuple[str, ...] = ()
    in_simulation: bool = False

    def revealed(self, environ: Mapping[str, str]) -> Alarms:
        email = self.email.revealed(environ) if self.email else None
        webhook = self.webhook.revealed(environ) if self.webhook else None
        return self.model_copy(update={"email": email, "webhook": webhook})
