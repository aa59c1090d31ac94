"""Facts kept by content, in memory and optionally on disk, so that only changed files are parsed."""

from __future__ import annotations

import logging
import sys
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from hotswap.closure._facts import Facts
from hotswap.closure._parse import digest, parse

_FORMAT = 8
_LARGEST = 8192
_log = logging.getLogger(__name__)
_adapter = TypeAdapter(Facts)
_kept: OrderedDict[str, Facts] = OrderedDict()
_lock = threading.Lock()


def facts_of(content_id: str, read: Callable[[], bytes], registration: frozenset[str], folder: Path | None) -> Facts:
    """The facts of a file with this blake3; it is read only when nothing is known of it yet."""
    key = digest("\n".join([str(_FORMAT), sys.version, content_id, *sorted(registration)]))
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    found = _load(folder, key)
    if found is None:
        found = parse(read(), registration)
        _save(folder, key, found)
    _keep(key, found)
    return found


def _keep(key: str, found: Facts) -> None:
    with _lock:
        _kept[key] = found
        while len(_kept) > _LARGEST:
            _kept.popitem(last=False)


def _load(folder: Path | None, key: str) -> Facts | None:
    if folder is None:
        return None
    try:
        return _adapter.validate_json((folder / key[:2] / key).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as problem:
        _log.warning("The cached facts %s cannot be read and are made again: %s", key, problem)
        return None


def _save(folder: Path | None, key: str, found: Facts) -> None:
    if folder is None:
        return
    target = folder / key[:2] / key
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
            file.write(_adapter.dump_json(found))
        Path(file.name).replace(target)
    except OSError as problem:
        _log.warning("The facts %s cannot be cached in %s: %s", key, folder, problem)
