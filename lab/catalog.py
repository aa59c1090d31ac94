"""What a snapshot defines: its devices, tasks and positions, as its template process told them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

from lab.definitions import POLICIES
from lab.records import Document, Records, Task


@dataclass(frozen=True)
class Definitions:
    """The description of one snapshot; see ``lab.definitions.describe`` for its shape.

    ``drivers`` maps each device to its driver digest, ``code`` each task to the digest of its code: equal digests mean
    that they behave alike.
    """

    snapshot: str
    package: str
    devices: dict[str, Document]
    tasks: dict[str, Document]
    positions: list[Document]
    drivers: dict[str, str]
    code: dict[str, str] = field(default_factory=dict)
    templates: dict[str, Document] = field(default_factory=dict)
    reroutes: list[Document] = field(default_factory=list)

    def devices_of_class(self, class_name: str) -> list[str]:
        """Names of the devices that are instances of ``module:Qualname`` or of a subclass."""
        return [name for name, device in self.devices.items() if class_name in device["bases"]]

    def groups(self) -> dict[str, list[str]]:
        """Share group -> its devices; one driver process each."""
        groups: dict[str, list[str]] = {}
        for name, device in self.devices.items():
            groups.setdefault(device["group"], []).append(name)
        return groups

    def device_positions(self, device: str) -> list[tuple[str, str]]:
        """(prefix, position name) of each place on a device."""
        return [
            (position["name"], f"{device}/{position['name']}/{number}")
            for position in self.devices[device]["positions"]
            for number in range(1, position["number"] + 1)
        ]

    def standalone_positions(self) -> list[tuple[str, str]]:
        """(prefix, position name) of each place that belongs to no device."""
        return [
            (position["name"], f"{position['name']}/{number}")
            for position in self.positions
            for number in range(1, position["number"] + 1)
        ]


class Catalog:
    """Definitions by snapshot, read once each: what a snapshot defines never changes.

    They are kept as JSON text, because a parameter schema has keys such as ``$ref`` that a database may refuse.
    """

    def __init__(self, records: Records) -> None:
        self._definitions = records.database["definitions"]
        self._known: dict[str, Definitions] = {}

    def get(self, snapshot: str) -> Definitions:
        """Raises KeyError when the snapshot was never described."""
        if snapshot not in self._known:
            document = self._definitions.find_one({"_id": snapshot})
            if document is None:
                raise KeyError(snapshot)
            self._known[snapshot] = Definitions(**json.loads(document["text"]))
        return self._known[snapshot]

    def policy(self, task: Task, name: str) -> str:
        """What the class of a task says by one of the ``POLICIES``; the default where that is not known."""
        try:
            known = self.get(task["pin"]["snapshot"] if task["pin"] is not None else "").tasks
        except KeyError:
            known = {}
        return str(known.get(task["type"], {}).get(name, POLICIES[name][0]))

    def put(self, definitions: Definitions) -> None:
        """Keep what a snapshot defines; again is harmless."""
        document = {"_id": definitions.snapshot, "text": json.dumps(asdict(definitions))}
        self._definitions.replace_one({"_id": definitions.snapshot}, document, upsert=True)
        self._known[definitions.snapshot] = definitions
