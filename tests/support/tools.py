"""Programs that some tests need and that not every machine has."""

from __future__ import annotations

import os

import pytest

REQUIRED = os.environ.get("TEST_TOOLS") == "required"
"""As in `.ci/run`, which installs them: there a test that lacks one fails."""


def skipped_if(missing: str | None) -> pytest.MarkDecorator:
    """Skips a test for want of what is ``missing``, unless it is required."""
    return pytest.mark.skipif(missing is not None and not REQUIRED, reason=str(missing))
