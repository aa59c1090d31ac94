"""Packages of 10,000 files to freeze: a small one, and one of 200 MB. The same on every machine."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

FILES: Final = 10_000
FOLDERS: Final = 100
_MODULES: Final = 95  # per folder; one file in twenty is data, as in the starter lab
_DATA: Final = FILES // FOLDERS - _MODULES
_MEASURED_BYTES: Final = 350_000  # of each data file of the large package

Contents = Callable[[int, int], str]


def small(package: Path) -> None:
    """Modules of half a kilobyte, tables of as much: 6 MB."""
    _write(package, _short_module, lambda folder, index: f"{folder},{index}\n" * 128)


def large(package: Path) -> None:
    """Modules of three kilobytes, tables of 350: 200 MB, most of which a compression cannot take away."""
    measured = "\n".join(_measurements(random.Random(1), 40_000))

    def table(folder: int, index: int) -> str:
        start = (folder * _DATA + index) * 977 % (len(measured) - _MEASURED_BYTES)
        return measured[start : start + _MEASURED_BYTES]

    _write(package, _long_module, table)


def _write(package: Path, module: Contents, table: Contents) -> None:
    for folder in range(FOLDERS):
        part = package / f"part_{folder}"
        part.mkdir(parents=True)
        for index in range(_MODULES):
            (part / f"module_{index}.py").write_text(module(folder, index))
        for index in range(_DATA):
            (part / f"data_{index}.csv").write_text(table(folder, index))
    (package / "part_0" / f"module_{_MODULES - 1}.py").rename(package / "__init__.py")


def _short_module(folder: int, index: int) -> str:
    functions = [f"def function_{line}(value: int) -> int:\n    return value + {line}\n" for line in range(8)]
    return f'"""Module {index} of part {folder}."""\n\nNUMBER = {folder * 1000 + index}\n\n\n' + "\n\n".join(functions)


def _long_module(folder: int, index: int) -> str:
    head = f'"""Device {index} of part {folder}."""\n\nfrom __future__ import annotations\n\nimport time\n\n\n'
    return f"{head}class Device{index}:\n" + "\n".join(_method(folder, number) for number in range(8))


def _method(folder: int, number: int) -> str:
    return f'''    def step_{number}(self, target: float, speed: float = {folder + 1}.0) -> list[float]:
        """Move to ``target`` in steps of ``speed``, and tell where each of them ended."""
        reached = []
        position = float({number})
        while abs(target - position) > speed:
            position += speed if target > position else -speed
            reached.append(position)
            time.sleep(0.0)
        return [*reached, target]
'''


def _measurements(numbers: random.Random, count: int) -> Iterator[str]:
    for row in range(count):
        yield ",".join([str(row), *(f"{numbers.gauss(100, 15):.6f}" for _ in range(4))])
