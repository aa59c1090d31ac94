"""Imports, as a module makes them while it is imported."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import typing
from pathlib import Path
from typing import TYPE_CHECKING

import conform.parts.value
import conform.parts.value as dotted_alias
from conform import agreed, circle, lazy
from conform.parts import value as renamed
from conform.parts.starred import *  # noqa: F403
from conform.parts.value import VERSION as ABSOLUTE

from .parts import value
from .parts.value import VERSION as RELATIVE

if TYPE_CHECKING:
    from conform.parts.value import Holder

WHICH = ("only_v" + "1", "only_v" + "2")  # written so that it is the same in both versions


class Body:
    from conform.parts.value import VERSION as INSIDE


def relative_import():
    from .parts.value import VERSION as here

    return agreed(value.VERSION, RELATIVE, here)


def abs_from_import():
    from conform.parts.value import VERSION as here

    return agreed(ABSOLUTE, here)


def import_as():
    return agreed(dotted_alias.VERSION, renamed.VERSION)


def import_dotted():
    return conform.parts.value.VERSION


def import_in_class_body_and_global():
    global placed  # noqa: PLW0603 - what this is about
    from conform.parts.value import VERSION as placed

    return agreed(Body.INSIDE, placed)


def circular():
    return agreed(*circle.left.around())


def star_import():
    assert "HIDDEN" not in globals()
    return STARRED  # noqa: F405


def sys_modules_name():
    return sys.modules[__name__].RELATIVE


def sys_modules_literal():
    return agreed(sys.modules["conform.parts.value"].VERSION, sys.modules["conform"].VERSION)


def type_checking():
    def take(holder: Holder) -> None: ...

    from conform.parts.value import Holder as meant

    hints = typing.get_type_hints(take, localns={"Holder": meant})
    return hints["holder"].version


def pep562_lazy():
    from conform.lazy import word

    assert dir(lazy) == ["word"]
    return agreed(word(), lazy.word())


def _present(importing):
    """Which of the two modules there is: each version has its own."""
    found = []
    for name in WHICH:
        try:
            found.append(importing(f"conform.parts.{name}").VERSION)
        except ModuleNotFoundError as error:
            assert error.name == f"conform.parts.{name}"
    return found


def optional_import_error():
    return agreed(*_present(importlib.import_module))


def optional_import_error_loose():
    """The kind of code that reads the text of the error."""
    found = []
    for name in WHICH:
        try:
            found.append(importlib.import_module(f"conform.parts.{name}").VERSION)
        except ImportError as error:
            if f"No module named 'conform.parts.{name}'" not in str(error):
                raise
    return agreed(*found)


def name_split_root():
    root = __name__.split(".")[0]
    return importlib.import_module(root).VERSION


def find_spec_plain():
    spec = importlib.util.find_spec("conform.parts.value")
    assert spec.name == "conform.parts.value"
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return agreed(module.VERSION, "v1" if 'VERSION = "v1"' in Path(spec.origin).read_text() else "another file")


def reload_module():
    from conform.parts import reloadable

    before = reloadable.TIMES
    again = importlib.reload(reloadable)
    assert again is reloadable
    assert before + 1 == again.TIMES
    return again.VERSION


def isinstance_across_modules():
    from conform.parts.value import Holder

    from .parts import value as relative

    holder = importlib.import_module("conform.parts.value").Holder()
    assert isinstance(holder, Holder)
    assert isinstance(holder, relative.Holder)
    return holder.version
