"""A zygote can be found and ended by others from its first moment."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotswap.fleet._parents import start_zygote
from hotswap.process import Identity
from hotswap.process.runs import Run, Runs

pytestmark = pytest.mark.system


def test_it_has_a_record_before_it_is_told_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(BaseException):
        """Whoever starts it is killed."""

    def save(_: Runs, run: Run) -> None:
        saved.append(run.identity)
        raise Interrupted

    saved: list[Identity] = []
    monkeypatch.setattr(Runs, "save", save)
    with pytest.raises(Interrupted):
        start_zygote(tmp_path, "secret", [], 600.0)
    (zygote,) = saved
    assert zygote.wait(20), "it was told nothing, and ends"


def test_its_record_is_there_when_it_has_been_started(tmp_path: Path) -> None:
    started = start_zygote(tmp_path, "secret", [], 600.0)
    try:
        assert [run.identity for run in Runs(tmp_path).load()] == [started.identity]
    finally:
        started.identity.kill()
        started.identity.wait(20)
