"""The laboratory's documents in MongoDB: the truth that every process reads and changes by compare-and-set.

All ids are strings; all times are UTC; every change of a ``status`` or ``state`` names the value it replaces in
its filter.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NotRequired, TypedDict

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from hotswap.generations import Generation
from lab.statuses import (
    CLAIMED,
    ENDED,
    NEEDING,
    PINNED,
    PRIORITIES,
    UNDECIDED,
    DeviceState,
    ExperimentStatus,
    HandOverStep,
    RequestStatus,
    TaskStatus,
)

# Those of `lab.statuses` are part of what the documents say, and are imported from here.
__all__ = [
    "CLAIMED",
    "ENDED",
    "NEEDING",
    "PINNED",
    "PRIORITIES",
    "UNDECIDED",
    "DeviceState",
    "ExperimentStatus",
    "HandOverStep",
    "RequestStatus",
    "TaskStatus",
]

Document = dict[str, Any]


class Pin(TypedDict):
    """The code a task is bound to."""

    snapshot: str
    generation: int
    commit: str | None
    dirty: bool
    environment: str


class Claim(TypedDict):
    """Which worker has a task; ``token`` fences off every other attempt. ``process`` is one it has for itself."""

    worker: str
    token: str
    at: datetime
    process: NotRequired[str]


class Attempt(Pin):
    """One attempt at a task that has ended, and the code it ran."""

    attempt: int
    worker: str
    started_at: datetime | None
    ended_at: datetime
    outcome: str


class Examined(TypedDict):
    """Why the code of a snapshot does not take a queued task; None where it does."""

    snapshot: str
    reason: str | None


class Edit(TypedDict):
    """Parameters of a task that a person changed before it started: the values ``before`` and ``after``."""

    at: datetime
    actor: str
    before: Document
    after: Document


class Task(TypedDict):
    """``parent`` is set for subtasks, which live and die with their parent and are never dispatched.

    ``label`` is what the submitter calls it. ``planned`` are the samples it was to have, where a failure before it cost
    it some. ``skip`` names who wants it skipped, ``note`` says what else a person should know.
    ``ends_as`` is the status that a FINISHING task will end in.
    """

    _id: str
    type: str
    parameters: Document
    samples: list[str]
    experiment: str
    previous: list[str]
    parent: str | None
    status: str
    message: str
    reason: str | None
    priority: int
    created_at: datetime
    ready_at: datetime | None
    pin: Pin | None
    attempt: int
    claim: Claim | None
    sent_at: datetime | None
    started_at: datetime | None
    ended_at: datetime | None
    result: Any
    error: str | None
    cancel_requested: bool
    attempts: list[Attempt]
    examined: NotRequired[Examined | None]
    edits: NotRequired[list[Edit]]
    label: NotRequired[str]
    result_warning: NotRequired[str | None]
    progress: NotRequired[float | None]
    planned: NotRequired[list[str] | None]
    skip: NotRequired[str | None]
    note: NotRequired[str | None]
    ends_as: NotRequired[str]


class Experiment(TypedDict):
    _id: str
    name: str
    tags: list[str]
    metadata: Document
    samples: list[str]
    tasks: list[str]
    status: str
    submitted_at: datetime
    completed_at: datetime | None
    pin: NotRequired[Pin | None]
    on_failure: NotRequired[str]


class Step(Pin):
    """A sample moved to ``position``, by an attempt at a task and the code it ran."""

    position: str | None
    at: datetime
    task: str
    attempt: int


class HandStep(TypedDict):
    """A sample moved to ``position`` by a person, on behalf of a task or not."""

    position: str | None
    at: datetime
    actor: str
    task: str | None
    attempt: int | None


class Sample(TypedDict):
    """Where a sample is now stands only in ``position``; a unique index keeps two samples out of one place."""

    _id: str
    name: str
    experiment: str
    position: str | None
    tags: list[str]
    metadata: Document
    label: NotRequired[str]
    history: list[Step | HandStep]


class Position(TypedDict):
    """A place for one sample: ``furnace_1/slot/2`` on a device, ``table/3`` standing alone. ``holder`` is a task."""

    _id: str
    device: str | None
    prefix: str
    holder: str | None
    request: str | None


class Binding(TypedDict):
    """The driver a device is connected with: the snapshot it comes from, its digest, and where it answers."""

    snapshot: str
    generation: int
    digest: str
    process: str
    address: tuple[str, int]
    bound_at: datetime


class HandOver(TypedDict):
    """``state`` is what the old driver exported, None for nothing; the devices ``together`` move as one."""

    step: str
    state: Any
    together: list[str]


class Retry(TypedDict):
    """A device in error is tried again ``at`` a time, after so many failures in a row."""

    failures: int
    at: datetime


class Device(TypedDict):
    """``group`` names the share group: its devices share one driver process. ``fence`` counts grants and only grows.

    ``rebind_to`` is the snapshot a REBINDING device is on its way to, ``hand_over`` how far it has come;
    ``failed_digest`` the driver that did not connect while ``failed_generation`` was current, which is not tried
    again before somebody releases the device or a new generation is live. ``stops`` counts emergency stops.
    ``paused_by_driver``: the driver began the pause, and may end it. ``simulated``: it was connected to pretend.
    ``retry`` says when a device in error is connected again; ``ailing`` is what its driver finds wrong with it.
    ``typical_hold`` is how many seconds a task holds the device as a rule, None until one has given it back.
    """

    _id: str
    group: str
    type: str
    description: str
    state: str
    binding: Binding | None
    holder: str | None
    request: str | None
    fence: int
    paused: bool
    message: str
    connects: int
    disconnects: int
    error: str | None
    stopped: NotRequired[bool]
    rebind_to: NotRequired[str | None]
    hand_over: NotRequired[HandOver | None]
    failed_digest: NotRequired[str | None]
    failed_generation: NotRequired[int]
    stops: NotRequired[int]
    paused_by_driver: NotRequired[bool]
    simulated: NotRequired[bool]
    retry: NotRequired[Retry | None]
    ailing: NotRequired[str | None]
    granted_at: NotRequired[datetime]
    typical_hold: NotRequired[float | None]


class Want(TypedDict):
    """One entry of a request: a class (``module:Qualname``), a device name, or neither for standalone positions.

    ``key`` is what the task wrote, as a string, and names the entry in the grant. ``positions`` maps prefix to count.
    """

    key: str
    kind: str
    name: str | None
    positions: dict[str, int]


class GrantedDevice(TypedDict):
    key: str
    device: str
    fence: int
    address: tuple[str, int]
    snapshot: str
    digest: str


class Grant(TypedDict):
    """``positions``: key of the want -> prefix -> names."""

    devices: list[GrantedDevice]
    positions: dict[str, dict[str, list[str]]]


class Request(TypedDict):
    """``waits_for`` says what a pending request lacks, ``deadlock`` which tasks wait for each other for ever.

    What is ``kept`` its task cannot give back any more.
    """

    _id: str
    task: str
    attempt: int
    snapshot: str
    wants: list[Want]
    priority: int
    status: str
    created_at: datetime
    grant: Grant | None
    waits_for: str | None
    error: str | None
    deadlock: NotRequired[list[str] | None]
    kept: NotRequired[bool]


class Stuck(TypedDict):
    """An attempt that was abandoned, and whose code has not ended yet."""

    task: str
    attempt: int


class Silence(TypedDict):
    """A worker was found to give no sign of life after ``beat``."""

    since: datetime
    beat: int


class Worker(TypedDict):
    """A worker process: ``beat`` grows while it lives; ``running`` counts its tasks, ``capacity`` bounds them."""

    _id: str
    snapshot: str
    queue: str
    identity: Document
    instance: str
    address: tuple[str, int]
    capacity: int
    running: int
    beat: int
    started_at: datetime
    stuck: NotRequired[list[Stuck]]
    unreachable: NotRequired[Silence | None]


class Event(TypedDict):
    """One line of the lab's log for people and tests; ``kind`` is a dotted word such as ``device.rebound``."""

    _id: ObjectId
    at: datetime
    kind: str
    subject: str
    facts: Document


