"""The journal of device calls, without a database."""

from __future__ import annotations

import threading
from typing import Any

from pymongo.errors import AutoReconnect, BulkWriteError

from lab.drivers._journal import Journal


class FakeRecords:
    """Refuses the first ``failures`` writes, then keeps them; ``refused`` and ``written`` tell of it."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.refusal: Exception = AutoReconnect("gone")
        self.refused = threading.Event()
        self.entries: list[Any] = []
        self.messages: list[Any] = []
        self.batches = 0
        self.written = threading.Event()
        self.calls = self.devices = self.database = self.client = self

    def insert_many(self, entries: list[Any], ordered: bool) -> None:
        if self.failures:
            self.failures -= 1
            self.refused.set()
            raise self.refusal
        self.batches += 1
        self.entries += entries
        self.written.set()

    def bulk_write(self, changes: list[Any]) -> None:
        self.messages += changes
        self.written.set()

    def close(self) -> None:
        self.written.set()


def test_entries_are_written_soon_and_together() -> None:
    records: Any = FakeRecords()
    journal = Journal(lambda: records)
    for number in range(100):
        journal.call({"number": number})
    assert records.written.wait(5.0)
    journal.close()
    assert [entry["number"] for entry in records.entries] == list(range(100))
    assert records.batches <= 2


def test_entries_outlast_an_interruption_in_their_order() -> None:
    records: Any = FakeRecords(failures=1)
    journal = Journal(lambda: records)
    journal.call({"number": 1})
    assert records.written.wait(5.0)
    journal.call({"number": 2})
    journal.close()
    assert [entry["number"] for entry in records.entries] == [1, 2]


def test_an_entry_that_cannot_be_written_does_not_hold_up_the_others() -> None:
    records: Any = FakeRecords(failures=1)
    records.refusal = BulkWriteError({})
    journal = Journal(lambda: records)
    journal.call({"number": 1})
    assert records.refused.wait(5.0)
    journal.call({"number": 2})
    assert records.written.wait(5.0)
    journal.close()
    assert [entry["number"] for entry in records.entries] == [2]


def test_closing_writes_what_is_left() -> None:
    records: Any = FakeRecords()
    journal = Journal(lambda: records)
    journal.call({"number": 1})
    journal.close()
    assert len(records.entries) == 1


def test_only_the_last_message_of_a_device_is_written() -> None:
    records: Any = FakeRecords()
    journal = Journal(lambda: records)
    for number in range(50):
        journal.message("furnace", str(number))
    journal.close()
    assert "'49'" in repr(records.messages[-1])
    assert len(records.messages) <= 2


def test_a_journal_without_entries_opens_no_connection() -> None:
    opened: list[int] = []
    journal = Journal(lambda: opened.append(1))  # type: ignore[arg-type, return-value]
    journal.close()
    assert opened == []


def test_what_is_common_to_all_calls_is_read_once_and_noted_with_each() -> None:
    records: Any = FakeRecords(failures=1)
    read: list[object] = []

    def common(given: object) -> dict[str, Any]:
        read.append(given)
        return {"commit": "c0ffee"}

    journal = Journal(lambda: records, common)
    journal.call({"number": 1})
    assert records.written.wait(5.0)
    journal.call({"number": 2})
    journal.close()
    assert records.entries == [{"number": 1, "commit": "c0ffee"}, {"number": 2, "commit": "c0ffee"}]
    assert read == [records]
