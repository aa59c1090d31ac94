"""The settings of a laboratory: ``lab.toml`` beside its package."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from blake3 import blake3
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from lab.alarms.settings import Alarms
from lab.settings.keeping import Archive, Retention
from lab.settings.overrides import Key, Table, overridden
from lab.settings.section import ConfigError, Section, is_loopback, revealed
from lab.settings.simulation import Simulation

FILE_NAME = "lab.toml"
DEFAULT_PORT = 8895
RESERVED_PACKAGES = frozenset({"hotswap", "lab"})


def _said(simulation: object) -> object:
    """Nothing but the word, and no variable of the environment, turns simulation off."""
    if not isinstance(simulation, bool):
        raise ValueError(  # noqa: TRY004 - what pydantic makes a sentence of
            f"it is {simulation!r}: write true or false, and in lab.toml itself"
        )
    return simulation


def _name_of_remote(remote: str) -> str:
    if ":" in remote or remote.startswith((".", "/")):
        # Not quoted: there may be a password in it.
        raise ValueError("it is an address: give that a name with `git remote add NAME ADDRESS`, and write the name")
    return remote


class General(Section):
    """``[general]``: what the lab is and how it takes new code. Paths are absolute once loaded.

    ``simulate`` are patterns of devices that pretend although ``simulation`` is off, which only ``false`` turns off.
    ``pin``: what is bound to the code that is current at its dispatch, each task, or an experiment with its first one.
    """

    name: str = Field(min_length=1)
    package: Path
    auto_refresh: bool = False
    trigger: Literal["commit", "save"] = "commit"
    branch: str | None = None
    simulation: Annotated[bool, BeforeValidator(_said)] = True
    simulate: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    state_dir: Path
    cutover: Literal["rolling", "barrier"] = "rolling"
    pin: Literal["task", "experiment"] = "task"


class Server(Section):
    """``[server]``: where the HTTP API listens; port 0 takes any free one."""

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    allow_remote: bool = False

    @model_validator(mode="after")
    def _listen_on_loopback(self) -> Server:
        if not (self.allow_remote or is_loopback(self.host)):
            raise ValueError(
                f"host {self.host!r} can be reached from other machines: use 127.0.0.1, "
                "or set allow_remote = true if that is meant"
            )
        return self


class MongoDB(Section):
    """``[mongodb]``: without a ``uri`` the lab starts a database of its own."""

    uri: str | None = Field(default=None, repr=False)
    uri_env: str | None = None
    uri_file: Path | None = None

    def revealed(self, environ: Mapping[str, str]) -> MongoDB:
        return self.model_copy(update=revealed("mongodb.uri", self.uri, self.uri_env, self.uri_file, environ))


class Broker(Section):
    """``[broker]``: without a ``url`` the lab starts a broker of its own."""

    url: str | None = Field(default=None, repr=False)
    url_env: str | None = None
    url_file: Path | None = None

    def revealed(self, environ: Mapping[str, str]) -> Broker:
        return self.model_copy(update=revealed("broker.url", self.url, self.url_env, self.url_file, environ))


class Worker(Section):
    """``[worker]``: ``capacity`` is how many tasks one worker process runs at once.

    ``cancel_grace`` is how many seconds a cancelled task has to end, ``unreachable_after`` how many a worker may give
    no sign of life before people are told.
    ``memory_mb`` is what all workers and driver processes may use together: over it new ones wait, none is ended.
    """

    capacity: int = Field(default=500, ge=1)
    cancel_grace: float = Field(default=30.0, gt=0)
    unreachable_after: float = Field(default=30.0, ge=1)
    memory_mb: int | None = Field(default=None, ge=256)


class Refresh(Section):
    """``[refresh]``: limits while new code is imported (seconds, MB), and how long a save must settle.

    ``on_failure``: what follows when a device does not connect with its new driver and keeps the one before.
    ``barrier_timeout``: seconds that a barrier may wait before it is undone.
    """

    template_timeout: float = Field(default=30.0, gt=0)
    template_memory_mb: int = Field(default=4096, ge=64)
    debounce_ms: int = Field(default=50, ge=0)
    on_failure: Literal["wait", "rollback"] = "wait"
    barrier_timeout: float = Field(default=3600.0, gt=0)


class Code(Section):
    """``[code]``: what is frozen beside the lab package; paths are absolute once loaded.

    With ``remote`` the watched branch is that repository's, asked every ``fetch_interval`` seconds.
    """

    local: bool = True
    extra: tuple[Path, ...] = ()
    remote: Annotated[str, Field(min_length=1), AfterValidator(_name_of_remote)] | None = None
    fetch_interval: float = Field(default=30.0, ge=1)


class Policy(Section):
    """``[policy]``: which code may go live, and which results count; paths are absolute once loaded.

    ``queued`` is for tasks that wait and that new code does not take: the code is refused, or they are held, or kept on
    the code before. ``removals`` is for devices and positions in use: "retire" takes them away once they are free.
    ``results`` that are not as a task's ``result_specification`` promises are kept with a warning, or are an error.
    ``deadlock``: tasks that wait for each other are told of, or the youngest of their requests fails.
    ``allow_dirty`` None means in simulation only. ``allowed_signers`` is a file as git's gpg.ssh.allowedSignersFile.
    """

    allow_dirty: bool | None = None
    branches: tuple[str, ...] = ()
    signed: bool = False
    allowed_signers: Path | None = None
    removals: Literal["retire", "refuse"] = "retire"
    queued: Literal["refuse", "hold", "keep"] = "hold"
    results: Literal["warn", "refuse"] = "warn"
    deadlock: Literal["tell", "fail_youngest"] = "tell"


class Snapshots(Section):
    """``[snapshots]``: which code is kept though nothing at work needs it; see ``lab collect``."""

    keep_generations: int = Field(default=20, ge=1)
    keep_days: int | None = Field(default=None, ge=1)


class Signals(Section):
    """``[signals]``: for how long what devices measured is kept."""

    keep_days: float = Field(default=30.0, gt=0, allow_inf_nan=False)


class LabConfig(Section):
    """All settings of one laboratory; see `load`."""

    lab_dir: Path
    general: General
    server: Server = Field(default_factory=Server)
    mongodb: MongoDB = Field(default_factory=MongoDB)
    broker: Broker = Field(default_factory=Broker)
    worker: Worker = Field(default_factory=Worker)
    refresh: Refresh = Field(default_factory=Refresh)
    code: Code = Field(default_factory=Code)
    snapshots: Snapshots = Field(default_factory=Snapshots)
    signals: Signals = Field(default_factory=Signals)
    policy: Policy = Field(default_factory=Policy)
    alarms: Alarms = Field(default_factory=Alarms)
    archive: Archive = Field(default_factory=Archive)
    retention: Retention = Field(default_factory=Retention)

    @model_validator(mode="after")
    def _remote_needs_a_branch(self) -> LabConfig:
        if self.code.remote is not None and (self.general.branch is None or self.general.trigger == "save"):
            raise ValueError(
                "code.remote is set, but which branch of it to take is not said: "
                'set branch in [general], with trigger = "commit"'
            )
        return self

    def told(self) -> dict[str, Any]:
        """The settings that decide which code runs and how, as plain data: no address, no secret."""
        keys = {"simulation", "simulate", "trigger", "branch", "cutover", "pin"}
        general = self.general.model_dump(mode="json", include=keys)
        policy = self.policy.model_dump(mode="json")
        return {"general": general, "code": self.code.model_dump(mode="json"), "policy": policy}

    def revealed(self, environ: Mapping[str, str] = os.environ) -> LabConfig:
        """The same with every secret in its place. Raises ConfigError when one cannot be had."""
        try:
            found = {
                "mongodb": self.mongodb.revealed(environ),
                "broker": self.broker.revealed(environ),
                "alarms": self.alarms.revealed(environ),
                "archive": self.archive.revealed(environ),
            }
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error
        return self.model_copy(update=found)

    @property
    def simulation(self) -> Simulation:
        """Which devices pretend."""
        return Simulation(self.general.simulation, self.general.simulate)

    @property
    def path(self) -> Path:
        """The file the settings came from."""
        return self.lab_dir / FILE_NAME

    @cached_property
    def slug(self) -> str:
        """The lab's name as databases and queues take it: 40 letters, digits, ``-`` and ``_`` at most."""
        name = self.general.name
        plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:40]
        return plain if plain == name else f"{plain[:31]}_{blake3(name.encode()).hexdigest(length=4)}"

    @property
    def database(self) -> str:
        """Simulated work has a database of its own."""
        return f"{self.slug}_sim" if self.general.simulation else self.slug

    @property
    def archive_database(self) -> str:
        """Neither is simulated work archived beside the other."""
        name = self.archive.database or f"{self.slug}_archive"
        return f"{name}_sim" if self.general.simulation else name

    @cached_property
    def package_name(self) -> str:
        """The name the lab package is imported under."""
        return self.general.package.name

    def check_package(self) -> None:
        """Raise `ConfigError` unless the lab package is there; a lab that runs goes on while somebody edits it."""
        package = self.general.package
        if not (package / "__init__.py").is_file():
            file = self.lab_dir / FILE_NAME
            raise ConfigError(f"{file}: general.package names {package}, which holds no __init__.py: correct the path")


