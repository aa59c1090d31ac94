"""A connection to a database that has answered."""

from __future__ import annotations

from typing import Any

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from hotswap.errors import HotswapError

Document = dict[str, Any]


def connect(uri: str, key: str = "[mongodb] uri", *, appname: str, patience: float = 30.0) -> MongoClient[Document]:
    """A client of the server at ``uri``, waited for ``patience`` seconds until it answers; ``key`` is the setting.

    Raises HotswapError, without the URI: it may hold a password.
    """
    client = client_for(uri, key, appname=appname, patience=patience)
    try:
        client.admin.command("ping")
    except PyMongoError as error:
        client.close()
        raise HotswapError(
            f"The database does not answer ({reason_of(error)}); start it, or correct {key} in lab.toml."
        ) from error
    return client


def reason_of(error: PyMongoError) -> str:
    """What an error of the driver says, without the timeouts, and the topology of 500 characters, that follow it."""
    return str(error).partition(" (configured timeouts")[0].partition(", Timeout:")[0].partition(", full error:")[0]


def client_for(uri: str, key: str, *, appname: str, patience: float = 30.0) -> MongoClient[Document]:
    """A client of the server at ``uri``, which need not run yet. Raises HotswapError as `connect`."""
    try:
        return MongoClient(
            uri,
            tz_aware=True,
            heartbeatFrequencyMS=60_000,
            serverMonitoringMode="poll",
            serverSelectionTimeoutMS=int(patience * 1000),
            appname=appname,
        )
    except (PyMongoError, ValueError) as error:
        raise HotswapError(f"{key} in lab.toml is not the URI of a database ({error}); correct it.") from error
