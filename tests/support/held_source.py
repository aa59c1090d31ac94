"""A source that holds its content in memory, and what a store leaves behind that it should not."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hotswap.digest import hash_bytes
from hotswap.environment import Environment
from hotswap.errors import SourceError
from hotswap.snapshot import Origin
from hotswap.source import SourceFile
from hotswap.store import Store

EMPTY = Environment("cp311")
CODE = {
    "my_lab/__init__.py": b"from pathlib import Path\nTEXT = (Path(__file__).parent / 'data.txt').read_text()\n",
    "my_lab/furnace.py": b"LIMIT = 1200\n",
    "my_lab/data.txt": b"hello",
    "my_lab/native.so": b"\x7fELF",
}


@dataclass
class Held:
    """A source that holds its content in memory."""

    contents: dict[str, bytes]
    package: str = "my_lab"
    origin: Origin = field(default_factory=Origin)
    modes: dict[str, int] = field(default_factory=dict)
    keyed: bool = False
    reads: list[str] = field(default_factory=list)
    moved: bool = False

    def files(self) -> list[SourceFile]:
        return [self._file(path, data) for path, data in self.contents.items()]

    def check(self) -> None:
        if self.moved:
            raise SourceError("moved")

    def _file(self, path: str, data: bytes) -> SourceFile:
        def read() -> bytes:
            self.reads.append(path)
            return data

        key = f"test:{hash_bytes(data)}" if self.keyed else None
        return SourceFile(path, self.modes.get(path, 0o644), key, read)


def version(number: int) -> Held:
    """One of many versions of a small package, which share a file."""
    return Held({"my_lab/__init__.py": b"NUMBER = %d\n" % number, "my_lab/shared.txt": b"shared"})


def debris(store: Store) -> list[str]:
    """Everything in a store that none of its snapshots needs; a snapshot itself is none."""
    ids = {one.id for one in store.list()}
    places = {place: [path.name for path in (store.root / place).glob("*")] for place in ("tmp", "trees", "holds")}
    found = [f"tmp/{name}" for name in places["tmp"]]
    found += [f"trees/{name}" for name in places["trees"] if name not in ids]
    found += [f"holds/{name}" for name in places["holds"] if name.partition(".")[0] not in ids]
    found += ["unfinished.json"] * (store.root / "unfinished.json").exists()
    return found + sorted(_objects(store) - _needed(store))


def _objects(store: Store) -> set[str]:
    return {f"{path.parent.name}{path.name}" for path in (store.root / "objects").rglob("*") if path.is_file()}


def _needed(store: Store) -> set[str]:
    """The contents of all trees: their files, byte-code included."""
    files = (path for one in store.list() for path in Path(store.root, "trees", one.id).rglob("*") if path.is_file())
    return {hash_bytes(path.read_bytes()) for path in files}
