"""The logs of processes: which, how much of them, and what is added."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from lab.logs import Line, NoLogError, lines_of, logs_of


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    (tmp_path / "run" / "processes").mkdir(parents=True)
    for name in ("logs/managers", "logs/database", "run/processes/worker-a", "run/processes/worker-b"):
        (tmp_path / f"{name}.log").write_text("".join(f"{name} {number}\n" for number in range(5)))
    return tmp_path


@pytest.mark.parametrize(
    ("process", "names"),
    [
        (None, ["database", "managers"]),
        ("managers", ["managers"]),
        ("worker", ["worker-a", "worker-b"]),
        ("worker-b", ["worker-b"]),
    ],
)
def test_a_process_is_named_or_how_its_name_begins(state: Path, process: str | None, names: list[str]) -> None:
    assert list(logs_of(state, process)) == names


def test_an_unknown_process_is_refused(state: Path) -> None:
    with pytest.raises(NoLogError, match="no log of a process 'broken'"):
        logs_of(state, "broken")


def test_a_lab_that_was_never_launched_has_none(tmp_path: Path) -> None:
    with pytest.raises(NoLogError, match="never launched"):
        logs_of(tmp_path)


def test_the_last_lines_are_told(state: Path) -> None:
    lines = list(lines_of(logs_of(state, "managers"), 2))
    assert lines == [Line("managers", "logs/managers 3"), Line("managers", "logs/managers 4")]


def test_what_is_added_while_the_last_lines_are_told_is_followed(state: Path) -> None:
    lines = lines_of(logs := logs_of(state, "managers"), 1, follow=True)
    assert next(lines).text == "logs/managers 4"
    with logs["managers"].open("a") as file:
        file.write("5\n")
    assert next(lines).text == "5"


def test_what_is_added_is_followed_also_when_the_log_begins_anew(state: Path) -> None:
    ended = threading.Event()
    added = lines_of(logs := logs_of(state, "managers"), 0, follow=True, ended=ended)
    path = logs["managers"]

    def write() -> None:
        with path.open("a") as file:
            file.write("one\ntwo\nhalf")

    writer = threading.Timer(0.1, write)
    writer.start()
    assert [next(added).text, next(added).text] == ["one", "two"]
    anew = threading.Timer(0.1, path.write_text, ["new\n"])
    anew.start()
    assert next(added).text == "new"
    ended.set()
    assert list(added) == []
