"""How long it takes until committed code runs, with a task of older code running all the time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from benchmarks.figures import Figure, Reference, limit, median, percentile
from benchmarks.laboratory import Commit, Laboratory, LaboratoryError, laboratory
from benchmarks.results import Benchmark, Findings
from lab.records import Document

STEPS: Final = {
    "git": "git commit is invoked until the branch has moved (not counted below)",
    "detect": "the hook tells the managers, which begin the refresh",
    "freeze": "read the commit, store the snapshot",
    "describe": "start its template, import it, hear what it defines",
    "plan": "compare with what is current",
    "warm": "fork a worker, which connects to database and broker",
    "promote": "move `current`",
    "dispatch": "a task submitted as soon as `current` has moved, until its first line",
}
_PEER: Final = Reference("AlabOS 1.1.0 auto_refresh, idle lab: 37.5 s (34-41) until managers are refreshed", 37.5)
_BUDGET: Final = limit(0.5, "s", "commit to the next task with the new code, any number of tasks running")

_PLAN_BUDGET: Final = limit(1.0, "s", "`lab plan` on the starter lab")


@dataclass(frozen=True)
class _Round:
    """One commit: seconds spent in each of `STEPS`."""

    steps: dict[str, float]

    @property
    def live(self) -> float:
        """From the commit to ``current`` naming it."""
        return sum(self.steps[name] for name in ("detect", "freeze", "describe", "plan", "warm", "promote"))

    @property
    def next_task(self) -> float:
        """From the commit to the first line of a task that runs it."""
        return self.live + self.steps["dispatch"]


def run(quick: bool) -> Findings:
    """Commit again and again while a task of the first version runs."""
    with laboratory() as lab:
        lab.wait_until_running(lab.submit("Waiting"))
        first = _round(lab, 1)  # told apart: it reads what later ones remember
        rounds = [_round(lab, version) for version in range(2, 12 if quick else 102)]
        plans = [_plan(lab) for _ in range(5 if quick else 20)]
    return Findings([*_figures(rounds), _plan_figure(plans)], [_table(first, rounds)])


def _round(lab: Laboratory, version: int) -> _Round:
    commit = lab.commit_version(version)
    lab.wait_for("current_generation", {"commit": commit.id})
    began = _next_task(lab, version)
    return _Round(_steps(commit, lab.wait_until_live(commit), began))


def _plan(lab: Laboratory) -> float:
    """Seconds to plan a way back: its code is frozen, but nothing of it runs any more."""
    began = time.perf_counter()
    plan = lab.client.plan("HEAD~1")
    seconds = time.perf_counter() - began
    if plan["refused"] or not plan["why"]["tasks"]:
        raise LaboratoryError(f"A plan of code that changes a task tells of {plan['why']} and {plan['refused']}.")
    return seconds


def _next_task(lab: Laboratory, version: int) -> float:
    """When a task began, submitted now; it must be of the version that was just committed."""
    (task,) = lab.submit("Probe")
    told = lab.result(task)
    if told["version"] != version:
        raise LaboratoryError(f"Version {version} is live, but the next task ran version {told['version']}.")
    return float(told["began"])


def _steps(commit: Commit, refresh: Document, began: float) -> dict[str, float]:
    reached = {each["step"]: each["seconds"] for each in refresh["steps"]}
    detected = refresh["steps"][0]["at"].timestamp()
    promoted = detected + reached["promoted"]
    return {
        "git": commit.moved - commit.invoked,
        "detect": detected - commit.moved,
        "freeze": reached["frozen"] - reached["detected"],
        "describe": reached["described"] - reached["frozen"],
        "plan": reached["planned"] - reached["described"],
        "warm": reached["ready"] - reached["planned"],
        "promote": reached["promoted"] - reached["ready"],
        "dispatch": began - promoted,
    }


def _figures(rounds: list[_Round]) -> list[Figure]:
    live = [each.live for each in rounds]
    following = [each.next_task for each in rounds]
    n = len(rounds)
    return [
        Figure("commit_to_live_p50", median(live), "s", n, _PEER),
        Figure("commit_to_live_p99", percentile(live, 99), "s", n, _PEER),
        Figure("commit_to_next_task_p50", median(following), "s", n, _BUDGET),
    ]


def _plan_figure(plans: list[float]) -> Figure:
    return Figure("plan_p50", median(plans), "s", len(plans), _PLAN_BUDGET)


def _table(first: _Round, rounds: list[_Round]) -> Table:
    table = Table(title=f"From a commit to the next task, {len(rounds)} commits, milliseconds")
    table.add_column("step")
    for column in ("p50", "p99", "first commit"):
        table.add_column(column, justify="right")
    table.add_column("what happens")
    for name, about in STEPS.items():
        _add(table, name, first.steps[name], [each.steps[name] for each in rounds], about)
    table.add_section()
    _add(table, "live", first.live, [each.live for each in rounds], "detect to promote")
    _add(table, "next task", first.next_task, [each.next_task for each in rounds], "detect to dispatch")
    return table


def _add(table: Table, name: str, first: float, others: list[float], about: str) -> None:
    seconds = (median(others), percentile(others, 99), first)
    table.add_row(name, *(f"{each * 1e3:.1f}" for each in seconds), about)


BENCHMARK: Final = Benchmark(
    "commit to running code, step by step, while a task of older code runs; what a plan takes",
    ("commit_to_live_p50", "commit_to_live_p99", "commit_to_next_task_p50", "plan_p50"),
    run,
)
