"""Classes: their annotations, their names, and who takes which for one of its own."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import pkgutil
import typing
from abc import ABC, abstractmethod
from functools import singledispatch

import pydantic

from conform import agreed
from conform.parts.value import Holder

VERSION = "v1"
_KEPT: list[str] = []


@dataclasses.dataclass
class Node:
    """Every annotation is text, one of a class that comes later."""

    shared: typing.ClassVar[str] = VERSION
    once: dataclasses.InitVar[str] = VERSION
    child: Leaf | None = None

    def __post_init__(self, once: str) -> None:
        self.at_birth = once


@dataclasses.dataclass
class Leaf:
    version: str = VERSION


class Tree(pydantic.BaseModel):
    """Knows its branch before there is such a class, and a holder of another module."""

    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)

    branch: Branch
    holder: Holder = pydantic.Field(default_factory=Holder)


class Branch(pydantic.BaseModel):
    version: typing.Literal["v1"]
    twigs: list[Branch] = []


class Colour(enum.Enum):
    OWN = VERSION


class Measuring(ABC):
    @abstractmethod
    def measure(self) -> str: ...


@Measuring.register
class Registered:
    version = VERSION


class Derived(Measuring):
    def measure(self) -> str:
        return VERSION


@singledispatch
def shown(each: object) -> str:
    return "nothing known"


@shown.register
def _(each: Holder) -> str:
    return each.version


@shown.register(Registered)
def _(each: Registered) -> str:
    return each.version


def dataclass_strings():
    assert [field.name for field in dataclasses.fields(Node)] == ["child"]
    node = Node(child=Leaf())
    hints = typing.get_type_hints(Node)
    assert hints["child"] == Leaf | None
    return agreed(node.shared, node.at_birth, node.child.version, dataclasses.replace(node, once="v1").at_birth)


def pydantic_forward():
    tree = Tree.model_validate({"branch": {"version": VERSION, "twigs": [{"version": VERSION}]}})
    assert type(tree.branch.twigs[0]) is Branch
    assert type(tree.holder) is Holder
    schema = Branch.model_json_schema()
    return agreed(tree.branch.twigs[0].version, schema["$defs"]["Branch"]["properties"]["version"]["const"])


def type_hints():
    def build(leaf: Leaf, holder: Holder) -> Colour: ...

    hints = typing.get_type_hints(build)
    return agreed(hints["leaf"]().version, hints["holder"].version, hints["return"].OWN.value)


def singledispatch_():
    again = importlib.import_module("conform.parts.value").Holder()
    return agreed(shown(again), shown(Registered()), shown.dispatch(Holder)(again))


def abc_():
    assert issubclass(Registered, Measuring)
    assert isinstance(Derived(), Measuring)
    assert not isinstance(Holder(), Measuring)
    return agreed(Registered.version, Derived().measure())


def enum_identity():
    again = importlib.import_module(__name__).Colour
    assert again(VERSION) is Colour.OWN
    assert again["OWN"] is Colour.OWN
    return again.OWN.value


def dunder_module_plain():
    return [VERSION, __name__, Leaf.__module__, shown.__module__, Holder.Inner.tell.__module__, __spec__.name]


def qualname_ok():
    found = pkgutil.resolve_name(f"{Holder.Inner.__module__}:{Holder.Inner.__qualname__}")
    assert found is Holder.Inner
    return [found.version, Holder.Inner.tell.__qualname__]


def module_state_isolated():
    _KEPT.append(VERSION)
    return agreed(*_KEPT)


def pydantic_importstring():
    adapter = pydantic.TypeAdapter(pydantic.ImportString)
    kind = adapter.validate_python("conform.parts.value.Holder")
    assert kind is Holder
    return agreed(kind.version, adapter.validate_python("conform.kinds:VERSION"))
