from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from benchmarks import report
from benchmarks.__main__ import main
from benchmarks.figures import Figure, Reference, limit, percentile
from benchmarks.suite import BENCHMARKS, UnknownNameError, chosen

ASKED_FOR = {
    "commit_to_live_p50",
    "commit_to_live_p99",
    "commit_to_next_task_p50",
    "submit_to_running_p50",
    "pss_72_tasks_workers",
    "pss_72_tasks_total",
    "template_start",
    "worker_fork",
    "freeze_unchanged",
    "freeze_one_change",
    "idle_cpu",
    "device_call_p50",
}


def figure(name: str = "speed", value: float = 2.0, reference: Reference | None = None) -> Figure:
    return Figure(name, value, "s", 20, reference or Reference("the peer: 8 s", 8.0))


def printed(*figures: Figure) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(report.table(figures))
    return capture.get()


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(list(range(100, 0, -1)), percent) == expected


def test_a_percentile_of_few_samples_is_one_of_them() -> None:
    assert percentile([0.3, 0.1, 0.2], 99) == 0.3


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_the_ratio_is_the_value_over_what_it_is_compared_with() -> None:
    assert figure(value=2.0).ratio == 0.25


@pytest.mark.parametrize(("value", "missed"), [(0.4, False), (0.5, False), (0.6, True)])
def test_a_limit_is_missed_by_what_is_above_it(value: float, missed: bool) -> None:
    assert figure(value=value, reference=limit(0.5, "s", "a promise")).missed is missed


def test_what_is_no_limit_cannot_be_missed() -> None:
    assert not figure(value=100.0).missed


def test_results_have_the_promised_shape(tmp_path: Path) -> None:
    report.write([figure(value=1.23456)], tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text()) == {
        "speed": {"value": 1.235, "unit": "s", "n": 20, "compared_with": "the peer: 8 s", "ratio": 0.1543}
    }


def test_results_of_other_benchmarks_stay(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    report.write([figure("speed", 1.0), figure("memory", 1.0)], path)
    report.write([figure("speed", 4.0)], path)
    found = json.loads(path.read_text())
    assert (found["speed"]["value"], found["memory"]["value"]) == (4.0, 1.0)


def test_the_table_shows_value_count_ratio_and_reference() -> None:
    row = next(line for line in printed(figure()).splitlines() if "speed" in line)
    assert all(part in row for part in ("2 s", "20", "0.25", "the peer: 8 s"))


def test_the_table_names_missed_limits() -> None:
    assert "1.2 missed" in printed(figure(value=0.6, reference=limit(0.5, "s", "a promise")))


def test_every_figure_that_was_asked_for_is_measured_once() -> None:
    names = [name for benchmark in BENCHMARKS.values() for name in benchmark.names]
    assert set(names) >= ASKED_FOR
    assert len(names) == len(set(names))


def test_without_names_everything_is_measured() -> None:
    assert chosen([]) == BENCHMARKS


@pytest.mark.parametrize("name", ["idle", "idle_cpu"])
def test_a_benchmark_is_chosen_by_its_name_or_by_a_figure(name: str) -> None:
    assert list(chosen([name])) == ["idle"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'speed'"):
        chosen(["idle", "speed"])


def test_the_list_names_every_figure() -> None:
    shown = CliRunner().invoke(main, ["--list"])
    assert shown.exit_code == 0
    assert all(name in shown.output for name in ASKED_FOR)


def test_the_command_line_refuses_an_unknown_name() -> None:
    refused = CliRunner().invoke(main, ["speed"])
    assert refused.exit_code == 2
    assert "--list" in refused.output
