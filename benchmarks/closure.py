"""Telling what code drivers depend on: which edits are seen to change which driver, and how long 200 modules take."""

from __future__ import annotations

import ast
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.table import Table

from benchmarks.figures import Figure, Reference, limit, median
from benchmarks.realistic_lab import REGISTRATION, Edit, RealisticLab, write
from benchmarks.results import Benchmark, Findings
from hotswap.closure import Closure

DEVICES: Final = 20
TASKS: Final = 30
LARGE: Final = RealisticLab(devices=82, tasks=102)
"""200 modules."""

_FALSE_ALARMS: Final = limit(1.0, "%", f"drivers changed needlessly by an edit of a lab of {DEVICES} devices")


def run(quick: bool) -> Findings:
    """Edits have known consequences; see `RealisticLab.edits`."""
    with tempfile.TemporaryDirectory() as folder:
        counts = _counted(Path(folder) / "small", every=6 if quick else 1)
        total = _Count.of(counts.values())
        times = _Times(Path(folder) / "large", 3 if quick else 15)
        parsed = Reference(f"ast.parse of the same {times.modules} files, same run", median(times.parse))
        figures = [
            Figure(
                "closure_changes_found", total.found, "%", total.edits, Reference("all that an edit changes", 100.0)
            ),
            Figure("closure_false_alarms", total.false_alarms, "%", total.edits, _FALSE_ALARMS),
            Figure("closure_cold", median(times.cold), "s", len(times.cold), parsed),
            Figure("closure_one_change", median(times.changed), "s", len(times.changed), parsed),
        ]
    return Findings(figures, [_table(counts)])


@dataclass
class _Count:
    """Drivers that edits concern and do not, and how many of each got another digest."""

    edits: int = 0
    concerned: int = 0
    others: int = 0
    rightly: int = 0
    wrongly: int = 0

    @classmethod
    def of(cls, parts: Iterable[_Count]) -> _Count:
        """The sum of several."""
        summed: Counter[str] = Counter()
        for part in parts:
            summed.update(vars(part))
        return cls(**summed)

    @property
    def found(self) -> float:
        return 100.0 * self.rightly / self.concerned if self.concerned else 100.0

    @property
    def false_alarms(self) -> float:
        return 100.0 * self.wrongly / self.others if self.others else 0.0

    @property
    def flagged(self) -> float:
        return 100.0 * (self.rightly + self.wrongly) / (self.concerned + self.others)


def _counted(folder: Path, every: int) -> dict[str, _Count]:
    """By the kind of edit."""
    lab = RealisticLab(DEVICES, TASKS)
    before = _digests(folder, lab, {})
    counts: dict[str, _Count] = {}
    tried: Counter[str] = Counter()
    for edit in lab.edits():
        tried[edit.kind] += 1
        if tried[edit.kind] % every == 1 % every:
            after = _digests(folder, lab, edit.changed)
            _add(counts.setdefault(edit.kind, _Count()), edit, {name for name in before if before[name] != after[name]})
    return counts


def _add(count: _Count, edit: Edit, changed: set[str]) -> None:
    count.edits += 1
    count.concerned += len(edit.concerned)
    count.others += DEVICES - len(edit.concerned)
    count.rightly += len(changed & edit.concerned)
    count.wrongly += len(changed - edit.concerned)


def _digests(folder: Path, lab: RealisticLab, changed: Mapping[str, str]) -> dict[str, str]:
    files = write(folder, {**lab.files, **changed})
    closure = Closure(folder, files, registration=REGISTRATION)
    return {name: closure.verdict(name).digest for name in lab.classes}


class _Times:
    """Seconds for the verdicts on all drivers of the large lab, and for parsing its modules only."""

    def __init__(self, folder: Path, n: int) -> None:
        self._folder = folder
        self._files = write(folder, LARGE.files)
        self.modules = sum(path.endswith(".py") for path in LARGE.files)
        self.parse = [_timed(self._parse) for _ in range(n)]
        self.cold = [_timed(lambda number=number: self._judge(number)) for number in range(n)]  # type: ignore[misc]
        self.changed = [self._after_change(number) for number in range(n)]

    def _parse(self) -> None:
        for path in LARGE.files:
            if path.endswith(".py"):
                ast.parse((self._folder / path).read_bytes())

    def _judge(self, number: int) -> None:
        """What is known of a module is kept for a set of registering functions: another set knows nothing yet."""
        registration = REGISTRATION | {f"nobody.calls_{number}"}
        closure = Closure(self._folder, self._files, registration=registration)
        for name in LARGE.classes:
            closure.verdict(name)

    def _after_change(self, number: int) -> float:
        device = LARGE.devices[number % len(LARGE.devices)]
        text = LARGE.files[device.path] + f"\nCHANGED = {number}\n"
        self._files.update(write(self._folder, {device.path: text}))
        return _timed(lambda: self._judge(0))


def _table(counts: Mapping[str, _Count]) -> Table:
    made = Table(title=f"Drivers that count as changed, of {DEVICES}, by the kind of edit")
    for column in ("edit", "tried", "concerned", "flagged", "false alarms", "missed"):
        made.add_column(column, justify="left" if column == "edit" else "right")
    for kind, count in counts.items():
        flagged = f"{count.flagged:.1f} %"
        missed = str(count.concerned - count.rightly)
        made.add_row(kind, str(count.edits), str(count.concerned), flagged, str(count.wrongly), missed)
    return made


def _timed(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


BENCHMARK: Final = Benchmark(
    "telling which drivers an edit changes, and how long that takes for 200 modules",
    ("closure_changes_found", "closure_false_alarms", "closure_cold", "closure_one_change"),
    run,
)
