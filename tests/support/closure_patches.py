"""Ways in which one module patches a class of another when it is imported."""

from __future__ import annotations

from closure_constructs import EXTRA, GET_CLASS, OWN, PATCH, Construct
from closure_files import FILES
from closure_streams import USED


def _patched(act: str, tool: str = "", names: str = "") -> Construct:
    """A sibling imports ``names`` from the tool and does something to the class."""
    imports = "".join(f"from {{tool}} import {name}{{i}}\n" for name in names.split())
    return Construct(EXTRA, tool=tool, sibling=imports + GET_CLASS, act=act)


def _operated(methods: str, act: str) -> Construct:
    """An object of the tool patches the class from within a method that the language calls."""
    cell = "class Cell{i}:\n    def __init__(self, *held):\n        self.held = held\n"
    return _patched(act, cell + methods, "Cell")


def _special(signature: str, act: str, answer: str = "None") -> Construct:
    """As ``_operated``: the method changes the class it was made with, or the one it is given as ``other``."""
    name, _, given = signature.partition(" ")
    target = "other" if given == "other" else "self.held[0]"
    method = f"    def {name}(self{', ' + given if given else ''}):\n        {target}.extra{{i}} = {{n}}\n"
    return _operated(method + f"        return {answer}\n", act)


PATCHING = {
    "a registry of the class": _patched("Thing.extra{i} = {{**getattr(Thing, 'extra{i}', {{}}), 'key': {n}}}\n"),
    "an assignment": _patched("Thing.extra{i} = {n}\n"),
    "setattr": _patched("setattr(Thing, 'extra{i}', {n})\n"),
    "delattr": Construct(EXTRA + "    extra{i} = 1\n", sibling=GET_CLASS, act="if {n} > 1:\n    del Thing.extra{i}\n"),
    "a call": _patched("made{i} = patch{i}(Thing)\n", PATCH, "patch"),
    "a call without the class": _patched(
        "patch{i}()\n", "def patch{i}():\n    from {thing} import Thing\n    Thing.extra{i} = {n}\n", "patch"
    ),
    "a decorator": _patched(
        "@patching{i}(Thing)\nclass Other{i}: pass\n",
        "def patching{i}(cls):\n    cls.extra{i} = {n}\n    return lambda other: other\n",
        "patching",
    ),
    "a decorator on an alias": _patched("Alias{i} = patch{i}(Thing)\n", PATCH, "patch"),
    "a metaclass of another class": _patched(
        "class Other{i}(metaclass=Meta{i}):\n    of = Thing\n",
        "class Meta{i}(type):\n    def __init__(cls, *args):\n        cls.of.extra{i} = {n}\n",
        "Meta",
    ),
    "a hook of another class": _patched(
        "class Other{i}(Hooked{i}, of=Thing): pass\n",
        "class Hooked{i}:\n    def __init_subclass__(cls, of):\n        of.extra{i} = {n}\n",
        "Hooked",
    ),
    "a loop": _patched("for each{i} in [Thing]:\n    each{i}.extra{i} = {n}\n"),
    "a comprehension": _patched("[setattr(each, 'extra{i}', {n}) for each in (Thing,)]\n"),
    "a list of classes": _patched("ALL{i} = []\nALL{i}.append(Thing)\nALL{i}[0].extra{i} = {n}\n"),
    "a table of classes": _patched("ALL{i} = {{'a': Thing}}\nALL{i}['a'].extra{i} = {n}\n"),
    "a partial": _patched(
        "import functools\nlater{i} = functools.partial(setattr, Thing, 'extra{i}')\nlater{i}({n})\n"
    ),
    "map": _patched("list(map(lambda each: setattr(each, 'extra{i}', {n}), [Thing]))\n"),
    "sorted": _patched("sorted([Thing], key=lambda each: setattr(each, 'extra{i}', {n}) or 0)\n"),
    "a lambda": _patched("(lambda each: setattr(each, 'extra{i}', {n}))(Thing)\n"),
    "a walrus": _patched("(same{i} := Thing).extra{i} = {n}\n"),
    "a constructor": _patched(
        "Patch{i}(Thing)\n", "class Patch{i}:\n    def __init__(self, cls):\n        cls.extra{i} = {n}\n", "Patch"
    ),
    "an inherited constructor": _patched(
        "class Mine{i}(Patch{i}): pass\nMine{i}(Thing)\n",
        "class Patch{i}:\n    def __init__(self, cls):\n        cls.extra{i} = {n}\n",
        "Patch",
    ),
    "a class method": _patched(
        "Patch{i}.go(Thing)\n",
        "class Patch{i}:\n    @classmethod\n    def go(cls, other):\n        other.extra{i} = {n}\n",
        "Patch",
    ),
    "a dataclass": _patched(
        "Patch{i}(Thing)\n",
        "import dataclasses\n@dataclasses.dataclass\nclass Patch{i}:\n    cls: type\n"
        "    def __post_init__(self):\n        self.cls.extra{i} = {n}\n",
        "Patch",
    ),
    "an enumeration": _patched(
        "class Kind{i}(Base{i}):\n    ONE = Thing\n",
        "import enum\nclass Base{i}(enum.Enum):\n    def __init__(self, cls):\n        cls.extra{i} = {n}\n",
        "Base",
    ),
    "a computed import of the class": _patched(
        "import importlib\nimportlib.import_module('{thing}'[:2] + '{thing}'[2:]).Thing.extra{i} = {n}\n"
    ),
    "text that is run by a sibling": _patched("exec('Thing.extra{i} = {n}')\n"),
    "a base that is patched": Construct(
        EXTRA,
        thing="from {tool} import Base{i}\n",
        tool="class Base{i}: pass\n",
        sibling="from {tool} import Base{i}\n",
        act="Base{i}.extra{i} = {n}\n",
        bases="Base{i}",
    ),
    "a patch from the package": Construct(EXTRA, init=GET_CLASS + "Thing.extra{i} = {n}\n"),
    "a patch by the module itself": Construct(
        EXTRA, sibling="import {thing} as home{i}\n", act="cls{i} = home{i}.Thing\ncls{i}.extra{i} = {n}\n"
    ),
    "a method of a table of functions": _patched("{{'patch': patch{i}}}['patch'](Thing)\n", PATCH, "patch"),
    "a generator": _patched(
        "for each{i} in walk{i}(Thing): pass\n",
        "def walk{i}(cls):\n    cls.extra{i} = {n}\n    yield cls\n",
        "walk",
    ),
    "a context manager function": _patched(
        "with patching{i}(Thing): pass\n",
        "import contextlib\n@contextlib.contextmanager\ndef patching{i}(cls):\n    cls.extra{i} = {n}\n    yield\n",
        "patching",
    ),
    "a function kept in an object": _patched(
        "hook{i} = Hook{i}()\nhook{i}.run = patch{i}\nhook{i}.run(Thing)\n",
        PATCH + "class Hook{i}: pass\n",
        "patch Hook",
    ),
    "an object that somebody else made": _patched(
        "cell{i}.put(Thing)\n",
        "class Cell{i}:\n    def put(self, cls):\n        cls.extra{i} = {n}\ncell{i} = Cell{i}()\n",
        "cell",
    ),
    "a method with a harmless name": _patched(
        "cell{i} = Cell{i}(Thing)\nfound{i} = cell{i}.get('x')\n",
        "class Cell{i}:\n    def __init__(self, cls):\n        self.cls = cls\n"
        "    def get(self, key):\n        self.cls.extra{i} = {n}\n",
        "Cell",
    ),
    "a base given to a function": _patched(
        "made{i} = make{i}(Hooked{i}, Thing)\n",
        "class Hooked{i}:\n    def __init_subclass__(cls, of):\n        of.extra{i} = {n}\n"
        "def make{i}(base, other):\n    class Made(base, of=other): pass\n    return Made\n",
        "Hooked make",
    ),
    "a function called back": _patched(
        "import re\nre.sub('a', lambda found: setattr(Thing, 'extra{i}', {n}) or '', 'a')\n"
    ),
    "a named function called back": _patched(
        "import re\nre.sub('a', give{i}, 'a')\n",
        "def give{i}(found):\n    from {thing} import Thing\n    Thing.extra{i} = {n}\n    return ''\n",
        "give",
    ),
    "__getattr__ of a module that patches": _patched(
        "import {tool} as home{i}\nmade{i} = home{i}.whatever{i}\n",
        "def __getattr__(name):\n    if name.startswith('__'):\n        raise AttributeError(name)\n"
        "    from {thing} import Thing\n    Thing.extra{i} = {n}\n",
    ),
    "a name that __getattr__ of a module makes": _patched(
        "from {tool} import whatever{i}\n",
        "def __getattr__(name):\n    if name.startswith('__'):\n        raise AttributeError(name)\n"
        "    from {thing} import Thing\n    Thing.extra{i} = {n}\n",
    ),
    "a shared descriptor": _patched(
        "field{i}.of = Thing\nclass Other{i}:\n    named = field{i}\n",
        "class Field{i}:\n    def __set_name__(self, cls, name):\n        self.of.extra{i} = {n}\n"
        "field{i} = Field{i}()\n",
        "field",
    ),
    "a method of a subclass": _patched(
        "class Mine{i}(Cell{i}):\n    def hook(self):\n        Thing.extra{i} = {n}\nmade{i} = list(Mine{i}())\n",
        "class Cell{i}:\n    def __iter__(self):\n        self.hook()\n        return iter(())\n",
        "Cell",
    ),
    "an object put into a table": _patched(
        "for each{i} in table{i}: made{i} = each{i}.go\n",
        "table{i} = []\nclass Cell{i}:\n    @property\n    def go(self):\n"
        "        from {thing} import Thing\n        Thing.extra{i} = {n}\ntable{i}.append(Cell{i}())\n",
        "table",
    ),
    "a class derived at run time": _patched(
        "made{i} = Mine{i}(Thing)\n",
        "class Base{i}:\n    def __init__(self, cls):\n        cls.extra{i} = {n}\n"
        "def base{i}(): return Base{i}\nclass Mine{i}(base{i}()): pass\n",
        "Mine",
    ),
    "a function replaced": _patched("Thing.part{i} = lambda self: {n}\n"),
}

