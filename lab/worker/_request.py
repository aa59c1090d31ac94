"""Asking for devices and places, waiting for the grant, and giving them back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from lab.definitions import BaseDevice, ResourceKey
from lab.drivers.client import DeviceProxy, Line, Route
from lab.errors import ResourceError, ResourceTimeout
from lab.patience import patiently
from lab.records import Grant, GrantedDevice, Request, RequestStatus, TaskStatus, Want, new_id, now
from lab.worker._cancellation import cleaning_up
from lab.worker._scope import Scope

_REREAD_SECONDS: Final = 5.0
_REBIND_SECONDS: Final = 30.0

Wanted = Mapping[ResourceKey, Mapping[str, int]]


class ResourceRequest:
    """One request of a task or subtask, from asking to giving back."""

    def __init__(self, scope: Scope, task: str, resources: Wanted, priority: int) -> None:
        self._scope = scope
        self._task = task
        self._resources = resources
        self._wants = {key: _wants(key, places) for key, places in resources.items()}
        self._id = new_id()
        self._priority = priority
        self._closed = False
        self._granted = False
        self._lines: dict[str, Line] = {}

    def obtain(self, timeout: float | None) -> Grant:
        """Ask and wait; raises ResourceTimeout, ResourceError or TaskCancelled, and then holds nothing."""
        self._scope.cancellation.check()
        try:
            with self._watching() as news:
                patiently(self._insert)
                self._scope.change(self._task, status=TaskStatus.REQUESTING_RESOURCES)
                grant = self._wait(news, timeout)
            self._granted = True
            self._scope.change(self._task, status=TaskStatus.RUNNING)
        except BaseException:  # whatever cut the wait short, nobody else knows what was granted meanwhile
            self.release()
            raise
        return grant

    def close(self) -> None:
        """Keep everything; the proxies work no more."""
        self._closed = True
        for line in self._lines.values():
            line.close()

    def release(self) -> None:
        """Give everything back, or withdraw what was not granted yet; the proxies work no more."""
        self.close()
        if not self._granted:
            self._move(RequestStatus.PENDING, RequestStatus.CANCELLED)
        self._move(RequestStatus.FULFILLED, RequestStatus.NEED_RELEASE)

    def devices(self, grant: Grant) -> dict[ResourceKey, Any]:
        """A proxy for each device, by what the author wrote; a list of them for a class and a count."""
        by_key = {granted["key"]: granted for granted in grant["devices"]}
        proxies: dict[ResourceKey, Any] = {}
        for key, wants in self._wants.items():
            found = [self._proxy(by_key[want["key"]]) for want in wants if want["key"] in by_key]
            if isinstance(key, tuple):
                proxies[key] = found
            elif found:
                proxies[key] = found[0]
        return proxies

    def _proxy(self, granted: GrantedDevice) -> DeviceProxy:
        self._lines[granted["device"]] = Line(self._scope.caller, _route(granted), self._renew)
        return DeviceProxy(granted["device"], self._calling(granted["device"]))

    def places(self, grant: Grant) -> dict[ResourceKey, Mapping[str, list[str]]]:
        """The granted positions, by what the author wrote, then by prefix; in the order of the devices."""
        return {key: self._places_of(key, grant) for key in self._wants}

    def _places_of(self, key: ResourceKey, grant: Grant) -> dict[str, list[str]]:
        """With an empty list for each prefix of which none was wanted."""
        found: dict[str, list[str]] = {prefix: [] for prefix in self._resources[key]}
        for want in self._wants[key]:
            for prefix, names in grant["positions"].get(want["key"], {}).items():
                found[prefix] += names
        return found

    def _calling(self, device: str) -> Any:
        line = self._lines[device]

        def call(method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if self._closed:
                raise ResourceError(f"{device}.{method} was called after the `with` block that requested {device}.")
            in_clean_up = cleaning_up()
            try:
                with self._scope.cancellation.cutting(line.cut):
                    return line.call(method, args, kwargs)
            finally:
                # Not before the call: it may be the one that switches a heater off.
                self._scope.cancellation.check_after_call(cleaning_up=in_clean_up)

        return call

    @contextmanager
    def _watching(self) -> Iterator[threading.Event]:
        news = threading.Event()
        with self._scope.watcher.ringing("requests", self._id, news.set), self._scope.cancellation.waking(news):
            yield news

    def _insert(self) -> None:
        request = Request(
            _id=self._id,
            task=self._scope.root,
            attempt=self._scope.attempt,
            snapshot=self._scope.pin["snapshot"],
            wants=[want for wants in self._wants.values() for want in wants],
            priority=self._priority,
            status=RequestStatus.PENDING,
            created_at=now(),
            grant=None,
            waits_for=None,
            error=None,
        )
        try:
            self._scope.records.requests.insert_one(request)
        except DuplicateKeyError:
            return  # an earlier try had arrived although its answer had not

    def _wait(self, news: threading.Event, timeout: float | None) -> Grant:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            news.clear()
            request = self._read()
            if request["status"] == RequestStatus.FULFILLED and request["grant"] is not None:
                return request["grant"]
            if request["status"] != RequestStatus.PENDING:
                raise ResourceError(request["error"] or "The request for resources was withdrawn by the laboratory.")
            self._scope.cancellation.check()
            news.wait(self._patience(deadline, timeout, request))

    def _patience(self, deadline: float | None, timeout: float | None, request: Request) -> float:
        if deadline is None:
            return _REREAD_SECONDS
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            lacks = request["waits_for"] or ", ".join(want["key"] for wants in self._wants.values() for want in wants)
            raise ResourceTimeout(f"Not all requested resources were free within {timeout:g} s; it waited for {lacks}.")
        return min(remaining, _REREAD_SECONDS)

    def _read(self) -> Request:
        request = patiently(lambda: self._scope.records.requests.find_one({"_id": self._id}))
        if request is None:
            raise ResourceError("The request for resources was deleted from the database; run the task again.")
        return request

    def _move(self, before: RequestStatus, after: RequestStatus) -> None:
        mine = {"_id": self._id, "status": before, "kept": {"$ne": True}}
        patiently(lambda: self._scope.records.requests.update_one(mine, {"$set": {"status": after}}))

    def _renew(self, route: Route, unreachable: bool) -> Route | None:
        """The route after the device got a new driver process; waits for it when the old one does not answer."""
        deadline = time.monotonic() + (_REBIND_SECONDS if unreachable else 0.0)
        with self._watching() as news:
            while True:
                news.clear()
                newer = _newer(self._read(), route)
                if newer is not None or time.monotonic() >= deadline:
                    return newer
                self._scope.cancellation.check()
                news.wait(min(_REREAD_SECONDS, max(0.0, deadline - time.monotonic())))


def _newer(request: Request, route: Route) -> Route | None:
    granted = request["grant"]["devices"] if request["grant"] else []
    routes = [_route(each) for each in granted if each["device"] == route.device]
    return next((each for each in routes if each.fence > route.fence), None)


def _route(granted: Mapping[str, Any]) -> Route:
    host, port = granted["address"]
    return Route(granted["device"], (host, port), granted["fence"])


def _wants(key: object, places: Mapping[str, int]) -> list[Want]:
    """One for each device; of several, each is to have all the places."""
    if isinstance(key, tuple):
        cls, count = _class_and_count(key)
        kind, text, name = _named(cls)
        texts = [f"{text} ({number} of {count})" for number in range(1, count + 1)]
    else:
        kind, text, name = _named(key)
        texts = [text]
    counts = _counts(text, places)
    return [Want(key=each, kind=kind, name=name, positions=counts) for each in texts]


def _class_and_count(key: tuple[object, ...]) -> tuple[type[BaseDevice], int]:
    if len(key) == 2:
        cls, count = key
        if isinstance(cls, type) and issubclass(cls, BaseDevice) and type(count) is int and count > 0:
            return cls, count
    raise TypeError(
        f"request_resources was given the key {key!r}; several devices are (class, count), count 1 or more."
    )


def _named(key: object) -> tuple[str, str, str | None]:
    if key is None:
        return "none", "standalone positions", None
    if isinstance(key, str):
        return "device", key, key
    if isinstance(key, type) and issubclass(key, BaseDevice):
        name = f"{key.__module__}:{key.__qualname__}"
        return "class", name, name
    raise TypeError(
        f"request_resources was given the key {key!r}; use a device class, (class, count), a device name, or None."
    )


def _counts(key: str, places: Mapping[str, int]) -> dict[str, int]:
    if not isinstance(places, Mapping):
        raise TypeError(f'request_resources was given {places!r} for {key}; use {{"prefix": count}}, or {{}} for none.')
    for prefix, count in places.items():
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise ValueError(f"request_resources wants {count!r} places {prefix!r} of {key}; use whole numbers.")
    return {prefix: count for prefix, count in places.items() if count}
