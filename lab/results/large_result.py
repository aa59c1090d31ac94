"""Results that are too large for a record: stored beside it as a file, and named in it by reference."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from blake3 import blake3
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from hotswap.errors import HotswapError

REFERENCE: Final = "large_result"
"""The entry of a reference that holds the id of the file; beside it stand ``name``, ``size`` and ``blake3``."""

Open: TypeAlias = Callable[[Mapping[str, Any]], BinaryIO]
Write: TypeAlias = Callable[[bytes], object]


class LargeResultError(HotswapError):
    """A large result cannot be read."""


class LargeResult:
    """A file that a task returns, alone or anywhere inside its result, up to any size.

    It is read in pieces when the task returns it or gives it to ``update_result``, and goes with its experiment.
    """

    def __init__(self, source: Path | BinaryIO | Mapping[str, Any], name: str) -> None:
        self._source = source
        self.name = name

    @classmethod
    def from_local_file(cls, path: str | Path, name: str | None = None) -> LargeResult:
        """The content of a file, which has to stay until the result is stored. Raises LargeResultError."""
        path = Path(path)
        if not path.is_file():
            raise LargeResultError(f"There is no file {path}; write it before it is made a result.")
        return cls(path, name or path.name)

    @classmethod
    def from_file_like_data(cls, file: BinaryIO, name: str = "data") -> LargeResult:
        """What a binary file gives from here on; it has to stay open until the result is stored."""
        return cls(file, name)

    @classmethod
    def of(cls, reference: Mapping[str, Any]) -> LargeResult:
        """The large result that an entry of a stored result refers to. Raises LargeResultError for anything else."""
        if not is_reference(reference):
            raise LargeResultError(f"{reference!r} refers to no large result; give the whole entry of the result.")
        return cls(reference, reference["name"])

    @property
    def reference(self) -> Mapping[str, Any] | None:
        """What names it in records; None before it is stored."""
        return self._source if isinstance(self._source, Mapping) else None

    def stored_as(self, reference: Mapping[str, Any]) -> None:
        """From now on it is the stored file."""
        self._source = reference

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The content, to be read in pieces. In a program, from the lab whose folder it is run in.

        Raises LargeResultError, or ClientError and ConfigError where the lab is not found.
        """
        if isinstance(self._source, Mapping):
            with _open(self._source) as file:
                yield file
        elif isinstance(self._source, Path):
            with self._source.open("rb") as file:
                yield file
        elif self._source.closed:
            raise LargeResultError(
                f"The file of large result {self.name!r} was closed before it was stored; leave it open until the task "
                "has returned, or give it to update_result first."
            )
        else:
            yield self._source  # whose owner closes it

    def retrieve(self) -> bytes:
        """The whole content. Raises as `open`."""
        with self.open() as file:
            return file.read()

    def save(self, path: str | Path) -> None:
        """Write the content to a file, in pieces. Raises as `open`."""
        with self.open() as file, Path(path).open("wb") as target:
            shutil.copyfileobj(file, target)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        """In a ``result_specification``: an instance, or the reference that stands in the record."""
        shape = core_schema.typed_dict_schema(
            {
                REFERENCE: core_schema.typed_dict_field(core_schema.str_schema()),
                "name": core_schema.typed_dict_field(core_schema.str_schema()),
                "size": core_schema.typed_dict_field(core_schema.int_schema()),
                "blake3": core_schema.typed_dict_field(core_schema.str_schema()),
            }
        )
        referred = core_schema.no_info_after_validator_function(cls.of, shape)
        return core_schema.json_or_python_schema(
            json_schema=referred,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), referred]),
        )


def is_reference(value: object) -> bool:
    """Whether an entry of a result names a large one."""
    return isinstance(value, Mapping) and set(value) == {REFERENCE, "name", "size", "blake3"}


def references(value: object) -> Iterator[str]:
    """The ids of all large results that a stored result names."""
    if isinstance(value, Mapping):
        if is_reference(value):
            yield value[REFERENCE]
        else:
            for each in value.values():
                yield from references(each)
    elif isinstance(value, list):
        for each in value:
            yield from references(each)


def read_from(source: Open) -> None:
    """Have this process open stored files by ``source``, which takes a reference; without it they come over HTTP."""
    global _open  # noqa: PLW0603 - one process has one laboratory
    _open = source


def download(reference: Mapping[str, Any], fetch: Callable[[str, Write], object], write: Write) -> None:
    """Pass what ``fetch`` gets on to ``write``, piece by piece.

    Raises LargeResultError when it is not what was stored.
    """
    digest = blake3()

    def take(piece: bytes) -> None:
        digest.update(piece)
        write(piece)

    fetch(reference[REFERENCE], take)
    if digest.hexdigest() != reference["blake3"]:
        raise LargeResultError(f"{reference['name']} did not arrive as it was stored; fetch it again.")


def _over_http(reference: Mapping[str, Any]) -> BinaryIO:
    from lab.connection import connect

    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever reads it closes it
    download(reference, connect().download, file.write)
    file.seek(0)
    return file


_open: Open = _over_http
