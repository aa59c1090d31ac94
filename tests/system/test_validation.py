"""`lab validate` imports the code in a process of its own, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotswap.errors import DescribeError
from lab.init import create_lab
from lab.settings.config import LabConfig, load
from lab.validation import validate

pytestmark = pytest.mark.system


@pytest.fixture
def config(tmp_path: Path) -> LabConfig:
    return load(create_lab(tmp_path / "my_lab"), {"LAB_STATE_DIR": str(tmp_path / "state")})


def test_code_that_would_go_live_is_told(config: LabConfig) -> None:
    told = validate(config)
    assert "furnace_1" in told["devices"]
    assert "Heating" in told["tasks"]
    assert not config.general.state_dir.exists()


def test_code_that_would_not_is_refused_with_file_and_line(config: LabConfig) -> None:
    (config.general.package / "tasks" / "broken.py").write_text("VALUE = 1\ndef (\n")
    with pytest.raises(DescribeError, match=r"my_lab/tasks/broken\.py, line 2"):
        validate(config)
    assert validate(config, "HEAD")["tasks"]  # what is committed is fine
