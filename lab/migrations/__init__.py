"""The version of the documents in a laboratory's database, and the steps from each version to the next.

A step changes what is there into what the next version of this program reads. It can be repeated: one that a crash cut
short is done again at the next launch.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from pymongo.database import Database

from hotswap.errors import HotswapError
from lab.migrations import _to_2
from lab.records import Document

STEPS: Final[dict[int, Callable[[Database[Document]], None]]] = {2: _to_2.migrate}
"""Version -> what makes it of the version before."""

CURRENT: Final = max(STEPS)
"""What this program reads and writes."""

_OLDEST: Final = 1
_FIRST: Final = ("devices", "experiments", "refreshes", "tasks")
UNFINISHED: Final = "restore"
"""The document in ``meta`` that is there as long as a restore is not complete."""

log = logging.getLogger(__name__)


class SchemaError(HotswapError):
    """The database is not one that this program can work with."""


def version_of(database: Database[Document]) -> int:
    """The version of the documents; 1 for those from before versions were noted, the current one for no documents."""
    noted = database["meta"].find_one({"_id": "schema"})
    if noted is not None:
        return int(noted["version"])
    return CURRENT if _is_empty(database) else _OLDEST


def check(database: Database[Document]) -> int:
    """The version of the documents, if this program can make them current.

    Raises SchemaError when a later program wrote them, or a restore did not come to its end.
    """
    version = version_of(database)
    if version > CURRENT:
        raise SchemaError(
            f"The database {database.name} has documents of version {version}, and this hotswap-lab knows them up to "
            f"version {CURRENT}; install the version that wrote them, or restore a backup from before."
        )
    if database["meta"].find_one({"_id": UNFINISHED}) is not None:
        raise SchemaError(
            f"A restore into the database {database.name} did not come to its end; run `lab restore` with --replace "
            "again."
        )
    return version


def migrate(database: Database[Document]) -> list[int]:
    """Bring the documents to the current version; the versions gone through.

    Raises SchemaError, with nothing changed.
    """
    version = check(database)
    steps = [number for number in sorted(STEPS) if number > version]
    for number in steps:
        log.info("The documents in %s become version %d.", database.name, number)
        STEPS[number](database)
        _note(database, number)
    if not steps:
        _note(database, version)
    return steps


def _note(database: Database[Document], version: int) -> None:
    database["meta"].update_one({"_id": "schema"}, {"$set": {"version": version}}, upsert=True)


def _is_empty(database: Database[Document]) -> bool:
    return all(database[name].find_one({}, {"_id": 1}) is None for name in _FIRST)
