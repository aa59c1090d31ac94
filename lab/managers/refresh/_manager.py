"""The refresh manager: takes requests from triggers and people; one refresh runs at a time, and the newest wins."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, Protocol

from pymongo import DESCENDING
from pymongo.errors import ConnectionFailure, PyMongoError

from hotswap.cutover import AtOnce, Cutover, Outcome, Pipeline, Refresh
from hotswap.errors import HotswapError, UnreachableError
from hotswap.generations import Generation, Generations
from hotswap.snapshot import Snapshot
from hotswap.triggers import CommitTrigger, RemoteTrigger, SaveTrigger
from lab.managers.refresh._code import VERSION, LabCode
from lab.managers.refresh._participant import LabParticipant
from lab.records import Document, Records
from lab.settings.config import LabConfig

_TRIGGER_ACTOR: Final = "trigger"
_ROLLBACK: Final = "rollback"
_COMPARED: Final = 20
_AUTOMATIC: Final = ("commit", "save")
_RETRY_SECONDS: Final = 1.0
_NOT_LIVE: Final = (Outcome.REJECTED, Outcome.SUPERSEDED, Outcome.UNDONE, Outcome.INTERRUPTED)
_ROLLING: Final = "rolling"
_BARRIER: Final = "barrier"

Trigger = CommitTrigger | RemoteTrigger | SaveTrigger

log = logging.getLogger(__name__)


class Barrier(Cutover, Protocol):
    """A cutover that may have to wait, and that gives up when the managers end."""

    def cancel(self, actor: str) -> Document: ...
    def halt(self) -> None: ...


class _OutOfTurn:
    """A cutover during whose wait others have their turn; ``prepared`` are the snapshots that wait meanwhile."""

    def __init__(self, cutover: Cutover, turn: threading.Lock) -> None:
        self._cutover = cutover
        self._turn = turn
        self.prepared: list[str] = []

    @contextmanager
    def around(self, refresh: Refresh, snapshot: str, superseded: Callable[[], bool]) -> Iterator[None]:
        with ExitStack() as stack:
            self.prepared.append(snapshot)
            self._turn.release()
            try:
                stack.enter_context(self._cutover.around(refresh, snapshot, superseded))
            finally:
                self._turn.acquire()
                self.prepared.remove(snapshot)
            yield


class _Ticket:
    """A refresh that somebody may wait for."""

    def __init__(self, refresh: Refresh) -> None:
        self.refresh = refresh
        self.document: Document | None = None
        self.error: HotswapError | None = None
        self._done = threading.Event()

    def finish(self, document: Document) -> None:
        self.document = document
        self._done.set()

    def fail(self, error: HotswapError) -> None:
        self.error = error
        self._done.set()

    def wait(self) -> Document:
        self._done.wait()
        if self.error is not None:
            raise self.error
        assert self.document is not None
        return self.document


class RefreshManager:
    """Runs refreshes on a thread of its own; ``request`` and ``roll_back`` wait for the outcome."""

    def __init__(
        self,
        config: LabConfig,
        records: Records,
        code: LabCode,
        participant: LabParticipant,
        barrier: Barrier | None = None,
    ) -> None:
        self._config = config
        self._records = records
        self._code = code
        self._participant = participant
        self._generations = Generations(records.database)
        self._barrier = barrier
        self._running = threading.Lock()
        self._cutover = _OutOfTurn(barrier or AtOnce(), self._running)
        self._pipeline = Pipeline(records.refreshes, self._generations, participant, self._cutover)
        self._triggers: list[Trigger] = []
        self._changed = threading.Condition()
        self._waiting: _Ticket | None = None
        self._going_back = 0
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="refresh manager", daemon=True)

    def start(self) -> None:
        """Close what a crash left open, start the triggers, and go live with the present code where that is meant.

        Without any generation yet, this returns when the first one is live, or rejected; also when other distributions
        are installed than current code was frozen with, which makes a new generation of it.
        """
        for snapshot in self._pipeline.recover():
            self._participant.dismiss(snapshot)
        self._thread.start()
        if self._config.general.auto_refresh:
            self._watch()
        current = self._generations.current()
        if current is None:
            self._launch(None)
        elif self._participant.meets_another_environment():
            self._launch_again(current)
        elif self._config.general.auto_refresh and self._is_news():
            self._enqueue(self._refresh("launch", "launch"))

    def stop(self) -> None:
        for trigger in self._triggers:
            trigger.stop()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._barrier is not None:
            self._barrier.halt()
        if self._thread.is_alive():
            self._thread.join()

    def request(
        self, rev: str | None, actor: str, trigger: str, *, barrier: bool | None = None, wait: bool = True
    ) -> Document:
        """Refresh to ``rev``, or to whatever is newest; returns the persisted refresh with its outcome.

        ``barrier`` None means as the settings say. Without ``wait`` there is no outcome yet.
        """
        refresh = self._refresh(actor, trigger, rev, barrier=barrier)
        if wait:
            return self._enqueue(refresh).wait()
        begun = refresh.to_document()
        self._records.refreshes.insert_one(begun)
        self._enqueue(refresh)
        return begun

    def plan(self, rev: str | None) -> Document:
        """What a refresh to ``rev`` would do, and under ``refused`` why it would not be done; nothing changes.

        Raises HotswapError where there is nothing to freeze.
        """
        with self._running:
            snapshot = self._participant.freeze(rev)
            found = {"snapshot": snapshot.id, "commit": snapshot.origin.commit, "dirty": snapshot.origin.dirty}
            try:
                return {**found, **self._participant.preview(snapshot)}
            finally:
                if snapshot.id not in self._cutover.prepared:
                    self._participant.dismiss(snapshot.id)

    def roll_back(
        self,
        generation: int,
        actor: str,
        *,
        current: int | None = None,
        barrier: bool | None = None,
        wait: bool = True,
    ) -> Document:
        """Go live again with the snapshot of an earlier generation. Raises HotswapError where that cannot be.

        With ``current``, only if that generation is still the current one. ``barrier`` and ``wait`` as in ``request``.
        """
        refresh = self._refresh(actor, _ROLLBACK, barrier=barrier)
        if wait:
            return self._roll_back(refresh, generation, current)
        self._generations.get(generation)
        begun = refresh.to_document()
        self._records.refreshes.insert_one(begun)
        threading.Thread(target=self._roll_back_alone, args=(refresh, generation), daemon=True).start()
        return begun

    def cancel(self, actor: str) -> Document:
        """Undo the barrier that is under way; returns its document. Raises ConflictError where that cannot be."""
        if self._barrier is None:
            raise HotswapError("This laboratory has no barriers.")
        return self._barrier.cancel(actor)

    def _roll_back_alone(self, refresh: Refresh, generation: int) -> None:
        """With nobody to tell but the refresh itself."""
        try:
            self._roll_back(refresh, generation, None)
        except (HotswapError, PyMongoError) as error:
            log.warning("Generation %d was not made current again: %s", generation, error)

    def _roll_back(self, refresh: Refresh, generation: int, current: int | None) -> Document:
        snapshot = self._generations.get(generation).snapshot
        with self._ahead() if current is None else self._running:
            now = self._generations.current()
            if current is not None and (now is None or now.number != current):
                raise HotswapError(f"Generation {current} is not current any more, so it is not rolled back.")
            try:
                return self._pipeline.roll_back(refresh, generation, current)
            except Exception as error:  # whatever it was, whoever looks at the refresh must see that it has ended
                if refresh.outcome is not None:
                    self._participant.dismiss(snapshot)
                elif _is_live(closed := self._close(refresh, _told(error))):
                    return closed
                raise

    @contextmanager
    def _ahead(self) -> Iterator[None]:
        """The next turn: a roll back is newer than the refreshes there are, which give way to it."""
        with self._changed:
            passed_over, self._waiting = self._waiting, None
            self._going_back += 1
        if passed_over is not None:
            self._pass_over(passed_over)
        self._running.acquire()
        with self._changed:
            self._going_back -= 1
            self._changed.notify_all()
        try:
            yield
        finally:
            self._running.release()

    def _is_superseded(self) -> bool:
        return self._waiting is not None or self._going_back > 0

    def _refresh(self, actor: str, trigger: str, rev: str | None = None, *, barrier: bool | None = None) -> Refresh:
        """A refresh that says under which settings it runs: they are read at launch, and no snapshot has them."""
        wanted = self._config.general.cutover == _BARRIER if barrier is None else barrier
        facts = {"settings": self._config.told(), "cutover": _BARRIER if wanted else _ROLLING}
        return Refresh(actor=actor, trigger=trigger, rev=rev, facts=facts)

    def _is_news(self) -> bool:
        """Whether the present code was never live as this commit: what somebody left must not return with a restart."""
        try:
            present = self._participant.freeze(None)
        except HotswapError:
            return True  # the refresh will tell why
        was_live = {"trigger": {"$ne": _ROLLBACK}, "outcome": {"$in": [Outcome.LIVE, Outcome.UNCHANGED]}}
        same = {**was_live, "commit": present.origin.commit}
        if self._records.refreshes.find_one({**same, "snapshot": present.id}) is not None:
            return False
        others = self._records.refreshes.find(same, {"snapshot": 1}, sort=[("requested_at", DESCENDING)])
        return not any(self._has_files_of(present, other["snapshot"]) for other in others.limit(_COMPARED))

    def _has_files_of(self, present: Snapshot, snapshot: str) -> bool:
        """False also for a snapshot that was collected."""
        try:
            return self._participant.has_files_of(present, snapshot)
        except HotswapError:
            return False

    def _is_present(self, snapshot: str) -> bool:
        """Whether a snapshot has the files of the present code; False also where those cannot be frozen."""
        try:
            return self._has_files_of(self._participant.freeze(None), snapshot)
        except HotswapError:
            return False

    def _launch_again(self, current: Generation) -> None:
        """With what is installed now: the newest code, where that goes live by itself, or what was current.

        The newest code may be what somebody went back from.
        """
        takes_newest = self._config.general.auto_refresh and (self._is_news() or self._is_present(current.snapshot))
        if not (takes_newest and self._launch(None)):
            self._launch(f"{VERSION}{current.snapshot}")

    def _launch(self, rev: str | None) -> bool:
        """Whether the code went live."""
        try:
            return bool(
                self._enqueue(self._refresh("launch", "launch", rev, barrier=False)).wait()["outcome"] == Outcome.LIVE
            )
        except HotswapError as error:
            log.error("No code went live at the launch: %s", error)  # noqa: TRY400 - where it failed has been logged
            return False

    def _watch(self) -> None:
        if self._config.general.trigger == "save":
            self._add(
                SaveTrigger(
                    self._config.general.package,
                    self._on_save,
                    self._config.refresh.debounce_ms,
                    also=lambda: self._code.places,
                )
            )
            return
        top = self._code.repository()
        if top is None:
            log.warning("%s is not in a git repository, so commits cannot refresh it.", self._config.general.package)
            return
        branch, code = self._config.general.branch, self._config.code
        if code.remote is not None and branch is not None:
            self._add(RemoteTrigger(top, code.remote, branch, self._on_commit, code.fetch_interval))
        else:
            self._add(CommitTrigger(top, branch, self._on_commit))

    def _add(self, trigger: Trigger) -> None:
        trigger.start()
        self._triggers.append(trigger)

    def _on_commit(self, commit: str) -> None:
        self._enqueue(self._refresh(_TRIGGER_ACTOR, "commit", commit))

    def _on_save(self) -> None:
        self._enqueue(self._refresh(_TRIGGER_ACTOR, "save"))

    def _enqueue(self, refresh: Refresh) -> _Ticket:
        """Make a refresh the next one; one that was waiting is superseded."""
        ticket = _Ticket(refresh)
        with self._changed:
            passed_over, self._waiting = self._waiting, ticket
            if passed_over is not None:
                self._inherit(passed_over.refresh)
            self._changed.notify_all()
        if passed_over is not None:
            self._pass_over(passed_over)
        return ticket

    def _inherit(self, superseded: Refresh) -> None:
        """What takes the place of a barrier by itself goes live by one, too: it brings the same change.

        To be called with the condition held.
        """
        if superseded.facts["cutover"] == _BARRIER and self._waiting and self._waiting.refresh.trigger in _AUTOMATIC:
            self._waiting.refresh.facts["cutover"] = _BARRIER

    def _pass_over(self, ticket: _Ticket) -> None:
        try:
            ticket.finish(self._pipeline.supersede(ticket.refresh))
        except PyMongoError as error:
            log.warning("That a newer refresh took the place of one could not be written down: %s", error)
            ticket.finish(ticket.refresh.to_document())

    def _run(self) -> None:
        while (ticket := self._next()) is not None:
            with self._running:
                self._take(ticket)

    def _next(self) -> _Ticket | None:
        with self._changed:
            self._changed.wait_for(lambda: self._ended or (self._waiting is not None and not self._going_back))
            ticket, self._waiting = self._waiting, None
            return ticket

    def _take(self, ticket: _Ticket) -> None:
        try:
            document = self._pipeline.run(ticket.refresh, self._is_superseded)
            if document["outcome"] == Outcome.SUPERSEDED:
                with self._changed:
                    self._inherit(ticket.refresh)
            if document["outcome"] in _NOT_LIVE and "snapshot" in document:
                self._participant.dismiss(document["snapshot"])
        except (PyMongoError, UnreachableError) as error:
            if not self._again(ticket, error):
                self._abandon(ticket, error)
        except Exception as error:  # the thread must outlive whatever one refresh runs into
            log.exception("A refresh failed")
            self._abandon(ticket, error)
        else:
            self._tell(document)
            ticket.finish(document)

    def _again(self, ticket: _Ticket, error: Exception) -> bool:
        """Run it once more in a while, unless a newer one waits or a person, who decides for themselves."""
        if ticket.refresh.trigger not in _AUTOMATIC:
            return False
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self._is_superseded(), timeout=_RETRY_SECONDS)
            if self._ended or self._is_superseded():
                return False
            self._waiting = ticket
        log.warning("A refresh is tried again: %s", error)
        return True

    def _abandon(self, ticket: _Ticket, error: Exception) -> None:
        closed = self._close(ticket.refresh, _told(error))
        if _is_live(closed):
            ticket.finish(closed)
        else:
            ticket.fail(HotswapError(_told(error)))

    def _close(self, refresh: Refresh, reason: str) -> Document:
        """End a refresh that ran into something that says nothing about the code, as soon as the database answers."""
        while True:
            try:
                closed = self._pipeline.abandon(refresh, reason)
                if not _is_live(closed):
                    self._records.log("refresh.failed", refresh.id, error=reason)
            except PyMongoError as gone:
                log.warning("That a refresh failed could not be written down: %s", gone)
                if self._ends_within(_RETRY_SECONDS) or not isinstance(gone, ConnectionFailure):
                    return refresh.to_document()
            else:
                return closed

    def _ends_within(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._ended, timeout=seconds)

    def _tell(self, document: Document) -> None:
        if document["outcome"] == Outcome.REJECTED:
            log.warning("New code was rejected: %s", document["error"])
            where = {"path": document.get("path"), "line": document.get("line")}
            self._records.log("refresh.rejected", document["_id"], error=document["error"], **where)


def _told(error: Exception) -> str:
    return f"The refresh failed: {error}; see the log of the managers."


def _is_live(document: Document) -> bool:
    return bool(document["outcome"] == Outcome.LIVE)
