"""What a lab package defines, as plain data."""

from __future__ import annotations

import importlib
import inspect
import math
from typing import Any

from hotswap.errors import DescribeError

from ._calls import DEVICE_CALLS, TASK_CALLS, check_calls
from ._device import BaseDevice
from ._home import Home
from ._location import blame, defined_at, raised_at
from ._parameters import parameter_schema
from ._position import SEPARATOR, SamplePosition
from ._registry import DeviceRecord, TaskRecord, TemplateRecord, registry
from ._reroutes import describe_reroutes
from ._results import result_schema
from ._signals import logged_signals
from ._task import POLICIES

# What drivers usually call the thing only one of them can hold open.
_SERIAL_PARAMETERS = frozenset({"com_port", "device_path", "port", "resource", "resource_name", "serial_port"})
_NETWORK_PARAMETERS = frozenset({"address", "host", "hostname", "ip", "ip_address", "uri", "url"})


def load(package: str) -> None:
    """Import a lab package, recording the devices it constructs. Raises `DescribeError` if it has no ``__init__``."""
    with registry.recording():
        module = importlib.import_module(package)
    if module.__file__ is None:
        path = f"{package}/__init__.py"
        raise DescribeError(f"{path} is missing: register devices and tasks there", path)


def build_device(name: str, home: Home | None = None) -> BaseDevice:
    """Construct a registered device for real; in its driver process with the ``home`` that it has there.

    Raises `DescribeError` for an unknown name; what the constructor raises passes through.
    """
    if name not in registry.devices:
        known = ", ".join(registry.devices) or "none"
        raise DescribeError(f"this lab defines no device {name!r}: it defines {known}")
    record = registry.devices[name]
    with registry.recording(False):
        device = record.cls.__new__(record.cls, *record.args, **record.kwargs)
        if home is not None:
            device._home = home  # known to its constructor already
        record.cls.__init__(device, *record.args, **record.kwargs)
    return device


def describe(package: str) -> dict[str, Any]:
    """Tell what ``package`` registers, as data that JSON can carry; imports it if nobody has yet.

    Constructs every device once, so call it in a process that can be thrown away. Gives ``devices``, ``tasks`` and
    ``templates`` by name, ``positions`` and ``reroutes``. Raises `DescribeError` with path and line for what cannot
    work.
    """
    load(package)
    _check_addresses(list(registry.devices.values()))
    _check_positions()
    devices = {name: _describe_device(record, package) for name, record in registry.devices.items()}
    return {
        "devices": devices,
        "tasks": {name: _describe_task(record) for name, record in registry.tasks.items()},
        "positions": [_describe_position(record.position) for record in registry.positions.values()],
        "reroutes": describe_reroutes(devices),
        "templates": {name: _describe_template(record) for name, record in registry.templates.items()},
    }


def _describe_device(record: DeviceRecord, package: str) -> dict[str, Any]:
    positions, description = _construct(record, package)
    return {
        "class": _reference(record.cls),
        "bases": [_reference(cls) for cls in record.cls.__mro__ if _is_driver(cls)],
        "args": list(record.args),
        "kwargs": record.kwargs,
        "shares": record.shares,
        "group": record.group,
        "positions": [_describe_position(each) for each in positions],
        "description": description or inspect.cleandoc(record.cls.__doc__ or "").partition("\n")[0],
        "where": str(record.where),
    }


def _describe_task(record: TaskRecord) -> dict[str, Any]:
    check_calls(record.cls, TASK_CALLS, record.where)
    try:
        schema = parameter_schema(record.cls)
    except DescribeError as error:
        raise blame(defined_at(record.cls.__init__) or record.where, str(error)) from error
    try:
        result = result_schema(record.cls)
    except DescribeError as error:
        raise blame(record.where, str(error)) from error
    return {
        "class": _reference(record.cls),
        "schema": schema,
        "result": result,
        "where": str(record.where),
        **{name: _policy(record, name) for name in POLICIES},
    }


def _policy(record: TaskRecord, name: str) -> str:
    chosen: object = getattr(record.cls, name)
    if chosen not in POLICIES[name]:
        known = " or ".join(f'"{value}"' for value in POLICIES[name])
        raise blame(record.where, f"task {record.cls.__name__} has {name} = {chosen!r}: make it {known}")
    return str(chosen)


def _describe_template(record: TemplateRecord) -> dict[str, Any]:
    try:
        schema = parameter_schema(record.function)
    except DescribeError as error:
        raise blame(defined_at(record.function) or record.where, str(error)) from error
    description = inspect.cleandoc(record.function.__doc__ or "").partition("\n")[0]
    return {"schema": schema, "description": description, "where": str(record.where)}


def _describe_position(position: SamplePosition) -> dict[str, Any]:
    return {"name": position.name, "number": position.number, "description": position.description}


def _construct(record: DeviceRecord, package: str) -> tuple[list[SamplePosition], str]:
    try:
        device = build_device(record.name)
        positions, description = list(device.sample_positions), device.description
    except Exception as error:  # a lab author's code may raise anything
        where = raised_at(error, package) or record.where
        reason = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(".")
        raise blame(
            where,
            f"device {record.name!r} (registered at {record.where}) cannot be constructed: {reason}; correct its class",
        ) from error
    _check_device(record, device, positions)
    return positions, description


def _check_device(record: DeviceRecord, device: BaseDevice, positions: list[SamplePosition]) -> None:
    if getattr(device, "name", None) != record.name:
        raise blame(
            record.where, f"device {record.name!r} did not keep its name: call super().__init__(name) in its class"
        )
    if not all(isinstance(each, SamplePosition) for each in positions):
        raise blame(record.where, f"sample_positions of device {record.name!r} must be a list of SamplePosition")
    check_calls(record.cls, DEVICE_CALLS, record.where)
    seconds: object = record.cls.check_health_seconds
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < math.inf:
        raise blame(
            record.where, f"device {record.name!r} has check_health_seconds = {seconds!r}: make it a number above 0"
        )
    names = [each.name for each in positions]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise blame(
            record.where, f"device {record.name!r} has two sample positions called {min(repeated)!r}: rename one"
        )
    signals = [each.name for each in logged_signals(record.cls)]
    if repeated := {name for name in signals if signals.count(name) > 1}:
        raise blame(record.where, f"device {record.name!r} logs two signals called {min(repeated)!r}: rename one")


def _check_addresses(records: list[DeviceRecord]) -> None:
    seen: dict[frozenset[str], DeviceRecord] = {}
    for record in records:
        address = _address(record)
        other = seen.setdefault(address, record)
        if not address or other is record or (record.shares is not None and other.shares == record.shares):
            continue
        raise blame(
            record.where,
            f"devices {other.name!r} ({other.where}) and {record.name!r} name the same address "
            f'({", ".join(sorted(address))}): register both with the same shares="...", or correct one address',
        )


def _address(record: DeviceRecord) -> frozenset[str]:
    return frozenset(
        str(value)
        for name, value in record.arguments.items()
        if name in _SERIAL_PARAMETERS | _NETWORK_PARAMETERS and value is not None and value != ""
    )


def _check_positions() -> None:
    for name, record in registry.positions.items():
        first = name.partition(SEPARATOR)[0]
        if first in registry.devices:
            raise blame(record.where, f"sample position {name!r} begins like device {first!r}: rename one of them")


def _is_driver(cls: type) -> bool:
    return issubclass(cls, BaseDevice) and cls is not BaseDevice


def _reference(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
