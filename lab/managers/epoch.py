"""Which managers process is the one in charge: the one that started last."""

from __future__ import annotations

from lab.records import Records


class Epoch:
    """Taken at the start of a managers process; a later start supersedes it."""

    def __init__(self, records: Records) -> None:
        self._meta = records.database["meta"]
        self.number = self._take()

    def superseded(self) -> bool:
        """Whether another managers process has started since."""
        return self._read() > self.number

    def _take(self) -> int:
        self._meta.update_one({"_id": "managers"}, {"$setOnInsert": {"epoch": 0}}, upsert=True)
        while True:
            before = self._read()
            change = {"$set": {"epoch": before + 1}}
            if self._meta.update_one({"_id": "managers", "epoch": before}, change).modified_count:
                return before + 1

    def _read(self) -> int:
        document = self._meta.find_one({"_id": "managers"})
        return 0 if document is None else int(document["epoch"])
