"""A rebinding: devices leave their old driver for a new one and take their state along, or return to the old one.

What the old driver exports is in the document before anything is disconnected. Whatever ends half-way, a rebinding
can therefore be gone on with, or undone, by whoever finds it: the documents tell what was meant, the drivers how far
it came.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from hotswap.errors import RemoteError
from lab.catalog import Catalog, Definitions
from lab.managers._device_plan import Arrive, Bind, Leave, Move
from lab.managers._device_steps import FAILURES, Generation, Steps, StoppedError
from lab.managers._drivers import Driver, Drivers, process_name
from lab.records import Binding, Device, DeviceState, HandOver, HandOverStep, Records, now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Move:
    """A device on its way to its driver in ``target``; ``new`` is the process of that, None for one that is gone."""

    device: Device
    target: Definitions
    new: Driver | None

    @property
    def name(self) -> str:
        return self.device["_id"]


class _Parting(Enum):
    """Whether all have handed over and are disconnected; if not, whether that is to be tried again later."""

    DONE = auto()
    LATER = auto()
    NOT_NOW = auto()


class Rebinding:
    """Moves the devices of a step together: all have their new driver in the end, or none has.

    ``current`` tells the number of the generation that is current.
    """

    def __init__(
        self,
        records: Records,
        catalog: Catalog,
        drivers: Drivers,
        steps: Steps,
        *,
        generation: Generation,
        current: Callable[[], int],
    ) -> None:
        self._records = records
        self._catalog = catalog
        self._drivers = drivers
        self._steps = steps
        self._generation = generation
        self._current = current

    def take(self, step: Move) -> bool:
        """Carry out a step; False to try again later."""
        if isinstance(step, Bind):
            return self.bind(step)
        if isinstance(step, Leave):
            return self.leave(step)
        return self.arrive(step.device) if isinstance(step, Arrive) else self.drop(step.device)

    def bind(self, step: Bind) -> bool:
        """Connect devices with their drivers in the target, or leave all as they were; False to try again later."""
        moves = self._moves(step.devices, step.target)
        parting = self._part(moves)
        return self._enter(moves) if parting is _Parting.DONE else parting is not _Parting.LATER

    def leave(self, step: Leave) -> bool:
        """Disconnect devices for a barrier, or leave all as they were; False to try again later."""
        if step.target is None:
            return all(self._leave_for_good(device) for device in step.devices)
        moves = self._moves(step.devices, step.target)
        parting = self._part(moves)
        if parting is _Parting.DONE:
            for move in moves:
                self._note(move.device, HandOverStep.APART)
        return parting is not _Parting.LATER

    def arrive(self, device: Device) -> bool:
        """Connect a device that left for a barrier, and those that left with it, with their new drivers, or return."""
        target = self._catalog.get(str(device.get("rebind_to")))
        return self._enter(self._moves([move.device for move in self._interrupted(device, target)], target))

    def drop(self, device: Device) -> bool:
        """A device that left for good: nobody has it now."""
        gone = {"state": DeviceState.UNBOUND, "binding": None, "rebind_to": None, "hand_over": None}
        self._steps.change(device, DeviceState.REBINDING, gone)
        self._records.log("device.disconnected", device["_id"], reason="it is not part of the lab any more")
        return True

    def resume(self, device: Device) -> bool:
        """Finish or undo what was interrupted; False to try again later."""
        target = device.get("rebind_to")
        if target is None:  # it was about to retire
            return self._return(device, None)
        moves = self._interrupted(device, self._catalog.get(target))
        if all(self._has_arrived(move) for move in moves):
            return self._enter(moves)
        return self._undo(moves, _reason(moves))

    def _moves(self, devices: list[Device], target: Definitions) -> list[_Move]:
        return [_Move(device, target, self._steps.start(device["_id"], target)) for device in devices]

    # -- there ---------------------------------------------------------------------------------------------------

    def _part(self, moves: list[_Move]) -> _Parting:
        if self._running(moves):
            return _Parting.LATER
        if not self._reserve(moves):
            return _Parting.NOT_NOW  # somebody was faster; the next look at the documents tells
        if self._running(moves):  # a task may have had it, started it, and ended
            self._give_back(moves)
            return _Parting.LATER
        return self._leave(moves)

    def _leave_for_good(self, device: Device) -> bool:
        """What is exported is for the return, should the barrier be undone."""
        if self._steps.is_running(device):
            return False
        started = HandOver(step=HandOverStep.EXPORTING, state=None, together=[device["_id"]])
        fields = {"state": DeviceState.REBINDING, "rebind_to": None, "hand_over": started}
        if self._steps.change(device, device["state"], fields, paused=False):
            self._export_for_return(device)
            self._steps.disconnect(device, self._steps.bound(device))
            self._note(device, HandOverStep.APART)
        return True

    def _export_for_return(self, device: Device) -> None:
        """A device that new code does not have leaves without a state where its driver cannot give it."""
        try:
            self._export(device)
        except FAILURES as error:
            log.warning("%s leaves without its state, which its driver did not give: %s", device["_id"], error)

    def _running(self, moves: list[_Move]) -> bool:
        return any(self._steps.is_running(move.device) for move in moves)

    def _reserve(self, moves: list[_Move]) -> bool:
        together = [move.name for move in moves]
        for number, move in enumerate(moves):
            started = HandOver(step=HandOverStep.EXPORTING, state=None, together=together)
            fields = {"state": DeviceState.REBINDING, "rebind_to": move.target.snapshot, "hand_over": started}
            if not self._steps.change(move.device, move.device["state"], fields, paused=False):
                self._give_back(moves[:number])
                return False
        return True

    def _give_back(self, moves: list[_Move]) -> None:
        """As if nothing had been: nothing was disconnected yet."""
        for move in moves:
            before = {"state": move.device["state"], "rebind_to": None, "hand_over": None}
            self._steps.change(move.device, DeviceState.REBINDING, before)

    def _leave(self, moves: list[_Move]) -> _Parting:
        for move in moves:
            try:
                exported = self._export(move.device)
            except RemoteError as error:
                self._mark(moves, move, str(error))
                self._give_back(moves)
                return _Parting.NOT_NOW
            except OSError as error:
                log.warning("The driver of %s ended before it had handed over: %s", move.name, error)
                self._give_back(moves)
                return _Parting.LATER
            if not exported:  # it was stopped in an emergency
                self._give_back(moves)
                return _Parting.NOT_NOW
        for move in moves:
            self._steps.disconnect(move.device, self._steps.bound(move.device))
        return _Parting.DONE

    def _export(self, device: Device) -> bool:
        """Persist what the old driver hands over; whether the device may be disconnected now."""
        old = self._steps.bound(device)
        state = None if old is None else old.call("export_state", device["_id"])
        untouched = {"_id": device["_id"], "state": DeviceState.REBINDING, "stopped": {"$ne": True}}
        fields = {"hand_over.state": state, "hand_over.step": HandOverStep.DISCONNECTING}
        return bool(self._records.devices.update_one(untouched, {"$set": fields}).matched_count)

    def _enter(self, moves: list[_Move]) -> bool:
        """Connect with the new drivers, or return to the old ones; safe to repeat."""
        for move in moves:
            assert move.new is not None, move.name
            try:
                self._arrive(move.device, move.new)
            except StoppedError as stopped:
                log.warning("%s", stopped)
                return True  # all stay where they are until it is released
            except FAILURES as error:
                if self._steps.crashed(error, move.new):
                    log.warning("Driver process %s ended while %s was connected.", move.new.name, move.name)
                    self._undo(moves, None)
                    return False
                self._mark(moves, move, str(error))
                return self._undo(moves, str(error))
        for move in moves:
            self._finish(move)
        return True

    def _arrive(self, device: Device, driver: Driver) -> None:
        """Connect and take over. Raises StoppedError, and what the driver does not manage."""
        self._note(device, HandOverStep.CONNECTING)
        self._check(device)
        try:
            self._steps.connect(device, driver)
        except FAILURES:
            self._check(device)
            raise
        try:
            self._take_over(device, driver)
        except FAILURES:
            if not self._steps.is_stopped(device["_id"]):
                raise

    def _take_over(self, device: Device, driver: Driver) -> None:
        state = self._handed_over(device)
        if state is not None:
            self._note(device, HandOverStep.IMPORTING)
            driver.call("import_state", device["_id"], state=state)
            self._note(device, HandOverStep.VERIFYING)
            driver.call("verify_state", device["_id"], state=state)

    def _handed_over(self, device: Device) -> Any:
        """What was exported, read again: an emergency stop and the release after it make an end of it."""
        found = self._records.devices.find_one({"_id": device["_id"], "stopped": {"$ne": True}}, {"hand_over": 1})
        hand_over = None if found is None else found.get("hand_over")
        return None if hand_over is None else hand_over["state"]

    def _check(self, device: Device) -> None:
        if self._steps.is_stopped(device["_id"]):
            raise StoppedError(
                f"Device {device['_id']} was stopped in an emergency, so it is not connected; "
                f"`lab release {device['_id']}` connects it."
            )

    def _note(self, device: Device, step: HandOverStep) -> None:
        at_it = {"_id": device["_id"], "state": DeviceState.REBINDING, "hand_over": {"$ne": None}}
        self._records.devices.update_one(at_it, {"$set": {"hand_over.step": step}})

    def _finish(self, move: _Move) -> None:
        old, defined = move.device["binding"], move.target.devices[move.name]
        assert move.new is not None, move.name
        binding = _binding(move.target, move.name, move.new, self._generation(move.target.snapshot))
        fields = {
            "state": DeviceState.FREE,
            "binding": binding,
            "rebind_to": None,
            "hand_over": None,
            "retry": None,
            "ailing": None,
            "group": defined["group"],
            "type": defined["class"],
            "description": defined["description"],
        }
        if move.device.get("failed_digest") in (None, binding["digest"]):  # else another one is still known to fail
            fields |= {"failed_digest": None, "error": None}
        at_it = {"_id": move.name, "state": DeviceState.REBINDING}
        self._records.devices.update_one(at_it, {"$set": fields, "$inc": {"connects": 1}})
        self._drivers.verify(move.new.name, move.name)
        if old is None:
            self._records.log("device.connected", move.name, process=move.new.name)
        else:
            facts = {"from": old["snapshot"], "to": move.target.snapshot, "digest": binding["digest"]}
            self._records.log("device.rebound", move.name, **facts)

    # -- and back ------------------------------------------------------------------------------------------------

    def _mark(self, moves: list[_Move], culprit: _Move, reason: str) -> None:
        """Do not try these drivers again before there is reason to; before anything is undone, to survive a crash."""
        log.warning("Device %s was not rebound: %s", culprit.name, reason)
        for move in moves:
            digest = move.target.drivers[move.name]
            fields = {"failed_digest": digest, "failed_generation": self._current(), "error": reason}
            self._records.devices.update_one({"_id": move.name}, {"$set": fields})
            if move.device["binding"] is not None:
                facts = {"to": move.target.snapshot, "because_of": culprit.name, "reason": reason}
                self._records.log("device.rebind_failed", move.name, **facts)

    def _undo(self, moves: list[_Move], reason: str | None) -> bool:
        """Return to the old drivers, for a ``reason`` or because it was interrupted; False to try again later."""
        for move in moves:
            if self._holds(move):
                self._steps.disconnect(move.device, move.new)
        returned = [self._return(move.device, reason) for move in moves]
        return all(returned)

    def _return(self, device: Device, reason: str | None) -> bool:
        if device["binding"] is None:
            return self._stay_unbound(device, reason)
        old = self._steps.home(device)
        try:
            self._arrive_again(device, old)
        except StoppedError as stopped:
            log.warning("%s", stopped)
            return True
        except FAILURES as error:
            if self._steps.crashed(error, old):
                log.warning("Driver process %s ended while %s was connected again.", old.name, device["_id"])
                return False
            self._steps.disconnect(device, self._drivers.at(old.name))
            self._steps.could_not(device, f"{reason}; with the driver before: {error}" if reason else str(error))
            return True
        kept = {"state": DeviceState.FREE, "rebind_to": None, "hand_over": None, "binding.address": old.address}
        self._steps.change(device, DeviceState.REBINDING, kept)
        self._drivers.verify(old.name, device["_id"])
        return True

    def _arrive_again(self, device: Device, old: Driver) -> None:
        status = self._steps.status(device, old)
        if status["connected"] and status["stopped"]:
            self._steps.disconnect(device, old)
        self._arrive(device, old)
        if not status["connected"] or status["stopped"]:
            self._steps.connected(device, old)

    def _stay_unbound(self, device: Device, reason: str | None) -> bool:
        if reason is None:
            unbound = {"state": DeviceState.UNBOUND, "rebind_to": None, "hand_over": None}
            self._steps.change(device, DeviceState.REBINDING, unbound)
        else:
            self._steps.could_not(device, reason)
        return True

    # -- after an interruption -----------------------------------------------------------------------------------

    def _interrupted(self, device: Device, target: Definitions) -> list[_Move]:
        """All that were moved with it and have not come to an end."""
        together = _together(device)
        at_it = {"_id": {"$in": together}, "state": DeviceState.REBINDING, "rebind_to": target.snapshot}
        running = self._drivers.names()
        moves = []
        for each in self._records.devices.find(at_it, sort=[("_id", 1)]):
            name = process_name(target.devices[each["_id"]]["group"], target.snapshot)
            moves.append(_Move(each, target, self._steps.start(each["_id"], target) if name in running else None))
        return moves

    def _has_arrived(self, move: _Move) -> bool:
        if move.new is None or move.device.get("failed_digest") == move.target.drivers[move.name]:
            return False
        try:
            status = self._steps.status(move.device, move.new)
        except OSError:
            return False
        return bool(status["connected"]) and not status["stopped"]

    def _holds(self, move: _Move) -> bool:
        """Whether the new process may still have the device; one that is connecting it right now, too."""
        if move.new is None or self._drivers.at(move.new.name) is None:
            return False
        try:
            return bool(self._steps.status(move.device, move.new)["present"])
        except OSError:
            return False


def _reason(moves: list[_Move]) -> str | None:
    """Why it was being undone, if it was."""
    failed = [move for move in moves if move.device.get("failed_digest") == move.target.drivers[move.name]]
    return failed[0].device["error"] if failed else None


def _together(device: Device) -> list[str]:
    hand_over = device.get("hand_over")
    return hand_over["together"] if hand_over is not None else [device["_id"]]


def _binding(target: Definitions, device: str, driver: Driver, generation: int) -> Binding:
    return Binding(
        snapshot=target.snapshot,
        generation=generation,
        digest=target.drivers[device],
        process=driver.name,
        address=driver.address,
        bound_at=now(),
    )
