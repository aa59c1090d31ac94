"""``[archive]`` and ``[retention]`` of ``lab.toml``: what is kept, where, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from lab.settings.section import Section, revealed


class Archive(Section):
    """``[archive]``: experiments go there ``after_days`` have passed since they ended; without it by hand only.

    Without a ``uri`` it is another database of the lab's own server, without a ``database`` named after the lab's.
    """

    uri: str | None = Field(default=None, repr=False)
    uri_env: str | None = None
    uri_file: Path | None = None
    database: str | None = Field(default=None, min_length=1, max_length=60, pattern=r"^[A-Za-z0-9_-]+$")
    after_days: float | None = Field(default=None, ge=0)

    def revealed(self, environ: Mapping[str, str]) -> Archive:
        return self.model_copy(update=revealed("archive.uri", self.uri, self.uri_env, self.uri_file, environ))


class Retention(Section):
    """``[retention]``: days after which things leave the lab's database; without a number they stay.

    Experiments leave it only once they are archived.
    """

    events_days: float | None = Field(default=None, ge=1)
    calls_days: float | None = Field(default=None, ge=1)
    experiments_days: float | None = Field(default=None, ge=1)
