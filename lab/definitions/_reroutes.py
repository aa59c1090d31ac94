"""What a lab package does with samples that were left in the way, as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._location import blame
from ._parameters import ParameterError, check_parameters
from ._registry import RerouteRecord, registry


def describe_reroutes(devices: dict[str, Any]) -> list[dict[str, Any]]:
    """In the order of registration; ``devices`` as they are described. Raises `DescribeError` for what cannot work."""
    places = {*devices, *_places(devices)}
    return [_describe(record, places) for record in registry.reroutes]


def _describe(record: RerouteRecord, places: set[str]) -> dict[str, Any]:
    name = record.cls.__name__
    for position in record.positions:
        if position not in places:
            raise blame(record.where, f"this lab has no sample position {position!r}: correct its name")
    if name not in registry.tasks or registry.tasks[name].cls is not record.cls:
        raise blame(record.where, f"{name} is no registered task: add_task({name}) too")
    try:
        check_parameters(record.cls, record.parameters)
    except ParameterError as error:
        raise blame(record.where, f"{error}: correct what add_reroute_task() is given") from error
    facts = {"positions": list(record.positions), "task": name, "parameters": record.parameters}
    return {**facts, "where": str(record.where)}


def _places(devices: dict[str, Any]) -> Iterator[str]:
    """Each place by its name in full, and by that of the row it is in."""
    rows = {f"{name}/{each['name']}": each["number"] for name, told in devices.items() for each in told["positions"]}
    rows |= {name: record.position.number for name, record in registry.positions.items()}
    for row, number in rows.items():
        yield row
        yield from (f"{row}/{count}" for count in range(1, number + 1))
