"""What must hold after any kill, told from the database and from what devices and tasks wrote down themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from chaos_lab import DEVICES, ChaosLaboratory, Version
from chaos_strikes import Killed

from hotswap.generations import Generations
from hotswap.store import Store
from lab.managers.barrier_gate import BarrierStep, barriers_of
from lab.records import ENDED, DeviceState, Document, Records, RequestStatus, TaskStatus

Lines = list[dict[str, Any]]

GHOST = "ghost"
"""The run that calls of nobody's carry; see ``chaos_rounds``."""

OPEN_REQUESTS = [RequestStatus.PENDING, RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE]

_CUT_OFF = ("OutcomeUnknown", "DriverRestarted", "its driver process does not answer")
"""What a task may fail with: its driver was killed."""

_OVERLAP_SECONDS = 0.002
_CLOCK_SECONDS = 1.0
"""A kill is written down when the process is dead, and what it cut off may be written down before."""


class Evidence:
    """Everything that was written down until now."""

    def __init__(self, lab: ChaosLaboratory, killed: Collection[Killed], decided: Mapping[str, int]) -> None:
        self.versions = lab.versions
        self.killed = list(killed)
        self.decided = decided
        self.records = lab.records
        self.store = Store(lab.state / "store")
        self.tasks: dict[str, Document] = {task["_id"]: dict(task) for task in self.records.tasks.find()}
        self.told: Lines = lab.told("tasks")
        self.devices = {name: lab.told(name) for name in DEVICES}

    def version(self, task: str) -> Version:
        """What the code holds that the task is pinned to."""
        return self.versions[self.tasks[task]["pin"]["commit"]]


def violations(evidence: Evidence) -> list[str]:
    """Each as one sentence; empty when all is well."""
    checks = (
        _lost_tasks, _two_versions, _ran_twice, _unproved_losses, _failures, _wrong_drivers, _blocks, _two_drivers,
        _disturbed, _overlaps, _samples, _left_over, _current,
    )  # fmt: skip
    return [f"{check.__name__[1:]}: {each}" for check in checks for each in check(evidence)]


def _lost_tasks(evidence: Evidence) -> Iterator[str]:
    for task in evidence.tasks.values():
        if task["status"] not in ENDED:
            yield f"task {task['_id']} is {task['status']}, of {task['type']} ({task['reason'] or task['message']})"
        elif task["status"] == TaskStatus.CANCELLED and not task["cancel_requested"]:
            yield f"task {task['_id']} was cancelled by nobody"


def _two_versions(evidence: Evidence) -> Iterator[str]:
    for task in evidence.tasks.values():
        pins = {attempt["snapshot"] for attempt in task["attempts"]}
        pins |= {task["pin"]["snapshot"]} if task["pin"] else set()
        if len(pins) > 1:
            yield f"task {task['_id']} was pinned to {sorted(pins)}"
    for line in evidence.told:
        expected = evidence.version(line["task"]).code
        if line["code"] != expected:
            yield f"task {line['task']} ran code {line['code']} at its {line['event']}, not {expected}"


def _ran_twice(evidence: Evidence) -> Iterator[str]:
    runs, ends = defaultdict(set), Counter[str]()
    for line in evidence.told:
        runs[line["task"]].add(line["run"])
        ends[line["task"]] += line["event"] == "end"
    for name, task in evidence.tasks.items():
        if len(runs[name]) > len(task["attempts"]):
            yield f"task {name} ran {len(runs[name])} times in {len(task['attempts'])} attempts"
        if len(task["attempts"]) > 1 + evidence.decided.get(name, 0):
            yield f"task {name} was attempted {len(task['attempts'])} times, retried {evidence.decided.get(name, 0)}"
        if task["status"] == TaskStatus.COMPLETED and not ends[name]:
            yield f"task {name} is COMPLETED and never came to its end"
    for device, lines in evidence.devices.items():
        steps = Counter((line["run"], line["step"]) for line in lines if line["event"] == "begin")
        yield from (
            f"{device} executed {step} of run {run} {count} times" for (run, step), count in steps.items() if count > 1
        )
    yield from _missing_steps(evidence)


