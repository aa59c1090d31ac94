"""What the doctor says of processes, without any: this one stands for them."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from hotswap.process import Identity
from lab.client import ClientError
from lab.doctor import Report
from lab.doctor._processes import check_managers, check_processes
from lab.services.supervisor import only_one
from lab.settings.config import LabConfig, load


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    """A laboratory of which nothing but the managers runs."""
    (tmp_path / "lab.toml").write_text('[general]\npackage = "my_lab"\nstate_dir = "state"\n')
    record = tmp_path / "state" / "run" / "managers.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"identity": Identity.mine().to_dict()}))
    return load(tmp_path, {})


def test_what_somebody_is_about_to_start_is_not_left_over(config: LabConfig) -> None:
    with only_one(config):
        check_processes(report := Report(), config)
    assert report.findings == []
    check_processes(later := Report(), config)
    (left,) = later.findings
    assert left.what == "though the lab does not run, some of its processes do: managers"


def test_a_lab_that_was_never_launched_is_left_without_a_folder(tmp_path: Path) -> None:
    (tmp_path / "lab.toml").write_text('[general]\npackage = "my_lab"\nstate_dir = "state"\n')
    check_processes(report := Report(), load(tmp_path, {}))
    assert (report.findings, (tmp_path / "state").exists()) == ([], False)


def test_managers_that_answer_with_an_error_are_found(config: LabConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MagicMock()
    client.get.side_effect = ClientError("Something is wrong.", 500)
    monkeypatch.setattr("lab.doctor._processes.client_of", lambda *_, **__: client)
    check_managers(report := Report(), config)
    assert [finding.what for finding in report.findings] == ["the managers fail: Something is wrong."]
