"""A task that asks a person and waits for the answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from lab.errors import TaskCancelled
from lab.prompts import PROMPTS, Prompt, PromptCategory, Prompts, WithdrawnError, new_prompt
from lab.worker._scope import Scope


def ask(scope: Scope, text: str, options: Sequence[str], category: PromptCategory = PromptCategory.QUESTION) -> Prompt:
    """The answered prompt; raises TaskCancelled, and then it is withdrawn, and ValueError for one nobody can answer."""
    about = {"task": scope.root, "attempt": scope.attempt, "experiment": scope.experiment}
    prompt = new_prompt(category, text, options, **about)
    scope.cancellation.check()
    news = threading.Event()
    with scope.watcher.ringing(PROMPTS, prompt["_id"], news.set), scope.cancellation.waking(news):
        try:
            return Prompts(scope.records).answer_to(prompt, news, scope.cancellation.check)
        except WithdrawnError as error:
            raise TaskCancelled(f"Task {scope.root} was taken from this worker.") from error
