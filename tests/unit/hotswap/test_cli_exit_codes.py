"""Each command ends with the exit code that the reference gives; and the reference gives no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from forgetful_disk import unhurried
from held_source import EMPTY, Held

from hotswap.cli import _looking, main
from hotswap.environment import Distribution, Environment
from hotswap.generations import FileGenerations
from hotswap.store import Store

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cli.md"
CLASS = "my_lab.devices:Furnace"
CASES = [
    ("freeze my_lab", 0),
    ("freeze nothing", 2),
    ("list", 0),
    ("list --store nowhere", 2),
    ("show OLD", 0),
    ("show zz", 2),
    ("env OLD", 0),
    ("env ELSEWHERE", 1),
    ("env ELSEWHERE --recorded", 0),
    ("env zz", 2),
    ("diff OLD OLD", 0),
    ("diff OLD NEW", 0),
    ("diff OLD zz", 2),
    (f"why OLD OLD {CLASS}", 0),
    (f"why OLD NEW {CLASS}", 1),
    (f"why OLD NEW nothing:{CLASS}", 2),
    ("export OLD out.tar", 0),
    ("export OLD nowhere/out.tar", 2),
    ("import old.tar", 0),
    ("import nothing.tar", 2),
    ("push zz --database mongodb://127.0.0.1:1/db", 2),
    ("push OLD", 2),
    ("fetch OLD", 2),
    ("checkout OLD there", 0),
    ("checkout OLD my_lab", 2),
    ("verify", 1),
    ("verify OLD", 0),
    ("verify DAMAGED", 1),
    ("verify DAMAGED --repair", 0),
    ("verify zz", 2),
    ("collect", 0),
    ("collect --reference zz", 2),
    ("hold OLD --reason paper", 0),
    ("hold zz --reason paper", 2),
    ("release NEW", 0),
    ("release OLD", 1),
    ("release zz", 2),
    ("promote NEW", 0),
    ("promote zz", 2),
    ("current", 0),
    ("current nothing", 2),
    ("generations", 0),
    ("generations nothing", 2),
    ("worker nothing --broker redis://127.0.0.1:1/0", 2),
    ("stop my_lab", 2),
    ("completion bash", 0),
    ("completion nothing", 2),
    ("list --nothing", 2),
]


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Snapshots in the default place, by what the cases call them: NEW is held and current, one was tampered with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOTSWAP_DATABASE", raising=False)
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    with unhurried():
        store = Store(tmp_path / "snapshots")
        found = {
            "OLD": freeze(store, 1),
            "NEW": freeze(store, 2, hold="paper"),
            "ELSEWHERE": freeze(store, 1, Environment(EMPTY.python, (Distribution("nothing-of-ours", "1.0"),))),
            "DAMAGED": freeze(store, 3),
        }
        FileGenerations(store.root, "my_lab").promote(
            found["NEW"], expected=None, commit=None, dirty=True, environment="e", actor="mira", reason="test"
        )
        assert CliRunner().invoke(main, ["export", found["OLD"], "old.tar"]).exit_code == 0
        tampered = store.root / "trees" / found["DAMAGED"] / "my_lab" / "table.csv"
        tampered.parent.chmod(0o755)
        tampered.unlink()
        yield found


def freeze(store: Store, number: int, environment: Environment = EMPTY, hold: str | None = None) -> str:
    code = b"class Furnace:\n    limit = %d\n" % number
    files = {"my_lab/__init__.py": b"", "my_lab/devices.py": code, "my_lab/table.csv": b"%d" % number}
    return store.ensure(Held(files), environment, hold=hold).snapshot.id


@pytest.mark.parametrize(("line", "code"), CASES)
def test_a_command_ends_with_this_exit_code(ids: dict[str, str], line: str, code: int) -> None:
    result = CliRunner().invoke(main, [ids.get(word, word) for word in line.split()])
    assert result.exit_code == code, result.output
    assert code != 2 or result.stderr


def test_ctrl_c_is_told_apart_from_what_a_command_found(ids: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_looking, "open_store", interrupt)
    result = CliRunner().invoke(main, ["show", ids["OLD"]])
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def told() -> dict[str, set[int]]:
    """The exit codes that the reference tells of with each command."""
    page = REFERENCE.read_text().partition("\n## hotswap\n")[2]
    rows = re.findall(r"^\| `hotswap ([a-z]+)[^`]*` \|(.*)$", page, re.MULTILINE)
    return {name: {int(code) for code in re.findall(r"exit code (\d+)", text)} for name, text in rows}


@pytest.mark.parametrize("name", main.commands)
def test_what_the_reference_tells_of_a_command_is_what_was_tried(name: str) -> None:
    tried = {code for line, code in CASES if line.split()[0] == name}
    assert told()[name] <= tried
    assert (1 in tried) == (1 in told()[name])


def test_the_reference_explains_just_the_codes_there_are() -> None:
    explained = {int(code) for code in re.findall(r"^\| (\d+) \|", REFERENCE.read_text(), re.MULTILINE)}
    assert explained == {code for _, code in CASES} | {130}


def test_every_command_can_be_tried() -> None:
    assert {line.split()[0] for line, _ in CASES} == set(main.commands)
