"""What a refresh does to a laboratory at work: 200 tasks run, and 5 of 50 devices get another driver."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.laboratory import Laboratory, LaboratoryError, laboratory
from benchmarks.results import Benchmark, Findings

_DEVICES: Final = 50
_CHANGED: Final = 5
_TASKS: Final = 200
_TUNED: Final = "devices/tuned.py"
_DRIVER: Final = '''"""Drivers of which one changes."""

from .told import Told


class {name}(Told):
    TUNING = 0
'''
_PEER: Final = Reference("AlabOS 1.1.0 auto_refresh with one 120 s heating: 125 s until managers are refreshed", 125.0)
_NONE: Final = limit(0.5, "", "none at all, told by the devices' own logs and by the tasks")


@dataclass(frozen=True)
class _Round:
    """One commit that changes the tuned devices; in seconds, but for the counts."""

    live: float
    complete: float
    waits_before: list[float]
    waits_meanwhile: list[float]
    disturbed: int
    ended: int


def run(quick: bool) -> Findings:
    """Commit while all tasks run, and submit more all the time."""
    with laboratory(_furnish) as lab:
        _fill(lab)
        rounds = [_round(lab, number) for number in range(1, 4 if quick else 11)]
    return Findings(_figures(rounds), [_table(rounds)])


def _furnish(lab: Laboratory) -> None:
    """50 devices in place of those of the starter."""
    told = Path(__file__).with_name("told_device.py").read_text()
    (lab.package / "devices" / "told.py").write_text(told)
    for name in ("Steady", "Tuned"):
        (lab.package / "devices" / f"{name.lower()}.py").write_text(_DRIVER.format(name=name))
    lab.change("__init__.py", r"^add_device\(.*\)\n", "")
    folder = _folder(lab)
    folder.mkdir()
    lines = [f'add_device({_kind(name)}, name="{name}", folder={str(folder)!r})' for name in _names()]
    imports = ["from .devices.steady import Steady", "from .devices.tuned import Tuned"]
    with (lab.package / "__init__.py").open("a") as registry:
        registry.write("\n".join(["", *imports, "", *lines, ""]))
    lab.add_all("Have fifty devices")


def _names() -> list[str]:
    return [f"tuned_{n}" for n in range(_CHANGED)] + [f"steady_{n}" for n in range(_DEVICES - _CHANGED)]


def _kind(name: str) -> str:
    return name.partition("_")[0].capitalize()


def _folder(lab: Laboratory) -> Path:
    return lab.state.parent / "told"


def _fill(lab: Laboratory) -> None:
    """Every device that will not change is in use by a task, and more tasks wait."""
    steady = [name for name in _names() if name.startswith("steady")]
    using = [task for name in steady for task in lab.submit("Using", {"device": name})]
    lab.wait_until_running([*using, *lab.submit("Waiting", count=_TASKS - len(using))])


def _round(lab: Laboratory, number: int) -> _Round:
    running = _running(lab)
    before = [_wait(lab, task, at) for task, at in [_submit(lab) for _ in range(10)]]
    lab.change(_TUNED, r"TUNING = \d+", f"TUNING = {number}")
    commit = lab.commit(f"Tune to {number}")
    submitted = list(_submit_until_complete(lab, commit.id))
    complete = time.time()
    refresh = lab.wait_until_live(commit)
    promoted = next(step["at"] for step in refresh["steps"] if step["step"] == "promoted")
    return _Round(
        live=promoted.timestamp() - commit.moved,
        complete=complete - commit.moved,
        waits_before=before,
        waits_meanwhile=[_wait(lab, task, at) for task, at in submitted],
        disturbed=_disturbed(lab, commit.moved),
        ended=len(running - _running(lab)),
    )


def _submit(lab: Laboratory) -> tuple[str, float]:
    at = time.time()
    (task,) = lab.submit("Probe")
    return task, at


def _wait(lab: Laboratory, task: str, submitted: float) -> float:
    return float(lab.result(task)["began"]) - submitted


def _submit_until_complete(lab: Laboratory, commit: str) -> Iterator[tuple[str, float]]:
    """Tasks that were submitted until the commit is live and all its devices have their new driver."""
    deadline = time.monotonic() + 60.0
    while not _is_complete(lab, commit):
        if time.monotonic() > deadline:
            raise LaboratoryError(f"Commit {commit} did not come to all devices.")
        yield _submit(lab)


def _is_complete(lab: Laboratory, commit: str) -> bool:
    current = lab.database["current_generation"].find_one({"commit": commit})
    if current is None:
        return False
    bound = {"_id": {"$regex": "^tuned"}, "state": "free", "binding.snapshot": current["snapshot"]}
    return lab.database["devices"].count_documents(bound) == _CHANGED


def _running(lab: Laboratory) -> set[str]:
    old = {"status": {"$in": ["RUNNING", "REQUESTING_RESOURCES"]}, "type": {"$in": ["Using", "Waiting"]}}
    return {str(task["_id"]) for task in lab.database["tasks"].find(old, {"_id": 1})}


def _disturbed(lab: Laboratory, since: float) -> int:
    """How many devices that did not change were connected or disconnected, told by themselves."""
    logs = [path.read_text().splitlines() for path in _folder(lab).glob("steady_*")]
    told = [[json.loads(line) for line in lines] for lines in logs]
    return sum(any(each["event"] != "use" and each["at"] >= since for each in device) for device in told)


def _figures(rounds: list[_Round]) -> list[Figure]:
    n = len(rounds)
    before = [wait for each in rounds for wait in each.waits_before]
    meanwhile = [wait for each in rounds for wait in each.waits_meanwhile]
    idle = Reference("the same tasks when nothing is refreshed, same run", median(before))
    return [
        Figure("cutover_disturbed_devices", sum(each.disturbed for each in rounds), "devices", n * 45, _NONE),
        Figure("cutover_ended_tasks", sum(each.ended for each in rounds), "tasks", n * _TASKS, _NONE),
        Figure("cutover_launch_p50", median(meanwhile), "s", len(meanwhile), idle),
        Figure("cutover_to_live_p50", median([each.live for each in rounds]), "s", n, _PEER),
        Figure("cutover_to_complete_p50", median([each.complete for each in rounds]), "s", n, _PEER),
    ]


def _table(rounds: list[_Round]) -> Table:
    table = Table(title=f"A refresh with {_TASKS} tasks running and {_DEVICES} devices, {_CHANGED} of them changed")
    for column in ("live", "complete", "longest wait to launch", "before it", "disturbed", "ended"):
        table.add_column(column, justify="right")
    for each in rounds:
        seconds = (each.live, each.complete, max(each.waits_meanwhile, default=0.0), max(each.waits_before))
        table.add_row(*(f"{value:.2f} s" for value in seconds), str(each.disturbed), str(each.ended))
    return table


BENCHMARK: Final = Benchmark(
    "a refresh while 200 tasks run, that changes 5 of 50 devices: what it disturbs, and how long it takes",
    (
        "cutover_disturbed_devices",
        "cutover_ended_tasks",
        "cutover_launch_p50",
        "cutover_to_live_p50",
        "cutover_to_complete_p50",
    ),
    run,
)
