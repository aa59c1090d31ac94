"""Alarms: what events, prompts and the disk give reason for is told to people outside."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from bson import ObjectId

from lab.alarms.causes import CAUSES, Alarm, alarm_of
from lab.alarms.channels import Channel, Message, tell_now
from lab.alarms.outbox import Outbox
from lab.alarms.settings import Alarms
from lab.managers.bus import Bus, Manager
from lab.prompts import PROMPTS, Prompts
from lab.records import Document, Records, new_id, now
from lab.refusals import NotFoundError

_GATHER_SECONDS: Final = 1.0
_LOOK_SECONDS: Final = 300.0
_OVERLAP: Final = timedelta(seconds=60)
_RECENT: Final = 100


class AlarmManager(Manager):
    """``folder`` is on the disk that may become full; ``channels`` are empty where nothing is to leave the lab."""

    def __init__(
        self, records: Records, bus: Bus, settings: Alarms, lab: str, folder: Path, channels: Mapping[str, Channel]
    ) -> None:
        super().__init__("alarm manager")
        self._records = records
        self._settings = settings
        self._lab = lab
        self._folder = folder
        self._channels = dict(channels)
        self._prompts = Prompts(records)
        self._meta = records.database["meta"]
        self._outbox = Outbox(records.database, lab, timedelta(seconds=settings.interval), channels)
        self._kinds = sorted(CAUSES.keys() - set(settings.mute))
        self._gathering = False
        self._given_up = threading.Event()
        bus.subscribe("events", self.wake, {"kind": self._kinds})
        bus.subscribe(PROMPTS, self.wake, {"status"})

    def start(self) -> None:
        self._outbox.create_indexes()
        super().start()

    def stop(self) -> None:
        self._given_up.set()
        super().stop()

    def reconcile(self) -> float | None:
        self._take_events()
        overdue = list(self._overdue_prompts())
        self._look_at_disk()
        waits = [_LOOK_SECONDS, *overdue, self._gather(), self._outbox.deliver()]
        return min(wait for wait in waits if wait is not None)

    def test(self, channel: str | None = None) -> Document:
        """Send a message by one channel, or by all, now; says for each why it was not sent, None if it was.

        Raises NotFoundError for a channel that is not set up.
        """
        if channel is not None and channel not in self._channels:
            known = ", ".join(self._channels) or "none, as in simulation or without [alarms] in lab.toml"
            raise NotFoundError(f"There is no channel {channel!r} to send alarms by; there is {known}.")
        chosen = {name: each for name, each in self._channels.items() if channel in (None, name)}
        message = Message(new_id(), f"[{self._lab}] A test", "This is a test: nothing is wrong.")
        return {"channels": tell_now(chosen, message, self._given_up.wait, tries=1)}  # somebody waits for the answer

    def health(self) -> Document:
        """How the last message went by each channel, and how many alarms are not told yet."""
        return {"channels": self._outbox.health(), "waiting": self._outbox.waiting()}

    def recent(self) -> list[Document]:
        return self._outbox.recent(_RECENT)

    def _take_events(self) -> None:
        """Ids of events are only nearly in order, as several processes make them: so some are looked at twice."""
        begun = now()
        known = self._meta.find_one({"_id": "alarms"}) or {"since": begun, "read_to": begun}
        # Times to come were written by a clock that has been set back since.
        since = known["since"] if known["since"] <= begun else begun - _OVERLAP
        first = ObjectId.from_datetime(min(known["read_to"], begun) - _OVERLAP)
        for event in self._records.events.find({"_id": {"$gte": first}, "kind": {"$in": self._kinds}}):
            if event["at"] >= since:
                self._outbox.note(alarm_of(event))
        self._meta.update_one({"_id": "alarms"}, {"$set": {"since": since, "read_to": begun}}, upsert=True)

    def _overdue_prompts(self) -> Iterator[float]:
        """In how many seconds each prompt that is pending will have waited for too long."""
        if "prompt.overdue" in self._settings.mute:
            return
        for prompt in self._prompts.pending():
            left = prompt["asked_at"] + timedelta(minutes=self._settings.prompt_minutes) - now()
            if left > timedelta():
                yield left.total_seconds()
                continue
            about = prompt["device"] or prompt["task"] or "the lab"
            text = f"{about} has waited for an answer for {self._settings.prompt_minutes:g} minutes: {prompt['text']}"
            self._outbox.note(Alarm(f"prompt:{prompt['_id']}", "prompt.overdue", prompt["_id"], text, now()))

    def _look_at_disk(self) -> None:
        """Once for each time that it becomes nearly full."""
        free, least = shutil.disk_usage(self._folder).free >> 20, self._settings.disk_free_mb
        low = (self._meta.find_one({"_id": "disk"}) or {}).get("low_since")
        if free < least and "disk.low" not in self._settings.mute:
            since = low or now()
            self._meta.update_one({"_id": "disk"}, {"$set": {"low_since": since}}, upsert=True)
            text = f"Only {free} MB are free where {self._folder} is; see `lab doctor`"
            self._outbox.note(Alarm(f"disk:{since:%Y%m%dT%H%M%S}", "disk.low", str(self._folder), text, since))
        elif low is not None and free > least * 1.1:
            self._meta.update_one({"_id": "disk"}, {"$set": {"low_since": None}})

    def _gather(self) -> float | None:
        """What happens at once is told in one message: so the first of several waits for a moment."""
        if not self._outbox.waiting():
            return None
        if not self._gathering:
            self._gathering = True
            return _GATHER_SECONDS
        self._gathering = False
        return self._outbox.gather()
