"""The settings in effect, and where they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.settings.effective import effective


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[worker]\ncapacity = 7\n[mongodb]\nuri = "mongodb://me:hidden@host:9/x?p=hid2"')
    return tmp_path


def test_each_setting_says_where_it_comes_from(folder: Path) -> None:
    environ = {"LAB_PORT": "0", "HOTSWAP_LAB__GENERAL__NAME": "night"}
    found = {setting.key: (setting.value, setting.origin) for setting in effective(folder, environ)}
    assert found["worker.capacity"] == (7, str(folder / "lab.toml"))
    assert found["server.port"] == (0, "LAB_PORT")
    assert found["general.name"] == ("night", "HOTSWAP_LAB__GENERAL__NAME")
    assert found["refresh.debounce_ms"] == (50, "default")
    assert found["general.package"] == (str(folder / "my_lab"), "default")


def test_secrets_are_not_shown(folder: Path) -> None:
    environ = {"HOTSWAP_LAB__ALARMS__WEBHOOK__URL": "https://hook/hid3", "HOTSWAP_LAB__BROKER__URL": "hid4"}
    settings = effective(folder, environ)
    assert "hid" not in str(settings)
    found = {setting.key: setting.value for setting in settings}
    assert found["mongodb.uri"] == "mongodb://***@host:9"
    assert found["alarms.webhook.url"] == found["broker.url"] == "***"
