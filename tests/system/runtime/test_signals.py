"""Signals of devices, recorded by real driver processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from managed_devices import NEW, OLD, Managed

from lab.managers.signals import SignalManager
from lab.records import now
from lab.signals import SIGNALS, Signals, new_signal

pytestmark = pytest.mark.system

OVEN = """
from datetime import timedelta
from lab import log_signal


class Oven(Furnace):
    def __init__(self, name, trace):
        super().__init__(name, trace)
        self.reads = 0

    @log_signal("temperature_c", 0.02)
    def temperature(self):
        self.reads += 1
        return {"reads": self.reads, "version": self.version}

    @property
    @log_signal("power_w", 0.02, during_calls=True)
    def power(self):
        return 40.0

    @log_signal("broken", 0.02)
    def broken(self):
        if not os.path.exists(self.trace + ".mended"):
            raise OSError("sensor is cut")
        return 1

    def recorded(self, name, seconds=None):
        within = None if seconds is None else timedelta(seconds=seconds)
        return [[each.device, each.name, each.value] for each in self.retrieve_signal(name, within)]

    def threads(self):
        import threading
        return sorted(each.name for each in threading.enumerate())


add_device(Oven, name="oven", trace=TRACE)
"""


@pytest.fixture
def children(make_children: Callable[[str], Any]) -> Iterator[Any]:
    made = make_children(OVEN)
    yield made
    made.close()


@pytest.fixture
def baking(records: Any, children: Any, arguments: dict[str, Any], eventually: Any) -> Iterator[Managed]:
    Signals(records).create_indexes()
    made = Managed(records, children, arguments, eventually)
    made.describe(OLD, {"oven": "k1"})
    made.describe(NEW, {"oven": "k2"})
    made.start()
    try:
        made.bound("oven", OLD)
        yield made
    finally:
        made.close()


def values(baking: Managed, name: str) -> list[Any]:
    return [each.value for each in Signals(baking.records).since("oven", name, timedelta(hours=1))]


def test_signals_are_recorded_while_a_device_is_connected(baking: Managed) -> None:
    baking.eventually(lambda: len(values(baking, "temperature_c")) > 3 and len(values(baking, "power_w")) > 3)
    reads = [value["reads"] for value in values(baking, "temperature_c")]
    assert reads == list(range(1, len(reads) + 1))
    latest = Signals(baking.records).latest("oven")
    assert [reading.name for reading in latest] == ["power_w", "temperature_c"]
    assert timedelta(0) <= now() - latest[0].at < timedelta(minutes=1)
    assert not Signals(baking.records).latest("furnace")


def test_a_signal_that_fails_is_told_once_and_again_when_it_does_not(baking: Managed) -> None:
    baking.eventually(lambda: len(values(baking, "temperature_c")) > 3)
    assert values(baking, "broken") == []
    (baking.children.trees[OLD] / "tiny_lab" / "trace.mended").touch()
    baking.eventually(lambda: values(baking, "broken"))


def test_they_are_recorded_by_the_new_driver_after_a_rebind(baking: Managed) -> None:
    baking.eventually(lambda: values(baking, "temperature_c"))
    baking.promote(NEW)
    baking.bound("oven", NEW)
    baking.eventually(lambda: values(baking, "temperature_c")[-1]["version"] == "new")
    versions = [value["version"] for value in values(baking, "temperature_c")]
    assert versions == sorted(versions, reverse=True)


def test_none_is_recorded_after_a_disconnect(
    records: Any, children: Any, arguments: dict[str, Any], eventually: Any
) -> None:
    driver = children.ensure("driver-oven", OLD, "lab.drivers:main", {**arguments, "devices": ["oven", "furnace"]})
    driver.call("connect", device="furnace")
    driver.call("connect", device="oven")
    eventually(lambda: Signals(records).latest("oven", "temperature_c"))
    driver.call("disconnect", device="oven")
    disconnected = now()
    driver.call("grant", device="furnace", fence=1, task="t1")
    call = {"fence": 1, "args": [], "kwargs": {}, "task": "t1", "attempt": 1}
    driver.call("call", device="furnace", method="which", **call)
    eventually(lambda: records.calls.find_one({}))  # written together with what was read before it
    last = max(each.at for each in Signals(records).since("oven", None, timedelta(hours=1)))
    assert last <= disconnected


def test_a_signal_waits_for_the_end_of_a_call_unless_it_says_otherwise(baking: Managed) -> None:
    baking.eventually(lambda: values(baking, "power_w"))
    baking.grant("oven")
    fence = baking.device("oven")["fence"]
    hanging = threading.Thread(target=baking.ask, args=("oven", fence, "hang"))
    hanging.start()
    try:
        baking.eventually(lambda: baking.driver("oven").call("status", device="oven")["running"])
        powers = len(values(baking, "power_w"))
        baking.eventually(lambda: len(values(baking, "power_w")) > powers + 20)
        reads = values(baking, "temperature_c")
        powers = len(values(baking, "power_w"))
        baking.eventually(lambda: len(values(baking, "power_w")) > powers + 5)
        assert values(baking, "temperature_c") == reads
    finally:
        baking.driver("oven").call("emergency_stop", device="oven")
        hanging.join(5.0)
    baking.eventually(lambda: len(values(baking, "temperature_c")) > len(reads))


def test_a_driver_reads_its_signals_back_and_has_one_thread_for_them(baking: Managed) -> None:
    baking.eventually(lambda: len(values(baking, "temperature_c")) > 3)
    [[device, name, value]] = baking.use("oven", "recorded", "temperature_c")
    assert (device, name) == ("oven", "temperature_c")
    since = baking.use("oven", "recorded", "temperature_c", 3600)
    assert [each[2]["reads"] for each in since[:3]] == [1, 2, 3]
    assert since[-1][2]["reads"] >= value["reads"]
    assert baking.use("oven", "recorded", "no such signal") == []
    assert baking.use("oven", "threads").count("periodic") == 1


def test_old_values_are_deleted_and_the_last_one_is_kept(records: Any) -> None:
    signals = Signals(records)
    old = [new_signal("oven", "heat", number) for number in range(3)]
    for each in old:
        each["at"] -= timedelta(days=2)
    signals.write([*old, new_signal("oven", "heat", 3)])
    forgotten = [new_signal("oven", "only old", 1)]
    forgotten[0]["at"] -= timedelta(days=2)
    signals.write(forgotten)
    SignalManager(records, 1.0).reconcile()
    assert [each.value for each in signals.since("oven", None, timedelta(days=9))] == [3]
    assert [(each.name, each.value) for each in signals.latest("oven")] == [("heat", 3), ("only old", 1)]
    assert {"device_1_name_1_at_1"} <= set(records.database[SIGNALS].index_information())


def test_values_written_twice_are_there_once(records: Any) -> None:
    signals, reading = Signals(records), new_signal("oven", "heat", 1)
    signals.write([reading])
    signals.write([reading])
    assert len(signals.since("oven", "heat", timedelta(hours=1))) == 1
