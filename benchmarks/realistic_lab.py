"""A lab package in the style people write: what is measured and tested on has a known answer to every edit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Final

from blake3 import blake3

from benchmarks.realistic_shared import FIXED
from benchmarks.realistic_texts import DEVICES, FAMILIES, ROOT, TASK, TASKS

REGISTRATION: Final = frozenset({"lab.add_device", "lab.add_task", "lab.add_standalone_sample_position"})
"""Calls of these only record what they are given."""

_PER_FAMILY_TASKS: Final = ("prepare", "run", "check", "clean", "report", "repeat")


@dataclass(frozen=True)
class Device:
    """One driver: its module, its class, and what it is made of."""

    family: str
    number: int

    @property
    def module(self) -> str:
        return f"{self.family}_{self.number:02}"

    @property
    def path(self) -> str:
        return f"my_lab/devices/{self.module}.py"

    @property
    def data(self) -> str:
        return f"my_lab/data/{self.module}.json"

    @property
    def short(self) -> str:
        return f"{self.family.title()}{self.number:02}"

    @property
    def class_name(self) -> str:
        return f"my_lab.devices.{self.module}:{self.short}"

    def uses(self, path: str) -> bool:
        """Whether what the driver does is decided by this file."""
        return path in {self.path, self.data, *FAMILIES[self.family].uses}


@dataclass(frozen=True)
class Edit:
    """An edit of a ``kind``: the text of the changed files, and the classes whose behaviour it may change."""

    kind: str
    changed: Mapping[str, str]
    concerned: frozenset[str]


class RealisticLab:
    """``devices`` drivers in five families and ``tasks`` task types; ``files`` is the text of each file by path."""

    def __init__(self, devices: int = 20, tasks: int = 30) -> None:
        names = list(FAMILIES)
        self.devices = [Device(names[index % len(names)], index // len(names)) for index in range(devices)]
        self._tasks = [f"{_PER_FAMILY_TASKS[index % 6]}_{index:02}" for index in range(tasks)]
        self.files = dict(self._files())

    @property
    def classes(self) -> list[str]:
        """``module:Class`` of each driver."""
        return [device.class_name for device in self.devices]

    def edits(self) -> Iterator[Edit]:
        """Edits of every kind, each of one commit's size."""
        for device in self.devices:
            yield self._edit("a driver", device.path, "STEP = ", "STEP = 10 + ", {device.class_name})
            yield self._edit("a data file", device.data, '"gain": ', '"gain": 1', {device.class_name})
        for path in sorted(path for path in self.files if path.startswith(("my_lab/helpers/", "my_lab/devices/base"))):
            if "FACTOR = " in self.files[path]:
                yield self._edit("a shared module", path, "FACTOR = ", "FACTOR = 2 * ", self._users(path))
        for name in self._tasks:
            yield self._edit("a task", f"my_lab/tasks/{name}.py", "default=", "default=1", set())
        yield from self._harmless()

    def _harmless(self) -> Iterator[Edit]:
        for path in (device.path for device in self.devices):
            yield self._edit("a comment", path, "STEP = ", "# the smallest step\nSTEP = ", set())
            yield self._edit("formatting", path, "STEP = ", "\n\nSTEP  =  ", set())
            yield self._edit("a docstring", path, "Made by", "Manufactured by", set())
        yield self._edit("constructor arguments", "my_lab/__init__.py", "port=", 'note="moved", port=', set())
        yield self._edit("a data file nobody names", "my_lab/data/notes.md", "Notes", "More notes", set())
        yield self._edit("notes beside the package", "my_lab/README.md", "laboratory", "lab", set())
        yield Edit("a new device", self._with_one_more(devices=1), frozenset())
        yield Edit("a new task", self._with_one_more(tasks=1), frozenset())

    def _with_one_more(self, devices: int = 0, tasks: int = 0) -> dict[str, str]:
        larger = RealisticLab(len(self.devices) + devices, len(self._tasks) + tasks).files
        return {path: text for path, text in larger.items() if self.files.get(path) != text}

    def _edit(self, kind: str, path: str, old: str, new: str, concerned: set[str]) -> Edit:
        text = self.files[path]
        if old not in text:
            raise ValueError(f"{path} has no {old!r} to edit.")
        return Edit(kind, {path: text.replace(old, new)}, frozenset(concerned))

    def _users(self, path: str) -> set[str]:
        return {device.class_name for device in self.devices if device.uses(path)}

    def _files(self) -> Iterator[tuple[str, str]]:
        yield from FIXED.items()
        for device in self.devices:
            family = FAMILIES[device.family]
            words = {"name": device.short, "number": device.number, "module": device.module}
            yield device.path, Template(family.text).substitute(words)
            yield device.data, f'{{"gain": {device.number}, "offset": 0.5, "serial": "{device.module.upper()}"}}\n'
        for index, name in enumerate(self._tasks):
            words = {"name": _title(name), "number": index, "device": self.devices[index % len(self.devices)].short}
            yield f"my_lab/tasks/{name}.py", Template(TASK).substitute(words)
        yield from self._packages()

    def _packages(self) -> Iterator[tuple[str, str]]:
        """The ``__init__`` of each package imports all there is, as people do."""
        imports = "\n".join(f"from .{device.module} import {device.short}" for device in self.devices)
        exported = "\n".join(f'    "{device.short}",' for device in self.devices)
        yield "my_lab/devices/__init__.py", Template(DEVICES).substitute(imports=imports, exported=exported)
        imports = "\n".join(f"from .{name} import {_title(name)}" for name in self._tasks)
        exported = "\n".join(f'    "{_title(name)}",' for name in self._tasks)
        yield "my_lab/tasks/__init__.py", Template(TASKS).substitute(imports=imports, exported=exported)
        devices = "\n".join(
            f'add_device({device.short}, name="{device.module}", port="/dev/{device.module}")'
            for device in self.devices
        )
        tasks = "\n".join(f"add_task({_title(name)})" for name in self._tasks)
        names = "\n".join(f"    {device.short}," for device in self.devices)
        titles = "\n".join(f"    {_title(name)}," for name in self._tasks)
        words = {"devices": devices, "tasks": tasks, "device_names": names, "task_names": titles}
        yield "my_lab/__init__.py", Template(ROOT).substitute(words)


def _title(name: str) -> str:
    return name.title().replace("_", "")


def write(folder: Path, files: Mapping[str, str]) -> dict[str, str]:
    """Write the files below ``folder``; the blake3 of each by path."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return {path: blake3(text.encode()).hexdigest() for path, text in files.items()}
