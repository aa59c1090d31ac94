"""What counts as a change of the code behind a class, in a laboratory as people write it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from blake3 import blake3

from hotswap.closure import Closure, Verdict

REGISTRATION = frozenset({"lab.add_device", "lab.add_task", "lab.definitions.add_device"})

LAB = {
    "my_lab/__init__.py": """
        '''My lab.'''
        from lab import add_device, add_task, add_standalone_sample_position
        from .devices import Arm, Furnace, Xrd
        from .tasks import Heat, Scan

        add_device(Arm("arm", address="tcp://arm"))
        for i in range(4):
            add_device(Furnace, name=f"furnace_{i}", port=f"COM{i}")
        add_device(Xrd, name="xrd")
        add_task(Heat)
        add_task(Scan)
    """,
    "my_lab/devices/__init__.py": """
        from .arm import Arm
        from .furnace import Furnace, FastFurnace
        from my_lab.devices.xrd import Xrd

        __all__ = ["Arm", "FastFurnace", "Furnace", "Xrd"]
    """,
    "my_lab/devices/arm.py": """
        import logging
        from lab import BaseDevice
        logger = logging.getLogger(__name__)

        class Arm(BaseDevice):
            def move(self):
                return "moved"
    """,
    "my_lab/devices/furnace.py": """
        from typing import ClassVar
        from lab import BaseDevice
        import serial

        class Furnace(BaseDevice):
            '''A furnace.'''
            limits: ClassVar = {"high": 1100}

            def heat(self, target):
                self.link = serial.Serial(self.port)
                return target

        class FastFurnace(Furnace):
            pass
    """,
    "my_lab/devices/vacuum.py": """
        from .furnace import Furnace

        class VacuumFurnace(Furnace):
            def heat(self, target):
                return super().heat(target) - 1
    """,
    "my_lab/devices/xrd.py": """
        from pathlib import Path
        from lab import BaseDevice
        from ..helpers import scale

        HERE = Path(__file__).resolve().parent.parent

        class Xrd(BaseDevice):
            def scan(self):
                return scale((HERE / "data" / "reference.csv").read_text())
    """,
    "my_lab/helpers.py": """
        import numpy as np

        def scale(text):
            return np.array([float(part) for part in text.split(",")])
    """,
    "my_lab/tasks/__init__.py": """
        from .heat import Heat
        from .scan import Scan
    """,
    "my_lab/tasks/heat.py": """
        from lab import BaseTask
        from my_lab.devices import Furnace
        from pydantic import Field

        class Heat(BaseTask):
            target: float = Field(default=20)

            def run(self, furnace: Furnace):
                furnace.heat(self.target)
    """,
    "my_lab/tasks/scan.py": """
        from lab import BaseTask
        from my_lab.devices import Xrd
        from ..helpers import scale

        TABLE = scale("1,2,3")

        class Scan(BaseTask):
            def run(self, xrd: Xrd):
                return xrd.scan()
    """,
    "my_lab/data/reference.csv": "1,2",
    "my_lab/data/notes.csv": "3,4",
}

CLASSES = (
    "my_lab.devices.arm:Arm",
    "my_lab.devices.furnace:Furnace",
    "my_lab.devices.furnace:FastFurnace",
    "my_lab.devices.vacuum:VacuumFurnace",
    "my_lab.devices.xrd:Xrd",
)
FURNACES = {"Furnace", "FastFurnace", "VacuumFurnace"}


def _dedent(text: str) -> str:
    lines = text.strip("\n").split("\n")
    margin = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[margin:] for line in lines) + "\n"


def _closure(folder: Path, files: Mapping[str, str]) -> Closure:
    digests = {}
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(_dedent(text))
        digests[path] = blake3(target.read_bytes()).hexdigest()
    return Closure(folder, digests, registration=REGISTRATION)


@pytest.fixture
def verdict(tmp_path: Path):
    def judge(files: Mapping[str, str], name: str, roots: tuple[str, ...] = ()) -> Verdict:
        folder = tmp_path / blake3(repr(sorted(files.items())).encode()).hexdigest()[:16]
        return _closure(folder, files).verdict(name, roots)

    return judge


def _edit(path: str, old: str, new: str) -> dict[str, str]:
    assert old in LAB[path]
    return LAB | {path: LAB[path].replace(old, new)}


NEW_DEVICE = {
    "my_lab/devices/balance.py": """
        from lab import BaseDevice
        from ..helpers import scale

        class Balance(BaseDevice):
            def weigh(self):
                return scale("1")
    """,
    "my_lab/devices/__init__.py": """
        from .balance import Balance
        from .arm import Arm
        from .furnace import Furnace, FastFurnace
        from my_lab.devices.xrd import Xrd
    """,
    "my_lab/__init__.py": LAB["my_lab/__init__.py"] + "\n        from .devices import Balance\n"
    "        add_device(Balance, name='balance')\n",
}

PRECISE = {
    "a driver": (_edit("my_lab/devices/arm.py", "moved", "went"), {"Arm"}),
    "a base driver": (_edit("my_lab/devices/furnace.py", "1100", "1200"), FURNACES),
    "a subclass": (_edit("my_lab/devices/vacuum.py", "- 1", "- 2"), {"VacuumFurnace"}),
    "a task": (_edit("my_lab/tasks/heat.py", "=20", "=30"), set()),
    "a task that runs a helper": (_edit("my_lab/tasks/scan.py", "1,2,3", "1,2"), set()),
    "a helper": (_edit("my_lab/helpers.py", "float(part)", "float(part) + 1"), {"Xrd"}),
    "a data file in use": (_edit("my_lab/data/reference.csv", "1,2", "1,3"), {"Xrd"}),
    "a data file nobody names": (_edit("my_lab/data/notes.csv", "3,4", "3,5"), set()),
    "a new device": (LAB | NEW_DEVICE, set()),
    "constructor arguments": (_edit("my_lab/__init__.py", "range(4)", "range(8)"), set()),
    "the order of registration": (_edit("my_lab/__init__.py", 'name="xrd"', 'name="xrd2"'), set()),
    "a docstring": (_edit("my_lab/devices/furnace.py", "A furnace.", "A kiln."), set()),
    "a comment": (_edit("my_lab/devices/furnace.py", "import serial", "import serial  # pip: pyserial"), set()),
    "formatting": (
        _edit("my_lab/devices/furnace.py", '{"high": 1100}', '{\n              "high":\n            1100 }'),
        set(),
    ),
    "lines": (_edit("my_lab/devices/arm.py", "import logging", "\n\n\n        import logging"), set()),
    "a re-export that moves": (
        _edit("my_lab/devices/__init__.py", "Furnace, FastFurnace", "FastFurnace, Furnace"),
        set(),
    ),
}


@pytest.mark.parametrize("change", PRECISE)
def test_a_change_touches_its_users_only(verdict, change: str) -> None:
    files, expected = PRECISE[change]
    changed = {name.partition(":")[2] for name in CLASSES if verdict(LAB, name).digest != verdict(files, name).digest}
    assert changed == expected


@pytest.mark.parametrize("name", CLASSES)
def test_an_ordinary_lab_is_read_closely(verdict, name: str) -> None:
    assert (verdict(LAB, name).scheme, verdict(LAB, name).why) == ("reachable", ())


def test_a_verdict_names_its_files_and_libraries(verdict) -> None:
    found = verdict(LAB, "my_lab.devices.xrd:Xrd")
    assert found.files == ("my_lab/data/reference.csv", "my_lab/devices/xrd.py", "my_lab/helpers.py")
    assert found.imports == ("lab", "numpy")


def test_classes_of_injected_objects_count(verdict) -> None:
    changed = _edit("my_lab/devices/arm.py", "moved", "went")
    name, roots = "my_lab.devices.furnace:Furnace", ("my_lab.devices.arm:Arm",)
    assert verdict(LAB, name, roots).digest != verdict(changed, name, roots).digest


def test_a_library_class_depends_on_its_library(verdict) -> None:
    found = verdict(LAB, "vendor.pumps:Pump")
    assert (found.files, found.imports) == ((), ("vendor",))
