"""What the doctor finds of the processes of a lab that are suspended, killed or left over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil
import pytest
from laboratory import Laboratory, laboratory

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def own_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """A lab whose processes these tests may strike; each leaves it running."""
    with laboratory(tmp_path_factory.mktemp("struck")) as launched:
        yield launched


@pytest.fixture
def lab(own_lab: Laboratory) -> Laboratory:
    own_lab.until(lambda: own_lab.run("doctor").returncode == 0)
    return own_lab


@contextmanager
def suspended(*pids: int) -> Iterator[None]:
    processes = [psutil.Process(pid) for pid in pids]
    try:
        for process in processes:
            process.suspend()
        yield
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):  # the test has killed it
                process.resume()


def found(lab: Laboratory) -> dict[str, str]:
    """What the doctor finds, and how to mend it; it has to find something."""
    run = lab.run("doctor", "--json")
    assert run.returncode == 1, run
    return {finding["what"]: finding["mend"] for finding in json.loads(run.stdout)["findings"]}


@pytest.mark.parametrize("name", ["managers", "supervisor"])
def test_one_that_is_suspended_is_found_alone(lab: Laboratory, name: str) -> None:
    pid = lab.identity(name).pid
    with suspended(pid):
        findings = found(lab)
    said = "the managers do not answer" if name == "managers" else "the supervisor does not answer"
    assert list(findings) == [said]
    assert f"`kill -CONT {pid}`" in findings[said]


def test_managers_that_nobody_starts_again_are_found(lab: Laboratory) -> None:
    with suspended(lab.identity("supervisor").pid):
        lab.identity("managers").kill()
        assert list(found(lab)) == ["the supervisor does not answer", "the managers do not run"]


@pytest.mark.parametrize("name", ["database", "broker"])
def test_an_own_server_that_is_gone_while_the_lab_runs_is_found(lab: Laboratory, name: str) -> None:
    with suspended(lab.identity("supervisor").pid):
        lab.identity(name).kill()
        assert f"the embedded {name} does not answer" in found(lab)


def test_a_worker_and_a_driver_process_that_are_suspended_are_found(lab: Laboratory) -> None:
    processes = lab.version_processes()
    chosen = [next(name for name in processes if name.startswith(kind)) for kind in ("driver", "worker")]
    with suspended(*(processes[name] for name in chosen)):
        findings = found(lab)
    assert {f"{name} (process {processes[name]}) does not answer" for name in chosen} == findings.keys()


def test_what_is_left_over_is_found_and_a_launch_takes_it_over(lab: Laboratory) -> None:
    processes = lab.version_processes()
    with suspended(lab.identity("supervisor").pid):
        lab.identity("managers").kill()
        lab.identity("supervisor").kill()
    ((what, mend),) = found(lab).items()
    assert what.startswith("though the lab does not run, some of its processes do: ")
    assert all(name in what for name in [*processes, "database", "broker"])
    assert mend == "`lab launch` takes them over with their work, `lab stop` ends them"
    lab.launch()
    assert lab.version_processes() == processes