def _missing_steps(evidence: Evidence) -> Iterator[str]:
    ended = {
        (line["run"], line["step"]) for lines in evidence.devices.values() for line in lines if line["event"] == "end"
    }
    for name, task in evidence.tasks.items():
        if task["status"] == TaskStatus.COMPLETED and task["type"] == "Work":
            run, parameters = task["result"]["run"], task["parameters"]
            for device in parameters["devices"]:
                for time_over in range(parameters["times"]):
                    for way in ("in", "out"):
                        if (run, f"{time_over}.{device}.{way}") not in ended:
                            yield f"task {name} is COMPLETED without step {time_over}.{device}.{way}"


def _samples(evidence: Evidence) -> Iterator[str]:
    """Each attempt that ended well put its sample on the bench once, and took it away once."""
    for sample in evidence.records.samples.find():
        for (task, attempt), positions in _moves(sample["history"]).items():
            is_last = attempt == evidence.tasks[task]["attempt"]
            if positions not in ([True], [True, False]) or (
                is_last and evidence.tasks[task]["status"] == TaskStatus.COMPLETED and positions != [True, False]
            ):
                yield f"attempt {attempt} at task {task} moved its sample {positions}"
    held = evidence.records.positions.find({"holder": {"$ne": None}})
    yield from (f"position {each['_id']} is held by {each['holder']}" for each in held)


def _moves(history: list[Document]) -> dict[tuple[str, int], list[bool]]:
    """Whether the sample stood on the bench after each move of an attempt.

    An attempt that is given the very place where the one before it left the sample has nothing to move there.
    """
    moves: dict[tuple[str, int], list[bool]] = {}
    stands = False
    for step in history:
        leaves = step["position"] is None
        made = moves.setdefault((step["task"], step["attempt"]), [True] if stands and leaves else [])
        made.append(stands := not leaves)
    return moves


def _unproved_losses(evidence: Evidence) -> Iterator[str]:
    killed = {f"{each.name}-{each.instance[:8]}" for each in evidence.killed if each.kind == "worker"}
    for task in evidence.tasks.values():
        for attempt in task["attempts"]:
            if attempt["outcome"] == TaskStatus.LOST and attempt["worker"] not in killed:
                yield f"task {task['_id']} was LOST though its worker {attempt['worker']} was not killed"


def _failures(evidence: Evidence) -> Iterator[str]:
    for task in evidence.tasks.values():
        error = (task["error"] or "").strip()
        if task["status"] == TaskStatus.ERROR and not _is_cut_off(evidence, task, error):
            yield f"task {task['_id']} failed: {error or 'with nothing said'}"


def _is_cut_off(evidence: Evidence, task: Document, error: str) -> bool:
    """Whether the driver of a device that the error names was killed while the task ran."""
    since, until = task["started_at"].timestamp(), task["ended_at"].timestamp()
    groups = {
        device.partition("_")[0] if device.startswith("pair") else device for device in DEVICES if device in error
    }
    return any(reason in error for reason in _CUT_OFF) and any(
        each.kind == "driver"
        and each.name.startswith(tuple(f"driver-{group}-" for group in groups))
        and since - _CLOCK_SECONDS < each.at < until + _CLOCK_SECONDS
        for each in evidence.killed
    )


def _wrong_drivers(evidence: Evidence) -> Iterator[str]:
    for device, lines in evidence.devices.items():
        for line in lines:
            if line["event"] == "begin" and line["task"] in evidence.tasks:
                expected = evidence.version(line["task"]).driver(device)
                if line["number"] != expected:
                    yield f"{device} served task {line['task']} with driver {line['number']}, not {expected}"


def _blocks(evidence: Evidence) -> Iterator[str]:
    """One holder at a time: the calls of a ``with`` block are beside each other."""
    for device, lines in evidence.devices.items():
        over, block = set[str](), ""
        for line in (line for line in lines if line["event"] == "begin"):
            if line["run"] == GHOST:
                yield f"{device} executed a call with a fence that was over"
            elif line["block"] != block:
                over.add(block)
                block = line["block"]
                if block in over:
                    yield f"{device} executed a call of task {line['task']} when another task had it"


def _two_drivers(evidence: Evidence) -> Iterator[str]:
    dead = {each.pid for each in evidence.killed}
    for device, lines in evidence.devices.items():
        connected: set[int] = set()
        for line in lines:
            if line["event"] == "connect":
                if others := connected - dead - {line["pid"]}:
                    yield f"{device} was connected by process {line['pid']} while {others} had it"
                connected.add(line["pid"])
            elif line["event"] == "disconnect":
                connected.discard(line["pid"])


