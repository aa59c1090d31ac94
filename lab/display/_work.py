"""The work of a laboratory: experiments, tasks, samples, and the code that made them."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from lab.display._prompts import asked
from lab.display._tables import Column, Document, brief, commit_of, first_line, show, show_facts, time, version, words
from lab.statuses import CLAIMED


def show_experiments(console: Console, experiments: list[Document]) -> None:
    if not experiments:
        console.print("no experiments")
    columns: list[Column] = [
        ("experiment", lambda each: each["id"]),
        ("name", lambda each: each["name"]),
        ("status", lambda each: each["status"]),
        ("submitted", lambda each: time(each["submitted_at"])),
    ]
    show(console, "experiments", experiments, columns)


def show_tasks(console: Console, tasks: list[Document]) -> None:
    if not tasks:
        console.print("no tasks")
    columns: list[Column] = [
        ("task", lambda task: task["id"]),
        ("type", lambda task: task["type"]),
        ("status", lambda task: task["status"]),
        ("code", lambda task: brief(task["pin"])),
        ("started", lambda task: time(task["started_at"])),
    ]
    show(console, "tasks", tasks, columns, _said)


def show_task(console: Console, task: Document) -> None:
    """What a person asks of a task; everything else is in its JSON."""
    pin = task["pin"]
    facts = {
        "task": f"{task['id']} ({task['type']})",
        "status": task["status"],
        "said": _said(task),
        "experiment": task["experiment"],
        "part of": task["parent"],
        "samples": ", ".join(task["samples"]),
        "parameters": words(task["parameters"]),
        "code": f"{version(pin)}, code version {pin['snapshot'][:12]}" if pin else None,
        "process": _process(task["process"]) if task.get("process") else None,
        "attempts": [_attempt(each) for each in task["attempts"]],
        "subtasks": [_subtask(each) for each in task["subtasks"]],
        "resources": [_request(each) for each in task["requests"]],
        "result": task["result"],
        "warning": task.get("result_warning"),
    }
    show_facts(console, facts)
    if task["error"]:
        console.print(Text(task["error"]), soft_wrap=True)


def _process(process: Document) -> str:
    """The one that a task has for itself."""
    used = ""
    if process["memory_mb"] is not None:
        used = f", {process['memory_mb']:g} MB, {process['cpu_seconds']:g} s of processor time"
    return f"{process['name']} (pid {process['pid']}{used})"


def show_samples(console: Console, samples: list[Document]) -> None:
    if not samples:
        console.print("no samples")
    columns: list[Column] = [
        ("sample", lambda sample: sample["id"]),
        ("name", lambda sample: sample["name"]),
        ("where", lambda sample: sample["position"] or ""),
        ("code", lambda sample: "\n".join(dict.fromkeys(map(brief, sample["made_by"])))),
    ]
    show(console, "samples", samples, columns)


def show_blame(console: Console, blame: Document) -> None:
    """The tasks that made a sample, each with its code, author and parameters; then what has changed since."""
    sample = blame["sample"]
    console.print(Text(f"{sample['name']} ({sample['id']}) {_where(sample['position'])}"))
    if not blame["tasks"]:
        console.print("No task has had it yet, so no code has made it.")
    columns: list[Column] = [
        ("task", lambda each: f"  {each['type']}" if each["parent"] else each["type"]),
        ("status", lambda each: each["outcome"]),
        ("code version", lambda each: each["snapshot"][:12]),
        ("commit", lambda each: commit_of(each).removeprefix("commit ")),
        ("by", lambda each: (each["author"] or "").partition(" <")[0]),
        ("started", lambda each: time(each["started_at"])),
    ]
    show(console, "", blame["tasks"], columns, lambda each: words(each["parameters"]))
    for each in blame["versions"]:
        if each["collected"]:
            console.print(Text(each["collected"]))
    if "since" in blame:
        _show_since(console, blame["since"], sample["name"])


def _show_since(console: Console, since: Document, name: str) -> None:
    current = version(since["current"])
    changed = [
        *(f"task {each['type']} ({each['class']}) {_since(each)}" for each in since["tasks"]),
        *(f"driver of {each['device']} ({each['class']}) {_since(each)}" for each in since["drivers"]),
    ]
    if not changed:
        console.print(Text(f"No code that made {name} behaves differently in what is current, {current}."))
        return
    console.print(Text(f"Changed up to what is current, {current}:"))
    for line in changed:
        console.print(Text(f"  {line}"))
    for files in since["files"]:
        for how in ("added", "removed", "changed"):
            if files.get(how):
                console.print(Text(f"  files {how} since generation {files['generation']}: {', '.join(files[how])}"))


def _since(change: Document) -> str:
    return f"{change['what']} since generation {change['generation']}"


def _where(position: str | None) -> str:
    return f"is in {position}" if position else "is outside the laboratory"


def _said(task: Document) -> str:
    if task.get("unreachable_since") and task["status"] in CLAIMED:
        return f"its worker gives no sign of life since {time(task['unreachable_since'])}"
    waits = asked(task) or task.get("waits_for")
    return first_line(waits or task.get("note") or task["error"] or task["reason"] or _doing(task))


def _doing(task: Document) -> str:
    progress = task.get("progress")
    done = "" if progress is None or task["status"] not in CLAIMED else f"{progress:.0%}"
    return ", ".join(filter(None, (done, task["message"])))


def _subtask(task: Document) -> str:
    times = " to ".join(filter(None, (time(task.get("started_at")), time(task.get("ended_at")))))
    return ", ".join(filter(None, (f"{task['type']} {task['status']}", times)))


def _attempt(attempt: Document) -> str:
    times = " to ".join(filter(None, (time(attempt["started_at"]), time(attempt["ended_at"]))))
    return f"{attempt['attempt']}: {attempt['outcome']}, {times}, {version(attempt)}"


def _request(request: Document) -> str:
    wanted = ", ".join(want["name"] or "places" for want in request["wants"])
    return f"{wanted}: {request['status']}" + (f", {request['waits_for']}" if request["waits_for"] else "")
