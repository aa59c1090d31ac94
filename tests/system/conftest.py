"""One launched laboratory, shared by the tests that leave it able to go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from laboratory import Laboratory, laboratory


@pytest.fixture(scope="session")
def shared_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory(tmp_path_factory.mktemp("laboratory")) as launched:
        yield launched


@pytest.fixture
def lab(shared_lab: Laboratory) -> Laboratory:
    """The shared lab, with every device as the current code wants it."""
    shared_lab.settle()
    return shared_lab


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """Tasks that hold a furnace do so until this file exists; at the end of the test it does."""
    gate = tmp_path / "gate"
    yield gate
    gate.touch()
