"""Prompts: what a task, a device or the laboratory asks a person, and what the person answered."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NoReturn, TypedDict

from blake3 import blake3
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from hotswap.errors import HotswapError
from lab.patience import patiently
from lab.records import Document, Records, Task, now
from lab.refusals import AnswerError, ConflictError, NotFoundError

OK: Final = ("OK",)
PROMPTS: Final = "prompts"
"""The collection."""

_REREAD_SECONDS: Final = 5.0
_AFTER_EVERY_DIGIT: Final = "~"


class PromptStatus(StrEnum):
    """PENDING, then ANSWERED by a person or WITHDRAWN because nobody waits any more."""

    PENDING = "PENDING"
    ANSWERED = "ANSWERED"
    WITHDRAWN = "WITHDRAWN"


class PromptCategory(StrEnum):
    """What the answer is for: a task that asks, a device, samples to be taken out, a task whose worker died."""

    QUESTION = "question"
    MAINTENANCE = "maintenance"
    CLEAN_UP = "clean_up"
    CRASH = "crash"


class Prompt(TypedDict):
    """``task`` with its ``attempt``, or ``device``, waits for the answer, which is one of ``options``.

    ``process`` is the identity of the driver process that waits. ``actor`` is who answered.
    """

    _id: str
    category: str
    task: str | None
    attempt: int | None
    experiment: str | None
    device: str | None
    process: Document | None
    text: str
    options: list[str]
    status: str
    asked_at: datetime
    answered_at: datetime | None
    answer: str | None
    note: str
    actor: str | None


class WithdrawnError(HotswapError):
    """A prompt was withdrawn while its answer was waited for."""


def new_prompt(category: PromptCategory, text: str, options: Sequence[str], **about: Any) -> Prompt:
    """A prompt that was not asked yet; ``about`` are fields that say who waits.

    Raises ValueError when text or options are none that a person could read and tell apart.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"A prompt needs a text that a person can read, not {text!r}.")
    if isinstance(options, str) or not options or not all(isinstance(each, str) and each.strip() for each in options):
        raise ValueError(f"The options of a prompt are a list of texts such as ['OK'], not {options!r}.")
    if len(set(options)) < len(options):
        raise ValueError(f"The options of a prompt differ from each other, those given do not: {list(options)}.")
    prompt = Prompt(
        _id=secrets.token_hex(6),
        category=category,
        task=None,
        attempt=None,
        experiment=None,
        device=None,
        process=None,
        text=text,
        options=list(options),
        status=PromptStatus.PENDING,
        asked_at=now(),
        answered_at=None,
        answer=None,
        note="",
        actor=None,
    )
    return Prompt(**{**prompt, **about})  # type: ignore[typeddict-item]  # each is a field with its own type


def settled_id(category: PromptCategory, task: Task) -> str:
    """The id of the one prompt of that category that an attempt at a task has, so that nobody is asked twice."""
    return blake3(f"{category} {task['_id']} {task['attempt']}".encode()).hexdigest(6)


