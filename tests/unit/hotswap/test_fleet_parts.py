"""The parts of a fleet that need no process: records, estimates, turns, and words for an end."""

from __future__ import annotations

import gc
import json
import math
import os
import random
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hotswap.errors import ProcessError
from hotswap.fleet import restart_delay
from hotswap.fleet._differing import first_difference
from hotswap.fleet._endings import LONGEST_DELAY_SECONDS, in_words, out_of_memory_kills
from hotswap.fleet._gate import Gate
from hotswap.fleet._locks import Locks
from hotswap.fleet._memory import TEMPLATE, UNKNOWN_MB, Estimates, Memory, Start, Use, used_by
from hotswap.process import Identity
from hotswap.process.hygiene import reseed
from hotswap.process.runs import KEPT, Run, Runs


def _run(
    name: str = "one", *, kind: str = "process", snapshot: str = "a" * 64, entry: str = "m:f", instance: str = "1" * 32
) -> Run:
    return Run(name, kind, snapshot, Identity.mine(), ("127.0.0.1", 1), instance, entry, {"kept": 1})


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.save(_run())
    assert list(runs.load()) == [_run()]


def test_a_record_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    Runs(tmp_path / "run").save(_run())
    (path,) = (tmp_path / "run").iterdir()
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_forgetting_a_process_spares_its_successor(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    first, second = _run(instance="1" * 32), _run(instance="2" * 32)
    runs.save(first)
    runs.save(second)
    runs.forget(first)
    assert list(runs.load()) == [second]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 1, "identity": {}, "address": []}'])
def test_a_record_that_cannot_be_read_is_left_out(tmp_path: Path, text: str) -> None:
    runs = Runs(tmp_path)
    runs.save(_run())
    (tmp_path / "broken.12345678.run.json").write_text(text)
    assert list(runs.load()) == [_run()]


def test_an_exit_record_of_a_predecessor_is_not_taken_for_ones_own(tmp_path: Path) -> None:
    record = {"outcome": "returned", "identity": {**Identity.mine().to_dict(), "start_time": 1}}
    (tmp_path / "one.exit.json").write_text(json.dumps(record))
    assert Runs(tmp_path).exit_outcome(_run()) is None


