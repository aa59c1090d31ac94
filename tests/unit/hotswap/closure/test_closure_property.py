"""Generated packages and edits: whenever a class behaves differently, its digest differs."""

from __future__ import annotations

import importlib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from blake3 import blake3
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from hotswap.closure import Closure, Verdict

NAMES = ("a", "b", "c")
CLASS = "q.a:Thing"

HEAD = "table = {{}}\nitems = []\nRATE = 1\n"
BODY = "class Thing:\n    rate = 1\n    def run(self):\n        return ({answer})\n"
TOOLS = (
    "def scale(x):\n    return x * {n}\n"
    "def patch(cls):\n    cls.rate = {n}\n    return cls\n"
    "def record(key):\n    table[key] = {n}\n    return lambda cls: cls\n"
    "def touch():\n    items.append({n})\n"
)
TEMPLATE = HEAD + TOOLS

numbers = st.integers(0, 3)

OWN_ANSWERS = ("self.rate", "dict(table)", "list(items)", "RATE", "scale(2)")
FROM_OTHER = {
    "from .{m} import RATE as other": "other",
    "from q.{m} import scale as other_scale": "other_scale(3)",
    "from . import {m} as mod": "dict(mod.table), list(mod.items)",
    "import q.{m}": "q.{m}.RATE",
    "from q import {m}_rate": "{m}_rate",
    "import importlib": "importlib.import_module('q.' + '{m}').RATE",
    "from .{m} import Thing as Base": "Base().rate, Base.__name__",
    "from pathlib import Path": "(Path(__file__).parent / '{m}.txt').read_text()",
    "import pkgutil": "pkgutil.get_data('q', '{m}' + '.txt')",
}
ACTIONS = (
    "from .{m} import Thing as Other\nOther.rate = {n}\n",
    "from .{m} import Thing as Other\nsetattr(Other, 'rate', {n})\n",
    "from .{m} import Thing as Other, patch as change\nx = change(Other)\n",
    "from .{m} import Thing as Other\n@patch\nclass Sub(Other):\n    extra = {n}\n",
    "from .{m} import Thing as Other\nfor each in [Other]:\n    each.rate = {n}\n",
    "from .{m} import record as note\n@note('k{n}')\nclass Noted:\n    pass\n",
    "from .{m} import table as theirs\ntheirs['t'] = {n}\n",
    "from .{m} import items as list_of\nlist_of += [{n}]\n",
    "from . import {m} as module\nmodule.RATE = {n}\nmodule.touch()\n",
    "import sys\nsys.modules['q.' + '{m}'].RATE = {n}\n",
    "from .{m} import scale as compute\nHERE = compute({n})\n",
    "def later():\n    from .{m} import Thing as Other\n    Other.rate = {n}\n",
    "def now():\n    from .{m} import Thing as Other\n    Other.rate = {n}\nnow()\n",
    "NOTE = {n}\n",
)


def _earlier(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from([other for other in NAMES if other != name])


@st.composite
def modules(draw: st.DrawFn, name: str) -> str:
    """A module with a class that answers from one other module, and at most two actions on a third."""
    other, acted = draw(_earlier(name)), draw(_earlier(name))
    line, answer = draw(st.sampled_from(sorted(FROM_OTHER.items())))
    answers = [draw(st.sampled_from(OWN_ANSWERS))]
    uses = draw(st.booleans())
    imports = "        " + line.format(m=other) + "\n" if uses else ""
    if uses:
        answers.append(answer.format(m=other))
    body = BODY.format(answer=", ".join(answers)).replace("        return", imports + "        return")
    later = [each for each in NAMES if each > name]
    if later and draw(st.booleans()):
        base = draw(st.sampled_from(later))
        body = f"from .{base} import Thing as Root\n" + body.replace("Thing:", "Thing(Root):")
        body = body.replace("    rate = 1\n", "") if draw(st.booleans()) else body
    actions = draw(st.lists(st.sampled_from(ACTIONS), max_size=2))
    acts = "".join(action.format(m=acted, n=draw(numbers)) for action in actions)
    return TEMPLATE.format(n=draw(numbers)) + body + acts


@st.composite
def packages(draw: st.DrawFn) -> dict[str, str]:
    files = {f"q/{name}.py": draw(modules(name)) for name in NAMES}
    files |= {f"q/{name}.txt": str(draw(numbers)) for name in NAMES}
    lines = [f"from .{name} import RATE as {name}_rate\n" for name in draw(st.permutations(NAMES))]
    return files | {"q/__init__.py": "".join(lines)}


def _behaviour(folder: Path) -> str | None:
    """What the class answers once everything is imported; None for a package that does not import."""
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        for name in ("q", *(f"q.{name}" for name in NAMES)):
            importlib.import_module(name)
        return repr(sys.modules["q.a"].Thing().run())
    except (ImportError, AttributeError, KeyError):
        return None
    finally:
        sys.path.remove(str(folder))
        for path in [path for path in sys.path_importer_cache if path.startswith(str(folder))]:
            del sys.path_importer_cache[path]
        for name in [name for name in sys.modules if name.partition(".")[0] == "q"]:
            del sys.modules[name]


def _judge(files: Mapping[str, str]) -> tuple[str | None, Verdict]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "q").mkdir()
        for path, text in files.items():
            (folder / path).write_text(text)
        digests = {path: blake3(text.encode()).hexdigest() for path, text in files.items()}
        return _behaviour(folder), Closure(folder, digests).verdict(CLASS)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(packages(), packages(), st.sets(st.integers(0, 6), min_size=1, max_size=2))
def test_changed_behaviour_means_a_changed_digest(
    before: dict[str, str], other: dict[str, str], changed: set[int]
) -> None:
    after = before | {path: other[path] for n, path in enumerate(sorted(before)) if n in changed}
    first, one = _judge(before)
    second, two = _judge(after)
    event(f"{one.scheme}, {'changed' if first != second else 'same'}")
    if None not in {first, second} and first != second:
        assert one.digest != two.digest, (first, second, one, two)
