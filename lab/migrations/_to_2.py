"""Version 2: documents carry the fields that came after the first ones were written.

So what lists a task or a device shows the same fields for all of them.
"""

from __future__ import annotations

from typing import Any, Final

from pymongo.database import Database

_DEFAULTS: Final[dict[str, dict[str, Any]]] = {
    "tasks": {"examined": None, "edits": [], "progress": None, "result_warning": None, "note": None},
    "experiments": {"pin": None},
    "devices": {
        "stopped": False,
        "stops": 0,
        "rebind_to": None,
        "hand_over": None,
        "failed_digest": None,
        "paused_by_driver": False,
    },
}


def migrate(database: Database[dict[str, Any]]) -> None:
    for collection, fields in _DEFAULTS.items():
        for name, value in fields.items():
            database[collection].update_many({name: {"$exists": False}}, {"$set": {name: value}})