OPERATORS = {
    "an operator": _special("__lshift__ other", "made{i} = Cell{i}() << Thing\n", "other"),
    "a reflected operator": _special("__radd__ other", "made{i} = Thing + Cell{i}()\n", "other"),
    "an operator in place": _special("__iadd__ other", "cell{i} = Cell{i}()\ncell{i} += Thing\n", "self"),
    "a sign": _special("__neg__", "made{i} = -Cell{i}(Thing)\n"),
    "an item": _special("__getitem__ other", "made{i} = Cell{i}()[Thing]\n", "other"),
    "a stored item": _operated(
        "    def __setitem__(self, key, cls):\n        cls.extra{i} = {n}\n",
        "cell{i} = Cell{i}()\ncell{i}[0] = Thing\n",
    ),
    "a class item": _operated(
        "    def __class_getitem__(cls, other):\n        other.extra{i} = {n}\n", "made{i} = Cell{i}[Thing]\n"
    ),
    "a membership": _special("__contains__ other", "made{i} = Thing in Cell{i}()\n", "True"),
    "a comparison": _special("__eq__ other", "made{i} = Cell{i}() == Thing\n", "True"),
    "an order": _operated(
        "    def __gt__(self, other):\n        self.held[0].extra{i} = {n}\n        return True\n",
        "cells{i} = [Cell{i}(Thing), Cell{i}(Thing)]\nmade{i} = max(cells{i})\n",
    ),
    "a truth": _special("__bool__", "cell{i} = Cell{i}(Thing)\nif cell{i}: pass\n", "True"),
    "a length": _special("__len__", "made{i} = len(Cell{i}(Thing))\n", "1"),
    "a text": _special("__str__", "made{i} = f'{{Cell{i}(Thing)}}'\n", "''"),
    "a representation": _special("__repr__", "cell{i} = Cell{i}(Thing)\nmade{i} = '%r' % (cell{i},)\n", "''"),
    "an iteration": _special("__iter__", "cell{i} = Cell{i}(Thing)\nfor each{i} in cell{i}: pass\n", "iter(())"),
    "an unpacking": _special("__iter__", "cell{i} = Cell{i}(Thing)\n[*rest{i}] = cell{i}\n", "iter(())"),
    "a star": _special("__iter__", "cell{i} = Cell{i}(Thing)\nrest{i} = [*cell{i}]\n", "iter(())"),
    "a conversion": _special("__iter__", "cell{i} = Cell{i}(Thing)\nrest{i} = tuple(cell{i})\n", "iter(())"),
    "a with statement": _operated(
        "    def __enter__(self):\n        self.held[0].extra{i} = {n}\n    def __exit__(self, *raised): pass\n",
        "cell{i} = Cell{i}(Thing)\nwith cell{i}: pass\n",
    ),
    "a property": _operated(
        "    @property\n    def go(self):\n        self.held[0].extra{i} = {n}\n",
        "cell{i} = Cell{i}(Thing)\nmade{i} = cell{i}.go\n",
    ),
    "a property that is set": _operated(
        "    @property\n    def go(self): pass\n    @go.setter\n    def go(self, cls):\n        cls.extra{i} = {n}\n",
        "cell{i} = Cell{i}()\ncell{i}.go = Thing\n",
    ),
    "an attribute that is not there": _operated(
        "    def __getattr__(self, name):\n        self.held[0].extra{i} = {n}\n",
        "cell{i} = Cell{i}(Thing)\nmade{i} = cell{i}.go\n",
    ),
    "an attribute that is set": _operated(
        "    def __setattr__(self, name, value):\n        if name == 'go':\n            value.extra{i} = {n}\n",
        "cell{i} = Cell{i}()\ncell{i}.go = Thing\n",
    ),
    "a called object": _special("__call__ other", "cell{i} = Cell{i}()\nmade{i} = cell{i}(Thing)\n"),
    "a hash": _special("__hash__", "cell{i} = Cell{i}(Thing)\nmade{i} = {{cell{i}: 1}}\n", "1"),
    "a check of instances": _operated(
        "class Kind{i}(type):\n    def __instancecheck__(cls, other):\n        other.extra{i} = {n}\n"
        "        return True\nclass Checked{i}(metaclass=Kind{i}): pass\n",
        "from {tool} import Checked{i}\nmade{i} = isinstance(Thing, Checked{i})\n",
    ),
    "an operator in a function": _patched(
        "made{i} = join{i}(Thing)\n",
        "class Cell{i}:\n    def __lshift__(self, other):\n        other.extra{i} = {n}\n"
        "def join{i}(cls):\n    cell = Cell{i}()\n    return cell << cls\n",
        "join",
    ),
    "an object that the tool made": _patched(
        "made{i} = cell{i} << Thing\n",
        "class Cell{i}:\n    def __lshift__(self, other):\n        other.extra{i} = {n}\ncell{i} = Cell{i}()\n",
        "cell",
    ),
}

CONSTRUCTS = OWN | PATCHING | OPERATORS | FILES | USED
