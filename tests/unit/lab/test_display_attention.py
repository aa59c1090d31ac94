"""What a person has to look at stands in `lab status`."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from lab.display._attention import show_attention


def shown(**facts: Any) -> list[str]:
    console = Console(width=60, highlight=False, force_terminal=False)
    with console.capture() as captured:
        show_attention(console, {"versions": [], "workers": [], **facts})
    return captured.get().splitlines()


def test_nothing_is_said_of_a_lab_that_runs() -> None:
    running = {"id": "t1", "type": "Heating", "status": "RUNNING"}
    assert (
        shown(versions=[{"tasks": [running]}], workers=[{"snapshot": "3f9a", "stuck": []}, {"snapshot": "3f9a"}]) == []
    )


def test_tasks_that_wait_for_a_decision_are_named_with_what_to_do() -> None:
    tasks = [{"id": "t1", "type": "Heating", "status": "ABANDONED"}, {"id": "t2", "type": "Dosing", "status": "LOST"}]
    assert shown(versions=[{"tasks": tasks}]) == [
        "to be decided: Heating t1 is ABANDONED; `lab retry` or `lab cancel` it",
        "to be decided: Dosing t2 is LOST; `lab retry` or `lab cancel` it",
    ]


def test_stuck_code_is_named_with_its_worker() -> None:
    worker = {"snapshot": "3f9a81cc02d7" + "0" * 52, "stuck": [{"task": "t1", "attempt": 2}]}
    (line,) = shown(workers=[worker])
    assert line == "stuck: code of t1, which was abandoned, still runs in the worker of code version 3f9a81cc02d7"


def test_a_worker_that_gives_no_sign_of_life_is_named_with_its_work() -> None:
    silence = {"since": "2020-01-02T03:04:05+00:00", "beat": 7}
    (line,) = shown(workers=[{"id": "worker-3f9a-1", "snapshot": "3f9a", "running": 2, "unreachable": silence}])
    assert line.startswith("unreachable: worker-3f9a-1, at work on 2 tasks, gives no sign of life since 01-02")
