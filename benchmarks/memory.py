"""Memory of 72 tasks at once, with ``auto_refresh`` on, in one worker process per live version."""

from __future__ import annotations

from typing import Final

from rich.table import Table

from benchmarks import measuring
from benchmarks.figures import Figure, Reference
from benchmarks.laboratory import Laboratory, laboratory
from benchmarks.measuring import SERVICES, Sample
from benchmarks.results import Benchmark, Findings

TASKS: Final = 72
VERSIONS: Final = 3
_PEER_MB: Final = 3684.0
_PEER: Final = "AlabOS 1.1.0 auto_refresh, 72 processes: 3684 MB"


def run(quick: bool) -> Findings:
    """All tasks in one version; then as many again, spread over several versions that are live at once."""
    del quick  # one measurement of one state: there is nothing to take less of
    with laboratory() as lab:
        lab.wait_until_running(lab.submit("Waiting", count=TASKS))
        one = measuring.memory(lab)
    with laboratory() as lab:
        _spread(lab)
        several = measuring.memory(lab)
    return Findings(
        [*_figures("pss_72_tasks", one), *_figures(f"pss_72_tasks_{VERSIONS}_versions", several)],
        [_table("one live version", one), _table(f"{VERSIONS} live versions", several)],
    )


def _spread(lab: Laboratory) -> None:
    for version in range(VERSIONS):
        if version:
            lab.wait_until_live(lab.commit_version(version))
        lab.wait_until_running(lab.submit("Waiting", count=TASKS // VERSIONS))


def _figures(name: str, samples: list[Sample]) -> list[Figure]:
    workers = [sample for sample in samples if sample.kind == "worker"]
    product = [sample for sample in samples if sample.kind not in SERVICES]
    return [
        _figure(f"{name}_workers", workers, "budget 1/50"),
        _figure(f"{name}_total", product, "budget 1/10, without database and broker"),
    ]


def _figure(name: str, samples: list[Sample], budget: str) -> Figure:
    return Figure(name, measuring.total(samples), "MB", 1, Reference(f"{_PEER}; {budget}", _PEER_MB))


def _table(versions: str, samples: list[Sample]) -> Table:
    return measuring.table(f"Memory, {TASKS} tasks running, {versions}", "PSS, MB", samples)


BENCHMARK: Final = Benchmark(
    f"memory of {TASKS} tasks at once, per process",
    tuple(
        f"pss_72_tasks{versions}_{part}" for versions in ("", f"_{VERSIONS}_versions") for part in ("workers", "total")
    ),
    run,
)
