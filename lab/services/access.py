"""The database of a laboratory for those who look after it, whether the laboratory runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.database import Database

from lab.config import LabConfig
from lab.services.connection import Document, connect
from lab.services.database import start_database
from lab.services.service import Service, ServiceError, adopt, stop
from lab.services.supervisor import only_one

_PATIENCE_SECONDS = 5.0


@contextmanager
def database_of(config: LabConfig) -> Iterator[Database[Document]]:
    """The database of a laboratory; its own server is started for as long as that takes where none runs.

    ``config`` is revealed. Raises HotswapError when there is none, or it does not answer.
    """
    if config.mongodb.uri is not None:
        with _connected(config.mongodb.uri, config) as database:
            yield database
        return
    running = adopt(config.general.state_dir, "database")
    if running is not None:
        with _connected(running.url, config) as database:
            yield database
        return
    with _started(config) as service, _connected(service.url, config) as database:
        yield database


@contextmanager
def _started(config: LabConfig) -> Iterator[Service]:
    if not (config.general.state_dir / "db").is_dir():
        raise ServiceError(f"The lab {config.general.name!r} has no database yet; start it with `lab launch`.")
    with only_one(config):
        service = start_database(config.general.state_dir)
        try:
            yield service
        finally:
            stop(service)


@contextmanager
def _connected(uri: str, config: LabConfig) -> Iterator[Database[Document]]:
    with connect(uri, appname="lab", patience=_PATIENCE_SECONDS) as client:
        yield client[config.database]
