"""What a driver keeps in the database; here, without a laboratory, in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from lab import BaseDevice, DictInDatabase, ListInDatabase, SamplePosition, mock, value_in_database
from lab.definitions import MemoryHome, add_device, build_device, registry


class Doser(BaseDevice):
    """Counts what it doses."""

    doses = value_in_database("doses", 0)
    powder = value_in_database("powder", "none")

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.log: ListInDatabase[float] = self.list_in_database("log")
        self.stock: DictInDatabase[float] = self.dict_in_database("stock", {"zinc": 5.0})

    @property
    def sample_positions(self) -> list[SamplePosition]:
        return []

    def connect(self) -> None: ...

    def disconnect(self) -> None: ...

    def is_running(self) -> bool:
        return False

    @mock(return_constant="pretended")
    def weigh(self) -> str:
        return "weighed"


@pytest.fixture
def doser() -> Doser:
    return Doser("doser_1")


def test_a_value_is_its_default_until_it_is_written(doser: Doser) -> None:
    assert (doser.doses, doser.powder) == (0, "none")
    doser.doses += 1
    assert (doser.doses, Doser("doser_2").doses) == (1, 0)


def test_a_list_behaves_as_a_list(doser: Doser) -> None:
    log = doser.log
    log.append(3.0)
    log.extend([1.0, 2.0])
    log.insert(0, 9.0)
    assert log == [9.0, 3.0, 1.0, 2.0]
    assert (log.pop(0), len(log), log[0], log[1:], 2.0 in log) == (9.0, 3, 3.0, [1.0, 2.0], True)
    log.sort()
    log[0] = 7.0
    log[1:] = [5.0, 6.0]
    log.remove(5.0)
    log.reverse()
    del log[0]
    assert (list(log), repr(log)) == ([7.0], "[7.0]")
    log += [8.0]
    log.clear()
    assert log == []


def test_a_dictionary_behaves_as_a_dictionary(doser: Doser) -> None:
    stock = doser.stock
    stock["iron"] = 2.5
    stock.update({"gold": 1.0}, lead=3.0)
    assert stock == {"zinc": 5.0, "iron": 2.5, "gold": 1.0, "lead": 3.0}
    assert (stock.pop("gold"), stock.get("gold"), stock.setdefault("tin", 1.5), "iron" in stock) == (
        1.0,
        None,
        1.5,
        True,
    )
    del stock["zinc"]
    assert (sorted(stock), sorted(stock.values()), len(stock)) == (["iron", "lead", "tin"], [1.5, 2.5, 3.0], 3)
    assert dict(stock.items()) == stock


def test_a_default_is_not_shared_between_devices(doser: Doser) -> None:
    doser.stock["zinc"] = 0.0
    assert Doser("doser_2").stock == {"zinc": 5.0}


def test_the_same_name_is_the_same_list(doser: Doser) -> None:
    doser.log.append(1.0)
    assert doser.list_in_database("log") == doser.log == [1.0]


def test_numbers_of_libraries_become_plain_ones_and_times_have_a_zone(doser: Doser) -> None:
    class Whole(int):
        """As numpy's integers: registered as one, of a type of its own."""

    several: ListInDatabase[Any] = doser.list_in_database("several")
    several.extend([Whole(3), datetime(2026, 1, 2), b"raw", None, True])
    assert several == [3, datetime(2026, 1, 2, tzinfo=UTC), b"raw", None, True]
    assert type(several[0]) is int


@pytest.mark.parametrize("wrong", [[1], {"a": 1}, object(), 2**63, {1}])
def test_what_is_more_than_one_plain_value_is_refused_by_name(doser: Doser, wrong: Any) -> None:
    with pytest.raises(TypeError, match="'log' was given"):
        doser.log.append(wrong)
    with pytest.raises(TypeError, match=r"'doses' was given .*list_in_database"):
        doser.doses = wrong
    with pytest.raises(TypeError, match="'stock' was given"):
        doser.stock["a"] = wrong
    assert (doser.log, doser.doses, doser.stock) == ([], 0, {"zinc": 5.0})


def test_a_change_that_fails_keeps_nothing(doser: Doser) -> None:
    with pytest.raises(IndexError):
        doser.log.pop()
    keyed: Any = doser.stock
    with pytest.raises(TypeError, match="the key 3: use text"):
        keyed[3] = 1.0
    with pytest.raises(ValueError, match="cannot name a value"):
        value_in_database("", 1)


def test_the_constructor_has_the_home_that_the_device_is_built_with() -> None:
    class Home(MemoryHome):
        simulated = False

    home = Home()
    home.write("log", [4.0])
    registry.clear()
    add_device(Scale, "scale_1")
    try:
        built: Any = build_device("scale_1", home)
    finally:
        registry.clear()
    assert built.seen == [4.0]
    assert (built.simulated, built.weigh()) == (False, "weighed")


class Scale(Doser):
    """Looks at what it keeps while it is constructed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.seen = list(self.log)


def test_a_method_pretends_where_its_device_does(doser: Doser) -> None:
    assert (doser.simulated, doser.weigh()) == (True, "pretended")
    doser._home = type("Real", (MemoryHome,), {"simulated": False})()
    assert (doser.simulated, doser.weigh()) == (False, "weighed")


def test_a_message_is_read_by_a_method_too(doser: Doser) -> None:
    doser.set_message("dosing")
    assert doser.get_message() == doser.message == "dosing"


def test_without_a_laboratory_a_pause_is_only_noted(doser: Doser) -> None:
    doser._home = home = MemoryHome()
    doser.pause()
    assert home.paused
    doser.unpause()
    assert not home.paused