def test_last_words_are_those_of_the_process_not_of_its_predecessor(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    (tmp_path / "one.log").write_text("of the predecessor\n")
    start = runs.log_size("one")
    with (tmp_path / "one.log").open("a") as log:
        log.write("1\n2\n3\n4\n")
    run = Run("one", "process", "a", Identity.mine(), ("127.0.0.1", 1), "1", log_start=start)
    assert runs.last_words(run) == ["2", "3", "4"]
    assert runs.last_words(run, lines=9) == ["1", "2", "3", "4"]


def test_logs_of_the_processes_that_ended_last_are_kept(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.save(_run("running"))
    for number in range(KEPT + 2):
        path = tmp_path / f"p{number}.log"
        path.touch()
        os.utime(path, (number, number))
    (tmp_path / "running.log").touch()
    os.utime(tmp_path / "running.log", (0, 0))
    runs.prune()
    assert {path.name for path in tmp_path.glob("*.log")} == {"running.log", *(f"p{n}.log" for n in range(2, KEPT + 2))}


def _use(own: float, shared: float = 0.0, **changes: str) -> Use:
    return Use(_run(**changes), own + shared, own)  # type: ignore[arg-type]


def _needed(start: Start, uses: list[Use]) -> float:
    estimates = Estimates()
    estimates.learn(uses)
    return estimates.needed(start, uses)


def test_a_process_needs_what_its_largest_sibling_needs() -> None:
    uses = [_use(10), _use(70), _use(200, snapshot="b" * 64), _use(5, kind="template", entry="")]
    assert _needed(Start("new", "a" * 64, "m:f"), uses) == 70


def test_a_process_of_a_new_version_needs_what_those_of_others_do_and_what_these_share_with_their_template() -> None:
    uses = [_use(10, 2), _use(70, 2), _use(5, 3, kind="template", entry="")]
    assert _needed(Start("new", "b" * 64, "m:f"), uses) == 70 + (5 + 3) + 2 + 2


def test_a_first_process_needs_what_is_usual() -> None:
    assert _needed(Start("new", "a" * 64, "m:f"), []) == 2 * UNKNOWN_MB


def test_a_process_needs_what_those_that_have_ended_did() -> None:
    estimates = Estimates()
    estimates.learn([_use(70), _use(5, kind="template", entry="")])
    assert estimates.needed(Start("new", "a" * 64, "m:f"), []) == 75


def test_a_template_needs_what_other_templates_do() -> None:
    assert _needed(Start("template", "b" * 64, TEMPLATE), [_use(70), _use(5, kind="template", entry="")]) == 5


def test_the_use_of_this_process_is_measured() -> None:
    use = used_by(_run())
    assert 5 < use.own <= use.share * 1.001 < 4000


def test_a_process_that_has_ended_uses_nothing() -> None:
    gone = Run("one", "process", "a", Identity(2**22 + 1, 1, "b"), ("127.0.0.1", 1), "1")
    assert used_by(gone) == Use(gone, 0, 0)


def test_room_that_was_promised_is_not_given_away_twice() -> None:
    memory = Memory(100, list)
    with memory.room_for(Start("one", "a" * 64, "m:f")):
        with (
            pytest.raises(ProcessError, match=r"64 of 100 MB are used; end work"),
            memory.room_for(Start("two", "a" * 64, "m:f"), timeout=0),
        ):
            pass
    with memory.room_for(Start("two", "a" * 64, "m:f"), timeout=0):
        pass


def test_a_process_that_has_ended_does_not_teach_that_its_siblings_need_nothing() -> None:
    gone = Run("one", "process", "a" * 64, Identity(2**22 + 1, 1, "b"), ("127.0.0.1", 1), "1", "m:f")
    memory = Memory(10, lambda: [gone])
    with pytest.raises(ProcessError, match="needs about 64 MB"), memory.room_for(Start("two", "a" * 64, "m:f")):
        pass


def test_a_start_that_comes_after_the_end_of_all_waiting_does_not_wait() -> None:
    memory = Memory(1, lambda: [_run()])
    memory.close()
    with pytest.raises(ProcessError, match="one was stopped while it waited"), memory.room_for(_start()):
        pass


def test_what_a_start_has_its_fleet_do_while_it_waits_may_ask_for_the_queue() -> None:
    memory = Memory(1, lambda: [_run()])
    asked: list[list[Start]] = []

    def ask() -> None:
        thread = threading.Thread(target=lambda: asked.append(memory.waiting()))
        thread.start()
        thread.join()

    start = _start()
    with pytest.raises(ProcessError, match="in time"), memory.room_for(start, 0, ask):
        pass
    assert asked == [[start]]


def _start() -> Start:
    return Start("one", "a" * 64, "m:f")


def test_without_a_limit_nobody_waits() -> None:
    memory = Memory(None, lambda: [_run()] * 100_000)
    with memory.room_for(Start("one", "a" * 64, "m:f"), timeout=0):
        assert memory.waiting() == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"),
        (7, "exit code 7"),
        (-11, "signal 11 (SIGSEGV)"),
        (-9, "signal 9 (SIGKILL, probably by the kernel for lack of memory)"),
        (-40, "signal 40"),
    ],
)
def test_an_exit_code_is_put_in_words(code: int, words: str) -> None:
    assert in_words(code, memory_was_short=True) == words


def test_without_a_sign_of_it_a_kill_is_not_blamed_on_memory() -> None:
    assert in_words(-9) == "signal 9 (SIGKILL)"


