"""What a task returns, through a real worker process and database."""

from __future__ import annotations

import io
import math
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pymongo
import pytest
from blake3 import blake3

from hotswap.routing import make_broker, queue_name, send
from lab.records import Pin, Records, TaskStatus, new_task
from lab.results.large_result import references
from lab.results.result_files import ResultFiles, pieces

pytestmark = pytest.mark.system
OLD = "a" * 64
MEGABYTE = 1024 * 1024

TASKS = """
import dataclasses, io, math, resource, tempfile
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from pathlib import Path
from uuid import UUID

import numpy
from pydantic import BaseModel, RootModel

from lab import LargeResult


class Peak(BaseModel):
    position: float
    when: date
    kinds: set[str]
    scan: LargeResult | None = None


@dataclasses.dataclass
class Point:
    x: int
    where: Path


class Phase(Enum):
    QUARTZ = "quartz"
    FOLDER = Path("d/e")


class Rich(BaseTask):
    def run(self):
        return {
            "array": numpy.arange(6, dtype="float32").reshape(2, 3),
            "scalar": numpy.int64(7),
            "flag": numpy.bool_(True),
            "stamps": numpy.array(["2026-01-02T03:04:05", "NaT"], dtype="datetime64[ns]"),
            "span": numpy.timedelta64(1500, "ms"),
            "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
            "day": date(2026, 1, 2),
            "minutes": timedelta(minutes=2),
            "path": Path("a/b"),
            "set": {10, 9, 1},
            "mixed": {"a", 1},
            "model": Peak(position=26.6, when=date(2026, 1, 2), kinds={"b", "a"}),
            "point": Point(1, Path("c")),
            "phase": Phase.QUARTZ,
            "nan": math.nan,
            "inf": -math.inf,
            "big": 2**63 - 1,
            "bytes": b"\\x00\\xff",
            "tuple": (1, (2,)),
            "uuid": UUID(int=1),
            "keys": {1: "one", Phase.QUARTZ: "q"},
            "root": RootModel[set[int]]({2, 1}),
            "folder": Phase.FOLDER,
        }


class Huge(BaseTask):
    def __init__(self, what: str):
        self.what = what

    def run(self):
        what = {"int": 2**64, "array": numpy.zeros(2_000_000), "text": "x" * 13_000_000, "complex": 1j}
        self.lab_view.update_result("early", LargeResult.from_file_like_data(io.BytesIO(b"kept")))
        return {"lost": LargeResult.from_file_like_data(io.BytesIO(b"lost")), "it": what[self.what]}


class Film(BaseTask):
    \"\"\"Returns a file, and how much memory it took to do so, in bytes.\"\"\"

    def __init__(self, megabytes: int):
        self.megabytes = megabytes

    def run(self):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.raw"
            with path.open("wb") as file:
                for number in range(self.megabytes):
                    file.write(bytes([number % 251]) * 1024 * 1024)
            self.lab_view.update_result("film", LargeResult.from_local_file(path))
        return {"grown": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024}


class Reading(BaseTask):
    \"\"\"Reads what a subtask stored.\"\"\"

    def run(self):
        film = self.lab_view.run_subtask(Film, megabytes=1)["film"]
        return {"same": film, "read": len(LargeResult.of(film).retrieve())}


class Alone(BaseTask):
    def run(self):
        return LargeResult.from_file_like_data(io.BytesIO(b"alone"), "alone.txt")


class Promising(BaseTask):
    \"\"\"Returns what it is told to.\"\"\"

    def __init__(self, result: dict):
        self.result = result

    @classmethod
    def result_specification(cls):
        return Peak

    def run(self):
        return self.result


class Keeping(Promising):
    def run(self):
        scan = LargeResult.from_file_like_data(io.BytesIO(b"1"))
        return Peak(position=1, when=date(2026, 1, 2), kinds={"a"}, scan=scan)


class Asking(BaseTask):
    def run(self):
        return self.lab_view.run_subtask(Promising, result={})


class Standing(BaseTask):
    \"\"\"Tells how far it is, and asks with another priority than it was given.\"\"\"

    def __init__(self, fraction: float = 0.25, priority: int = 30):
        self.fraction, self.urgency = fraction, priority

    def run(self):
        before = self.priority
        self.set_progress(self.fraction, "a quarter")
        self.set_progress(self.fraction)
        self.priority = self.urgency
        inner = self.lab_view.run_subtask("Asked")
        return {"before": before, "after": self.priority, "inner": inner}


class Asked(BaseTask):
    def run(self):
        try:
            with self.lab_view.request_resources({"furnace": {}}, timeout=0.01):
                pass
        except TimeoutError:
            return self.lab_view.priority


class Unknown(BaseTask):
    def run(self):
        self.lab_view.run_subtask("Unkown")


for task in (Standing, Asked, Unknown, Rich, Huge, Film, Reading, Alone, Promising, Keeping, Asking):
    add_task(task)
"""


