"""From events to messages: told once, held back, tried again, and neither lost nor repeated over a restart."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from lab.alarms.causes import CAUSES, Alarm
from lab.alarms.channels import ChannelError, Message
from lab.alarms.outbox import Outbox
from lab.alarms.settings import Alarms
from lab.managers.alarms import AlarmManager
from lab.managers.bus import Bus
from lab.prompts import PromptCategory, Prompts, new_prompt
from lab.records import Document, Records, now
from lab.refusals import NotFoundError

pytestmark = pytest.mark.system

MINUTE = timedelta(minutes=1)


class Told:
    """A channel that remembers, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.messages: queue.Queue[Message] = queue.Queue()
        self.failures = failures
        self.tries = 0

    def send(self, message: Message) -> None:
        self.tries += 1
        if self.failures:
            self.failures -= 1
            raise ChannelError("no line")
        self.messages.put(message)

    def next(self) -> Message:
        return self.messages.get(timeout=20)


@pytest.fixture
def records(mongo_uri: str, database: Database[Document]) -> Iterator[Records]:
    with MongoClient[Document](mongo_uri, tz_aware=True) as client:
        yield Records(client[database.name])


@pytest.fixture
def start(records: Records, tmp_path: Path) -> Iterator[Callable[..., Callable[[], None]]]:
    """Start an alarm manager with a channel; what it returns stops it."""
    running: list[Callable[[], None]] = []

    def begin(channel: Told | None, **settings: Any) -> Callable[[], None]:
        bus = Bus(records.database)
        given = Alarms(disk_free_mb=0, **settings)
        channels = {} if channel is None else {"told": channel}
        manager = AlarmManager(records, bus, given, "night", tmp_path, channels)
        bus.start()
        manager.start()

        def stop() -> None:
            running.remove(stop)
            manager.stop()
            bus.stop()

        running.append(stop)
        return stop

    yield begin
    while running:
        running[-1]()


def test_an_event_that_raises_an_alarm_is_told(records: Records, start: Any) -> None:
    start(told := Told())
    records.log("device.connected", "furnace_1")
    records.log("device.error", "furnace_1", reason="no answer")
    message = told.next()
    assert message.title == "[night] Device furnace_1 is in error: no answer"
    assert message.body.endswith("UTC  Device furnace_1 is in error: no answer")


def test_what_happens_at_once_is_one_message(records: Records, start: Any) -> None:
    told = Told()
    start(Told())()  # from then on events count
    for number in range(12):
        records.log("task.lost", f"task {number}")
    start(told)
    message = told.next()
    assert message.title == "[night] 12 alarms"
    assert message.body.splitlines()[-1] == "and 2 more; see `lab alarms list`"


def test_an_event_during_a_restart_is_told_and_none_is_told_twice(records: Records, start: Any) -> None:
    stop = start(told := Told())
    records.log("task.lost", "before")
    assert "before" in told.next().body
    stop()
    records.log("task.lost", "meanwhile")
    start(told)
    body = told.next().body
    assert "meanwhile" in body
    assert "before" not in body


def test_events_from_before_the_first_start_are_not_told(records: Records, start: Any) -> None:
    records.log("task.lost", "long ago")
    start(told := Told())
    records.log("task.lost", "now")
    assert "long ago" not in told.next().body


def test_muted_kinds_raise_none(records: Records, start: Any) -> None:
    start(told := Told(), mute=["task.lost"])
    records.log("task.lost", "quiet")
    records.log("device.error", "loud")
    assert "quiet" not in told.next().body


def test_in_simulation_an_alarm_is_recorded_and_nothing_is_sent(records: Records, start: Any) -> None:
    start(Told())()
    records.log("task.lost", "t")
    stop = start(None)
    with records.database.watch() as stream:
        while records.database["alarms"].find_one({"subject": "t", "state": "told"}) is None:
            stream.try_next()
    stop()
    message = records.database["alarm_messages"].find_one()
    assert message is not None
    assert (message["channels"], message["open"]) == ({}, False)


def test_a_prompt_that_waits_for_too_long_is_told_once(records: Records, start: Any) -> None:
    prompt = new_prompt(PromptCategory.QUESTION, "Is it hot?", ["yes", "no"], task="t")
    prompt["asked_at"] = now() - 31 * MINUTE
    Prompts(records).ask(prompt)
    stop = start(told := Told())
    assert told.next().title == "[night] t has waited for an answer for 30 minutes: Is it hot?"
    stop()
    start(told)
    records.log("task.lost", "later")
    assert "hot" not in told.next().body


