"""What the demo says while it goes: one line per fact, each with the seconds since the beginning."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Final

from rich.console import Console
from rich.text import Text

_PLAIN_WIDTH: Final = 200


class Narrator:
    """Prints lines; ``began`` is the moment that counts as zero."""

    def __init__(self, console: Console | None = None, began: datetime | None = None) -> None:
        self.console = console or make_console()
        self._began = began or datetime.now(UTC)

    def step(self, number: int, title: str) -> None:
        """Head a step of the story."""
        self.console.print()
        self._line(datetime.now(UTC), Text(f"{number}. {title}", style="bold"))

    def say(self, sentence: str) -> None:
        """A fact that the story makes a point of."""
        self._line(datetime.now(UTC), Text(f"   {sentence}"))

    def tell(self, at: datetime, sentence: str) -> None:
        """Something that the laboratory itself logged at that moment."""
        self._line(at, Text(f"     · {sentence}", style="dim"))

    def fail(self, sentence: str) -> None:
        self._line(datetime.now(UTC), Text(sentence, style="bold red"))

    def elapsed(self, at: datetime | None = None) -> float:
        """Seconds since the beginning."""
        return ((at or datetime.now(UTC)) - self._began).total_seconds()

    def _line(self, at: datetime, text: Text) -> None:
        self.console.print(Text(f"{self.elapsed(at):6.2f} s  ", style="cyan").append_text(text))


def make_console() -> Console:
    """A console; in a file or a pipe there is no edge to wrap lines at."""
    return Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
