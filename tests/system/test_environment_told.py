"""Code that meets another environment than it was frozen with says so, or is not run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributions import Site, make_package

import hotswap
from hotswap.drift import EnvironmentWarning
from hotswap.environment import Environment
from hotswap.errors import DriftError
from hotswap.fleet import Fleet, FleetClient, serve_fleet
from hotswap.wire import address_of, listen

pytestmark = pytest.mark.system

SENTENCE = r"meets other distributions than it was frozen with \(library 1.0 -> 2.0\)"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    work = "try:\n    import library\nexcept ImportError:\n    library = None\n\ndef answer():\n    return 42\n"
    return make_package(tmp_path / "app", {"__init__.py": "", "work.py": work})


@pytest.fixture
def store(tmp_path: Path) -> hotswap.Store:
    return hotswap.Store(tmp_path / "store")


@pytest.fixture
def drifted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path, store: hotswap.Store) -> str:
    """A snapshot with a library that was upgraded since."""
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    site.install("library", "1.0")
    snapshot = store.freeze(hotswap.TreeSource(package))
    site.install("library", "2.0")
    return snapshot.id


@pytest.fixture
def fleet(tmp_path: Path, store: hotswap.Store) -> Iterator[Fleet]:
    fleet = Fleet(store, tmp_path / "run", "a secret")
    yield fleet
    fleet.close(end=True)


def test_opening_a_version_warns_and_names_what_differs(drifted: str, store: hotswap.Store) -> None:
    with pytest.warns(EnvironmentWarning, match=SENTENCE) as told, hotswap.open(drifted, store.root) as version:
        assert version.run("app.work:answer") == 42
    assert told[0].filename == __file__


def test_opening_a_version_strictly_refuses_it(drifted: str, store: hotswap.Store) -> None:
    with pytest.raises(DriftError, match=SENTENCE):
        hotswap.open(drifted, store.root, strict=True)


def test_a_fleet_tells_what_differs_and_so_does_the_log(drifted: str, fleet: Fleet, tmp_path: Path) -> None:
    assert fleet.describe(drifted)["drift"] == [["library", "1.0", "2.0"]]
    log = (tmp_path / "run" / f"template-{drifted[:12]}.log").read_text()
    assert "(library 1.0 -> 2.0)" in log.splitlines()[0]


def test_a_strict_fleet_starts_nothing_where_something_differs(
    package: Path, store: hotswap.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    site.install("library", "1.0")
    snapshot = store.freeze(hotswap.TreeSource(package)).id
    fleet = Fleet(store, tmp_path / "run", "a secret", strict=True)
    try:
        fleet.describe(snapshot)
        site.install("library", "2.0")
        with pytest.raises(DriftError, match=SENTENCE):
            fleet.describe(snapshot)
        with pytest.raises(DriftError, match=SENTENCE):
            fleet.ensure("late", snapshot, "hotswap.versions:serve", {})
        site.install("library", "1.0")
        assert fleet.describe(snapshot)["drift"] == []
    finally:
        fleet.close(end=True)


def test_a_strict_fleet_replaces_a_zygote_whose_modules_were_upgraded(
    package: Path, store: hotswap.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def zygote() -> int:
        return next(each["pid"] for each in fleet.processes() if each["kind"] == "zygote")

    site = Site(tmp_path / "site")
    monkeypatch.syspath_prepend(str(site.folder))
    monkeypatch.setenv("PYTHONPATH", str(site.folder))
    site.install("library", "1.0")
    fleet = Fleet(store, tmp_path / "run", "a secret", preload=["library"], strict=True)
    try:
        fleet.describe(store.freeze(hotswap.TreeSource(package)).id)
        first = zygote()
        (package / "more.py").touch()
        fleet.describe(store.freeze(hotswap.TreeSource(package)).id)
        assert zygote() == first
        site.install("library", "2.0")
        fleet.describe(store.freeze(hotswap.TreeSource(package)).id)
        assert zygote() != first
    finally:
        fleet.close(end=True)


def test_a_fleet_tells_of_no_drift_where_there_is_none(package: Path, store: hotswap.Store, fleet: Fleet) -> None:
    assert fleet.describe(store.freeze(hotswap.TreeSource(package)).id)["drift"] == []


def test_who_asks_the_fleet_from_another_process_is_told_of_drift_as_drift(
    package: Path, store: hotswap.Store, fleet: Fleet
) -> None:
    snapshot = store.freeze(hotswap.TreeSource(package), Environment("cp309")).id
    listener = listen()
    server = serve_fleet(fleet, listener, "a secret")
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        with pytest.raises(DriftError, match=r"was frozen for cp309, and this is .*, or freeze the code again\.$"):
            FleetClient(address_of(listener), "a secret").describe(snapshot)
    finally:
        server.stop()
        thread.join()


def test_code_for_another_python_is_not_run(package: Path, store: hotswap.Store, fleet: Fleet) -> None:
    snapshot = store.freeze(hotswap.TreeSource(package), Environment("cp309")).id
    with pytest.raises(DriftError, match=r"was frozen for cp309"):
        hotswap.open(snapshot, store.root)
    with pytest.raises(DriftError, match=r"was frozen for cp309"):
        fleet.describe(snapshot)
    assert [each["kind"] for each in fleet.processes()] == []