class Records:
    """Typed access to one lab's database."""

    def __init__(self, database: Database[Document]) -> None:
        self.database = database
        self.tasks: Collection[Task] = database["tasks"]  # type: ignore[assignment]
        self.experiments: Collection[Experiment] = database["experiments"]  # type: ignore[assignment]
        self.samples: Collection[Sample] = database["samples"]  # type: ignore[assignment]
        self.positions: Collection[Position] = database["positions"]  # type: ignore[assignment]
        self.devices: Collection[Device] = database["devices"]  # type: ignore[assignment]
        self.requests: Collection[Request] = database["requests"]  # type: ignore[assignment]
        self.workers: Collection[Worker] = database["workers"]  # type: ignore[assignment]
        self.calls: Collection[Document] = database["calls"]
        self.events: Collection[Event] = database["events"]  # type: ignore[assignment]
        self.refreshes: Collection[Document] = database["refreshes"]

    def create_indexes(self) -> None:
        """Make the indexes that queries and invariants rely on; safe to repeat."""
        self.tasks.create_index([("status", 1)])
        self.tasks.create_index([("experiment", 1)])
        self.tasks.create_index([("samples", 1)])
        self.tasks.create_index([("type", 1), ("ended_at", -1)])
        self.requests.create_index([("status", 1)])
        self.requests.create_index([("task", 1)])
        self.experiments.create_index([("status", 1)])
        self.positions.create_index([("device", 1)])
        self.samples.create_index([("experiment", 1)])
        occupied = {"position": {"$type": "string"}}
        self.samples.create_index([("position", 1)], unique=True, partialFilterExpression=occupied)
        self.samples.create_index([("position", 1), ("_id", 1)])  # queries do not make use of a partial one
        self.calls.create_index([("task", 1)])

    def log(self, kind: str, subject: str, **facts: Any) -> None:
        """Write one event."""
        self.events.insert_one({"_id": ObjectId(), "at": now(), "kind": kind, "subject": subject, "facts": facts})