@dataclass(frozen=True)
class Written:
    """What is written about a lab: ``table`` as the file and the environment say; the keys that each of them gave."""

    file: Path
    table: Table
    in_file: Table
    variables: Mapping[Key, str]

    def origin(self, key: Key) -> str:
        """Where to look for the value of a key, or for the values of a table."""
        for given, name in self.variables.items():
            if key[: len(given)] == given:
                return f"the environment variable {name}"
        inside = [name for given, name in self.variables.items() if given[: len(key)] == key]
        return f"{self.file} with {', '.join(inside)}" if inside else str(self.file)


def load(path: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> LabConfig:
    """Load the settings from a file, from a folder or the nearest one above it (default: the current one).

    ``HOTSWAP_LAB__SECTION__KEY``, ``LAB_STATE_DIR`` and ``LAB_PORT`` in ``environ`` win over the file. Raises
    `ConfigError`, one sentence with file or variable, key, reason and what to do. Secrets stay where they are, see
    `LabConfig.revealed`.
    """
    return settings_of(read(path, environ), environ)


def read(path: Path | str | None = None, environ: Mapping[str, str] = os.environ) -> Written:
    """What the file and the environment say, not checked yet; as `load` finds it."""
    file = _find(Path.cwd() if path is None else Path(path))
    in_file = parse(file)
    table, variables = overridden(in_file, environ)
    return Written(file, table, in_file, variables)


def settings_of(written: Written, environ: Mapping[str, str] = os.environ) -> LabConfig:
    """The settings that were written; raises `ConfigError`."""
    file, table = written.file, _placed(written.table, written.file.parent)
    general = table.setdefault("general", {})
    if not isinstance(general, dict):
        raise ConfigError(f"{file}: general must be a table: write it as [general]")
    _fill_general(file, general, environ)
    _place_extra(file, table.get("code"))
    _place_signers(file, table.get("policy"))
    _refuse_secrets(written)
    if "lab_dir" in table:
        raise ConfigError(f"{written.origin(('lab_dir',))}: there is no key 'lab_dir': remove it")
    try:
        return LabConfig.model_validate({**table, "lab_dir": file.parent})
    except ValidationError as error:
        raise ConfigError(_sentence(written, error)) from error


def _refuse_secrets(written: Written) -> None:
    """Those that are nothing but secret have no place in a file that is shown around, and kept in git."""
    for table, key in (("email", "password"), ("webhook", "url")):
        alarms = written.in_file.get("alarms")
        section = alarms.get(table) if isinstance(alarms, dict) else None
        if isinstance(section, dict) and key in section:
            raise ConfigError(
                f"{written.file}: alarms.{table}.{key} is a secret, and this file is no place for one: write it into a "
                f'file of its own and name that with {key}_file = "..."'
            )


def _placed(table: Table, folder: Path) -> Table:
    """A copy, in which the files that hold secrets are relative to ``folder`` no more."""

    def place(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return _placed(value, folder)
        is_file = key.endswith("_file") and isinstance(value, str)
        return folder / Path(value).expanduser() if is_file else value

    return {key: place(key, value) for key, value in table.items()}


def _find(start: Path) -> Path:
    start = start.expanduser().resolve()
    if start.is_file():
        return start
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    raise ConfigError(
        f"there is no {FILE_NAME} in {start} or any folder above it: "
        "go to your lab's folder, or make a lab with `lab init`"
    )


def parse(file: Path) -> dict[str, Any]:
    """What stands in a TOML file. Raises ConfigError."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not valid TOML ({error}): correct that line") from error
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be read ({error.strerror}): correct its path, or allow this user to read it"
        ) from error


def _fill_general(file: Path, general: dict[str, Any], environ: Mapping[str, str]) -> None:
    lab_dir = file.parent
    name = str(general.setdefault("name", lab_dir.name))
    package, state_dir = general.get("package"), general.get("state_dir") or None
    # What is no text is left to be refused by its key.
    if package is None or isinstance(package, str):
        general["package"] = _package(file, package)
    if state_dir is None:
        general["state_dir"] = _default_state_dir(lab_dir, name, environ)
    elif isinstance(state_dir, str):
        general["state_dir"] = lab_dir / Path(state_dir).expanduser()


def _package(file: Path, given: str | None) -> Path:
    package = _only_package(file) if given is None else (file.parent / given).resolve()
    if package.name in RESERVED_PACKAGES or not package.name.isidentifier():
        raise ConfigError(f"{file}: a lab package cannot be called {package.name!r}: rename its folder")
    return package


def _place_extra(file: Path, code: object) -> None:
    extra = code.get("extra") if isinstance(code, dict) else None
    if isinstance(code, dict) and isinstance(extra, list):
        code["extra"] = [(file.parent / str(path)).resolve() for path in extra]
        for path in code["extra"]:
            if not (path.is_dir() or path.is_file()):
                raise ConfigError(f"{file}: code.extra names {path}, which does not exist: correct the path")


def _place_signers(file: Path, policy: object) -> None:
    if isinstance(policy, dict) and "allowed_signers" in policy:
        signers = (file.parent / Path(str(policy["allowed_signers"])).expanduser()).resolve()
        policy["allowed_signers"] = signers
        if not signers.is_file():
            raise ConfigError(
                f"{file}: policy.allowed_signers names {signers}, which is no file: write one, a line per person with "
                "an e-mail address and a public ssh key"
            )


def _only_package(file: Path) -> Path:
    found = sorted(each.parent for each in file.parent.glob("*/__init__.py") if each.parent.name != "tests")
    if len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in found) or "none"
    raise ConfigError(
        f'{file}: there must be one package beside it, not {names}: say which with package = "..." in [general]'
    )


def _default_state_dir(lab_dir: Path, name: str, environ: Mapping[str, str]) -> Path:
    base = Path(environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    # Two labs of one name, say two checkouts, must not share a database.
    mark = blake3(str(lab_dir).encode()).hexdigest(length=4)
    return base / "hotswap" / f"{name}-{mark}"


def _sentence(written: Written, error: ValidationError) -> str:
    # What is written and wrong comes before what is not written.
    first = min(error.errors(include_url=False), key=lambda one: one["type"] == "missing")
    where = written.origin(tuple(str(part) for part in first["loc"]))
    key = ".".join(str(part) for part in first["loc"]) or "the settings"
    if first["type"] == "extra_forbidden":
        return f"{where}: there is no key {key!r}: correct or remove it"
    reason = str(first.get("ctx", {}).get("error", "")) or first["msg"][:1].lower() + first["msg"][1:]
    return f"{where}: {key}: {reason}"
