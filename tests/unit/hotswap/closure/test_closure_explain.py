"""Why a class may behave differently, in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from benchmarks.realistic_lab import write
from hotswap.closure import Closure, Explanation, explain
from hotswap.environment import EnvironmentChange
from hotswap.errors import UnknownClassError

FURNACE = "my_lab.devices.furnace:Furnace"
LAB = {
    "my_lab/__init__.py": "from .devices import Furnace\n",
    "my_lab/devices/__init__.py": "from .furnace import Furnace\n",
    "my_lab/devices/furnace.py": (
        "import numpy\nfrom pathlib import Path\nfrom .base import Base\n\nHERE = Path(__file__).parent\n\n\n"
        "class Furnace(Base):\n    limit = 1100\n\n    def heat(self, target):\n"
        "        return numpy.float64((HERE / 'furnace.csv').read_text())\n"
    ),
    "my_lab/devices/furnace.csv": "1\n",
    "my_lab/devices/base.py": (
        "from my_lab.helpers.units import to_kelvin\n\n\nclass Base:\n"
        "    def read(self):\n        from my_lab.helpers.late import late\n        return late(to_kelvin(1))\n"
    ),
    "my_lab/helpers/__init__.py": "",
    "my_lab/helpers/units.py": "ZERO = 273.15\n\n\ndef to_kelvin(c):\n    '''Kelvin.'''\n    return c + ZERO\n",
    "my_lab/helpers/late.py": "def late(x):\n    return x\n",
    "my_lab/zz.py": "NOTE = 1\n",
}

Judge = Callable[..., Explanation]


@pytest.fixture
def why(tmp_path: Path) -> Judge:
    """The explanation of edits of the lab: new text by path, None for a file that is gone."""

    def judge(changed: Mapping[str, str | None], name: str = FURNACE, **more: object) -> Explanation:
        after = {path: text for path, text in {**LAB, **changed}.items() if text is not None}
        trees = [Closure(tmp_path / side, write(tmp_path / side, files)) for side, files in (("a", LAB), ("b", after))]
        return explain(trees[0], trees[1], name, **more)  # type: ignore[arg-type]

    return judge


def _edited(path: str, old: str, new: str) -> dict[str, str]:
    assert old in LAB[path]
    return {path: LAB[path].replace(old, new)}


TOLD = {
    "a function of a helper": (
        _edited("my_lab/helpers/units.py", "c + ZERO", "c - ZERO"),
        "Furnace -> my_lab.devices.base (base class) -> my_lab.helpers.units (import)",
        "    my_lab/helpers/units.py: function to_kelvin changed, line 4",
    ),
    "a helper imported late": (
        _edited("my_lab/helpers/late.py", "return x", "return -x"),
        "Furnace -> my_lab.devices.base (base class) -> my_lab.helpers.late (lazy import)",
        "    my_lab/helpers/late.py: function late changed, line 1",
    ),
    "an attribute": (
        _edited("my_lab/devices/furnace.py", "1100", "1200"),
        "Furnace",
        "    my_lab/devices/furnace.py: attribute Furnace.limit changed, line 9",
    ),
    "a new method": (
        _edited("my_lab/devices/furnace.py", "    limit", "    def stop(self):\n        pass\n\n    limit"),
        "Furnace",
        "    my_lab/devices/furnace.py: method Furnace.stop added, line 9",
    ),
    "a variable that is gone": (
        _edited("my_lab/helpers/units.py", "c + ZERO", "c + 273.15")
        | _edited("my_lab/helpers/units.py", "ZERO = 273.15", ""),
        "Furnace -> my_lab.devices.base (base class) -> my_lab.helpers.units (import)",
        "    my_lab/helpers/units.py: variable ZERO removed, line 1 before",
    ),
    "a data file": (
        {"my_lab/devices/furnace.csv": "2\n"},
        "Furnace -> my_lab/devices/furnace.csv (data file)",
        "    my_lab/devices/furnace.csv: its content changed",
    ),
    "a helper that is new": (
        {"my_lab/more.py": "X = 1\n"}
        | _edited("my_lab/helpers/units.py", "ZERO = 273.15", "from ..more import X as ZERO"),
        "Furnace -> my_lab.devices.base (base class) -> my_lab.helpers.units (import) -> my_lab.more (import)",
        "    my_lab/more.py: this file is new",
    ),
    "a sibling that begins to patch": (
        {"my_lab/zz.py": "from .devices.furnace import Furnace\nFurnace.limit = 3\n"},
        "Furnace -> my_lab.zz (everything in the package counts)",
        "    my_lab/zz.py: assignment to Furnace.limit added, line 2",
    ),
    "a sibling that sets the environment": (
        {"my_lab/zz.py": "import os\nos.environ['X'] = '1'\n"},
        "Furnace -> my_lab.zz (changes something outside the package when it is imported)",
        "    my_lab/zz.py: what it changes outside the package changed, line 2",
    ),
}


@pytest.mark.parametrize("name", TOLD)
def test_an_explanation_tells_the_way_and_the_line(why: Judge, name: str) -> None:
    changed, route, what = TOLD[name]
    lines = list(why(changed).lines())
    assert route in lines, lines
    assert what in lines, lines


def test_an_edit_elsewhere_changes_nothing(why: Judge) -> None:
    found = why({"my_lab/zz.py": "NOTE = 2\n"} | _edited("my_lab/helpers/units.py", "Kelvin.", "In kelvin."))
    assert (found.changed, list(found.lines())) == (False, ["Nothing that Furnace depends on changed."])


def test_a_coarse_verdict_says_why(why: Judge) -> None:
    found = why({"my_lab/zz.py": "from .devices.furnace import Furnace\nFurnace.limit = 3\n"})
    lines = list(found.lines())
    assert lines[:2] == ["Furnace", "    the whole package counts now, before what it uses"]
    reasons = lines[lines.index("The whole package counts, because") + 1 :]
    assert "    importing my_lab.zz may change my_lab.devices.furnace" in reasons


def test_a_class_may_be_named_where_it_is_passed_on(why: Judge) -> None:
    found = why(_edited("my_lab/devices/furnace.py", "1100", "1200"), "my_lab.devices:Furnace")
    assert "    my_lab/devices/furnace.py: attribute Furnace.limit changed, line 9" in list(found.lines())


def test_a_class_that_moved_is_told(why: Judge) -> None:
    moved = {
        "my_lab/devices/furnace.py": None,
        "my_lab/devices/oven.py": LAB["my_lab/devices/furnace.py"],
        "my_lab/devices/__init__.py": "from .oven import Furnace\n",
    }
    found = why(moved, "my_lab.devices:Furnace")
    assert found.causes[0].what == ("it is my_lab.devices.oven:Furnace, before my_lab.devices.furnace:Furnace",)


def test_a_class_of_one_version_only_is_told(why: Judge) -> None:
    found = why({"my_lab/devices/oven.py": "class Oven:\n    pass\n"}, "my_lab.devices.oven:Oven")
    assert list(found.lines()) == ["my_lab.devices.oven:Oven exists after the change only."]
    assert (found.changed, found.before) == (True, None)


@pytest.mark.parametrize("name", ["my_lab.devices.furnace:Kiln", "my_lab.nothing:Kiln", "my_lab.devices.furnace"])
def test_a_class_that_nobody_has_is_refused(why: Judge, name: str) -> None:
    with pytest.raises(UnknownClassError, match="class"):
        why({}, name)


def test_only_distributions_that_its_imports_touch_are_told(why: Judge) -> None:
    changes = [EnvironmentChange("numpy", "1", "2"), EnvironmentChange("unrelated", "1", "2")]
    found = why({}, environment=changes)
    assert (found.changed, found.environment) == (True, (changes[0],))
    assert list(found.lines()) == ["Furnace -> numpy (environment)", "    1 before, 2 after"]


def test_every_changed_digest_has_a_cause(why: Judge) -> None:
    for path, text in LAB.items():
        found = why({path: text + ("" if path.endswith("csv") else "\nimport os\n_made = os.environ.copy\n")})
        assert found.changed == bool(found.causes)


def test_code_beside_the_package_in_the_same_tree_counts(tmp_path: Path) -> None:
    lab = {**LAB, "our_kit/__init__.py": "", "our_kit/pumps.py": "class Pump:\n    speed = 1\n"}
    lab["my_lab/devices/pump.py"] = "from our_kit.pumps import Pump\n\n\nclass OurPump(Pump):\n    pass\n"
    after = {**lab, "our_kit/pumps.py": "class Pump:\n    speed = 2\n"}
    trees = [Closure(tmp_path / side, write(tmp_path / side, files)) for side, files in (("a", lab), ("b", after))]
    assert list(explain(trees[0], trees[1], "my_lab.devices.pump:OurPump").lines()) == [
        "OurPump -> our_kit.pumps (base class)",
        "    our_kit/pumps.py: attribute Pump.speed changed, line 2",
    ]
