"""What the story claims must be true, or become true in time; if not, the demo says which claim failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from hotswap.errors import HotswapError

_LOOK_SECONDS: Final = 0.025

T = TypeVar("T")


class StoryError(HotswapError):
    """The laboratory did not do what the story tells."""


def claim(true: object, sentence: str) -> None:
    """Raise StoryError with the sentence, which says what is wrong, unless ``true``."""
    if not true:
        raise StoryError(sentence)


def wait_for(
    what: str, probe: Callable[[], T | None], *, seconds: float = 30.0, meanwhile: Callable[[], object] = bool
) -> T:
    """Return the first answer of ``probe`` that is neither None nor False.

    It is asked every few milliseconds, ``meanwhile`` is called in between. Raises StoryError after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = probe()
        meanwhile()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() > deadline:
            raise StoryError(f"Waited {seconds:g} s in vain for {what}.")
        time.sleep(_LOOK_SECONDS)
