"""The database of a laboratory for those who look after it, whether the laboratory runs or not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.database import Database
from pymongo.errors import PyMongoError

from lab.services.connection import Document, connect, reason_of
from lab.services.database import start_database
from lab.services.service import ServiceError, adopt, stop
from lab.services.supervisor import left_running, only_one
from lab.settings.config import LabConfig

_PATIENCE_SECONDS = 5.0


@contextmanager
def database_of(config: LabConfig) -> Iterator[Database[Document]]:
    """The database of a laboratory; its own server is started for as long as that takes where none runs.

    ``config`` is revealed. Raises HotswapError when there is none, or it does not answer, then or in the middle.
    """
    running = None if config.mongodb.uri else adopt(config.general.state_dir, "database")
    uri = running.url if running is not None else config.mongodb.uri
    if uri is not None:
        with _connected(uri, config) as database:
            yield database
        return
    if not (config.general.state_dir / "db").is_dir():
        raise ServiceError(f"The lab {config.general.name!r} has no database yet; start it with `lab launch`.")
    with database_at_rest(config) as database:
        yield database


@contextmanager
def database_at_rest(config: LabConfig) -> Iterator[Database[Document]]:
    """The database of a laboratory that does not run, made if there is none; nobody can launch it meanwhile.

    ``config`` is revealed. Raises HotswapError when the laboratory runs, or as `database_of`.
    """
    with only_one(config):
        if left_running(config.general.state_dir / "run"):
            raise ServiceError(f"Processes of the lab {config.general.name!r} run; end them with `lab stop`.")
        with _served(config) as uri, _connected(uri, config) as database:
            yield database


@contextmanager
def _served(config: LabConfig) -> Iterator[str]:
    if config.mongodb.uri is not None:
        yield config.mongodb.uri
        return
    service = start_database(config.general.state_dir)
    try:
        yield service.url
    finally:
        stop(service)


@contextmanager
def _connected(uri: str, config: LabConfig) -> Iterator[Database[Document]]:
    with connect(uri, appname="lab", patience=_PATIENCE_SECONDS) as client:
        try:
            yield client[config.database]
        except PyMongoError as error:
            raise ServiceError(f"The database fails ({reason_of(error)}); see that it runs, then try again.") from error
