"""Random requests, returns, deaths and troubles: nothing is granted twice, nothing is lost, everybody is served."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from pymongo import MongoClient
from resource_machine import ResourceMachine

from lab.records import Document

pytestmark = pytest.mark.system


@pytest.fixture
def machine(mongo_uri: str) -> Iterator[type[ResourceMachine]]:
    with MongoClient[Document](mongo_uri, tz_aware=True) as connected:

        class Machine(ResourceMachine):
            @staticmethod
            def connect() -> MongoClient[Document]:
                return connected

        yield Machine


def run(machine: type[ResourceMachine], examples: int, steps: int) -> None:
    how = settings(
        max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=how)


def test_in_a_short_life(machine: type[ResourceMachine]) -> None:
    run(machine, 8, 20)


def test_where_the_youngest_of_a_deadlock_fails(machine: type[ResourceMachine]) -> None:
    machine.policy = "fail_youngest"
    run(machine, 4, 20)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_in_a_long_life(machine: type[ResourceMachine]) -> None:
    run(machine, 200, 50)
