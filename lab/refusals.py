"""What the laboratory refuses to do, by the kind of answer a caller gets; each text is one sentence for a person."""

from __future__ import annotations

from hotswap.errors import HotswapError


class NotFoundError(HotswapError):
    """There is no such task, experiment, device or version."""


class ConflictError(HotswapError):
    """The request is sensible, but not in the state things are in."""


class SubmissionError(HotswapError):
    """An experiment that cannot be run as it is written; nothing of it was stored."""


class AnswerError(HotswapError):
    """An answer that a prompt does not offer."""
