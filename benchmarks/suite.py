"""All benchmarks, by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks import (
    closure,
    crowd,
    cutover,
    dispatch,
    freezing,
    gate,
    idle,
    memory,
    refresh,
    scheduling,
    startup,
    versions,
)
from benchmarks.results import Benchmark

BENCHMARKS: Final[dict[str, Benchmark]] = {
    "refresh": refresh.BENCHMARK,
    "cutover": cutover.BENCHMARK,
    "dispatch": dispatch.BENCHMARK,
    "scheduling": scheduling.BENCHMARK,
    "crowd": crowd.BENCHMARK,
    "gate": gate.BENCHMARK,
    "memory": memory.BENCHMARK,
    "startup": startup.BENCHMARK,
    "versions": versions.BENCHMARK,
    "freezing": freezing.BENCHMARK,
    "idle": idle.BENCHMARK,
    "closure": closure.BENCHMARK,
}


class UnknownNameError(Exception):
    """No benchmark and no figure is called so."""


def chosen(names: Sequence[str]) -> dict[str, Benchmark]:
    """The benchmarks that measure ``names``, each a benchmark or one of its figures; all for no names.

    Raises UnknownNameError.
    """
    for name in names:
        if not any(_measures(key, one, name) for key, one in BENCHMARKS.items()):
            raise UnknownNameError(f"There is no benchmark and no figure called {name!r}; --list shows them.")
    return {
        key: one for key, one in BENCHMARKS.items() if not names or any(_measures(key, one, name) for name in names)
    }


def _measures(key: str, benchmark: Benchmark, name: str) -> bool:
    return name == key or name in benchmark.names