def test_kills_for_lack_of_memory_are_counted_by_the_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = tmp_path / "vmstat"
    monkeypatch.setattr("hotswap.fleet._endings._COUNTERS", counters)
    assert out_of_memory_kills() == 0
    counters.write_text("pgfault 5\noom_kill 3\n")
    assert out_of_memory_kills() == 3


def test_one_that_keeps_dying_is_started_ever_later_up_to_a_limit() -> None:
    delays = [restart_delay(deaths) for deaths in range(1, 1000)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_DELAY_SECONDS


def test_a_lock_keeps_others_of_its_name_waiting_and_nobody_else() -> None:
    locks = Locks()
    entered = threading.Event()

    def enter(name: str) -> threading.Thread:
        def body() -> None:
            with locks(name):
                entered.set()

        thread = threading.Thread(target=body)
        thread.start()
        return thread

    with locks("one"):
        enter("two").join()
        assert entered.is_set()
        entered.clear()
        waiting = enter("one")
        assert not entered.wait(0.05)
    waiting.join()
    assert entered.is_set()


def test_no_lock_is_left_of_names_that_nobody_uses() -> None:
    locks = Locks()
    for number in range(100):
        with locks(str(number)), locks(str(number)):
            pass
    gc.collect()
    assert len(locks._locks) == 0


def test_a_gate_lets_nobody_in_once_it_is_shut_and_waits_for_those_inside() -> None:
    gate = Gate()
    with gate:
        gate.shut()
        waiter = threading.Thread(target=gate.wait_until_empty)
        waiter.start()
        with pytest.raises(ProcessError, match="closed"), gate:
            pass
        assert waiter.is_alive()
    waiter.join()


def test_reseeding_makes_the_module_level_generators_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[str] = []
    legacy = SimpleNamespace(seed=lambda: seeded.append("numpy"))
    monkeypatch.setitem(sys.modules, "numpy", SimpleNamespace(random=legacy))
    monkeypatch.setitem(sys.modules, "numpy.random", legacy)
    state = random.getstate()
    random.seed(1)
    expected = random.random()
    random.seed(1)
    reseed()
    assert random.random() != expected
    assert seeded == ["numpy"]
    random.setstate(state)


@pytest.mark.parametrize(
    ("before", "now", "where"),
    [
        ({"a": 1, "b": [1, {}]}, {"b": [1, {}], "a": 1}, None),
        ({"a": math.nan}, {"a": math.nan}, None),
        ({"told": {"devices": {"oven": {"baud": 1}}}}, {"told": {"devices": {"oven": {"baud": 2}}}}, "baud: 1, then 2"),
        ({"a": 1}, {"a": 1.0}, "a: 1, then 1.0"),
        ({"a": {"x": 1}}, {"a": {}}, "a/x, which is missing"),
        ({"a": {}}, {"a": {"x": 1}}, "a/x, which is new"),
        ({"names": ["a", "b"]}, {"names": ["b", "a"]}, "names/0: 'a', then 'b'"),
        ({"names": ["a"]}, {"names": ["a", "b"]}, "names: ['a'], then ['a', 'b']"),
    ],
)
def test_the_first_entry_in_which_descriptions_differ_is_named(before: Any, now: Any, where: str | None) -> None:
    found = first_difference(before, now)
    assert found == where or (found is not None and found.endswith(f"/{where}"))


def test_what_a_template_told_is_kept_as_it_was(tmp_path: Path) -> None:
    runs, told = (
        Runs(tmp_path),
        {"at": datetime.now(UTC).replace(microsecond=0), "numbers": [1, 2**40, 1.0], "raw": b"x"},
    )
    runs.keep_told("template", told)
    assert first_difference(told, runs.told("template")) is None


@pytest.mark.parametrize("text", ["", "{", "0a1b", "12"])
def test_what_an_earlier_release_kept_of_a_template_is_not_compared(tmp_path: Path, text: str) -> None:
    (tmp_path / "template.told").write_text(text)
    assert Runs(tmp_path).told("template") is None
