"""Packages put together from constructs, edits of them, and what their class really answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from blake3 import blake3
from closure_constructs import Construct
from closure_patches import CONSTRUCTS
from closure_runner import Runner

from hotswap.closure import Closure

THINGS = ("q.m", "q.sub.m")
OTHERS = ("q.b", "q.z", "q.sub.d", "q.sub.y", "r.kit", "q", "q.sub")
MODULES = (*THINGS, *OTHERS, "r")
STYLES = ("plain", "relative", "through the module", "through the package", "guarded")
WRAPS = ("plain", "in a function", "in a class", "in a condition", "in an attempt", "in a loop")
SLOTS = ("body", "thing", "tool", "sibling", "act", "init", "data")


@dataclass(frozen=True)
class Part:
    """One construct at work: in which modules, with which number in each slot, written in which way."""

    name: str
    tool: str
    sibling: str
    numbers: tuple[int, ...] = (1,) * len(SLOTS)
    style: str = "plain"
    wrap: str = "plain"

    @property
    def construct(self) -> Construct:
        return CONSTRUCTS[self.name]

    def edited(self, slot: str, number: int) -> Part:
        """The same with another number in one slot."""
        numbers = tuple(number if name == slot else old for name, old in zip(SLOTS, self.numbers, strict=True))
        return replace(self, numbers=numbers)

    def numbered_slots(self) -> list[str]:
        """The slots whose text has a number to edit."""
        named = ["data"] if "{n}" in self.construct.file else []
        return [slot for slot in SLOTS if slot in named or "{n}" in getattr(self.construct, slot)]


@dataclass(frozen=True)
class Package:
    """Parts of one class; ``order`` is what the package's ``__init__`` imports first."""

    thing: str
    parts: tuple[Part, ...]
    order: tuple[str, ...] = ()

    @property
    def class_name(self) -> str:
        return f"{self.thing}:Thing"

    def files(self) -> dict[str, str]:
        """The text of every file by its path."""
        return _Rendered(self).files()


class _Rendered:
    """The text of a package, in the making."""

    def __init__(self, package: Package) -> None:
        self._package = package
        self._before = defaultdict[str, list[str]](list)
        self._after = defaultdict[str, list[str]](list)
        self._body: list[str] = []
        self._data: dict[str, str] = {}
        for index, part in enumerate(package.parts):
            self._add(index, part)

    def files(self) -> dict[str, str]:
        self._before["q"][:0] = [f"import {name}\n" for name in self._package.order]
        self._before[self._package.thing].append(self._class())
        texts = {name: "".join((*self._before[name], *self._after[name])) for name in MODULES}
        return {_path(name): text for name, text in texts.items()} | self._data

    def _add(self, index: int, part: Part) -> None:
        names = {"thing": self._package.thing, "tool": part.tool, "sibling": part.sibling, "i": index}
        numbers = dict(zip(SLOTS, part.numbers, strict=True))
        text = {slot: getattr(part.construct, slot).format(n=numbers[slot], **names) for slot in SLOTS}
        self._before[self._package.thing] += self._styled(text["thing"], part.style, self._package.thing)
        self._before[part.tool].append(text["tool"])
        self._after[part.sibling] += self._styled(text["sibling"], part.style, part.sibling)
        self._after[part.sibling].append(_wrapped(text["act"], part.wrap, index))
        self._after["q"].append(text["init"])
        self._body.append(text["body"])
        if text["data"]:
            folder = _path(self._package.thing).rpartition("/")[0]
            file = part.construct.file.format(n=numbers["data"], **names)
            self._data[f"{folder}/{file}"] = text["data"]

    def _styled(self, text: str, style: str, importer: str) -> list[str]:
        return [self._line(line, style, importer) + "\n" for line in text.splitlines()]

    def _line(self, line: str, style: str, importer: str) -> str:
        words = line.split()
        if not line.startswith("from ") or words[1] not in MODULES or words[3] == "*":
            return line
        module, name = words[1], words[3]
        if style == "relative" and module.partition(".")[0] == importer.partition(".")[0]:
            return f"from {_relative(module, importer)} import {name}"
        if style == "through the module":
            return f"import {module} as home_of_{name}\n{name} = home_of_{name}.{name}"
        if style == "through the package" and module not in {"q", "q.sub"}:
            self._before["q"].append(f"from {module} import {name}\n")
            return f"from q import {name}"
        if style == "guarded":
            return f"try:\n    {line}\nexcept ImportError:\n    {name} = None"
        return line

    def _class(self) -> str:
        parts = self._package.parts
        bases = [part.construct.bases.format(i=i) for i, part in enumerate(parts) if part.construct.bases]
        keywords = [part.construct.keywords.format(i=i) for i, part in enumerate(parts) if part.construct.keywords]
        decorators = [
            part.construct.decorators.format(i=i) for i, part in enumerate(parts) if part.construct.decorators
        ]
        lines = [*(f"@{name}\n" for name in decorators), f"class Thing({', '.join((*bases, *keywords))}):\n"]
        return "".join((*lines, *self._body, "    pass\n"))


def _path(module: str) -> str:
    folder = module.replace(".", "/")
    return f"{folder}/__init__.py" if module in {"q", "q.sub", "r"} else f"{folder}.py"


def _relative(module: str, importer: str) -> str:
    steps = importer.count(".") + (1 if importer in {"q", "q.sub", "r"} else 0)
    return "." * steps + module.partition(".")[2]


def _wrapped(text: str, wrap: str, index: int) -> str:
    if not text or wrap == "plain":
        return text
    inner = "".join(f"    {line}\n" for line in text.splitlines())
    heads = {
        "in a class": f"class Acts{index}:\n{inner}",
        "in a condition": f"if __name__ != 'nobody':\n{inner}",
        "in an attempt": f"try:\n{inner}except ImportError:\n    raise\n",
        "in a loop": f"for _ in range(1):\n{inner}",
        "in a function": f"def act{index}():\n{inner}act{index}()\n",
    }
    return heads[wrap]


def write(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Write the files; their blake3 by path."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return {path: blake3(text.encode()).hexdigest() for path, text in files.items()}


def judged(runner: Runner, folder: Path, package: Package) -> tuple[str | None, Closure]:
    """What the class answers and the closure of the package; ``folder`` is written to."""
    closure = Closure(folder, write(folder, package.files()))
    return runner.behaviour(folder, package.class_name), closure


def edits(package: Package) -> Sequence[tuple[int, str]]:
    """Every number of a package: the index of its part, and its slot."""
    return [(index, slot) for index, part in enumerate(package.parts) for slot in part.numbered_slots()]


def edited(package: Package, index: int, slot: str, number: int) -> Package:
    """The package with one number changed."""
    parts = list(package.parts)
    parts[index] = parts[index].edited(slot, number)
    return replace(package, parts=tuple(parts))
