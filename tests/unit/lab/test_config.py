"""Settings of a laboratory."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.settings.config import LabConfig, load
from lab.settings.overrides import forget_secrets
from lab.settings.section import ConfigError

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
    with pytest.raises(ConfigError, match=r"the environment variable LAB_PORT: server\.port: input should be"):
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


@pytest.mark.parametrize("off", ["0", '"false"', '"no"', "0.0", '""'])
def test_only_false_turns_simulation_off(write: Write, off: str) -> None:
    with pytest.raises(ConfigError, match=r"general\.simulation: "):
        loaded(write(f"[general]\nsimulation = {off}\n"))
    assert not loaded(write("[general]\nsimulation = false\n")).simulation.covers("furnace_1")


def test_the_environment_does_not_turn_simulation_off(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"SIMULATION.*it is 'false': write true or false, and in lab.toml itself"):
        loaded(write(""), HOTSWAP_LAB__GENERAL__SIMULATION="false")


def test_devices_are_simulated_by_pattern(write: Write) -> None:
    config = loaded(write('[general]\nsimulation = false\nsimulate = ["furnace_*"]\n'))
    assert (config.simulation.covers("furnace_1"), config.simulation.covers("arm")) == (True, False)
    with pytest.raises(ConfigError, match=r"general\.simulate\.0: "):
        loaded(write('[general]\nsimulate = [""]\n'))


def test_a_cutover_that_does_not_exist_is_refused(write: Write) -> None:
    with pytest.raises(ConfigError, match=r"general\.cutover: input should be 'rolling' or 'barrier'"):
        loaded(write('[general]\ncutover = "sudden"\n'))


@pytest.mark.parametrize("general", ["", 'branch = "main"\ntrigger = "save"\n'])
def test_a_remote_needs_a_branch_to_take_from_it(write: Write, general: str) -> None:
    with pytest.raises(ConfigError, match=r"code.remote is set, but which branch .*: set branch in \[general\]"):
        loaded(write(f'[general]\n{general}[code]\nremote = "origin"\n'))


@pytest.mark.parametrize("address", ["https://me:hidden@host/repo", "git@host:repo", "/srv/repo", "../repo"])
def test_a_remote_is_named_and_its_address_is_not_repeated(write: Write, address: str) -> None:
    with pytest.raises(ConfigError, match=r"lab\.toml: code\.remote: it is an address: give that a name") as refused:
        loaded(write(f'[general]\nbranch = "main"\n[code]\nremote = "{address}"\n'))
    assert address not in str(refused.value)


def test_what_is_told_of_the_settings_has_no_address_and_no_secret(write: Write) -> None:
    written = '[mongodb]\nuri = "mongodb://me:secret@host"\n[broker]\nurl = "redis://:secret@host"\n'
    told = loaded(write(f'{written}[server]\nhost = "127.0.0.9"\n[code]\nextra = ["my_lab"]\n')).told()
    assert not [word for word in ("secret", "host", "127.0.0.9") if word in str(told)]
    assert (told["general"]["simulation"], told["code"]["local"]) == (True, True)


def test_every_key_can_be_given_by_the_environment(write: Write) -> None:
    lab_dir = write("[worker]\ncapacity = 7\n[server]\nport = 1\n")
    config = loaded(
        lab_dir,
        HOTSWAP_LAB__WORKER__CAPACITY="9",
        HOTSWAP_LAB__GENERAL__AUTO_REFRESH="true",
        HOTSWAP_LAB__POLICY__BRANCHES='["main", "night"]',
        HOTSWAP_LAB__GENERAL__NAME="",
    )
    assert (config.worker.capacity, config.general.auto_refresh, config.server.port) == (9, True, 1)
    assert config.policy.branches == ("main", "night")
    assert config.general.name == "night_lab"


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("HOTSWAP_LAB__WORKER__CAPACITY", "many", "WORKER__CAPACITY: worker.capacity: input should be a valid integer"),
        ("HOTSWAP_LAB__WORKERS__CAPACITY", "1", "WORKERS__CAPACITY: there is no key 'workers'"),
        ("HOTSWAP_LAB__POLICY__BRANCHES", "[main", "POLICY__BRANCHES is not a list or table as TOML writes it"),
        ("HOTSWAP_LAB__SERVER__HOST", "0.0.0.0", "lab.toml with HOTSWAP_LAB__SERVER__HOST: server: host"),
    ],
)
def test_a_variable_that_cannot_be_used_is_refused_by_its_name(
    write: Write, variable: str, value: str, sentence: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        loaded(write(""), **{variable: value})


def test_a_file_in_the_wrong_is_not_blamed_on_a_variable(write: Write) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(write("[server]\nhost = 1\n"), LAB_PORT="0")
    assert "LAB_PORT" not in str(caught.value)


def test_a_secret_is_taken_from_a_file_that_only_its_owner_can_read(write: Write) -> None:
    lab_dir = write('[mongodb]\nuri_file = "uri"\n')
    file = lab_dir / "uri"
    file.write_text("mongodb://me:hidden@host\n")
    file.chmod(0o644)
    config = loaded(lab_dir)
    with pytest.raises(ConfigError, match=f"others can read {file}: run `chmod 600 {file}`"):
        config.revealed({})
    file.chmod(0o600)
    assert config.revealed({}).mongodb.uri == "mongodb://me:hidden@host"
    assert "hidden" not in repr(config.revealed({}))


def test_a_secret_is_taken_from_a_variable(write: Write) -> None:
    config = loaded(write('[broker]\nurl_env = "BROKER"\n'))
    assert config.revealed({"BROKER": "redis://host"}).broker.url == "redis://host"
    with pytest.raises(ConfigError, match="environment variable BROKER, which is not set"):
        config.revealed({})


@pytest.mark.parametrize("content", [None, "", b"\xff"])
def test_a_secret_file_that_holds_none_is_refused_by_name(write: Write, content: str | bytes | None) -> None:
    lab_dir = write('[mongodb]\nuri_file = "uri"\n')
    if content is not None:
        (lab_dir / "uri").write_bytes(content if isinstance(content, bytes) else content.encode())
        (lab_dir / "uri").chmod(0o600)
    with pytest.raises(ConfigError, match=r"mongodb\.uri_file: .*: write the secret into it"):
        loaded(lab_dir).revealed({})


def test_a_secret_that_is_given_twice_is_refused(write: Write) -> None:
    config = loaded(write('[mongodb]\nuri = "mongodb://host"\nuri_env = "URI"\n'))
    with pytest.raises(ConfigError, match="given more than once: keep one of"):
        config.revealed({"URI": "mongodb://other"})


def test_variables_that_hold_secrets_are_not_handed_on(write: Write) -> None:
    environ = {
        "BROKER": "redis://:hidden@host",
        "HOTSWAP_LAB__MONGODB__URI": "mongodb://me:hidden@host",
        "HOTSWAP_LAB__ARCHIVE": '{uri = "mongodb://me:hidden@host"}',
        "HOTSWAP_LAB__ALARMS": '{webhook = {url = "https://hidden"}}',
        "HOTSWAP_LAB__WORKER": "{capacity = 9}",
    }
    config = load(write('[broker]\nurl_env = "BROKER"\n'), environ)
    forget_secrets(config.model_dump(), environ)
    assert environ == {"HOTSWAP_LAB__WORKER": "{capacity = 9}"}
