"""Devices ask a person from inside their driver process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hotswap.errors import RemoteError
from hotswap.process import Identity
from lab.prompts import Prompt, PromptCategory, Prompts
from lab.records import Records

pytestmark = pytest.mark.system

SECRET, OLD = "correct horse", "a" * 64

CLEANING = """

import threading


class Nozzle(Furnace):
    def connect(self):
        if os.path.exists(self.trace + ".dark"):
            self.note("connect after " + self.request_maintenance("Switch it on"))

    def clean(self, *options):
        return self.request_maintenance("Clean the nozzle", options or ["OK"])

    def watch_level(self):
        threading.Thread(target=lambda: self.note("level " + self.request_maintenance("Refill"))).start()


add_device(Nozzle, name="nozzle", trace=TRACE)
"""


class Nozzle:
    """One device, granted with fence 1, and calls to it that may take long."""

    def __init__(self, records: Records, child: Any, trace: Path, pool: ThreadPoolExecutor, eventually: Any) -> None:
        self.prompts = Prompts(records)
        self.trace = trace
        self.child = child
        self._pool = pool
        self._eventually = eventually

    def do(self, op: str, **arguments: Any) -> Future[Any]:
        return self._pool.submit(self.child.call, op, device="nozzle", **arguments)

    def call(self, method: str, *args: Any) -> Future[Any]:
        call = {"method": method, "args": list(args), "kwargs": {}, "task": "t1", "attempt": 1}
        return self.do("call", fence=1, **call)

    def asked(self) -> Prompt:
        [prompt] = self._eventually(self.prompts.pending)
        return prompt  # type: ignore[no-any-return]  # what ``eventually`` waits for may be anything

    def status(self, prompt: Prompt) -> str:
        found = self.prompts.find(prompt["_id"])
        assert found is not None
        return found["status"]


@pytest.fixture
def nozzle(records: Records, make_children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Nozzle]:
    children = make_children(CLEANING)
    child = children.ensure("driver-nozzle", OLD, "lab.drivers:main", {**arguments, "devices": ["nozzle"]})
    child.call("connect", device="nozzle")
    child.call("grant", device="nozzle", fence=1, task="t1")
    with ThreadPoolExecutor(4) as pool:
        yield Nozzle(records, child, children.trees[OLD] / "tiny_lab" / "trace", pool, eventually)
        children.close()


def test_a_call_that_asks_returns_when_it_is_answered(nozzle: Nozzle) -> None:
    cleaning = nozzle.call("clean", "done", "not needed")
    prompt = nozzle.asked()
    assert (prompt["category"], prompt["device"], prompt["task"]) == (PromptCategory.MAINTENANCE, "nozzle", None)
    assert (prompt["text"], prompt["options"]) == ("Clean the nozzle", ["done", "not needed"])
    assert Identity.from_dict(prompt["process"] or {}) == nozzle.child.identity
    assert not cleaning.done()
    nozzle.prompts.answer(prompt["_id"], "not needed", None, "ann")
    assert cleaning.result(10) == "not needed"


def test_a_driver_may_ask_while_it_connects(nozzle: Nozzle) -> None:
    nozzle.child.call("disconnect", device="nozzle")
    nozzle.trace.with_name("trace.dark").touch()
    connecting = nozzle.do("connect")
    nozzle.prompts.answer(nozzle.asked()["_id"], None, None, "ann")
    connecting.result(10)
    assert nozzle.child.call("status", device="nozzle")["connected"]
    assert nozzle.trace.read_text().endswith("connect after OK\n")


def test_an_emergency_stop_works_meanwhile_and_ends_the_wait(nozzle: Nozzle) -> None:
    cleaning = nozzle.call("clean")
    prompt = nozzle.asked()
    assert nozzle.child.call("emergency_stop", device="nozzle", timeout=2.0) is True
    with pytest.raises(RemoteError, match="stopped in an emergency"):
        cleaning.result(10)
    assert nozzle.status(prompt) == "WITHDRAWN"


def test_a_device_that_is_taken_from_its_task_asks_no_more(nozzle: Nozzle) -> None:
    cleaning = nozzle.call("clean")
    prompt = nozzle.asked()
    nozzle.child.call("revoke", device="nozzle", fence=1)
    with pytest.raises(RemoteError, match="it was taken from the task that called it"):
        cleaning.result(10)
    assert nozzle.status(prompt) == "WITHDRAWN"


def test_what_a_thread_of_the_driver_asks_outlives_the_task(nozzle: Nozzle) -> None:
    nozzle.call("watch_level").result(10)
    prompt = nozzle.asked()
    nozzle.child.call("revoke", device="nozzle", fence=1)
    nozzle.prompts.answer(prompt["_id"], "OK", None, "ann")


def test_disconnecting_ends_the_wait_and_does_not_wait_for_it(nozzle: Nozzle) -> None:
    cleaning = nozzle.call("clean")
    prompt = nozzle.asked()
    nozzle.child.call("disconnect", device="nozzle")
    with pytest.raises(RemoteError, match="it is disconnected"):
        cleaning.result(10)
    assert nozzle.status(prompt) == "WITHDRAWN"


def test_a_prompt_that_nobody_could_answer_is_refused(nozzle: Nozzle) -> None:
    with pytest.raises(RemoteError, match="options of a prompt"):
        nozzle.call("clean", "same", "same").result(10)


def test_tasks_cannot_ask_in_the_name_of_a_device(nozzle: Nozzle) -> None:
    with pytest.raises(RemoteError, match="not for tasks to call"):
        nozzle.call("request_maintenance", "Clean it").result(10)
