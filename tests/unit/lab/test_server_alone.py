"""Managers that take over wait for those before them."""

from __future__ import annotations

import threading
from pathlib import Path

from lab.server.alone import alone


def test_managers_that_take_over_start_when_those_before_have_ended(tmp_path: Path) -> None:
    told: list[str] = []

    def take_over() -> None:
        with alone(tmp_path):
            told.append("the later ones start")

    later = threading.Thread(target=take_over)
    with alone(tmp_path):
        later.start()
        told.append("the earlier ones end")
    later.join(10)
    assert told == ["the earlier ones end", "the later ones start"]
