"""Which snapshots a collection keeps, and why: a decision for each, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hotswap.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Retention:
    """What is kept although nothing refers to it.

    ``keep_last``: how many of the newest snapshots of each package; ``keep_days``: how many days since a snapshot was
    last used, which is when its id was handed out by freezing, opening or naming it; ``grace_seconds``: the same in
    seconds, and whatever the policy, because whoever just got the id may be about to refer to it.
    """

    keep_last: int = 10
    keep_days: float = 30.0
    grace_seconds: float = 3600.0


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a collection keeps the snapshot with the full id ``snapshot``, and why.

    ``size`` is how many bytes on disk go with it, or would go.
    """

    snapshot: str
    keep: bool
    reason: str
    size: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is known of a snapshot: ``used_at`` is when its id was last handed out, ``rank`` counts from the newest."""

    snapshot: Snapshot
    used_at: datetime
    holds: tuple[str, ...]
    rank: int


def ranks(snapshots: Iterable[Snapshot]) -> Mapping[str, int]:
    """The place of each id among the snapshots of its package: 0 is the newest."""
    seen: Counter[str] = Counter()
    found = {}
    for one in sorted(snapshots, key=lambda snapshot: snapshot.frozen_at, reverse=True):
        found[one.id] = seen[one.package]
        seen[one.package] += 1
    return found


def reason_to_keep(one: Candidate, references: Mapping[str, str], retention: Retention, now: datetime) -> str | None:
    """Why a snapshot is kept, or None; ``references`` maps ids to what refers to them."""
    if one.snapshot.id in references:
        return references[one.snapshot.id]
    if one.holds:
        return "held for " + " and ".join(repr(reason) for reason in one.holds)
    if one.rank < retention.keep_last:
        return f"among the {retention.keep_last} newest of {one.snapshot.package}"
    unused = now - one.used_at
    if unused < timedelta(seconds=retention.grace_seconds):
        until = one.used_at + timedelta(seconds=retention.grace_seconds)
        return f"its id was handed out {_spell(unused)} ago, kept until {until:%Y-%m-%d %H:%M:%S} UTC"
    if unused < timedelta(days=retention.keep_days):
        return f"last used {_spell(unused)} ago, kept for {retention.keep_days:g} days"
    return None


def reason_to_go(one: Candidate, now: datetime) -> str:
    """Why a snapshot that nothing keeps goes."""
    superseded = "superseded, " if one.rank else ""
    return f"{superseded}last used {_spell(now - one.used_at)} ago, nothing refers to it"


def references_of(given: Iterable[str] | Mapping[str, str]) -> Mapping[str, str]:
    """References by id, each with its reason."""
    if isinstance(given, Mapping):
        return given
    return dict.fromkeys(given, "referred to")


def sizes(contents: Sequence[tuple[Mapping[str, int], bool]]) -> list[int]:
    """The bytes that go with each of several snapshots, given the bytes of each of its contents and whether it stays.

    What several snapshots share goes with the last of them: with none that goes while one stays, and with the
    first of those that go together.
    """
    users = Counter(name for parts, stays in contents if stays for name in parts)
    claimed: set[str] = set()
    found = []
    for parts, stays in contents:
        mine = {name for name in parts if users[name] == (1 if stays else 0)} - claimed
        if not stays:
            claimed |= mine
        found.append(sum(parts[name] for name in mine))
    return found


def _spell(age: timedelta) -> str:
    seconds = max(age.total_seconds(), 0)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if count := int(seconds // length):
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return f"{int(seconds)} seconds"
