"""``hotswap why``, on the snapshots of a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hotswap.cli import main
from hotswap.environment import Distribution, Environment
from hotswap.source import TreeSource
from hotswap.store import Store

FURNACE = "my_lab.devices:Furnace"
FURNACE_TEXT = "from .units import ZERO\n\n\nclass Furnace:\n    limit = ZERO\n"


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two snapshots that differ in a helper of the class."""
    monkeypatch.setenv("HOTSWAP_STORE", str(tmp_path / "store"))
    store, package = Store(tmp_path / "store"), tmp_path / "my_lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "devices.py").write_text(FURNACE_TEXT)
    (package / "units.py").write_text("ZERO = 1\n")
    before = store.freeze(TreeSource(package)).id
    (package / "units.py").write_text("ZERO = 2\n")
    return before, store.freeze(TreeSource(package)).id


def _why(*arguments: str, code: int) -> Result:
    result = CliRunner().invoke(main, ["why", *arguments])
    assert result.exit_code == code, result.output
    return result


def test_a_change_is_explained_with_exit_code_1(ids: tuple[str, str]) -> None:
    assert _why(*ids, FURNACE, code=1).stdout.splitlines() == [
        "Furnace -> my_lab.units (import)",
        "    my_lab/units.py: variable ZERO changed, line 1",
    ]


def test_no_change_has_exit_code_0(ids: tuple[str, str]) -> None:
    assert _why(ids[0], ids[0], FURNACE, code=0).stdout == "Nothing that Furnace depends on changed.\n"


def test_an_unknown_class_is_refused_with_exit_code_2(ids: tuple[str, str]) -> None:
    told = _why(*ids, "my_lab.devices:Kiln", code=2)
    assert told.stderr.startswith("error: Neither version has the class my_lab.devices:Kiln")


@pytest.mark.parametrize(
    "name",
    [
        "my_lab.devices:Furnace.nothing",
        "my_lab.devices:Furnace..limit",
        "my_lab.devices:Furnace.",
        ":Furnace",
        "my_lab..devices:Furnace",
        "my_lab.devices:",
        "my_lab.devices",
        "my_lab.nothing:Furnace",
        "json:JSONDecoder",
    ],
)
def test_a_name_that_leads_nowhere_is_refused_in_one_sentence(ids: tuple[str, str], name: str) -> None:
    told = _why(*ids, name, code=2).stderr.strip()
    assert told.startswith("error: ")
    assert told.endswith(".")
    assert "\n" not in told


def test_what_a_class_has_may_be_asked_for(ids: tuple[str, str]) -> None:
    _why(*ids, "my_lab.devices:Furnace.limit", code=1)


def test_facts_are_printed_as_json(ids: tuple[str, str]) -> None:
    facts = json.loads(_why(*ids, FURNACE, "--json", code=1).stdout)
    assert facts["changed"] is True
    assert facts["after"]["scheme"] == "reachable"
    assert facts["causes"] == [
        {
            "path": "my_lab/units.py",
            "what": ["variable ZERO changed, line 1"],
            "route": [{"to": "my_lab.units", "how": "import"}],
        }
    ]


def test_a_package_frozen_beside_it_counts(tmp_path: Path) -> None:
    store, package, kit = Store(tmp_path / "store"), tmp_path / "my_lab", tmp_path / "our_kit"
    for folder in (package, kit):
        folder.mkdir()
        (folder / "__init__.py").write_text("")
    (package / "devices.py").write_text("from our_kit.pumps import Pump\n\n\nclass OurPump(Pump):\n    pass\n")
    ids = []
    for speed in (1, 2):
        (kit / "pumps.py").write_text(f"class Pump:\n    speed = {speed}\n")
        ids.append(store.freeze(TreeSource(package, extra=(kit,))).id)
    told = _why(*ids, "my_lab.devices:OurPump", "--store", str(store.root), code=1)
    assert told.stdout.splitlines() == [
        "OurPump -> our_kit.pumps (base class)",
        "    our_kit/pumps.py: attribute Pump.speed changed, line 2",
    ]


def test_calls_that_only_register_do_not_count(tmp_path: Path) -> None:
    store, package = Store(tmp_path / "store"), tmp_path / "my_lab"
    package.mkdir()
    (package / "devices.py").write_text("class Furnace:\n    limit = 1\n")
    ids = []
    for number in (1, 2):
        call = f"from registry import add\nfrom my_lab.devices import Furnace\n\nadd(Furnace, {number})\n"
        (package / "__init__.py").write_text(call)
        ids.append(store.freeze(TreeSource(package)).id)
    asked = (*ids, FURNACE, "--store", str(store.root))
    _why(*asked, code=1)
    _why(*asked, "--registration", "registry.add", code=0)


def test_another_version_of_a_library_that_it_imports_is_told(tmp_path: Path) -> None:
    store, package = Store(tmp_path / "store"), tmp_path / "my_lab"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "devices.py").write_text("import rich\n\n\nclass Furnace:\n    colour = rich.__name__\n")
    versions = (Environment("cp311", (Distribution("rich", number),)) for number in ("1.0", "2.0"))
    ids = [store.freeze(TreeSource(package), one).id for one in versions]
    told = _why(*ids, FURNACE, "--store", str(store.root), code=1).stdout
    assert told == "Furnace -> rich (environment)\n    1.0 before, 2.0 after\n"