def new_id() -> str:
    return str(ObjectId())


def now() -> datetime:
    return datetime.now(UTC)


def pin_to(generation: Generation) -> Pin:
    return Pin(
        snapshot=generation.snapshot,
        generation=generation.number,
        commit=generation.commit,
        dirty=generation.dirty,
        environment=generation.environment,
    )


def ended_attempt(number: int, pin: Pin, worker: str, started_at: datetime | None, outcome: str) -> Attempt:
    """The entry of an attempt that ends now."""
    return Attempt(**pin, attempt=number, worker=worker, started_at=started_at, ended_at=now(), outcome=outcome)


def new_task(
    kind: str,
    parameters: Document,
    *,
    samples: list[str],
    experiment: str,
    previous: list[str] | None = None,
    parent: str | None = None,
    priority: int = 20,
    task_id: str | None = None,
) -> Task:
    """A task document that waits for its turn."""
    return Task(
        _id=task_id or new_id(),
        type=kind,
        parameters=parameters,
        samples=samples,
        experiment=experiment,
        previous=previous or [],
        parent=parent,
        status=TaskStatus.WAITING,
        message="",
        reason=None,
        priority=priority,
        created_at=now(),
        ready_at=None,
        pin=None,
        attempt=0,
        claim=None,
        sent_at=None,
        started_at=None,
        ended_at=None,
        result=None,
        error=None,
        cancel_requested=False,
        attempts=[],
    )