def test_a_disk_that_becomes_full_is_told_once(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = {"free": 100 << 20}
    monkeypatch.setattr("lab.managers.alarms.shutil.disk_usage", lambda _: SimpleNamespace(**free))
    manager = AlarmManager(records, Bus(records.database), Alarms(disk_free_mb=200), "night", tmp_path, {})
    alarms = records.database["alarms"]
    manager.reconcile()
    manager.reconcile()
    assert [alarm["text"] for alarm in alarms.find()] == [f"Only 100 MB are free where {tmp_path} is; see `lab doctor`"]
    free["free"] = 500 << 20
    manager.reconcile()
    assert records.database["meta"].find_one({"_id": "disk"})["low_since"] is None  # type: ignore[index]


def test_a_test_tells_how_it_went_and_refuses_a_channel_that_is_not_set_up(records: Records, tmp_path: Path) -> None:
    told = Told()
    manager = AlarmManager(records, Bus(records.database), Alarms(), "night", tmp_path, {"told": told})
    assert manager.test("told") == {"channels": {"told": None}}
    assert told.next().title == "[night] A test"
    with pytest.raises(NotFoundError, match="no channel 'email' to send alarms by; there is told"):
        manager.test("email")


def test_a_test_tries_once_for_somebody_waits_for_the_answer(records: Records, tmp_path: Path) -> None:
    told = Told(failures=3)
    manager = AlarmManager(records, Bus(records.database), Alarms(), "night", tmp_path, {"told": told})
    assert manager.test() == {"channels": {"told": "no line"}}
    assert told.tries == 1


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def outbox(records: Records, clock: Clock, *channels: Told) -> Outbox:
    named = {f"channel {number}": each for number, each in enumerate(channels)}
    return Outbox(records.database, "night", 15 * MINUTE, named, clock)


def alarm(clock: Clock, number: int, subject: str = "furnace_1") -> Alarm:
    return Alarm(str(number), "device.error", subject, f"{subject} failed ({number})", clock())


def test_one_subject_is_told_of_once_in_an_interval_and_then_in_sum(records: Records, clock: Clock) -> None:
    told = Told()
    box = outbox(records, clock, told)
    for number in range(14):
        box.note(alarm(clock, number))
        box.gather()
        box.deliver()
    assert told.messages.qsize() == 1
    assert "more like it" not in told.next().body
    assert box.gather() == pytest.approx(900)
    clock.time += 15 * MINUTE
    assert box.gather() is None
    box.deliver()
    assert told.next().body.endswith("furnace_1 failed (13) (and 12 more like it)")


def test_another_subject_is_told_of_at_once(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told())
    for number, subject in enumerate(["furnace_1", "furnace_2"]):
        box.note(alarm(clock, number, subject))
        box.gather()
        box.deliver()
    assert told.messages.qsize() == 2


def test_a_flood_of_subjects_is_ten_messages_and_a_sum(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told())
    for number in range(30):
        box.note(alarm(clock, number, f"device {number}"))
        box.gather()
        box.deliver()
    assert told.messages.qsize() == 10
    clock.time += 15 * MINUTE
    box.gather()
    box.deliver()
    assert told.messages.qsize() == 11


def test_a_channel_that_fails_is_tried_twice_more_and_shown(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, broken := Told(failures=9), well := Told())
    box.note(alarm(clock, 1))
    box.gather()
    waits = []
    while (wait := box.deliver()) is not None:
        waits.append(wait)
        clock.time += timedelta(seconds=wait)
    assert waits == [5, 60]
    assert (broken.tries, well.tries) == (3, 1)
    assert box.health()["channel 0"] == {"ok": False, "at": clock(), "error": "no line"}
    assert box.health()["channel 1"]["ok"]


def test_a_channel_that_comes_back_gets_the_message(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told(failures=1))
    box.note(alarm(clock, 1))
    box.gather()
    clock.time += timedelta(seconds=box.deliver() or 0)
    restarted = outbox(records, clock, told)
    assert restarted.deliver() is None
    assert told.messages.qsize() == 1
    assert restarted.deliver() is None
    assert told.messages.qsize() == 1


def test_a_subject_told_of_before_the_clock_was_set_back_is_told_of_again(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told())
    for number in range(2):
        box.note(alarm(clock, number))
        assert box.gather() is None
        box.deliver()
        clock.time -= timedelta(hours=10)
    assert told.messages.qsize() == 2


def test_messages_written_before_the_clock_was_set_back_leave_room_for_others(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told())
    for number in range(11):
        if number == 10:
            clock.time -= timedelta(hours=10)
        box.note(alarm(clock, number, f"device {number}"))
        assert box.gather() is None
        box.deliver()
    assert told.messages.qsize() == 11


def test_a_message_that_failed_before_the_clock_was_set_back_is_tried_again_at_once(
    records: Records, clock: Clock
) -> None:
    box = outbox(records, clock, told := Told(failures=1))
    box.note(alarm(clock, 1))
    box.gather()
    box.deliver()
    clock.time -= timedelta(hours=10)
    assert box.deliver() is None
    assert told.messages.qsize() == 1


def test_a_first_start_with_a_clock_that_was_ahead_hides_no_event(
    records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = AlarmManager(records, Bus(records.database), Alarms(disk_free_mb=0), "night", tmp_path, {})
    with monkeypatch.context() as ahead:
        ahead.setattr("lab.managers.alarms.now", lambda: now() + timedelta(hours=5))
        manager.reconcile()
    records.log("task.lost", "t")
    manager.reconcile()
    assert [alarm["subject"] for alarm in records.database["alarms"].find()] == ["t"]


def test_a_crash_between_gathering_and_writing_loses_nothing(records: Records, clock: Clock) -> None:
    box = outbox(records, clock, told := Told())
    box.note(alarm(clock, 1))
    records.database["alarms"].update_one({"_id": "1"}, {"$set": {"state": "gathered", "message": "m"}})
    box.gather()
    box.deliver()
    assert told.next().id == "m"


@pytest.mark.parametrize("kind", CAUSES)
def test_every_cause_is_told_in_a_sentence_whatever_is_known_of_it(kind: str) -> None:
    for facts in ({}, {"reason": "a reason", "tasks": ["t"], "generation": 3}):
        assert CAUSES[kind]("furnace_1", facts).strip()