class Work:
    """One worker and its database; ``run`` has it do a task."""

    def __init__(self, records: Records, say: Callable[[str], None]) -> None:
        self.records = records
        self.files = ResultFiles(records.database)
        self._say = say

    def run(self, kind: str, **parameters: Any) -> Any:
        """The document of a task once it has ended."""
        task = new_task(kind, parameters, samples=[], experiment="e1")
        pin = Pin(snapshot=OLD, generation=7, commit="c0ffee", dirty=False, environment="env")
        self.records.tasks.insert_one({**task, "status": TaskStatus.INITIATED, "pin": pin, "attempt": 1})
        self._say(task["_id"])
        deadline = time.monotonic() + 30.0
        while not (ended := self.records.tasks.find_one({"_id": task["_id"], "ended_at": {"$ne": None}})):
            assert time.monotonic() < deadline, "the task did not end"
            time.sleep(0.01)
        return ended

    def stored(self, task: Any) -> set[str]:
        """The names of the files that a task has."""
        return {file.filename for file in self.files._bucket.find({"metadata.task": task["_id"]})}


@contextmanager
def working(mongo_uri: str, broker_url: str, make_children: Any, policy: str) -> Iterator[Work]:
    children = make_children(TASKS)
    name = f"test_{uuid.uuid4().hex[:12]}"
    arguments = {"mongo_uri": mongo_uri, "database": name, "broker_url": broker_url, "lab": name, "results": policy}
    broker = make_broker(broker_url)
    with pymongo.MongoClient[dict[str, Any]](mongo_uri, tz_aware=True) as client:
        children.ensure("worker-aaa", OLD, "lab.worker:main", arguments)
        yield Work(Records(client[name]), lambda task: send(broker, queue_name(name, OLD), "run_task", task, 1))
        client.drop_database(name)
    broker.close()
    children.close()


@pytest.fixture(scope="module")
def work(mongo_uri: str, broker_url: str, make_children: Any) -> Iterator[Work]:
    with working(mongo_uri, broker_url, make_children, "warn") as made:
        yield made


@pytest.fixture(scope="module")
def strict(mongo_uri: str, broker_url: str, make_children: Any) -> Iterator[Work]:
    """A worker of a laboratory that refuses results which are not as promised."""
    with working(mongo_uri, broker_url, make_children, "refuse") as made:
        yield made


def test_results_come_back_as_what_they_say(work: Work) -> None:
    result = work.run("Rich")["result"]
    assert math.isnan(result.pop("nan"))
    assert result == {
        "array": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]],
        "scalar": 7,
        "flag": True,
        "stamps": [datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), None],
        "span": 1.5,
        "when": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "day": "2026-01-02",
        "minutes": 120.0,
        "path": "a/b",
        "set": [1, 9, 10],
        "mixed": ["a", 1],
        "model": {"position": 26.6, "when": "2026-01-02", "kinds": ["a", "b"], "scan": None},
        "point": {"x": 1, "where": "c"},
        "phase": "quartz",
        "inf": -math.inf,
        "big": 2**63 - 1,
        "bytes": b"\x00\xff",
        "tuple": [1, [2]],
        "uuid": "00000000-0000-0000-0000-000000000001",
        "keys": {"1": "one", "quartz": "q"},
        "root": [1, 2],
        "folder": "d/e",
    }


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("int", "The result of Huge['it'] is 18446744073709551616, which does not fit 64 bits; pass it as text."),
        ("array", "The result of Huge['it'] has 16000000 bytes, and a record holds 12582912; make its large parts"),
        ("text", "The result of Huge has 13000"),
        ("complex", "The result of Huge['it'] is a builtins.complex"),
    ],
)
def test_what_a_record_cannot_hold_is_one_sentence_and_what_was_told_early_stays(
    work: Work, what: str, sentence: str
) -> None:
    task = work.run("Huge", what=what)
    assert (task["status"], sentence in task["error"].splitlines()[0]) == ("ERROR", True), task["error"]
    (kept,) = references(task["result"])
    assert b"".join(pieces(work.files.open(kept))) == b"kept"
    assert len(list(work.files._bucket.find({"metadata.task": task["_id"]}))) == 1


