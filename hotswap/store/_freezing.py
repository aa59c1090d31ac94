"""Reading a source into objects: only what is not known yet is read, hashed and compiled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hotswap.digest import Json, Memory
from hotswap.environment import Environment, fingerprint
from hotswap.errors import SourceError
from hotswap.roots import modules
from hotswap.snapshot import FileEntry
from hotswap.source import Following, Source, SourceFile
from hotswap.store import _bytecode
from hotswap.store._objects import Objects
from hotswap.store._progress import Progress

_WORTH_SAVING = 100


class Code(NamedTuple):
    """What is remembered of a source file: digest (None: it does not compile) and size of its byte-code, imports."""

    digest: str | None
    size: int
    imports: list[str]


@dataclass(frozen=True, slots=True)
class Content:
    """What a source holds: its files, and what compiling them told, by path."""

    files: tuple[FileEntry, ...]
    code: dict[str, Code]

    def environment(self) -> Environment:
        """What the code depends on that is not frozen with it."""
        return fingerprint(_imports(self.code.values()), modules(entry.path for entry in self.files))

    def bytecode(self) -> tuple[FileEntry, ...]:
        """The files that the tree holds beside those of the source."""
        return tuple(
            FileEntry(_bytecode.cached_path(path), 0o644, one.size, one.digest)
            for path, one in self.code.items()
            if one.digest is not None
        )


class Reader:
    """Reads sources into ``objects``, remembering digests and byte-code in the folder ``cache``."""

    def __init__(self, objects: Objects, cache: Path) -> None:
        self._objects = objects
        self._digests = Memory(cache / "digests.jsonl")
        self._journal_path = cache / f"{_bytecode.VERSION}.jsonl"
        self._code, self._journal = Memory(self._journal_path), Memory(self._journal_path)
        self._new_digests: dict[str, Json] = {}
        self._new_code: dict[str, Json] = {}

    def read(self, source: Source, progress: Progress | None = None) -> Content:
        """All of ``source``, with the local packages that it imports; contents that the store lacks are staged.

        Raises ``SourceError``.
        """
        self._new_digests, self._new_code = {}, {}
        files: dict[str, FileEntry] = {}
        code: dict[str, Code] = {}
        given = source.files()
        while given:
            entries = [self._entry(file) for file in _told(given, progress)]
            _check_once(files, entries)
            new = {entry.path: self._compiled(entry.digest) for entry in entries if entry.path.endswith(".py")}
            files.update((entry.path, entry) for entry in entries)
            code.update(new)
            given = source.follow(_imports(new.values())) if isinstance(source, Following) else []
        source.check()
        return Content(tuple(sorted(files.values())), code)

    def imports(self, files: Iterable[FileEntry]) -> frozenset[str]:
        """Top-level names of the modules that frozen files import; raises ``DamagedError`` if one has to be read."""
        digests = {entry.digest for entry in files if entry.path.endswith(".py")}
        if any(self._journal.get(digest) is None for digest in digests):
            self._journal = Memory(self._journal_path)  # another process may have frozen them
        for digest in digests:
            if self._journal.get(digest) is None:
                imports: list[Json] = [*_bytecode.compile_source(self._objects.read(digest)).imports]
                self._journal.update({digest: [None, 0, imports]})
        return _imports(Code(*self._journal.get(digest)) for digest in digests)  # type: ignore[misc]  # as above

    def remember(self, *, always: bool) -> None:
        """Keep what the last ``read`` learned, once its objects are published.

        Unless ``always``, a little is not written: to learn it again costs less than the write.
        """
        for memory, new in ((self._digests, self._new_digests), (self._code, self._new_code)):
            memory.update(new)
            if always or memory.unsaved >= _WORTH_SAVING:
                memory.save()

    def forget(self) -> None:
        """Read everything anew from now on."""
        self._digests.clear()
        self._code.clear()

    def _entry(self, file: SourceFile) -> FileEntry:
        known = self._digests.get(file.key) if file.key else None
        if isinstance(known, list):
            digest, size = known
        else:
            digest, size = self._read(file)
        return FileEntry(file.path, file.mode, size, digest)  # type: ignore[arg-type]  # as _read gave it

    def _read(self, file: SourceFile) -> list[Json]:
        data = file.read()
        digest = self._objects.stage(data)
        if file.path.endswith(".py"):
            self._compiled(digest, data)
        found: list[Json] = [digest, len(data)]
        if file.key:
            self._new_digests[file.key] = found
        return found

    def _compiled(self, digest: str, data: bytes | None = None) -> Code:
        """What compiling the source file with this digest tells; ``data`` is its content, if at hand."""
        known = self._code.get(digest) or self._new_code.get(digest)
        if not isinstance(known, list):
            known = self._compile(self._objects.read(digest) if data is None else data)
            self._new_code[digest] = known
        return Code(*known)  # type: ignore[arg-type]  # as _compile wrote it

    def _compile(self, data: bytes) -> list[Json]:
        compiled = _bytecode.compile_source(data)
        imports: list[Json] = [*sorted(compiled.imports)]
        if compiled.bytecode is None:
            return [None, 0, imports]
        return [self._objects.stage(compiled.bytecode), len(compiled.bytecode), imports]


def _told(files: list[SourceFile], progress: Progress | None) -> Iterator[SourceFile]:
    """The files, telling ``progress`` of each that was dealt with."""
    for count, file in enumerate(files, 1):
        yield file
        if progress is not None:
            progress(count, len(files))


def _check_once(files: Mapping[str, FileEntry], new: Iterable[FileEntry]) -> None:
    """A package may come in parts that lie in several folders, but each file only once."""
    for entry in new:
        if entry.path in files and ".dist-info/" not in entry.path:
            raise SourceError(f"Two of the folders to freeze have a file {entry.path}: rename or remove one of them.")


def _imports(code: Iterable[Code]) -> frozenset[str]:
    """Top-level names of the modules that code imports absolutely."""
    return frozenset().union(*(one.imports for one in code))
