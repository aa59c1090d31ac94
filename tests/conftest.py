"""Real embedded servers for the system tests: one database and one broker for the whole run."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymongo
import pytest
from hypothesis import settings
from pymongo.database import Database

from lab.services import start_broker, start_database, stop

settings.register_profile("long", max_examples=2_000, stateful_step_count=60, deadline=None, print_blob=True)
settings.register_profile("short", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))


@pytest.fixture(scope="session")
def mongo_uri(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a database server for this run."""
    service = start_database(tmp_path_factory.mktemp("database"))
    yield service.url
    stop(service)


@pytest.fixture(scope="session")
def broker_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a broker for this run; tests keep apart by queue names or namespaces of their own."""
    service = start_broker(tmp_path_factory.mktemp("broker"))
    yield service.url
    stop(service)


@pytest.fixture
def database(mongo_uri: str) -> Iterator[Database[dict[str, Any]]]:
    """An empty database of its own for each test."""
    with pymongo.MongoClient[dict[str, Any]](mongo_uri) as client:
        name = f"test_{uuid.uuid4().hex[:12]}"
        yield client[name]
        client.drop_database(name)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An empty state directory, as a lab has one."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path