def _disturbed(evidence: Evidence) -> Iterator[str]:
    """A device whose driver never changes is connected again only after the death of its process, and for a barrier.

    What was cut off while it left for a barrier, or came back, begins anew: it is connected once more.
    """
    barriers = list(barriers_of(evidence.records.database).find({"outcome": {"$ne": None}}))
    deaths = sum(each.kind == "driver" and each.name.startswith("driver-steady") for each in evidence.killed)
    cut_off = sum(_cuts_off(killed, barrier) for killed in evidence.killed for barrier in barriers)
    connects = sum(line["event"] == "connect" for line in evidence.devices["steady"])
    if connects > 1 + deaths + len(barriers) + cut_off:
        yield (
            f"steady was connected {connects} times after {deaths} deaths of its driver and {len(barriers)} barriers, "
            f"cut off {cut_off} times"
        )


def _cuts_off(killed: Killed, barrier: Document) -> bool:
    """Whether who moves the devices, or writes down where they are, was killed while a barrier went on."""
    at = [step["at"].timestamp() for step in barrier["steps"]]
    return killed.kind in ("database", "managers") and min(at) <= killed.at <= max(at) + _CLOCK_SECONDS


def _overlaps(evidence: Evidence) -> Iterator[str]:
    """No task runs while a barrier has the devices apart."""
    spans: dict[str, tuple[str, float, float]] = {}
    for line in evidence.told:
        _, since, _ = spans.get(line["run"], ("", line["at"], 0.0))
        spans[line["run"]] = line["task"], since, line["at"]
    for barrier in barriers_of(evidence.records.database).find():
        at = {step["step"]: step["at"].timestamp() for step in barrier["steps"]}
        quiet, connected = at.get(BarrierStep.QUIET), at.get(BarrierStep.CONNECTED)
        if quiet is not None and connected is not None:
            for task, since, until in spans.values():
                if since < connected - _OVERLAP_SECONDS and until > quiet + _OVERLAP_SECONDS:
                    yield f"task {task} ran while barrier {barrier['_id']} had everything apart"


def _left_over(evidence: Evidence) -> Iterator[str]:
    records = evidence.records
    for device in records.devices.find():
        name = device["_id"]
        if device["paused"]:
            yield f"{name} is paused"
        if (
            device["state"] != DeviceState.FREE
            or device["holder"]
            or device.get("hand_over")
            or device.get("rebind_to")
        ):
            yield f"{name} is {device['state']}, held by {device['holder']}, {device.get('hand_over')}"
    open_requests = {"status": {"$in": OPEN_REQUESTS}}
    yield from (f"request {each['_id']} is {each['status']}" for each in records.requests.find(open_requests))
    yield from (
        f"experiment {each['_id']} is {each['status']}" for each in records.experiments.find({"status": "RUNNING"})
    )
    yield from (f"refresh {each['_id']} has no outcome" for each in records.refreshes.find({"outcome": None}))
    yield from (
        f"barrier {each['_id']} has no outcome" for each in barriers_of(records.database).find({"outcome": None})
    )


def _current(evidence: Evidence) -> Iterator[str]:
    records = evidence.records
    generations = Generations(records.database)
    current = generations.current()
    if current is None:
        yield "no generation is current"
        return
    evidence.store.open(current.snapshot)
    numbers = [each.number for each in generations.history(1000)]
    if numbers != list(range(current.number, 0, -1)):
        yield f"the generations are {numbers}"
    if current.commit not in evidence.versions:
        yield f"current names {current.commit}, which is no commit of this laboratory"
        return
    version = evidence.versions[current.commit]
    for name, lines in evidence.devices.items():
        last = next(line for line in reversed(lines) if line["event"] in ("connect", "disconnect"))
        if (last["event"], last["number"]) != ("connect", version.driver(name)):
            yield f"the last word of {name} is {last}; the number in current code is {version.driver(name)}"


def unfinished(records: Records) -> bool:
    """Whether tasks or experiments have not ended."""
    tasks = records.tasks.find_one({"status": {"$nin": list(ENDED)}}, {"_id": 1})
    return tasks is not None or records.experiments.find_one({"status": "RUNNING"}, {"_id": 1}) is not None
