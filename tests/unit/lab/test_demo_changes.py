"""The changes of the demo fit the starter lab, one after the other, and are committed as a person would."""

from __future__ import annotations

import ast
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.demo import changes
from lab.demo.claims import StoryError
from lab.demo.repository import Change, Edit, Repository
from lab.init import create_lab

STORY = (
    changes.UNLOADING_TEMPERATURE,
    changes.FASTER_RAMP,
    changes.NEW_LINE,
    changes.DRYING,
    changes.NEW_DEVICE_AND_TASK,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(create_lab(tmp_path_factory.mktemp("demo") / "lab"))


@pytest.mark.parametrize("change", STORY, ids=lambda change: change.message)
def test_each_change_makes_a_commit_of_working_files(repository: Repository, change: Change) -> None:
    before = repository.head()
    commit = repository.commit(change)
    assert (commit.message, commit.hash != before.hash) == (change.message, True)
    for path in repository.folder.rglob("*.py"):
        ast.parse(path.read_text(), str(path))
    json.loads((repository.folder / changes.PACKAGE / "data" / "reference_peaks.json").read_text())


def test_the_syntax_error_is_in_the_line_that_is_named(repository: Repository) -> None:
    repository.commit(changes.SYNTAX_ERROR)
    with pytest.raises(SyntaxError) as raised:
        ast.parse((repository.folder / changes.HEATING).read_text())
    assert raised.value.lineno == repository.line_of(changes.HEATING, changes.BROKEN_LINE)
    repository.commit(changes.CORRECTION)
    ast.parse((repository.folder / changes.HEATING).read_text())


def test_a_commit_knows_when_the_branch_moved(repository: Repository) -> None:
    before = datetime.now(UTC)
    commit = repository.commit(Change("note", files={"note.txt": "new"}))
    tick = timedelta(milliseconds=20)
    assert before - tick <= commit.at <= datetime.now(UTC) + tick


def test_an_edit_that_does_not_fit_is_refused(repository: Repository) -> None:
    before = repository.head()
    with pytest.raises(StoryError, match=r"experiment\.json does not contain 'no such text' exactly once"):
        repository.commit(Change("wrong", (Edit("experiment.json", "no such text", "x"),)))
    assert repository.head() == before


def test_a_failing_git_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoryError, match="not a git repository"):
        Repository(tmp_path).commit(Change("nothing"))


def test_undoing_a_change_reverses_its_edits() -> None:
    change = Change("do", (Edit("a", "1", "2"), Edit("a", "3", "4")))
    assert change.undone("undo").edits == (Edit("a", "4", "3"), Edit("a", "2", "1"))
