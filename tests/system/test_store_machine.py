"""The store against a model of a few sets: whatever is done to it in whatever order, crashes and damage among it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import ClassVar
from unittest.mock import patch

import pytest
from forgetful_disk import Cutting, PowerCut, intercepted, unhurried
from held_source import EMPTY, Held, debris
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from hotswap.archive import export, load
from hotswap.digest import hash_bytes
from hotswap.errors import GenerationMovedError
from hotswap.generations import FileGenerations, applications
from hotswap.store import Retention, Store, _bytecode

pytestmark = pytest.mark.system

numbers = st.integers(0, 4)
reasons = st.sampled_from(["paper 12", "the audit"])
apps = st.sampled_from(["my_lab", "another"])


def version(number: int) -> Held:
    """Neighbours share most of their files."""
    return Held(
        {
            "my_lab/__init__.py": b"NUMBER = %d\n" % number,
            "my_lab/shared.py": b"SHARED = %d\n" % (number // 2),
            "my_lab/data/table.csv": b"%d" % (number // 3),
        },
        keyed=number % 2 == 0,
    )


class Copies:
    """Every content there ever was."""

    def __init__(self) -> None:
        every = {data for number in range(5) for data in version(number).contents.values()}
        self._contents = {hash_bytes(data): data for data in every}

    def content(self, digest: str) -> bytes | None:
        return self._contents.get(digest)


class StoreMachine(RuleBasedStateMachine):
    """``young`` are the snapshots whose id was handed out since all were aged, ``promoted`` what each application was
    given, ``archives`` the bytes that a snapshot is exported as; the other names speak for themselves.
    """

    steps: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        self.folder = Path(tempfile.mkdtemp())
        self.open.callback(shutil.rmtree, self.folder)
        self.open.enter_context(unhurried())
        self.store = Store(self.folder / "store")
        elsewhere = Store(self.folder / "elsewhere")
        self.ids = {number: elsewhere.freeze(version(number), EMPTY).id for number in range(5)}
        self.archives: dict[tuple[int, datetime], bytes] = {}
        for number, identity in self.ids.items():
            found = export(elsewhere, identity, self.archive(number))
            self.archives[number, found.frozen_at] = self.archive(number).read_bytes()
        self.order: list[int] = []
        self.held: dict[int, set[str]] = {}
        self.young: set[int] = set()
        self.promoted: dict[str, list[int]] = {}
        self.used: dict[int, ExitStack] = {}

    def archive(self, number: int) -> Path:
        return self.folder / f"{number}.tar"

    @property
    def present(self) -> set[int]:
        return set(self.order)

    @rule(number=numbers, reason=st.none() | reasons)
    def freeze(self, number: int, reason: str | None) -> None:
        frozen = self.store.ensure(version(number), EMPTY, hold=reason)
        assert (frozen.snapshot.id, frozen.new) == (self.ids[number], number not in self.present)
        self.appeared(number, reason)

    @rule(number=numbers, reason=st.none() | reasons)
    def bring(self, number: int, reason: str | None) -> None:
        """Import; the snapshot has the time it was frozen at elsewhere, before all that were frozen here."""
        frozen = load(self.store, self.archive(number), hold=reason)
        assert (frozen.snapshot.id, frozen.new) == (self.ids[number], number not in self.present)
        self.appeared(number, reason)

    def appeared(self, number: int, reason: str | None) -> None:
        self.order = [self.number(one.id) for one in self.store.list()]
        self.young.add(number)
        if reason is not None:
            self.held.setdefault(number, set()).add(reason)

    def number(self, identity: str) -> int:
        return next(number for number, one in self.ids.items() if one == identity)

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.present)))
        snapshot = self.store.open(self.ids[number])
        assert {one.path: self.store.content(one) for one in snapshot.files} == version(number).contents
        self.young.add(number)

    @precondition(lambda self: self.order)
    @rule(data=st.data(), reason=reasons)
    def hold(self, data: st.DataObject, reason: str) -> None:
        number = data.draw(st.sampled_from(sorted(self.present)))
        self.store.hold(self.ids[number], reason)
        self.held.setdefault(number, set()).add(reason)
        self.young.add(number)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), reason=st.none() | reasons)
    def release(self, data: st.DataObject, reason: str | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.held)))
        dropped = {one for one in self.held[number] if reason in {None, one}}
        assert set(self.store.release(self.ids[number], reason)) == dropped
        self.held[number] -= dropped
        if not self.held[number]:
            del self.held[number]

    @precondition(lambda self: self.order)
    @rule(data=st.data(), app=apps, late=st.booleans())
    def promote(self, data: st.DataObject, app: str, late: bool) -> None:
        """Who is ``late`` expects what is not current any more, and changes nothing."""
        number = data.draw(st.sampled_from(sorted(self.present)))
        history = self.promoted.setdefault(app, [])
        if late:
            with pytest.raises(GenerationMovedError):
                self.promote_now(app, number, expected=len(history) + 1)
        else:
            self.promote_now(app, number, expected=len(history) or None)
            history.append(number)

    def promote_now(self, app: str, number: int, expected: int | None) -> None:
        FileGenerations(self.store.root, app).promote(
            self.ids[number], expected=expected, commit=None, dirty=True, environment="e", actor="mira", reason="test"
        )

    def history(self, app: str) -> list[int]:
        return [self.number(one.snapshot) for one in reversed(FileGenerations(self.store.root, app).history(10_000))]

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def take_out(self, data: st.DataObject) -> None:
        """Export; a snapshot that came from an archive, or was exported before, has the same bytes again."""
        number = data.draw(st.sampled_from(sorted(self.present)))
        path = self.folder / "exported.tar"
        found = export(self.store, self.ids[number], path)
        data_out = path.read_bytes()
        assert self.archives.setdefault((number, found.frozen_at), data_out) == data_out
        frozen = load(self.store, path)
        assert (frozen.snapshot, frozen.new) == (found, False)
        self.young.add(number)

    @precondition(lambda self: self.order)
    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.present)))
        if number in self.used:
            self.used.pop(number).close()
        else:
            self.used[number] = ExitStack()
            self.used[number].enter_context(self.store.use(self.ids[number]))
            self.young.add(number)

    @rule()
    def age(self) -> None:
        for manifest in (self.store.root / "manifests").glob("*"):
            os.utime(manifest, (0, 0))
        self.young.clear()

    @rule(keep_last=st.integers(0, 2), dry_run=st.booleans())
    def collect(self, keep_last: int, dry_run: bool) -> None:
        kept = self.kept(keep_last)
        decisions = self.collect_now(keep_last, dry_run=dry_run)
        assert [self.number(one.snapshot) for one in decisions if one.keep] == kept
        if not dry_run:
            self.order = kept
            assert self.store.root.exists() <= (debris(self.store) == [])

    def kept(self, keep_last: int) -> list[int]:
        """What a collection has to keep, the newest first."""
        current = {history[-1] for history in self.promoted.values() if history}
        needed = current | self.held.keys() | self.young | self.used.keys() | {*self.order[:keep_last]}
        return [number for number in self.order if number in needed]

    def collect_now(self, keep_last: int = 0, *, dry_run: bool = False) -> list[object]:
        current = [FileGenerations(self.store.root, app).current() for app in applications(self.store.root)]
        references = [one.snapshot for one in current if one is not None]
        return list(self.store.collect(references, Retention(keep_last, keep_days=0), dry_run=dry_run))

    @rule(
        what=st.sampled_from(["freeze", "import", "collect"]),
        number=numbers,
        when=st.sampled_from(["before", "amid", "after"]),
        step=st.integers(0, 40),
    )
    def crash(self, what: str, number: int, when: str, step: int) -> None:
        """The power goes in the middle of something; then all ids are old."""
        actions: dict[str, Callable[[], object]] = {
            "freeze": lambda: self.store.freeze(version(number), EMPTY),
            "import": lambda: load(self.store, self.archive(number)),
            "collect": self.collect_now,
        }
        sure, possible = self.present, self.present | {number}
        if what == "collect":
            sure, possible = set(self.kept(0)), self.present
        self.cut_off(actions[what], when, step)
        self.order = [self.number(one.id) for one in self.store.list()]
        assert sure <= self.present <= possible
        self.age()
        assert self.store.verify() == []

    @precondition(lambda self: self.order)
    @rule(
        data=st.data(),
        what=st.sampled_from(["hold", "promote"]),
        when=st.sampled_from(["before", "amid", "after"]),
        step=st.integers(0, 10),
    )
    def crash_of_a_note(self, data: st.DataObject, what: str, when: str, step: int) -> None:
        """The power goes while a snapshot is held or promoted: it is, as a whole, or not at all."""
        number = data.draw(st.sampled_from(sorted(self.present)))
        held, history = self.held.get(number, set()), self.promoted.setdefault("my_lab", [])
        actions: dict[str, Callable[[], object]] = {
            "hold": lambda: self.store.hold(self.ids[number], "paper 12"),
            "promote": lambda: self.promote_now("my_lab", number, expected=len(history) or None),
        }
        cut = self.cut_off(actions[what], when, step)
        holds, promoted = set(self.store.holds(self.ids[number])), self.history("my_lab")
        done = (held | {"paper 12"}, history) if what == "hold" else (held, [*history, number])
        assert (holds, promoted) in [done, *([(held, history)] if cut else [])]
        self.held.update({number: holds} if holds else {})
        self.promoted["my_lab"] = promoted
        self.age()
        assert self.store.verify() == []

    def cut_off(self, action: Callable[[], object], when: str, step: int) -> bool:
        """Whether it came to the step at which the power goes."""
        try:
            with intercepted(Cutting(when, step)):
                action()
        except PowerCut:
            self.store = Store(self.store.root)
            return True
        return False

    @precondition(lambda self: self.order)
    @rule(data=st.data(), where=st.sampled_from(["tree", "object", "surplus"]), gone=st.booleans())
    def damage_and_repair(self, data: st.DataObject, where: str, gone: bool) -> None:
        identity = self.ids[data.draw(st.sampled_from(sorted(self.present)))]
        snapshot = next(one for one in self.store.list() if one.id == identity)
        entry = data.draw(st.sampled_from(snapshot.files))
        path = self.store.root / "trees" / identity / entry.path
        if where == "object":
            path = self.store.root / "objects" / entry.digest[:2] / entry.digest[2:]
        self.damage(path.with_name("surplus") if where == "surplus" else path, gone)
        damages = self.store.verify()
        assert damages
        unfinished = (self.store.root / "unfinished.json").exists()
        assert self.store.repair(damages, [Copies()]) == []
        assert self.store.verify() == []
        if unfinished:  # a damaged snapshot whose change did not get to its end is undone
            self.order = [number for number in self.order if self.ids[number] != identity or self.is_listed(number)]

    def is_listed(self, number: int) -> bool:
        return self.ids[number] in {one.id for one in self.store.list()}

    @staticmethod
    def damage(path: Path, gone: bool) -> None:
        path.parent.chmod(0o755)
        if path.exists() and gone:
            path.unlink()
        else:
            path.touch()
            path.chmod(0o644)
            path.write_bytes(b"other")
            path.chmod(0o444)

    @rule()
    def verify(self) -> None:
        assert self.store.verify() == []

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        StoreMachine.steps += 1
        assert [one.id for one in self.store.list()] == [self.ids[number] for number in self.order]
        assert all(set(self.store.holds(self.ids[number])) == self.held.get(number, set()) for number in self.order)
        assert all(self.history(app) == history for app, history in self.promoted.items())

    def teardown(self) -> None:
        for used in self.used.values():
            used.close()
        self.open.close()


@pytest.fixture(autouse=True)
def repeatable() -> Iterator[None]:
    """Compiling the same source twice may give different bytes, and so other steps than before."""
    StoreMachine.steps = 0
    with patch.object(_bytecode, "compile_source", cache(_bytecode.compile_source)):
        yield


def test_the_store_does_what_its_model_says() -> None:
    few = settings(max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    run_state_machine_as_test(StoreMachine, settings=few)
    assert StoreMachine.steps > 100


@pytest.mark.long
def test_the_store_does_what_its_model_says_for_ten_thousand_steps() -> None:
    run_state_machine_as_test(StoreMachine, settings=settings.get_profile("long"))
    assert StoreMachine.steps >= 10_000
