"""A lab's folder, and a lab that answers as told."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from answering import FakeLab


@pytest.fixture
def fake() -> Iterator[FakeLab]:
    lab = FakeLab()
    thread = threading.Thread(target=lab.server.serve_forever, args=(0.01,))
    thread.start()
    yield lab
    lab.server.shutdown()
    lab.server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lab's folder, whose lab does not run."""
    (tmp_path / "my_lab").mkdir()
    (tmp_path / "my_lab" / "__init__.py").touch()
    (tmp_path / "lab.toml").write_text('[general]\nname = "test"\nstate_dir = "state"\n')
    return tmp_path


@pytest.fixture
def running(folder: Path, fake: FakeLab) -> Path:
    """A lab's folder that points to the fake lab."""
    (folder / "state" / "run").mkdir(parents=True)
    (folder / "state" / "token").write_text("secret\n")
    (folder / "state" / "run" / "managers.json").write_text(json.dumps({"url": fake.url}))
    return folder
