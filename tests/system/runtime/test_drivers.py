"""Driver processes, called as tasks call them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hotswap.errors import RemoteError
from lab.drivers.client import Caller, DeviceProxy, Line, Route
from lab.errors import DeviceError, FenceError, OutcomeUnknown

pytestmark = pytest.mark.system
SECRET, OLD = "correct horse", "a" * 64


@pytest.fixture
def driver(children: Any, arguments: dict[str, Any]) -> Any:
    facts = {"devices": ["furnace", "other"], "drivers": {"furnace": "digest-1"}, "generation": 3}
    child = children.ensure("driver-furnace", OLD, "lab.drivers:main", {**arguments, **facts})
    child.call("connect", device="furnace")
    child.call("grant", device="furnace", fence=1, task="t1")
    return child


@pytest.fixture
def line(driver: Any) -> Iterator[Line]:
    made = Line(Caller("t1", 2, "tiny_lab", SECRET), Route("furnace", driver.address, 1), lambda _route, _lost: None)
    yield made
    made.close()


@pytest.fixture
def furnace(line: Line) -> DeviceProxy:
    return DeviceProxy("furnace", line.call)


def test_a_method_runs_in_the_driver_process(driver: Any, furnace: DeviceProxy) -> None:
    assert furnace.pid() == driver.process.pid


def test_arguments_and_results_travel_as_plain_data(furnace: DeviceProxy) -> None:
    assert furnace.echo(1, (2.5, "x"), key={"a": None}) == [[1, [2.5, "x"]], {"key": {"a": None}}]


def test_an_argument_that_is_no_plain_data_is_named(furnace: DeviceProxy) -> None:
    with pytest.raises(TypeError, match=r"Argument 2 of furnace\.echo is a builtins\.object"):
        furnace.echo(1, object())


def test_an_exception_of_python_keeps_its_class(furnace: DeviceProxy) -> None:
    with pytest.raises(KeyError, match="slot"):
        furnace.refuse()


def test_an_exception_whose_class_the_task_cannot_know_is_a_device_error(furnace: DeviceProxy) -> None:
    with pytest.raises(DeviceError, match=r"furnace\.overheat raised TooHotError: hotter than 900 C") as caught:
        furnace.overheat()
    assert 'File "tiny_lab/__init__.py"' in caught.value.__notes__[0]


@pytest.mark.parametrize("method", ["connect", "sample_positions", "trace", "fly"])
def test_what_is_not_a_method_for_tasks_is_refused(furnace: DeviceProxy, method: str) -> None:
    with pytest.raises(AttributeError, match=f"Furnace.{method}"):
        getattr(furnace, method)()


def test_a_call_after_revocation_is_refused(driver: Any, furnace: DeviceProxy) -> None:
    driver.call("revoke", device="furnace", fence=1)
    with pytest.raises(FenceError, match="not granted to task t1 any more"):
        furnace.which()


def test_a_used_up_fence_cannot_be_granted_again(driver: Any) -> None:
    driver.call("revoke", device="furnace", fence=1)
    with pytest.raises(RemoteError, match="already granted") as caught:
        driver.call("grant", device="furnace", fence=1, task="t1")
    assert caught.value.kind == "FenceError"


def test_the_holder_of_a_later_grant_is_served(driver: Any, line: Line) -> None:
    driver.call("grant", device="furnace", fence=2, task="t2")
    line.route = Route("furnace", driver.address, 2)
    assert line.call("which", (), {}) == "old"


def test_emergency_stop_works_while_a_call_hangs(driver: Any, furnace: DeviceProxy, eventually: Any) -> None:
    results: list[Any] = []
    caller = threading.Thread(target=lambda: results.append(furnace.hang()))
    caller.start()
    eventually(lambda: driver.call("status", device="furnace")["running"])
    assert driver.call("emergency_stop", device="furnace") is True
    caller.join(5.0)
    assert results == ["stopped"]


def test_a_call_after_an_emergency_stop_is_refused_in_one_sentence(driver: Any, furnace: DeviceProxy) -> None:
    driver.call("emergency_stop", device="furnace")
    with pytest.raises(DeviceError, match=r"^furnace\.which was refused: the device was stopped in an emergency"):
        furnace.which()


def test_death_of_the_driver_during_a_call_is_an_unknown_outcome_within_a_second(
    driver: Any, furnace: DeviceProxy, eventually: Any
) -> None:
    ended: list[tuple[BaseException, float]] = []

    def call() -> None:
        try:
            furnace.hang()
        except OutcomeUnknown as error:
            ended.append((error, time.monotonic()))

    caller = threading.Thread(target=call)
    caller.start()
    eventually(lambda: driver.call("status", device="furnace")["running"])
    killed = time.monotonic()
    driver.kill()
    caller.join(5.0)
    (error, at), *_ = ended
    assert "furnace.hang" in str(error)
    assert at - killed < 1.0


def test_a_call_to_a_dead_driver_was_certainly_not_executed(driver: Any, furnace: DeviceProxy) -> None:
    furnace.which()
    driver.kill()
    with pytest.raises(DeviceError, match="was not called") as caught:
        furnace.which()
    assert not isinstance(caught.value, OutcomeUnknown)


def test_the_journal_names_who_called_what_with_which_driver(
    furnace: DeviceProxy, records: Any, eventually: Callable[[Any], Any]
) -> None:
    furnace.which()
    entry = eventually(lambda: records.calls.find_one({"method": "which"}))
    assert entry["seconds"] >= 0
    facts = {name: entry[name] for name in ("task", "attempt", "device", "snapshot", "digest", "generation", "fence")}
    assert facts == {
        "task": "t1",
        "attempt": 2,
        "device": "furnace",
        "snapshot": OLD,
        "digest": "digest-1",
        "generation": 3,
        "fence": 1,
    }
    assert entry["ok"] and entry["error"] is None


def test_the_message_of_a_device_reaches_its_document(
    furnace: DeviceProxy, records: Any, eventually: Callable[[Any], Any]
) -> None:
    records.devices.insert_one({"_id": "furnace", "message": ""})
    furnace.echo()
    eventually(lambda: records.devices.find_one({"_id": "furnace", "message": "echo"}))


def test_stopping_disconnects_and_writes_the_rest_of_the_journal(
    children: Any, driver: Any, furnace: DeviceProxy, records: Any, trace: Callable[[str], list[str]]
) -> None:
    furnace.which()
    children.stop("driver-furnace", 10.0)
    assert trace(OLD) == ["furnace old connect", "furnace old disconnect"]
    assert records.calls.count_documents({"method": "which"}) == 1
