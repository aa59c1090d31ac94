"""What a lab package has registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, TypeVar

from hotswap.errors import DescribeError

from ._device import BaseDevice
from ._location import Location, caller
from ._position import SEPARATOR, SamplePosition, check_name
from ._recording import Construction, recording
from ._task import BaseTask

_Function = TypeVar("_Function", bound=Callable[..., object])
_TaskClass = TypeVar("_TaskClass", bound=type[BaseTask])
_SCALARS = (str, bool, int, float, type(None))


@dataclass(frozen=True)
class DeviceRecord:
    """A registered device: what its driver process will construct, and the line that registered it."""

    name: str
    cls: type[BaseDevice]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shares: str | None
    where: Location

    @property
    def group(self) -> str:
        """The share group: devices of one group live in one driver process."""
        return self.shares or self.name

    @property
    def arguments(self) -> dict[str, Any]:
        """The constructor arguments that were given, by parameter name."""
        return _named_arguments(Construction(self.cls, self.args, self.kwargs))


@dataclass(frozen=True)
class TaskRecord:
    """A registered task type and the line that registered it."""

    name: str
    cls: type[BaseTask]
    where: Location


@dataclass(frozen=True)
class TemplateRecord:
    """A registered experiment template and the line that registered it."""

    name: str
    function: FunctionType
    where: Location


@dataclass(frozen=True)
class RerouteRecord:
    """What takes a sample that was left away from these places, and the line that registered it."""

    positions: tuple[str, ...]
    cls: type[BaseTask]
    parameters: dict[str, Any]
    where: Location


@dataclass(frozen=True)
class PositionRecord:
    """Registered standalone places and the line that registered them."""

    position: SamplePosition
    where: Location


@dataclass
class Registry:
    """The devices, tasks, standalone positions and templates of a lab, by name, in the order of registration."""

    devices: dict[str, DeviceRecord] = field(default_factory=dict)
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    positions: dict[str, PositionRecord] = field(default_factory=dict)
    templates: dict[str, TemplateRecord] = field(default_factory=dict)
    reroutes: list[RerouteRecord] = field(default_factory=list)

    def recording(self, on: bool = True) -> AbstractContextManager[None]:
        """Inside the block, constructing a device is recorded instead of executed."""
        return recording(on)

    def clear(self) -> None:
        """Forget everything that was registered."""
        self.devices.clear()
        self.tasks.clear()
        self.positions.clear()
        self.templates.clear()
        self.reroutes.clear()

    def add_device(self, device: object, args: tuple[Any, ...], kwargs: dict[str, Any], shares: str | None) -> None:
        """Register a device, or raise `DescribeError` saying where and why not."""
        where = caller()
        with _blaming(where):
            wanted = _construction(device, args, kwargs)
            name = _device_name(wanted)
            _check_shares(shares, name)
            _check_plain(wanted, name)
            _check_new("device", name, self.devices)
        self.devices[name] = DeviceRecord(name, wanted.cls, wanted.args, wanted.kwargs, shares, where)

    def add_task(self, cls: type[BaseTask]) -> None:
        """Register a task type under the name of its class, or raise `DescribeError`."""
        where = caller()
        with _blaming(where):
            _check_class(cls, BaseTask, "add_task")
            _check_new("task", cls.__name__, self.tasks)
        self.tasks[cls.__name__] = TaskRecord(cls.__name__, cls, where)

    def add_position(self, position: SamplePosition) -> None:
        """Register standalone places, or raise `DescribeError`."""
        where = caller()
        with _blaming(where):
            if not isinstance(position, SamplePosition):
                raise DescribeError(f"{position!r} is no sample position: register SamplePosition(name, number)")
            _check_new("sample position", position.name, self.positions)
        self.positions[position.name] = PositionRecord(position, where)

    def add_reroute(self, positions: object, cls: type[BaseTask], parameters: dict[str, Any]) -> None:
        """Register what takes left samples away from places, or raise `DescribeError`."""
        where = caller()
        with _blaming(where):
            names = (positions,) if isinstance(positions, str) else positions
            if not (isinstance(names, list | tuple | set | frozenset) and names and all(map(_is_name, names))):
                raise DescribeError(f"add_reroute_task() was given {positions!r}: give it names of sample positions")
            _check_class(cls, BaseTask, "add_reroute_task")
            if not _is_plain(parameters):
                raise DescribeError("add_reroute_task() was given parameters that JSON cannot carry: use plain data")
        self.reroutes.append(RerouteRecord(tuple(sorted(names)), cls, parameters, where))

    def add_template(self, function: object) -> None:
        """Register an experiment template under the name of its function, or raise `DescribeError`."""
        where = caller()
        with _blaming(where):
            if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
                raise DescribeError(f"add_experiment_template() was given {function!r}: give it a function with a name")
            _check_new("template", function.__name__, self.templates)
        self.templates[function.__name__] = TemplateRecord(function.__name__, function, where)


registry = Registry()


def add_device(device: type[BaseDevice] | BaseDevice, /, *args: Any, shares: str | None = None, **kwargs: Any) -> None:
    """Register a device: ``add_device(Furnace, name="f1", port="COM3")`` or ``add_device(Furnace(...))``.

    Devices with the same ``shares`` use one handle or cable: they live in one driver process and change
    drivers together. Raises `DescribeError` naming the line when the device cannot be registered.
    """
    registry.add_device(device, args, kwargs, shares)


def add_task(cls: _TaskClass) -> _TaskClass:
    """Register a task type under the name of its class, and return it. Raises `DescribeError`."""
    registry.add_task(cls)
    return cls


def add_reroute_task(
    supported_sample_positions: str | Collection[str], task: type[BaseTask], **parameters: Any
) -> None:
    """Have ``task`` take away a sample that was left in one of these places when another task waits for the place.

    A place is named in full or by what it is part of: ``"furnace_1/slot/2"``, ``"furnace_1/slot"``, ``"furnace_1"``.
    The task gets the sample, and ``parameters``. Raises `DescribeError`.
    """
    registry.add_reroute(supported_sample_positions, task, parameters)


def add_experiment_template(function: _Function) -> _Function:
    """Register a function that returns an ``ExperimentBuilder`` as a template, under its name, and return it.

    Its parameters are annotated as those of tasks are. Raises `DescribeError`.
    """
    registry.add_template(function)
    return function


def add_standalone_sample_position(position: SamplePosition) -> None:
    """Register places that belong to no device. Raises `DescribeError`."""
    registry.add_position(position)


@contextmanager
def _blaming(where: Location) -> Iterator[None]:
    try:
        yield
    except (DescribeError, ValueError) as error:
        raise DescribeError(f"{where}: {error}", where.path, where.line) from error


def _construction(device: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Construction:
    if isinstance(device, type):
        return Construction(device, args, kwargs)
    if args or kwargs:
        raise DescribeError(f"add_device() was given {device!r} and arguments: give the class, or the device alone")
    if isinstance(device, BaseDevice):
        return device._construction
    if isinstance(device, Construction):
        return device
    raise DescribeError(f"add_device() was given {device!r}: give it a subclass of BaseDevice")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and bool(name)


def _check_class(cls: object, base: type, function: str) -> None:
    if not (isinstance(cls, type) and issubclass(cls, base)):
        raise DescribeError(f"{function}() was given {cls!r}: give it a subclass of {base.__name__}")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise DescribeError(f"{cls.__name__} lacks {', '.join(missing)}: define what is missing before registering it")
    if "<locals>" in cls.__qualname__:
        raise DescribeError(f"{cls.__name__} is defined inside a function: move it to the top of its module")


def _check_new(kind: str, name: str, table: dict[str, Any]) -> None:
    if name in table:
        raise DescribeError(f"{kind} {name!r} is already registered at {table[name].where}: rename or remove one")


def _device_name(wanted: Construction) -> str:
    _check_class(wanted.cls, BaseDevice, "add_device")
    name = _named_arguments(wanted).get("name")
    if name is None:
        raise DescribeError(f'this {wanted.cls.__name__} has no name: add name="..." to its arguments')
    name = check_name(name, "device")
    if SEPARATOR in name:
        raise DescribeError(f"{name!r} cannot name a device: leave out {SEPARATOR!r}")
    return name


def _named_arguments(wanted: Construction) -> dict[str, Any]:
    whole = inspect.signature(wanted.cls.__init__)
    signature = whole.replace(parameters=list(whole.parameters.values())[1:])
    try:
        bound = signature.bind(*wanted.args, **wanted.kwargs)
    except TypeError as error:
        raise DescribeError(
            f"the arguments do not fit {wanted.cls.__name__}{signature}: {error}; correct them"
        ) from error
    return {**bound.arguments, **wanted.kwargs}


def _check_shares(shares: object, name: str) -> None:
    if not (shares is None or (isinstance(shares, str) and shares)):
        raise DescribeError(f"device {name!r} has shares={shares!r}: use a name, or leave it out")


def _check_plain(wanted: Construction, name: str) -> None:
    positional = {f"number {index}": value for index, value in enumerate(wanted.args, start=1)}
    for argument, value in {**positional, **wanted.kwargs}.items():
        if not _is_plain(value):
            raise DescribeError(
                f"argument {argument} of device {name!r} is a {type(value).__name__} or holds one that is not "
                "plain data: use text, numbers, booleans, None, lists and dictionaries"
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return type(value) in _SCALARS
