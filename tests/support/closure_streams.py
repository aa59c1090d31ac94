"""Ways in which one module uses up, or counts on, what another one keeps, when it is imported."""

from __future__ import annotations

from closure_constructs import Construct, tells

_IF = "if {n} > 1:\n    "
_ITERATOR = "items{i} = iter(range(9))\n"
_COUNTER = "import itertools\nitems{i} = itertools.count()\n"
_STREAM = "import io\nitems{i} = io.StringIO('1\\n2\\n3\\n')\n"
_PORT = (
    "class Port{i}:\n    def __init__(self):\n        self.lines = [1, 2, 3]\n"
    "    def __iter__(self):\n        return self\n    def __next__(self):\n"
    "        if not self.lines:\n            raise StopIteration\n        return self.lines.pop(0)\n"
)
_NOTED = "items{i} = []\n"
_NOTE = "def note{i}(*given, **named):\n    items{i}.append(1)\n    return len(items{i})\n"
_TRUE = (
    "class Cell{i}:\n    def __bool__(self):\n        items{i}.append(1)\n        return True\ncell{i} = Cell{i}()\n"
)


def _used(tool: str, act: str, shown: str = "list(items{i})", names: str = "items") -> Construct:
    """A sibling imports ``names`` from the tool and does something to what the class reads."""
    imports = "".join(f"from {{tool}} import {name}{{i}}\n" for name in names.split())
    return Construct(tells(shown), thing="from {tool} import items{i}\n", tool=tool, sibling=imports, act=act)


def _noted(act: str, tool: str = _NOTE, names: str = "note") -> Construct:
    """Code of the tool runs, if the number is more than one, without being called by its name."""
    lines = "".join(f"    {line}\n" for line in act.splitlines())
    return _used(_NOTED + tool, "if {n} > 1:\n" + lines, names=names)


