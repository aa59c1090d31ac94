"""What the documentation says exists: links lead somewhere, commands are real, the reference is complete."""

from __future__ import annotations

import re
import shlex
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args
from unittest.mock import MagicMock

import click
import pytest

from hotswap.cli import main as hotswap_cli
from hotswap.generations import SnapshotState
from lab.cli import main as lab_cli
from lab.prompts import PromptCategory, PromptStatus
from lab.records import DeviceState, ExperimentStatus, RequestStatus, TaskStatus
from lab.server.app import create_app
from lab.settings.config import LabConfig

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
PROGRAMS: dict[str, click.Group] = {"lab": lab_cli, "hotswap": hotswap_cli}
SHELLS = ("console", "bash", "sh")
UNWANTED = re.compile(r"/work/|/tmp/|/root/|/home/\w|\bTODO\b|\bFIXME\b|\bTBD\b|lorem ipsum", re.IGNORECASE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def blocks(page: Path, *languages: str) -> Iterator[str]:
    for language, text in re.findall(r"^```(\w+)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if language in languages:
            yield text


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def commands(page: Path) -> Iterator[list[str]]:
    """Every call of one of our programs: in code blocks whole, in running text as far as it goes."""
    lines = [line for text in blocks(page, *SHELLS) for line in text.splitlines()]
    for line in lines:
        yield from calls(shlex.split(line, comments=True))
    for code in re.findall(r"`((?:lab|hotswap) [a-z-][^`]*)`", prose(page)):
        yield from calls(shlex.split(code.replace("[", "").replace("]", "")))


def calls(words: list[str]) -> Iterator[list[str]]:
    call: list[str] = []
    for word in [*words, "&&"]:
        if word not in ("&&", "||", "|", ";"):
            call.append(word)
            continue
        if call and call[0] in PROGRAMS:
            yield call
        call = []


def wrong_with(call: list[str]) -> str | None:
    """What is wrong with a call, or None; values are placeholders and are not converted."""
    program, name, *rest = call
    if name in ("--help", "--version"):
        return None
    command = PROGRAMS[program].commands.get(name)
    if command is None:
        return f"there is no `{program} {name}`"
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        inner, *rest = rest
        command = command.commands.get(inner)
        if command is None:
            return f"there is no `{program} {name} {inner}`"
        name = f"{name} {inner}"
    options = {text: option for option in command.params for text in option.opts if isinstance(option, click.Option)}
    words = iter(rest)
    positional = 0
    for word in words:
        if word != "-" and word.startswith("-"):
            if word not in {*options, "--help"}:
                return f"`{program} {name}` has no option {word}"
            if word in options and not options[word].is_flag:
                next(words, None)
        else:
            positional += 1
    arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    any_number = any(argument.nargs == -1 for argument in arguments)
    return (
        None if any_number or positional <= len(arguments) else f"`{program} {name}` takes fewer arguments than {rest}"
    )


def flatten(model: Any, table: str = "") -> Iterator[tuple[str, str]]:
    """Each table of the settings with each of its keys that is no table itself."""
    for name, field in model.model_fields.items():
        inner = [each for each in (field.annotation, *get_args(field.annotation)) if hasattr(each, "model_fields")]
        if inner:
            yield from flatten(inner[0], f"{table}.{name}".lstrip("."))
        elif table:
            yield table, name


def every_command(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from every_command(command, f"{before}{name} ")


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}, which has no such heading"


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    wrong = [fault for call in commands(page) if (fault := wrong_with(call)) is not None]
    assert not wrong, f"{page.name}: {'; '.join(wrong)}"


def test_a_wrong_command_would_be_noticed() -> None:
    assert wrong_with(["lab", "launhc"]) == "there is no `lab launhc`"
    assert wrong_with(["lab", "stop", "--forse"]) == "`lab stop` has no option --forse"
    assert wrong_with(["hotswap", "list", "one", "two"]) is not None


@each_page
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = re.findall(r"`make ([\w-]+)`", prose(page))
    said += [target for text in blocks(page, *SHELLS) for target in re.findall(r"^make ([\w-]+)", text, re.MULTILINE)]
    assert set(said) <= targets


@each_page
def test_code_blocks_are_of_the_language_they_name(page: Path) -> None:
    for text in blocks(page, "toml"):
        tomllib.loads(text)
    for text in blocks(page, "python"):
        compile(dedented(text), str(page), "exec")


def dedented(text: str) -> str:
    """A fragment from inside a class or function, made a whole."""
    text = text if text[0] != " " else f"class _:\n{text}"
    return f"{text.rstrip()}\n        ...\n" if text.rstrip().endswith(":") else text


@each_page
def test_there_are_no_leftovers(page: Path) -> None:
    assert UNWANTED.search(page.read_text()) is None


def test_every_page_can_be_reached() -> None:
    linked = {
        (page.parent / target.partition("#")[0]).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)\s]+)\)", prose(page))
    }
    assert {page for page in DOCS.rglob("*.md") if page not in linked} == set()


