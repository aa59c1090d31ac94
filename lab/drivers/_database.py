"""The database as one driver process reaches it."""

from __future__ import annotations

import threading

from pymongo import MongoClient

from hotswap.process import Context
from lab.records import Document, Records


class Database:
    """Opened when it is first asked for, which is after the fork; its client is shared by all threads."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._records: Records | None = None
        self._lock = threading.Lock()

    def records(self) -> Records:
        with self._lock:
            if self._records is None:
                self._records = self._connect()
            return self._records

    def close(self) -> None:
        with self._lock:
            if self._records is not None:
                self._records.database.client.close()

    def _connect(self) -> Records:
        client: MongoClient[Document] = MongoClient(
            self._context.arguments["mongo_uri"],
            tz_aware=True,
            heartbeatFrequencyMS=60_000,
            serverMonitoringMode="poll",
            appname=self._context.name,
        )
        return Records(client[self._context.arguments["database"]])
