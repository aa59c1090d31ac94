"""What does not change a digest, and what makes it coarse."""

from __future__ import annotations

import pytest

DEV = "class Dev:\n    rate = 1\n    def run(self):\n        return self.rate\n"
QUIET = "from .dev import Dev\n"

HARMLESS = {
    "a sibling that names the class": QUIET + "ALL = {'dev': Dev}\nclass Use:\n    dev: Dev\n",
    "a sibling that subclasses": QUIET + "class Sub(Dev):\n    rate = 5\n",
    "a sibling that patches its own class": QUIET + "class Sub(Dev): pass\nSub.rate = 4\n",
    "a sibling that patches when called": QUIET + "def patch():\n    Dev.rate = 4\n",
    "a sibling with its own tables": "table = {}\ntable['a'] = 1\ntable.update(b=2)\n",
    "a sibling that computes": "def f(n):\n    out = []\n"
    "    for i in range(n):\n        out.append(i)\n    return out\nT = f(3)\n",
    "a sibling with a dataclass": "from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\n",
    "a sibling with an enumeration": "import enum\nclass A(enum.Enum):\n    X = enum.auto()\n",
    "a sibling that logs": "import logging\nlog = logging.getLogger(__name__)\nlog.setLevel(10)\n",
    "a script at the end": QUIET + "if __name__ == '__main__':\n    Dev.rate = 4\n",
    "imports for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .dev import Dev\n",
    "a sibling that discovers plug-ins": "import importlib\nfor name in ('dev',):\n"
    "    importlib.import_module('p.' + name)\n",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_sibling_changes_nothing(judge, run, name: str) -> None:
    before, after = {"dev.py": DEV}, {"dev.py": DEV, "zz.py": HARMLESS[name]}
    assert run(before) == run(after)
    assert judge(before).digest == judge(after).digest, judge(after).why


def test_a_module_that_does_not_parse_is_covered_by_its_bytes(judge) -> None:
    files = {"dev.py": "from . import old\n" + DEV, "old.py": "print 1\n"}
    before, after = judge(files), judge(files | {"old.py": "print 1 # changed\n"})
    assert before.digest != after.digest
    assert (before.scheme, before.why) == ("package", ("p.old cannot be parsed",))


def test_a_native_module_in_the_closure_needs_the_whole_package(judge) -> None:
    found = judge({"dev.py": "from ._fast import rate\n" + DEV, "_fast.cpython-311.so": "\0"})
    assert found.scheme == "package"


def test_a_class_that_no_statement_defines_needs_the_whole_package(judge) -> None:
    found = judge({"dev.py": "Dev = type('Dev', (), {})\n"})
    assert found.why == ("p.dev has no class statement for Dev",)


def test_the_whole_package_is_read_without_comments_and_docstrings(judge) -> None:
    files = {"dev.py": "import runpy\nprint(runpy)\n" + DEV, "a.py": "X = 1\n"}
    before, after = judge(files), judge(files | {"a.py": "'''Doc.'''\nX = 1  # note\n"})
    assert before.scheme == "package"
    assert before.digest == after.digest


def test_an_unused_lazy_package_does_not_matter(judge) -> None:
    lazy = {"__init__.py": "def __getattr__(name):\n    return 1\n"}
    assert judge({"dev.py": DEV} | lazy).scheme == "reachable"
