"""Ways in which code outside a class decides what the class does: the words of the generated packages.

Each construct is written for three modules: ``thing`` has the class ``Thing``, whose method ``part{i}`` tells what
the construct did; ``tool`` and ``sibling`` are two others. ``{n}`` is the number that an edit changes, in one slot at
a time. Text in ``act`` runs when the sibling is imported and may be wrapped (in a function that is called, a class
body...).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Construct:
    """Text for each slot; see the module.

    ``bases``, ``keywords`` and ``decorators`` are those of ``Thing``; ``data`` is put into ``file``.
    """

    body: str
    thing: str = ""
    tool: str = ""
    sibling: str = ""
    act: str = ""
    init: str = ""
    bases: str = ""
    keywords: str = ""
    decorators: str = ""
    data: str = ""
    file: str = "data{i}.txt"


def tells(expression: str, *before: str) -> str:
    """The method of the class that tells what happened."""
    lines = "".join(f"        {line}\n" for line in before)
    return f"    def part{{i}}(self):\n{lines}        return {expression}\n"


EXTRA = tells("getattr(type(self), 'extra{i}', None)")
_VALUE = "value{i} = {n}\n"
GET_CLASS = "from {thing} import Thing\n"
PATCH = "def patch{i}(cls):\n    cls.extra{i} = {n}\n    return cls\n"
_GETATTR = "def __getattr__(name):\n    if name.startswith('__'):\n        raise AttributeError(name)\n"
_ITEMS = "items{i} = []\n"
_REGISTRY = (
    "table{i} = {{}}\n"
    "def register{i}(key):\n"
    "    def add(entry):\n"
    "        table{i}[key] = entry\n"
    "        return entry\n"
    "    return add\n"
)


def _filled(act: str, tool: str = _ITEMS, shown: str = "list(items{i})") -> Construct:
    """A sibling changes a container that the class reads."""
    name = tool.partition(" ")[0]
    return Construct(
        tells(shown),
        thing=f"from {{tool}} import {name}\n",
        tool=tool,
        sibling=f"from {{tool}} import {name}\n",
        act=act,
    )


INHERITING = {
    "an attribute": Construct("    rate{i} = {n}\n" + tells("self.rate{i}")),
    "a base class": Construct(
        "",
        thing="from {tool} import Base{i}\n",
        tool="class Base{i}:\n" + tells("{n}"),
        bases="Base{i}",
    ),
    "the base of a base": Construct(
        "",
        thing="from {tool} import Middle{i}\n",
        tool="from {sibling} import Root{i}\nclass Middle{i}(Root{i}):\n    step = {n}\n",
        sibling="class Root{i}:\n" + tells("self.step, {n}"),
        bases="Middle{i}",
    ),
    "super": Construct(
        tells("super().part{i}() + {n}"),
        thing="from {tool} import Base{i}\n",
        tool="class Base{i}:\n" + tells("{n}"),
        bases="Base{i}",
    ),
    "a class decorator": Construct(EXTRA, thing="from {tool} import patch{i}\n", tool=PATCH, decorators="patch{i}"),
    "a method decorator": Construct(
        "    @times{i}\n" + tells("1"),
        thing="from {tool} import times{i}\n",
        tool="def times{i}(run):\n    return lambda self: run(self) * {n}\n",
    ),
    "a metaclass": Construct(
        EXTRA,
        thing="from {tool} import Meta{i}\n",
        tool="class Meta{i}(type):\n    def __init__(cls, *args):\n        cls.extra{i} = {n}\n",
        keywords="metaclass=Meta{i}",
    ),
    "the metaclass of a base": Construct(
        EXTRA,
        thing="from {tool} import Base{i}\n",
        tool="from {sibling} import Meta{i}\nclass Base{i}(metaclass=Meta{i}):\n    pass\n",
        sibling="class Meta{i}(type):\n    def __init__(cls, *args):\n        cls.extra{i} = {n}\n",
        bases="Base{i}",
    ),
    "__init_subclass__": Construct(
        EXTRA,
        thing="from {tool} import Hooked{i}\n",
        tool="class Hooked{i}:\n    def __init_subclass__(cls):\n        cls.extra{i} = {n}\n",
        bases="Hooked{i}",
    ),
    "a descriptor": Construct(
        "    field{i} = Field{i}()\n" + tells("self.field{i}"),
        thing="from {tool} import Field{i}\n",
        tool="class Field{i}:\n    def __get__(self, owner, cls):\n        return {n}\n",
    ),
    "__set_name__": Construct(
        "    field{i} = Field{i}()\n" + EXTRA,
        thing="from {tool} import Field{i}\n",
        tool="class Field{i}:\n    def __set_name__(self, cls, name):\n        cls.extra{i} = {n}\n",
    ),
}

IMPORTING = {
    "an import": Construct(tells("value{i}"), thing="from {tool} import value{i}\n", tool=_VALUE),
    "a lazy import": Construct(tells("value{i}", "from {tool} import value{i}"), tool=_VALUE),
    "a star import": Construct(tells("value{i}"), thing="from {tool} import *\n", tool=_VALUE),
    "an import in the class body": Construct("    from {tool} import value{i}\n" + tells("self.value{i}"), tool=_VALUE),
    "an import that may fail": Construct(
        tells("value{i}"),
        thing="try:\n    from {tool} import value{i}\nexcept ImportError:\n    value{i} = {n}\n",
        tool="if {n} > 1:\n    value{i} = {n}\n",
    ),
    "a re-export": Construct(tells("q.value{i}", "import q"), tool=_VALUE, init="from {tool} import value{i}\n"),
    "a re-export under another name": Construct(
        tells("other{i}", "from q import other{i}"), tool=_VALUE, init="from {tool} import value{i} as other{i}\n"
    ),
    "a re-export of one of two": Construct(
        tells("f{i}()", "from q import f{i}"),
        tool="def a{i}(): return {n}\ndef b{i}(): return -1\n",
        init="from {tool} import a{i} as f{i}\nif {n} > 1:\n    from {tool} import b{i} as f{i}\n",
    ),
    "a conditional definition": Construct(
        tells("choose{i}()"),
        thing="from {tool} import choose{i}\n",
        tool="from {sibling} import FLAG{i}\nif FLAG{i} > 1:\n    def choose{i}(): return 'more'\n"
        "else:\n    def choose{i}(): return {n}\n",
        sibling="FLAG{i} = {n}\n",
    ),
    "__getattr__ of a module": Construct(
        tells("module.lazy{i}", "import {tool} as module"),
        tool=_GETATTR + "    return {n}\n",
    ),
    "__getattr__ of the package": Construct(
        tells("q.lazy{i}", "import q"),
        init=_GETATTR + "    return {n}\n",
    ),
    "a computed import": Construct(
        tells("importlib.import_module('{tool}'[:1] + '{tool}'[1:]).value{i}", "import importlib"), tool=_VALUE
    ),
    "__import__": Construct(tells("__import__('{tool}', fromlist=['x']).value{i}"), tool=_VALUE),
    "a name in a table": Construct(
        tells("getattr(importlib.import_module(module), name)()", "import importlib", "module, name = TABLE{i}['w']"),
        thing="TABLE{i} = {{'w': ('{tool}', 'work{i}')}}\n",
        tool="def work{i}(): return {n}\n",
    ),
    "a name with a colon": Construct(
        tells("pkgutil.resolve_name(PLACE{i})()", "import pkgutil"),
        thing="PLACE{i} = '{tool}:work{i}'\n",
        tool="def work{i}(): return {n}\n",
    ),
    "getattr by a computed name": Construct(
        tells("getattr(module{i}, 'val' + 'ue{i}')"), thing="import {tool} as module{i}\n", tool=_VALUE
    ),
    "the dictionary of a module": Construct(
        tells("vars(module{i})['value{i}']"), thing="import {tool} as module{i}\n", tool=_VALUE
    ),
    "text that is run": Construct(tells("eval(\"__import__('{tool}', fromlist=['x']).value{i}\")"), tool=_VALUE),
    "sys.modules": Construct(tells("sys.modules['{tool}'].value{i}", "import sys"), tool=_VALUE),
    "a nested function": Construct(
        tells("made{i}()"),
        thing="from {tool} import make{i}\nmade{i} = make{i}()\n",
        tool="def make{i}():\n    held = {n}\n    def inner():\n        return held\n    return inner\n",
    ),
    "a default computed at import": Construct(
        "    def part{i}(self, given=given{i}()):\n        return given\n",
        thing="from {tool} import given{i}\n",
        tool="from {sibling} import value{i}\ndef given{i}():\n    return value{i} + {n}\n",
        sibling=_VALUE,
    ),
    "a value copied before a change": Construct(
        tells("copied{i}"),
        thing="from {tool} import items{i}\ncopied{i} = tuple(items{i})\n",
        tool=_ITEMS,
        sibling="from {tool} import items{i}\n",
        act="items{i}.append({n})\n",
    ),
    "an own docstring": Construct(tells("type(self).part{i}.__doc__", "'''Number {n}.'''")),
}

CONTAINERS = {
    "a registry": Construct(
        tells("{{key: entry() for key, entry in table{i}.items()}}"),
        thing="from {tool} import table{i}\n",
        tool=_REGISTRY,
        sibling="from {tool} import register{i}\n",
        act="@register{i}('key{n}')\ndef entry{i}(): return {n}\n",
    ),
    "a list": _filled("items{i}.append({n})\n"),
    "a list extended by a function": Construct(
        tells("list(items{i})"),
        thing="from {tool} import items{i}\n",
        tool=_ITEMS,
        sibling="from {tool} import items{i}\n",
        act="def grow{i}(grown):\n    grown += [{n}]\ngrow{i}(items{i})\n",
    ),
    "a sorted list": _filled("import bisect\nbisect.insort(items{i}, {n})\n"),
    "a slot of an object": Construct(
        tells("cell{i}.held"),
        thing="from {tool} import cell{i}\n",
        tool="class Cell{i}:\n    held = 0\ncell{i} = Cell{i}()\n",
        sibling="from {tool} import cell{i}\n",
        act="cell{i}.held = {n}\n",
    ),
    "a list extended in place": _filled("items{i} += [{n}]\n"),
    "a slice": _filled("items{i}[:0] = [{n}]\n"),
    "a table": _filled("table{i}['key'] = {n}\n", "table{i} = {{}}\n", "dict(table{i})"),
    "a table in a table": _filled("table{i}['a']['b'] = {n}\n", "table{i} = {{'a': {{}}}}\n", "repr(table{i})"),
    "a deleted key": _filled("del table{i}[{n}]\n", "table{i} = dict.fromkeys(range(9))\n", "list(table{i})"),
    "setdefault": _filled("table{i}.setdefault('key', []).append({n})\n", "table{i} = {{}}\n", "repr(table{i})"),
    "a dispatch table": Construct(
        tells("show{i}(1)"),
        thing="from {tool} import show{i}\n",
        tool="import functools\n@functools.singledispatch\ndef show{i}(x): return 'plain'\n",
        sibling="from {tool} import show{i}\n",
        act="@show{i}.register(int)\ndef _show{i}(x): return {n}\n",
    ),
    "subclasses": Construct(
        tells("[each.__name__ for each in Root{i}.__subclasses__()]"),
        thing="from {tool} import Root{i}\n",
        tool="class Root{i}: pass\n",
        sibling="from {tool} import Root{i}\n",
        act="if {n} > 1:\n    class Leaf{i}(Root{i}): pass\n",
    ),
    "subclasses seen by a hook": Construct(
        tells("list(seen{i})"),
        thing="from {tool} import seen{i}\n",
        tool="seen{i} = []\nclass Hooked{i}:\n    def __init_subclass__(cls, mark):\n        seen{i}.append(mark)\n",
        sibling="from {tool} import Hooked{i}\n",
        act="class Leaf{i}(Hooked{i}, mark={n}): pass\n",
    ),
    "subclasses made by type": Construct(
        tells("list(seen{i})"),
        thing="from {tool} import seen{i}\n",
        tool="seen{i} = []\nclass Hooked{i}:\n    def __init_subclass__(cls):\n        seen{i}.append(cls.mark)\n",
        sibling="from {tool} import Hooked{i}\n",
        act="Leaf{i} = type('Leaf', (Hooked{i},), {{'mark': {n}}})\n",
    ),
    "descriptors seen by a hook": Construct(
        tells("list(seen{i})"),
        thing="from {tool} import seen{i}\n",
        tool="seen{i} = []\nclass Field{i}:\n    def __set_name__(self, cls, name):\n        seen{i}.append(name)\n",
        sibling="from {tool} import Field{i}\n",
        act="class Other{i}:\n    if {n} > 1:\n        field = Field{i}()\n",
    ),
    "a virtual subclass": Construct(
        tells("issubclass(int, Root{i})"),
        thing="from {tool} import Root{i}\n",
        tool="import abc\nclass Root{i}(abc.ABC): pass\n",
        sibling="from {tool} import Root{i}\n",
        act="if {n} > 1:\n    Root{i}.register(int)\n",
    ),
    "an attribute of a module": Construct(
        tells("module{i}.value{i}"),
        thing="import {tool} as module{i}\n",
        tool="value{i} = 0\n",
        sibling="import {tool} as module{i}\n",
        act="module{i}.value{i} = {n}\n",
    ),
    "an attribute of a module by its text": Construct(
        tells("module{i}.value{i}"),
        thing="import {tool} as module{i}\n",
        tool="value{i} = 0\n",
        act="import sys\nsys.modules['{tool}'].value{i} = {n}\n",
    ),
    "a counter behind a function": Construct(
        tells("list(items{i})"),
        thing="from {tool} import items{i}\n",
        tool=_ITEMS + "def count{i}(n):\n    items{i}.append(n)\n",
        sibling="from {tool} import count{i}\n",
        act="count{i}({n})\n",
    ),
    "a global": Construct(
        tells("tell{i}()"),
        thing="from {tool} import tell{i}\n",
        tool="state{i} = 0\ndef tell{i}(): return state{i}\ndef put{i}(n):\n    global state{i}\n    state{i} = n\n",
        sibling="from {tool} import put{i}\n",
        act="put{i}({n})\n",
    ),
    "an attribute of a function": _filled(
        "tell{i}.mark = {n}\n", "tell{i} = lambda: 0\n", "getattr(tell{i}, 'mark', 0)"
    ),
}

WORLD = {
    "an environment variable": Construct(
        tells("os.environ.get('P{i}')", "import os"), act="import os\nos.environ['P{i}'] = '{n}'\n"
    ),
    "an environment variable read at import": Construct(
        tells("seen{i}"),
        thing="import os\nseen{i} = os.environ.get('P{i}')\n",
        act="import os\nos.environ['P{i}'] = '{n}'\n",
    ),
    "a setting of a library": Construct(
        tells("decimal.getcontext().prec", "import decimal"),
        act="import decimal\ndecimal.getcontext().prec = 10 + {n}\n",
    ),
    "a setting from a helper": Construct(
        tells("decimal.getcontext().prec", "import decimal"),
        tool="def digits{i}(): return 10 + {n}\n",
        sibling="from {tool} import digits{i}\n",
        act="import decimal\ndecimal.getcontext().prec = digits{i}()\n",
    ),
    "a patched library": Construct(
        tells("getattr(math, 'mark{i}', None)", "import math"), act="import math\nmath.mark{i} = {n}\n"
    ),
    "a patched class of a library": Construct(
        tells("getattr(fractions.Fraction, 'mark{i}', None)", "import fractions"),
        act="from fractions import Fraction\nFraction.mark{i} = {n}\n",
    ),
    "a patched builtin": Construct(
        tells("getattr(builtins, 'mark{i}', None)", "import builtins"), act="import builtins\nbuiltins.mark{i} = {n}\n"
    ),
    "a registry of a library": Construct(
        tells("logging.getLevelName(77)", "import logging"), act="import logging\nlogging.addLevelName(77, 'L{n}')\n"
    ),
    "a registry of abstract classes": Construct(
        tells("issubclass(type(self), numbers.Number)", "import numbers"),
        sibling=GET_CLASS,
        act="import numbers\nif {n} > 1:\n    numbers.Number.register(Thing)\n",
    ),
    "a logger of another module": Construct(
        tells("logging.getLogger('p{i}').level", "import logging"),
        act="import logging\nlog{i} = logging.getLogger('p{i}')\nlog{i}.level = 10 * {n}\n",
    ),
    "a search path": Construct(
        tells("'extra{i}' in sys.path, len(sys.path) % 7", "import sys"),
        act="import sys\nsys.path.extend(['extra{i}'] * {n})\n",
    ),
    "a library set by its method": Construct(
        tells("decimal.getcontext().prec", "import decimal"),
        act="import decimal\ndecimal.setcontext(decimal.Context(prec=10 + {n}))\n",
    ),
    "a method of an object of a library": Construct(
        tells("logging.getLogger('p{i}').level", "import logging"),
        act="import logging\nlogging.getLogger('p{i}').setLevel(10 * {n})\n",
    ),
}

DATA = {
    "a data file": Construct(
        tells("(Path(__file__).parent / 'data{i}.txt').read_text()", "from pathlib import Path"), data="{n}"
    ),
    "a data file by a computed name": Construct(
        tells(
            "open(os.path.join(os.path.dirname(__file__), '.'.join(['data{i}', 'txt']))).read()",
            "import os",
        ),
        data="{n}",
    ),
    "a resource": Construct(
        tells("pkgutil.get_data(__package__, 'data{i}' + '.txt').decode()", "import pkgutil"), data="{n}"
    ),
    "a data file read at import": Construct(
        tells("text{i}"),
        thing="from pathlib import Path\ntext{i} = Path(__file__).with_name('data{i}.txt').read_text()\n",
        data="{n}",
    ),
    "a pattern of data files": Construct(
        tells(
            "[path.read_text() for path in sorted(Path(__file__).parent.glob('data{i}*'))]", "from pathlib import Path"
        ),
        data="{n}",
    ),
    "a data file by a name of the tool": Construct(
        tells("(Path(__file__).parent / name{i}).read_text()", "from pathlib import Path"),
        thing="from {tool} import name{i}\n",
        tool="name{i} = 'data{i}' + '.txt'\n",
        data="{n}",
    ),
    "a data file by a format": Construct(
        tells("(Path(__file__).parent / f'data{{{i}}}.txt').read_text()", "from pathlib import Path"), data="{n}"
    ),
    "a data file read by a sibling": Construct(
        EXTRA,
        sibling=GET_CLASS + "from pathlib import Path\nimport {thing} as home{i}\n",
        act="Thing.extra{i} = Path(home{i}.__file__).with_name('data{i}.txt').read_text()\n",
        data="{n}",
    ),
}

OWN = INHERITING | IMPORTING | CONTAINERS | WORLD | DATA
