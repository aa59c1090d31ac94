"""What drivers keep in the database, and do to their own devices, in real processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from managed_devices import NEW, OLD, Managed

from lab.device_values import DEVICE_VALUES

pytestmark = pytest.mark.system

KEEPER = """
from lab import value_in_database, mock


class Keeper(Furnace):
    doses = value_in_database("doses", 0)

    def __init__(self, name, trace):
        super().__init__(name, trace)
        self.log = self.list_in_database("log")
        self.stock = self.dict_in_database("stock", {"zinc": 5})

    def dose(self, powder):
        self.doses += 1
        self.log.append(powder)
        self.stock[powder] = self.stock.get(powder, 0) - 1

    def kept(self):
        return [self.doses, list(self.log), dict(self.stock)]

    def rest(self):
        self.pause()

    def go_on(self):
        self.unpause()

    @mock(return_constant="pretended")
    def act(self):
        return "acted"


add_device(Keeper, name="keeper", trace=TRACE)
add_device(Keeper, name="twin", trace=TRACE)
"""


@pytest.fixture
def children(make_children: Callable[[str], Any]) -> Iterator[Any]:
    made = make_children(KEEPER)
    yield made
    made.close()


@pytest.fixture
def keeping(records: Any, children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Managed]:
    made = Managed(records, children, {**arguments, "simulation": False, "simulate": ["tw*"]}, eventually)
    made.describe(OLD, {"keeper": "k1", "twin": "t1"})
    made.describe(NEW, {"keeper": "k2", "twin": "t1"})
    made.start()
    try:
        made.bound("keeper", OLD)
        made.bound("twin", OLD)
        yield made
    finally:
        made.close()


def test_values_outlive_a_crash_and_a_new_driver_version(keeping: Managed) -> None:
    assert keeping.use("keeper", "kept") == [0, [], {"zinc": 5}]
    keeping.use("keeper", "dose", "zinc")
    keeping.driver("keeper").kill()
    keeping.eventually(lambda: keeping.device("keeper")["connects"] == 2)
    keeping.use("keeper", "dose", "iron.oxide")
    keeping.promote(NEW)
    keeping.bound("keeper", NEW)
    assert keeping.use("keeper", "kept") == [2, ["zinc", "iron.oxide"], {"zinc": 4, "iron.oxide": -1}]
    assert keeping.use("twin", "kept") == [0, [], {"zinc": 5}]


def test_values_do_not_touch_the_document_of_the_device(keeping: Managed) -> None:
    keeping.use("keeper", "dose", "zinc")
    assert not {"doses", "log", "stock"} & set(keeping.device("keeper"))
    kept = {each["_id"]: each["value"] for each in keeping.records.database[DEVICE_VALUES].find({"device": "keeper"})}
    assert kept == {"keeper/doses": 1, "keeper/log": ["zinc"], "keeper/stock": {"zinc": 4}}


def test_a_driver_pauses_its_device_and_ends_that_pause(keeping: Managed) -> None:
    keeping.use("keeper", "rest")
    assert keeping.device("keeper")["paused"]
    keeping.use("keeper", "go_on")
    assert not keeping.device("keeper")["paused"]
    assert [event["facts"] for event in keeping.events("device.paused")] == [{"by": "driver"}]


def test_a_driver_does_not_end_the_pause_of_a_person(keeping: Managed) -> None:
    keeping.use("keeper", "rest")
    keeping.manager.pause("keeper")
    keeping.use("keeper", "go_on")
    assert keeping.device("keeper")["paused"]
    keeping.manager.release("keeper")
    keeping.use("keeper", "rest")
    keeping.manager.release("keeper")
    assert not keeping.device("keeper")["paused"]


def test_only_the_devices_that_a_pattern_names_pretend(keeping: Managed) -> None:
    assert (keeping.use("keeper", "act"), keeping.use("twin", "act")) == ("acted", "pretended")
    assert (keeping.device("keeper")["simulated"], keeping.device("twin")["simulated"]) == (False, True)