def test_a_large_result_is_stored_in_pieces_and_named_in_the_record(work: Work) -> None:
    result = work.run("Film", megabytes=40)["result"]
    film = result["film"]
    assert (film["name"], film["size"]) == ("film.raw", 40 * MEGABYTE)
    digest, size = blake3(), 0
    for piece in pieces(work.files.open(film["large_result"])):
        digest.update(piece)
        size += len(piece)
    assert (size, digest.hexdigest()) == (film["size"], film["blake3"])
    assert result["grown"] < 20 * MEGABYTE


def test_a_task_reads_what_its_subtask_stored(work: Work) -> None:
    task = work.run("Reading")
    assert task["result"]["read"] == MEGABYTE
    assert len(list(references(task["result"]))) == 1


def test_a_large_result_may_be_all_of_it(work: Work) -> None:
    task = work.run("Alone")
    assert work.stored(task) == {"alone.txt"}
    assert task["result"]["size"] == 5


def test_large_results_go_with_their_experiment(work: Work) -> None:
    reference = work.run("Alone")["result"]["large_result"]
    assert work.files.forget(["e2"]) == 0
    assert work.files.forget(["e1"]) >= 1
    assert not list(work.files._bucket.find({"_id": reference}))


GOOD = {"position": 1.0, "when": "2026-01-02", "kinds": ["a"]}


@pytest.mark.parametrize(
    ("result", "complaint"),
    [
        ({**GOOD, "position": "left"}, "field 'position': input should be a valid number"),
        ({"position": 1.0, "kinds": []}, "field 'when' is missing"),
    ],
)
def test_a_result_that_is_not_as_promised_is_kept_with_a_warning(work: Work, result: Any, complaint: str) -> None:
    task = work.run("Promising", result=result)
    assert (task["status"], task["result"]) == ("COMPLETED", result)
    assert task["result_warning"].startswith("The result of Promising is not what its result_specification promises:")
    assert complaint in task["result_warning"]


def test_where_the_policy_refuses_it_the_task_is_an_error_that_names_the_field(strict: Work) -> None:
    task = strict.run("Promising", result={**GOOD, "position": "left"})
    assert task["status"] == "ERROR"
    assert "field 'position'" in task["error"]
    assert task["result"] == {**GOOD, "position": "left"}


def test_a_refused_result_of_a_subtask_fails_the_task(strict: Work) -> None:
    task = strict.run("Asking")
    assert task["status"] == "ERROR"
    assert "The result of Promising" in task["error"]
    subtask = strict.records.tasks.find_one({"parent": task["_id"]})
    assert subtask is not None
    assert subtask["status"] == "ERROR"


def test_a_promised_result_passes_with_dates_sets_and_large_parts(strict: Work) -> None:
    for task in (strict.run("Promising", result=GOOD), strict.run("Keeping", result={})):
        assert (task["status"], task["result_warning"]) == ("COMPLETED", None), task["error"]


def test_a_file_that_breaks_off_while_it_is_stored_leaves_nothing(records: Records) -> None:
    from lab.results.large_result import LargeResult

    class Breaking(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 2 * MEGABYTE:
                raise OSError("unplugged")
            return super().read(size)

    files = ResultFiles(records.database)
    with pytest.raises(OSError, match="unplugged"):
        files.store(LargeResult.from_file_like_data(Breaking(bytes(3 * MEGABYTE))), "t", "e")
    assert records.database["results.files"].count_documents({}) == 0
    assert records.database["results.chunks"].count_documents({}) == 0


def test_a_task_tells_how_far_it_is_and_sets_its_priority(work: Work) -> None:
    task = work.run("Standing", priority=100)
    assert (task["progress"], task["message"], task["priority"]) == (0.25, "a quarter", 100)
    assert task["result"] == {"before": 20, "after": 100, "inner": 100}
    (subtask,) = work.records.tasks.find({"parent": task["_id"]})
    assert [request["priority"] for request in work.records.requests.find({"task": task["_id"]})] == [100]
    assert (subtask["status"], subtask["pin"]) == ("COMPLETED", task["pin"])
    assert task["started_at"] <= subtask["started_at"] <= subtask["ended_at"] <= task["ended_at"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"fraction": 1.5}, "Progress is a number from 0 to 1, not 1.5."),
        ({"fraction": math.nan}, "Progress is a number from 0 to 1, not nan."),
        ({"priority": 1001}, "A priority is a whole number from 0 to 1000, not 1001."),
    ],
)
def test_what_is_no_progress_or_priority_is_one_sentence(work: Work, parameters: Any, sentence: str) -> None:
    assert sentence in work.run("Standing", **parameters)["error"].splitlines()[0]


def test_a_subtask_of_an_unknown_name_is_one_sentence(work: Work) -> None:
    assert "has no task type 'Unkown'" in work.run("Unknown")["error"].splitlines()[0]
