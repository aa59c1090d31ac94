"""Carrying out a choice: each device and place by compare-and-set, each device acknowledged by its driver."""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import ExitStack
from typing import Any, Final, Protocol

from pymongo.errors import PyMongoError

from hotswap.errors import HotswapError, RemoteError
from hotswap.wire import Address, WireError
from lab.catalog import Definitions
from lab.managers.choice import Choice
from lab.records import (
    Binding,
    Device,
    DeviceState,
    Grant,
    GrantedDevice,
    Records,
    Request,
    RequestStatus,
    now,
)

_WEIGHT_OF_LAST: Final = 0.2

log = logging.getLogger(__name__)


class Links(Protocol):
    """How drivers are called; see ``lab.managers.links``."""

    def call(self, address: Address, op: str, **arguments: Any) -> Any: ...


class TakenError(HotswapError):
    """Something of a choice is not free any more."""


class Granter:
    """Grants a choice as a whole or leaves nothing of it, and takes grants back."""

    def __init__(self, records: Records, links: Links) -> None:
        self._records = records
        self._links = links

    def grant(self, request: Request, choice: Choice, definitions: Definitions) -> bool:
        """Whether the request is FULFILLED now; when not, all is as before."""
        with ExitStack() as undo:
            try:
                for name in choice.places():
                    self._hold_place(request, name, undo)
                self._check_empty(request, choice.places())
                devices = [
                    self._hold_device(request, key, name, definitions, undo) for key, name in choice.devices.items()
                ]
                if self._fulfil(request, Grant(devices=devices, positions=choice.positions)):
                    undo.pop_all()
                    return True
                log.info("Request %s was withdrawn while it was granted.", request["_id"])
            except PyMongoError:
                # Nobody knows what was written. Reconciling goes on from what the database holds; undoing could
                # take a device from a request that is FULFILLED.
                undo.pop_all()
                raise
            except (TakenError, RemoteError, WireError, OSError) as error:
                log.warning("Request %s could not be granted and is tried again: %s", request["_id"], error)
        return False

    def release(self, request_id: str, names: Collection[str]) -> bool:
        """Give back what of ``names`` is held for this very request; False when a driver did not answer in time."""
        if not names:
            return True
        for device in self._records.devices.find({"_id": {"$in": sorted(names)}, "request": request_id}):
            if not self._revoke(device):
                return False
            self._free(device, _typical_hold(device))
        held = {"_id": {"$in": sorted(names)}, "request": request_id}
        self._records.positions.update_many(held, {"$set": {"holder": None, "request": None}})
        return True

    def _hold_place(self, request: Request, name: str, undo: ExitStack) -> None:
        place = self._records.positions.find_one({"_id": name})
        if place is None or place["holder"] not in (None, request["task"]):
            raise TakenError(f"Position {name} is not free any more.")
        if place["holder"] is not None and self._is_shared(place["request"], request):
            return
        before = {"holder": place["holder"], "request": place["request"]}
        mine = {"holder": request["task"], "request": request["_id"]}
        if not self._records.positions.update_one({"_id": name, **before}, {"$set": mine}).matched_count:
            raise TakenError(f"Position {name} is not free any more.")
        undo.callback(self._records.positions.update_one, {"_id": name, **mine}, {"$set": before})

    def _check_empty(self, request: Request, places: list[str]) -> None:
        """People move samples, too: one that was put there since the choice was made is seen once the place is held."""
        if not places:
            return
        standing = list(self._records.samples.find({"position": {"$in": places}}, {"name": 1, "position": 1}))
        task = self._records.tasks.find_one({"_id": request["task"]}, {"samples": 1}) if standing else None
        for sample in standing:
            if task is not None and sample["_id"] not in task["samples"]:
                raise TakenError(f"Sample {sample['name']} was put into {sample['position']}.")

    def _hold_device(
        self, request: Request, key: str, name: str, definitions: Definitions, undo: ExitStack
    ) -> GrantedDevice:
        device = self._records.devices.find_one({"_id": name})
        binding = device["binding"] if device is not None else None
        if device is None or binding is None or binding["digest"] != definitions.drivers[name]:
            raise TakenError(f"Device {name} is not bound to the driver of its task any more.")
        fence = device["fence"]
        if not (device["holder"] == request["task"] and self._is_shared(device["request"], request)):
            fence += 1
            self._take(request, device, binding, fence)
            undo.callback(self._put_back, request, device)
            self._links.call(binding["address"], "grant", device=name, fence=fence, task=request["task"])
        return GrantedDevice(
            key=key,
            device=name,
            fence=fence,
            address=binding["address"],
            snapshot=binding["snapshot"],
            digest=binding["digest"],
        )

    def _take(self, request: Request, device: Device, binding: Binding, fence: int) -> None:
        query: dict[str, Any] = {
            "_id": device["_id"],
            "state": device["state"],
            "holder": device["holder"],
            "fence": device["fence"],
            "binding.digest": binding["digest"],
            "binding.process": binding["process"],
        }
        if device["holder"] is None:
            query |= {"paused": False, "state": DeviceState.FREE}
        mine = {
            "state": DeviceState.GRANTED,
            "holder": request["task"],
            "request": request["_id"],
            "fence": fence,
            "granted_at": now(),
        }
        if not self._records.devices.update_one(query, {"$set": mine}).modified_count:
            raise TakenError(f"Device {device['_id']} is not free any more.")

    def _is_shared(self, holding: str | None, request: Request) -> bool:
        """Whether what the task holds belongs to another request of this attempt, with which it goes back."""
        if holding is None or holding == request["_id"]:
            return False
        outer = self._records.requests.find_one({"_id": holding}, {"status": 1, "attempt": 1})
        return (
            outer is not None and outer["status"] == RequestStatus.FULFILLED and outer["attempt"] == request["attempt"]
        )

    def _fulfil(self, request: Request, grant: Grant) -> bool:
        query = {"_id": request["_id"], "status": RequestStatus.PENDING}
        fields = {"status": RequestStatus.FULFILLED, "grant": grant, "waits_for": None}
        return self._records.requests.update_one(query, {"$set": fields}).modified_count == 1

    def _put_back(self, request: Request, before: Device) -> None:
        """Free what was free; leave to its earlier request what an earlier attempt of the task held."""
        mine = {"_id": before["_id"], "request": request["_id"]}
        if before["holder"] is not None:
            self._records.devices.update_one(mine, {"$set": {"request": before["request"]}})
            return
        device = self._records.devices.find_one(mine)
        if device is not None:
            self._revoke(device)
            self._free(device, device.get("typical_hold"))

    def _revoke(self, device: Device) -> bool:
        """Have the driver forget the fence; a driver that is gone has forgotten, one that hangs has not."""
        if device["binding"] is None:
            return True
        try:
            self._links.call(device["binding"]["address"], "revoke", device=device["_id"], fence=device["fence"])
        except TimeoutError:
            log.warning("The driver of %s does not answer; its release is tried again.", device["_id"])
            return False
        except (RemoteError, WireError, OSError) as error:
            log.info("The driver of %s has nothing to revoke: %s", device["_id"], error)
        return True

    def _free(self, device: Device, typical_hold: float | None) -> None:
        mine = {"_id": device["_id"], "request": device["request"]}
        nobody = {"holder": None, "request": None, "typical_hold": typical_hold}
        granted = {**mine, "state": DeviceState.GRANTED}
        if not self._records.devices.update_one(
            granted, {"$set": {"state": DeviceState.FREE, **nobody}}
        ).modified_count:
            self._records.devices.update_one(mine, {"$set": nobody})


def _typical_hold(device: Device) -> float | None:
    """In seconds, with the hold that ends now."""
    typical, granted_at = device.get("typical_hold"), device.get("granted_at")
    if granted_at is None:
        return typical
    last = (now() - granted_at).total_seconds()
    return last if typical is None else (1 - _WEIGHT_OF_LAST) * typical + _WEIGHT_OF_LAST * last
