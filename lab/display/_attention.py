"""What a person has to look at: work that waits for a decision or for each other, stuck code, silent workers."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape

from lab.display._tables import Document, time
from lab.statuses import UNDECIDED


def show_attention(console: Console, status: Document) -> None:
    """A line for each, nothing if there is nothing."""
    for mark, line in [*_decisions(status), *_deadlocks(status), *_stuck(status), *_unreachable(status)]:
        console.print(f"[red]{mark}:[/] {escape(line)}", soft_wrap=True)


def _decisions(status: Document) -> Iterator[tuple[str, str]]:
    for task in (task for each in status["versions"] for task in each["tasks"]):
        if task["status"] in UNDECIDED:
            yield "to be decided", f"{task['type']} {task['id']} is {task['status']}; `lab retry` or `lab cancel` it"


def _deadlocks(status: Document) -> Iterator[tuple[str, str]]:
    for each in status.get("deadlocks", ()):
        told = "; ".join(f"task {request['task']}: {request['waits_for']}" for request in each["requests"])
        yield "deadlock", f"{told} Cancel one of the tasks to let the others go on."


def _stuck(status: Document) -> Iterator[tuple[str, str]]:
    for worker in status.get("workers", ()):
        if stuck := worker.get("stuck"):
            tasks = ", ".join(each["task"] for each in stuck)
            version = worker["snapshot"][:12]
            yield "stuck", f"code of {tasks}, which was abandoned, still runs in the worker of code version {version}"


def _unreachable(status: Document) -> Iterator[tuple[str, str]]:
    for worker in status.get("workers", ()):
        if silence := worker.get("unreachable"):
            told = f"{worker['id']}, at work on {worker['running']} tasks, gives no sign of life since"
            yield "unreachable", f"{told} {time(silence['since'])}; they are left to it as long as its process is there"