STREAMS = {
    "next": _used(_ITERATOR, _IF + "next(items{i})\n"),
    "a list of an iterator": _used(_ITERATOR, _IF + "mine{i} = list(items{i})\n"),
    "a loop over an iterator": _used(_ITERATOR, _IF + "for each{i} in items{i}: pass\n"),
    "a sum of an iterator": _used(_ITERATOR, _IF + "mine{i} = sum(each for each in items{i})\n"),
    "zip": _used(_ITERATOR, "mine{i} = dict(zip(items{i}, range({n})))\n"),
    "a slice of an iterator": _used(_ITERATOR, "import itertools\nmine{i} = tuple(itertools.islice(items{i}, {n}))\n"),
    "an unpacked iterator": _used(_ITERATOR, _IF + "first{i}, *rest{i} = items{i}\n"),
    "a starred argument": _used(_ITERATOR, _IF + "mine{i} = max(*items{i})\n"),
    "a membership in an iterator": _used(_ITERATOR, _IF + "assert 3 in items{i}\n"),
    "an alias of an iterator": _used(_ITERATOR, "mine{i} = items{i}\n" + _IF + "next(mine{i})\n"),
    "an iterator given to a function": _used(
        _ITERATOR, "def take{i}(given):\n    for each in given:\n        return each\n" + _IF + "take{i}(items{i})\n"
    ),
    "an iterator joined to a text": _used("items{i} = iter('abc')\n", _IF + "mine{i} = ','.join(items{i})\n"),
    "a generator": _used("items{i} = (each for each in range(5))\n", _IF + "next(items{i})\n"),
    "a generator of a function": _used(
        "def make{i}():\n    yield from range(5)\nitems{i} = make{i}()\n", _IF + "next(items{i})\n"
    ),
    "a generator that acts": _noted(
        "mine{i} = list(made{i})\n",
        "def make{i}():\n    items{i}.append(1)\n    yield\nmade{i} = make{i}()\n",
        "made",
    ),
    "a counter": _used(_COUNTER, _IF + "mine{i} = next(items{i})\n", "next(items{i})"),
    "a counter of a class": _used(
        "import itertools\nclass items{i}:\n    ids = itertools.count()\n",
        _IF + "mine{i} = next(items{i}.ids)\n",
        "next(items{i}.ids)",
    ),
    "a counter behind a default": _used(
        "import dataclasses, itertools\nids{i} = itertools.count()\n@dataclasses.dataclass\nclass items{i}:\n"
        "    number: int = dataclasses.field(default_factory=ids{i}.__next__)\n",
        _IF + "mine{i} = items{i}()\n",
        "items{i}().number",
    ),
    "a table that makes its entries": _used(
        "import collections\nitems{i} = collections.defaultdict(list)\n", "mine{i} = items{i}[{n}]\n"
    ),
    "a stream": _used(_STREAM, _IF + "mine{i} = items{i}.readline()\n", "items{i}.read()"),
    "a stream that is parsed": _used(
        "import io\nitems{i} = io.StringIO('1')\n", _IF + "import json\n    json.load(items{i})\n", "items{i}.read()"
    ),
    "a table read from a stream": _used(
        _STREAM, _IF + "import csv\n    next(csv.reader(items{i}))\n", "items{i}.read()"
    ),
    "print to a stream": _used(_STREAM, "print({n}, file=items{i})\n", "items{i}.getvalue()"),
    "a queue": _used(
        "import queue\nitems{i} = queue.Queue()\nitems{i}.put(1)\n",
        _IF + "mine{i} = items{i}.get()\n",
        "items{i}.qsize()",
    ),
    "an alias of a queue": _used(
        "import queue\nitems{i} = queue.Queue()\nitems{i}.put(1)\n",
        "mine{i} = items{i}\n" + _IF + "mine{i}.get()\n",
        "items{i}.qsize()",
    ),
    "a queue given to a function": _used(
        "import queue\nitems{i} = queue.Queue()\nitems{i}.put(1)\n",
        "def take{i}(given):\n    return given.get()\n" + _IF + "take{i}(items{i})\n",
        "items{i}.qsize()",
    ),
    "a random generator": _used(
        "import random\nitems{i} = random.Random(1)\n", _IF + "mine{i} = items{i}.random()\n", "items{i}.random()"
    ),
    "a port": _used(_PORT + "items{i} = Port{i}()\n", _IF + "mine{i} = next(items{i})\n"),
    "a port behind a function": _used(
        _PORT + "port{i} = Port{i}()\ndef items{i}():\n    return port{i}\n",
        _IF + "next(items{i}())\n",
        "list(items{i}())",
    ),
    "a port behind a cache": _used(
        "import functools\n" + _PORT + "@functools.cache\ndef items{i}():\n    return Port{i}()\n",
        _IF + "next(items{i}())\n",
        "list(items{i}())",
    ),
    "a port in a table": _used(
        _PORT + "items{i} = {{'a': Port{i}()}}\n", _IF + "next(items{i}['a'])\n", "list(items{i}['a'])"
    ),
    "an iterator put into an object": _used(
        "class Cell{i}: pass\nitems{i} = Cell{i}()\nsetattr(items{i}, 'held', iter(range(5)))\n",
        _IF + "next(items{i}.held)\n",
        "list(items{i}.held)",
    ),
    "an iterator put into a table": _used(
        "def fill{i}(table):\n    table['a'] = iter(range(5))\nitems{i} = {{}}\nfill{i}(items{i})\n",
        _IF + "next(items{i}['a'])\n",
        "list(items{i}['a'])",
    ),
    "an iterator made by a function": _used(
        "items{i} = ()\ndef start{i}():\n    global items{i}\n    items{i} = iter(range(5))\nstart{i}()\n",
        _IF + "next(items{i})\n",
    ),
    "a property that counts": _used(
        "class Cell{i}:\n    count = 0\n    @property\n    def following(self):\n        self.count += 1\n"
        "        return self.count\nitems{i} = Cell{i}()\n",
        _IF + "mine{i} = items{i}.following\n",
        "items{i}.following",
    ),
    "a property that is cached": Construct(
        tells("tell{i}()"),
        thing="from {tool} import tell{i}\n",
        tool="import functools\nstate{i} = {{'n': 0}}\nclass Cell{i}:\n    @functools.cached_property\n"
        "    def first(self):\n        return state{i}['n']\nitems{i} = Cell{i}()\n"
        "def tell{i}():\n    state{i}['n'] = 5\n    return items{i}.first\n",
        sibling="from {tool} import items{i}\n",
        act=_IF + "mine{i} = items{i}.first\n",
    ),
    "a with statement that counts": _used(
        "class Cell{i}:\n    count = 0\n    def __enter__(self):\n        self.count += 1\n"
        "    def __exit__(self, *raised): pass\nitems{i} = Cell{i}()\n",
        _IF + "with items{i}: pass\n",
        "items{i}.count",
    ),
    "a result of arithmetic": _used(
        "shared{i} = []\nclass Cell{i}:\n    def __add__(self, other):\n        return shared{i}\n"
        "    def __iter__(self):\n        return iter(shared{i})\nitems{i} = Cell{i}()\n",
        "mine{i} = items{i} + 1\nmine{i} += [{n}]\n",
    ),
}
HANDED = {
    "a function for what has no text": _noted("import json\njson.dumps(object(), default=note{i})\n"),
    "a function for objects that are read": _noted("import json\njson.loads('{{}}', object_hook=note{i})\n"),
    "a key in a table of arguments": _noted("named{i} = {{'key': note{i}}}\nmade{i} = max([2, 1], **named{i})\n"),
    "a key of a sort": _noted("made{i} = [2, 1]\nmade{i}.sort(key=note{i})\n"),
    "a bound method": _noted(
        "import json\njson.dumps(object(), default=note{i})\n",
        "def grow{i}(given):\n    return str(items{i}.append(1))\nclass Cell{i}:\n    add = staticmethod(grow{i})\n"
        "note{i} = Cell{i}.add\n",
    ),
    "a class made by its metaclass": _noted(
        "import abc\nmade{i} = abc.ABCMeta('Made', (Hooked{i},), {{}})\n",
        "class Hooked{i}:\n    def __init_subclass__(cls):\n        items{i}.append(1)\n",
        "Hooked",
    ),
    "a class that is raised": _noted(
        "try:\n    raise Problem{i}\nexcept Exception: pass\n",
        "class Problem{i}(Exception):\n    def __init__(self):\n        items{i}.append(1)\n",
        "Problem",
    ),
    "a condition of a comprehension": _noted(
        "made{i} = [each for each in (1,) if cell{i}]\n",
        _TRUE,
        "cell",
    ),
    "a guard of a match": _noted(
        "match 1:\n    case 1 if cell{i}: pass\n",
        _TRUE,
        "cell",
    ),
    "a mixin of an enumeration": _noted(
        "import enum\nclass Kind{i}(Mixed{i}, enum.Enum):\n    ONE = 1\n",
        "class Mixed{i}:\n    def __init__(self, value):\n        items{i}.append(1)\n",
        "Mixed",
    ),
    "an annotation that is asked for": _noted(
        "import typing\nclass Other{i}:\n    held: 'note{i}()'\n"
        "try:\n    typing.get_type_hints(Other{i}, globalns={{'note{i}': note{i}}})\nexcept TypeError: pass\n"
    ),
    "a dataclass replaced": _noted(
        "import dataclasses\nmade{i} = dataclasses.replace(cell{i}, number=2)\n",
        "import dataclasses\n@dataclasses.dataclass\nclass Cell{i}:\n    number: int = 1\n"
        "    def __post_init__(self):\n"
        "        if self.number > 1:\n            items{i}.append(1)\ncell{i} = Cell{i}()\n",
        "cell",
    ),
    "a text with missing parts": _noted(
        "made{i} = '%(part)s' % cell{i}\n",
        "class Cell{i}(dict):\n    def __missing__(self, key):\n        items{i}.append(1)\ncell{i} = Cell{i}()\n",
        "cell",
    ),
    "a class of loggers": _noted(
        "import logging\nlogging.getLogger('loud{i}')\n",
        "import logging\nclass Loud{i}(logging.Logger):\n"
        "    def __init__(self, *given):\n        super().__init__(*given)\n"
        "        items{i}.append(1)\nlogging.setLoggerClass(Loud{i})\n",
        "items",
    ),
    "a handler of records": _noted(
        "import logging\nlog{i} = logging.getLogger('heard{i}')\nlog{i}.error('heard')\n",
        "import logging\nclass Hearing{i}(logging.Handler):\n"
        "    def emit(self, record):\n        items{i}.append(1)\n"
        "logging.getLogger('heard{i}').addHandler(Hearing{i}())\n",
        "items",
    ),
}

USED = STREAMS | HANDED
