"""Why a driver or a task differs between two code versions: its own arguments, and what its class depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hotswap.closure import Closure, explain
from hotswap.compare import compare
from hotswap.errors import HotswapError
from hotswap.snapshot import Snapshot
from hotswap.store import Store
from lab.catalog import Definitions
from lab.managers.refresh._digests import REGISTRATION
from lab.records import Document

_ARGUMENTS = {"args": "arguments", "kwargs": "named arguments", "group": "share group"}


class Why:
    """Compares two snapshots of ``store``; each class is looked at once."""

    def __init__(self, store: Store, before: Snapshot, after: Snapshot) -> None:
        cache = store.root / "cache" / "closure"
        self._before = Closure.of(store, before.id, registration=REGISTRATION, cache=cache)
        self._after = Closure.of(store, after.id, registration=REGISTRATION, cache=cache)
        self._environment = compare(before, after).environment
        self._known: dict[str, list[str]] = {}

    def tell(self, old: Definitions, new: Definitions, devices: Iterable[str], tasks: Iterable[str]) -> Document:
        """``{devices, tasks}``: lines of text by the name of a device or task type that both versions have."""
        return {
            "devices": {name: list(self._device(old.devices[name], new.devices[name])) for name in devices},
            "tasks": {name: list(self._class(old.tasks[name], new.tasks[name])) for name in tasks},
        }

    def _device(self, old: Document, new: Document) -> Iterator[str]:
        for key, what in _ARGUMENTS.items():
            if old[key] != new[key]:
                yield f"{what}: {old[key]} -> {new[key]}"
        yield from self._class(old, new)

    def _class(self, old: Document, new: Document) -> Iterator[str]:
        if old["class"] != new["class"]:
            yield f"class: {old['class']} -> {new['class']}"
            return
        yield from self._lines(new["class"])

    def _lines(self, class_name: str) -> list[str]:
        if class_name not in self._known:
            self._known[class_name] = self._explain(class_name)
        return self._known[class_name]

    def _explain(self, class_name: str) -> list[str]:
        try:
            found = explain(self._before, self._after, class_name, environment=self._environment)
        except HotswapError as error:
            return [str(error)]
        return list(found.lines()) if found.changed else []
