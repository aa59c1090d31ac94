"""Documents taken from one database to another, byte for byte, and compared there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne
from pymongo.collection import Collection
from pymongo.database import Database

from hotswap.errors import HotswapError

RAW: Final = CodecOptions(document_class=RawBSONDocument)
_MOST: Final = 500
_MOST_BYTES: Final = 8 << 20


class ArchiveError(HotswapError):
    """An experiment could not be archived; what is in the lab's database is as it was."""


def raw(database: Database[Any], name: str) -> Collection[RawBSONDocument]:
    """A collection whose documents are not decoded."""
    return database.get_collection(name, codec_options=RAW)


def copy(source: Database[Any], target: Database[Any], name: str, query: Mapping[str, Any]) -> int:
    """Take the documents that ``query`` finds in the collection ``name`` along; again is harmless. How many they are.

    Raises ArchiveError when what is read back is something else.
    """
    count = 0
    there = raw(target, name)
    for batch in batches(raw(source, name).find(query)):
        there.bulk_write([ReplaceOne({"_id": each["_id"]}, each, upsert=True) for each in batch], ordered=False)
        written = {each["_id"]: each.raw for each in there.find({"_id": {"$in": [each["_id"] for each in batch]}})}
        for each in batch:
            if written.get(each["_id"]) != each.raw:
                raise ArchiveError(
                    f"{name} {each['_id']} is not in the archive as it was written; look at the archive's server, and "
                    "archive the experiment again."
                )
        count += len(batch)
    return count


def batches(documents: Iterable[RawBSONDocument]) -> Iterator[list[RawBSONDocument]]:
    """So many at a time as a server takes at once."""
    remaining = iter(documents)
    while batch := list(islice(remaining, 1)):
        size = len(batch[0].raw)
        while size < _MOST_BYTES and len(batch) < _MOST and (following := next(remaining, None)) is not None:
            batch.append(following)
            size += len(following.raw)
        yield batch
