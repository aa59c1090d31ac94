"""What the laboratory refuses, by the kind of answer a caller gets; each text is one sentence for a person."""

from __future__ import annotations

from hotswap.errors import HotswapError


class LabError(HotswapError):
    """Root of the laboratory's errors."""


class NotFoundError(LabError):
    """There is no such task, experiment, device or version."""


class ConflictError(LabError):
    """The request is sensible, but not in the state things are in."""


class SubmissionError(LabError):
    """An experiment that cannot be run as it is written; nothing of it was stored."""
