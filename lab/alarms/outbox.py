"""Alarms on their way to people, in the database: gathered into messages, held back, sent, tried again.

Each step is written down before the next, so that a restart neither loses an alarm nor tells it twice. A crash in the
very moment between sending and writing it down sends one message again, with the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from lab.alarms.causes import Alarm
from lab.alarms.channels import TRIES, Channel, ChannelError, Message
from lab.records import Document, new_id, now

_MOST_LINES: Final = 10
_MOST_MESSAGES: Final = 10
_RETRY_SECONDS: Final = (5.0, 60.0)

log = logging.getLogger(__name__)


class AlarmState(StrEnum):
    """An alarm is NEW, then GATHERED into a message, then TOLD: its message is written."""

    NEW = "new"
    GATHERED = "gathered"
    TOLD = "told"


class Delivery(StrEnum):
    """A message, by one channel, is DUE until it was SENT or has FAILED for the last time."""

    DUE = "due"
    SENT = "sent"
    FAILED = "failed"


class Outbox:
    """``interval`` is how long one subject is not told of again, and in which ten messages are written at most."""

    def __init__(
        self,
        database: Database[Document],
        lab: str,
        interval: timedelta,
        channels: Mapping[str, Channel],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._alarms = database["alarms"]
        self._messages = database["alarm_messages"]
        self._channel_states = database["alarm_channels"]
        self._lab = lab
        self._interval = interval
        self._channels = channels
        self._clock = clock

    def create_indexes(self) -> None:
        self._alarms.create_index([("state", 1)])
        self._messages.create_index([("open", 1)])

    def note(self, alarm: Alarm) -> None:
        """Keep an alarm until it is told; again is harmless."""
        document = {"_id": alarm.id, "kind": alarm.kind, "subject": alarm.subject, "text": alarm.text, "at": alarm.at}
        try:
            self._alarms.insert_one({**document, "state": AlarmState.NEW, "message": None, "told_at": None})
        except DuplicateKeyError:
            return

    def waiting(self) -> bool:
        """Whether any alarm is not told yet."""
        untold = {"state": {"$in": [AlarmState.NEW, AlarmState.GATHERED]}}
        return self._alarms.find_one(untold, {"_id": 1}) is not None

    def gather(self) -> float | None:
        """Write a message of what may be told; in how many seconds what is held back may be, None if nothing is."""
        self._write()  # what a crash left between gathering and writing
        new = list(self._alarms.find({"state": AlarmState.NEW}, sort=[("at", 1)]))
        wait = self._wait_for_room() if new else None
        if wait is None:
            ready, wait = self._ready(new)
            if ready:
                mine = {"_id": {"$in": ready}, "state": AlarmState.NEW}
                self._alarms.update_many(mine, {"$set": {"state": AlarmState.GATHERED, "message": new_id()}})
                self._write()
        return None if wait is None else max(wait.total_seconds(), 0.0)

    def deliver(self) -> float | None:
        """Send what is due; in how many seconds to try again, None if everything is settled."""
        waits = [self._deliver(message) for message in self._messages.find({"open": True}, sort=[("_id", 1)])]
        return min((wait for wait in waits if wait is not None), default=None)

    def health(self) -> dict[str, Document]:
        """How the last message went by each channel: ``ok``, ``at``, and ``error`` if it was not sent."""
        return {name: self._last(name) for name in self._channels}

    def recent(self, limit: int) -> list[Document]:
        """The newest alarms, the newest first."""
        return list(self._alarms.find({}, {"message": 0}, sort=[("at", -1)]).limit(limit))

    def _ready(self, new: Sequence[Document]) -> tuple[list[str], timedelta | None]:
        ready, waits = [], []
        told: dict[tuple[str, str], timedelta] = {}
        for alarm in new:
            key = (alarm["kind"], alarm["subject"])
            if key not in told:
                told[key] = self._rest(*key)
            if told[key] > timedelta():
                waits.append(told[key])
            else:
                ready.append(alarm["_id"])
        return ready, min(waits, default=None)

    def _rest(self, kind: str, subject: str) -> timedelta:
        """How long this subject is not told of yet."""
        recent = self._recently()
        told = self._alarms.find({"kind": kind, "subject": subject, "told_at": recent}, {"told_at": 1})
        return max((alarm["told_at"] - recent["$gt"] for alarm in told), default=timedelta())

    def _wait_for_room(self) -> timedelta | None:
        recent = self._recently()
        written = sorted(message["at"] for message in self._messages.find({"at": recent}, {"at": 1}))
        return written[-_MOST_MESSAGES] - recent["$gt"] if len(written) >= _MOST_MESSAGES else None

    def _recently(self) -> dict[str, datetime]:
        """What a time within the interval fulfils; one to come is of a clock that was set back since."""
        at = self._clock()
        return {"$gt": at - self._interval, "$lte": at}

    def _write(self) -> None:
        """A message of each set of gathered alarms."""
        gathered = list(self._alarms.find({"state": AlarmState.GATHERED}, sort=[("at", 1)]))
        for identity in dict.fromkeys(alarm["message"] for alarm in gathered):
            alarms = [alarm for alarm in gathered if alarm["message"] == identity]
            try:
                self._messages.insert_one(self._message(identity, alarms))
            except DuplicateKeyError:
                log.debug("Message %s was written before a crash.", identity)
            told = {"state": AlarmState.TOLD, "told_at": self._clock()}
            self._alarms.update_many({"message": identity, "state": AlarmState.GATHERED}, {"$set": told})

    def _message(self, identity: str, alarms: Sequence[Document]) -> Document:
        due = {"state": Delivery.DUE, "tries": 0, "next_at": self._clock(), "error": None}
        title, body = compose(self._lab, alarms)
        channels = {name: dict(due) for name in self._channels}
        return {
            "_id": identity,
            "at": self._clock(),
            "title": title,
            "body": body,
            "channels": channels,
            "open": bool(channels),
        }

    def _deliver(self, document: Document) -> float | None:
        message = Message(document["_id"], document["title"], document["body"])
        waits = []
        for name, delivery in document["channels"].items():
            if delivery["state"] != Delivery.DUE:
                continue
            wait = (delivery["next_at"] - self._clock()).total_seconds()
            # One that is further away than any pause was planned by a clock that has been set back since.
            later = 0 < wait <= max(_RETRY_SECONDS)
            waits.append(wait if later else self._try(name, message, delivery))
        left = [wait for wait in waits if wait is not None]
        if not left:
            self._messages.update_one({"_id": message.id}, {"$set": {"open": False}})
        return min(left, default=None)

    def _try(self, name: str, message: Message, delivery: Document) -> float | None:
        """Send it once by one channel; in how many seconds to try again."""
        tries, wait, error = delivery["tries"] + 1, None, None
        try:
            if name not in self._channels:
                raise ChannelError(f"The channel {name} is not set up any more.")
            self._channels[name].send(message)
            state = Delivery.SENT
        except ChannelError as failure:
            error = str(failure)
            state = Delivery.DUE if tries < TRIES else Delivery.FAILED
            wait = _RETRY_SECONDS[tries - 1] if state == Delivery.DUE else None
            log.warning("Alarm %r, try %d of %d: %s", message.title, tries, TRIES, error)
        at = self._clock()
        fields = {"state": state, "tries": tries, "error": error, "next_at": at + timedelta(seconds=wait or 0.0)}
        self._messages.update_one({"_id": message.id}, {"$set": {f"channels.{name}": fields}})
        last = {"ok": error is None, "at": at, "error": error}
        self._channel_states.update_one({"_id": name}, {"$set": last}, upsert=True)
        return wait

    def _last(self, name: str) -> Document:
        return self._channel_states.find_one({"_id": name}, {"_id": 0}) or {"ok": True, "at": None, "error": None}


def compose(lab: str, alarms: Sequence[Document]) -> tuple[str, str]:
    """Title and text: a line for each subject, how often it came, and how many more there are."""
    alike: dict[tuple[str, str], list[Document]] = {}
    for alarm in alarms:
        alike.setdefault((alarm["kind"], alarm["subject"]), []).append(alarm)
    lines = [_line(each) for each in alike.values()]
    shown, left = lines[:_MOST_LINES], len(lines) - _MOST_LINES
    body = "\n".join([*shown, f"and {left} more; see `lab alarms list`"] if left > 0 else shown)
    first = next(iter(alike.values()))[-1]["text"]
    title = f"[{lab}] {first}" if len(lines) == 1 else f"[{lab}] {len(lines)} alarms"
    return title[:200], body


def _line(alike: Sequence[Document]) -> str:
    newest = alike[-1]
    more = f" (and {len(alike) - 1} more like it)" if len(alike) > 1 else ""
    return f"{newest['at']:%Y-%m-%d %H:%M:%S} UTC  {newest['text']}{more}"
