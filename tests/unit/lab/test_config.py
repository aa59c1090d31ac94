"""Settings of a laboratory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.config import ConfigError, LabConfig, load

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write lab.toml beside a package called my_lab."""
    lab_dir = tmp_path / "night_lab"
    (lab_dir / "my_lab").mkdir(parents=True)
    (lab_dir / "my_lab" / "__init__.py").touch()

    def write_settings(text: str) -> Path:
        (lab_dir / "lab.toml").write_text(text)
        return lab_dir

    return write_settings


def loaded(lab_dir: Path, **environ: str) -> LabConfig:
    return load(lab_dir, environ={"XDG_STATE_HOME": "/state", **environ})


def test_an_empty_file_gives_safe_defaults(write: Write) -> None:
    config = loaded(lab_dir := write(""))
    assert config.general.name == "night_lab"
    assert config.general.package == lab_dir / "my_lab"
    assert config.package_name == "my_lab"
    assert config.general.simulation
    assert not config.general.auto_refresh
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8895)
    assert (config.mongodb.uri, config.broker.url) == (None, None)
    assert config.path == lab_dir / "lab.toml"


def test_the_file_decides(write: Write) -> None:
    config = loaded(
        write(
            """
            [general]
            name = "x"
            auto_refresh = true
            trigger = "save"
            cutover = "rolling"
            [server]
            port = 0
            [worker]
            capacity = 7
            """
        )
    )
    assert (config.general.name, config.general.trigger, config.general.cutover) == ("x", "save", "rolling")
    assert (config.general.auto_refresh, config.server.port, config.worker.capacity) == (True, 0, 7)


def test_the_nearest_file_above_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    lab_dir = write('[general]\nname = "found"')
    monkeypatch.chdir(lab_dir / "my_lab")
    assert load().general.name == "found"


def test_a_file_can_be_named(write: Write) -> None:
    lab_dir = write('[general]\nname = "named"')
    assert load(lab_dir / "lab.toml").general.name == "named"


def test_the_environment_wins(write: Write) -> None:
    config = loaded(write("[server]\nport = 1"), LAB_PORT="0", LAB_STATE_DIR="/elsewhere")
    assert (config.server.port, config.general.state_dir) == (0, Path("/elsewhere"))


def test_state_is_kept_outside_the_lab_and_apart_from_other_labs(write: Write, tmp_path: Path) -> None:
    first = loaded(write('[general]\nname = "same"')).general.state_dir
    (tmp_path / "night_lab").rename(tmp_path / "day_lab")
    second = loaded(tmp_path / "day_lab").general.state_dir
    assert first.parent == second.parent == Path("/state/hotswap")
    assert first.name.startswith("same-")
    assert first != second


def test_a_given_state_dir_is_relative_to_the_lab(write: Write) -> None:
    lab_dir = write('[general]\nstate_dir = "state"')
    assert loaded(lab_dir).general.state_dir == lab_dir / "state"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[general", "is not valid TOML"),
        ("general = 1", "general must be a table"),
        ("lab_dir = '/'", "no key 'lab_dir'"),
        ("server = 1", "server: "),
        ('[general]\ntrigger = "never"', "general.trigger: input should be 'commit' or 'save'"),
        ("[general]\ncolour = 1", "there is no key 'general.colour'"),
        ('[general]\nname = ""', "general.name: "),
        ("[server]\nport = 70000", "server.port: "),
        ('[server]\nhost = "0.0.0.0"', "server: host '0.0.0.0' can be reached from other machines"),
        ("[worker]\ncapacity = 0", "worker.capacity: "),
        ("[refresh]\ntemplate_timeout = -1", "refresh.template_timeout: "),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(write: Write, text: str, sentence: str) -> None:
    lab_dir = write(text)
    with pytest.raises(ConfigError) as caught:
        loaded(lab_dir)
    assert str(lab_dir / "lab.toml") in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_lab_package_has_to_be_there_to_launch_and_not_to_ask(write: Write) -> None:
    config = loaded(write('[general]\npackage = "nowhere"'))
    with pytest.raises(ConfigError, match="holds no __init__"):
        config.check_package()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.2", "::1"])
def test_loopback_hosts_need_no_permission(write: Write, host: str) -> None:
    assert loaded(write(f'[server]\nhost = "{host}"')).server.host == host


def test_a_remote_host_needs_permission(write: Write) -> None:
    assert loaded(write('[server]\nhost = "0.0.0.0"\nallow_remote = true')).server.host == "0.0.0.0"


def test_two_packages_must_be_told_apart(write: Write) -> None:
    lab_dir = write("")
    (lab_dir / "other").mkdir()
    (lab_dir / "other" / "__init__.py").touch()
    with pytest.raises(ConfigError, match=r'not my_lab, other: say which with package = "..."'):
        loaded(lab_dir)


def test_tests_are_not_the_lab_package(write: Write) -> None:
    lab_dir = write("")
    (lab_dir / "tests").mkdir()
    (lab_dir / "tests" / "__init__.py").touch()
    assert loaded(lab_dir).package_name == "my_lab"


@pytest.mark.parametrize("name", ["lab", "hotswap", "my-lab"])
def test_a_package_with_a_name_that_cannot_be_imported_is_refused(write: Write, name: str) -> None:
    lab_dir = write("")
    (lab_dir / "my_lab").rename(lab_dir / name)
    with pytest.raises(ConfigError, match=f"cannot be called '{name}'"):
        loaded(lab_dir)


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="make a lab with `lab init`"):
        load(tmp_path)


def test_a_port_that_is_no_number_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match="LAB_PORT is 'http'"):
        loaded(write(""), LAB_PORT="http")


def test_passwords_do_not_show(write: Write) -> None:
    config = loaded(write('[mongodb]\nuri = "mongodb://me:secret@localhost"'))
    assert "secret" not in repr(config)


@pytest.mark.parametrize("name", ["a lab: with everything!", "Labor für Öfen", "x" * 80, "plain-name_1"])
def test_any_name_gives_one_that_databases_and_queues_take(write: Write, name: str) -> None:
    slug = loaded(write(f'[general]\nname = "{name}"\n')).slug
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", slug)
    assert (slug == name) == bool(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", name))


def test_simulation_has_a_database_of_its_own(write: Write) -> None:
    simulated = loaded(write('[general]\nname = "one"\n')).database
    assert loaded(write('[general]\nname = "one"\nsimulation = false\n')).database != simulated


def test_a_cutover_that_does_not_exist_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"general\.cutover: input should be 'rolling' or 'barrier'"):
        loaded(write('[general]\ncutover = "sudden"\n'))


@pytest.mark.parametrize("general", ["", 'branch = "main"\ntrigger = "save"\n'])
def test_a_remote_needs_a_branch_to_take_from_it(write: Write, general: str) -> None:
    with pytest.raises(ConfigError, match=r"code.remote is 'origin', but which branch .*: set branch in \[general\]"):
        loaded(write(f'[general]\n{general}[code]\nremote = "origin"\n'))


def test_what_is_told_of_the_settings_has_no_address_and_no_secret(write: Write) -> None:
    written = '[mongodb]\nuri = "mongodb://me:secret@host"\n[broker]\nurl = "redis://:secret@host"\n'
    told = loaded(write(f'{written}[server]\nhost = "127.0.0.9"\n[code]\nextra = ["my_lab"]\n')).told()
    assert not [word for word in ("secret", "host", "127.0.0.9") if word in str(told)]
    assert (told["general"]["simulation"], told["code"]["local"]) == (True, True)
