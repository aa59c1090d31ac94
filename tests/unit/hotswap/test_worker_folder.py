"""One worker has the folder of an application; whoever finds it taken learns which."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from hotswap.cli import main
from hotswap.errors import ProcessError
from hotswap.process.identity import Identity
from hotswap.store import Store
from hotswap.worker.folder import RunFolder, applications
from hotswap.worker.stopping import stop


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path, "my_app")


def test_a_second_worker_is_told_how_to_end_the_first(folder: RunFolder) -> None:
    with folder.take(), pytest.raises(ProcessError, match="`hotswap stop my_app`"):
        folder.take()


def test_a_folder_tells_who_took_it(folder: RunFolder) -> None:
    assert folder.worker() is None
    with folder.take():
        assert folder.worker() == Identity.mine()


def test_it_is_free_when_its_worker_has_ended(folder: RunFolder) -> None:
    folder.take().close()
    folder.take().close()


def test_a_folder_that_is_taken_namelessly_is_not_stopped(tmp_path: Path, folder: RunFolder) -> None:
    lock = folder.take_if_free()
    assert lock is not None
    with lock, pytest.raises(ProcessError, match="being started or stopped"):
        stop(Store(tmp_path), "my_app")


def test_the_applications_are_those_that_ran(tmp_path: Path, folder: RunFolder) -> None:
    assert applications(tmp_path) == []
    folder.take().close()
    assert applications(tmp_path) == ["my_app"]


def test_what_has_never_run_is_not_stopped(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "manifests").mkdir()

    def refused(*app: str) -> str:
        done = CliRunner().invoke(main, ["stop", *app, "--store", str(tmp_path)])
        assert done.exit_code == 2
        return done.stderr

    assert "No `hotswap worker` has run" in refused()
    for app in ("one", "two"):
        RunFolder(store.root, app).take().close()
    assert refused() == "error: Name the application to stop: it has one, two.\n"
    assert "No worker of three has run" in refused("three")
