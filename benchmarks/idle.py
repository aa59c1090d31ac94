"""Processor time of a laboratory that does nothing but wait, with three live versions."""

from __future__ import annotations

import time
from typing import Final

from benchmarks import measuring
from benchmarks.figures import Figure, limit
from benchmarks.laboratory import laboratory
from benchmarks.results import Benchmark, Findings

VERSIONS: Final = 3
_BUDGET: Final = limit(
    4.0, "%", f"of one core, idle starter lab, {VERSIONS} live versions, database and broker included"
)


def run(quick: bool) -> Findings:
    """Keep older versions live by a waiting task each, let everything settle, and watch."""
    seconds = 20 if quick else 60
    with laboratory() as lab:
        for version in range(VERSIONS):
            if version:
                lab.wait_until_live(lab.commit_version(version))
            lab.wait_until_running(lab.submit("Waiting"))
        time.sleep(5)  # what the last refresh left to do is not idleness
        samples = measuring.processor(lab, seconds)
    figure = Figure("idle_cpu", measuring.total(samples), "%", 1, _BUDGET)
    return Findings([figure], [measuring.table(f"Idle for {seconds} s", "% of one core", samples)])


BENCHMARK: Final = Benchmark("processor time of an idle lab with three live versions, per process", ("idle_cpu",), run)
