"""The logger of a task."""

from __future__ import annotations

import logging

import pytest

from lab import TaskLogger
from lab.definitions import NoLogBook


@pytest.fixture
def book() -> NoLogBook:
    return NoLogBook()


@pytest.fixture
def logger(book: NoLogBook) -> TaskLogger:
    return TaskLogger("task-7", "c0ffee01" + "0" * 56, book)


def test_text_goes_to_the_log_and_names_task_and_version(
    logger: TaskLogger, book: NoLogBook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        logger.info("heating to %d", 900)
        logger.log("warning", "too hot")
    first, second = caplog.records
    assert (first.getMessage(), first.levelno) == ("[c0ffee01 task-7] heating to 900", logging.INFO)
    assert (second.getMessage(), second.levelno) == ("[c0ffee01 task-7] too hot", logging.WARNING)
    assert first.__dict__["task"] == "task-7"
    assert book.kept == []


def test_data_are_kept_with_the_task(logger: TaskLogger, book: NoLogBook) -> None:
    logger.log("ERROR", {"spilled_mg": 3})
    logger.log_amount({"zinc_mg": 5})
    logger.log_characterization_result({"phase": "quartz"})
    assert book.kept == [
        ("note", logging.ERROR, {"spilled_mg": 3}),
        ("amount", logging.INFO, {"zinc_mg": 5}),
        ("characterization", logging.INFO, {"phase": "quartz"}),
    ]


def test_a_level_that_does_not_exist_is_refused(logger: TaskLogger) -> None:
    with pytest.raises(ValueError, match="there is no log level 'loud': use one of CRITICAL"):
        logger.log("loud", {})
    assert logger.filter_log("DEBUG") == []