def test_pictures_are_well_formed_and_follow_the_colour_scheme() -> None:
    pictures = list((DOCS / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        text = picture.read_text()
        assert ET.fromstring(text).tag.endswith("svg")
        assert "prefers-color-scheme: dark" in text
        assert "<title" in text


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_reference_names_every_command_and_option(program: str) -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    for name, command in every_command(PROGRAMS[program]):
        assert isinstance(command, click.Group) or f"`{program} {name}" in page, (
            f"docs/reference/cli.md does not tell of `{program} {name}`"
        )
        for option in (text for parameter in command.params for text in parameter.opts if text.startswith("--")):
            assert re.search(rf"`{option}[ `]", page), f"docs/reference/cli.md does not tell of {name} {option}"


def test_the_reference_names_every_setting() -> None:
    page = (DOCS / "reference" / "lab-toml.md").read_text()
    table, told = "", set()
    for cells in re.findall(r"^\|([^|]*)\|([^|]*)\|", page, re.MULTILINE):
        table = next(iter(re.findall(r"`\[([\w.]+)\]`", cells[0])), table)
        told |= {(table, key) for key in re.findall(r"`(\w+)`", cells[1])}
    missing = set(flatten(LabConfig)) - told
    assert not missing, f"docs/reference/lab-toml.md does not tell of {missing}"


def test_the_reference_names_exactly_the_routes_there_are() -> None:
    app = create_app(MagicMock(), lab="lab", token="token")
    routes: set[str] = {f"{'POST' if 'POST' in route.methods else 'GET'} {route.path}" for route in app.routes}  # type: ignore[attr-defined]
    page = (DOCS / "reference" / "http-api.md").read_text()
    assert set(re.findall(r"^\| `((?:GET|POST) [^`]+)` \|", page, re.MULTILINE)) == routes


@pytest.mark.parametrize(
    "words", [TaskStatus, ExperimentStatus, RequestStatus, DeviceState, PromptStatus, PromptCategory, SnapshotState]
)
def test_the_reference_names_every_status(words: Any) -> None:
    page = (DOCS / "reference" / "statuses.md").read_text()
    assert not [word for word in words if f"`{word}`" not in page]


def test_the_reference_names_every_kind_of_event() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "lab").rglob("*.py"))
    kinds = set(re.findall(r"\.log\(\s*\"(\w+\.\w+)\"", sources))
    page = (DOCS / "reference" / "statuses.md").read_text()
    assert kinds
    assert not [kind for kind in sorted(kinds) if f"`{kind}`" not in page]


def test_decisions_are_numbered_and_listed() -> None:
    records = sorted(path.name for path in (DOCS / "decisions").glob("[0-9]*.md"))
    assert [int(name[:4]) for name in records] == list(range(1, len(records) + 1))
    index = (DOCS / "decisions" / "README.md").read_text()
    for name in records:
        text = (DOCS / "decisions" / name).read_text()
        assert name in index
        assert all(f"**{part}.**" in text for part in ("Question", "Decision", "Why", "Cost")), name
