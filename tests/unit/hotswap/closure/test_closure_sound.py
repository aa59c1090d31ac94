"""Whatever changes the behaviour of a class changes its digest: crafted changes, each of them really run."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from hotswap.closure import Scheme

DEV = "class Dev:\n    rate = 1\n    def run(self):\n        return self.rate\n"


@dataclass(frozen=True)
class Change:
    before: dict[str, str]
    after: dict[str, str]
    scheme: Scheme = "package"


def _change(common: dict[str, str], path: str, old: str, new: str, scheme: Scheme = "package") -> Change:
    assert old in common[path]
    return Change(common, common | {path: common[path].replace(old, new)}, scheme)


def _patched(text: str, **more: str) -> dict[str, str]:
    """A class, and a sibling nobody imports that does something to it."""
    return {"dev.py": DEV, "zz.py": text, **{f"{name}.py": source for name, source in more.items()}}


REGISTRY = (
    "table = {}\ndef register(name):\n"
    "    def add(cls):\n        table[name] = cls\n        return cls\n    return add\n"
)
USES_TABLE = (
    "from .reg import table\nclass Dev:\n    def run(self):\n        return {k: v.__name__ for k, v in table.items()}\n"
)

COPIED = {
    "bb.py": "X = 1\n",
    "yy.py": "from .bb import X\n",
    "zz.py": "from . import bb\nbb.X = 2\n",
    "dev.py": "from . import bb, yy, zz\nclass Dev:\n    def run(self):\n        import p\n"
    "        return getattr(p, 'X', None), yy.X\n",
}

REAL = {
    "own method": _change({"dev.py": DEV}, "dev.py", "rate = 1", "rate = 2", "reachable"),
    "base class elsewhere": _change(
        {"base.py": DEV.replace("Dev", "Base"), "dev.py": "from p.base import Base\nclass Dev(Base): pass\n"},
        "base.py",
        "rate = 1",
        "rate = 2",
        "reachable",
    ),
    "helper of a helper": _change(
        {
            "a.py": "X = 1\n",
            "b.py": "from . import a\ndef f(): return a.X\n",
            "dev.py": "from .b import f\nclass Dev:\n    def run(self): return f()\n",
        },
        "a.py",
        "1",
        "2",
        "reachable",
    ),
    "lazy import": _change(
        {"a.py": "X = 1\n", "dev.py": "class Dev:\n    def run(self):\n        from p.a import X\n        return X\n"},
        "a.py",
        "1",
        "2",
        "reachable",
    ),
    "re-export to another module": _change(
        {
            "s/__init__.py": "from .a import X\n",
            "s/a.py": "X = 1\n",
            "s/b.py": "X = 2\n",
            "dev.py": "from .s import X\nclass Dev:\n    def run(self): return X\n",
        },
        "s/__init__.py",
        ".a",
        ".b",
        "reachable",
    ),
    "chain through a package": _change(
        {
            "s/__init__.py": "",
            "s/a.py": "X = 1\n",
            "dev.py": "import p.s.a\nclass Dev:\n    def run(self): return p.s.a.X\n",
        },
        "s/a.py",
        "1",
        "2",
        "reachable",
    ),
    "value in an __init__": _change(
        {"s/__init__.py": "X = 1\n", "dev.py": "from .s import X\nclass Dev:\n    def run(self): return X\n"},
        "s/__init__.py",
        "1",
        "2",
        "imports",
    ),
    "star import": _change(
        {"a.py": "X = 1\n", "dev.py": "from .a import *\nclass Dev:\n    def run(self): return X\n"},
        "a.py",
        "1",
        "2",
        "imports",
    ),
    "lazy attribute of a package": _change(
        {
            "s/__init__.py": "def __getattr__(name):\n    return 1 if name == 'X' else exit(name)\n",
            "dev.py": "class Dev:\n    def run(self):\n        from . import s\n        return s.X\n",
        },
        "s/__init__.py",
        "return 1",
        "return 2",
    ),
    "computed import": _change(
        {
            "plug/__init__.py": "",
            "plug/a.py": "X = 1\n",
            "dev.py": "import importlib\nclass Dev:\n    def run(self):\n"
            "        return importlib.import_module('p.plug.' + 'a').X\n",
        },
        "plug/a.py",
        "1",
        "2",
    ),
    "literal import": _change(
        {
            "a.py": "X = 1\n",
            "dev.py": "import importlib\nclass Dev:\n    def run(self):\n"
            "        return importlib.import_module('p.a').X\n",
        },
        "a.py",
        "1",
        "2",
        "reachable",
    ),
    "text that is run": _change(
        {"a.py": "X = 1\n", "dev.py": "class Dev:\n    def run(self): return eval('__import__(\"p.a\").a.X')\n"},
        "a.py",
        "1",
        "2",
    ),
    "sys.modules": _change(
        {"a.py": "X = 1\n", "dev.py": "import sys\nclass Dev:\n    def run(self): return sys.modules['p.' + 'a'].X\n"},
        "a.py",
        "1",
        "2",
    ),
    "own docstring": _change(
        {"dev.py": "class Dev:\n    'one'\n    def run(self): return self.__doc__\n"},
        "dev.py",
        "one",
        "two",
        "reachable",
    ),
    "own line number": _change(
        {"dev.py": "class Dev:\n    def run(self): return self.run.__code__.co_firstlineno\n"},
        "dev.py",
        "class",
        "\n# one\nclass",
        "reachable",
    ),
    "sibling stores": _change(_patched("from .dev import Dev\nDev.rate = 2\n"), "zz.py", "2", "3"),
    "sibling stores through the module": _change(_patched("import p.dev as d\nd.Dev.rate = 2\n"), "zz.py", "2", "3"),
    "sibling stores in a loop": _change(
        _patched("from .dev import Dev\nALL = [Dev]\nfor each in ALL:\n    each.rate = 2\n"), "zz.py", "2", "3"
    ),
    "sibling stores in a grown list": _change(
        _patched("from .dev import Dev\nALL = []\nALL.append(Dev)\nALL[0].rate = 2\n"), "zz.py", "2", "3"
    ),
    "sibling uses setattr": _change(_patched("from .dev import Dev\nsetattr(Dev, 'rate', 2)\n"), "zz.py", "2", "3"),
    "sibling uses setattr by map": _change(
        _patched("from .dev import Dev\nlist(map(lambda c: setattr(c, 'rate', 2), [Dev]))\n"), "zz.py", "2", "3"
    ),
    "sibling uses a partial": _change(
        _patched("from functools import partial\nfrom .dev import Dev\nf = partial(setattr, Dev, 'rate')\nf(2)\n"),
        "zz.py",
        "f(2)",
        "f(3)",
    ),
    "x = f(Cls)": _change(
        _patched("from .dev import Dev\ndef f(c):\n    c.rate = 2\n    return c\nx = f(Dev)\n"), "zz.py", "2", "3"
    ),
    "f of a third module": _change(
        _patched("from .dev import Dev\nfrom .aa import f\nx = f(Dev)\n", aa="def f(c):\n    c.rate = 2\n"),
        "aa.py",
        "2",
        "3",
    ),
    "f without arguments": _change(
        _patched("from . import dev\ndef f():\n    c = dev.Dev\n    c.rate = 2\nf()\n"), "zz.py", "2", "3"
    ),
    "constructor": _change(
        _patched("from .dev import Dev\nclass Patch:\n    def __init__(self):\n        Dev.rate = 2\nPatch()\n"),
        "zz.py",
        "2",
        "3",
    ),
    "inherited constructor": _change(
        _patched(
            "from .aa import Patch\nclass Mine(Patch): pass\nMine()\n",
            aa="from .dev import Dev\nclass Patch:\n    def __init__(self):\n        Dev.rate = 2\n",
        ),
        "aa.py",
        "2",
        "3",
    ),
    "decorator": _change(
        _patched(
            "from .dev import Dev\ndef deco(c):\n    for b in c.__mro__[1:-1]:\n        b.rate = 2\n    return c\n"
            "@deco\nclass Sub(Dev): pass\n"
        ),
        "zz.py",
        "2",
        "3",
    ),
    "class body": _change(
        _patched("from .dev import Dev\nclass Note:\n    alias = Dev\n    alias.rate = 2\n"), "zz.py", "2", "3"
    ),
    "sibling changes a table": _change(
        {
            "dev.py": "table = {}\nclass Dev:\n    def run(self): return dict(table)\n",
            "zz.py": "from .dev import table\ntable['a'] = 2\n",
        },
        "zz.py",
        "2",
        "3",
    ),
    "sibling extends a list in place": _change(
        {
            "dev.py": "items = []\nclass Dev:\n    def run(self): return list(items)\n",
            "zz.py": "from .dev import items\nitems += [2]\n",
        },
        "zz.py",
        "2",
        "3",
    ),
    "registry filled by a sibling": _change(
        {
            "reg.py": REGISTRY,
            "dev.py": USES_TABLE,
            "zz.py": "from .reg import register\n@register('a')\nclass A: pass\n",
        },
        "zz.py",
        "'a'",
        "'b'",
    ),
    "a sibling that registers is added": Change(
        {"reg.py": REGISTRY, "dev.py": USES_TABLE},
        {
            "reg.py": REGISTRY,
            "dev.py": USES_TABLE,
            "zz.py": "from .reg import register\n@register('a')\nclass A: pass\n",
        },
        "reachable",
    ),
    "subclasses": _change(
        {
            "dev.py": "class Dev:\n    def run(self): return [c.__name__ for c in Dev.__subclasses__()]\n",
            "zz.py": "from .dev import Dev\nclass A(Dev): pass\n",
        },
        "zz.py",
        "class A",
        "class B",
    ),
    "subclass hook": _change(
        {
            "dev.py": "class Dev:\n    seen = []\n    def __init_subclass__(cls): Dev.seen.append(cls.__name__)\n"
            "    def run(self): return list(Dev.seen)\n",
            "zz.py": "from .dev import Dev\nclass A(Dev): pass\n",
        },
        "zz.py",
        "class A",
        "class B",
    ),
    "metaclass": _change(
        {
            "meta.py": "seen = []\nclass Meta(type):\n    def __init__(cls, *a):\n        seen.append(cls.__name__)\n",
            "dev.py": "from .meta import seen\nclass Dev:\n    def run(self): return list(seen)\n",
            "zz.py": "from .meta import Meta\nclass A(metaclass=Meta): pass\n",
        },
        "zz.py",
        "class A",
        "class B",
    ),
    "sibling finds the class dynamically": _change(
        _patched("import importlib\nimportlib.import_module('p.' + 'dev').Dev.rate = 2\n"), "zz.py", "= 2", "= 3"
    ),
    "sibling runs text": _change(_patched("exec('from p.dev import Dev; Dev.rate = 2')\n"), "zz.py", "= 2", "= 3"),
    "root patches": _change(
        {"__init__.py": "from .dev import Dev\nDev.rate = 2\n", "dev.py": DEV}, "__init__.py", "2", "3", "imports"
    ),
    "order of two patches": Change(
        _patched("from .dev import Dev\nDev.rate += 1\n", ya="from .dev import Dev\nDev.rate *= 5\n")
        | {"__init__.py": "from . import ya\nfrom . import zz\n"},
        _patched("from .dev import Dev\nDev.rate += 1\n", ya="from .dev import Dev\nDev.rate *= 5\n")
        | {"__init__.py": "from . import zz\nfrom . import ya\n"},
        "imports",
    ),
    "a package copies a value before or after it is changed": Change(
        {**COPIED, "__init__.py": "from .bb import X\nfrom . import zz\n"},
        {**COPIED, "__init__.py": "from . import zz\nfrom .bb import X\n"},
        "package",
    ),
    "a module copies a value before or after it is changed": Change(
        {**COPIED, "__init__.py": "from . import yy\nfrom . import zz\n"},
        {**COPIED, "__init__.py": "from . import zz\nfrom . import yy\n"},
        "package",
    ),
    "recursion between helpers": _change(
        _patched(
            "from .dev import Dev\nfrom .aa import f\nx = f(Dev, 2)\n",
            aa="def f(c, n):\n    return g(c, n)\ndef g(c, n):\n    if n:\n        f(c, n - 1)\n    c.rate = n + 4\n",
        ),
        "aa.py",
        "4",
        "5",
    ),
    "a helper that may be missing": _change(
        _patched(
            "from .dev import Dev\ntry:\n    from nowhere import f\nexcept ImportError:\n"
            "    def f(c):\n        c.rate = 2\n        return c\nx = f(Dev)\n"
        ),
        "zz.py",
        "2",
        "3",
    ),
    "environment variable": _change(
        {
            "dev.py": "import os\nclass Dev:\n    def run(self): return os.environ['P_RATE']\n",
            "aa.py": "import os\nos.environ['P_RATE'] = '2'\n",
        },
        "aa.py",
        "2",
        "3",
        "reachable",
    ),
    "a library's setting computed by a helper": _change(
        {
            "dev.py": "import decimal\nclass Dev:\n    def run(self): return decimal.getcontext().prec\n",
            "aa.py": "import decimal\nfrom .bb import digits\ndecimal.getcontext().prec = digits()\n",
            "bb.py": "def digits(): return 12\n",
        },
        "bb.py",
        "12",
        "13",
        "reachable",
    ),
    "data file": _change(
        {
            "dev.py": "from pathlib import Path\nHERE = Path(__file__).parent\nclass Dev:\n"
            "    def run(self): return (HERE / 'a.txt').read_text()\n",
            "a.txt": "one",
        },
        "a.txt",
        "one",
        "two",
        "reachable",
    ),
    "data file by a computed name": _change(
        {
            "dev.py": "import os\nclass Dev:\n    def run(self):\n"
            "        name = '.'.join(['a', 'txt'])\n"
            "        with open(os.path.join(os.path.dirname(__file__), name)) as f: return f.read()\n",
            "a.txt": "one",
        },
        "a.txt",
        "one",
        "two",
        "reachable",
    ),
    "data file as a resource": _change(
        {
            "dev.py": "from importlib import resources\nclass Dev:\n"
            "    def run(self): return resources.files('p').joinpath('a' + '.txt').read_text()\n",
            "a.txt": "one",
        },
        "a.txt",
        "one",
        "two",
        "reachable",
    ),
    "data file of a helper": _change(
        {
            "h.py": "import pkgutil\ndef load(): return pkgutil.get_data('p', 'a' + '.txt')\n",
            "dev.py": "from .h import load\nclass Dev:\n    def run(self): return load()\n",
            "a.txt": "one",
        },
        "a.txt",
        "one",
        "two",
        "reachable",
    ),
    "new data file in a listed folder": Change(
        {
            "dev.py": "from pathlib import Path\nclass Dev:\n"
            "    def run(self): return len(list((Path(__file__).parent / 'd').iterdir()))\n",
            "d/a.txt": "",
        },
        {
            "dev.py": "from pathlib import Path\nclass Dev:\n"
            "    def run(self): return len(list((Path(__file__).parent / 'd').iterdir()))\n",
            "d/a.txt": "",
            "d/b.txt": "",
        },
        "reachable",
    ),
}


@pytest.mark.parametrize("name", REAL)
def test_a_real_change_changes_the_digest(judge, run, name: str) -> None:
    change = REAL[name]
    first, second = judge(change.before), judge(change.after)
    assert run(change.before) != run(change.after)
    assert first.digest != second.digest
    assert first.scheme == change.scheme, first.why
