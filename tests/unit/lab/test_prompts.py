"""A prompt that nobody could read or answer is refused before it is asked."""

from __future__ import annotations

from typing import Any

import pytest

from lab.prompts import PromptCategory, PromptStatus, new_prompt


def test_a_new_prompt_is_pending_and_says_who_waits() -> None:
    prompt = new_prompt(PromptCategory.QUESTION, "Is it whole?", ("yes", "no"), task="t1", attempt=2)
    assert (prompt["status"], prompt["task"], prompt["attempt"]) == (PromptStatus.PENDING, "t1", 2)
    assert (prompt["text"], prompt["options"], prompt["answer"]) == ("Is it whole?", ["yes", "no"], None)


@pytest.mark.parametrize("text", ["", "  ", 7, None])
def test_a_text_that_nobody_can_read_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="needs a text"):
        new_prompt(PromptCategory.QUESTION, text, ["OK"])


@pytest.mark.parametrize("options", ["OK", [], [""], [1], ["yes", "yes"], None])
def test_options_that_nobody_can_choose_from_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="options of a prompt"):
        new_prompt(PromptCategory.QUESTION, "Is it whole?", options)
