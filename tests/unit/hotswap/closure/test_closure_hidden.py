"""Changes by code that looks harmless: each of them really run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hotswap.closure import Verdict

Judge = Callable[[Mapping[str, str]], Verdict]
Run = Callable[[Mapping[str, str]], object]

READER = "from .tool import items\nclass Dev:\n    def run(self):\n        return {shown}\n"
LIST = "items = []\n"


def _filled(tool: str, sibling: str, shown: str = "list(items)") -> dict[str, str]:
    """A class that reads ``items`` of a tool, and a sibling that does something with the tool."""
    return {"tool.py": tool, "zz.py": sibling, "dev.py": READER.format(shown=shown)}


REGISTRY = "class Registry:\n    entries = []\nitems = Registry\n"
LIMITED = "class Dev:\n    limits = {}\n    def run(self): return getattr(self, 'rate', 0), dict(self.limits)\n"

SIBLINGS = {
    "list of a class": _filled(
        REGISTRY, "from .tool import Registry\nRegistry.entries.append(@@)\n", "items.entries[:]"
    ),
    "list of a class of a module": _filled(
        REGISTRY, "from . import tool\ntool.Registry.entries.append(@@)\n", "items.entries[:]"
    ),
    "list of a class in a class body": _filled(
        REGISTRY,
        "from .tool import Registry\nclass Own(Registry):\n    Registry.entries.append(@@)\n",
        "items.entries[:]",
    ),
    "dictionary of the class itself": {
        "dev.py": LIMITED,
        "zz.py": "from .dev import Dev\nDev.limits.update(a=@@)\n",
    },
    "parameter called self": {
        "dev.py": LIMITED,
        "zz.py": "from .dev import Dev\ndef boost(self):\n    self.rate = @@\nboost(Dev)\n",
    },
    "method of another class": {
        "dev.py": LIMITED,
        "zz.py": "from .dev import Dev\nclass Boost:\n    def boost(self):\n        self.rate = @@\nBoost.boost(Dev)\n",
    },
    "static method with self": {
        "dev.py": LIMITED,
        "zz.py": "from .dev import Dev\nclass Boost:\n    @staticmethod\n    def boost(self):\n        self.rate = @@\n"
        "Boost.boost(Dev)\n",
    },
}


@pytest.mark.parametrize("name", SIBLINGS)
def test_what_a_sibling_does_by_the_way_counts(judge: Judge, run: Run, name: str) -> None:
    before, after = ({path: text.replace("@@", n) for path, text in SIBLINGS[name].items()} for n in "12")
    assert run(before) != run(after)
    assert judge(before).digest != judge(after).digest, judge(after).why
