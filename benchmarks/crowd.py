"""A thousand experiments at once on fifty devices, and five hundred tasks at once in one worker process a version."""

from __future__ import annotations

import time
from typing import Final

from benchmarks.figures import Figure, Reference, limit
from benchmarks.laboratory import Laboratory, LaboratoryError, laboratory
from benchmarks.results import Benchmark, Findings
from lab.records import Document

_DEVICES: Final = 50
_EXPERIMENTS: Final = 1000
_STEPS: Final = 3
_AT_ONCE: Final = 500
_WORK_SECONDS: Final = 0.02
_PATIENCE_SECONDS: Final = 1800.0
_TOGETHER: Final = limit(60.0, "s", "all run at once, those of a version in one process")

_DEVICE: Final = f'''
"""One of many places to work at."""

import time

from lab import BaseDevice, SamplePosition


class Bench(BaseDevice):
    """Does next to nothing."""

    description = "a bench"

    @property
    def sample_positions(self):
        return [SamplePosition("slot", number=4)]

    def connect(self):
        pass

    def disconnect(self):
        pass

    def is_running(self):
        return False

    def work(self):
        time.sleep({_WORK_SECONDS})
'''
_TASK: Final = '''
"""A step of an experiment, at any bench that is free."""

from lab import BaseTask

from ..devices.bench import Bench


class Step(BaseTask):
    def run(self):
        with self.lab_view.request_resources({Bench: {"slot": 1}}) as (devices, places):
            devices[Bench].work()
            return places[Bench]["slot"][0]
'''
_REGISTRATION: Final = f"""
from .devices.bench import Bench
from .tasks.step import Step

for number in range({_DEVICES}):
    add_device(Bench, name=f"bench_{{number}}")
add_task(Step)
"""


def run(quick: bool) -> Findings:
    """Submit all over HTTP; the clock runs from the first submission to the end of the last experiment."""
    experiments = _EXPERIMENTS // 10 if quick else _EXPERIMENTS
    with laboratory(_furnish) as lab:
        seconds = _experiments(lab, experiments)
    with laboratory() as lab:
        first, second = _at_once(lab)
    tasks = experiments * _STEPS
    ideal = Reference(f"{_DEVICES} devices at work all the time, {_WORK_SECONDS:g} s a task", _WORK_SECONDS / _DEVICES)
    together = Reference(ideal.text, tasks * ideal.value)
    return Findings(
        [
            Figure("thousand_experiments", seconds, "s", experiments, together),
            Figure("thousand_experiments_per_task", seconds / tasks, "s", tasks, ideal),
            Figure("tasks_500_one_worker", first, "s", _AT_ONCE, _TOGETHER),
            Figure("tasks_500_second_version", second, "s", _AT_ONCE, _TOGETHER),
        ]
    )


def _furnish(lab: Laboratory) -> None:
    (lab.package / "devices" / "bench.py").write_text(_DEVICE)
    (lab.package / "tasks" / "step.py").write_text(_TASK)
    with (lab.package / "__init__.py").open("a") as registry:
        registry.write(_REGISTRATION)
    lab.add_all("Add fifty benches")


def _experiments(lab: Laboratory, count: int) -> float:
    tasks = [{"type": "Step", "prev_tasks": [number - 1] if number else []} for number in range(_STEPS)]
    began = time.monotonic()
    for number in range(count):
        lab.client.submit({"name": f"crowd {number}", "tasks": tasks})
    _wait(lab, count)
    return time.monotonic() - began


def _wait(lab: Laboratory, count: int) -> None:
    """Count the ends as they are told: to ask for them again and again would be work for the database."""
    ended = [{"$match": {"operationType": "insert", "fullDocument.kind": "experiment.ended"}}]
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with lab.database["events"].watch(ended, max_await_time_ms=1000) as changes:
        # Some that are found here are told of as well.
        done = {each["_id"] for each in lab.database["experiments"].find({"status": "COMPLETED"}, {"_id": 1})}
        while len(done) < count and time.monotonic() < deadline:
            change = changes.try_next()
            if change is not None and change["fullDocument"]["facts"]["status"] == "COMPLETED":
                done.add(change["fullDocument"]["subject"])
    completed = lab.database["experiments"].count_documents({"status": "COMPLETED"})
    if completed < count:
        raise LaboratoryError(f"Of {count} experiments {completed} are completed.")


def _at_once(lab: Laboratory) -> tuple[float, float]:
    """How long until all tasks run, with one live version, and then as many again of a second one beside it."""
    first = _all_run(lab, versions=1)
    lab.wait_until_live(lab.commit_version(1))
    return first, _all_run(lab, versions=2)


def _all_run(lab: Laboratory, versions: int) -> float:
    began = time.monotonic()
    tasks = lab.submit("Waiting", count=_AT_ONCE)
    lab.wait_until_running(tasks)
    seconds = time.monotonic() - began
    by_worker: list[Document] = [
        {"$match": {"status": "RUNNING"}},
        {"$group": {"_id": "$claim.worker", "tasks": {"$sum": 1}}},
    ]
    crowds = [int(each["tasks"]) for each in lab.database["tasks"].aggregate(by_worker)]
    if crowds != [_AT_ONCE] * versions:
        raise LaboratoryError(f"Of {versions} versions so many tasks run in a worker each: {crowds}.")
    return seconds


BENCHMARK: Final = Benchmark(
    "a thousand experiments on fifty devices; five hundred tasks in one worker",
    ("thousand_experiments", "thousand_experiments_per_task", "tasks_500_one_worker", "tasks_500_second_version"),
    run,
)
