"""Spans of time as people write them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.durations import DurationError, duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("90", 90), ("1.5m", 90), ("2 min", 120), ("2h", 7200), (" 7d ", 604_800)]
)
def test_spans_are_read(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "2 weeks", "-1h", "0s", "1e9", "9999999d", "٣s"])
def test_what_is_no_span_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(DurationError, match="is no span of time; write it as 90s, 15m, 2h or 7d"):
        duration(text)
