"""A refresh goes through its steps, leaves a record of each, and changes nothing before the promotion."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from hotswap.cutover import Outcome, Pipeline, Refresh
from hotswap.environment import Environment
from hotswap.errors import DescribeError, HotswapError, SourceError
from hotswap.generations import Generation, Generations, SnapshotState, UnknownGenerationError
from hotswap.snapshot import FileEntry, Origin, Snapshot

pytestmark = pytest.mark.system


def snapshot(content: str, *, dirty: bool = False) -> Snapshot:
    return Snapshot.of(
        package="app",
        files=(FileEntry("app/__init__.py", 0o644, 1, content * 64),),
        environment=Environment("cp311", ()),
        origin=Origin(commit=content * 40, dirty=dirty),
    )


class Application:
    """Freezes what it is told to; fails where it is told to."""

    def __init__(self) -> None:
        self.next = snapshot("a")
        self.failures: dict[str, HotswapError] = {}
        self.seen: list[str] = []
        self.live: list[int] = []

    def freeze(self, rev: str | None) -> Snapshot:
        self._note("freeze")
        return self.next

    def allow(self, snapshot: Snapshot) -> None:
        self._note("allow")

    def describe(self, snapshot: Snapshot) -> None:
        self._note("describe")

    def plan(self, snapshot: Snapshot) -> dict[str, Any]:
        self._note("plan")
        return {"drain_set": []}

    def warm_up(self, snapshot: Snapshot) -> None:
        self._note("warm_up")

    def warm_up_known(self, snapshot: str) -> None:
        self._note("warm_up_known")

    def promoted(self, generation: Generation) -> None:
        self.live.append(generation.number)

    def _note(self, step: str) -> None:
        self.seen.append(step)
        if step in self.failures:
            raise self.failures[step]


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
def generations(database: Database[dict[str, Any]]) -> Generations:
    return Generations(database)


@pytest.fixture
def pipeline(database: Database[dict[str, Any]], generations: Generations, application: Application) -> Pipeline:
    return Pipeline(database["refreshes"], generations, application)


def refresh() -> Refresh:
    return Refresh(actor="ada", trigger="test")


def test_new_code_goes_live_after_every_step(
    pipeline: Pipeline, application: Application, generations: Generations, database: Database[dict[str, Any]]
) -> None:
    told = pipeline.run(refresh())
    assert application.seen == ["freeze", "allow", "describe", "plan", "warm_up"]
    assert (told["outcome"], told["generation"], application.live) == (Outcome.LIVE, 1, [1])
    current = generations.current()
    assert current is not None
    assert (current.snapshot, current.actor, current.commit) == (application.next.id, "ada", "a" * 40)
    kept = database["refreshes"].find_one({"_id": told["_id"]})
    assert kept is not None
    assert [step["step"] for step in kept["steps"]] == [
        "detected", "frozen", "allowed", "described", "planned", "ready", "promoted",
    ]  # fmt: skip


def test_the_same_code_again_changes_nothing(pipeline: Pipeline, application: Application) -> None:
    pipeline.run(refresh())
    application.seen.clear()
    assert pipeline.run(refresh())["outcome"] == Outcome.UNCHANGED
    assert (application.seen, application.live) == (["freeze"], [1])


def test_code_that_is_committed_after_it_went_live_is_a_generation_that_names_its_commit(
    pipeline: Pipeline, application: Application, generations: Generations
) -> None:
    application.next = snapshot("a", dirty=True)
    outcomes = [pipeline.run(refresh())["outcome"] for _ in range(2)]
    application.seen.clear()
    application.next = snapshot("a")
    outcomes += [pipeline.run(refresh())["outcome"] for _ in range(2)]
    assert outcomes == [Outcome.LIVE, Outcome.UNCHANGED, Outcome.LIVE, Outcome.UNCHANGED]
    assert application.seen == ["freeze", "allow", "freeze"]
    assert [(each.number, each.dirty) for each in generations.history()] == [(2, False), (1, True)]
    assert generations.states.state(application.next.id) == SnapshotState.CURRENT


@pytest.mark.parametrize("step", ["freeze", "allow", "describe", "plan", "warm_up"])
def test_a_failure_before_the_promotion_leaves_what_is_current(
    pipeline: Pipeline, application: Application, generations: Generations, step: str
) -> None:
    pipeline.run(refresh())
    before = generations.current()
    application.next = snapshot("b")
    application.failures[step] = SourceError("not like this")
    told = pipeline.run(refresh())
    assert (told["outcome"], told["error"]) == (Outcome.REJECTED, "not like this")
    assert generations.current() == before


def test_code_that_does_not_describe_itself_is_rejected_with_file_and_line(
    pipeline: Pipeline, application: Application, generations: Generations
) -> None:
    application.failures["describe"] = DescribeError("broken", "app/x.py", 3)
    told = pipeline.run(refresh())
    assert (told["path"], told["line"]) == ("app/x.py", 3)
    assert generations.states.state(application.next.id) is SnapshotState.REJECTED
    assert generations.current() is None


def test_what_was_rejected_can_go_live_later(pipeline: Pipeline, application: Application) -> None:
    application.failures["describe"] = DescribeError("broken")
    pipeline.run(refresh())
    application.failures.clear()
    assert pipeline.run(refresh())["outcome"] == Outcome.LIVE


def test_a_refresh_gives_way_to_a_newer_one(
    pipeline: Pipeline, application: Application, generations: Generations
) -> None:
    assert pipeline.run(refresh(), superseded=lambda: True)["outcome"] == Outcome.SUPERSEDED
    assert "warm_up" not in application.seen
    assert generations.current() is None


class Crash(BaseException):
    """The process ends here."""


def crash(*_: object, **__: object) -> None:
    raise Crash


@pytest.mark.parametrize("step", ["freeze", "allow", "describe", "plan", "warm_up"])
def test_a_refresh_that_a_crash_cut_off_before_the_promotion_is_undone(
    pipeline: Pipeline,
    database: Database[dict[str, Any]],
    application: Application,
    generations: Generations,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    pipeline.run(refresh())
    before = generations.current()
    application.next = snapshot("b")
    cut_off = refresh()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(application, step, crash)
        pipeline.run(cut_off)
    assert pipeline.recover() == ([] if step == "freeze" else [snapshot("b").id])
    kept = database["refreshes"].find_one({"_id": cut_off.id})
    assert kept is not None
    assert kept["outcome"] == Outcome.INTERRUPTED
    assert "refresh again" in kept["error"]
    assert generations.current() == before
    assert pipeline.run(refresh())["outcome"] == Outcome.LIVE


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_refresh_that_is_given_up_leaves_no_snapshot_on_its_way(
    pipeline: Pipeline, application: Application, generations: Generations, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    pipeline.run(refresh())
    application.next = snapshot("b")
    pipeline.run(refresh())
    given_up = refresh()
    move = generations._move

    def broken(*arguments: Any) -> bool:
        if lost == "after":
            move(*arguments)
        raise AutoReconnect("restarting")

    monkeypatch.setattr(generations, "_move", broken)
    with pytest.raises(AutoReconnect):
        pipeline.roll_back(given_up, 1)
    told = pipeline.abandon(given_up, "the database did not answer")
    states = generations.states
    if lost == "before":
        assert (told["outcome"], told["error"]) == (Outcome.INTERRUPTED, "the database did not answer")
        assert states.state(snapshot("a").id) == SnapshotState.DRAINING
    else:
        assert (told["outcome"], told["generation"], application.live) == (Outcome.LIVE, 3, [1, 2, 3])
        assert states.state(snapshot("a").id) == SnapshotState.CURRENT


def test_a_crash_before_the_pointer_moves_changes_nothing(
    pipeline: Pipeline, database: Database[dict[str, Any]], generations: Generations, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = refresh()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(generations, "promote", crash)
        pipeline.run(cut_off)
    assert pipeline.recover() == [snapshot("a").id]
    kept = database["refreshes"].find_one({"_id": cut_off.id})
    assert kept is not None
    assert kept["outcome"] == Outcome.INTERRUPTED


@pytest.mark.parametrize("back", [False, True], ids=["refresh", "roll back"])
def test_a_refresh_that_a_crash_cut_off_after_the_promotion_is_live(
    pipeline: Pipeline,
    database: Database[dict[str, Any]],
    application: Application,
    monkeypatch: pytest.MonkeyPatch,
    back: bool,
) -> None:
    pipeline.run(refresh())
    application.next = snapshot("b")
    cut_off = refresh()
    with monkeypatch.context() as patch, pytest.raises(Crash):
        patch.setattr(application, "promoted", crash)
        pipeline.roll_back(cut_off, 1) if back else pipeline.run(cut_off)
    assert pipeline.recover() == []
    kept = database["refreshes"].find_one({"_id": cut_off.id})
    assert kept is not None
    assert (kept["outcome"], kept["generation"], application.live) == (Outcome.LIVE, 2, [1, 2])


def test_rolling_back_is_a_new_generation_of_old_code(
    pipeline: Pipeline, application: Application, generations: Generations
) -> None:
    pipeline.run(refresh())
    application.next = snapshot("b")
    pipeline.run(refresh())
    told = pipeline.roll_back(refresh(), 1)
    current = generations.current()
    assert current is not None
    assert (told["outcome"], current.number, current.rolled_back_to) == (Outcome.LIVE, 3, 1)
    assert current.snapshot == snapshot("a").id


def test_a_roll_back_that_is_refused_says_so_and_changes_nothing(
    pipeline: Pipeline, application: Application, generations: Generations, database: Database[dict[str, Any]]
) -> None:
    pipeline.run(refresh())
    before = generations.current()
    application.failures["warm_up_known"] = SourceError("install numpy 1.0 again")
    back = refresh()
    with pytest.raises(SourceError):
        pipeline.roll_back(back, 1)
    kept = database["refreshes"].find_one({"_id": back.id})
    assert kept is not None
    assert (kept["outcome"], kept["error"]) == (Outcome.REJECTED, "install numpy 1.0 again")
    assert generations.current() == before


def test_rolling_back_to_what_never_was_is_refused(pipeline: Pipeline) -> None:
    pipeline.run(refresh())
    with pytest.raises(UnknownGenerationError):
        pipeline.roll_back(refresh(), 7)


def test_rolling_back_holds_against_a_promotion_at_the_same_time(
    pipeline: Pipeline, application: Application, generations: Generations
) -> None:
    pipeline.run(refresh())
    barrier = threading.Barrier(2)

    def back() -> None:
        barrier.wait()
        pipeline.roll_back(refresh(), 1)

    thread = threading.Thread(target=back)
    thread.start()
    application.next = snapshot("b")
    barrier.wait()
    pipeline.run(refresh())
    thread.join()
    numbers = [generation.number for generation in generations.history()]
    assert numbers == sorted(numbers, reverse=True)
    assert len(set(numbers)) == len(numbers)
