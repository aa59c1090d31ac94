"""Whether the server behind a URL answers."""

from __future__ import annotations

from urllib.parse import urlsplit

import pymongo
import pymongo.errors
import redis
import redis.exceptions


def answers(url: str, timeout: float = 1.0) -> bool:
    """Whether the MongoDB (``mongodb://``) or Redis (``redis://``) server answers a ping within ``timeout`` seconds."""
    if urlsplit(url).scheme.startswith("mongodb"):
        return _database_answers(url, timeout)
    return _broker_answers(url, timeout)


def _database_answers(url: str, timeout: float) -> bool:
    milliseconds = int(timeout * 1000)
    with pymongo.MongoClient[dict[str, object]](
        url, serverSelectionTimeoutMS=milliseconds, socketTimeoutMS=milliseconds
    ) as client:
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            return False
    return True


def _broker_answers(url: str, timeout: float) -> bool:
    with redis.Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout) as client:
        try:
            return bool(client.ping())
        except redis.exceptions.RedisError:
            return False
