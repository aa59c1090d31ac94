"""Devices that ask a person, from inside their driver process, and wait for the answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from hotswap.process import Identity
from lab.errors import DeviceError
from lab.prompts import PROMPTS, PromptCategory, Prompts, WithdrawnError, new_prompt
from lab.records import Records
from lab.watching import Watcher


@dataclass(eq=False)
class _Wait:
    """One thread that waits; ``reason`` is why it is to wait no more."""

    device: str
    thread: int = field(default_factory=threading.get_ident)
    news: threading.Event = field(default_factory=threading.Event)
    reason: str = ""


class Maintenance:
    """What the devices of one driver process ask. ``open_records`` is called when the first of them does."""

    def __init__(self, open_records: Callable[[], Records]) -> None:
        self._open = open_records
        self._waits: list[_Wait] = []
        self._watcher: Watcher | None = None
        self._lock = threading.Lock()

    def ask(self, device: str, text: str, options: Sequence[str], check: Callable[[], None]) -> str:
        """The option that a person chose.

        Raises DeviceError when it is interrupted, what ``check`` raises to refuse, and ValueError for a prompt that
        nobody can answer; the prompt is withdrawn then.
        """
        prompt = new_prompt(PromptCategory.MAINTENANCE, text, options, device=device, process=Identity.mine().to_dict())
        records = self._open()
        with self._waiting(device) as wait, self._watching(records).ringing(PROMPTS, prompt["_id"], wait.news.set):

            def go_on() -> None:
                check()
                if wait.reason:
                    raise DeviceError(f"Device {device} does not wait for a person any more: {wait.reason}.")

            try:
                return str(Prompts(records).answer_to(prompt, wait.news, go_on)["answer"])
            except WithdrawnError as error:
                raise DeviceError(f"Device {device} was not answered: {error}") from error

    def interrupt(self, device: str, reason: str, thread: int | None = None) -> None:
        """End the waits of a device, or of one thread of it."""
        with self._lock:
            for wait in self._waits:
                if wait.device == device and thread in (None, wait.thread):
                    wait.reason = reason
                    wait.news.set()

    def close(self) -> None:
        """Watch for no more answers."""
        with self._lock:
            if self._watcher is not None:
                self._watcher.stop()

    @contextmanager
    def _waiting(self, device: str) -> Iterator[_Wait]:
        wait = _Wait(device)
        with self._lock:
            self._waits.append(wait)
        try:
            yield wait
        finally:
            with self._lock:
                self._waits.remove(wait)

    def _watching(self, records: Records) -> Watcher:
        with self._lock:
            if self._watcher is None:
                self._watcher = Watcher(records.database, PROMPTS)
                self._watcher.start()
            return self._watcher