class Prompts:
    """The prompts of one laboratory."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._prompts: Collection[Prompt] = records.database[PROMPTS]  # type: ignore[assignment]

    def create_indexes(self) -> None:
        """Make the indexes that queries rely on; safe to repeat."""
        self._prompts.create_index([("status", 1)])

    def ask(self, prompt: Prompt) -> None:
        """Put it before people; again is harmless."""
        try:
            self._prompts.insert_one(prompt)
        except DuplicateKeyError:
            return
        about = {name: prompt[name] for name in ("category", "task", "device")}
        self._records.log("prompt.asked", prompt["_id"], text=prompt["text"], **about)

    def find(self, prompt_id: str) -> Prompt | None:
        return self._prompts.find_one({"_id": prompt_id})

    def pending(self, **about: Any) -> list[Prompt]:
        """Those that wait for an answer, the oldest first."""
        found = self._prompts.find({"status": PromptStatus.PENDING, **about})
        return sorted(found, key=lambda prompt: prompt["asked_at"])

    def listed(self, status: str | None, limit: int) -> list[Prompt]:
        """Those that are pending, the oldest first, then the others, the newest first; or only those in ``status``."""
        others = {"status": status or {"$ne": PromptStatus.PENDING}}
        pending = self.pending() if status in (None, PromptStatus.PENDING) else []
        if status == PromptStatus.PENDING:
            return pending
        ended = self._prompts.find(others, sort=[("asked_at", -1)]).limit(limit)
        return [*pending, *ended]

    def get(self, beginning: str) -> Prompt:
        """The prompt with that id, or whose id begins so; those that are pending come first.

        Raises NotFoundError, and ConflictError when several begin so.
        """
        exact = self.find(beginning)
        if exact is not None:
            return exact
        begins = {"_id": {"$gte": beginning, "$lt": beginning + _AFTER_EVERY_DIGIT}}
        found = self.pending(**begins) or list(self._prompts.find(begins).limit(2)) if beginning else []
        if not found:
            raise NotFoundError(f"There is no prompt {beginning!r}; `lab prompts` lists them.")
        if len(found) > 1:
            raise ConflictError(f"Several prompts begin with {beginning!r}; give more of the id.")
        return found[0]

    def answer(self, beginning: str, answer: str | None, note: str | None, actor: str) -> Prompt:
        """Answer a prompt; ``answer`` may be left out where there is only one.

        Raises NotFoundError, AnswerError for an answer that it does not offer, and ConflictError when it waits for
        none any more.
        """
        prompt = self.get(beginning)
        chosen = _chosen(prompt, answer)
        fields = {
            "status": PromptStatus.ANSWERED,
            "answer": chosen,
            "note": note or "",
            "actor": actor,
            "answered_at": now(),
        }
        if not self._settle(prompt["_id"], fields):
            _refuse_settled(self.get(prompt["_id"]))
        self._records.log("prompt.answered", prompt["_id"], answer=chosen, note=note or "", actor=actor)
        return self.get(prompt["_id"])

    def withdraw(self, prompt_id: str) -> None:
        """Ask no more; harmless when it was answered."""
        if self._settle(prompt_id, {"status": PromptStatus.WITHDRAWN}):
            self._records.log("prompt.withdrawn", prompt_id)

    def answer_to(self, prompt: Prompt, news: threading.Event, check: Callable[[], None]) -> Prompt:
        """Ask and wait for the answer, whatever becomes of managers and database meanwhile.

        ``news`` is set when there may be one, or when ``check`` would raise to end the wait: then the prompt is
        withdrawn. Raises WithdrawnError when somebody else withdrew it.
        """
        try:
            patiently(lambda: self.ask(prompt))
            while True:
                news.clear()
                found = patiently(lambda: self.find(prompt["_id"]))
                if found is not None and found["status"] == PromptStatus.ANSWERED:
                    return found
                if found is None or found["status"] == PromptStatus.WITHDRAWN:
                    raise WithdrawnError(f"The prompt {prompt['text']!r} was withdrawn before anybody answered it.")
                check()
                news.wait(_REREAD_SECONDS)
        except BaseException:  # whatever cut the wait short, nobody hears the answer
            patiently(lambda: self.withdraw(prompt["_id"]))
            raise

    def _settle(self, prompt_id: str, fields: Document) -> bool:
        pending = {"_id": prompt_id, "status": PromptStatus.PENDING}
        return self._prompts.update_one(pending, {"$set": fields}).modified_count == 1


def _chosen(prompt: Prompt, answer: str | None) -> str:
    options = prompt["options"]
    if answer is None and len(options) == 1:
        return options[0]
    if answer not in options:
        offered = ", ".join(map(repr, options))
        said = "needs an answer" if answer is None else f"does not offer {answer!r}"
        raise AnswerError(f"Prompt {prompt['_id']} {said}; answer one of {offered}.")
    return answer


def _refuse_settled(prompt: Prompt) -> NoReturn:
    if prompt["status"] == PromptStatus.ANSWERED:
        raise ConflictError(
            f"Prompt {prompt['_id']} was answered with {prompt['answer']!r} by {prompt['actor']} already."
        )
    raise ConflictError(f"Prompt {prompt['_id']} was withdrawn: nobody waits for its answer any more.")
